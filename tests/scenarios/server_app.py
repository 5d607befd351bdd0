"""The application that the scenario tests serve: settings come from environment variables.

``SCENARIO_DATABASE`` and ``SCENARIO_SECRET`` are needed, ``SCENARIO_SETTINGS`` is JSON,
``SCENARIO_FILE`` the file of ``/large-file``; with ``SCENARIO_APP_DATABASE`` the manager is given
a Peewee database. With ``SCENARIO_USE_EARLY`` the manager is used while the module is imported,
which under ``--preload``, and under uWSGI, is before the fork. Mails are printed.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import peewee

from wsgi_sessions import SessionManager, SessionMiddleware, print_mail
from wsgi_sessions.storage.urls import open_url
from wsgi_sessions.transport.environ import read_facts

CHEAP_PASSWORDS = {"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1}
TEXT = [("Content-Type", "text/plain")]
HELLO = b"hello"


def list_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(TEXT))
    return [b"he", b"llo"]


def generator_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(TEXT))
    return (chunk for chunk in (b"he", b"llo"))


def late_app(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", list(TEXT))
    yield HELLO


def streamed_data_app(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Sets session data after the headers are gone."""
    start_response("200 OK", list(TEXT))
    yield b"he"
    session = environ["wsgi_sessions.session"]
    if session is not None:
        session.data["streamed"] = True
    yield b"llo"


def file_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(TEXT))
    return environ.get("wsgi.file_wrapper", FileWrapper)(io.BytesIO(HELLO))


def disk_app(environ: Any, start_response: Any) -> Any:
    """Returns a file that has a descriptor, which a server may hand to ``sendfile``."""
    start_response("200 OK", list(TEXT))
    return environ.get("wsgi.file_wrapper", FileWrapper)(Path(__file__).open("rb"))


class WatchedFile(io.FileIO):
    """A file that tells the server's log how often Python read it, which ``sendfile`` never does."""

    read_count = 0

    def read(self, size: int | None = -1, /) -> Any:
        self.read_count += 1
        return super().read(-1 if size is None else size)

    def __next__(self) -> bytes:
        self.read_count += 1
        return super().__next__()

    def close(self) -> None:
        if not self.closed:
            print(f"{self.name!r} was read {self.read_count} times", file=sys.stderr, flush=True)
        super().close()


def large_file_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(TEXT))
    return environ.get("wsgi.file_wrapper", FileWrapper)(WatchedFile(os.environ["SCENARIO_FILE"]))


def work(environ: Any) -> dict[str, Any]:
    """Do what takes an application some time, and look at the database before and after."""
    request = environ["wsgi_sessions.request"]
    counts = [len(request.list_sessions())]
    time.sleep(float(environ["QUERY_STRING"]))
    counts.append(len(request.list_sessions()))
    return {**describe(environ), "counts": counts}


