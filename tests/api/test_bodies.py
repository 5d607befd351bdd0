"""A body that is refused is read on, within bounds, so that the client reads the refusal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from wsgi_sessions import InvalidValueError, SessionMiddleware
from wsgi_sessions.api.bodies import MAX_DISCARDED_BYTES, discard_body, discarding_body
from wsgi_sessions.request_errors import BodyTooLargeError

from .client import ORIGIN, Client, make_manager, plain_app

LARGE = 300_000


class Sent:
    """A body of so many bytes, which counts what was read; reading beyond it would block."""

    def __init__(self, size: int, *, is_terminated: bool = False) -> None:
        self.left = size
        self.taken = 0
        self._is_terminated = is_terminated

    def read(self, size: int = -1) -> bytes:
        assert size > 0
        assert self._is_terminated or size <= self.left, "a server would wait here for ever"
        size = min(size, self.left)
        self.left -= size
        self.taken += size
        return b" " * size


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, LARGE, MAX_DISCARDED_BYTES])
def test_an_announced_body_is_read_to_its_end(size: int) -> None:
    sent = Sent(size)
    discard_body({"CONTENT_LENGTH": str(size), "wsgi.input": sent})
    assert sent.left == 0


def test_more_than_the_bound_is_not_read() -> None:
    for length in (str(MAX_DISCARDED_BYTES + 1), "9" * 5_000):
        sent = Sent(MAX_DISCARDED_BYTES * 2)
        discard_body({"CONTENT_LENGTH": length, "wsgi.input": sent})
        assert sent.taken == MAX_DISCARDED_BYTES


def test_a_marked_end_is_read_to() -> None:
    sent = Sent(LARGE, is_terminated=True)
    discard_body({"wsgi.input_terminated": True, "wsgi.input": sent})
    assert sent.left == 0


@pytest.mark.parametrize("length", [None, "", "-1", "+5", "five", "\u0665"])
def test_what_has_no_known_end_is_not_waited_for(length: str | None) -> None:
    sent = Sent(10)
    discard_body({"CONTENT_LENGTH": length, "wsgi.input": sent})
    assert sent.taken == 0


def test_a_slow_client_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = iter(range(0, 10**9, 1_000))
    monkeypatch.setattr("wsgi_sessions.api.bodies.monotonic_ms", lambda: next(now_ms))
    sent = Sent(MAX_DISCARDED_BYTES)
    discard_body({"CONTENT_LENGTH": str(MAX_DISCARDED_BYTES), "wsgi.input": sent})
    assert sent.taken == 4 * 65_536  # one chunk a second


def test_a_client_that_is_gone_is_no_error() -> None:
    class Broken:
        def read(self, size: int) -> bytes:
            raise ConnectionResetError

    discard_body({"CONTENT_LENGTH": "5", "wsgi.input": Broken()})


def test_a_refusal_after_the_body_was_read_reads_no_more() -> None:
    sent = Sent(0)
    environ = {"CONTENT_LENGTH": "5", "wsgi.input": sent}
    with pytest.raises(InvalidValueError), discarding_body(environ, BodyTooLargeError):
        raise InvalidValueError("the body is not sound JSON")
    assert sent.taken == 0


@pytest.mark.parametrize(
    ("method", "path", "origin", "status"),
    [
        ("POST", "/api/auth/sign-in/email", ORIGIN, 413),
        ("POST", "/api/auth/sign-in/email", "https://evil.test", 403),
        ("POST", "/api/auth/nothing", ORIGIN, 404),
        ("PUT", "/api/auth/sign-in/email", ORIGIN, 405),
        ("POST", "/account/sessions/revoke", ORIGIN, 413),
        ("POST", "/account/sessions/revoke", "https://evil.test", 403),
        ("POST", "/account/sessions/nothing", ORIGIN, 404),
        ("POST", "/account/sessions", ORIGIN, 405),
        ("DELETE", "/account/sessions/revoke", ORIGIN, 405),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_whatever_is_refused_for_its_head_is_read_on(
    method: str, path: str, origin: str, status: int, is_chunked: bool
) -> None:
    manager = make_manager(pages_path="/account/sessions")
    client = Client(manager)
    client.sign_up()
    sent = Sent(LARGE, is_terminated=is_chunked)
    length = {"wsgi.input_terminated": True} if is_chunked else {"CONTENT_LENGTH": str(LARGE)}
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": ORIGIN.partition("://")[2],
        "HTTP_ORIGIN": origin,
        "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in client.cookies.items()),
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "wsgi.url_scheme": "http",
        "wsgi.input": sent,
        "wsgi.errors": io.StringIO(),
        **length,
    }
    said: list[str] = []
    application = SessionMiddleware(plain_app, manager)
    list(application(environ, lambda it, _headers, _=None: said.append(it)))  # type: ignore[arg-type]
    assert said[0].startswith(str(status))
    assert sent.left == 0
