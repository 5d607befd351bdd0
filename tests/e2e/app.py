"""What the end-to-end tests serve: the React example's files and API, by a clock that can be set.

Settings come from ``E2E_FOLDER`` (database, the file that sets the clock, and those with the
statements and mails that were sent), ``E2E_SETTINGS`` (JSON) and ``E2E_ISSUER`` (a URL, or empty).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whitenoise import WhiteNoise

from wsgi_sessions import SessionManager, SessionMiddleware, SystemClock, User, oidc
from wsgi_sessions_testing import CHEAP_PASSWORDS
from wsgi_sessions_testing.fakes.openid_issuer import CLIENT_ID

DIST = Path(__file__).parents[2] / "examples" / "react" / "dist"


class SettableClock(SystemClock):
    """The machine's clock, moved on and quickened as a file says: all workers read the same.

    The file holds three numbers: how many milliseconds it is ahead, how many times as fast it
    runs, and since when (in milliseconds of the machine's clock).
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def now_ms(self) -> int:
        real_ms = super().now_ms()
        offset_ms, speed, since_ms = map(int, self._path.read_text().split())
        return real_ms + offset_ms + (real_ms - since_ms) * (speed - 1)


class Notes:
    """A file to which every worker appends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def add(self, note: Mapping[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(note) + "\n")


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"no such page"]


def write_statements_down(database: Any, path: Path) -> None:
    """Have each connection that is opened from now on write what it is sent into a file."""
    connect = database._connect

    def connect_and_trace() -> Any:
        connection = connect()
        connection.set_trace_callback(note)
        return connection

    def note(sql: str) -> None:
        # Pragmas are for a connection that has just been opened.
        if not sql.startswith("PRAGMA"):
            with path.open("a") as file:
                file.write(" ".join(sql.split()) + "\n")

    path.touch()
    database._connect = connect_and_trace


def make_manager(folder: Path, settings: dict[str, Any]) -> SessionManager:
    mails = Notes(folder / "mails")

    def send(kind: str, user: User, url: str | None, token: str | None) -> None:
        mails.add({"kind": kind, "to": user.email, "url": url, "token": token})

    return SessionManager(
        f"sqlite:///{folder / 'e2e.db'}",
        secret="a-secret-for-tests-of-32-characters",
        clock=SettableClock(folder / "clock"),
        on_send=send,
        **{"password": CHEAP_PASSWORDS, "throttle": None, **settings},
    )


def make_application(folder: Path, settings: dict[str, Any], issuer_url: str = "") -> Any:
    if issuer_url:
        settings["social_providers"] = [oidc("corp", issuer_url, CLIENT_ID)]
    manager = make_manager(folder, settings)
    write_statements_down(manager.database, folder / "statements")
    wrapped = SessionMiddleware(app, manager)
    return WhiteNoise(wrapped, root=DIST, index_file=True) if DIST.exists() else wrapped


if "E2E_FOLDER" in os.environ:
    application = make_application(
        Path(os.environ["E2E_FOLDER"]),
        json.loads(os.environ["E2E_SETTINGS"]),
        os.environ["E2E_ISSUER"],
    )
