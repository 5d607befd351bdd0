"""What the tests of connections read from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from tempfile import TemporaryFile
from typing import Any

from tests.contract.databases import CONNECTION_ID, is_counted
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


@contextmanager
def trips(server: str, connections: Connections) -> Iterator[list[str]]:
    """Tell, after the block, what was sent to a server, one entry for each time it was waited for.

    PostgreSQL's driver writes down what it sends; MariaDB tells how many statements it has had.
    """
    told: list[str] = []
    connection = idle_one(connections)
    if server in ("postgres", "cockroach"):
        with TemporaryFile("w+") as file:
            connection.pgconn.trace(file.fileno())
            yield told
            connection.pgconn.untrace()
            file.seek(0)
            sent = [line.split("\t") for line in file if "\tF\t" in line]
        kinds = [parts[3].strip() for parts in sent]
        while kinds:
            end = next(at for at, kind in enumerate(kinds) if kind in ("Sync", "Query"))
            told.append(" ".join(kinds[: end + 1]))
            kinds = kinds[end + 1 :]
        return
    with closing(connection.cursor()) as cursor:

        def had() -> int:
            cursor.execute("SHOW SESSION STATUS LIKE 'Questions'")
            return int(cursor.fetchone()[1])

        before = had()
        yield told
        told.extend(["Query"] * (had() - before - 1))


def opened_by_app(connections: Connections) -> Connections:
    """Return the same database as one of the application, with a connection open."""
    connections.database.connect()
    return Connections(connections.database)


def put(connections: Connections, word: str) -> int:
    mark = connections.database.param
    return connections.write(f"INSERT INTO thing (word) VALUES ({mark})", (word,))


def connection_id(server: str) -> str:
    """Return the statement that tells which connection it comes over."""
    return CONNECTION_ID[server]
