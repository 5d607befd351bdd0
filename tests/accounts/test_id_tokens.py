"""ID tokens: what is taken, and every way in which one can be wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgi_sessions import (
    IdTokenNotSupportedError,
    InvalidIdTokenError,
    ProviderUnavailableError,
    SessionEvent,
    SocialProvider,
    google,
    microsoft,
    oidc,
)
from wsgi_sessions.accounts.oidc import fetching, provider_keys
from wsgi_sessions.accounts.oidc.id_tokens import IdentityClaims, verify_id_token
from wsgi_sessions.accounts.oidc.provider_keys import KEPT_MS, PAUSE_MS, KeyStore
from wsgi_sessions.accounts.oidc.signed_tokens import LEEWAY_MS
from wsgi_sessions.events import Events
from wsgi_sessions_testing import FakeClock, LocalIssuer

CLIENT = "client-of-tests"
TENANT = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Verifier:
    """One provider's tokens, verified by one process."""

    def __init__(self, provider: SocialProvider, clock: FakeClock) -> None:
        self.provider = provider
        self.clock = clock
        self.seen: list[SessionEvent] = []
        events = Events(clock)
        events.subscribe(self.seen.append)
        self.keys = KeyStore(provider, clock, events)

    def __call__(
        self, token: str, *, nonce: str | None = None, access_token: str | None = None
    ) -> IdentityClaims:
        return verify_id_token(
            self.provider,
            token,
            keys=self.keys,
            nonce=nonce,
            access_token=access_token,
            now_ms=self.clock.now_ms(),
        )

    def cause_of_refusal(self, token: str, **beside: Any) -> str:
        with pytest.raises(InvalidIdTokenError) as caught:
            self(token, **beside)
        assert str(caught.value) == "Invalid token"
        return caught.value.why


@pytest.fixture
def verify(issuer: LocalIssuer, clock: FakeClock) -> Verifier:
    return Verifier(issuer.provider("corp"), clock)


