"""A request leaves nothing to the garbage collector, and is found for as long as somebody holds it.

Every object that is left makes the collector run sooner, and keeps the server's own alive.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest

from tests.support import PASSWORD
from wsgi_sessions import SessionManager, SessionMiddleware, get_request, get_session
from wsgi_sessions.errors import ResponseStartedError


@pytest.fixture(params=[False, True], ids=["validated", "cached"])
def manager(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[SessionManager]:
    manager = SessionManager(
        f"sqlite:///{tmp_path}/app.db",
        secret="s0123456789abcdef" * 2,
        cookie={"secure": False},
        cookie_cache={"enabled": request.param},
    )
    yield manager
    manager.close()


def as_list(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"ok"]


def as_generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"ok"


def with_data(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    session = get_session(environ)
    assert session is not None
    session.data.get("theme")
    start_response("200 OK", [])
    return [b"ok"]


class Site:
    def __init__(self, app: Any, manager: SessionManager) -> None:
        self.app: Any = SessionMiddleware(app, manager)
        self.cookies: dict[str, str] = {}

    def send(self) -> dict[str, Any]:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "REMOTE_ADDR": "192.0.2.1",
            "wsgi.url_scheme": "http",
            "HTTP_COOKIE": "; ".join(f"{name}={text}" for name, text in self.cookies.items()),
        }
        body: Any = self.app(environ, self.start_response)
        assert b"".join(body) == b"ok"
        if hasattr(body, "close"):
            body.close()
        return environ

    def start_response(self, status: str, headers: list[tuple[str, str]]) -> Any:
        for name, line in headers:
            if name == "Set-Cookie":
                key, _, text = line.partition(";")[0].partition("=")
                self.cookies[key] = text


class Marker:
    """Stands for what a server puts into the environ."""


@pytest.fixture
def ada(manager: SessionManager) -> str:
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password=PASSWORD)
    assert made.token is not None
    return made.token


@pytest.mark.parametrize("app", [as_list, as_generator])
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_request_leaves_no_garbage(
    app: Any, is_signed_in: bool, manager: SessionManager, ada: str
) -> None:
    site = Site(app, manager)
    if is_signed_in:
        site.cookies["session_token"] = ada
    site.send()
    gc.disable()
    try:
        environ = site.send()
        environ["server.own"] = marker = Marker()
        handle = get_request(environ)
        left = [ref(each) for each in (marker, handle, handle._held)]
        del environ, handle, marker

        assert [each() for each in left] == [None, None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("app", [as_list, as_generator])
def test_session_is_found_after_the_response(app: Any, manager: SessionManager, ada: str) -> None:
    site = Site(app, manager)
    site.cookies["session_token"] = ada
    environ = site.send()
    handle, session = get_request(environ), get_session(environ)

    assert session is not None and handle.session is session
    assert handle.user is environ["wsgi_sessions.user"]
    assert handle.facts.address == "192.0.2.1"
    assert not handle.is_database_away
    assert session.data.get("theme") is None
    with pytest.raises(ResponseStartedError):
        handle.sign_out()


@pytest.mark.parametrize("app", [as_list, with_data])
def test_data_that_is_changed_after_the_response_is_stored(
    app: Any, manager: SessionManager, ada: str
) -> None:
    site = Site(app, manager)
    site.cookies["session_token"] = ada
    session = get_session(site.send())
    assert session is not None

    session.data["theme"] = "dark"

    found = get_session(site.send())
    assert found is not None and found.data["theme"] == "dark"


def test_request_goes_on_with_its_session_after_an_internal_redirect(
    manager: SessionManager, ada: str
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/":
            get_request(environ).sign_out()
        start_response("200 OK", [])
        return [b"ok"]

    site = Site(app, manager)
    site.cookies["session_token"] = ada
    environ = site.send()
    handle = get_request(environ)
    site.cookies.clear()
    environ["PATH_INFO"] = "/next"

    assert b"".join(site.app(environ, site.start_response)) == b"ok"
    assert get_request(environ) is handle
    assert site.cookies["session_token"] == ""
    assert handle.session is None
