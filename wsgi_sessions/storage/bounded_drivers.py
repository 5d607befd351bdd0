"""Has each driver wait no longer than the budget of a request: for a server, a lock, an answer.

Must not know a table. A driver that can't be told is left as it is.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

from ..clock import monotonic_ms
from .patience import is_spending, left_ms

__all__ = [
    "bound_opening",
    "bound_pool",
    "bounded",
    "has_something_unread",
    "is_idle",
    "is_under_way",
    "limit_lock_waits",
]

_STEP_MS = 50
"""Time-outs are set in steps of this, so that most statements find theirs set already."""


def bound_opening(database: Any, *, is_mysql: bool) -> None:
    """Have a server's database of our own connect within the budget, with one TLS context."""
    if is_mysql:
        database._connect = lambda: _open_mysql(database)
    else:
        database._adapter.connect = lambda _, **params: _open_postgres(database, params)


# MariaDB and MySQL


def _open_mysql(database: Any) -> Any:
    options = {**database.connect_params, "database": database.database, "autocommit": True}
    patience = _seconds_left()
    if patience is not None:
        options.update(
            connect_timeout=min(patience, options["connect_timeout"]),
            read_timeout=patience,
            write_timeout=patience,
        )
    return _mysql_class()(**options)


@cache
def _mysql_class() -> Any:
    import pymysql.connections

    contexts: dict[str, Any] = {}

    class MySQLConnection(pymysql.connections.Connection):
        """A connection that shares its TLS context, which takes 20 ms to make, with others.

        It tries every address of its host, and waits for none of them, nor for what the server
        says at the beginning, longer than the budget.
        """

        _answers: Any = None

        @property
        def _rfile(self) -> Any:
            return self._answers

        @_rfile.setter
        def _rfile(self, file: Any) -> None:
            if file is not None and not isinstance(file, _AnswerFile):
                file = _AnswerFile(self, file)
                file.limit(_seconds_left())
            self._answers = file

        def connect(self, sock: Any = None) -> None:
            if sock is None and not self.unix_socket and left_ms() is not None:
                try:
                    sock = _reach(self)
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


def _reach(connection: Any) -> socket.socket:
    """Connect to the first address of a host that answers; each has its share of the budget."""
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


class _AnswerFile:
    """What a server says to PyMySQL, read until the time is over, however little comes at once.

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


# PostgreSQL


_addresses_left: ContextVar[int] = ContextVar("wsgi_sessions_addresses_left", default=1)
"""How many addresses of a server may still be tried, the one that is tried now included."""


def _open_postgres(database: Any, params: dict[str, Any]) -> Any:
    token = _addresses_left.set(_count_addresses(params))
    try:
        return _postgres_class().connect(dbname=database.database, **params)
    finally:
        _addresses_left.reset(token)


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
def _postgres_class() -> Any:
    import psycopg

    class PostgresConnection(psycopg.Connection[Any]):
        """A connection that is given up when the budget is spent, also by a silent server."""

        @classmethod
        def _connect_gen(cls, *given: Any, **more: Any) -> Any:
            count = max(1, _addresses_left.get())
            _addresses_left.set(count - 1)
            left = left_ms()
            share = None if left is None or count == 1 else left / count
            return _until_spent(super()._connect_gen(*given, **more), share_ms=share)

        def wait(self, gen: Any, *given: Any, **more: Any) -> Any:
            return _wait_bounded(self, super().wait, gen, *given, **more)

    return PostgresConnection


def _wait_bounded(
    connection: Any, wait: Callable[..., Any], gen: Any, *given: Any, **more: Any
) -> Any:
    if left_ms() is None:
        return wait(gen, *given, **more)
    try:
        return wait(_until_spent(gen), *given, **more)
    except _spent_error():
        # Whatever comes over it later answers a question that nobody asks any more.
        connection.pgconn.finish()
        raise


def _until_spent(
    steps: Generator[Any, Any, Any], *, share_ms: float | None = None
) -> Generator[Any, Any, Any]:
    """Pass on what the driver waits for; it is told of nothing every tenth of a second.

    What has come when the time is over is still read, once: a server that sends its answer in
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
                    raise _spent_error()("the server did not answer in time")
                is_overdue = True
            wanted = steps.send(ready)
    except StopIteration as stop:
        return stop.value