def b64(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


# What is taken


def test_a_sound_token_says_whom_it_is_about(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    token = issuer.id_token(
        "ada-1",
        email="Ada@Example.org",
        email_verified=True,
        name="Ada",
        picture="https://example.org/ada.png",
    )
    claims = verify(token)
    image = "https://example.org/ada.png"
    assert claims[:5] == ("ada-1", "Ada@Example.org", True, "Ada", image)
    assert claims.issued_at_ms == clock.now_ms()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_every_pinned_algorithm_works(algorithm: str, clock: FakeClock) -> None:
    with LocalIssuer(clock=clock, algorithm=algorithm) as issuer:
        verify = Verifier(issuer.provider("corp"), clock)
        assert verify(issuer.id_token("ada")).subject == "ada"


@pytest.mark.parametrize(
    ("said", "is_verified"),
    [(True, True), ("true", True), (False, False), ("false", False), (1, True), ("yes", False)],
)
def test_email_verified_is_a_boolean_or_apples_text(
    said: Any, is_verified: bool, issuer: LocalIssuer, verify: Verifier
) -> None:
    token = issuer.id_token("ada", email="ada@example.org", email_verified=said)
    assert verify(token).is_email_verified is is_verified


def test_an_address_nobody_says_is_verified_is_not(issuer: LocalIssuer, verify: Verifier) -> None:
    assert verify(issuer.id_token("ada", email="ada@example.org")).is_email_verified is False


@pytest.mark.parametrize("value", ["", " ", "x" * 3000, "a\0b", 5, None, ["a"]])
def test_a_useless_claim_is_left_out(value: Any, issuer: LocalIssuer, verify: Verifier) -> None:
    claims = verify(issuer.id_token("ada", name=value, email=value, picture=value))
    assert claims[:5] == ("ada", None, False, None, None)


def test_a_token_may_say_how_and_when_they_proved_who_they_are(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    an_hour_ago = clock.now_ms() // 1000 - 3600
    claims = verify(
        issuer.id_token("ada", amr=["pwd", "otp"], acr="urn:mfa", auth_time=an_hour_ago)
    )
    assert (claims.amr, claims.acr) == (("pwd", "otp"), "urn:mfa")
    assert claims.auth_time_ms == claims.proven_at_ms == an_hour_ago * 1000


def test_what_is_not_told_is_not_known(issuer: LocalIssuer, verify: Verifier) -> None:
    claims = verify(issuer.id_token("ada"))
    assert (claims.amr, claims.acr, claims.auth_time_ms) == ((), None, None)
    assert claims.proven_at_ms == claims.issued_at_ms


@pytest.mark.parametrize(
    ("said", "taken"),
    [("pwd", ()), (["pwd", 5, "", "x" * 33, "é", "otp"], ("pwd", "otp")), (["a"] * 99, ("a",) * 8)],
)
def test_of_methods_and_contexts_names_alone_are_taken(
    said: Any, taken: tuple[str, ...], issuer: LocalIssuer, verify: Verifier
) -> None:
    claims = verify(issuer.id_token("ada", amr=said, acr="x" * 129))
    assert (claims.amr, claims.acr) == (taken, None)
    longest = claims._replace(amr=('"' * 32,) * 8, acr='"' * 128, auth_time_ms=10**14 - 1)
    assert len(longest.as_authentication("p" * 64).to_json()) <= 1024


@pytest.mark.parametrize("said", ["1300000000", True, -1, 1e12, []])
def test_when_they_proved_it_is_a_number_of_seconds(
    said: Any, issuer: LocalIssuer, verify: Verifier
) -> None:
    assert verify.cause_of_refusal(issuer.id_token("ada", auth_time=said)) == "auth_time"


@pytest.mark.parametrize("image", ["http://example.org/a.png", "javascript:alert(1)", "data:,"])
def test_a_picture_is_a_page_on_https(image: str, issuer: LocalIssuer, verify: Verifier) -> None:
    assert verify(issuer.id_token("ada", picture=image)).image is None


def test_an_edwards_curve_signs_too(clock: FakeClock) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    public = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    public.pop("key_ops", None)
    with LocalIssuer(clock=clock) as issuer:
        issuer.serve_json("/keys", {"keys": [{**public, "kid": "ed"}]})
        verify = Verifier(oidc("corp", issuer.url, CLIENT, algorithms=["EdDSA"]), clock)
        claims = jwt.decode(issuer.id_token("ada"), options={"verify_signature": False})
        token = jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "ed"})
        assert verify(token).subject == "ada"
        assert verify.cause_of_refusal(issuer.id_token("ada")) == "algorithm"


def test_an_access_token_must_be_the_one_it_came_with(
    issuer: LocalIssuer, verify: Verifier
) -> None:
    digest = hashlib.sha256(b"access").digest()[:16]
    token = issuer.id_token("ada", at_hash=b64(digest))
    assert verify(token, access_token="access").subject == "ada"
    assert verify(token).subject == "ada"
    assert verify.cause_of_refusal(token, access_token="another") == "at_hash"


def test_a_token_without_key_id_is_taken_from_a_provider_with_one_key(
    issuer: LocalIssuer, verify: Verifier
) -> None:
    claims = jwt.decode(issuer.id_token("ada"), options={"verify_signature": False})
    token = jwt.encode(claims, issuer.private_key, algorithm="RS256")
    assert verify(token).subject == "ada"
    issuer.rotate_keys(keep_old=True)
    fresh = Verifier(issuer.provider("corp"), verify.clock)
    assert fresh.cause_of_refusal(token) == "unknown_key"


# Claims


@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": ["x"]}, "iss"),
        ({"aud": "another-client"}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": {"a": 1}}, "aud"),
        ({"aud": [CLIENT, "another-client"], "azp": CLIENT}, "aud"),
        ({"aud": [CLIENT, CLIENT]}, "azp"),
        ({"azp": "another-client"}, "azp"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"exp": -5}, "exp"),
        ({"exp": 10**400}, "exp"),
        ({"exp": -(10**400)}, "exp"),
        ({"iat": 10**400}, "iat"),
        ({"nbf": 10**400}, "nbf"),
        ({"iat": None}, "iat"),
        ({"iat": "now"}, "iat"),
        ({"nbf": 5e9}, "nbf"),
        ({"nbf": "x"}, "nbf"),
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, "token_type"),
        ({"events": {}}, "token_type"),
        ({"typ": "Bearer"}, "token_type"),
        ({"typ": "Refresh"}, "token_type"),
        ({"typ": "Logout"}, "token_type"),
        ({"typ": ["ID"]}, "token_type"),
        ({"token_use": "access"}, "token_type"),
        ({"scp": "api.read"}, "token_type"),
        ({"nonce": "surprise"}, "nonce"),
        ({"nonce": 5}, "nonce"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "ü"}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": None}, "sub"),
    ],
)
def test_a_wrong_claim_is_refused(
    claims: dict[str, Any], cause: str, issuer: LocalIssuer, verify: Verifier
) -> None:
    token = issuer.id_token("ada", **claims)
    assert verify.cause_of_refusal(token) == cause


