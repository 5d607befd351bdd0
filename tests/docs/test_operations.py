"""The stories of the page on operation, played again: the same commands print the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.cli.sites import PASSWORD, SECRET, Line
from wsgi_sessions import SessionManager
from wsgi_sessions.records import RequestFacts
from wsgi_sessions_testing import FakeClock
from wsgi_sessions_testing.settings import CHEAP_PASSWORDS

from .pages import blocks_of

PAGE = "docs/operations.md"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)


def shown_on_page() -> list[tuple[list[str], str]]:
    """Return each command with what it printed."""
    found = []
    for block in blocks_of(PAGE, "console"):
        for part in block.text.split("$ ")[1:]:
            typed, _, printed = part.partition("\n")
            if typed.startswith("wsgi-sessions "):
                arguments = typed.removeprefix("wsgi-sessions ").partition(" <")[0].split()
                found.append((arguments, printed))
    return found


SHOWN = shown_on_page()


def facts(address: str, agent: str) -> RequestFacts:
    return RequestFacts(address, agent, is_https=True, method="POST", path="/")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 11, 25, 7, 42, 39, tzinfo=timezone.utc))


@pytest.fixture
def manager(clock: FakeClock, tmp_path: Path) -> Iterator[SessionManager]:
    url = f"sqlite:///{tmp_path}/shop.db"
    manager = SessionManager(url, secret=SECRET, clock=clock, password=CHEAP_PASSWORDS)
    yield manager
    manager.close()


def without_ids(text: str) -> list[list[str]]:
    """Return the words of each line, without the ids of sessions and users."""
    return [re.sub(r"(?<!\S)[\w-]{24}(?!\S)", "", line).split() for line in text.splitlines()]


def check(line: Line, shown: tuple[list[str], str]) -> None:
    arguments, printed = shown
    assert without_ids(line(*arguments).output.strip()) == without_ids(printed.strip())


def test_why_ada_was_signed_out(manager: SessionManager, clock: FakeClock) -> None:
    laptop, phone = facts("203.0.113.5", FIREFOX), facts("198.51.100.7", IPHONE)
    email = "ada@example.org"
    ada = manager.sign_up_email(name="Ada", email=email, password=PASSWORD, facts=laptop)
    clock.advance(hours=20)
    on_phone = manager.sign_in_email(email=email, password=PASSWORD, facts=phone)
    assert on_phone.session is not None
    clock.advance(hours=5)
    manager.change_password(
        ada.user.id,
        current_password=PASSWORD,
        new_password="battery staple correct",
        facts=phone,
        replaces=on_phone.session.id,
    )
    line = Line(manager)

    for shown in SHOWN[:2]:
        check(line, shown)


def test_everything_that_began_before_an_instant(manager: SessionManager, clock: FakeClock) -> None:
    clock.advance(days=3, seconds=52)
    for name in ("ada", "bob", "eve"):
        if name == "eve":
            clock.advance(seconds=5)
        manager.sign_up_email(
            name=name,
            email=f"{name}@example.org",
            password=PASSWORD,
            facts=facts("127.0.0.1", "curl/8.5.0"),
        )
    clock.advance(seconds=3)
    line = Line(manager)

    for shown in SHOWN[2:]:
        check(line, shown)


def test_each_command_of_the_page_is_played() -> None:
    assert [arguments[0] for arguments, _ in SHOWN] == [
        *("why", "sessions", "revoke-everything", "revoke-everything", "why")
    ]
