"""Processes at different nodes, whose clocks differ by less than ``clock_difference``."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest

from tests.support import IS_FULL
from wsgi_sessions import SessionMiddleware
from wsgi_sessions_testing import Browser, FakeClock

from .cluster import Cluster
from .conftest import MakeManager

DIFFERENCE_SECONDS = 30
"""By default half of ``rotation_grace``."""
AHEAD_SECONDS = (-14, 0, 14)
DAYS = 40 if IS_FULL else 9
LIMIT = 5


def greet(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    user = environ["wsgi_sessions.user"]
    return [b"nobody" if user is None else user.email.encode()]


class Site:
    """Three processes, to which requests go in turn."""

    def __init__(self, make_manager: MakeManager, cluster: Cluster, **settings: Any) -> None:
        self.clock = FakeClock()
        self.managers = [
            make_manager(
                node.number,
                clock=self.clock.skewed(seconds) if seconds else self.clock,
                **settings,
            )
            for node, seconds in zip(cluster.nodes, AHEAD_SECONDS, strict=True)
        ]
        assert self.managers[0].config.clock_difference_ms == DIFFERENCE_SECONDS * 1000
        self.managers[0].create_tables()
        cluster.wait_until_same()
        self.workers = [SessionMiddleware(greet, manager) for manager in self.managers]
        self._turns = cycle(range(3))

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.workers[next(self._turns)](environ, start_response)

    def new_browser(self, number: int = 1) -> Browser:
        """Return one that signs in at the process of a number, and then goes to each."""
        return Browser(self, clock=self.clock, manager=self.managers[number % 3])

    def is_in(self, browser: Browser) -> set[bool]:
        """Ask each process whether a browser is signed in."""
        return {browser.get("/").text == "ada@example.org" for _ in range(3)}


@pytest.fixture(params=[False, True], ids=["database", "cached"])
def site(request: pytest.FixtureRequest, make_manager: MakeManager, cluster: Cluster) -> Site:
    return Site(make_manager, cluster, cookie_cache=request.param)


def test_who_comes_every_day_stays_and_who_comes_no_more_does_not(site: Site) -> None:
    browsers = [site.new_browser(number) for number in range(3)]
    for browser in browsers:
        browser.sign_in("ada@example.org")
    before = browsers[0].session_token

    for _ in range(DAYS):
        site.clock.advance(hours=23, minutes=59)
        # The next token is offered, confirmed and settled, each by another process.
        for seconds in (0, 5, 20, 35, 181):
            site.clock.advance(seconds=seconds)
            for browser in browsers:
                assert site.is_in(browser) == {True}

    assert browsers[0].session_token != before
    # The last refresh was within the last visit, which lasted some minutes.
    site.clock.advance(days=7, minutes=-5)
    assert site.is_in(browsers[0]) == {True}
    site.clock.advance(minutes=5, seconds=DIFFERENCE_SECONDS)
    assert site.is_in(browsers[1]) == {False}


def test_a_limit_and_an_end_hold_whoever_s_clock_is_asked(site: Site, cluster: Cluster) -> None:
    browsers = [site.new_browser(number) for number in range(2 * LIMIT)]
    for browser in browsers:
        browser.sign_in("ada@example.org")
        site.clock.advance(seconds=DIFFERENCE_SECONDS)
    cluster.wait_until_same()
    user = site.managers[0].parts.store.users.find_by_email("ada@example.org")
    assert user is not None

    live = [browser for browser in browsers if site.is_in(browser) == {True}]
    assert live == browsers[LIMIT:]

    site.managers[2].revoke_all_sessions(user.id)
    cluster.wait_until_same()
    site.clock.advance(seconds=1)
    assert [site.is_in(browser) for browser in live] == [{False}] * LIMIT
