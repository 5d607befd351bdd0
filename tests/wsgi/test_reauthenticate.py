"""A step-up: who is signed in proves again who they are, and the session stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.support import PASSWORD, Stage, sign_up
from wsgi_sessions import (
    AccountNotLinkedError,
    InvalidIdTokenError,
    InvalidPasswordError,
    NotSignedInError,
    RefusedError,
    ResponseStartedError,
    SessionNotFreshError,
    SessionRequest,
    TooManyTriesError,
)
from wsgi_sessions_testing import Bench, Browser, LocalIssuer
from wsgi_sessions_testing.browser.user_agents import find_user_agent

NAME = "__Host-session_fresh"


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage on which a browser has signed up, an hour ago; so long is a session fresh."""
    with Stage(fresh_age=3600) as stage:
        stage.do(sign_up)
        stage.bench.clock.advance(hours=1)
        yield stage


def guess(request: SessionRequest) -> Any:
    return request.reauthenticate(password="wrong horse")


def session_of(request: SessionRequest) -> Any:
    return request.session


def step_up(request: SessionRequest) -> Any:
    return request.reauthenticate(password=PASSWORD)


def is_fresh(stage: Stage, browser: Browser | None = None) -> bool:
    fresh: bool = stage.do(lambda it: it.session is not None and it.session.is_fresh, browser)
    return fresh


def is_fresh_by(stage: Stage, cookies: str) -> bool:
    """Return whether the session is fresh of a browser that sends these cookies."""
    stage.act = lambda it: session_of(it).is_fresh
    stage.browser.get("/", headers={"Cookie": cookies})
    assert isinstance(stage.result, bool)
    return stage.result


def step_up_in(browser: Browser) -> str:
    cookie = browser.cookies.find(NAME)
    assert cookie is not None
    return cookie.value


def refused(
    stage: Stage,
    kind: type[RefusedError],
    act: Callable[[SessionRequest], Any],
    browser: Browser | None = None,
) -> Any:
    """Have the app act, which must be refused; return the refusal."""

    def caught(request: SessionRequest) -> RefusedError:
        with pytest.raises(kind) as refusal:
            act(request)
        return refusal.value

    return stage.do(caught, browser)


def must_be_recent(stage: Stage, **given: Any) -> Any:
    return refused(stage, SessionNotFreshError, lambda it: it.require_fresh(**given))


def test_a_step_up_makes_the_session_fresh_and_leaves_it_as_it_is(stage: Stage) -> None:
    stage.do(lambda it: session_of(it).data.update(colour="red"))
    before, token = stage.do(lambda it: it.session), stage.browser.session_token
    assert not before.is_fresh

    session = stage.do(step_up)

    assert session.is_fresh, "in the same request"
    after = stage.do(lambda it: it.session)
    assert after.is_fresh and stage.do(lambda it: it.require_fresh()) == before.user
    assert (after.id, after.data) == (before.id, {"colour": "red"})
    assert after.record == before.record
    assert stage.browser.session_token == token


def test_a_step_up_counts_at_once_in_a_request_that_goes_on_for_long(stage: Stage) -> None:
    def act(request: SessionRequest) -> Any:
        stage.bench.clock.advance(minutes=5)
        assert step_up(request).is_fresh
        return request.require_fresh(within=60)

    assert stage.do(act) == stage.do(lambda it: it.user)


def test_the_answer_sets_a_cookie_that_ends_with_fresh_age(stage: Stage) -> None:
    stage.do(step_up)

    (line,) = stage.browser.history[-1].received
    assert line.startswith(f"{NAME}=v1.")
    assert line.partition("; ")[2] == (
        "Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=Lax; Priority=High"
    )


def test_a_step_up_is_over_after_fresh_age_though_the_cookie_is_kept(stage: Stage) -> None:
    stage.do(step_up)
    held = f"__Host-session_token={stage.browser.session_token}; {NAME}={step_up_in(stage.browser)}"

    stage.bench.clock.advance(hours=1, milliseconds=-1)
    assert is_fresh_by(stage, held)
    stage.bench.clock.advance(milliseconds=1)
    assert not is_fresh_by(stage, held)