@pytest.mark.parametrize("said", ["ID", "id", "JWT", "id_token"])
def test_a_token_may_say_that_it_is_an_id_token(
    said: str, issuer: LocalIssuer, verify: Verifier
) -> None:
    assert verify(issuer.id_token("ada", typ=said, token_use="id")).subject == "ada"


@pytest.mark.parametrize(
    ("beside", "cause"),
    [
        ({"nonce": 5}, "nonce"),
        ({"nonce": ["n-1"]}, "nonce"),
        ({"nonce": "n" * 1025}, "nonce"),
        ({"access_token": 5}, "at_hash"),
        ({"access_token": "x" * 16_385}, "at_hash"),
    ],
)
def test_what_is_sent_beside_is_bounded_before_anything_is_read(
    beside: dict[str, Any], cause: str, verify: Verifier
) -> None:
    assert verify.cause_of_refusal("not even looked at", **beside) == cause


@pytest.mark.parametrize("token", [None, 5, b"a.b.c", ["a.b.c"], "a.b.c" * 4_000])
def test_what_can_be_no_token_is_refused(token: Any, verify: Verifier) -> None:
    assert verify.cause_of_refusal(token) == "form"


def test_a_nonce_must_be_the_one_that_was_asked_with(issuer: LocalIssuer, verify: Verifier) -> None:
    token = issuer.id_token("ada", nonce="n-1")
    assert verify(token, nonce="n-1").subject == "ada"
    assert verify.cause_of_refusal(token, nonce="n-2") == "nonce"
    assert verify.cause_of_refusal(token) == "nonce"
    assert verify.cause_of_refusal(issuer.id_token("ada"), nonce="n-1") == "nonce"


