"""Fresh databases of every kind, and what the tests of the store build in them."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

import peewee
import psycopg
import pymysql
import pytest

from wsgi_sessions.records import SessionRecord
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.models import Models, build_models
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

POSTGRES = os.environ.get(
    "WSGI_SESSIONS_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test"
)
MARIADB = os.environ.get("WSGI_SESSIONS_TEST_MARIADB", "mysql://root@127.0.0.1:3306/test")
COCKROACH = os.environ.get(
    "WSGI_SESSIONS_TEST_COCKROACH", urlunsplit(urlsplit(POSTGRES)._replace(scheme="cockroachdb"))
)
"""A server of CockroachDB; else one of PostgreSQL that is spoken to as if it were that."""
SERVERS = {"postgres": POSTGRES, "mariadb": MARIADB, "cockroach": COCKROACH}
MARIADB_NODES = os.environ.get("WSGI_SESSIONS_TEST_MARIADB_NODES", "").split()
"""The URL of each server where MARIADB leads to a Galera cluster (``python -m tests.galera``)."""
_NODES_SECONDS = 40
CONNECTION_ID = {
    "postgres": "SELECT pg_backend_pid()::text",
    # Each server of a cluster counts for itself.
    "mariadb": "SELECT CONCAT(CONNECTION_ID(), '@', @@port)",
}
"""What tells which connection it comes over."""
KINDS = (
    *("sqlite-file", "sqlite-memory", "app-database", "postgres", "mariadb"),
    *(["cockroach"] if "WSGI_SESSIONS_TEST_COCKROACH" in os.environ else []),
)


@dataclass
class Place:
    """A fresh database of one kind, and a store in it."""

    kind: str
    database: str | peewee.Database
    connections: Connections = field(init=False)
    models: Models = field(init=False)
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.connections = Connections(self.database)
        self.build()

    def build(self, **options: Any) -> Store:
        """Make the store, with the application's own user model if one is given."""
        own = options.get("user_model")
        if own is not None:
            self.clear()
            self.connections.run(own.create_table)
        self.models = build_models(self.connections.database, **options)
        self.store = Store(self.connections, self.models, FakeClock())
        if not self.connections.is_owned:
            self.store.create_tables()
        return self.store

    def clear(self) -> None:
        """Drop our tables, and have none made until there is another store."""
        self.connections.first_use.work = None
        self.connections.first_use.is_ready_for = None
        database = self.connections.database
        self.connections.run(lambda: database.drop_tables(self.models.created_here))


@contextmanager
def open_place(kind: str, directory: Path) -> Generator[Place]:
    """Give a fresh database of a kind, with a store, and take both away again."""
    with _watched(kind), _fresh(kind, directory) as database:
        place = Place(kind, database)
        try:
            yield place
        finally:
            place.connections.close()


def _watched(kind: str) -> AbstractContextManager[Any]:
    if kind != "cockroach":
        return nullcontext()
    from .cockroach import spoken_to_as_cockroach

    return spoken_to_as_cockroach()


@contextmanager
def _fresh(kind: str, directory: Path) -> Generator[str | peewee.Database]:
    if kind == "sqlite-file":
        yield f"sqlite:///{directory / 'sessions.db'}"
    elif kind == "sqlite-memory":
        yield "sqlite:///:memory:"
    elif kind == "app-database":
        # Its owner says how it is opened: not waiting for the disk is all that we ask.
        pragmas = {"synchronous": "off"}
        app_database = peewee.SqliteDatabase(str(directory / "app.db"), pragmas=pragmas)
        yield app_database
        app_database.close()
    else:
        with fresh_server_database(kind) as url:
            yield url


@contextmanager
def fresh_url(kind: str, directory: Path) -> Generator[str]:
    """Give the URL of an empty database: an SQLite file in a folder, or one on a server."""
    if kind == "sqlite":
        yield f"sqlite:///{directory}/app.db"
        return
    with fresh_server_database(kind) as url:
        yield url


