"""``/backchannel-logout/…``: what a provider's server sends, and what it is answered."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support import new_clock
from wsgi_sessions import SessionManager
from wsgi_sessions.api.bodies import MAX_BODY_BYTES
from wsgi_sessions_testing import Bench, FakeClock, LocalIssuer

from .client import EMAIL, Answer, Client, lose_database, make_manager, plain_app

PATH = "/backchannel-logout/corp"
FORM = "application/x-www-form-urlencoded"
SECURITY_EVENT = "application/secevent+jwt"


@pytest.fixture
def clock() -> FakeClock:
    return new_clock()


@pytest.fixture
def manager(issuer: LocalIssuer, clock: FakeClock) -> SessionManager:
    return make_manager(clock, social_providers=[issuer.provider("corp")])


@pytest.fixture
def person(manager: SessionManager, issuer: LocalIssuer) -> Client:
    """Somebody who is signed in by the provider's session s-1."""
    client = Client(manager)
    token = {"token": issuer.id_token("ada-1", email=EMAIL, sid="s-1")}
    assert client.post("/sign-in/social", {"provider": "corp", "idToken": token}).status == 200
    return client


@pytest.fixture
def provider(manager: SessionManager) -> Client:
    """The provider's server: no browser, so it names no origin and has no cookies."""
    return Client(manager, origin=None, address="198.51.100.7")


def deliver(
    provider: Client, body: str | bytes, *, kind: str | None = FORM, path: str = PATH, **more: Any
) -> Answer:
    payload = body if isinstance(body, bytes) else body.encode()
    headers = {"CONTENT_TYPE": kind} if kind is not None else {}
    return provider.send("POST", path, payload=payload, headers=headers, **more)


def form(token: str, **more: str) -> str:
    return urlencode({"logout_token": token, **more})


def is_signed_in(client: Client) -> bool:
    return client.get("/get-session").json is not None


def test_a_logout_token_in_a_form_signs_out(
    person: Client, provider: Client, issuer: LocalIssuer
) -> None:
    assert is_signed_in(person)
    # What is not known is passed over (section 2.5).
    answer = deliver(provider, form(issuer.logout_token(sid="s-1"), state="of another version"))
    assert (answer.status, answer.json) == (200, {"success": True})
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header_list("Set-Cookie") == []
    assert not is_signed_in(person)


def test_a_security_event_signs_out(person: Client, provider: Client, issuer: LocalIssuer) -> None:
    answer = deliver(provider, issuer.revocation("ada-1"), kind=SECURITY_EVENT)
    assert (answer.status, answer.body) == (202, b"")
    assert answer.header("Cache-Control") == "no-store"
    assert not is_signed_in(person)


def test_nobody_to_sign_out_is_answered_alike(provider: Client, issuer: LocalIssuer) -> None:
    assert deliver(provider, form(issuer.logout_token("nobody"))).status == 200


@pytest.mark.parametrize(
    "body",
    ["", "logout_token=", "logout_token=a.b.c", "token=x", "&" * 60_000, b"logout_token=\xff", "%"],
)
def test_a_form_without_a_sound_token_is_refused(
    body: str | bytes, person: Client, provider: Client
) -> None:
    answer = deliver(provider, body)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert answer.json["error_description"] == "Invalid logout token"
    assert answer.header("Cache-Control") == "no-store"
    assert is_signed_in(person)


def test_two_tokens_in_a_form_are_none(
    person: Client, provider: Client, issuer: LocalIssuer
) -> None:
    tokens = [("logout_token", issuer.logout_token(sid="s-1")) for _ in range(2)]
    assert deliver(provider, urlencode(tokens)).status == 400
    assert is_signed_in(person)


def test_a_replay_is_refused(person: Client, provider: Client, issuer: LocalIssuer) -> None:
    token = issuer.logout_token("ada-1")
    answers = [deliver(provider, form(token)).status for _ in range(2)]
    assert answers == [200, 400]


def test_a_security_event_that_comes_again_is_acknowledged_and_does_nothing(
    person: Client, provider: Client, issuer: LocalIssuer, clock: FakeClock
) -> None:
    """As after an answer that was lost: RFC 8935 has the provider send it again."""
    token = issuer.revocation("ada-1")
    assert deliver(provider, token, kind=SECURITY_EVENT).status == 202
    clock.advance(seconds=1)
    body = {"provider": "corp", "idToken": {"token": issuer.id_token("ada-1", email=EMAIL)}}
    assert person.post("/sign-in/social", body).status == 200
    answer = deliver(provider, token, kind=SECURITY_EVENT)
    assert (answer.status, answer.body) == (202, b"")
    assert is_signed_in(person)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "another-client"}, "invalid_audience"),
        ({"iss": "https://evil.example"}, "invalid_issuer"),
        ({"events": None}, "invalid_request"),
    ],
)
def test_a_refused_security_event_has_a_code(
    changes: dict[str, Any], code: str, person: Client, provider: Client, issuer: LocalIssuer
) -> None:
    answer = deliver(provider, issuer.revocation("ada-1", **changes), kind=SECURITY_EVENT)
    assert (answer.status, answer.json["err"]) == (400, code)
    assert answer.json["description"] == "Invalid logout token"
    assert answer.header("Content-Language") == "en"
    assert is_signed_in(person)