def test_a_token_ends_a_minute_after_its_time(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    token = issuer.id_token("ada", expires_in=100)
    clock.advance(milliseconds=100_000 - clock.now_ms() % 1000 + LEEWAY_MS - 1)
    assert verify(token).subject == "ada"
    clock.advance(milliseconds=1)
    assert verify.cause_of_refusal(token) == "exp"


def test_a_token_from_the_future_is_refused(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    now = clock.now_ms() // 1000
    assert verify(issuer.id_token("ada", iat=now + 60)).subject == "ada"
    assert verify.cause_of_refusal(issuer.id_token("ada", iat=now + 62)) == "iat"


def test_microsofts_issuer_is_that_of_the_tokens_tenant(
    issuer: LocalIssuer, clock: FakeClock
) -> None:
    base = "https://login.microsoftonline.com"
    provider = replace(microsoft(CLIENT), jwks_url=f"{issuer.url}/keys")
    verify = Verifier(provider, clock)
    right: dict[str, Any] = {"iss": f"{base}/{TENANT}/v2.0", "tid": TENANT, "email": "a@b.example"}
    claims = verify(issuer.id_token("ada", **right, email_verified=True))
    assert claims[:5] == ("ada", "a@b.example", False, None, None)
    wrong = (
        {**right, "tid": None},
        {**right, "tid": "evil"},
        {**right, "tid": TENANT.replace("1", "9")},
        {**right, "iss": f"{base}/{{tenantid}}/v2.0", "tid": None},
        {**right, "iss": f"{base}/x/../{TENANT}/v2.0"},
    )
    for changed in wrong:
        assert verify.cause_of_refusal(issuer.id_token("ada", **changed)) == "iss"


@pytest.mark.parametrize("said", ["https://accounts.google.com", "accounts.google.com"])
def test_google_spells_itself_in_two_ways(said: str, issuer: LocalIssuer, clock: FakeClock) -> None:
    verify = Verifier(replace(google(CLIENT), jwks_url=f"{issuer.url}/keys"), clock)
    assert verify(issuer.id_token("ada", iss=said)).subject == "ada"


# Signatures


def test_an_unsigned_token_is_refused(issuer: LocalIssuer, verify: Verifier) -> None:
    header, payload, signature = issuer.id_token("ada").split(".")
    for name in ("none", "None", "NONE", "nOnE", ""):
        forged = b64({"alg": name, "kid": issuer.key_id})
        assert verify.cause_of_refusal(f"{forged}.{payload}.") == "algorithm"
        assert verify.cause_of_refusal(f"{forged}.{payload}.{signature}") == "algorithm"
    assert verify.cause_of_refusal(f"{header}.{payload}.") == "signature"


def test_a_public_key_is_no_password(issuer: LocalIssuer, verify: Verifier) -> None:
    public = issuer.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    payload = issuer.id_token("ada").split(".")[1]
    signed = f"{b64({'alg': 'HS256', 'kid': issuer.key_id, 'typ': 'JWT'})}.{payload}"
    digest = hmac.new(public, signed.encode(), "sha256").digest()
    assert verify.cause_of_refusal(f"{signed}.{b64(digest)}") == "algorithm"


def test_another_key_signs_for_nobody(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    with LocalIssuer(clock=clock) as other:
        claims = jwt.decode(issuer.id_token("ada"), options={"verify_signature": False})
        forged = other.sign(claims, kid=issuer.key_id)
    assert verify.cause_of_refusal(forged) == "signature"


def test_a_changed_claim_is_noticed(issuer: LocalIssuer, verify: Verifier) -> None:
    header, payload, signature = issuer.id_token("ada").split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["sub"] = "root"
    assert verify.cause_of_refusal(f"{header}.{b64(claims)}.{signature}") == "signature"


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ({"typ": "at+jwt"}, "token_type"),
        ({"typ": "application/at+jwt"}, "token_type"),
        ({"typ": "logout+jwt"}, "token_type"),
        ({"typ": "secevent+jwt"}, "token_type"),
        ({"typ": 5}, "token_type"),
        ({"kid": "../../etc/passwd"}, "unknown_key"),
        ({"kid": "key-99"}, "unknown_key"),
        ({"jku": "https://evil.example/keys", "kid": "theirs"}, "unknown_key"),
    ],
)
def test_a_strange_header_is_refused(
    headers: dict[str, Any], cause: str, issuer: LocalIssuer, verify: Verifier
) -> None:
    claims = jwt.decode(issuer.id_token("ada"), options={"verify_signature": False})
    assert verify.cause_of_refusal(issuer.sign(claims, **headers)) == cause


def test_a_header_that_must_be_understood_is_refused(issuer: LocalIssuer, verify: Verifier) -> None:
    claims = jwt.decode(issuer.id_token("ada"), options={"verify_signature": False})
    # Newer releases of PyJWT refuse it before we look.
    assert verify.cause_of_refusal(issuer.sign(claims, crit=["x"], x=1)) in ("form", "token_type")


def test_a_key_in_the_token_itself_is_not_believed(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    with LocalIssuer(clock=clock) as thief:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(thief.private_key.public_key(), as_dict=True)
        claims = jwt.decode(issuer.id_token("ada"), options={"verify_signature": False})
        forged = thief.sign(claims, kid=issuer.key_id, jwk=public)
    assert verify.cause_of_refusal(forged) == "signature"


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "ü.ü.ü", "x" * 20_000, "{}.{}.{}", "e30.e30.e30", "bnVsbA.e30.e30"],
)
def test_what_is_no_token_is_refused(token: str, verify: Verifier) -> None:
    assert verify.cause_of_refusal(token) in ("form", "algorithm")


