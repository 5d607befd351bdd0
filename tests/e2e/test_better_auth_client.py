"""The npm package ``better-auth``, unchanged, in Node against the server: whole stories.

Two tabs are for ``test_react_app.py``: the client tells other tabs by the ``storage`` event of a
window's ``localStorage``, and Node has no windows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import error_classes

from .service import Node, Service, serving

EMAIL, PASSWORD = "ada@example.org", "correct horse"
DAY = 86_400
NPM_CODES = Path(__file__).parent / "node/node_modules/@better-auth/core/dist/error/codes.mjs"
MINUTE = 60
WITHOUT_CACHE: dict[str, Any] = {}
WITH_CACHE = {"cookie_cache": True}


class Device:
    """One device of the tests: what it calls comes back as data, or as an error."""

    def __init__(self, node: Node, name: str, **options: Any) -> None:
        self._node = node
        self._name = name
        self._options = options

    def ask(self, call: str, *args: Any) -> Any:
        return self._node.call(self._name, call, *args, **self._options)

    def do(self, call: str, *args: Any) -> Any:
        answer = self.ask(call, *args)
        assert answer["error"] is None, answer["error"]
        return answer["data"]

    def refused(self, call: str, *args: Any) -> tuple[int, str]:
        answer = self.ask(call, *args)
        assert answer["data"] is None
        return answer["error"]["status"], answer["error"]["code"]

    def sign_up(self) -> Any:
        return self.do("signUp.email", {"name": "Ada", "email": EMAIL, "password": PASSWORD})

    def sign_in(self, **more: Any) -> Any:
        return self.do("signIn.email", {"email": EMAIL, "password": PASSWORD, **more})

    def find_session(self) -> Any:
        """Return what ``getSession`` shows of the session, or None."""
        found = self.do("getSession")
        return None if found is None else found["session"]

    def shows(self, **wanted: Any) -> dict[str, Any]:
        """Wait until ``useSession()`` shows this, and return all that it shows then."""
        seen: list[dict[str, Any]] = self.ask("sessionShows", wanted)
        return seen[-1]

    def notify(self) -> None:
        """Have ``useSession()`` ask again, as a page does by the store's signal."""
        self.ask("$store.notify", "$sessionSignal")

    @property
    def cookies(self) -> dict[str, dict[str, Any]]:
        return {cookie["key"]: cookie for cookie in self.ask("jar")}


Devices = Callable[..., Device]


