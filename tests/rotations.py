"""A browser whose token is rotated: offered, confirmed, and settled a window later.

Must not look into the database: the browser asks, and the clock goes on.
"""

from __future__ import annotations

from wsgi_sessions_testing import FakeClock
from wsgi_sessions_testing.browser.browser import Browser

__all__ = ["BEYOND_THE_WINDOW", "confirm_next", "rotate"]

BEYOND_THE_WINDOW = {"minutes": 3}
"""Three graces of a minute."""


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
