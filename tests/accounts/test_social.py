"""Who a provider's word makes somebody: found, linked, made or refused."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import (
    AccountNotLinkedError,
    EmailMissingError,
    EmailNotVerifiedError,
    InvalidIdTokenError,
    ProviderNotFoundError,
    SessionEvent,
    SessionManager,
    SignIn,
    oidc,
)
from wsgi_sessions_testing import CHEAP_PASSWORDS, FakeClock, LocalIssuer
from wsgi_sessions_testing.settings import send_nowhere

ADA: dict[str, Any] = {"email": "ada@example.org", "email_verified": True, "name": "Ada"}
PASSWORD = "correct horse"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make_manager(
    issuer: LocalIssuer, database: str = "sqlite:///:memory:", **settings: Any
) -> SessionManager:
    providers = [issuer.provider("trusted", is_trusted=True), issuer.provider("stranger")]
    return SessionManager(
        database,
        clock=issuer.clock,
        secret="a-secret-for-tests-of-32-characters",
        social_providers=providers,
        password=CHEAP_PASSWORDS,
        site_url="https://app.example.org",
        on_send=send_nowhere,
        **settings,
    )


@pytest.fixture
def manager(issuer: LocalIssuer) -> SessionManager:
    return make_manager(issuer)


@pytest.fixture
def events(manager: SessionManager) -> list[SessionEvent]:
    seen: list[SessionEvent] = []
    manager.events.subscribe(seen.append)
    return seen


def enter(manager: SessionManager, token: str, provider: str = "trusted", **beside: Any) -> SignIn:
    return manager.sign_in_social(provider=provider, id_token=token, **beside)


def sign_up(manager: SessionManager, *, is_verified: bool) -> Any:
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password=PASSWORD)
    if is_verified:
        user = manager.parts.models.user
        user.update({user.email_verified: True}).where(user.id == made.user.id).execute()
    return made.user.id


def test_somebody_new_becomes_a_user_with_a_session(
    issuer: LocalIssuer, manager: SessionManager, events: list[SessionEvent]
) -> None:
    made = enter(manager, issuer.id_token("ada-1", **ADA, picture="https://x.example/a.png"))
    assert made.session is not None and made.token is not None
    assert (made.user.name, made.user.email) == ("Ada", "ada@example.org")
    assert (made.user.email_verified, made.user.image) == (True, "https://x.example/a.png")
    assert [event.name for event in events] == ["user_created", "session_created"]
    assert events[0].details == {"provider": "trusted"}


def test_the_subject_is_who_somebody_is_and_not_the_address(
    issuer: LocalIssuer, manager: SessionManager
) -> None:
    first = enter(manager, issuer.id_token("ada-1", **ADA))
    moved = enter(manager, issuer.id_token("ada-1", email="ada@new.example", email_verified=True))
    assert moved.user == first.user
    assert moved.session is not None and first.session is not None
    assert moved.session.id != first.session.id


def test_one_subject_at_two_providers_is_two_people(
    issuer: LocalIssuer, manager: SessionManager
) -> None:
    one = enter(manager, issuer.id_token("1", **ADA))
    other = enter(manager, issuer.id_token("1", email="bob@example.org"), "stranger")
    assert one.user.id != other.user.id


@pytest.mark.parametrize("email", ["ADA@Example.org", "ada@example.org"])
def test_a_verified_address_on_both_sides_links_at_a_trusted_provider(
    email: str, issuer: LocalIssuer, manager: SessionManager, events: list[SessionEvent]
) -> None:
    user_id = sign_up(manager, is_verified=True)
    made = enter(manager, issuer.id_token("ada-1", **{**ADA, "email": email}))
    assert made.user.id == user_id
    assert "account_linked" in [event.name for event in events]
    assert enter(manager, issuer.id_token("ada-1")).user.id == user_id
    assert manager.sign_in_email(email="ada@example.org", password=PASSWORD).user.id == user_id


@pytest.mark.parametrize(
    ("provider", "is_verified_there", "is_verified_here"),
    [("stranger", True, True), ("trusted", False, True), ("trusted", True, False)],
)
def test_nobody_is_linked_on_less(
    provider: str,
    is_verified_there: bool,
    is_verified_here: bool,
    issuer: LocalIssuer,
    manager: SessionManager,
    events: list[SessionEvent],
) -> None:
    sign_up(manager, is_verified=is_verified_here)
    token = issuer.id_token("ada-1", **{**ADA, "email_verified": is_verified_there})
    with pytest.raises(AccountNotLinkedError, match="Sign in the way you did before"):
        enter(manager, token, provider)
    assert events[-1].details == {"cause": "account_not_linked", "provider": provider}


@pytest.mark.parametrize("is_required", [False, True], ids=["any address", "verified alone"])
def test_nobody_waits_at_an_untrusted_provider_for_the_owner_of_an_address(
    is_required: bool, issuer: LocalIssuer
) -> None:
    manager = make_manager(issuer, require_verified_email=is_required)
    claims: dict[str, Any] = {"email": "victim@example.org", "email_verified": True}
    mallory = owner = None
    with suppress(EmailNotVerifiedError):
        mallory = enter(manager, issuer.id_token("mallory", **claims), "stranger").user
    with suppress(AccountNotLinkedError):
        owner = enter(manager, issuer.id_token("owner", **claims), "trusted").user
    # One of the two gets in, and never into what is the other's.
    assert (mallory is None) is is_required and (owner is None) is not is_required


@pytest.mark.parametrize(("provider", "is_verified"), [("stranger", False), ("trusted", True)])
def test_an_address_is_verified_by_a_trusted_provider_alone(
    provider: str, is_verified: bool, issuer: LocalIssuer, manager: SessionManager
) -> None:
    made = enter(manager, issuer.id_token("ada-1", **ADA), provider)
    assert made.user.email_verified is is_verified


def test_an_account_of_its_own_outlives_what_the_address_becomes(
    issuer: LocalIssuer, manager: SessionManager
) -> None:
    made = enter(manager, issuer.id_token("ada-1", **ADA), "stranger")
    manager.delete_user(made.user.id)
    again = enter(manager, issuer.id_token("ada-1", **ADA), "stranger")
    assert again.user.id != made.user.id


@pytest.mark.parametrize("email", [None, "", "no address", 5])
def test_nobody_is_made_without_an_address(
    email: Any, issuer: LocalIssuer, manager: SessionManager, events: list[SessionEvent]
) -> None:
    with pytest.raises(EmailMissingError, match="Let the provider share"):
        enter(manager, issuer.id_token("ada-1", email=email))
    assert events[-1].details["cause"] == "no_email"


@pytest.mark.parametrize(
    ("claim", "beside", "name"),
    [("Ada", "Bob", "Ada"), (None, "Bob", "Bob"), (None, None, "ada"), (None, "x\0", "ada")],
)
def test_a_name_is_the_tokens_or_the_one_beside_it(
    claim: str | None,
    beside: str | None,
    name: str,
    issuer: LocalIssuer,
    manager: SessionManager,
) -> None:
    token = issuer.id_token("ada-1", email="ada@example.org", name=claim)
    assert enter(manager, token, name=beside).user.name == name


def test_an_unknown_provider_is_told(issuer: LocalIssuer, manager: SessionManager) -> None:
    names: list[Any] = ["nobody", "x" * 100_000, "\0", None, 5, ["corp"], {}]
    for name in names:
        with pytest.raises(ProviderNotFoundError):
            enter(manager, issuer.id_token("ada-1", **ADA), name)


def test_a_bad_token_is_an_event_that_says_why(
    issuer: LocalIssuer, manager: SessionManager, events: list[SessionEvent]
) -> None:
    token = issuer.id_token("ada-1", aud="another")
    with pytest.raises(InvalidIdTokenError):
        enter(manager, token)
    assert events[-1].details == {"cause": "id_token_aud", "provider": "trusted"}
    assert token not in repr(events)


def test_an_unverified_address_is_refused_where_one_is_required(issuer: LocalIssuer) -> None:
    manager = make_manager(issuer, require_verified_email=True)
    seen: list[SessionEvent] = []
    manager.events.subscribe(seen.append)
    with pytest.raises(EmailNotVerifiedError):
        enter(manager, issuer.id_token("ada-1", email="ada@example.org"))
    assert [(event.name, event.details["cause"]) for event in seen] == [
        ("sign_in_failed", "email_not_verified")
    ]
    # Refused, they must not keep the address from its owner.
    assert sign_up(manager, is_verified=True)
    assert enter(manager, issuer.id_token("bob-1", **{**ADA, "email": "b@example.org"})).session


def test_parallel_first_sign_ins_make_one_user(issuer: LocalIssuer, tmp_path: Path) -> None:
    manager = make_manager(issuer, f"sqlite:///{tmp_path / 'social.db'}")
    tokens = [issuer.id_token("ada-1", **ADA) for _ in range(16)]

    def enter_once(token: str) -> Any:
        try:
            return enter(manager, token).user.id
        finally:
            manager.close()

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(enter_once, tokens))
    assert len(ids) == 1
    with manager.database.connection_context():
        assert manager.parts.models.user.select().count() == 1
    assert issuer.requested.count("/keys") <= 2


def test_a_faster_request_of_the_same_sign_in_wins(
    issuer: LocalIssuer, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked and found nobody; one has made the user meanwhile."""
    made = enter(manager, issuer.id_token("ada-1", **ADA))
    _miss_once(manager.parts.store.accounts, monkeypatch, "find_user")
    _miss_once(manager.parts.store.users, monkeypatch, "find_by_email")
    assert enter(manager, issuer.id_token("ada-1", **ADA)).user == made.user


