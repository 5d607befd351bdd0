"""Has PyMySQL wait no longer than the time that is left: for a server, and for its replies."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from ...clock import monotonic_ms
from ..time_budget import left_ms

_STEP_MS = 50
"""Time-outs are set in steps of this, so that most statements find theirs set already."""


def connect(database: Any) -> Any:
    options = {**database.connect_params, "database": database.database, "autocommit": True}
    seconds = _seconds_left()
    if seconds is not None:
        options.update(
            connect_timeout=min(seconds, options["connect_timeout"]),
            read_timeout=seconds,
            write_timeout=seconds,
        )
    return _connection_class()(**options)


@contextmanager
def limited(connection: Any) -> Iterator[None]:
    """Wait for the server's replies no longer than the time that is left.

    What was set before is set again afterwards: the connection may be the application's.
    """
    if not hasattr(connection, "_read_timeout"):  # another driver
        yield
        return
    before = connection._read_timeout, connection._write_timeout
    seconds, file = _seconds_left(), connection._rfile
    connection._read_timeout = connection._write_timeout = seconds
    replies = file if isinstance(file, _ReplyFile) else _ReplyFile(connection, file)
    replies.limit(seconds)
    if file is not None:
        connection._rfile = replies
    try:
        yield
    finally:
        connection._read_timeout, connection._write_timeout = before
        replies.limit(None)
        if connection._rfile is replies:
            connection._rfile = file


def _seconds_left() -> float | None:
    left = left_ms()
    return None if left is None else max(1, -(-left // _STEP_MS)) * _STEP_MS / 1000


@cache
def _connection_class() -> Any:
    import pymysql.connections

    contexts: dict[str, Any] = {}

    class MySQLConnection(pymysql.connections.Connection):
        """A connection that shares its TLS context, which takes 20 ms to make, with others.

        It tries every address of its host. No address, and no greeting of a server, is waited
        for longer than the time that is left.
        """

        _replies: Any = None

        @property
        def _rfile(self) -> Any:
            return self._replies

        @_rfile.setter
        def _rfile(self, file: Any) -> None:
            if file is not None and not isinstance(file, _ReplyFile):
                file = _ReplyFile(self, file)
                file.limit(_seconds_left())
            self._replies = file

        def connect(self, sock: Any = None) -> None:
            if sock is None and not self.unix_socket and left_ms() is not None:
                try:
                    sock = _connect_socket(self)
                except OSError as error:
                    raise pymysql.err.OperationalError(
                        2003, f"Can't connect to MySQL server on {self.host!r} ({error})"
                    ) from error
                self.host_info = f"socket {self.host}:{self.port}"
            super().connect(sock)  # type: ignore[no-untyped-call, unused-ignore]

        def _create_ssl_ctx(self, options: Any) -> Any:
            key = repr(sorted(options.items())) if isinstance(options, dict) else None
            if key is None:
                return super()._create_ssl_ctx(options)  # type: ignore[misc]
            if key not in contexts:
                contexts[key] = super()._create_ssl_ctx(options)  # type: ignore[misc]
            return contexts[key]

    return MySQLConnection


def _connect_socket(connection: Any) -> socket.socket:
    """Connect to the first address of a host that answers; each has its share of the time."""
    found = socket.getaddrinfo(connection.host, connection.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("getaddrinfo gives no address")
    for position, (family, kind, protocol, _, address) in enumerate(found):
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            share = (_seconds_left() or 0) / (len(found) - position)
            sock.settimeout(min(share, connection.connect_timeout))
            if connection.bind_address is not None:
                sock.bind((connection.bind_address, 0))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return sock
        except OSError as error:
            failure = error
            if sock is not None:
                sock.close()
    raise failure


class _ReplyFile:
    """What a server sends to PyMySQL, read until the time is over, however little comes at once.

    A socket's own time-out begins anew with each piece that comes.
    """

    __slots__ = ("_connection", "_until_ms", "file")

    def __init__(self, connection: Any, file: Any) -> None:
        self.file = file
        self._connection = connection
        self._until_ms: float | None = None

    def limit(self, seconds: float | None) -> None:
        """Read for so long from now on; None for as long as the driver's own time-outs say."""
        self._until_ms = None if seconds is None else monotonic_ms() + seconds * 1000

    def read(self, size: int) -> bytes:
        if self._until_ms is None:
            data: bytes = self.file.read(size)
            return data
        parts = []
        while size > 0:
            seconds = (self._until_ms - monotonic_ms()) / 1000
            if seconds <= 0:
                raise TimeoutError("timed out")
            sock = self._connection._sock
            before = sock.gettimeout()
            if before is None or seconds < before - _STEP_MS / 1000:
                sock.settimeout(seconds)
                self._connection._current_timeout = seconds
            part = self.file.read1(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        self.file.close()
