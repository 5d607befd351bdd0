"""What the tests of all folders share, built on the companion: clocks, a stage and rotations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from wsgi_sessions import SessionRequest, SystemClock
from wsgi_sessions_testing import Bench, Browser, FakeClock

__all__ = [
    "BEYOND_THE_WINDOW",
    "PASSWORD",
    "Act",
    "ShiftedClock",
    "Stage",
    "confirm_next",
    "new_clock",
    "rotate",
    "sign_up",
]

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
        """Have the app act within one request; return what the act returned."""
        self.act = act
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
