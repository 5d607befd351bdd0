"""What the examples share when they are run by hand: a database, and a secret kept beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server

from wsgi_sessions import SessionManager

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DATA = Path("frameworks-data")


def make_manager() -> SessionManager:
    """Return a manager on ``./frameworks-data``."""
    from quickstart import read_or_make_secret

    DATA.mkdir(mode=0o700, exist_ok=True)
    return SessionManager(
        f"sqlite:///{DATA / 'sessions.db'}", secret=read_or_make_secret(DATA / "secret")
    )


def serve(application: WSGIApplication) -> None:
    """Serve on port 8000 until Ctrl-C, one request at a time."""
    with make_server("127.0.0.1", 8000, application) as server:
        print("Open http://127.0.0.1:8000 in a browser; Ctrl-C stops.")
        server.serve_forever()
