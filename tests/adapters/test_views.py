"""What the adapters share: where a request went, and whether a program sent it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from wsgi_sessions import SessionMiddleware
from wsgi_sessions.adapters import check_form_origin, is_program, path_and_query, safe_next
from wsgi_sessions_testing import Bench

from ..api.client import Client, make_manager


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"PATH_INFO": "/a"}, "/a"),
        ({"SCRIPT_NAME": "/caf\xc3\xa9", "PATH_INFO": "/b c"}, "/caf%C3%A9/b%20c"),
        ({"PATH_INFO": "/a?b%41", "QUERY_STRING": "c=%26&d"}, "/a%3Fb%2541?c=%26&d"),
        ({"PATH_INFO": "/\xff", "QUERY_STRING": '\xff"'}, "/%FF?%FF%22"),
        ({"PATH_INFO": "/a\r\nb\\"}, "/a%0D%0Ab%5C"),
    ],
)
def test_a_request_is_told_as_the_browser_sent_it(environ: dict[str, str], url: str) -> None:
    assert path_and_query(environ) == url


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"HTTP_ACCEPT": "*/*"}, False),
        ({"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}, False),
        ({"HTTP_ACCEPT": "text/html, application/json"}, False),
        ({"HTTP_ACCEPT": "Application/JSON, text/plain, */*"}, True),
        ({"HTTP_ACCEPT": "*/*", "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, True),
    ],
)
def test_a_program_asks_for_json_alone(environ: dict[str, str], expected: bool) -> None:
    assert is_program(environ) is expected


def take_form(environ: Any, start_response: Any) -> list[bytes]:
    """Sign a new user in by a form, and let refusals through to the middleware."""
    check_form_origin(environ)
    handle = environ["wsgi_sessions.request"]
    handle.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"signed in"]


def send_form(*, manager: Any = None, **headers: str) -> tuple[str, list[str]]:
    manager = make_manager() if manager is None else manager
    answer: list[Any] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/sign-up",
        "HTTP_HOST": "app.example.org",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        **headers,
    }

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        answer[:] = [status, headers]

    SessionMiddleware(take_form, manager)(environ, start_response)
    return answer[0], [value for name, value in answer[1] if name == "Set-Cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_REFERER": "https://evil.example/"},
        {"HTTP_COOKIE": "theme=dark"},
        {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate"},
    ],
)
def test_a_form_from_elsewhere_is_403_in_an_app_that_catches_nothing(
    headers: dict[str, str],
) -> None:
    assert send_form(**headers) == ("403 Forbidden", [])


def test_a_form_from_elsewhere_is_told_to_the_log_without_the_clients_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "wsgi_sessions")
    path = "/a session=x\r\n\xe9" + "y" * 1000
    send_form(PATH_INFO=path, HTTP_ORIGIN="https://evil.example")
    [line] = caplog.messages
    told = "/a%20session%3Dx%0D%0A%E9" + "y" * 185
    assert line == (
        "request_refused session=- user=- reason=- address=127.0.0.1 code=INVALID_ORIGIN "
        f"path={told}"
    )


def test_a_link_that_leads_away_is_an_event() -> None:
    heard: list[Any] = []
    urls: list[str] = []

    def sign_in_page(environ: Any, start_response: Any) -> list[bytes]:
        urls.append(safe_next(environ, "https://evil.example/"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"sign in"]

    with Bench(sign_in_page) as bench:
        bench.manager.events.subscribe(heard.append)
        bench.new_browser().get("/sign-in")
    assert urls == ["/"]
    assert [(event.name, event.details) for event in heard] == [
        ("request_refused", {"code": "INVALID_CALLBACK_URL", "path": "/sign-in"})
    ]


@pytest.mark.parametrize(
    "said_by_the_browser",
    [
        {"HTTP_SEC_FETCH_SITE": "same-origin"},  # Safari from 16.4, Chromium, Firefox
        {},
    ],
)
def test_production_alone_is_enough_behind_a_proxy_that_ends_tls(
    said_by_the_browser: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSGI_SESSIONS_ENV", "production")
    manager = make_manager()
    said = {"HTTP_ORIGIN": "https://app.example.org", **said_by_the_browser}

    status, cookies = send_form(manager=manager, **said)

    assert status == "200 OK"
    assert cookies[0].startswith("__Host-session_token=")
    status, _ = send_form(manager=manager, HTTP_ORIGIN="http://app.example.org")
    assert status == "403 Forbidden", "no page of a https site is on http"


@pytest.mark.parametrize("path", ["/sign-up/email", "/sign-in/email"])
@pytest.mark.parametrize("site", ["same-origin", None])
def test_production_alone_is_enough_for_the_json_api(
    path: str, site: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSGI_SESSIONS_ENV", "production")
    client = Client(make_manager(), origin="https://app.example.org")
    body: Any = {"name": "Ada", "email": "ada@example.org", "password": "correct horse"}
    headers = {} if site is None else {"SEC_FETCH_SITE": site}
    if path == "/sign-in/email":
        client.manager.sign_up_email(**body)

    assert client.post(path, body, **headers).status == 200
    assert client.post("/update-user", {"name": "Ada L."}, **headers).status == 200
