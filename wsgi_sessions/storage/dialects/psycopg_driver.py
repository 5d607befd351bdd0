"""Has psycopg wait no longer than the time that is left: for a server, and for its replies."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

from ...clock import monotonic_ms
from ..time_budget import left_ms

_addresses_left: ContextVar[int] = ContextVar("wsgi_sessions_addresses_left", default=1)
"""How many addresses of a server may still be tried, the one that is tried now included."""


def connect(database: Any, params: dict[str, Any]) -> Any:
    token = _addresses_left.set(_count_addresses(params))
    try:
        return _connection_class().connect(dbname=database.database, **params)
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
            share = None if left is None or count == 1 else left / count
            return _until_over(super()._connect_gen(*given, **more), share_ms=share)

        def wait(self, gen: Any, *given: Any, **more: Any) -> Any:
            return _wait(self, super().wait, gen, *given, **more)

    return PostgresConnection


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
    steps: Generator[Any, Any, Any], *, share_ms: float | None = None
) -> Generator[Any, Any, Any]:
    """Pass on what the driver waits for, until the time is over; it looks ten times a second.

    What has come when the time is over is still read, once. A server that sends its reply in
    small pieces would otherwise be waited for until the last.
    """
    until_ms = None if share_ms is None else monotonic_ms() + share_ms
    is_overdue = False
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if left_ms() == 0 or (until_ms is not None and monotonic_ms() >= until_ms):
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
