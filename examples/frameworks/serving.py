"""What the examples share when they are run by hand: a database, and a secret kept beside it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server

from wsgi_sessions import SessionManager

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DATA = Path("frameworks-data")


def make_secret() -> str:
    """Return the secret in ``./frameworks-data``, made on the first start."""
    path = DATA / "secret"
    if not path.exists():
        DATA.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()


def make_manager() -> SessionManager:
    """Return a manager on ``./frameworks-data``."""
    return SessionManager(f"sqlite:///{DATA / 'sessions.db'}", secret=make_secret())


def serve(application: WSGIApplication) -> None:
    """Serve on port 8000 until Ctrl-C, one request at a time."""
    try:
        server = make_server("127.0.0.1", 8000, application)
    except OSError as error:
        raise SystemExit(f"can't listen on port 8000: {error.strerror}; free it first") from None
    with server:
        print("Open http://127.0.0.1:8000 in a browser; Ctrl-C stops.")
        server.serve_forever()