def test_a_jar_from_before_the_step_up_is_not_fresh(stage: Stage) -> None:
    thief = stage.browser.fork()

    stage.do(step_up)

    assert not is_fresh(stage, thief)
    assert is_fresh(stage)


def test_the_cookie_is_void_beside_another_session(stage: Stage) -> None:
    other = stage.bench.new_browser()
    stage.do(lambda it: it.sign_in_email(email="ada@example.org", password=PASSWORD), other)
    stage.bench.clock.advance(hours=1)
    stage.do(step_up)
    text = step_up_in(stage.browser)

    assert is_fresh_by(stage, f"__Host-session_token={stage.browser.session_token}; {NAME}={text}")
    assert not is_fresh_by(stage, f"__Host-session_token={other.session_token}; {NAME}={text}")


def test_a_sign_out_clears_the_cookie(stage: Stage) -> None:
    stage.do(step_up)

    stage.do(lambda it: it.sign_out())

    assert stage.browser.cookies.find(NAME) is None
    stage.do(lambda it: it.sign_out())
    assert not any(NAME in line for line in stage.browser.history[-1].received)


def test_a_step_up_and_a_sign_out_in_one_request_leave_nothing(stage: Stage) -> None:
    stage.do(lambda it: (it.reauthenticate(password=PASSWORD), it.sign_out()))

    assert stage.browser.cookies.find(NAME) is None


def test_two_step_ups_in_one_request_set_one_cookie(stage: Stage) -> None:
    stage.do(lambda it: (step_up(it), step_up(it)))

    assert len(stage.browser.history[-1].received) == 1
    assert is_fresh(stage)


def test_a_wrong_password_does_not_step_up(stage: Stage) -> None:
    refused(stage, InvalidPasswordError, guess)

    assert not is_fresh(stage)
    assert "reauthenticated" not in stage.names()


def test_guesses_are_throttled() -> None:
    with Stage(throttle={"tries": 2}) as stage:
        stage.do(sign_up)
        refused(stage, InvalidPasswordError, guess)
        refused(stage, InvalidPasswordError, guess)
        assert refused(stage, TooManyTriesError, guess).retry_after_seconds == 60


def test_nobody_steps_up_without_a_session(stage: Stage) -> None:
    refused(stage, NotSignedInError, step_up, stage.bench.new_browser())


def test_nor_after_the_headers_are_out() -> None:
    def late(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"begun"
        environ["wsgi_sessions.request"].reauthenticate(method="passkey")

    with Bench(late) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        with pytest.raises(ResponseStartedError, match="reauthenticate before"):
            browser.get("/")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"password": PASSWORD, "method": "passkey"},
        {"id_token": "x"},
        {"provider": "corp"},
        {"password": PASSWORD, "provider": "corp"},
    ],
)
def test_one_proof_is_given(stage: Stage, given: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="give one of password, id_token"):
        stage.do(lambda it: it.reauthenticate(**given))


def test_an_application_can_prove_it_by_a_method_of_its_own(stage: Stage) -> None:
    assert stage.do(lambda it: it.reauthenticate(method="passkey")).is_fresh

    (event,) = [event for event in stage.bench.events if event.name == "reauthenticated"]
    session = stage.do(lambda it: it.session)
    assert (event.session_id, event.user_id) == (session.id, session.user_id)
    assert event.details == {"method": "passkey"}
    with pytest.raises(ValueError, match="no name of a method"):
        stage.do(lambda it: it.reauthenticate(method=""))


# Within


def test_within_asks_for_less_than_fresh_age(stage: Stage) -> None:
    stage.do(step_up)
    stage.bench.clock.advance(minutes=5)

    assert stage.do(lambda it: it.require_fresh(within=timedelta(minutes=5, seconds=1)))
    error = must_be_recent(stage, within=300)
    assert (error.max_age_seconds, error.is_elsewhere) == (300, False)
    stage.do(step_up)
    assert stage.do(lambda it: it.require_fresh(within=300))