@pytest.fixture(params=[WITHOUT_CACHE, WITH_CACHE], ids=["no cache", "cookie cache"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    fields = {"session_fields": {"theme": "string"}}
    with serving(tmp_path, **fields, **request.param) as service:
        yield service


@pytest.fixture
def device(service: Service) -> Iterator[Devices]:
    node = Node(service.url)
    yield lambda name, **options: Device(node, name, **options)
    node.close()


def test_an_account_from_sign_up_to_its_end(device: Devices, service: Service) -> None:
    laptop, phone = device("laptop"), device("phone")

    # Nobody yet.
    assert laptop.find_session() is None
    assert laptop.refused("listSessions") == (401, "UNAUTHORIZED")
    unknown = laptop.refused("signIn.email", {"email": EMAIL, "password": PASSWORD})
    assert unknown == (401, "INVALID_EMAIL_OR_PASSWORD")
    assert laptop.do("signOut") == {"success": True}

    # Signing up signs in.
    made = laptop.sign_up()
    assert (made["user"]["name"], made["user"]["email"]) == ("Ada", EMAIL)
    found = laptop.do("getSession")
    assert found["user"] == made["user"]
    assert found["session"]["token"] == found["session"]["id"] == made["token"]
    assert found["session"]["userAgent"] == "Node of laptop"
    assert found["session"]["ipAddress"] == "127.0.0.1"
    again = {"name": "Ada", "email": EMAIL, "password": PASSWORD}
    assert phone.refused("signUp.email", again) == (422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")

    # A second device, after a wrong password.
    wrong = phone.refused("signIn.email", {"email": EMAIL, "password": "wrong horse"})
    assert wrong == unknown
    signed_in = phone.sign_in()
    assert signed_in["redirect"] is False
    listed = phone.do("listSessions")
    assert {one["userAgent"] for one in listed} == {"Node of laptop", "Node of phone"}

    # The user changes; both devices show it, a cached copy at its end at the latest.
    assert laptop.do("updateUser", {"name": "Ada L."}) == {"status": True}
    assert laptop.do("getSession")["user"]["name"] == "Ada L."
    service.advance(5 * MINUTE + 1)
    assert phone.do("getSession")["user"]["name"] == "Ada L."
    assert laptop.refused("updateUser", {"email": "new@example.org"})[1] == (
        "EMAIL_CAN_NOT_BE_UPDATED"
    )
    theme = laptop.do("$fetch", "/update-session", {"method": "POST", "body": {"theme": "dark"}})
    assert theme["session"]["theme"] == "dark"
    assert laptop.find_session()["theme"] == "dark" and phone.find_session()["theme"] is None

    # A new password ends the other device's session and replaces this one.
    before = laptop.find_session()["id"]
    body: dict[str, Any] = {"currentPassword": "wrong horse", "newPassword": "another horse"}
    assert laptop.refused("changePassword", body) == (400, "INVALID_PASSWORD")
    body = {
        "currentPassword": PASSWORD,
        "newPassword": "another horse",
        "revokeOtherSessions": True,
    }
    laptop.do("changePassword", body)
    assert laptop.find_session()["id"] != before
    service.advance(2)
    assert phone.find_session() is None
    assert phone.refused("signIn.email", {"email": EMAIL, "password": PASSWORD})[0] == 401

    # Gone.
    laptop.do("deleteUser", {"password": "another horse"})
    assert laptop.find_session() is None
    body = {"email": EMAIL, "password": "another horse"}
    assert laptop.refused("signIn.email", body) == unknown


@pytest.mark.parametrize("service", [WITHOUT_CACHE], indirect=True)
def test_people_read_a_plain_message(device: Devices, service: Service) -> None:
    laptop = device("laptop")

    def message(call: str, *args: Any) -> str:
        said: str = laptop.ask(call, *args)["error"]["message"]
        return said

    short = {"name": "Ada", "email": EMAIL, "password": "short"}
    told = message("signUp.email", short)
    assert told == "Password too short. Use 8 or more characters."
    laptop.sign_up()
    taken = {"name": "Ada", "email": EMAIL, "password": PASSWORD}
    assert message("signUp.email", taken) == "User already exists. Use another email."
    wrong = {"email": EMAIL, "password": "wrong horse"}
    assert message("signIn.email", wrong) == "Invalid email or password"
    change = {"currentPassword": "wrong horse", "newPassword": "another horse"}
    assert message("changePassword", change) == "Invalid password"


def test_our_messages_begin_with_those_of_the_npm_package() -> None:
    """So whoever comes from a server of theirs finds the words that people know."""
    source = NPM_CODES.read_text(encoding="utf-8")
    theirs = dict(re.findall(r'^\s*([A-Z_]+): "(.+)",?$', source, re.MULTILINE))
    ours = {kind.code: kind.message for kind in error_classes()}
    shared = ours.keys() & theirs.keys() - {"VALIDATION_ERROR"}  # ours says what is wrong
    assert len(shared) > 15
    for code in shared:
        phrase = theirs[code].partition(". ")[0].rstrip(".")
        assert ours[code].startswith(phrase), code


def test_revoking_one_others_and_all(device: Devices, service: Service) -> None:
    laptop, phone, tablet = device("laptop"), device("phone"), device("tablet")
    laptop.sign_up()
    for other in (phone, tablet):
        other.sign_in()

    ended = phone.find_session()["token"]
    assert laptop.do("revokeSession", {"token": ended}) == {"status": True}
    service.advance(2)
    assert phone.find_session() is None
    assert tablet.find_session() is not None and laptop.find_session() is not None

    assert laptop.do("revokeOtherSessions") == {"status": True}
    service.advance(2)
    assert tablet.find_session() is None and laptop.find_session() is not None

    phone.sign_in()
    assert laptop.do("revokeSessions") == {"status": True}
    service.advance(2)
    assert laptop.find_session() is None and phone.find_session() is None
    assert "session_token" not in laptop.cookies


def test_somebody_else_ends_nothing(device: Devices, service: Service) -> None:
    ada, eve = device("laptop"), device("eve")
    ada.sign_up()
    eve.do("signUp.email", {"name": "Eve", "email": "eve@example.org", "password": PASSWORD})
    assert eve.do("revokeSession", {"token": ada.find_session()["id"]}) == {"status": True}
    service.advance(2)
    assert ada.find_session() is not None


def test_a_session_that_is_not_remembered_ends_with_the_browser(device: Devices) -> None:
    remembered, forgotten = device("laptop"), device("library")
    remembered.sign_up()
    forgotten.sign_in(rememberMe=False)
    assert "maxAge" in remembered.cookies["session_token"]
    assert forgotten.cookies["session_token"].get("maxAge") is None
    for one in (remembered, forgotten):
        one.ask("restart")
    assert remembered.find_session() is not None and forgotten.find_session() is None


def test_a_day_later_the_token_is_another_and_the_session_the_same(
    device: Devices, service: Service
) -> None:
    laptop = device("laptop")
    laptop.sign_up()
    before, token = laptop.find_session(), laptop.cookies["session_token"]["value"]
    for _ in range(3):
        service.advance(DAY + 1)
        # Asked twice: the first response offers, the second request confirms.
        assert laptop.find_session()["id"] == laptop.find_session()["id"] == before["id"]
        assert laptop.cookies["session_token"]["value"] != token
        token = laptop.cookies["session_token"]["value"]
    assert laptop.find_session()["expiresAt"] > before["expiresAt"]
    service.advance(7 * DAY)
    assert laptop.find_session() is None


def test_cookies_are_out_of_reach_for_scripts(device: Devices, service: Service) -> None:
    laptop = device("laptop")
    laptop.sign_up()
    expected = {"session_token"} | (
        {"session_data"} if "cookie_cache" in service.settings else set()
    )
    assert set(laptop.cookies) == expected
    for cookie in laptop.cookies.values():
        assert cookie["httpOnly"] is True and cookie["sameSite"] == "lax"


def test_a_page_of_another_origin_is_refused(device: Devices) -> None:
    ada = device("laptop")
    ada.sign_up()
    evil = device("evil", origin="https://evil.example")
    # Without cookies, too: a browser could be signed in as somebody else.
    sign_in = {"email": EMAIL, "password": PASSWORD}
    assert evil.refused("signIn.email", sign_in) == (403, "INVALID_ORIGIN")
    assert evil.refused("signOut") == (403, "INVALID_ORIGIN")
    assert evil.refused("updateUser", {"name": "Eve"}) == (403, "INVALID_ORIGIN")
    silent = device("silent", origin=None)
    silent.sign_in()
    assert silent.refused("signOut") == (403, "MISSING_OR_NULL_ORIGIN")
    assert ada.do("getSession")["user"]["name"] == "Ada"


def test_a_server_that_goes_away_signs_nobody_out(device: Devices, service: Service) -> None:
    laptop = device("laptop")
    laptop.sign_up()
    service.stop()
    with pytest.raises(ConnectionError, match="fetch failed"):
        laptop.ask("getSession")
    service.start()
    assert laptop.find_session() is not None


def test_a_database_that_goes_away_is_no_sign_out(device: Devices, service: Service) -> None:
    laptop = device("laptop")
    laptop.sign_up()
    service.advance(5 * MINUTE + 1)  # past any cached copy
    with service.database_away():
        answer = laptop.ask("getSession")
        assert (answer["error"]["status"], answer["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert laptop.find_session() is not None


class TestUseSession:
    """The atom behind ``useSession()``: what a page that subscribes to it is shown."""

    def watching(self, device: Devices) -> Device:
        """Return a device whose page has subscribed before anything happens.

        A window would ask at once; in Node the atom waits for the first change, and one from
        before somebody subscribes is none.
        """
        laptop = device("laptop")
        assert laptop.shows(email=None, isPending=True)["error"] is None
        return laptop

    def test_follows_sign_up_and_out_and_in(self, device: Devices) -> None:
        laptop = self.watching(device)

        laptop.sign_up()
        assert laptop.shows(email=EMAIL, isPending=False)["name"] == "Ada"
        laptop.do("updateUser", {"name": "Ada L."})
        laptop.shows(name="Ada L.")
        laptop.do("signOut")
        laptop.shows(email=None, isPending=False)
        laptop.sign_in()
        laptop.shows(email=EMAIL, isPending=False)

    def test_follows_the_end_of_all_sessions(self, device: Devices) -> None:
        laptop = self.watching(device)
        laptop.sign_up()
        laptop.shows(email=EMAIL)

        laptop.do("revokeSessions")

        laptop.shows(email=None, isPending=False)

    def test_keeps_who_is_signed_in_while_the_database_is_away(
        self, device: Devices, service: Service
    ) -> None:
        laptop = self.watching(device)
        laptop.sign_up()
        laptop.shows(email=EMAIL)
        service.advance(5 * MINUTE + 1)  # past any cached copy

        with service.database_away():
            laptop.notify()
            assert laptop.shows(error=503)["email"] == EMAIL

        laptop.notify()
        laptop.shows(error=None, email=EMAIL)

    def test_keeps_who_is_signed_in_while_the_server_is_away(
        self, device: Devices, service: Service
    ) -> None:
        laptop = self.watching(device)
        laptop.sign_up()
        laptop.shows(email=EMAIL)

        service.stop()
        laptop.notify()
        assert laptop.shows(error="no answer")["email"] == EMAIL

        service.start()
        laptop.notify()
        laptop.shows(error=None, email=EMAIL)
