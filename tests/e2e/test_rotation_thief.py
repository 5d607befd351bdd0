"""A thief with a copy of Chromium's jar, who asks whenever it helps him: both can't go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenarios.servers import Visitor

from .chromium import launched
from .people import FIREFOX
from .rotation import DAY, GRACE, WINDOW, Site, ask, open_page, serving_site, sign_up, token_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Asks = Callable[[], Any]
"""Returns whom the site takes somebody for: an e-mail address or None."""
OWNER, THIEF = "owner", "thief"
NUMBERS = count()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # A purge goes on after an answer, and a settling does not wait for it: it is left to the next.
    with serving_site(tmp_path_factory.mktemp("site"), purge_interval=365 * DAY) as site:
        yield site


class Theft:
    """An owner in Chromium, and a thief who has copied the jar a minute before the rotation."""

    def __init__(self, chromium: Browser, site: Site, *, thief: str) -> None:
        self.site = site
        self._chromium = chromium
        self.contexts = [chromium.new_context()]
        page = open_page(self.contexts[0], site.url)
        self.email = f"owner{next(NUMBERS)}@example.org"
        sign_up(page, self.email)
        site.advance(DAY - GRACE)
        self.owner: Asks = lambda: ask(page)
        self.thief = getattr(self, f"_in_{thief}")(token_of(self.contexts[0]))
        self._events_before = len(site.events())
        site.advance(GRACE + 1)

    def _in_chromium(self, token: str) -> Asks:
        self.contexts.append(context := self._chromium.new_context(user_agent=FIREFOX))
        context.add_cookies([{"name": "session_token", "value": token, "url": self.site.url}])
        page = open_page(context, self.site.url)
        return lambda: ask(page)

    def _in_python(self, token: str) -> Asks:
        return Visitor(self.site.port, {"session_token": token}).user

    def events(self, name: str) -> list[Any]:
        """Return the events of a name since the theft."""
        return [one for one in self.site.events()[self._events_before :] if one["name"] == name]

    def both(self, *, first: str) -> list[Asks]:
        """Return owner and thief in the order in which they ask."""
        return [self.owner, self.thief] if first == OWNER else [self.thief, self.owner]

    def check_that_both_are_out(self, *, first: str) -> None:
        """Who asks first after the window goes on, until the other asks: found out, once."""
        one, other = self.both(first=first)
        assert one() == self.email
        assert other() is None
        assert one() is None and other() is None
        assert len(self.events("session_replayed")) == 1
        [ended] = self.events("session_ended")
        assert ended["reason"] == "replayed"


@pytest.fixture
def theft(chromium: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Theft]:
    theft = Theft(chromium, site, thief=request.param)
    yield theft
    for context in theft.contexts:
        context.close()


@pytest.mark.parametrize(
    ("confirms", "settles", "theft"),
    [
        (OWNER, OWNER, "python"),
        (OWNER, THIEF, "chromium"),
        (THIEF, OWNER, "chromium"),
        (THIEF, THIEF, "python"),
    ],
    indirect=["theft"],
)
def test_thief_who_asks_once_in_each_window(confirms: str, settles: str, theft: Theft) -> None:
    # Both are offered the next token, one confirms his, and the other comes within the window.
    for who in theft.both(first=confirms) * 2:
        assert who() == theft.email
    assert len(theft.events("session_rotated")) == 1

    theft.site.advance(WINDOW + 1)
    theft.check_that_both_are_out(first=settles)


@pytest.mark.parametrize(
    ("settles", "theft"), [(OWNER, "chromium"), (THIEF, "python")], indirect=["theft"]
)
def test_thief_who_catches_up(settles: str, theft: Theft) -> None:
    """He keeps the token before, as if he were a browser that was killed: one window more."""
    assert theft.owner() == theft.owner() == theft.email
    theft.site.advance(WINDOW - 1)
    assert theft.thief() == theft.thief() == theft.email
    theft.site.advance(WINDOW - 1)
    assert theft.owner() == theft.email

    theft.site.advance(2)
    theft.check_that_both_are_out(first=settles)


@pytest.mark.parametrize("settles", [OWNER, THIEF])
@pytest.mark.parametrize("theft", ["python"], indirect=True)
def test_owner_who_was_overtaken(settles: str, theft: Theft) -> None:
    """He still has the token before, and catches up: with his second request a window begins."""
    assert theft.thief() == theft.thief() == theft.email
    theft.site.advance(WINDOW + 1)
    assert theft.owner() == theft.owner() == theft.email
    assert theft.thief() == theft.email

    theft.site.advance(WINDOW + 1)
    theft.check_that_both_are_out(first=settles)


@pytest.mark.parametrize("theft", ["python"], indirect=True)
def test_owner_who_was_away(theft: Theft) -> None:
    """Whoever goes on alone settles, and the first request of the other ends the session."""
    assert theft.thief() == theft.thief() == theft.email
    theft.site.advance(WINDOW + 1)
    theft.check_that_both_are_out(first=THIEF)