@pytest.mark.parametrize("within", [0, -1, 3601, timedelta(days=2)])
def test_within_is_at_most_fresh_age(stage: Stage, within: Any) -> None:
    with pytest.raises(ValueError, match="at most fresh_age"):
        stage.do(lambda it: it.require_fresh(within=within))


# By a provider


@contextmanager
def at_a_provider(**claims: Any) -> Iterator[tuple[Stage, LocalIssuer]]:
    """Sign a browser in by a provider, an hour ago."""
    with LocalIssuer() as issuer:
        providers = [issuer.provider("corp"), issuer.provider("other")]
        with Stage(social_providers=providers, fresh_age=3600) as stage:
            issuer.clock = stage.bench.clock
            token = issuer.id_token("ada", email="ada@example.org", **claims)
            stage.do(lambda it: it.sign_in_social(provider="corp", id_token=token))
            stage.bench.clock.advance(hours=1)
            yield stage, issuer


def by(token: str, provider: str = "corp") -> Callable[[SessionRequest], Any]:
    return partial(SessionRequest.reauthenticate, provider=provider, id_token=token)


def test_an_id_token_of_the_same_person_steps_up() -> None:
    with at_a_provider() as (stage, issuer):
        assert not is_fresh(stage)
        stage.do(by(issuer.id_token("ada")))
        assert is_fresh(stage)


def test_one_of_somebody_else_does_not() -> None:
    with at_a_provider() as (stage, issuer):
        bob = issuer.id_token("bob", email="bob@example.org")
        other = stage.bench.new_browser()
        stage.do(lambda it: it.sign_in_social(provider="corp", id_token=bob), other)
        for subject, provider in (("bob", "corp"), ("nobody", "corp"), ("ada", "other")):
            token = issuer.id_token(subject, email="ada@example.org", email_verified=True)
            refused(stage, AccountNotLinkedError, by(token, provider))
        refused(stage, InvalidIdTokenError, by("x.y.z"))
        assert not is_fresh(stage)
        assert len(stage.bench.manager.list_sessions(stage.do(lambda it: it.user).id)) == 1


def test_one_of_before_a_logout_at_the_provider_does_not() -> None:
    with at_a_provider() as (stage, issuer):
        stage.do(lambda it: it.sign_in(it.require_user().id, method="passkey"))
        stage.bench.clock.advance(hours=1)
        unused = issuer.id_token("ada")
        stage.bench.manager.backchannel_logout("corp", issuer.logout_token("ada"))
        assert refused(stage, InvalidIdTokenError, by(unused)).why == "ended"
        assert not is_fresh(stage)


def test_a_step_up_by_a_provider_is_as_old_as_its_login() -> None:
    with at_a_provider() as (stage, issuer):
        now_s = stage.bench.clock.now_ms() // 1000
        stage.do(by(issuer.id_token("ada", auth_time=now_s - 600)))
        (line,) = stage.browser.history[-1].received
        assert "; Max-Age=3000; " in line
        assert is_fresh(stage)
        must_be_recent(stage, within=600)
        an_hour_ago = by(issuer.id_token("ada", auth_time=now_s - 3600))
        assert refused(stage, SessionNotFreshError, an_hour_ago).max_age_seconds == 3600


def test_an_older_login_at_a_provider_undoes_no_later_proof() -> None:
    with at_a_provider() as (stage, issuer):
        stage.do(lambda it: it.reauthenticate(method="passkey"))
        before = issuer.clock.now_ms() // 1000 - 600
        stage.do(by(issuer.id_token("ada", auth_time=before)))
        assert stage.do(lambda it: it.require_fresh(within=60))


def test_a_proof_of_a_clock_that_was_ahead_stands_in_no_ones_way(stage: Stage) -> None:
    stage.bench.clock.advance(days=1)
    stage.do(step_up)
    stage.bench.clock.advance(days=-1)
    assert not is_fresh(stage)
    stage.do(step_up)
    assert is_fresh(stage)


