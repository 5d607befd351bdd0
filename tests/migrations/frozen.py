"""Databases as releases left them, filled: what an upgrade finds.

``python -m tests.migrations.frozen`` writes the files of the schema version that the code has now,
by which later releases are tested. Each is the text of SQL statements; its first line has the
session cookie of a browser that is signed in.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from webob import Request

from tests.contract.databases import connect_mariadb, fresh_url
from wsgi_sessions import SessionManager, SessionMiddleware, get_session
from wsgi_sessions.errors import InvalidCredentialsError
from wsgi_sessions_testing import FakeClock

KINDS = ("sqlite", "postgres", "mariadb")
SECRET = "frozen" + "0123456789abcdef" * 2
PASSWORD = "correct horse battery"
FOLDER = Path(__file__).parent
FROZEN_AT = datetime(2026, 11, 28, 12, 0, tzinfo=timezone.utc)
"""When the rows were written, by the clock that wrote them."""
_COOKIE = "-- cookie: "
_MARIADB_DUMP = ["--compact", "--skip-extended-insert", "--skip-add-drop-table"]


@dataclass(frozen=True)
class Frozen:
    """One engine's database of a schema version."""

    version: int
    kind: str

    @property
    def file(self) -> Path:
        return FOLDER / f"schema_{self.version}" / f"{self.kind}.sql"

    @property
    def cookie(self) -> str:
        """The value of the session cookie of who is signed in."""
        return self.file.read_text("utf-8").partition("\n")[0].removeprefix(_COOKIE)

    def load(self, url: str) -> None:
        """Fill an empty database, past the code under test."""
        text = self.file.read_text("utf-8")
        if self.kind == "sqlite":
            with sqlite3.connect(_sqlite_file(url)) as connection:
                connection.executescript(text)
            connection.close()
        elif self.kind == "postgres":
            with psycopg.connect(url, autocommit=True) as server:
                server.execute(text.encode())
        else:
            maria = connect_mariadb(urlsplit(url).path.strip("/"))
            try:
                for statement in _statements(text):
                    maria.cursor().execute(statement)
            finally:
                maria.close()


def fill(manager: SessionManager, clock: FakeClock) -> str:
    """Write rows of every table; return the cookie of who is signed in."""
    ada = manager.sign_up_email(name="Ada", email="ada@example.org", password=PASSWORD)
    bob = manager.sign_up_email(name="Bób 🦉", email="bob@example.org", password=PASSWORD)
    clock.advance(minutes=5)
    signed_in = manager.sign_in_email(email="ada@example.org", password=PASSWORD)
    assert ada.session and bob.session and signed_in.session and signed_in.token
    visit(manager, signed_in.token, put={"cart": ["apple", "Äpfel"]})
    manager.sign_out(ada.session.id)
    manager.revoke_all_sessions(bob.user.id)
    manager.sign_in(bob.user.id, remember_me=False)
    manager.request_password_reset(email="bob@example.org")
    with suppress(InvalidCredentialsError):  # counted by the throttle
        manager.sign_in_email(email="bob@example.org", password="wrong-one")
    return signed_in.token


def visit(manager: SessionManager, cookie: str, *, put: dict[str, Any]) -> dict[str, Any] | None:
    """Send a request with a cookie that sets session data; return all the data, or None."""
    seen: dict[str, Any] | None = None

    def app(environ: Any, start_response: Any) -> list[bytes]:
        nonlocal seen
        session = get_session(environ)
        if session is not None:
            session.data.update(put)
            seen = dict(session.data)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    cookies = f"{manager.config.cookie.name}={cookie}"
    Request.blank("/", headers={"Cookie": cookies}).get_response(SessionMiddleware(app, manager))
    return seen


def freeze(kind: str, version: int) -> None:
    with tempfile.TemporaryDirectory() as folder, fresh_url(kind, Path(folder)) as url:
        clock = FakeClock(FROZEN_AT)
        manager = SessionManager(
            url,
            secret=SECRET,
            clock=clock,
            on_send=lambda *_: None,
            site_url="https://app.example.org",
        )
        cookie = fill(manager, clock)
        manager.close()
        text = _dump(kind, url)
    target = Frozen(version, kind).file
    target.parent.mkdir(exist_ok=True)
    target.write_text(f"{_COOKIE}{cookie}\n{text}", "utf-8")
    sys.stdout.write(f"{target}: {len(text.splitlines())} lines\n")


def _dump(kind: str, url: str) -> str:
    if kind == "sqlite":
        connection = sqlite3.connect(_sqlite_file(url))
        try:
            return "\n".join(connection.iterdump()) + "\n"
        finally:
            connection.close()
    if kind == "postgres":
        command = [_program("pg_dump"), "--inserts", "--no-owner", url]
        ignored: tuple[str, ...] = ("\\", "SET ", "SELECT pg_catalog.set_config")
    else:
        parts = urlsplit(url)
        user = ["-u", unquote(parts.username or "root"), "-h", parts.hostname or "127.0.0.1"]
        command = [_program("mysqldump"), *_MARIADB_DUMP, *user, parts.path.strip("/")]
        ignored = ("/*!", "/*M!")
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [line for line in text.splitlines() if line and not line.startswith(("--", *ignored))]
    return "\n".join(kept) + "\n"


def _statements(text: str) -> list[str]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [each for each in lines.split(";\n") if each.strip()]


def _sqlite_file(url: str) -> str:
    return url.removeprefix("sqlite:///")


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is needed to write these files"
    return found


def main(arguments: Any) -> None:
    for kind in KINDS:
        freeze(kind, int(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
