"""Which modules a validated request passes: a new one makes it slower, and harder to follow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import wsgi_sessions
from tests.support import PASSWORD
from wsgi_sessions import SessionManager, SessionMiddleware

PACKAGE = Path(wsgi_sessions.__file__).parent

PATH_OF_A_VALIDATED_REQUEST = {
    "clock.py",
    "wsgi/middleware.py",
    "wsgi/exchange.py",
    "transport/environ.py",
    "transport/cookies.py",
    "transport/response_headers.py",
    "sessions/tokens.py",
    "sessions/signing.py",
    "sessions/validation.py",
    "sessions/policy.py",
    "storage/sessions.py",
    "storage/connections.py",
}


@contextmanager
def modules_entered() -> Iterator[set[str]]:
    """Collect the files of the package in which a Python function is called."""
    entered: set[str] = set()

    def note(frame: FrameType, event: str, arg: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            entered.add(path.relative_to(PACKAGE).as_posix())

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(before)


def test_validated_request_enters_these_modules(tmp_path: Path) -> None:
    manager = SessionManager(
        f"sqlite:///{tmp_path}/app.db", secret="s0123456789abcdef" * 2, cookie={"secure": False}
    )
    made = manager.sign_up_email(name="Ada", email="ada@example.org", password=PASSWORD)
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["wsgi_sessions.user"])
        start_response("200 OK", [])
        return [b""]

    application = SessionMiddleware(app, manager)

    def send() -> None:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "REMOTE_ADDR": "192.0.2.1",
            "HTTP_COOKIE": f"session_token={made.token}",
            "wsgi.url_scheme": "http",
        }
        application(environ, lambda *_: lambda _data: None)

    send()
    with modules_entered() as entered:
        send()
    manager.close()

    assert seen == [made.user, made.user]
    assert entered == PATH_OF_A_VALIDATED_REQUEST
