"""Logout tokens and revocations: what is taken, what each ends, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from wsgi_sessions import (
    InvalidIdTokenError,
    InvalidLogoutTokenError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    SessionEvent,
    SessionManager,
    SignIn,
    StoreUnavailableError,
)
from wsgi_sessions.accounts.oidc.logout_tokens import LOGOUT_EVENT, REVOKED_EVENT
from wsgi_sessions_testing import CHEAP_PASSWORDS, FakeClock, LocalIssuer

CLIENT = "client-of-tests"
ADA: dict[str, Any] = {"email": "ada@example.org", "email_verified": True}
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make_manager(
    issuer: LocalIssuer, database: str = "sqlite:///:memory:", **limits: Any
) -> SessionManager:
    providers = [
        replace(issuer.provider("corp", is_trusted=True), **limits),
        issuer.provider("other", is_trusted=True),
    ]
    return SessionManager(
        database,
        clock=issuer.clock,
        secret="a-secret-for-tests-of-32-characters",
        social_providers=providers,
        password=CHEAP_PASSWORDS,
        multi_session={"maximum_sessions": None},
    )


@pytest.fixture
def manager(issuer: LocalIssuer) -> SessionManager:
    return make_manager(issuer)


@pytest.fixture
def events(manager: SessionManager) -> list[SessionEvent]:
    seen: list[SessionEvent] = []
    manager.events.subscribe(seen.append)
    return seen


def enter(
    manager: SessionManager, issuer: LocalIssuer, *, provider: str = "corp", **claims: Any
) -> SignIn:
    token = issuer.id_token("ada-1", **ADA, **claims)
    return manager.sign_in_social(provider=provider, id_token=token)


def is_live(manager: SessionManager, made: SignIn) -> bool:
    assert made.session is not None
    return manager.is_live(made.session.id)


def cause_of_refusal(manager: SessionManager, token: Any, provider: str = "corp") -> str:
    with pytest.raises(InvalidLogoutTokenError) as caught:
        manager.backchannel_logout(provider, token)
    assert str(caught.value) == "Invalid logout token"
    return caught.value.why


# What ends


@pytest.mark.parametrize("kind", ["logout_token", "revocation"])
def test_a_session_at_the_provider_ends_what_began_by_it(
    kind: str, issuer: LocalIssuer, manager: SessionManager, events: list[SessionEvent]
) -> None:
    laptop, phone = enter(manager, issuer, sid="s-1"), enter(manager, issuer, sid="s-2")

    assert manager.backchannel_logout("corp", getattr(issuer, kind)(sid="s-1")) == 1

    assert (is_live(manager, laptop), is_live(manager, phone)) == (False, True)
    assert [event.name for event in events[-2:]] == ["session_ended", "backchannel_logout"]
    assert events[-2].reason == "revoked"
    assert events[-1].details == {"provider": "corp", "session_count": 1}


@pytest.mark.parametrize("kind", ["logout_token", "revocation"])
def test_a_user_of_the_provider_loses_all_sessions_that_began_by_it(
    kind: str, issuer: LocalIssuer, manager: SessionManager
) -> None:
    theirs = [enter(manager, issuer, sid="s-1"), enter(manager, issuer)]
    others = [
        enter(manager, issuer, provider="other", sid="s-1"),
        manager.sign_in(theirs[0].user.id),
    ]

    assert manager.backchannel_logout("corp", getattr(issuer, kind)("ada-1")) == 2

    assert [is_live(manager, made) for made in theirs + others] == [False, False, True, True]


def test_of_a_user_and_a_session_the_session_ends_and_what_may_be_of_it(
    issuer: LocalIssuer, manager: SessionManager
) -> None:
    named, unknown, another = (
        enter(manager, issuer, sid="s-1"),
        enter(manager, issuer),
        enter(manager, issuer, sid="s-2"),
    )

    assert manager.backchannel_logout("corp", issuer.logout_token("ada-1", sid="s-1")) == 2

    live = [is_live(manager, made) for made in (named, unknown, another)]
    assert live == [False, False, True]


def test_another_providers_session_of_the_same_name_goes_on(
    issuer: LocalIssuer, manager: SessionManager
) -> None:
    made = enter(manager, issuer, provider="other", sid="s-1")
    assert manager.backchannel_logout("corp", issuer.logout_token(sid="s-1")) == 0
    assert is_live(manager, made)


def test_nobody_to_sign_out_is_no_error(
    issuer: LocalIssuer, manager: SessionManager, events: list[SessionEvent]
) -> None:
    assert manager.backchannel_logout("corp", issuer.logout_token("nobody", sid="s-9")) == 0
    assert events[-1].details == {"provider": "corp", "session_count": 0}


def test_a_session_that_began_after_the_logout_goes_on(
    issuer: LocalIssuer, manager: SessionManager, clock: FakeClock
) -> None:
    before = enter(manager, issuer)
    late = issuer.revocation("ada-1")
    clock.advance(hours=1)
    after = enter(manager, issuer)
    assert manager.backchannel_logout("corp", late) == 1
    assert (is_live(manager, before), is_live(manager, after)) == (False, True)


def test_an_unused_id_token_of_a_session_that_is_over_signs_nobody_in(
    issuer: LocalIssuer, manager: SessionManager
) -> None:
    unused = issuer.id_token("ada-1", **ADA, sid="s-1")
    manager.backchannel_logout("corp", issuer.logout_token(sid="s-1"))
    with pytest.raises(InvalidIdTokenError) as caught:
        manager.sign_in_social(provider="corp", id_token=unused)
    assert caught.value.why == "ended"
    assert enter(manager, issuer, sid="s-2").session is not None


def test_nor_does_one_that_was_issued_before_all_sessions_were_over(
    issuer: LocalIssuer, manager: SessionManager, clock: FakeClock, events: list[SessionEvent]
) -> None:
    unused = [issuer.id_token("ada-1", **ADA, sid=sid) for sid in ("s-1", None)]
    late = issuer.revocation("ada-1")
    clock.advance(minutes=1)
    manager.backchannel_logout("corp", issuer.logout_token("ada-1"))
    # That of an earlier instant, which comes later, changes nothing.
    manager.backchannel_logout("corp", late)
    unused.append(issuer.id_token("ada-1", **ADA))
    while manager.purge():
        pass
    for token in unused:
        with pytest.raises(InvalidIdTokenError) as caught:
            manager.sign_in_social(provider="corp", id_token=token)
        assert caught.value.why == "ended"
        assert events[-1].details == {"cause": "id_token_ended", "provider": "corp"}
    assert manager.sign_in_social(
        provider="corp", id_token=issuer.id_token("bob-1", email="bob@example.org")
    )
    clock.advance(seconds=1)
    made = enter(manager, issuer)
    assert is_live(manager, made)


@pytest.mark.parametrize("named", [{"sid": "s-1"}, {"sub": "ada-1"}])
def test_a_sign_in_that_a_logout_overtakes_leaves_no_session(
    named: dict[str, str],
    issuer: LocalIssuer,
    manager: SessionManager,
    events: list[SessionEvent],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The logout comes when the token was checked, and before there is a session to end."""
    insert = manager.parts.creation.insert

    def overtaken(*given: Any, **more: Any) -> Any:
        token = issuer.logout_token(named.get("sub"), sid=named.get("sid"))
        assert manager.backchannel_logout("corp", token) == 0
        return insert(*given, **more)

    monkeypatch.setattr(manager.parts.creation, "insert", overtaken)
    with pytest.raises(InvalidIdTokenError) as caught:
        enter(manager, issuer, sid="s-1")
    assert caught.value.why == "ended"
    (made,) = [event for event in events if event.name == "session_created"]
    assert not manager.is_live(str(made.session_id))


