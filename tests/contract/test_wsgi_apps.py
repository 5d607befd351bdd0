"""PEP 3333 on both sides of the middleware: every kind of app, under ``wsgiref.validate``."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from wsgi_sessions import SessionManager, SessionMiddleware

HEADERS = [("Content-Type", "text/plain")]


class Failure(Exception):
    pass


class Closing:
    """An iterable of a class of its own, which counts how often it is closed."""

    def __init__(self, chunks: list[bytes], fails_at: int | None = None) -> None:
        self.chunks = chunks
        self.fails_at = fails_at
        self.closed_count = 0

    def __iter__(self) -> Iterator[bytes]:
        for number, chunk in enumerate(self.chunks):
            if number == self.fails_at:
                raise Failure
            yield chunk

    def close(self) -> None:
        self.closed_count += 1


def list_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(HEADERS))
    return [b"he", b"llo"]


def tuple_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(HEADERS))
    return (b"hello",)


def generator_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(HEADERS))
    return (chunk for chunk in (b"he", b"llo"))


def late_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(HEADERS))
    yield b"hello"


def custom_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(HEADERS))
    return Closing([b"hello"])


def file_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(HEADERS))
    return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"))


def write_app(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", list(HEADERS))
    write(b"hel")
    return [b"lo"]


def twice_app(environ: Any, start_response: Any) -> Any:
    start_response("500 Internal Server Error", list(HEADERS))
    try:
        raise Failure
    except Failure:
        start_response("200 OK", list(HEADERS), sys.exc_info())
    return [b"hello"]


def data_app(environ: Any, start_response: Any) -> Any:
    session = environ["wsgi_sessions.request"].start_anonymous_session()
    session.data["seen"] = True
    start_response("200 OK", list(HEADERS))
    return [b"hello"]


def data_generator_app(environ: Any, start_response: Any) -> Any:
    session = environ["wsgi_sessions.request"].start_anonymous_session()
    session.data["seen"] = 1
    start_response("200 OK", list(HEADERS))
    yield b"hel"
    session.data["seen"] = 2
    yield b"lo"


APPS = [
    list_app,
    tuple_app,
    generator_app,
    late_app,
    custom_app,
    file_app,
    write_app,
    twice_app,
    data_app,
    data_generator_app,
]


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    manager = SessionManager(
        "sqlite:///:memory:",
        secret="a secret for tests that is long enough",
        password={"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1},
    )
    yield manager
    manager.close()


def environ_for(path: str = "/", **extra: Any) -> dict[str, Any]:
    environ: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper, "PATH_INFO": path, **extra}
    setup_testing_defaults(environ)
    environ["wsgi.url_scheme"] = "https"
    environ.setdefault("QUERY_STRING", "")
    environ.setdefault("SCRIPT_NAME", "")
    return environ


def run(app: Any, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    """Be a server: call, iterate and close."""
    answered: dict[str, Any] = {}
    written: list[bytes] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        answered.update(status=status, headers=headers)
        return written.append

    iterable = app(environ, start_response)
    try:
        body = b"".join(iterable)
    finally:
        if hasattr(iterable, "close"):
            iterable.close()
    return answered["status"], answered["headers"], b"".join(written) + body


def signed_in(manager: SessionManager) -> dict[str, Any]:
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
    return {"HTTP_COOKIE": f"__Host-session_token={made.token}"}


@pytest.mark.parametrize("is_signed_in", [False, True])
@pytest.mark.parametrize("app", APPS, ids=lambda app: app.__name__)
def test_every_kind_of_app_keeps_its_meaning(
    app: Any, is_signed_in: bool, manager: SessionManager
) -> None:
    extra = signed_in(manager) if is_signed_in else {}
    wrapped = validator(SessionMiddleware(validator(app), manager))

    status, headers, body = run(wrapped, environ_for(**extra))

    assert (status, body) == ("200 OK", b"hello")
    assert ("Vary", "Cookie") in headers


@pytest.mark.parametrize("app", [list_app, tuple_app, custom_app, file_app, generator_app])
def test_the_apps_own_iterable_goes_back_when_nothing_remains(
    app: Any, manager: SessionManager
) -> None:
    handed: list[Any] = []

    def remembering(environ: Any, start_response: Any) -> Any:
        handed.append(app(environ, start_response))
        return handed[0]

    wrapped = SessionMiddleware(remembering, manager)
    returned = wrapped(environ_for(), lambda *_: lambda _: None)

    assert returned is handed[0]


def test_a_file_goes_back_as_it_is_even_with_data_to_save(manager: SessionManager) -> None:
    handed: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi_sessions.request"].start_anonymous_session().data["a"] = 1
        start_response("200 OK", list(HEADERS))
        handed.append(environ["wsgi.file_wrapper"](io.BytesIO(b"hello")))
        return handed[0]

    returned = SessionMiddleware(app, manager)(environ_for(), lambda *_: lambda _: None)

    assert returned is handed[0]


@pytest.mark.parametrize("takes_data", [False, True])
@pytest.mark.parametrize("fails_at", [None, 0, 1])
def test_close_is_called_once(
    fails_at: int | None, takes_data: bool, manager: SessionManager
) -> None:
    iterable = Closing([b"a", b"b"], fails_at)

    def app(environ: Any, start_response: Any) -> Any:
        if takes_data:
            environ["wsgi_sessions.session"].data["a"] = 1
        start_response("200 OK", list(HEADERS))
        return iterable

    wrapped = SessionMiddleware(app, manager)
    environ = environ_for(**signed_in(manager))

    if fails_at is None:
        run(wrapped, environ)
    else:
        with pytest.raises(Failure):
            run(wrapped, environ)
    assert iterable.closed_count == 1


@pytest.mark.parametrize("has_started", [False, True])
def test_an_apps_exception_reaches_the_server(has_started: bool, manager: SessionManager) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        if has_started:
            start_response("200 OK", list(HEADERS))
        raise Failure

    with pytest.raises(Failure):
        run(SessionMiddleware(app, manager), environ_for())


def test_exc_info_after_output_is_reraised_by_the_server(manager: SessionManager) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", list(HEADERS))
        write(b"out")
        try:
            raise Failure
        except Failure:
            start_response("500 Oops", list(HEADERS), sys.exc_info())
        return []

    def strict_start(status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info:
            raise exc_info[1]
        return lambda chunk: None

    with pytest.raises(Failure):
        SessionMiddleware(app, manager)(environ_for(), strict_start)


def test_data_set_in_a_streamed_body_is_saved(manager: SessionManager) -> None:
    wrapped = SessionMiddleware(data_generator_app, manager)

    _, headers, _ = run(wrapped, environ_for())

    cookie = next(value for name, value in headers if name == "Set-Cookie").partition(";")[0]
    session = manager.get_session({"Cookie": cookie})
    assert session is not None and session.data["seen"] == 2


def test_data_first_taken_in_a_streamed_body_is_saved(manager: SessionManager) -> None:
    cookies = signed_in(manager)

    class Body:
        def __init__(self, session: Any) -> None:
            self.session = session

        def __iter__(self) -> Iterator[bytes]:
            self.session.data["late"] = True
            yield b"hello"

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", list(HEADERS))
        return Body(environ["wsgi_sessions.session"])

    run(SessionMiddleware(app, manager), environ_for(**cookies))

    session = manager.get_session({"Cookie": cookies["HTTP_COOKIE"]})
    assert session is not None and session.data["late"] is True


def test_data_set_in_a_streamed_body_is_saved_before_its_end_is_known(
    manager: SessionManager,
) -> None:
    cookies = signed_in(manager)

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(HEADERS))
        yield b"he"
        environ["wsgi_sessions.session"].data["late"] = True
        yield b"llo"

    iterable = SessionMiddleware(app, manager)(
        environ_for(**cookies), lambda *_: lambda chunk: None
    )
    body = b"".join(iterable)
    # Not closed yet: a server ends a chunked body first, and the client may go on by then.
    session = manager.get_session({"Cookie": cookies["HTTP_COOKIE"]})
    iterable.close()  # type: ignore[attr-defined]

    assert body == b"hello"
    assert session is not None and session.data["late"] is True


def test_head_and_empty_bodies_pass(manager: SessionManager) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("204 No Content", [])
        return []

    status, _, body = run(
        validator(SessionMiddleware(validator(app), manager)),
        environ_for(REQUEST_METHOD="HEAD"),
    )

    assert (status, body) == ("204 No Content", b"")