def test_a_faster_sign_up_with_the_same_address_is_no_way_in(
    issuer: LocalIssuer, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up(manager, is_verified=False)
    _miss_once(manager.parts.store.users, monkeypatch, "find_by_email")
    with pytest.raises(AccountNotLinkedError):
        enter(manager, issuer.id_token("ada-1", **ADA))


def test_a_faster_link_is_the_one(
    issuer: LocalIssuer, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = sign_up(manager, is_verified=True)
    enter(manager, issuer.id_token("ada-1", **ADA))
    seen: list[SessionEvent] = []
    manager.events.subscribe(seen.append)
    _miss_once(manager.parts.store.accounts, monkeypatch, "find_user")
    assert enter(manager, issuer.id_token("ada-1", **ADA)).user.id == user_id
    assert "account_linked" not in [event.name for event in seen]


def _miss_once(part: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the next call of a method of a part of the store find nobody."""
    real = getattr(part, name)

    def miss(*given: Any) -> Any:
        monkeypatch.setattr(part, name, real)

    monkeypatch.setattr(part, name, miss)


def test_a_replaced_session_ends(issuer: LocalIssuer, manager: SessionManager) -> None:
    first = enter(manager, issuer.id_token("ada-1", **ADA))
    assert first.session is not None
    enter(manager, issuer.id_token("ada-1", **ADA), replaces=first.session.id)
    assert len(manager.list_sessions(first.user.id)) == 1


# A token is good once


def cause_of_refusal(manager: SessionManager, token: str, provider: str = "trusted") -> str:
    with pytest.raises(InvalidIdTokenError) as caught:
        enter(manager, token, provider)
    return caught.value.why


def test_a_token_signs_in_once(
    issuer: LocalIssuer, manager: SessionManager, events: list[SessionEvent]
) -> None:
    token = issuer.id_token("ada-1", **ADA)
    made = enter(manager, token)
    assert cause_of_refusal(manager, token) == "replayed"
    assert cause_of_refusal(manager, token, "stranger") == "replayed"
    assert events[-1].details == {"cause": "id_token_replayed", "provider": "stranger"}
    assert len(manager.list_sessions(made.user.id)) == 1


def test_a_token_that_was_refused_for_its_nonce_is_not_used_up(
    issuer: LocalIssuer, manager: SessionManager
) -> None:
    token = issuer.id_token("ada-1", **ADA, nonce="n-1")
    assert cause_of_refusal(manager, token) == "nonce"
    assert enter(manager, token, nonce="n-1").session is not None


@pytest.mark.parametrize("wait_s", [0, 899, 959])
def test_a_token_is_known_for_as_long_as_it_is_good(
    wait_s: int, issuer: LocalIssuer, manager: SessionManager, clock: FakeClock
) -> None:
    token = issuer.id_token("ada-1", **ADA, expires_in=900)
    enter(manager, token)
    clock.advance(seconds=wait_s)
    while manager.purge():
        pass
    assert cause_of_refusal(manager, token) == "replayed"


def test_a_token_that_is_over_is_forgotten(
    issuer: LocalIssuer, manager: SessionManager, clock: FakeClock
) -> None:
    enter(manager, issuer.id_token("ada-1", **ADA, expires_in=900))
    clock.advance(seconds=900 + 60 + 30)
    while manager.purge():
        pass
    assert manager.parts.models.one_time_token.select().count() == 0


def test_another_spelling_of_a_signature_makes_no_other_token(clock: FakeClock) -> None:
    """Of an ECDSA signature (r, s) the pair (r, -s) is one too."""
    with LocalIssuer(clock=clock, algorithm="ES256") as issuer:
        manager = make_manager(issuer)
        token = issuer.id_token("ada-1", **ADA)
        enter(manager, token)
        signed, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        negated = (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
        other = base64.urlsafe_b64encode(raw[:32] + negated).decode()
        spellings = [signature, signature + "==", other, other.rstrip("=")]
        causes = {cause_of_refusal(manager, f"{signed}.{spelled}") for spelled in spellings}
    # An older PyJWT reads no signature with padding.
    assert causes <= {"replayed", "signature", "form"}
    assert cause_of_refusal(manager, f"{signed}.{other.rstrip('=')}") == "replayed"


def test_of_parallel_uses_in_two_processes_one_signs_in(
    issuer: LocalIssuer, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'social.db'}"
    managers = [make_manager(issuer, database) for _ in range(2)]
    token = issuer.id_token("ada-1", **ADA)

    def enter_once(number: int) -> str:
        try:
            enter(managers[number % 2], token)
        except InvalidIdTokenError as error:
            return error.why
        finally:
            managers[number % 2].close()
        return "signed in"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(enter_once, range(16)))
    assert answers == ["replayed"] * 15 + ["signed in"]


# How old a token, and a sign-in at the provider, may be


def test_an_old_token_is_refused_however_long_it_lives(
    issuer: LocalIssuer, manager: SessionManager, clock: FakeClock
) -> None:
    day_long = [issuer.id_token("ada-1", **ADA, expires_in=86_400) for _ in range(2)]
    clock.advance(seconds=3600 + 59)
    enter(manager, day_long[0])
    clock.advance(seconds=1)
    assert cause_of_refusal(manager, day_long[1]) == "too_old"


@pytest.mark.parametrize(
    ("age_s", "cause"), [(0, None), (359, None), (360, "auth_time"), (-61, "auth_time")]
)
def test_a_sign_in_at_the_provider_may_be_so_old(
    age_s: int, cause: str | None, issuer: LocalIssuer, clock: FakeClock
) -> None:
    provider = oidc("corp", issuer.url, "client-of-tests", max_auth_age=timedelta(minutes=5))
    manager = SessionManager(
        "sqlite:///:memory:",
        clock=clock,
        secret="0123456789abcdef" * 2,
        social_providers=[provider],
    )
    token = issuer.id_token("ada-1", **ADA, auth_time=clock.now_ms() // 1000 - age_s)
    if cause is None:
        assert enter(manager, token, "corp").session is not None
    else:
        assert cause_of_refusal(manager, token, "corp") == cause
    assert cause_of_refusal(manager, issuer.id_token("ada-1", **ADA), "corp") == "auth_time"