def test_other_security_events_end_nothing(
    issuer: LocalIssuer, manager: SessionManager, events: list[SessionEvent]
) -> None:
    made = enter(manager, issuer, sid="s-1")
    token = issuer.revocation("ada-1", events={VERIFICATION: {"state": "x"}})
    assert manager.backchannel_logout("corp", token) == 0
    assert is_live(manager, made) and "backchannel_logout" not in [one.name for one in events]


@pytest.mark.parametrize(
    "named",
    [
        lambda url: {"sub_id": {"format": "iss_sub", "iss": url, "sub": "ada-1"}},
        lambda _: {"sub_id": {"format": "opaque", "id": "s-1"}},
        lambda url: {
            "sub_id": {
                "format": "complex",
                "user": {"format": "iss_sub", "iss": url, "sub": "ada-1"},
                "device": {"format": "opaque", "id": "phone"},
            }
        },
        # Of a user whom we know by another name alone the session is known.
        lambda _: {
            "sub_id": {
                "format": "complex",
                "session": {"format": "opaque", "id": "s-1"},
                "user": {"format": "opaque", "id": "user-7"},
            }
        },
        lambda url: {
            "sub_id": None,
            "events": {
                REVOKED_EVENT: {"subject": {"subject_type": "iss-sub", "iss": url, "sub": "ada-1"}}
            },
        },
        lambda url: {
            "aud": [CLIENT, "another-receiver"],
            "sub_id": {"format": "iss_sub", "iss": url, "sub": "ada-1"},
        },
    ],
)
def test_a_security_event_names_its_subject_in_several_ways(
    named: Callable[[str], dict[str, Any]], issuer: LocalIssuer, manager: SessionManager
) -> None:
    enter(manager, issuer, sid="s-1")
    token = issuer.revocation("ada-1", **named(issuer.url))
    assert manager.backchannel_logout("corp", token) == 1


