"""Two minutes of four tabs that never rest, while the token rotates every few seconds.

Tabs crash, workers of the server are killed, and the network goes away; nobody is signed out.
With ``CI_FULL=1`` alone.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .chromium import need_chromium
from .disk_chromium import DiskChromium
from .people import EMAIL
from .rotation import GRACE, WINDOW, Site, ask, open_page, serving_site, sign_up

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Playwright, Request

SECONDS = 120
TABS = 4
SPEED = 15
"""How fast the server's clock runs: the grace is four seconds, which answers stay below."""
SETTINGS = {"rotation_interval": 5 * GRACE + 30, "upload_grace": WINDOW}


KINDS = {
    *("prerender", "/tab", "/frame", "/me", "/stream", "/beacon", "/worker.js", "/from-worker"),
    *("/", "/api"),
}


class Visit:
    """A browser with four tabs, and all that befalls it."""

    def __init__(self, chromium: DiskChromium, site: Site, chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self.slowest_seconds = 0.0
        """How long the first byte of an answer took at most, from when it was asked for."""
        from playwright.sync_api import Error

        self._error = Error
        self._chromium = chromium
        self._site = site
        self._chance = chance
        self._context: BrowserContext = chromium.open()
        self._context.set_default_timeout(5000)
        self._context.on("requestfinished", self._note_time)
        self._tabs: list[Page] = []
        self._acts: list[tuple[int, Callable[[Page], None]]] = [
            (8, self.follow_a_link),
            (4, self.go_elsewhere),
            (4, self.go_back),
            (3, self.go_forward),
            (1, self.crash),
            (1, self.lose_the_network),
            (1, self.kill_a_worker),
        ]

    def acts(self) -> list[str]:
        """Return the names of what may befall it."""
        return [act.__name__ for _, act in self._acts]

    def sign_up(self) -> None:
        sign_up(open_page(self._context, self._site.url))

    def go_on(self, seconds: float) -> None:
        """Have one thing after another befall it."""
        weights, acts = zip(*self._acts, strict=True)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            [act] = self._chance.choices(acts, weights)
            # A tab that has crashed does nothing, and what the network loses is tried no more.
            with suppress(self._error):
                while len(self._tabs) < TABS:
                    self._open_tab()
                act(self._chance.choice(self._tabs))
                self.done[act.__name__] += 1
            self._chromium.look_on(0.2)

    def ask(self) -> Any:
        """Return whom the site takes the browser for in the end, in a new tab."""
        return ask(open_page(self._context, self._site.url))

    def follow_a_link(self, tab: Page) -> None:
        """Go where it leads; the browser has that page ready."""
        tab.evaluate("() => { setTimeout(() => document.querySelector('a').click()); }")

    def go_elsewhere(self, tab: Page) -> None:
        tab.goto(self._some_url(), wait_until="commit")

    def go_back(self, tab: Page) -> None:
        tab.go_back(wait_until="commit")

    def go_forward(self, tab: Page) -> None:
        tab.go_forward(wait_until="commit")

    def crash(self, tab: Page) -> None:
        os.kill(self._chance.choice(self._chromium.renderers()), signal.SIGKILL)

    def lose_the_network(self, tab: Page) -> None:
        self._context.set_offline(True)
        self._chromium.look_on(0.5)
        self._context.set_offline(False)

    def kill_a_worker(self, tab: Page) -> None:
        os.kill(self._chance.choice(self._site.workers()), signal.SIGKILL)

    def _open_tab(self) -> None:
        tab = self._context.new_page()
        self._tabs.append(tab)
        tab.on("crash", self._drop)
        tab.goto(self._some_url(), wait_until="commit")

    def _drop(self, tab: Page) -> None:
        self.done["crashed"] += 1
        self._tabs.remove(tab)

    def _some_url(self) -> str:
        return f"{self._site.url}/tab/{self._chance.randrange(1_000_000)}"

    def _note_time(self, request: Request) -> None:
        self.slowest_seconds = max(self.slowest_seconds, request.timing["responseStart"] / 1000)


@pytest.fixture
def playwright() -> Iterator[Playwright]:
    need_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


def test_four_tabs_for_two_minutes(playwright: Playwright, tmp_path: Path) -> None:
    with serving_site(tmp_path, **SETTINGS) as site:
        chromium = DiskChromium(playwright, tmp_path / "profile")
        try:
            visit = Visit(chromium, site, random.Random(7))
            visit.sign_up()
            site.quicken(SPEED)
            visit.go_on(SECONDS)
            who = visit.ask()
        finally:
            chromium.kill()
        happened = Counter(event["name"] for event in site.events())
        asked = Counter(_kind_of(request) for request in site.requests())
        statuses = Counter(answer["status"] for answer in site.answers())
    figures = f"{dict(happened)}\n{dict(asked)}\n{dict(statuses)}\n{dict(visit.done)}\n"
    figures += f"the slowest answer began after {visit.slowest_seconds:.2f} s"
    print(figures)
    site.check_that_nobody_was_signed_out()
    assert who == EMAIL
    assert set(statuses) == {"200 OK"}
    assert happened["session_rotated"] >= 4, "two minutes are enough for five"
    assert set(asked) == KINDS
    assert all(visit.done[act] for act in visit.acts()) and visit.done["crashed"]


def _kind_of(request: dict[str, Any]) -> str:
    return "prerender" if "prerender" in request["purpose"] else "/" + request["path"].split("/")[1]
