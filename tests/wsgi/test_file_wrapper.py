"""Files: whatever the server's wrapper made goes back as that very object."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest

from tests.support import is_purge_due
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions_testing import CHEAP_PASSWORDS


class Server:
    """One kind of ``wsgi.file_wrapper``, and what it made."""

    def __init__(self, kind: str) -> None:
        self.made: list[Any] = []
        self.wrapper: Any = {
            "type": FileWrapper,
            "subclass": type("Wrapper", (FileWrapper,), {}),
            "function": self.return_the_file,
            "partial": functools.partial(self.return_the_file),
            "callable": type("Callable", (), {"__call__": lambda _, *a: FileWrapper(*a)})(),
        }[kind]

    def return_the_file(self, file: Any, block_size: int = 8192) -> Any:
        # As uWSGI does, which then compares what it gets back with what it was given.
        return file


KINDS = ["type", "subclass", "function", "partial", "callable"]


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    manager = SessionManager(
        "sqlite:///:memory:", secret="for the tests of files alone....", password=CHEAP_PASSWORDS
    )
    yield manager
    manager.close()


@pytest.fixture
def cookie(manager: SessionManager) -> str:
    user = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    return f"session_token={user.token}"


def environ_for(server: Server | None, cookie: str | None) -> dict[str, Any]:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    if server is not None:
        environ["wsgi.file_wrapper"] = server.wrapper
    if cookie is not None:
        environ["HTTP_COOKIE"] = cookie
    return environ


def no_write(_: bytes) -> None:
    raise AssertionError("nobody writes here")


@pytest.mark.parametrize("is_signed_in", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_goes_back_as_the_very_object(
    manager: SessionManager, cookie: str, kind: str, is_signed_in: bool
) -> None:
    made: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        session = environ["wsgi_sessions.session"]
        if session is not None:
            session.data["downloads"] = 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        made.append(environ["wsgi.file_wrapper"](io.BytesIO(b"a file"), 4096))
        return made[0]

    environ = environ_for(Server(kind), cookie if is_signed_in else None)
    answer = SessionMiddleware(app, manager)(environ, lambda *_: no_write)

    assert answer is made[0]
    if is_signed_in:
        session = manager.get_session({"Cookie": cookie}, is_https=False)
        assert session is not None and session.data["downloads"] == 1


@pytest.mark.parametrize("kind", ["type", "function"])
def test_a_file_is_not_wrapped_for_a_purge_that_is_due(
    manager: SessionManager, cookie: str, kind: str
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        made.append(environ["wsgi.file_wrapper"](io.BytesIO(b"a file")))
        return made[0]

    made: list[Any] = []
    assert not is_purge_due(manager)
    manager.parts.purger.rest_ms = range(0)
    assert is_purge_due(manager)
    answer = SessionMiddleware(app, manager)(environ_for(Server(kind), cookie), lambda *_: no_write)
    assert answer is made[0]


def test_a_generator_beside_a_file_is_still_wrapped(manager: SessionManager, cookie: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        made = environ["wsgi.file_wrapper"](io.BytesIO(b"a file"))
        session = environ["wsgi_sessions.session"]

        def body() -> Iterator[bytes]:
            yield made.read()
            session.data["late"] = 1

        return body()

    environ = environ_for(Server("function"), cookie)
    answer = SessionMiddleware(app, manager)(environ, lambda *_: no_write)
    assert b"".join(answer) == b"a file"
    session = manager.get_session({"Cookie": cookie}, is_https=False)
    assert session is not None and session.data["late"] == 1


def test_a_type_stays_what_apps_may_ask_for(manager: SessionManager, cookie: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        assert environ["wsgi.file_wrapper"] is FileWrapper
        start_response("200 OK", [("Content-Type", "text/plain")])
        return []

    environ = environ_for(Server("type"), cookie)
    assert SessionMiddleware(app, manager)(environ, lambda *_: no_write) == []


def test_where_there_is_no_wrapper_none_appears(manager: SessionManager, cookie: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        assert "wsgi.file_wrapper" not in environ
        start_response("200 OK", [("Content-Type", "text/plain")])
        return []

    assert SessionMiddleware(app, manager)(environ_for(None, cookie), lambda *_: no_write) == []


def test_flask_sends_a_file_as_the_servers_object(manager: SessionManager, cookie: str) -> None:
    flask = pytest.importorskip("flask")
    from wsgi_sessions.adapters.flask import FlaskSessions

    site = flask.Flask("files")
    FlaskSessions(site, manager)
    site.add_url_rule(
        "/", view_func=lambda: flask.send_file(io.BytesIO(b"a file"), mimetype="text/plain")
    )
    made: list[Any] = []

    def wrap(file: Any, block_size: int = 8192) -> Any:
        made.append(file)
        return file

    environ = environ_for(None, cookie)
    environ["wsgi.file_wrapper"] = wrap
    assert site(environ, lambda *_: no_write) is made[0]
    made[0].close()


def test_pyramid_sends_a_file_as_the_servers_object(
    manager: SessionManager, cookie: str, tmp_path: Any
) -> None:
    config = pytest.importorskip("pyramid.config")
    from pyramid.response import FileResponse

    (tmp_path / "a.txt").write_bytes(b"a file")
    made: list[Any] = []

    def wrap(file: Any, block_size: int = 8192) -> Any:
        made.append(file)
        return file

    with config.Configurator() as configurator:
        configurator.include("wsgi_sessions.adapters.pyramid")
        configurator.add_wsgi_sessions(manager)
        configurator.add_route("home", "/")
        configurator.add_view(
            lambda request: FileResponse(str(tmp_path / "a.txt"), request=request),
            route_name="home",
        )
        site = configurator.make_wsgi_app()
    environ = environ_for(None, cookie)
    environ["wsgi.file_wrapper"] = wrap
    assert site(environ, lambda *_: no_write) is made[0]
    made[0].close()