@cache
def _spent_error() -> type[Exception]:
    import psycopg

    class ServerSilent(psycopg.OperationalError):
        """The budget is spent, and the server has not answered."""

    return ServerSilent


# Any driver


@contextmanager
def bounded(connection: Any, *, kind: str) -> Iterator[None]:
    """Have what is sent over a connection to a server answered within the budget.

    ``kind`` is ``"postgres"`` or ``"mysql"``. What was set before is set again afterwards, for
    the connection may be lent.
    """
    if kind == "mysql" and hasattr(connection, "_read_timeout"):
        before = connection._read_timeout, connection._write_timeout
        seconds, file = _seconds_left(), connection._rfile
        connection._read_timeout = connection._write_timeout = seconds
        answers = file if isinstance(file, _AnswerFile) else _AnswerFile(connection, file)
        answers.limit(seconds)
        if file is not None:
            connection._rfile = answers
        try:
            yield
        finally:
            connection._read_timeout, connection._write_timeout = before
            answers.limit(None)
            if connection._rfile is answers:
                connection._rfile = file
    elif kind == "postgres" and hasattr(connection, "pgconn") and not _bounds_itself(connection):
        wait = connection.wait
        connection.wait = lambda gen, *given, **more: _wait_bounded(
            connection, wait, gen, *given, **more
        )
        try:
            yield
        finally:
            del connection.wait
    else:
        yield


def bound_pool(database: Any, *, kind: str) -> None:
    """Have a pool of Peewee's look at its connections within the budget of who waits for one.

    It asks the server whether a connection still lives before it hands it out, and undoes what
    was left open before it takes it back. What the application asks of its pool is not meant.
    """
    for name in ("_is_closed", "_can_reuse"):
        look = getattr(database, name, None)
        if look is not None and not hasattr(look, "is_bounded"):
            setattr(database, name, _BoundedLook(look, kind))


class _BoundedLook:
    is_bounded = True

    def __init__(self, look: Callable[[Any], bool], kind: str) -> None:
        self._look = look
        self._kind = kind

    def __call__(self, connection: Any) -> bool:
        if not is_spending():
            return self._look(connection)
        with bounded(connection, kind=self._kind):
            return self._look(connection)


def _bounds_itself(connection: Any) -> bool:
    return isinstance(connection, _postgres_class()) or "wait" in connection.__dict__


def _seconds_left() -> float | None:
    patience_ms = left_ms()
    return None if patience_ms is None else max(1, -(-patience_ms // _STEP_MS)) * _STEP_MS / 1000


def limit_lock_waits(connection: Any, lock_ms: int, *, kind: str) -> None:
    """Have the engine itself give up a wait for a lock: ``"sqlite"`` or as for ``bounded``.

    MariaDB counts in seconds, and has two kinds of lock: of rows, and of whole tables.
    """
    if kind == "sqlite":
        sql = f"PRAGMA busy_timeout = {lock_ms}"
    elif kind == "mysql":
        seconds = max(1, -(-lock_ms // 1000))
        sql = f"SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}"
    else:
        sql = f"SET lock_timeout = {max(1, lock_ms)}"
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql)


def is_idle(connection: Any, *, kind: str) -> bool:
    """Tell whether a connection is open and within no transaction, as far as the driver knows."""
    if kind == "sqlite":
        return not connection.in_transaction
    if kind == "mysql":
        return bool(connection.open) and not connection.server_status & 1
    return not connection.closed and int(connection.pgconn.transaction_status) == 0


def has_something_unread(connection: Any, *, kind: str) -> bool:
    """Tell whether a server has said something that nobody asked for.

    On a connection that should be at rest this is its end, or what is left of a query that
    was broken off. It costs no round trip.
    """
    try:
        if kind == "mysql":
            return _is_readable(connection._sock.fileno())
        for _ in range(3):
            if not _is_readable(connection.fileno()):
                return False
            # A notification is nothing bad: what the application listens to is kept for it.
            connection.pgconn.consume_input()
    except Exception:
        # Closed already, found to be cut, or of a driver that does not tell.
        return bool(getattr(connection, "closed", False)) or not getattr(connection, "open", True)
    return True


def is_under_way(connection: Any, *, kind: str) -> bool:
    """Tell whether the driver is still reading what another query gives."""
    pgconn = getattr(connection, "pgconn", None)
    return kind == "postgres" and pgconn is not None and int(pgconn.transaction_status) == 1


def _is_readable(number: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([number], [], [], 0)[0])
