"""What every answer of the JSON API carries, and what the log says of the requests it refuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.refusals import PROTECTIONS
from wsgi_sessions import SessionEvent, SessionManager
from wsgi_sessions.api.routes import ROUTES

from .client import EMAIL, ORIGIN, PASSWORD, Client, make_manager

NEW_PASSWORD = "staple tractor"
FRIEND = "https://front.example.net"


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    manager = make_manager(trusted_origins=[FRIEND])
    yield manager
    manager.close()


@pytest.fixture
def client(manager: SessionManager) -> Client:
    return Client(manager)


@pytest.fixture
def events(manager: SessionManager) -> list[SessionEvent]:
    heard: list[SessionEvent] = []
    manager.events.subscribe(heard.append)
    return heard


def of_name(events: list[SessionEvent], name: str) -> list[SessionEvent]:
    return [event for event in events if event.name == name]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *[("GET", "/get-session", 200), ("HEAD", "/get-session", 200), ("GET", "/ok", 200)],
        *[("GET", "/openapi.json", 200), ("OPTIONS", "/sign-out", 204), ("POST", "/sign-out", 200)],
        *[("GET", "/list-sessions", 401), ("GET", "/nothing", 404), ("GET", "/sign-out", 405)],
        *[("POST", "/sign-in/email", 400), ("TRACE", "/ok", 405)],
    ],
)
def test_every_answer_is_protected(client: Client, method: str, path: str, status: int) -> None:
    answer = client.send(method, path)
    assert answer.status == status
    assert {name: answer.header(name) for name in PROTECTIONS} == PROTECTIONS
    assert answer.header("Cache-Control") == "no-store"


def test_a_page_of_a_trusted_origin_still_reads_its_answers(manager: SessionManager) -> None:
    answer = Client(manager, origin=FRIEND).get("/get-session", ORIGIN=FRIEND)
    assert answer.header("Access-Control-Allow-Origin") == FRIEND
    # It holds for requests without CORS alone, such as those of images (Fetch, section 3.7).
    assert answer.header("Cross-Origin-Resource-Policy") == "same-origin"


def test_the_description_can_be_closed() -> None:
    manager = make_manager(openapi=False, api_path="/api")
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = Client(manager).send(method, "", PATH_INFO="/api/openapi.json")
        assert answer.status == 404
    assert Client(manager).send("GET", "", PATH_INFO="/api/ok").status == 200
    manager.close()


@pytest.mark.parametrize("path", ["/sign-out", "/revoke-sessions", "/delete-user"])
def test_a_browser_that_signs_out_throws_away_what_is_asked(path: str) -> None:
    manager = make_manager(clear_site_data=["cache", "storage"])
    client = Client(manager)
    assert client.sign_up().header("Clear-Site-Data") is None
    assert client.get("/get-session").header("Clear-Site-Data") is None
    answer = client.post(path)
    assert (answer.status, answer.header("Clear-Site-Data")) == (200, '"cache", "storage"')
    assert client.cookies == {}
    manager.close()


def test_nothing_is_thrown_away_unless_asked(client: Client) -> None:
    client.sign_up()
    assert client.post("/sign-out").header("Clear-Site-Data") is None


@pytest.mark.parametrize("error", [ValueError, LookupError, RuntimeError, ZeroDivisionError])
def test_a_fault_of_ours_is_an_answer_without_its_traceback(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    def fail(_call: Any) -> Any:
        raise error("in the engine room")

    monkeypatch.setitem(ROUTES, "/fail", replace(ROUTES["/sign-out"], answer=fail))
    answer = client.send("POST", "", PATH_INFO="/api/auth/fail")
    assert (answer.status, answer.code) == (500, "INTERNAL_SERVER_ERROR")
    assert b"engine" not in answer.body and b"Traceback" not in answer.body
    assert {name: answer.header(name) for name in PROTECTIONS} == PROTECTIONS
    assert answer.header("Access-Control-Allow-Origin") == ORIGIN
    [record] = caplog.records
    assert record.levelno == logging.ERROR and "in the engine room" in caplog.text


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"ORIGIN": "https://evil.test"}, {}, "INVALID_ORIGIN"),
        ({"ORIGIN": "null"}, {}, "MISSING_OR_NULL_ORIGIN"),
        (
            {"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "navigate"},
            {},
            "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED",
        ),
        ({}, {"callbackURL": "https://evil.test/"}, "INVALID_CALLBACK_URL"),
    ],
)
def test_a_refused_request_is_an_event(
    client: Client,
    events: list[SessionEvent],
    caplog: pytest.LogCaptureFixture,
    headers: dict[str, str],
    body: dict[str, str],
    code: str,
) -> None:
    caplog.set_level(logging.INFO, "wsgi_sessions")
    assert client.post("/sign-out", body, **headers).code == code
    [event] = events
    assert event.name == "request_refused" and event.address == "192.0.2.1"
    assert event.details == {"code": code, "path": "/api/auth/sign-out"}
    assert "evil" not in caplog.text and code in caplog.text


def test_a_session_that_is_not_fresh_is_an_event(client: Client, events: Any) -> None:
    client.sign_up()
    client.manager.clock.advance(days=2)  # type: ignore[attr-defined]
    assert client.post("/delete-user").code == "SESSION_NOT_FRESH"
    [event] = of_name(events, "request_refused")
    assert event.details["code"] == "SESSION_NOT_FRESH"
    assert event.session_id and event.user_id


def test_the_audit_trail_is_logged_at_info(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsgi_sessions")
    client.sign_up()
    client.post("/change-password", {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD})
    client.post("/sign-out")
    client.sign_in()
    client.sign_in(password=NEW_PASSWORD)
    client.post("/delete-user")
    assert [message.partition(" ")[0] for message in caplog.messages] == [
        *["user_created", "session_created", "password_changed", "session_ended"],
        *["session_created", "session_ended", "sign_in_failed", "session_created"],
        *["session_ended", "user_deleted"],
    ]
    assert EMAIL not in caplog.text and PASSWORD not in caplog.text


def test_what_asks_for_no_protection_is_no_event(client: Client, events: Any) -> None:
    client.get("/list-sessions")
    client.get("/nothing")
    client.post("/sign-in/email", {"email": 1})
    client.post("/sign-out", {"callbackURL": 1})
    assert events == []
