"""A served site whose sessions rotate, and what its pages, events and requests tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .people import EMAIL, PASSWORD
from .service import Service, closing_service, read_notes, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

DAY = 86_400
GRACE = 60
WINDOW = 3 * GRACE
SIGN_UP = """async (who) => (await fetch("/api/auth/sign-up/email", {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify(who),
})).status"""
ASK = """async (path) => (await (await fetch(path, {cache: "no-store"})).json()).user"""


class Site(Service):
    """The site of ``rotation_app``; ``url`` may be that of a way to it."""

    application = "tests.e2e.rotation_app:application"

    def let(self, name: str, count: int) -> None:
        """Let the first answers of a name go that are held."""
        draft = self.folder / f"let-{name}.new"
        draft.write_text(str(count))
        draft.replace(self.folder / f"let-{name}")

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what happened, of one name or of any."""
        found = read_notes(self.folder / "events")
        return [event for event in found if name in (None, event["name"])]

    def requests(self, path: str = "/") -> list[dict[str, Any]]:
        """Return the requests that reached the application, for paths that begin so."""
        return [
            note for note in read_notes(self.folder / "requests") if note["path"].startswith(path)
        ]

    def answers(self) -> list[dict[str, Any]]:
        """Return the answers that the application began."""
        return read_notes(self.folder / "answers")

    def wait_for_request(self, path: str, count: int = 1) -> None:
        """Wait until so many requests have reached the application."""
        wait_until(lambda: len(self.requests(path)) >= count, f"{count} requests for {path}")

    def check_that_nobody_was_signed_out(self) -> None:
        """Find neither an end of a session nor a replay among the events."""
        happened = Counter(event["name"] for event in self.events())
        assert happened["session_created"] == 1, happened
        assert not happened["session_replayed"] and not happened["session_ended"], happened


@contextmanager
def serving_site(folder: Path, **settings: Any) -> Iterator[Site]:
    """Serve until the end of the block, at default settings unless others are given."""
    site = Site(folder, **settings)
    with closing_service(site):
        yield site


def open_page(context: BrowserContext, url: str) -> Page:
    """Open the site in a new tab."""
    page = context.new_page()
    page.goto(url)
    return page


def sign_up(page: Page, email: str = EMAIL) -> None:
    """Make an account, and a session."""
    assert page.evaluate(SIGN_UP, {"name": "Ada", "email": email, "password": PASSWORD}) == 200
    assert ask(page) == email


def ask(page: Page, path: str = "/me") -> Any:
    """Return whom the site takes this browser for: an e-mail address or None."""
    return page.evaluate(ASK, path)


def rotate(page: Page, site: Site) -> None:
    """Let a day pass, have the next token offered, and confirm it."""
    before = len(site.events("session_rotated"))
    site.advance(DAY + 1)
    assert ask(page) == EMAIL
    assert ask(page) == EMAIL
    assert len(site.events("session_rotated")) == before + 1


def token_of(context: BrowserContext) -> str:
    """Return the session token in the jar."""
    [value] = [one["value"] for one in context.cookies() if one["name"] == "session_token"]
    return value


def generation_of(context: BrowserContext) -> int:
    return int(token_of(context).split(".")[2])