# What is refused


@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"aud": "another-client"}, "aud"),
        ({"aud": [CLIENT, "another-client"]}, "aud"),
        ({"aud": None}, "aud"),
        ({"iat": None}, "iat"),
        ({"exp": 1_000_000_000}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 5}, "jti"),
        ({"nonce": "n-1"}, "nonce"),
        ({"events": None}, "events"),
        ({"events": {}}, "events"),
        ({"events": [LOGOUT_EVENT]}, "events"),
        ({"events": {LOGOUT_EVENT: True}}, "events"),
        ({"events": {REVOKED_EVENT: {}}}, "events"),
        ({"sub": None}, "sub"),
        ({"sub": 5}, "sub"),
        ({"sid": 5}, "sid"),
        ({"sid": "x" * 2049}, "sid"),
        ({"sid": "a\0b"}, "sid"),
    ],
)
def test_a_wrong_claim_of_a_logout_token_is_refused(
    claims: dict[str, Any],
    cause: str,
    issuer: LocalIssuer,
    manager: SessionManager,
    events: list[SessionEvent],
) -> None:
    made = enter(manager, issuer)
    token = issuer.logout_token("ada-1", **claims)
    assert cause_of_refusal(manager, token) == cause
    assert is_live(manager, made)
    assert events[-1].name == "backchannel_logout_refused"
    assert events[-1].details == {"provider": "corp", "cause": cause}
    assert token not in repr(events)


@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"aud": "another-client"}, "aud"),
        ({"aud": []}, "aud"),
        ({"sub_id": None}, "sub_id"),
        ({"sub_id": "ada-1"}, "sub_id"),
        ({"sub_id": {"format": "email", "email": "ada@example.org"}}, "sub_id"),
        ({"sub_id": {"format": "complex", "session": None}}, "sub_id"),
        ({"sub_id": {"format": "complex", "session": "s-1"}}, "sub_id"),
        ({"sub_id": {"format": "complex", "user": {"format": "opaque", "id": "s-1"}}}, "sub_id"),
        ({"sub_id": {"format": "opaque", "id": ""}}, "id"),
        ({"sub_id": {"format": "iss_sub", "iss": "https://x.example", "sub": "ada-1"}}, "iss"),
        ({"sub_id": {"format": ["iss_sub"]}}, "sub_id"),
        ({"sub_id": None, "events": {REVOKED_EVENT: "x"}}, "sub_id"),
    ],
)
def test_a_wrong_claim_of_a_revocation_is_refused(
    claims: dict[str, Any], cause: str, issuer: LocalIssuer, manager: SessionManager
) -> None:
    made = enter(manager, issuer, sid="s-1")
    assert cause_of_refusal(manager, issuer.revocation("ada-1", **claims)) == cause
    assert is_live(manager, made)


def test_a_token_ends_sessions_once(
    issuer: LocalIssuer, manager: SessionManager, clock: FakeClock
) -> None:
    token = issuer.logout_token("ada-1")
    manager.backchannel_logout("corp", token)
    clock.advance(seconds=1)
    made = enter(manager, issuer)
    assert cause_of_refusal(manager, token) == "replayed"
    claims = jwt.decode(token, options={"verify_signature": False})
    again = issuer.sign({**claims, "sub": "ada-1"}, typ="logout+jwt", extra="another token")
    assert cause_of_refusal(manager, again) == "replayed"
    assert is_live(manager, made)


def test_of_parallel_deliveries_one_counts(issuer: LocalIssuer, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'logout.db'}"
    managers = [make_manager(issuer, database) for _ in range(2)]
    enter(managers[0], issuer, sid="s-1")
    token = issuer.logout_token(sid="s-1")

    def deliver(number: int) -> str:
        try:
            return str(managers[number % 2].backchannel_logout("corp", token))
        except InvalidLogoutTokenError as error:
            return error.why
        finally:
            managers[number % 2].close()

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(deliver, range(16)))
    assert answers == ["1"] + ["replayed"] * 15