def test_another_signature_is_the_wrong_key(
    person: Client, provider: Client, issuer: LocalIssuer
) -> None:
    signed, _, signature = issuer.revocation("ada-1").rpartition(".")
    forged = f"{signed}.{'A' * len(signature)}"
    answer = deliver(provider, forged, kind=SECURITY_EVENT)
    assert (answer.status, answer.json["err"]) == (400, "invalid_key")
    assert is_signed_in(person)


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "", None, "multipart/form-data"]
)
def test_another_type_is_refused(kind: str | None, provider: Client, issuer: LocalIssuer) -> None:
    answer = deliver(provider, form(issuer.logout_token("ada-1")), kind=kind)
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_packed_body_is_refused(provider: Client, issuer: LocalIssuer) -> None:
    body = form(issuer.logout_token("ada-1"))
    answer = deliver(provider, body, HTTP_CONTENT_ENCODING="gzip")
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_large_body_is_refused(provider: Client) -> None:
    answer = deliver(provider, b"x" * (MAX_BODY_BYTES + 1))
    assert (answer.status, answer.code) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("path", ["/backchannel-logout/nobody", "/backchannel-logout/"])
def test_an_unknown_provider_is_told(path: str, provider: Client, issuer: LocalIssuer) -> None:
    answer = deliver(provider, form(issuer.logout_token("ada-1")), path=path)
    assert (answer.status, answer.code) == (404, "PROVIDER_NOT_FOUND")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_told_apart(method: str, provider: Client) -> None:
    answer = provider.send(method, PATH)
    assert (answer.status, answer.header("Allow")) == (405, "POST")


@pytest.mark.parametrize("origin", ["https://id.example.org", "null"])
def test_no_origin_is_asked_for(
    origin: str, person: Client, provider: Client, issuer: LocalIssuer
) -> None:
    answer = deliver(provider, form(issuer.logout_token(sid="s-1")), HTTP_ORIGIN=origin)
    assert answer.status == 200
    assert not is_signed_in(person)


def test_a_browser_that_sends_a_token_keeps_its_cookies(
    person: Client, issuer: LocalIssuer, manager: SessionManager
) -> None:
    """Cookies count for nothing: whose session ends is what the token says."""
    answer = deliver(person, form(issuer.logout_token("nobody")))
    assert (answer.status, answer.header_list("Set-Cookie")) == (200, [])
    assert is_signed_in(person)


def test_a_database_that_is_away_is_told(
    provider: Client,
    manager: SessionManager,
    issuer: LocalIssuer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lose_database(manager, monkeypatch)
    answer = deliver(provider, form(issuer.logout_token("ada-1")))
    assert (answer.status, answer.code) == (503, "SERVICE_UNAVAILABLE")


def test_a_provider_that_is_away_is_told(provider: Client, issuer: LocalIssuer) -> None:
    token = issuer.logout_token("ada-1")
    issuer.stop()
    answer = deliver(provider, form(token))
    assert (answer.status, answer.code) == (503, "PROVIDER_UNAVAILABLE")


def test_every_worker_refuses_a_cached_session_within_the_lag(
    issuer: LocalIssuer, clock: FakeClock
) -> None:
    with Bench(
        plain_app,
        clock=clock,
        cookie_cache=True,
        revocation_lag=1,
        social_providers=[issuer.provider("corp")],
    ) as bench:
        first, second = bench.workers(2)
        browser = bench.new_browser().through(first)
        token = issuer.id_token("ada-1", email=EMAIL, sid="s-1")
        body = {"provider": "corp", "idToken": {"token": token}}
        assert browser.post_json("/api/auth/sign-in/social", body).status_int == 200
        for worker in (first, second):
            assert browser.through(worker).get("/api/auth/get-session").json is not None

        sent = urlencode({"logout_token": issuer.logout_token(sid="s-1")}).encode()
        answer = (
            bench.new_browser()
            .through(first)
            .post("/api/auth" + PATH, sent, headers={"Content-Type": FORM})
        )

        assert answer.status_int == 200
        clock.advance(seconds=1)
        for worker in (first, second):
            assert browser.through(worker).get("/api/auth/get-session").json is None
