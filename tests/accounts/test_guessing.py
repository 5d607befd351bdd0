"""Guesses at one account within a minute, and its owner meanwhile; the docs give these counts.

Ten thousand with ``CI_FULL=1``; else fewer, from as many networks, as nothing changes after the
first hundred.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.client import EMAIL, PASSWORD, Client, make_manager
from tests.support import IS_FULL, new_clock
from wsgi_sessions import InvalidCredentialsError, SessionManager, ThrottleConfig, TooManyTriesError
from wsgi_sessions.accounts.passwords import PasswordHasher, Verdict
from wsgi_sessions.records import NO_FACTS
from wsgi_sessions_testing import FakeClock, Mailbox

GUESSES = 10_000 if IS_FULL else 1_000
PLACES: dict[str, Callable[[int], str]] = {
    "one address": lambda _: "203.0.113.9",
    "one /48": lambda number: f"2001:db8:0:{number % 65536:x}::{number:x}",
    "a thousand networks": lambda number: f"10.{number % 1000 // 250}.{number % 250}.9",
}


class Site:
    """A site whose owner has signed up in a browser, and what was asked of the hasher."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checked: list[str] = []

        def verify(_: PasswordHasher, stored: str | None, password: str) -> Verdict:
            self.checked.append(password)
            return Verdict(stored is not None and password == PASSWORD)

        self.clock: FakeClock = new_clock()
        self.manager: SessionManager = make_manager(self.clock, throttle=ThrottleConfig())
        self.owner = Client(self.manager)
        assert self.owner.sign_up().status == 200
        assert self.owner.post("/sign-out").status == 200
        monkeypatch.setattr(PasswordHasher, "verify", verify)

    def guess(self, password: str, address: str, email: str = EMAIL) -> bool:
        """Return whether the guess was looked at."""
        facts = NO_FACTS._replace(address=address)
        try:
            self.manager.sign_in_email(email=email, password=password, facts=facts)
        except InvalidCredentialsError:
            return True
        except TooManyTriesError:
            return False
        raise AssertionError("a wrong password was taken")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(monkeypatch)


@pytest.mark.parametrize(
    ("place", "checked", "elsewhere"),
    [("one address", 10, 200), ("one /48", 10, 200), ("a thousand networks", 100, 429)],
)
def test_the_owner_gets_in_on_a_known_device_whatever_is_guessed(
    site: Site, place: str, checked: int, elsewhere: int
) -> None:
    looked_at = sum(site.guess(f"guess {n}", PLACES[place](n)) for n in range(GUESSES))
    assert (looked_at, len(site.checked)) == (checked, checked)

    assert Client(site.manager, address="198.51.100.7").sign_in().status == elsewhere
    for _ in range(3):
        assert site.owner.sign_in().status == 200
        assert site.owner.post("/sign-out").status == 200
    site.clock.advance(minutes=1)
    assert Client(site.manager, address="198.51.100.7").sign_in().status == 200


def test_the_owner_gets_in_where_the_guesses_come_from_their_own_address(site: Site) -> None:
    for number in range(200):
        site.guess(f"guess {number}", "192.0.2.1", f"user{number}@example.org")
    assert len(site.checked) == 50
    assert site.owner.sign_in().status == 200
    assert Client(site.manager).sign_in().status == 429, "a new browser there waits"


def test_one_password_tried_on_many_accounts_is_stopped_in_a_48(site: Site) -> None:
    for number in range(600):
        site.guess("password1", PLACES["one /48"](number), f"user{number}@example.org")
    assert len(site.checked) == 100


def test_colleagues_who_mistype_keep_nobody_out(site: Site) -> None:
    for number in range(15):
        for _ in range(3):
            assert site.guess("mistyped", "192.0.2.1", f"colleague{number}@example.org")
    assert Client(site.manager).sign_in().status == 200


def test_a_thief_of_the_device_cookie_has_ten_tries_more_and_locks_nobody_out(site: Site) -> None:
    thief = Client(site.manager, cookies=site.owner.cookies, address="203.0.113.9")
    answers = [thief.sign_in(password="guess").status for _ in range(40)]
    assert answers == [401] * 20 + [429] * 20
    assert site.owner.sign_in().status == 200


def test_who_knew_the_password_once_has_no_endless_tries_at_the_next_one(site: Site) -> None:
    """Each sign-in gives a device cookie, and a new password leaves them as they are."""
    cookies: list[dict[str, str]] = []
    for _ in range(20):
        eve = Client(site.manager, address="203.0.113.9")
        assert eve.sign_in().status == 200
        cookies.append({"known_device": eve.cookies["known_device"]})
    site.checked.clear()
    for number in range(300):
        eve.cookies = cookies[number % 20]
        eve.sign_in(password=f"guess {number}")
    assert len(site.checked) == 100 + 10
    assert site.owner.sign_in().status == 200


def test_the_owner_gets_in_by_a_new_address_where_they_have_changed_it(site: Site) -> None:
    mailbox, new = Mailbox(site.manager), "ada@new.example"
    assert site.owner.sign_in().status == 200
    assert site.owner.post("/change-email", {"newEmail": new}).status == 200
    query = f"token={mailbox.last('change-email').token}"
    assert site.owner.get("/verify-email", query=query).status == 200
    assert site.owner.post("/sign-out").status == 200
    for number in range(200):
        site.guess(f"guess {number}", PLACES["a thousand networks"](number), new)
    assert Client(site.manager).sign_in(email=new).status == 429
    assert site.owner.sign_in(email=new).status == 200


def test_a_thief_of_the_session_has_ten_tries_at_the_password(site: Site) -> None:
    assert site.owner.sign_in().status == 200
    site.checked.clear()
    body = {"currentPassword": "guess", "newPassword": "another horse"}
    answers = [site.owner.post("/change-password", body).status for _ in range(20)]
    assert answers == [400] * 10 + [429] * 10
    assert site.owner.post("/delete-user", {"password": "guess"}).status == 429
    assert len(site.checked) == 10