def test_a_token_is_not_used_up_by_an_ending_that_failed(
    issuer: LocalIssuer, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, token = enter(manager, issuer, sid="s-1"), issuer.logout_token(sid="s-1")

    def fail(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(manager.parts.store.session_ends, "end_by_sid", fail)
        with pytest.raises(StoreUnavailableError):
            manager.backchannel_logout("corp", token)
    assert manager.backchannel_logout("corp", token) == 1
    assert not is_live(manager, made)


@pytest.mark.parametrize(
    ("kind", "taken_s"), [("logout_token", 600 + 59), ("revocation", 86_400 + 59)]
)
def test_an_old_token_is_refused(
    kind: str, taken_s: int, issuer: LocalIssuer, manager: SessionManager, clock: FakeClock
) -> None:
    first, second = (getattr(issuer, kind)("ada-1", exp=None) for _ in range(2))
    clock.advance(seconds=taken_s)
    manager.backchannel_logout("corp", first)
    while manager.purge():
        pass
    assert cause_of_refusal(manager, first) == "replayed"
    clock.advance(seconds=1)
    assert cause_of_refusal(manager, second) == "too_old"


@pytest.mark.parametrize("kind", ["JWT", None, "at+jwt", "application/at+jwt", ""])
def test_a_token_says_in_its_header_what_it_is(
    kind: str | None, issuer: LocalIssuer, manager: SessionManager
) -> None:
    token = issuer.logout_token("ada-1", headers={"typ": kind})
    assert cause_of_refusal(manager, token) == "token_type"
    lenient = make_manager(issuer, has_untyped_logout_tokens=True)
    if kind in ("JWT", None, ""):
        assert lenient.backchannel_logout("corp", token) == 0
    else:
        assert cause_of_refusal(lenient, token) == "token_type"


def test_an_id_token_is_no_logout_token(issuer: LocalIssuer, manager: SessionManager) -> None:
    lenient = make_manager(issuer, has_untyped_logout_tokens=True)
    assert cause_of_refusal(manager, issuer.id_token("ada-1")) == "token_type"
    assert cause_of_refusal(lenient, issuer.id_token("ada-1")) == "events"


def test_a_logout_token_is_no_id_token(issuer: LocalIssuer, manager: SessionManager) -> None:
    for token in (
        issuer.logout_token("ada-1"),
        issuer.logout_token("ada-1", headers={"typ": "JWT"}),
        issuer.revocation("ada-1", exp=issuer.clock.now_ms() // 1000 + 60, sub="ada-1"),
    ):
        with pytest.raises(InvalidIdTokenError) as caught:
            manager.sign_in_social(provider="corp", id_token=token)
        assert caught.value.why == "token_type"


def test_another_key_signs_nobody_out(
    issuer: LocalIssuer, manager: SessionManager, clock: FakeClock
) -> None:
    made = enter(manager, issuer)
    with LocalIssuer(clock=clock) as other:
        claims = jwt.decode(issuer.logout_token("ada-1"), options={"verify_signature": False})
        forged = other.sign(claims, typ="logout+jwt", kid=issuer.key_id)
    assert cause_of_refusal(manager, forged) == "signature"
    assert is_live(manager, made)


@pytest.mark.parametrize("token", [None, 5, "", "a.b.c", "e30.e30.e30", "x" * 20_000, "ü.ü.ü"])
def test_what_is_no_token_is_refused(
    token: Any, issuer: LocalIssuer, manager: SessionManager
) -> None:
    assert cause_of_refusal(manager, token) in ("form", "algorithm")
    assert issuer.requested == []


def test_garbage_does_not_have_the_provider_asked(
    issuer: LocalIssuer, manager: SessionManager
) -> None:
    """Whatever is wrong before the signature is found before keys are fetched."""
    for number in range(20):
        wrong = issuer.logout_token("ada-1", aud="another-client", headers={"kid": f"k-{number}"})
        assert cause_of_refusal(manager, wrong) == "aud"
    assert issuer.requested == []


def test_unknown_keys_have_the_provider_asked_once_in_a_while(
    issuer: LocalIssuer, manager: SessionManager, clock: FakeClock
) -> None:
    made, asked = enter(manager, issuer, sid="s-1"), issuer.requested.count("/keys")
    clock.advance(minutes=1)
    for number in range(20):
        forged = issuer.logout_token(sid="s-1", headers={"kid": f"key-of-nobody-{number}"})
        with pytest.raises((InvalidLogoutTokenError, ProviderUnavailableError)):
            manager.backchannel_logout("corp", forged)
        clock.advance(milliseconds=100)
    assert issuer.requested.count("/keys") == asked + 1
    # Meanwhile the known key works.
    assert manager.backchannel_logout("corp", issuer.logout_token(sid="s-1")) == 1
    assert not is_live(manager, made)


def test_an_unknown_provider_is_told(issuer: LocalIssuer, manager: SessionManager) -> None:
    with pytest.raises(ProviderNotFoundError):
        manager.backchannel_logout("nobody", issuer.logout_token("ada-1"))
