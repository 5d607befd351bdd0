"""The calls about mails: what a page asks, what the link in a mail does, and what tells nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import new_clock
from wsgi_sessions_testing import FakeClock, Mailbox

from .client import EMAIL, ORIGIN, Answer, Client, make_manager

NEW_EMAIL, NEW_PASSWORD = "ada@example.net", "another horse"
FRONT = "https://front.example.net"


@pytest.fixture
def clock() -> FakeClock:
    return new_clock()


@pytest.fixture(params=[False, True], ids=["no cache", "cookie cache"])
def client(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Client]:
    client = Client(
        make_manager(clock, trusted_origins=[FRONT], cookie_cache={"enabled": request.param})
    )
    yield client
    client.manager.close()


@pytest.fixture
def mailbox(client: Client) -> Mailbox:
    return Mailbox(client.manager)


def follow(client: Client, url: str | None, **options: Any) -> Answer:
    """Open a link to the API."""
    assert url is not None
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == ORIGIN
    return client.get(parts.path.removeprefix("/api/auth"), query=parts.query, **options)


def test_forgotten_password_is_set_anew(client: Client, mailbox: Mailbox) -> None:
    client.sign_up()
    thief = Client(client.manager)
    thief.sign_in()

    asked = client.post("/request-password-reset", {"email": EMAIL, "redirectTo": "/new-password"})
    mail = mailbox.last("reset-password")
    done = client.post("/reset-password", {"newPassword": NEW_PASSWORD, "token": mail.token})

    assert asked.json["status"] is True and done.json == {"status": True}
    assert mail.url == f"{ORIGIN}/new-password?token={mail.token}"
    assert thief.get("/get-session", query="disableCookieCache=true").json is None
    assert client.get("/get-session").json is None and client.cookies == {}
    assert client.sign_in().code == "INVALID_EMAIL_OR_PASSWORD"
    assert client.sign_in(password=NEW_PASSWORD).json["user"]["emailVerified"] is True


def test_token_of_a_reset_may_be_in_the_query(client: Client, mailbox: Mailbox) -> None:
    client.sign_up()
    client.post("/request-password-reset", {"email": EMAIL})
    query = f"token={mailbox.last().token}"
    body = b'{"newPassword": "another horse"}'
    assert client.send("POST", "/reset-password", payload=body, query=query).status == 200
    assert client.send("POST", "/reset-password", payload=body, query=query).code == "INVALID_TOKEN"
    assert client.send("POST", "/reset-password", payload=body).code == "INVALID_TOKEN"


def test_reset_by_another_user_leaves_the_session(client: Client, mailbox: Mailbox) -> None:
    client.sign_up(email="bob@example.org")
    client.post("/request-password-reset", {"email": "bob@example.org"})
    other = Client(client.manager)
    other.sign_up()
    body = {"newPassword": NEW_PASSWORD, "token": mailbox.last().token}
    assert other.post("/reset-password", body).status == 200
    assert other.get("/get-session").json["user"]["email"] == EMAIL


@pytest.mark.parametrize("path", ["/request-password-reset", "/send-verification-email"])
def test_answer_is_the_same_for_an_address_that_nobody_has(
    client: Client, mailbox: Mailbox, path: str
) -> None:
    client.sign_up()
    visitor = Client(client.manager)
    known, unknown = (
        visitor.post(path, {"email": email}) for email in (EMAIL, "nobody@example.org")
    )
    assert known == unknown
    assert len(mailbox) == 1


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("/new", True),
        (f"{FRONT}/new", True),
        (f"{ORIGIN}/new", True),
        ("http://evil.test/new", False),
        ("//evil.test/new", False),
        ("javascript:alert(1)", False),
        (f"{FRONT}.evil.test/", False),
        ("/" + "x" * 3000, False),
    ],
)
@pytest.mark.parametrize(
    ("path", "name"),
    [("/request-password-reset", "redirectTo"), ("/send-verification-email", "callbackURL")],
)
def test_link_leads_to_trusted_pages_alone(
    client: Client, path: str, name: str, url: str, is_taken: bool
) -> None:
    answer = client.post(path, {"email": EMAIL, name: url})
    assert (answer.status == 200) is is_taken
    assert is_taken or answer.code == "INVALID_CALLBACK_URL"


@pytest.mark.parametrize("path", ["/request-password-reset", "/send-verification-email"])
def test_host_of_the_request_leads_no_link_elsewhere(
    client: Client, mailbox: Mailbox, path: str
) -> None:
    client.sign_up()
    name = "redirectTo" if path.startswith("/request") else "callbackURL"
    attacker = Client(client.manager, origin=None)
    poisoned: dict[str, Any] = {"HTTP_HOST": "evil.test", "HTTP_X_FORWARDED_HOST": "evil.test"}

    sent = f'{{"email": "{EMAIL}"}}'.encode()
    attacker.send("POST", path, payload=sent, **poisoned)
    assert (mailbox.last().url or "").startswith(f"{ORIGIN}/")

    sent = f'{{"email": "{EMAIL}", "{name}": "http://evil.test/"}}'.encode()
    answer = attacker.send("POST", path, payload=sent, **poisoned)
    assert answer.code == "INVALID_CALLBACK_URL"
    assert len(mailbox) == 1


def test_address_is_verified_by_its_link(client: Client, mailbox: Mailbox) -> None:
    client.sign_up()
    client.post("/send-verification-email", {"email": EMAIL, "callbackURL": "/hello?a=b"})
    link = mailbox.last("verify-email").url

    answer = follow(client, link)

    assert (answer.status, answer.header("Location")) == (302, "/hello?a=b")
    assert client.get("/get-session").json["user"]["emailVerified"] is True


def test_link_leads_on_to_the_site_where_a_proxy_hides_its_name(clock: FakeClock) -> None:
    client = Client(make_manager(clock, site_url="https://www.example.net"))
    mailbox = Mailbox(client.manager)
    client.sign_up()
    page = "https://www.example.net/welcome"
    client.post("/send-verification-email", {"email": EMAIL, "callbackURL": page})
    query = urlsplit(mailbox.last().url or "").query
    answer = client.get("/verify-email", query=query)
    assert (answer.status, answer.header("Location")) == (302, page)


def test_mail_scanners_do_no_harm(client: Client, mailbox: Mailbox) -> None:
    client.sign_up()
    client.post("/send-verification-email", {"email": EMAIL})
    parts = urlsplit(mailbox.last().url or "")
    scanner = Client(client.manager, origin=None)
    path = parts.path.removeprefix("/api/auth")

    assert scanner.send("HEAD", path, query=parts.query).status == 405
    assert client.get("/get-session").json["user"]["emailVerified"] is False
    for reader in (scanner, client):
        answer = reader.send("GET", path, query=parts.query)
        assert (answer.status, answer.header("Location")) == (302, "/")
    assert scanner.cookies == {}, "a link signs nobody in"


def test_refused_link_leads_on_with_the_code(client: Client) -> None:
    answer = client.get("/verify-email", query="token=x&callbackURL=%2Fhello%3Fa%3Db%23c")
    assert (answer.status, answer.header("Location")) == (302, "/hello?a=b&error=INVALID_TOKEN#c")
    answer = client.get("/verify-email", query="token=x&callbackURL=http%3A%2F%2Fevil.test")
    assert (answer.status, answer.code) == (403, "INVALID_CALLBACK_URL")
    answer = client.get("/verify-email")
    assert (answer.status, answer.code) == (401, "INVALID_TOKEN")


def test_user_is_shown_to_themselves_alone(client: Client, mailbox: Mailbox) -> None:
    client.sign_up()
    client.post("/send-verification-email", {"email": EMAIL})
    query = f"token={mailbox.last().token}"
    assert Client(client.manager).get("/verify-email", query=query).json == {
        "status": True,
        "user": None,
    }
    answer = client.get("/verify-email", query=query).json
    assert (answer["status"], answer["user"]["emailVerified"]) == (True, True)


def test_address_is_changed_by_the_link_to_the_new_one(client: Client, mailbox: Mailbox) -> None:
    client.sign_up()

    asked = client.post("/change-email", {"newEmail": NEW_EMAIL, "callbackURL": "/account"})
    assert client.get("/get-session").json["user"]["email"] == EMAIL
    mail = mailbox.last("change-email")
    followed = follow(client, mail.url)

    assert asked.json == {"status": True}
    assert (mail.to, mailbox.last("email-changed").to) == (NEW_EMAIL, EMAIL)
    assert followed.header("Location") == "/account"
    shown = client.get("/get-session").json["user"]
    assert (shown["email"], shown["emailVerified"]) == (NEW_EMAIL, True)


def test_change_of_address_does_not_tell_who_is_here(client: Client, mailbox: Mailbox) -> None:
    Client(client.manager).sign_up(email=NEW_EMAIL)
    client.sign_up()
    taken, free = (
        client.post("/change-email", {"newEmail": email})
        for email in (NEW_EMAIL, "free@example.org")
    )
    assert taken == free
    assert [mail.to for mail in mailbox] == ["free@example.org"]


def test_change_of_address_needs_a_fresh_session(client: Client, clock: FakeClock) -> None:
    client.sign_up()
    clock.advance(days=1)
    answer = client.post("/change-email", {"newEmail": NEW_EMAIL})
    assert (answer.status, answer.code) == (403, "SESSION_NOT_FRESH")


@pytest.mark.parametrize("error", [OSError, SystemExit])
def test_on_send_that_fails_is_no_answer(
    clock: FakeClock, caplog: Any, error: type[BaseException]
) -> None:
    def fail(*_: object) -> None:
        raise error(f"no relay takes {EMAIL}")

    client = Client(make_manager(clock, on_send=fail))
    events: list[Any] = []
    client.manager.events.subscribe(events.append)
    client.sign_up()
    assert client.post("/request-password-reset", {"email": EMAIL}).status == 200
    client.manager.close()
    assert events[-1].name == "mail_failed"
    assert events[-1].details == {"kind": "reset-password", "error": error.__name__}
    assert error.__name__ in caplog.text and "in fail" in caplog.text
    assert EMAIL not in caplog.text


@pytest.mark.parametrize("fails", [False, True])
def test_mail_is_sent_at_once_where_no_thread_runs(
    clock: FakeClock, caplog: Any, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """As in uWSGI before 2.0.27, which runs none without ``enable-threads``."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=0))
    sent_by: list[Any] = []

    def send(*_: object) -> None:
        sent_by.append(threading.current_thread())
        if fails:
            raise OSError

    client = Client(make_manager(clock, on_send=send))
    assert "enable-threads" in caplog.text
    client.sign_up()
    assert client.post("/request-password-reset", {"email": EMAIL}).status == 200
    assert sent_by == [threading.current_thread()]
    client.manager.close()
    assert len(sent_by) == 1
