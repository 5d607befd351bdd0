"""Has PyMySQL wait no longer than the time that is left: for a server, and for its replies."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ...clock import monotonic_seconds
from ..time_budget import left_ms

if TYPE_CHECKING:
    from ..pool import Execute

_STEP_MS = 50
"""Time-outs are set in steps of this, so that most statements find theirs set already."""
_BUFFER_BYTES = 16_384
"""More than the answer to most statements."""


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
    limited_file = file
    if not isinstance(getattr(file, "raw", None), _Replies):
        limited_file = _limited_file(connection, file, is_ours=False)
    limited_file.raw.limit(seconds)
    if file is not None:
        connection._rfile = limited_file
    try:
        yield
    finally:
        connection._read_timeout, connection._write_timeout = before
        limited_file.raw.limit(None)
        if connection._rfile is limited_file:
            connection._rfile = file


def quick_execute(connection: Any, timeout_ms: int) -> Execute:
    """Return what runs a SELECT over a connection of ours, whose time-outs stay those set here.

    The cursor is kept: it has always read all that there is.
    """
    seconds = timeout_ms / 1000
    connection._read_timeout = connection._write_timeout = seconds
    cursor, replies = connection.cursor(), connection._rfile.raw

    def execute(sql: str, parameters: Sequence[Any]) -> Any:
        replies.limit(seconds)
        cursor.execute(sql, parameters)
        return cursor

    return execute


def _seconds_left() -> float | None:
    left = left_ms()
    return None if left is None else max(1, -(-left // _STEP_MS)) * _STEP_MS / 1000


@cache
def _connection_class() -> Any:
    import pymysql.connections

    contexts: dict[str, Any] = {}

    class Result(pymysql.connections.MySQLResult):
        """A reply in which equal bytes mean equal columns: they are understood once.

        To read what each column is takes PyMySQL longer than all else.
        """

        def _get_descriptions(self) -> None:
            connection: Any = self.connection
            file, known = connection._rfile, connection.known_columns
            key = self.field_count, connection._next_seq_id
            said = _peek(connection)
            text, columns, next_id = known.get(key, (None, None, None))
            if text is not None and said.startswith(text):
                file.read(len(text))
                self.fields, self.converters, self.description = columns
                connection._next_seq_id = next_id
                return
            count = file.raw.count
            super()._get_descriptions()  # type: ignore[misc]
            left = _peek(connection)
            if file.raw.count == count:  # all of it had come at once
                known[key] = (
                    said[: len(said) - len(left)],
                    (self.fields, self.converters, self.description),
                    connection._next_seq_id,
                )

    class MySQLConnection(pymysql.connections.Connection):
        """A connection that shares its TLS context, which takes 20 ms to make, with others.

        It tries every address of its host. No address, and no greeting of a server, is waited
        for longer than the time that is left.
        """

        _replies: Any = None

        def __init__(self, **options: Any) -> None:
            self.known_columns: dict[tuple[int, int], Any] = {}
            super().__init__(**options)

        @property
        def _rfile(self) -> Any:
            return self._replies

        @_rfile.setter
        def _rfile(self, file: Any) -> None:
            if file is not None and not isinstance(file.raw, _Replies):
                file = _limited_file(self, file, is_ours=True)
                file.raw.limit(_seconds_left())
            self._replies = file

        def _read_query_result(self, unbuffered: bool = False) -> Any:
            if unbuffered:
                return super()._read_query_result(unbuffered)  # type: ignore[misc]
            self._result = None
            result = Result(self)
            result.read()
            self._result = result
            if result.server_status is not None:
                self.server_status = result.server_status
            return result.affected_rows

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


def _limited_file(connection: Any, file: Any, *, is_ours: bool) -> Any:
    return io.BufferedReader(_Replies(connection, file, is_ours=is_ours), _BUFFER_BYTES)


def _peek(connection: Any) -> bytes:
    """Return what has come already, or what comes next; PyMySQL closes on an error as well."""
    try:
        come: bytes = connection._rfile.peek()
    except BaseException:
        connection._force_close()
        raise
    return come


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


class _Replies(io.RawIOBase):
    """What a server sends to PyMySQL, read until the time is over, however little comes at once.

    A socket's own time-out begins anew with each piece that comes.
    """

    def __init__(self, connection: Any, file: Any, *, is_ours: bool) -> None:
        super().__init__()
        self._connection, self._file, self._is_ours = connection, file, is_ours
        self.until: float | None = None
        """When the time is over; None for as long as the driver's own time-outs say."""
        self.count = 0
        """How many pieces have come."""

    def limit(self, seconds: float | None) -> None:
        self.until = None if seconds is None else monotonic_seconds() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.until is not None:
            seconds = self.until - monotonic_seconds()
            if seconds <= 0:
                raise TimeoutError("timed out")
            sock = self._connection._sock
            before = sock.gettimeout()
            if before is None or seconds < before - _STEP_MS / 1000:
                sock.settimeout(seconds)
                self._connection._current_timeout = seconds
        self.count += 1
        size: int | None = self._file.readinto1(buffer)
        return size

    def close(self) -> None:
        if self._is_ours:
            self._file.close()
        super().close()
