"""Which cookies an answer still carries when it starts late, and when a copy may be sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from tests.support import BEYOND_THE_WINDOW, PASSWORD, Stage, confirm_next, rotate, sign_up
from wsgi_sessions import SessionRequest
from wsgi_sessions_testing.browser.browser import Browser
from wsgi_sessions_testing.fakes.managers import running_with

TOKEN, COPY, DEVICE = "__Host-session_token", "__Host-session_data", "__Host-known_device"
GRACE = timedelta(seconds=60)
JUST_LESS = GRACE - timedelta(milliseconds=1)
OLD, NEW = "o0123456789abcdef" * 2, "n0123456789abcdef" * 2
LONG_BODY = b"x" * 65_537


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with Stage(**{"cookie_cache": True, **getattr(request, "param", {})}) as stage:
        stage.do(sign_up)
        yield stage


def names_of(answer: Any) -> list[str]:
    """Return the names of the cookies an answer sets; ``-name``: it takes it away."""
    pairs = [line.partition(";")[0].partition("=") for line in answer.headers.getall("Set-Cookie")]
    return [name if value else f"-{name}" for name, _, value in pairs]


def ask(stage: Stage, *, after: timedelta = timedelta(), browser: Browser | None = None) -> Any:
    """Ask an app that takes its time before it begins to answer."""
    stage.act = lambda request: stage.bench.clock.advance(after)
    answer = (browser or stage.browser).get("/")
    stage.act = lambda request: None
    return names_of(answer)


# What was decided when the request was judged


@pytest.fixture
def change(stage: Stage) -> Iterator[Callable[..., object]]:
    """What changes settings of the site that is there."""
    manager = stage.bench.manager
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            running_with(manager, config=manager.config.replace(**settings))
        )


def be_offered(stage: Stage, change: Callable[..., object]) -> Browser:
    stage.bench.clock.advance(days=1)
    return stage.browser


def be_refreshed(stage: Stage, change: Callable[..., object]) -> Browser:
    change(rotation_interval=30 * 86_400)
    stage.bench.clock.advance(days=1)
    return stage.browser


def be_signed_anew(stage: Stage, change: Callable[..., object]) -> Browser:
    change(secret=[NEW, OLD])
    return stage.browser


def confirm_and_be_signed_anew(stage: Stage, change: Callable[..., object]) -> Browser:
    stage.bench.clock.advance(days=1)
    stage.browser.get("/")
    return be_signed_anew(stage, change)


def catch_up(stage: Stage, change: Callable[..., object]) -> Browser:
    crashed = stage.browser.fork()
    confirm_next(stage.browser, stage.bench.clock)
    stage.bench.clock.advance(minutes=1)
    return crashed


@pytest.mark.parametrize("stage", [{"secret": OLD}], indirect=True)
@pytest.mark.parametrize(
    "prepare",
    [be_offered, be_refreshed, be_signed_anew, confirm_and_be_signed_anew, catch_up],
)
@pytest.mark.parametrize(("after", "expected"), [(JUST_LESS, [TOKEN]), (GRACE, [])])
def test_token_decided_a_grace_ago_is_not_sent(
    stage: Stage,
    change: Callable[..., object],
    prepare: Callable[..., Browser],
    after: timedelta,
    expected: list[str],
) -> None:
    """The browser may hold a later one by now, and its jar would be put back."""
    browser = prepare(stage, change)
    browser.cookies.discard(COPY)

    assert ask(stage, after=after, browser=browser) == expected


def test_what_was_not_sent_is_decided_anew_by_the_next_request(stage: Stage) -> None:
    stage.bench.clock.advance(days=1)
    assert ask(stage, after=timedelta(hours=1)) == []
    assert ask(stage) == [TOKEN]
    assert ask(stage) == []
    assert stage.do(lambda request: request.require_user().name) == "Ada"
    token = stage.bench.manager.parts.signer.read(stage.browser.session_token or "")
    assert token is not None and token.generation == 1


@pytest.mark.parametrize("stage", [{"rotation_grace": 120}], indirect=True)
def test_it_is_the_grace_of_the_settings_that_counts(stage: Stage) -> None:
    stage.bench.clock.advance(days=1)
    assert ask(stage, after=timedelta(seconds=120)) == []
    assert ask(stage, after=timedelta(seconds=119)) == [TOKEN]


def test_slow_answers_put_no_jar_back(stage: Stage) -> None:
    """As an answer of minutes did, whose cookie was that of a generation before."""
    clock, browser = stage.bench.clock, stage.browser
    clock.advance(days=1)
    slow = browser.fork()

    def go_on_elsewhere(_: SessionRequest) -> None:
        stage.act = lambda request: None
        for _times in range(3):
            rotate(browser, clock)

    stage.act = go_on_elsewhere
    slow.cookies = browser.cookies
    assert names_of(slow.get("/")) == []
    assert stage.do(lambda request: request.require_user().name) == "Ada"


def test_copy_decided_a_grace_ago_is_taken_away_instead(stage: Stage) -> None:
    """One that the browser has may be outdated, and none at all is always right."""
    stage.browser.cookies.discard(COPY)
    assert ask(stage, after=JUST_LESS) == [COPY]
    stage.browser.cookies.discard(COPY)
    assert ask(stage, after=GRACE) == [f"-{COPY}"]
    assert ask(stage) == [COPY]


def test_copy_made_anew_a_grace_before_the_answer_is_taken_away_instead(stage: Stage) -> None:
    def update_and_take(time: timedelta) -> list[str]:
        def act(request: SessionRequest) -> None:
            request.update_user(name="Eve")
            stage.bench.clock.advance(time)

        stage.act = act
        return names_of(stage.browser.get("/"))

    assert update_and_take(JUST_LESS) == [COPY]
    assert update_and_take(GRACE) == [f"-{COPY}"]
    assert stage.do(lambda request: request.require_user().name) == "Eve"


def test_copy_made_anew_after_a_slow_beginning_is_sent(stage: Stage) -> None:
    def act(request: SessionRequest) -> None:
        stage.bench.clock.advance(minutes=2)
        request.update_user(name="Eve")

    stage.act = act
    assert names_of(stage.browser.get("/")) == [COPY]
    assert stage.do(lambda request: (request.is_from_database, request.require_user().name)) == (
        False,
        "Eve",
    )


def test_outdated_copy_is_replaced_and_not_taken_away_beside_it(stage: Stage) -> None:
    """As another server changed the user; it is seen by whoever asks past the copy."""
    stage.bench.manager.parts.models.user.update(name="Eve").execute()

    answer = stage.browser.get("/api/auth/get-session?disableCookieCache=true")

    assert answer.json["user"]["name"] == "Eve"
    assert names_of(answer) == [COPY]
    assert stage.do(lambda request: request.require_user().name) == "Eve"


@pytest.mark.parametrize(("remember_me", "max_age"), [(True, "; Max-Age=300;"), (False, None)])
def test_copy_is_kept_no_longer_than_its_session_is(
    stage: Stage, remember_me: bool, max_age: str | None
) -> None:
    stage.do(
        lambda request: request.sign_in_email(
            email="ada@example.org", password=PASSWORD, remember_me=remember_me
        )
    )
    line = stage.browser.history[-1].received[1]

    assert line.startswith(COPY)
    assert max_age in line if max_age else "Max-Age" not in line


# What the app has done


def sign_in(request: SessionRequest) -> None:
    request.sign_in_email(email="ada@example.org", password=PASSWORD)


def sign_out(request: SessionRequest) -> None:
    request.sign_out()


def change_password(request: SessionRequest) -> None:
    request.change_password(current_password=PASSWORD, new_password="another password")


def revoke_this(request: SessionRequest) -> None:
    assert request.session is not None
    request.revoke_session(request.session.id)


def start_anew(request: SessionRequest) -> None:
    request.sign_out()
    request.start_anonymous_session().data["cart"] = ["tea"]


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (sign_in, [TOKEN, COPY, DEVICE]),
        (change_password, [TOKEN, COPY, DEVICE]),
        (sign_out, [f"-{TOKEN}", f"-{COPY}"]),
        (revoke_this, [f"-{TOKEN}", f"-{COPY}"]),
        (start_anew, [TOKEN]),
    ],
)
@pytest.mark.parametrize("days", [0, 1])
def test_cookies_of_what_was_done_go_out_however_slow_the_answer_is(
    stage: Stage, days: int, act: Callable[[SessionRequest], None], expected: list[str]
) -> None:
    stage.bench.clock.advance(days=days)

    def act_slowly(request: SessionRequest) -> None:
        act(request)
        stage.bench.clock.advance(minutes=30)

    stage.act = act_slowly
    assert names_of(stage.browser.get("/")) == expected


@pytest.mark.parametrize(
    "stage",
    [{"absolute_timeout": 3600}, {"absolute_timeout": 3600, "cookie_cache": False}],
    indirect=True,
)
def test_cookie_of_a_sign_in_lasts_no_longer_than_the_absolute_limit(stage: Stage) -> None:
    for act in (lambda _: None, sign_in, change_password):
        stage.do(act)
    first, *later = [
        line
        for exchange in stage.browser.history
        for line in exchange.received
        if line.startswith(TOKEN)
    ]
    assert "; Max-Age=3600;" in first
    assert ["; Max-Age=3600;" in line for line in later] == [True, True]


def test_sign_in_after_a_slow_beginning_takes_the_place_of_an_offer(stage: Stage) -> None:
    before = stage.browser.session_token
    stage.bench.clock.advance(days=1)

    def act(request: SessionRequest) -> None:
        stage.bench.clock.advance(minutes=30)
        sign_in(request)

    stage.act = act
    assert names_of(stage.browser.get("/")) == [TOKEN, COPY, DEVICE]
    assert stage.browser.session_token != before
    assert stage.do(lambda request: request.require_user().name) == "Ada"


# When a copy may be sealed


def test_copies_are_made_for_the_current_token_of_a_settled_generation_alone(stage: Stage) -> None:
    clock, crashed = stage.bench.clock, stage.browser.fork()
    browsers = {name: stage.browser.fork() for name in ("own", "sibling", "before")}

    def sent(browser: Browser, body: bytes | None = None) -> list[str]:
        browser.cookies.discard(COPY)
        return names_of(browser.get("/") if body is None else browser.post("/", body))

    clock.advance(days=1)
    assert sent(browsers["own"]) == [TOKEN], "an answer that offers"
    assert sent(browsers["sibling"]) == [TOKEN]
    assert sent(browsers["own"]) == [], "the confirming answer"
    assert sent(browsers["own"]) == [], "not settled"
    assert sent(browsers["sibling"]) == [], "a sibling"
    assert sent(browsers["before"]) == [], "in grace"
    clock.advance(minutes=1)
    assert sent(browsers["before"], LONG_BODY) == [], "late"
    assert sent(crashed) == [TOKEN], "a catch-up"
    assert sent(crashed) == [], "a take-over"
    assert sent(crashed) == []
    clock.advance(**BEYOND_THE_WINDOW)
    assert sent(browsers["sibling"], LONG_BODY) == [], "late"
    assert sent(crashed) == [COPY], "the answer that settles"
    assert sent(crashed) == [COPY]
    assert sent(browsers["sibling"], LONG_BODY) == [], "late, and another is settled"


@pytest.mark.parametrize("stage", [{"secret": OLD}], indirect=True)
def test_no_copy_is_sealed_where_the_confirming_answer_sends_its_token_again(
    stage: Stage, change: Callable[..., object]
) -> None:
    confirm_and_be_signed_anew(stage, change)
    stage.browser.cookies.discard(COPY)
    assert ask(stage) == [TOKEN]


def test_no_copy_is_sealed_that_would_live_when_the_next_token_may_be_offered(
    stage: Stage,
) -> None:
    stage.bench.clock.advance(days=1, seconds=-61)
    stage.browser.cookies.discard(COPY)
    assert ask(stage) == [COPY]
    line = stage.browser.history[-1].received[0]
    assert "; Max-Age=1;" in line
    stage.bench.clock.advance(seconds=1)
    assert ask(stage) == []
    stage.bench.clock.advance(seconds=60)
    assert ask(stage) == [TOKEN]


def test_no_copy_is_sealed_for_a_token_that_only_a_reader_has_shown(stage: Stage) -> None:
    """As after a fail-over that has lost the confirmation: the next request makes it."""
    confirm_next(stage.browser, stage.bench.clock)
    session = stage.bench.manager.parts.models.session
    session.update(generation=0, is_settled=True).execute()
    stage.browser.cookies.discard(COPY)

    answer = stage.browser.get("/api/auth/get-session?disableRefresh=true&disableCookieCache=true")

    assert answer.json["session"] is not None
    assert names_of(answer) == []