@pytest.mark.parametrize("payload", [b"[]", b"null", b"{", b'{"exp": NaN}', b"[" * 5000, b"\xff"])
def test_a_signed_payload_that_is_no_object_is_refused(
    payload: bytes, issuer: LocalIssuer, verify: Verifier
) -> None:
    token = jwt.PyJWS().encode(
        payload, issuer.private_key, algorithm="RS256", headers={"kid": issuer.key_id}
    )
    assert verify.cause_of_refusal(token) == "form"


def test_a_key_for_another_use_or_algorithm_is_not_used(
    issuer: LocalIssuer, clock: FakeClock
) -> None:
    token = issuer.id_token("ada")
    public = jwt.algorithms.RSAAlgorithm.to_jwk(issuer.private_key.public_key(), as_dict=True)
    public = {**public, "kid": issuer.key_id}
    public.pop("key_ops", None)
    for changes in (
        {"use": "enc"},
        {"alg": "RS512"},
        {"key_ops": ["encrypt"]},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"n": "AQAB"},
        {"n": "!!!"},
    ):
        issuer.serve_json("/keys", {"keys": [{**public, **changes}]})
        verify = Verifier(issuer.provider("corp"), clock)
        assert verify.cause_of_refusal(token) == "unknown_key"
    issuer.serve_json("/keys", {"keys": [5, {**public, "use": "enc"}, public]})
    assert Verifier(issuer.provider("corp"), clock)(token).subject == "ada"


def test_a_short_rsa_key_signs_for_nobody(issuer: LocalIssuer, clock: FakeClock) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key(), as_dict=True)
    public.pop("key_ops", None)
    issuer.serve_json("/keys", {"keys": [{**public, "kid": issuer.key_id}]})
    verify = Verifier(issuer.provider("corp"), clock)
    assert verify.cause_of_refusal(issuer.id_token("ada")) == "unknown_key"


@pytest.fixture(scope="module")
def sound() -> Iterator[tuple[Verifier, str]]:
    clock = FakeClock()
    with LocalIssuer(clock=clock) as issuer:
        verify = Verifier(issuer.provider("corp"), clock)
        yield verify, issuer.id_token("ada", email="ada@example.org")


SEGMENTS = st.one_of(
    st.text(max_size=20),
    st.binary(max_size=60).map(b64),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(),
        lambda inner: st.dictionaries(
            st.sampled_from(["alg", "kid", "typ", "crit", "iss", "aud", "exp", "iat", "sub", "x5u"])
            | st.text(max_size=4),
            inner | st.sampled_from(["RS256", "none", "HS256", "key-1", "JWT"]),
        ),
        max_leaves=5,
    ).map(b64),
)


@settings(max_examples=500, deadline=None)
@given(segments=st.lists(SEGMENTS, min_size=1, max_size=5))
def test_whatever_is_sent_is_refused_in_one_way(
    sound: tuple[Verifier, str], segments: list[str]
) -> None:
    verify, _ = sound
    verify.cause_of_refusal(".".join(segments))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_change_of_a_token_changes_what_it_says(
    sound: tuple[Verifier, str], data: st.DataObject
) -> None:
    verify, token = sound
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.characters()) + token[place + 1 :]
    try:
        # The last character of a segment has bits that mean nothing.
        assert verify(changed) == verify(token)
    except InvalidIdTokenError:
        assert changed != token


# Keys that change, and a provider that is away


def keys_requested(issuer: LocalIssuer) -> int:
    return issuer.requested.count("/keys")