def test_a_sign_in_by_a_provider_is_as_old_as_its_login() -> None:
    with (
        LocalIssuer() as issuer,
        Stage(social_providers=[issuer.provider("corp")], fresh_age=3600) as stage,
    ):
        issuer.clock = stage.bench.clock
        now_s = stage.bench.clock.now_ms() // 1000
        for age_s, fresh in ((60, True), (3600, False)):
            token = issuer.id_token("ada", email="ada@example.org", auth_time=now_s - age_s)
            stage.do(partial(SessionRequest.sign_in_social, provider="corp", id_token=token))
            assert is_fresh(stage) is fresh
            if fresh:
                must_be_recent(stage, within=60)


# Elsewhere


def move(browser: Browser) -> Browser:
    thief = browser.fork()
    thief.address, thief.user_agent = "198.51.100.7", find_user_agent("Safari on iPhone")
    return thief


def test_elsewhere_a_session_is_not_fresh_and_says_so() -> None:
    with Stage() as stage:
        stage.do(sign_up)
        moved = move(stage.browser)
        assert stage.do(lambda it: it.session, moved).is_elsewhere

        error = refused(stage, SessionNotFreshError, lambda it: it.require_fresh(), moved)

        assert error.is_elsewhere and "another place" in str(error)
        assert is_fresh(stage)


def test_a_step_up_elsewhere_counts_there_alone() -> None:
    with Stage(fresh_age=3600) as stage:
        stage.do(sign_up)
        moved = move(stage.browser)
        stage.bench.clock.advance(minutes=30)
        stage.do(step_up, moved)
        back = moved.fork()
        back.address, back.user_agent = stage.browser.address, stage.browser.user_agent

        assert is_fresh(stage, moved) and is_fresh(stage, back)
        stage.bench.clock.advance(minutes=30)
        assert is_fresh(stage, moved) and not is_fresh(stage, back)


def test_elsewhere_is_as_good_where_a_setting_says_so() -> None:
    with Stage(fresh_elsewhere=True) as stage:
        stage.do(sign_up)
        moved = move(stage.browser)
        session = stage.do(lambda it: it.session, moved)
        assert session.is_elsewhere and session.is_fresh


def test_the_touch_keeps_where_a_session_was_used_last_and_an_event_tells() -> None:
    with Stage() as stage:
        stage.do(sign_up)
        moved = move(stage.browser)
        stage.do(lambda it: None, moved)
        assert "session_moved" not in stage.names(), "nothing was written yet"
        stage.bench.clock.advance(minutes=5)
        stage.do(lambda it: None, moved)

        (event,) = [event for event in stage.bench.events if event.name == "session_moved"]
        assert event.address == "198.51.100.7"
        assert event.details["is_elsewhere"] and event.details["device"] == "Safari on iPhone"
        (listed,) = stage.do(lambda it: it.list_sessions())
        assert (listed.last_ip_address, listed.last_device) == ("198.51.100.7", "Safari on iPhone")
        assert listed.ip_address == stage.browser.address and listed.is_elsewhere
        stage.bench.clock.advance(minutes=5)
        stage.do(lambda it: None, moved)
        assert stage.names().count("session_moved") == 1


# Without a middleware


def test_a_session_that_is_read_without_a_middleware_is_as_fresh(stage: Stage) -> None:
    stage.do(step_up)
    sent = {cookie.name: cookie.value for cookie in stage.browser.cookies.find_all()}
    header = "; ".join(f"{name}={value}" for name, value in sent.items())
    environ = {
        "REQUEST_METHOD": "GET",
        "wsgi.url_scheme": "https",
        "HTTP_COOKIE": header,
        "REMOTE_ADDR": stage.browser.address,
        "HTTP_USER_AGENT": stage.browser.user_agent,
    }
    manager = stage.bench.manager
    for source in (environ, {"Cookie": header}):
        found = manager.get_session(source)
        assert found is not None and found.is_fresh
    found = manager.get_session({"Cookie": header.partition("; ")[0]})
    assert found is not None and not found.is_fresh
