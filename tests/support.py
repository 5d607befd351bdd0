"""What the tests of all folders share, built on the companion: clocks, a stage, rotations and records."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, TypeVar

from wsgi_sessions import SessionManager, SessionRequest, SystemClock
from wsgi_sessions.records import Account, Change, OneTimeToken, SessionRecord, UserRecord
from wsgi_sessions_testing import Bench, Browser, FakeClock

T = TypeVar("T")
IS_FULL = os.environ.get("CI_FULL") == "1"
"""Whether nothing is left out, as ``.ci/run`` says."""
NOW = 1_800_000_000_000
DAY = 86_400_000
BRANCH = "Branch-0"
WAIT_SECONDS = 20
PASSWORD = "correct horse battery"
Act = Callable[[SessionRequest], Any]

BEYOND_THE_WINDOW = {"minutes": 3}
"""Three graces of a minute."""


# Clocks


def new_clock() -> FakeClock:
    """Return a clock that stands still, in the middle of a second."""
    return FakeClock(datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=timezone.utc))


class ShiftedClock(SystemClock):
    """The machine's clock, set wrong."""

    __slots__ = ("ahead_ms",)

    def __init__(self, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


# An app that acts as a test says


class Stage:
    """An app that does what a test gives it to do, and the browser that opens it."""

    browser: Browser

    def __init__(self, **settings: Any) -> None:
        self.act: Act = lambda request: None
        self.result: Any = None
        self.bench = Bench(self.app, **settings)

    def __enter__(self) -> Stage:
        self.bench.__enter__()
        self.browser = self.bench.new_browser()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bench.__exit__(*error)

    def app(self, environ: Any, start_response: Any) -> Any:
        self.environ = environ
        self.result = self.act(environ["wsgi_sessions.request"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    def do(self, act: Act, browser: Browser | None = None) -> Any:
        """Have the app act within one request; return what the act returned, None if it raised."""
        self.act, self.result = act, None
        (browser or self.browser).get("/")
        return self.result

    def names(self) -> list[str]:
        return [event.name for event in self.bench.events]


def sign_up(request: SessionRequest) -> Any:
    return request.sign_up_email(name="Ada", email="ada@example.org", password=PASSWORD)


# A browser whose token is rotated: offered, confirmed, and settled a window later


def confirm_next(browser: Browser, clock: FakeClock, *, path: str = "/") -> None:
    """Have the next token offered a day later, and confirmed at once."""
    before = browser.session_token
    clock.advance(days=1)
    browser.get(path)
    assert browser.session_token not in (before, None), "the next token is offered"
    browser.get(path)


def rotate(browser: Browser, clock: FakeClock, *, path: str = "/") -> None:
    """Have the token rotated, and the new one settled: from now on it alone is taken."""
    confirm_next(browser, clock, path=path)
    clock.advance(**BEYOND_THE_WINDOW)
    browser.get(path)


# Records that are not stored, and threads


def make_user(user_id: Any = "user-1", email: str = "ada@example.org") -> UserRecord:
    """Return a user that is not stored."""
    return UserRecord(user_id, email, False, "Ada", None, NOW, NOW)


def make_account(user_id: Any = "user-1", password_hash: str | None = "hash-1") -> Account:
    """Return the account that holds a user's password."""
    return Account(f"account-{user_id}", user_id, "credential", str(user_id), password_hash)


def make_one_time_token(digest: str = "digest-1", **changes: Any) -> OneTimeToken:
    """Return a token that is good for an hour and is not stored."""
    token = OneTimeToken(digest, "reset-password", "user-1", None, NOW, NOW + 3_600_000)
    return token._replace(**changes)


def make_session(session_id: str = "session-1", **changes: Any) -> SessionRecord:
    """Return a live session that is not stored."""
    record = SessionRecord(
        id=session_id,
        user_id=None,
        generation=0,
        branch=BRANCH,
        branch_before=None,
        is_settled=True,
        caught_up=False,
        confirmed_at_ms=NOW,
        created_at_ms=NOW,
        authenticated_at_ms=NOW,
        updated_at_ms=NOW,
        last_seen_at_ms=NOW,
        expires_at_ms=NOW + 7 * DAY,
        remember=True,
        ip_address="192.0.2.1",
        user_agent="Firefox",
        data="{}",
        data_version=0,
        ended_at_ms=None,
        end_reason=None,
    )
    return record._replace(**changes)


def change_of(judged: SessionRecord, **changes: Any) -> Change:
    """Return a change that leaves a session as it was judged, but for what is given."""
    change = Change(
        generation=judged.generation,
        branch=judged.branch,
        branch_before=judged.branch_before,
        is_settled=judged.is_settled,
        caught_up=judged.caught_up,
        confirmed_at_ms=judged.confirmed_at_ms,
        updated_at_ms=judged.updated_at_ms,
        last_seen_at_ms=judged.last_seen_at_ms,
        expires_at_ms=judged.expires_at_ms,
        may_fail=False,
        authenticated_at_ms=judged.authenticated_at_ms,
        last_ip_address=judged.last_ip_address,
        last_user_agent=judged.last_user_agent,
    )
    return change._replace(**changes)


def is_purge_due(manager: SessionManager) -> bool:
    return manager.clock.now_ms() not in manager.parts.purger.rest_ms


def in_parallel(work: Callable[[int], T], count: int) -> list[T]:
    """Run work in as many threads, all let go at once; return what each returned."""
    barrier = threading.Barrier(count)
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait(WAIT_SECONDS)
        try:
            results[number] = work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    if errors:
        raise errors[0]
    return [results[number] for number in range(count)]