def test_keys_are_fetched_once(issuer: LocalIssuer, verify: Verifier) -> None:
    for name in ("ada", "bob", "eve"):
        verify(issuer.id_token(name))
    assert keys_requested(issuer) == 1


def test_a_new_key_is_fetched_for(issuer: LocalIssuer, verify: Verifier, clock: FakeClock) -> None:
    old = issuer.id_token("ada")
    verify(old)
    issuer.rotate_keys()
    clock.advance(milliseconds=PAUSE_MS)
    assert verify(issuer.id_token("ada")).subject == "ada"
    assert verify.cause_of_refusal(old) == "unknown_key"


@pytest.mark.parametrize("has_key_ids", [True, False])
def test_a_key_that_changes_under_its_name_is_fetched_for(
    has_key_ids: bool, issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    def sign() -> str:
        claims = jwt.decode(issuer.id_token("ada"), options={"verify_signature": False})
        return issuer.sign(claims, kid="the-only-one" if has_key_ids else None)

    def publish() -> None:
        issuer.rotate_keys()
        public = json.loads(issuer._answers["/keys"][1])["keys"][0]
        issuer.serve_json("/keys", {"keys": [{**public, "kid": "the-only-one"}]})

    publish()
    old = sign()
    assert verify(old).subject == "ada"
    publish()
    assert verify.cause_of_refusal(sign()) == "signature"
    clock.advance(milliseconds=PAUSE_MS)
    assert verify(sign()).subject == "ada"
    assert verify.cause_of_refusal(old) == "signature"


def test_unknown_keys_make_no_storm(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    verify(issuer.id_token("ada"))
    clock.advance(milliseconds=PAUSE_MS)
    claims = jwt.decode(issuer.id_token("ada"), options={"verify_signature": False})
    for number in range(20):
        assert verify.cause_of_refusal(issuer.sign(claims, kid=f"x{number}")) == "unknown_key"
    assert keys_requested(issuer) == 2
    clock.advance(milliseconds=PAUSE_MS)
    assert verify.cause_of_refusal(issuer.sign(claims, kid="x")) == "unknown_key"
    assert keys_requested(issuer) == 3


def test_a_made_up_key_id_has_nobody_else_refused(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    """Whoever sends one just before the keys change makes for a pause, and not for a 401."""
    verify(issuer.id_token("ada"))
    clock.advance(milliseconds=PAUSE_MS)
    assert verify.cause_of_refusal(issuer.sign({}, kid="made-up")) == "unknown_key"
    issuer.rotate_keys()
    for _ in range(2):
        clock.advance(milliseconds=PAUSE_MS // 2 - 1)
        with pytest.raises(ProviderUnavailableError, match="try again in a moment"):
            verify(issuer.id_token("ada"))
    clock.advance(milliseconds=2)
    assert verify(issuer.id_token("ada")).subject == "ada"


def test_a_request_that_waited_for_anothers_fetch_takes_its_answer(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    arrived_at_ms = clock.now_ms()
    clock.advance(seconds=1)
    verify(issuer.id_token("ada"))
    assert verify.keys.find("made-up", now_ms=arrived_at_ms).keys == ()
    assert keys_requested(issuer) == 1


def test_known_keys_outlive_an_outage_by_a_day(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    verify(issuer.id_token("ada"))
    issuer.stop()
    clock.advance(milliseconds=KEPT_MS - 1)
    assert verify(issuer.id_token("ada")).subject == "ada"
    clock.advance(milliseconds=1)
    with pytest.raises(ProviderUnavailableError, match="^The provider does not answer"):
        verify(issuer.id_token("ada"))
    assert {event.name for event in verify.seen} == {"provider_error"}


def test_keys_of_a_clock_that_was_ahead_outlive_no_outage(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    clock.advance(days=30)
    verify(issuer.id_token("ada"))
    issuer.stop()
    clock.advance(days=-30)
    with pytest.raises(ProviderUnavailableError, match="^The provider does not answer"):
        verify(issuer.id_token("ada"))


def test_keys_are_looked_at_anew_after_an_hour(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    old = issuer.id_token("ada", expires_in=86_400)
    verify(old)
    issuer.rotate_keys()
    clock.advance(minutes=59)
    assert verify(old).subject == "ada"
    clock.advance(minutes=1)
    assert verify.cause_of_refusal(old) == "unknown_key"


def test_a_clock_set_back_does_not_keep_old_keys(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    verify(issuer.id_token("ada"))
    clock.advance(days=-1)
    verify(issuer.id_token("ada"))
    assert keys_requested(issuer) == 2


def test_an_unreachable_provider_is_told_apart_from_a_bad_token(
    issuer: LocalIssuer, verify: Verifier
) -> None:
    token = issuer.id_token("ada")
    issuer.stop()
    for _ in range(3):
        with pytest.raises(ProviderUnavailableError):
            verify(token)
    assert len(verify.seen) == 1


Break = Callable[[LocalIssuer], None]
DOCUMENT = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "break_it",
    [
        lambda it: it.serve("/keys", b"", status=500),
        lambda it: it.serve("/keys", b"<html>"),
        lambda it: it.serve("/keys", b"[]"),
        lambda it: it.serve("/keys", b"{}"),
        lambda it: it.serve("/keys", b"[" * 100_000),
        lambda it: it.serve("/keys", b" " * 300_000),
        lambda it: it.serve("/keys", b"{}", headers={"Content-Length": "9999"}),
        lambda it: it.serve("/keys", b"zz", headers={"Transfer-Encoding": "chunked"}),
        lambda it: it.serve("/keys", b"", status=302, headers={"Location": f"{it.url}/k"}),
        lambda it: it.serve(DOCUMENT, b"", status=404),
        lambda it: it.serve_json(DOCUMENT, {"issuer": "https://x", "jwks_uri": it.url}),
        lambda it: it.serve_json(DOCUMENT, {"issuer": it.url, "jwks_uri": "http://x.example/k"}),
        lambda it: it.serve_json(DOCUMENT, {"issuer": it.url, "jwks_uri": "file:///etc/passwd"}),
        lambda it: it.serve_json(DOCUMENT, {"issuer": it.url, "jwks_uri": 5}),
    ],
)
def test_a_provider_that_misbehaves_counts_as_away(
    break_it: Break, issuer: LocalIssuer, verify: Verifier
) -> None:
    issuer.serve_json("/k", {"keys": []})
    break_it(issuer)
    with pytest.raises(ProviderUnavailableError):
        verify(issuer.id_token("ada"))
    assert "/k" not in issuer.requested


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (b"", 404, "HTTP Error 404"),
        (b'{"issuer": "https://x"}', 200, "'the discovery document is of another issuer'"),
    ],
)
def test_the_event_says_why_no_keys_were_fetched(
    answer: bytes, status: int, why: str, issuer: LocalIssuer, verify: Verifier
) -> None:
    issuer.serve(DOCUMENT, answer, status=status)
    with pytest.raises(ProviderUnavailableError):
        verify(issuer.id_token("ada"))
    [event] = verify.seen
    assert why in event.details["why"]


@pytest.mark.parametrize("host", ["keys.example", "127.0.0.2", "localhost"])
def test_keys_at_another_site_are_taken_where_the_settings_say_so_alone(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock, host: str
) -> None:
    elsewhere = f"https://{host}/keys"
    issuer.serve_json(DOCUMENT, {"issuer": issuer.url, "jwks_uri": elsewhere})
    with pytest.raises(ProviderUnavailableError):
        verify(issuer.id_token("ada"))
    assert [event.details["error"] for event in verify.seen] == ["KeysElsewhereError"]
    provider = oidc("told", issuer.url, CLIENT, jwks_url=f"{issuer.url}/keys")
    assert Verifier(provider, clock)(issuer.id_token("ada")).subject == "ada"


def test_claims_that_no_page_should_show_are_mended_or_left_out(
    issuer: LocalIssuer, verify: Verifier
) -> None:
    claims = verify(
        issuer.id_token("ada", name="Ada\r\n\u202eLovelace\x85", picture='https://x.example/"a')
    )
    assert (claims.name, claims.image) == ("Ada   Lovelace", None)
    assert verify(issuer.id_token("eve", name="\x07\u2028")).name is None


def test_a_provider_that_never_ends_is_left(
    issuer: LocalIssuer, verify: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_keys, "MAX_FETCH_MS", -1)
    with pytest.raises(ProviderUnavailableError):
        verify(issuer.id_token("ada"))


@pytest.mark.parametrize(
    ("at_once", "dripped"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Slow: is as slow does\r\nContent-Length: 2\r\n\r\n{}"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n", b"{" + b" " * 38 + b"}"),
    ],
    ids=["head", "body"],
)
def test_a_provider_that_drips_its_answer_is_left(
    at_once: bytes, dripped: bytes, clock: FakeClock
) -> None:
    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(at_once)
            for byte in dripped:
                connection.sendall(bytes([byte]))
                clock.advance(seconds=1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/keys"
        deadline = deadline_of(clock)
        with pytest.raises(OSError, match="takes too long"):
            fetching.fetch_json(url, deadline)
        thread.join()


def deadline_of(clock: FakeClock) -> fetching.Deadline:
    longest_ms = provider_keys.MAX_FETCH_MS
    return fetching.Deadline(clock, clock.now_ms() + longest_ms, longest_ms)


def test_nobody_waits_for_as_long_as_a_clock_was_ahead(clock: FakeClock) -> None:
    deadline = deadline_of(clock)
    assert deadline.seconds_to_wait() == fetching.TIMEOUT_SECONDS
    clock.advance(days=-30)
    with pytest.raises(TimeoutError):
        deadline.seconds_to_wait()


def make_certificate(folder: Path) -> Path:
    """Return a file with a key and a certificate of it for ``localhost``, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=timezone.utc))
        .not_valid_after(datetime(2999, 1, 1, tzinfo=timezone.utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "localhost.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_https_is_that_of_a_certificate_one_knows(
    is_known: bool, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(65_536)
            encrypted.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"keys":[]}')

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        url = f"https://localhost:{listening.getsockname()[1]}/keys"
        deadline = deadline_of(clock)
        with nullcontext() if is_known else pytest.raises(OSError, match="CERTIFICATE"):
            assert fetching.fetch_json(url, deadline) == {"keys": []}
        thread.join()


def test_a_provider_without_keys_has_no_id_tokens(issuer: LocalIssuer, verify: Verifier) -> None:
    issuer.serve_json(DOCUMENT, {"issuer": issuer.url})
    for _ in range(3):
        with pytest.raises(IdTokenNotSupportedError) as caught:
            verify(issuer.id_token("ada"))
        assert caught.value.detail == "corp publishes no keys to check ID tokens with"
    assert issuer.requested == [DOCUMENT]


def test_a_provider_that_has_keys_again_is_asked_again(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    _, document, _ = issuer._answers[DOCUMENT]
    issuer.serve_json(DOCUMENT, {"issuer": issuer.url})
    with pytest.raises(IdTokenNotSupportedError):
        verify(issuer.id_token("ada"))
    clock.advance(milliseconds=PAUSE_MS)
    issuer.serve(DOCUMENT, document, status=500)
    with pytest.raises(ProviderUnavailableError):
        verify(issuer.id_token("ada"))
    clock.advance(milliseconds=PAUSE_MS)
    issuer.serve(DOCUMENT, document)
    assert verify(issuer.id_token("ada")).subject == "ada"


def test_a_provider_that_gives_up_its_keys_is_not_believed_by_the_old_ones(
    issuer: LocalIssuer, verify: Verifier, clock: FakeClock
) -> None:
    token = issuer.id_token("ada", expires_in=86_400)
    verify(token)
    issuer.serve_json(DOCUMENT, {"issuer": issuer.url})
    clock.advance(hours=1)
    for _ in range(2):
        with pytest.raises(IdTokenNotSupportedError):
            verify(token)
