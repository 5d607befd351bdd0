"""Cookies of an answer whose headers are told long before its first bytes.

A server sends headers with the first bytes of the body (PEP 3333), so that is when a token that
was decided on before may no longer go out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from tests.support import Stage, sign_up
from wsgi_sessions import StoreUnavailableError

GRACE = 60
TEXT = [("Content-Type", "text/plain")]
Work = Callable[[], None]


class Server:
    """A server that asks one application of a stage, a day after the browser signed in.

    ``said`` is what it was told, in order: the status of ``start_response`` and whether a token
    comes with it, then each chunk.
    """

    def __init__(self, stage: Stage, app: Callable[[Any, Any, Work], Any]) -> None:
        self.said: list[Any] = []
        self.began: list[list[tuple[str, str]]] = []
        self._stage = stage
        self._app = app

    def ask(self, *, seconds: int) -> list[Any]:
        """Return what was said to a request whose work takes so long, by the fake clock."""
        stage, app = self._stage, self._app
        stage.do(sign_up)
        stage.bench.clock.advance(days=1)
        middleware: Any = stage.bench.app

        def work() -> None:
            stage.bench.clock.advance(seconds=seconds)

        middleware.app = lambda environ, start_response: app(environ, start_response, work)
        environ = {"HTTP_COOKIE": f"session_token={stage.browser.session_token}"}
        setup_testing_defaults(environ)
        body = middleware(environ, self._start_response)
        try:
            self.said += body
        finally:
            if hasattr(body, "close"):
                body.close()
        return self.said

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Any:
        if self.began and exc_info is None:
            raise AssertionError("begun already")
        self.began.append(headers)
        self.said.append((status, "Set-Cookie" in dict(headers)))
        return self.said.append


def generator(environ: Any, start_response: Any, work: Work) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    work()
    yield b"one"
    yield b"two"


def lazy(environ: Any, start_response: Any, work: Work) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    work()
    return iter([b"one", b"two"])


def listed(environ: Any, start_response: Any, work: Work) -> list[bytes]:
    start_response("200 OK", TEXT)
    work()
    return [b"one", b"two"]


def written(environ: Any, start_response: Any, work: Work) -> list[bytes]:
    write = start_response("200 OK", TEXT)
    work()
    write(b"one")
    return [b"two"]


def written_and_generated(environ: Any, start_response: Any, work: Work) -> Iterator[bytes]:
    write = start_response("200 OK", TEXT)
    work()
    write(b"one")
    return iter([b"two"])


APPS = [generator, lazy, listed, written, written_and_generated]


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize(("seconds", "is_sent"), [(GRACE - 1, True), (GRACE, False)])
def test_a_token_goes_out_within_the_grace_alone(
    seconds: int, is_sent: bool, app: Any, stage: Stage
) -> None:
    said = Server(stage, app).ask(seconds=seconds)
    assert said == [("200 OK", is_sent), b"one", b"two"]


@pytest.mark.parametrize(("seconds", "is_sent"), [(0, True), (GRACE, False)])
def test_an_answer_without_a_body(seconds: int, is_sent: bool, stage: Stage) -> None:
    def app(environ: Any, start_response: Any, work: Work) -> Iterator[bytes]:
        start_response("204 No Content", [])
        work()
        yield from ()

    assert Server(stage, app).ask(seconds=seconds) == [("204 No Content", is_sent)]


def test_headers_are_as_they_were_told(stage: Stage) -> None:
    """An app may use its list anew, as it may where a server has taken the headers at once."""

    def app(environ: Any, start_response: Any, work: Work) -> Iterator[bytes]:
        headers = [*TEXT, ("X-Told", "before")]
        start_response("200 OK", headers)
        headers.clear()
        yield b"one"

    server = Server(stage, app)
    server.ask(seconds=0)
    [headers] = server.began
    assert dict(headers)["X-Told"] == "before"


@pytest.mark.parametrize(("seconds", "is_sent"), [(0, True), (GRACE, False)])
def test_an_error_replaces_headers_that_were_held(
    seconds: int, is_sent: bool, stage: Stage
) -> None:
    def app(environ: Any, start_response: Any, work: Work) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        work()
        try:
            raise ValueError
        except ValueError as error:
            start_response("500 Oh", TEXT, (ValueError, error, error.__traceback__))
        yield b"sorry"

    assert Server(stage, app).ask(seconds=seconds) == [("500 Oh", is_sent), b"sorry"]


def test_a_database_that_goes_away_replaces_headers_that_were_held(stage: Stage) -> None:
    def app(environ: Any, start_response: Any, work: Work) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        raise StoreUnavailableError("away")
        yield b""

    said = Server(stage, app).ask(seconds=0)
    assert said[0][0] == "503 Service Unavailable"
    assert len(said) == 2


@pytest.mark.parametrize("is_late", [False, True])
def test_an_error_after_something_was_written_is_told_as_one(is_late: bool, stage: Stage) -> None:
    """The server has sent the headers, and says so by what it is given."""

    def app(environ: Any, start_response: Any, work: Work) -> Any:
        start_response("200 OK", TEXT)(b"one")
        if not is_late:
            raise StoreUnavailableError("away")
        return fail_late()

    def fail_late() -> Iterator[bytes]:
        raise StoreUnavailableError("away")
        yield b""

    said = Server(stage, app).ask(seconds=0)
    assert said[:2] == [("200 OK", True), b"one"]
    assert said[2][0] == "503 Service Unavailable"


def test_who_begins_twice_is_told_so_by_the_server(stage: Stage) -> None:
    def app(environ: Any, start_response: Any, work: Work) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        start_response("200 OK", TEXT)
        yield b"one"

    with pytest.raises(AssertionError, match="begun already"):
        Server(stage, app).ask(seconds=0)


@pytest.mark.parametrize("app", [generator, lazy, listed])
def test_a_validator_finds_nothing_wrong(app: Any, stage: Stage) -> None:
    stage.do(sign_up)
    stage.bench.clock.advance(days=1)
    middleware: Any = stage.bench.app
    middleware.app = lambda environ, start_response: app(environ, start_response, lambda: None)
    environ = {"HTTP_COOKIE": f"session_token={stage.browser.session_token}"}
    setup_testing_defaults(environ)
    began: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        began.append(dict(headers))
        return lambda data: None

    body = validator(middleware)({**environ, "QUERY_STRING": ""}, start_response)
    assert list(body) == [b"one", b"two"]
    body.close()  # type: ignore[attr-defined]
    assert "Set-Cookie" in began[0]
