"""One story that every framework's example has to tell, through its own test client."""

from __future__ import annotations

import threading
from typing import Protocol

import pytest

from wsgi_sessions import SessionManager, StoreUnavailableError
from wsgi_sessions_testing import FakeClock

EMAIL, PASSWORD = "ada@example.org", "correct horse"
CREDENTIALS = {"email": EMAIL, "password": PASSWORD}


class Answer(Protocol):
    """What a test client gives, as ``Site`` hands it on."""

    status: int
    text: str
    location: str | None
    cookies: list[str]
    retry_after: str | None


class Site(Protocol):
    """One browser at the example, driven by the framework's own test client."""

    name: str
    redirects_visitors: bool

    def get(self, path: str) -> Answer: ...

    def post(self, path: str, form: dict[str, str], *, origin: str | None = ...) -> Answer: ...


class Story:
    """The claims; a test class inherits them and gives a ``site``."""

    def sign_up(self, site: Site) -> Answer:
        return site.post("/sign-up", {"name": "Ada <3", **CREDENTIALS})

    def test_signing_up_out_and_in(self, site: Site) -> None:
        entrance = site.get("/")
        assert (entrance.status, entrance.cookies) == (200, [])

        signed_up = self.sign_up(site)
        assert signed_up.status in (302, 303)
        assert (signed_up.location or "").endswith("/account")
        names = [line.partition("=")[0] for line in signed_up.cookies]
        assert names == ["session_token", "known_device"]
        for attribute in ("session_token=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800"):
            assert attribute in signed_up.cookies[0]

        account = site.get("/account")
        assert account.status == 200
        assert "Hello, <bdi>Ada &lt;3</bdi>!" in account.text
        assert account.cookies == []

        signed_out = site.post("/sign-out", {})
        assert signed_out.status in (302, 303)
        assert [line.partition("=")[0] for line in signed_out.cookies] == [
            "session_token",
            "session_data",
        ]
        assert site.get("/account").status in (302, 401)
        assert site.post("/sign-in", CREDENTIALS).status in (302, 303)
        assert site.get("/account").status == 200

    def test_visitors_are_turned_away_by_the_apps_own_means(self, site: Site) -> None:
        answer = site.get("/account")
        if site.redirects_visitors:
            assert answer.status == 302
            assert (answer.location or "").endswith("/?next=%2Faccount")
        else:
            assert answer.status == 401
            assert f"401 from {site.name}" in answer.text

    def test_a_wrong_password_gets_the_apps_own_page(self, site: Site) -> None:
        self.sign_up(site)
        site.post("/sign-out", {})
        answer = site.post("/sign-in", {"email": EMAIL, "password": "wrong horse"})
        assert (answer.status, answer.location) == (401, None)
        assert f"401 from {site.name}" in answer.text
        assert "Invalid email or password" in answer.text
        short = site.post("/sign-up", {"name": "B", "email": "b@example.org", "password": "x"})
        assert (short.status, f"400 from {site.name}" in short.text) == (400, True)

    def test_whoever_is_known_can_not_sign_up_again(self, site: Site) -> None:
        self.sign_up(site)
        answer = self.sign_up(site)
        assert (answer.status, f"422 from {site.name}" in answer.text) == (422, True)

    def test_a_form_without_its_fields_is_refused(self, site: Site) -> None:
        assert site.post("/sign-up", {"name": "Ada"}).status == 400
        assert site.post("/sign-in", {"email": EMAIL}).status in (400, 401)

    def test_a_form_of_another_site_is_refused(self, site: Site) -> None:
        self.sign_up(site)
        answer = site.post("/sign-out", {}, origin="https://evil.example")
        assert answer.status == 403
        assert site.get("/account").status == 200

    @pytest.mark.parametrize("origin", ["https://evil.example", "null"])
    def test_a_form_of_another_site_signs_nobody_in(self, site: Site, origin: str) -> None:
        """Without a cookie there is nobody to protect but whom it would sign in as another."""
        for path, form in (
            ("/sign-up", {"name": "Eve", **CREDENTIALS}),
            ("/sign-in", CREDENTIALS),
        ):
            answer = site.post(path, form, origin=origin)
            assert (answer.status, answer.cookies) == (403, [])

    def test_secrets_need_a_fresh_session(self, site: Site, clock: FakeClock) -> None:
        self.sign_up(site)
        assert site.get("/secrets").status == 200
        clock.advance(days=1)
        answer = site.get("/secrets")
        assert (answer.status, f"403 from {site.name}" in answer.text) == (403, True)
        assert "Bitte melden Sie sich noch einmal an." in answer.text
        assert site.get("/account").status == 200

    def test_a_rotated_token_reaches_the_browser_once(self, site: Site, clock: FakeClock) -> None:
        self.sign_up(site)
        clock.advance(days=1)
        assert len(site.get("/account").cookies) == 1
        assert site.get("/account").cookies == []
        clock.advance(days=1)
        assert site.get("/account").status == 200

    def test_too_many_tries_are_told_to_wait(self, site: Site) -> None:
        for _ in range(5):
            site.post("/sign-in", {"email": EMAIL, "password": "wrong horse"})
        answer = site.post("/sign-in", CREDENTIALS)
        assert answer.status == 429
        assert 1 <= int(answer.retry_after or 0) <= 60

    def test_a_server_that_hashes_for_too_many_is_told_to_be_busy(
        self, site: Site, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hasher = manager.parts.accounts.hasher
        with monkeypatch.context() as patch:
            patch.setattr(hasher, "_queue", threading.BoundedSemaphore(1))
            with hasher._place():
                answer = site.post("/sign-in", CREDENTIALS)
        assert (answer.status, answer.retry_after) == (503, "5")

    def test_a_database_that_is_away_signs_nobody_out(
        self, site: Site, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.sign_up(site)
        with monkeypatch.context() as patch:
            patch.setattr(manager.parts.store.sessions, "find", away)
            answer = site.get("/account")
        assert (answer.status, answer.retry_after, answer.cookies) == (503, "5", [])
        with monkeypatch.context() as patch:
            patch.setattr(manager.parts.store.users, "find_by_email", away)
            patch.setattr(manager.parts.store.accounts, "find_credential_by_email", away)
            answer = site.post("/sign-in", CREDENTIALS)
        assert (answer.status, answer.retry_after) == (503, "5")
        assert site.get("/account").status == 200

    def test_data_that_could_not_be_stored_is_not_called_stored(
        self, site: Site, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.sign_up(site)
        assert site.get("/visits").text == "visits: 1"
        with monkeypatch.context() as patch:
            patch.setattr(manager.parts.store.sessions, "merge_data", away)
            answer = site.get("/visits")
        assert (answer.status, answer.retry_after) == (503, "5")
        assert "visits" not in answer.text
        assert site.get("/visits").text == "visits: 2"

    def test_a_streamed_body_changes_data_that_was_opened_before(
        self, site: Site, manager: SessionManager
    ) -> None:
        self.sign_up(site)
        assert site.get("/stream").text == "one two"
        user = manager.parts.store.users.find_by_email(EMAIL)
        assert user is not None
        [session] = manager.list_sessions(user.id)
        assert dict(session.data) == {"sent": ["one", "two"]}

    def test_the_json_api_is_there(self, site: Site) -> None:
        self.sign_up(site)
        answer = site.get("/api/auth/get-session")
        assert answer.status == 200 and EMAIL in answer.text
        assert site.get("/api/auth/nothing").status == 404


def away(*_: object, **__: object) -> None:
    raise StoreUnavailableError("away")
