"""Has psycopg wait no longer than the time that is left: for a server, and for its replies."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, lru_cache, partial
from itertools import count
from typing import Any

from ...clock import monotonic_seconds
from ..driver_errors import driver_error
from ..time_budget import left_ms
from .dialect import watch

_MAX_PREPARED = 100
"""How many statements a connection prepares; psycopg has the same limit for its own."""
_LOOK_MS = 100
"""How often it is looked whether the time is over."""
NOT_PREPARED = ("26000", "42P05")
"""What a server says where a prepared statement is not there, or another one is.

So it is behind a pooler that sends each statement over whichever connection is free.
"""
_UNPREPARED = (*NOT_PREPARED, "0A000")
"""Also where a statement is out of date, as its columns have changed: it is sent unprepared."""

_addresses_left: ContextVar[int] = ContextVar("wsgi_sessions_addresses_left", default=1)
"""How many addresses of a server may still be tried, the one that is tried now included."""


def connect(database: Any, params: dict[str, Any]) -> Any:
    token = _addresses_left.set(_count_addresses(params))
    try:
        connection = _connection_class().connect(dbname=database.database, **params)
        # psycopg counts its names from 0, and a pooler would run the statement that another of
        # its clients has prepared under the same name.
        connection._prepared._prepared_idx = int.from_bytes(os.urandom(6), "big")
        return connection
    finally:
        _addresses_left.reset(token)


@contextmanager
def limited(connection: Any) -> Iterator[None]:
    """Wait for the server's replies no longer than the time that is left.

    What was set before is set again afterwards: the connection may be the application's.
    """
    if (
        not hasattr(connection, "pgconn")  # another driver
        or isinstance(connection, _connection_class())
        or "wait" in connection.__dict__
    ):
        yield
        return
    wait = connection.wait
    connection.wait = lambda steps, *given, **more: _wait(connection, wait, steps, *given, **more)
    try:
        yield
    finally:
        del connection.wait


def stop_preparing(connection: Any, error: BaseException) -> bool:
    """Prepare no more over a connection of ours where that fails; tell whether it did so."""
    has_failed = getattr(driver_error(error), "sqlstate", None) in _UNPREPARED
    if not has_failed or not isinstance(connection, _connection_class()):
        return False
    has_prepared = connection.prepare_threshold is not None
    connection.prepare_threshold = None
    return has_prepared


def _count_addresses(params: dict[str, Any]) -> int:
    """Return how many addresses psycopg tries: those of each host, one after the other."""
    hosts = str(params.get("host") or "").split(",")
    if "hostaddr" in params or left_ms() is None:
        return len(hosts)
    count = 0
    for host in hosts:
        found = 1
        if host and not host.startswith(("/", "@")):
            with suppress(OSError):
                found = len(socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM))
        count += found
    return count


@cache
def _connection_class() -> Any:
    import psycopg

    class PostgresConnection(psycopg.Connection[Any]):
        """A connection that is given up when the time is over, also to a silent server."""

        @classmethod
        def _connect_gen(cls, *given: Any, **more: Any) -> Any:
            count = max(1, _addresses_left.get())
            _addresses_left.set(count - 1)
            left = left_ms()
            until = (
                None if left is None or count == 1 else monotonic_seconds() + left / count / 1000
            )
            return _until_over(super()._connect_gen(*given, **more), until=until)

        def wait(self, gen: Any, *given: Any, **more: Any) -> Any:
            return _wait(self, super().wait, gen, *given, **more)

    return PostgresConnection


class _Prepared:
    """A statement that is prepared, and what understands its columns, which stay the same."""

    __slots__ = ("_column_count", "_transformer", "name")

    def __init__(self, name: bytes, transformer: Any) -> None:
        self.name = name
        self._transformer = transformer
        self._column_count = -1

    def row_of(self, result: Any) -> tuple[Any, ...] | None:
        count = result.nfields
        self._transformer.set_pgresult(result, set_loaders=count != self._column_count)
        self._column_count = count
        row: tuple[Any, ...] | None = (
            self._transformer.load_row(0, tuple) if result.ntuples else None
        )
        return row


class QuickCursor:
    """Reads single rows with libpq itself: a cursor of psycopg takes longer than the server.

    As with psycopg, a statement is prepared once it was run so often as the connection's
    ``prepare_threshold`` says, and never if that is None.
    """

    def __init__(self, connection: Any, timeout_ms: int) -> None:
        from psycopg import waiting
        from psycopg.adapt import PyFormat, Transformer
        from psycopg.errors import Error, error_from_result
        from psycopg.generators import execute

        self._connection, self._pgconn = connection, connection.pgconn
        self._timeout = timeout_ms / 1000
        self._new_transformer = partial(Transformer, connection)
        self._transformer = Transformer(connection)
        self._auto = PyFormat.AUTO
        self._execute, self._wait = execute, waiting.wait
        self._errors, self._error_of = Error, error_from_result
        self._has_come = watch(connection.fileno())
        self._counts: dict[tuple[str, Any], int] = {}
        self._prepared: dict[tuple[str, Any], _Prepared] = {}
        self._row: tuple[Any, ...] | None = None

    def execute(self, sql: str, parameters: Sequence[Any]) -> QuickCursor:
        transformer = self._transformer
        until = monotonic_seconds() + self._timeout
        values = transformer.dump_sequence(parameters, [self._auto] * len(parameters))
        types, formats = transformer.types, transformer.formats
        try:
            prepared = self._prepared.get((sql, types)) or self._prepare(sql, types, until)
            if prepared is not None:
                self._pgconn.send_query_prepared(prepared.name, values, formats)
                self._row = prepared.row_of(self._reply(until))
                return self
        except self._errors as error:
            if error.sqlstate not in _UNPREPARED:
                raise
            self._connection.prepare_threshold = None
            self._prepared.clear()
        self._pgconn.send_query_params(_numbered(sql), values, types, formats)
        self._row = _Prepared(b"", transformer).row_of(self._reply(until))
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._row

    def _prepare(self, sql: str, types: Any, until: float) -> _Prepared | None:
        """Prepare a statement if it is time to."""
        threshold, key = self._connection.prepare_threshold, (sql, types)
        times = self._counts.get(key, 0)
        if threshold is None or (times == 0 and len(self._counts) >= _MAX_PREPARED):
            return None
        self._counts[key] = times + 1
        if times < threshold:
            return None
        text = _numbered(sql)
        # Behind a pooler another session's statement may be there, but not under this name.
        name = f"wsgi_sessions_{os.urandom(12).hex()}".encode()
        self._pgconn.send_prepare(name, text, types)
        self._reply(until)
        prepared = self._prepared[key] = _Prepared(name, self._new_transformer())
        return prepared

    def _reply(self, until: float) -> Any:
        """Return the one reply to what was sent; raise the error that it is."""
        pgconn, replies = self._pgconn, []
        # Nearly always all has been sent, and all comes at once.
        is_over = False
        if pgconn.flush() == 0 and self._has_come(_LOOK_MS):
            pgconn.consume_input()
            while not (is_over or pgconn.is_busy()):
                reply = pgconn.get_result()
                is_over = reply is None
                replies.append(reply)
        if not is_over:
            steps = _until_over(self._execute(pgconn), until=until)
            replies += [*self._wait(steps, pgconn.socket, _LOOK_MS / 1000), None]
        [result, _] = replies
        if result.error_message:
            raise self._error_of(result)
        return result


@lru_cache(maxsize=_MAX_PREPARED)
def _numbered(sql: str) -> bytes:
    """Return SQL with the server's placeholders in place of psycopg's."""
    numbers = count(1)

    def number(mark: re.Match[str]) -> str:
        return f"${next(numbers)}" if mark[0] == "%s" else "%"

    return re.sub("%[s%]", number, sql).encode()


def _wait(connection: Any, wait: Callable[..., Any], steps: Any, *given: Any, **more: Any) -> Any:
    if left_ms() is None:
        return wait(steps, *given, **more)
    try:
        return wait(_until_over(steps), *given, **more)
    except _no_reply_error():
        # The reply to this statement may still come, and would be taken for that to the next.
        connection.pgconn.finish()
        raise


def _until_over(
    steps: Generator[Any, Any, Any], *, until: float | None = None
) -> Generator[Any, Any, Any]:
    """Pass on what the driver waits for, until the time is over; it looks ten times a second.

    What has come when the time is over is still read, once. A server that sends its reply in
    small pieces would otherwise be waited for until the last.
    """
    is_overdue = False
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if left_ms() == 0 or (until is not None and monotonic_seconds() >= until):
                if not ready or is_overdue:
                    steps.close()
                    raise _no_reply_error()("the server did not answer in time")
                is_overdue = True
            wanted = steps.send(ready)
    except StopIteration as stop:
        return stop.value


@cache
def _no_reply_error() -> type[Exception]:
    import psycopg

    class NoReplyInTime(psycopg.OperationalError):
        """The time is over, and the server has not answered."""

    return NoReplyInTime