def write_app(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", list(TEXT))
    write(b"he")
    return [b"llo"]


def exc_info_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", list(TEXT))
    try:
        raise RuntimeError("thought better of it")
    except RuntimeError:
        start_response("202 Accepted", list(TEXT), sys.exc_info())
    return [HELLO]


def refused_late_app(environ: Any, start_response: Any) -> Any:
    """Asks who is there after it has begun to answer."""
    start_response("200 OK", list(TEXT))
    environ["wsgi_sessions.request"].require_user()
    return [HELLO]


def raising_app(environ: Any, start_response: Any) -> Any:
    raise RuntimeError("the application's own fault")


def raising_late_app(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", list(TEXT))
    raise RuntimeError("the application's own fault, before the first chunk")
    yield b""


KINDS: dict[str, tuple[Callable[..., Any], int, bytes]] = {
    "/list": (list_app, 200, HELLO),
    "/generator": (generator_app, 200, HELLO),
    "/late": (late_app, 200, HELLO),
    "/streamed-data": (streamed_data_app, 200, HELLO),
    "/file": (file_app, 200, HELLO),
    "/disk": (disk_app, 200, Path(__file__).read_bytes()),
    "/write": (write_app, 200, HELLO),
    "/exc-info": (exc_info_app, 202, HELLO),
}
"""Every kind of app that PEP 3333 knows, by path, and the answer that is right."""

FAILING = {"/raise": raising_app, "/raise-late": raising_late_app}


def app(environ: Any, start_response: Any) -> Any:
    path = environ["PATH_INFO"]
    if path == "/me":
        return send_json(start_response, describe(environ))
    if path == "/long-body":
        return send_json(start_response, has_long_body(environ))
    if path == "/connection":
        return send_json(start_response, describe_connection())
    if path.startswith("/data/"):
        return send_json(start_response, handle_data(environ, path.removeprefix("/data/")))
    if path == "/large-file":
        return large_file_app(environ, start_response)
    if path == "/refused-late":
        return refused_late_app(environ, start_response)
    if path == "/at-work":
        return send_json(start_response, work(environ))
    if path in FAILING:
        return FAILING[path](environ, start_response)
    return KINDS[path][0](environ, start_response)


def describe(environ: Any) -> dict[str, Any]:
    session, user = environ["wsgi_sessions.session"], environ["wsgi_sessions.user"]
    return {
        "user": None if user is None else user.email,
        "session": None if session is None else session.id,
        "reason": environ["wsgi_sessions.end_reason"],
    }


def has_long_body(environ: Any) -> bool:
    """Tell what the product makes of the body of a request, once it was read."""
    assert manager is not None
    length = environ.get("CONTENT_LENGTH")
    if length:
        environ["wsgi.input"].read(int(length))
    return read_facts(environ, manager.config).has_long_body


def describe_connection() -> dict[str, Any]:
    """Tell which process this is, and by which connection it has just asked the database."""
    assert manager is not None
    if isinstance(manager.database, peewee.SqliteDatabase):
        manager.list_sessions("nobody")
        connection = last_used
    else:
        is_mysql = isinstance(manager.database, peewee.MySQLDatabase)
        # Each server of a cluster counts for itself.
        told = "CONCAT(CONNECTION_ID(), '@', @@port)" if is_mysql else "pg_backend_pid()"
        [(number,)] = manager.parts.connections.read_rows(f"SELECT {told}", ())
        connection = str(number)
    return {"pid": os.getpid(), "imported_by": imported_by, "connection": connection}


def name_connections(database: Any) -> None:
    """Have SQLite tell which connection runs a statement, by who opened it."""
    connect = database._connect

    def connect_and_name() -> Any:
        connection = connect()
        if isinstance(connection, sqlite3.Connection):
            name = f"opened by {os.getpid()} as {id(connection)}"
            connection.set_trace_callback(lambda _: note_use(name))
        return connection

    database._connect = connect_and_name


def note_use(name: str) -> None:
    global last_used
    last_used = name


def handle_data(environ: Any, key: str) -> Any:
    """Answer the session's data; a POST first sets the key, and its double beside it."""
    session = environ["wsgi_sessions.session"]
    if session is None:
        return None
    if environ["REQUEST_METHOD"] == "POST":
        value = environ["QUERY_STRING"]
        session.data[key] = value
        session.data[f"{key}-double"] = value
    return dict(session.data)


def send_json(start_response: Any, value: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(value).encode()]


def make_manager() -> SessionManager:
    url = os.environ["SCENARIO_DATABASE"]
    return SessionManager(
        open_url(url) if "SCENARIO_APP_DATABASE" in os.environ else url,
        secret=os.environ["SCENARIO_SECRET"],
        password=CHEAP_PASSWORDS,
        site_url="http://127.0.0.1",
        on_send=print_mail,
        **{"throttle": None, **json.loads(os.environ.get("SCENARIO_SETTINGS", "{}"))},
    )


def make_application(manager: SessionManager) -> Callable[..., Any]:
    """Wrap the app: ``wsgiref.validate`` stands on both sides, but for the query ``?bare``.

    For ``?alone`` the app stands alone, to show what the server itself makes of it.
    """
    choices: dict[str, Any] = {"bare": SessionMiddleware(app, manager), "alone": app}
    checked: Any = validator(SessionMiddleware(validator(app), manager))

    def choose(environ: Any, start_response: Any) -> Any:
        chosen = choices.get(environ.get("QUERY_STRING", ""), checked)
        return chosen(environ, start_response)

    return choose


imported_by = os.getpid()
last_used = ""
manager: SessionManager | None = None
application: Callable[..., Any] | None = None
if "SCENARIO_DATABASE" in os.environ:
    manager = make_manager()
    name_connections(manager.database)
    if "SCENARIO_USE_EARLY" in os.environ:
        if "SCENARIO_APP_DATABASE" in os.environ:
            # It stays open, so each worker finds it so.
            manager.database.connect()
        manager.create_tables()
        manager.list_sessions("nobody")
    application = make_application(manager)
