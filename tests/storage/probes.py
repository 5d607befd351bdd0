"""What the tests of connections read from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.contract.databases import is_counted
from wsgi_sessions.storage.connections import Connections

SECRET = "x0123456789abcdef" * 2


def count(connections: Connections) -> Any:
    row = connections.read_row("SELECT COUNT(*) FROM thing", ())
    assert row is not None
    return row[0]


def idle_one(connections: Connections) -> Any:
    """Return the connection that is taken next."""
    if not connections.source.pool.idle:
        connections.read_row("SELECT 1", ())
    return connections.source.pool.idle[-1].connection


@contextmanager
def noted(connections: Connections) -> Iterator[list[str]]:
    """Note what is sent over the connection that is taken next."""
    sent: list[str] = []

    def note(sql: str) -> None:
        if is_counted(sql):
            sent.append(sql)

    connection = idle_one(connections)
    connection.set_trace_callback(note)
    yield sent
    connection.set_trace_callback(None)


def opened_by_app(connections: Connections) -> Connections:
    """Return the same database as one of the application, with a connection open."""
    connections.database.connect()
    return Connections(connections.database)


def put(connections: Connections, word: str) -> int:
    mark = connections.database.param
    return connections.write(f"INSERT INTO thing (word) VALUES ({mark})", (word,))


def connection_id(server: str) -> str:
    return "SELECT pg_backend_pid()" if server == "postgres" else "SELECT CONNECTION_ID()"