@contextmanager
def fresh_server_database(kind: str) -> Generator[str]:
    """Create a database of a unique name on a server, give its URL, and drop it."""
    reason = _why_unreachable(kind)
    if reason is not None:
        pytest.skip(reason)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"wsgi_sessions_{worker}_{uuid4().hex[:16]}"
    run_on_server(kind, f"CREATE DATABASE {name}")
    wait_for_nodes()
    try:
        yield urlunsplit(urlsplit(SERVERS[kind])._replace(path=f"/{name}"))
    finally:
        run_on_server(kind, f"DROP DATABASE {name}{_end_of_drop(kind)}")


def run_on_server(kind: str, sql: str) -> None:
    """Run a statement outside of every database the tests make."""
    if kind in ("postgres", "cockroach"):
        with connect_by_psycopg(kind) as connection:
            connection.execute(sql.encode())
    else:
        with closing(connect_mariadb()) as connection:
            connection.cursor().execute(sql)


def connect_by_psycopg(kind: str) -> psycopg.Connection[Any]:
    url = urlunsplit(urlsplit(SERVERS[kind])._replace(scheme="postgresql"))
    return psycopg.connect(url, autocommit=True, connect_timeout=3)


@cache
def is_real_cockroach() -> bool:
    """Return whether the server of that kind is one, and not PostgreSQL in its place."""
    with connect_by_psycopg("cockroach") as connection:
        return connection.info.parameter_status("crdb_version") is not None


def _end_of_drop(kind: str) -> str:
    if kind == "mariadb":
        return ""
    return " CASCADE" if kind == "cockroach" and is_real_cockroach() else " WITH (FORCE)"


def wait_for_nodes() -> None:
    """Wait until each server of MariaDB has applied what was written on any other."""
    give_up_at = time.monotonic() + _NODES_SECONDS
    for url in MARIADB_NODES:
        while True:
            try:
                with closing(connect_mariadb(url=url)) as connection:
                    connection.cursor().execute("SELECT 1")
                break
            except pymysql.MySQLError:
                # One that has ended comes back.
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.2)


def connect_mariadb(database: str = "", *, url: str = MARIADB) -> Any:
    """Connect to the MariaDB server past the code under test.

    What is read shows all that was written before, on whatever node of a cluster.
    """
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        database=database,
        connect_timeout=3,
        autocommit=True,
        init_command="SET wsrep_sync_wait = 15" if MARIADB_NODES else None,
    )


def kill_connection(kind: str, told: str) -> None:
    """End a connection at its server, which has told of it by ``CONNECTION_ID``."""
    if kind == "postgres":
        run_on_server(kind, f"SELECT pg_terminate_backend({told}, 5000)")
        return
    number, _, port = told.partition("@")
    url = next((url for url in MARIADB_NODES if urlsplit(url).port == int(port)), MARIADB)
    with closing(connect_mariadb(url=url)) as connection:
        connection.cursor().execute(f"KILL {number}")


@lru_cache
def _why_unreachable(kind: str) -> str | None:
    try:
        run_on_server(kind, "SELECT 1")
    except (psycopg.Error, pymysql.MySQLError, OSError) as error:
        variable = f"WSGI_SESSIONS_TEST_{kind.upper()}"
        return f"{kind} is out of reach; start it or set {variable} ({type(error).__name__})"
    return None


def stored_session(store: Store, session_id: str = "session-1") -> SessionRecord:
    """Return a session that must be there."""
    found = store.sessions.find(session_id)
    assert found is not None, f"{session_id} is not stored"
    return found[0]


def is_counted(sql: str) -> bool:
    """Tell whether a statement is part of what a use of the database costs.

    How long SQLite waits for a lock is not: it is said anew where the use before was slow.
    """
    return not sql.startswith("PRAGMA busy_timeout")
