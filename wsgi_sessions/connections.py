"""Connections: opened when needed, safe for threads and forks, borrowed ones left as found.

Must not know any table; the only room that sleeps (between tries of a transaction).
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import peewee

from .clock import monotonic_ms
from .databases import BUSY_TIMEOUT_MS, find_database, is_in_memory, open_url
from .driver_errors import IntegrityConflict, driver_errors, is_conflict, is_gone, translate
from .errors import ConfigurationError, StoreUnavailableError
from .forks import leave_to_parent, notice_fork, renew_locks_in_child

__all__ = ["Connections", "IntegrityConflict"]

T = TypeVar("T")
Row = tuple[Any, ...]

_MOST_TRIES = 8
_PATIENCE_MS = BUSY_TIMEOUT_MS
"""After this long a transaction that met others is not begun again."""
_openings: weakref.WeakKeyDictionary[peewee.Database, Any] = weakref.WeakKeyDictionary()
"""In which process the connection was opened that a thread has to a database."""


class Connections:
    """The way to one database.

    A URL makes a database of our own: one connection a thread stays open. A Peewee database is
    the application's: open stays open, closed is closed again, its transactions stay its own.
    """

    def __init__(self, database: str | peewee.Database | peewee.DatabaseProxy) -> None:
        self.is_owned = isinstance(database, str)
        found = open_url(database) if isinstance(database, str) else find_database(database)
        if found is None:
            raise ConfigurationError(
                "the database is a DatabaseProxy that leads nowhere yet; call its initialize() "
                "with a Peewee database before the manager is made"
            )
        self.database: Any = found
        self.is_sqlite = isinstance(self.database, peewee.SqliteDatabase)
        self.is_mysql = isinstance(self.database, peewee.MySQLDatabase)
        self.on_first_use: Callable[[], bool | None] | None = None
        self._used_first: Callable[[], bool | None] | None = None
        self.is_ready_for: object = None
        self._errors = driver_errors(self.database)
        self._transaction_errors: tuple[type[Exception], ...] = (
            *self._errors,
            StoreUnavailableError,
        )
        # What we lock and then read has to be what is there now, whatever a role's default says.
        self._kind_of_transaction: tuple[str, ...] = (
            ("IMMEDIATE",) if self.is_sqlite else () if self.is_mysql else ("READ COMMITTED",)
        )
        self._local = threading.local()
        self._is_memory = self.is_sqlite and is_in_memory(str(self.database.database))
        # One connection in memory is all there is, so its users take turns.
        self._turn: Any = threading.RLock() if self._is_memory and self.is_owned else None
        self._is_quick = self.is_owned and self.is_sqlite and self._turn is None
        self._only_holder: _Holder | None = None
        self._first_use_lock = threading.RLock()
        self._is_preparing = False
        self._opening = _note_openings(self.database)
        renew_locks_in_child(self)

    @property
    def is_within_app_transaction(self) -> bool:
        """Whether the application has begun a transaction that what is written here joins."""
        self._notice_fork()
        return (
            not self.is_owned
            and not getattr(self._local, "depth", 0)
            and bool(self.database.in_transaction())
        )

    @property
    def may_read_the_past(self) -> bool:
        """Whether a plain SELECT may show rows as they were before others changed them.

        MariaDB does so within a transaction that has read before. Ours lock before they read;
        what the application's have done nobody knows.
        """
        return (
            self.is_mysql
            and bool(self.database.in_transaction())
            and not getattr(self._local, "has_begun", False)
        )

    # Statements

    def read_row(self, sql: str, parameters: Sequence[Any]) -> Row | None:
        """Run a SELECT outside of any transaction of ours and return its first row, or None."""
        if self._is_quick:
            try:
                row: Row | None = self._connection().execute(sql, parameters).fetchone()
                return row
            except self._errors as error:
                if self.database.in_transaction():
                    raise translate(error) from error
        rows = self.read_rows(sql, parameters)
        return rows[0] if rows else None

    def read_rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        """Run a SELECT and return its rows; tried again once on a new connection."""
        for attempt in (1, 2):
            try:
                with self._taken() as connection:
                    cursor = connection.cursor()
                    try:
                        cursor.execute(sql, parameters)
                        return [tuple(row) for row in cursor.fetchall()]
                    finally:
                        cursor.close()
            except self._errors as error:
                translated = translate(error)
                is_last = (
                    attempt == 2
                    or self.database.in_transaction()
                    or not isinstance(translated, StoreUnavailableError)
                )
                if is_last or not self._renew(error):
                    raise translated from error
        raise AssertionError("unreachable")

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it changed."""
        return self._change(sql, parameters, lambda cursor: int(cursor.rowcount))

    def insert(self, sql: str, parameters: Sequence[Any]) -> Any:
        """Run one INSERT and return the key of the row: what it returns, or the last one given."""
        return self._change(sql, parameters, _key_of_inserted)

    def _change(self, sql: str, parameters: Sequence[Any], tell: Callable[[Any], T]) -> T:
        try:
            with self._taken() as connection:
                cursor = connection.cursor()
                try:
                    cursor.execute(sql, parameters)
                    return tell(cursor)
                finally:
                    cursor.close()
        except self._errors as error:
            raise self._after_failure(error) from error

    def atomically(self, work: Callable[[], T]) -> T:
        """Run statements all or none, again from the start after a conflict with others.

        Joins a transaction of ours that is open; within the application's it is a savepoint.
        """
        self._notice_fork()
        if getattr(self._local, "depth", 0):
            return work()
        began_ms = monotonic_ms()
        for attempt in range(1, _MOST_TRIES + 1):
            has_begun = False
            try:
                with self._taken():
                    is_inner = self.database.in_transaction()
                    kind = () if is_inner else self._kind_of_transaction
                    self._local.depth = 1
                    self._local.has_begun = not is_inner
                    try:
                        with self.database.atomic(*kind):
                            has_begun = True
                            return work()
                    finally:
                        self._local.depth = 0
                        self._local.has_begun = False
            except self._transaction_errors as error:
                cause = error.__cause__ if isinstance(error, StoreUnavailableError) else error
                # A try may itself wait for a lock, and whoever asked waits with it.
                is_last = attempt == _MOST_TRIES or monotonic_ms() - began_ms >= _PATIENCE_MS
                if self.database.in_transaction() or is_last:
                    raise self._after_failure(error) from cause
                if not is_conflict(cause):
                    # Once begun it may have been committed, so it is not sent again.
                    is_unsent = not has_begun and self._is_dead_at_begin(cause, attempt)
                    if cause is None or not (is_unsent and self._renew(cause)):
                        raise self._after_failure(error) from cause
                    continue
            time.sleep(0.005 * 2**attempt)
        raise AssertionError("unreachable")

    def run(self, work: Callable[[], None]) -> None:
        """Run work that uses the Peewee database itself, on the thread's connection."""
        try:
            with self._taken():
                work()
        except self._errors as error:
            raise self._after_failure(error) from error

    def visit(self, look: Callable[[], bool]) -> None:
        """Look at the database before the first use, and leave nothing behind: no file either."""
        name = Path(str(self.database.database))
        if self.is_sqlite and (self._is_memory or not name.exists()):
            if not self._is_memory and not name.parent.exists():
                raise StoreUnavailableError(
                    f"there is no folder {name.parent} for the file of the database"
                )
            return
        was_closed = self.database.is_closed()
        try:
            self.prepare(look)
        finally:
            if was_closed:
                self.close()

    def close(self) -> None:
        """Close this thread's connection to a database of our own."""
        if self.is_owned and not self.database.is_closed():
            self.database.close()
            self._local.__dict__.pop("holder", None)

    # Connections

    def _connection(self) -> Any:
        self._notice_fork()
        database = self.database
        if database.is_closed():
            self._open()
        if self.on_first_use is not None:
            # It may itself open a connection anew.
            self.prepare()
        return database.connection()

    def _open(self) -> None:
        self._connect()
        holder = _Holder(self.database.connection())
        if self._turn is None:
            self._local.holder = holder
        else:
            self._only_holder = holder
        self._limit_waiting()

    def prepare(self, work: Callable[[], bool | None] | None = None) -> None:
        """Have done what comes before the first use, or this work in its place.

        It is done again at the next use if it returns False.
        """
        self._notice_fork()
        # Others wait here until it is done; in memory they wait for their turn before that.
        with self._turn or nullcontext(), self._first_use_lock:
            work = work or self.on_first_use
            if work is None or self._is_preparing:
                return
            self._is_preparing = True
            try:
                if work() is not False:
                    self._used_first, self.on_first_use = work, None
            finally:
                self._is_preparing = False

    def _connect(self) -> None:
        """Connect, again and again while others turn a new SQLite file to WAL.

        SQLite does not wait there, whatever ``busy_timeout`` says.
        """
        began_ms = monotonic_ms()
        while True:
            try:
                self.database.connect(reuse_if_open=True)
                return
            except self._errors as error:
                is_over = monotonic_ms() - began_ms >= _PATIENCE_MS
                if is_over or not (self.is_sqlite and is_conflict(error)):
                    raise
            time.sleep(0.01)

    def _limit_waiting(self) -> None:
        """Have a server wait for a lock no longer than SQLite does; MariaDB's own is 50 s."""
        if self.is_sqlite:
            return
        if self.is_mysql:
            sql = f"SET SESSION innodb_lock_wait_timeout = {BUSY_TIMEOUT_MS // 1000}"
        else:
            sql = f"SET lock_timeout = {BUSY_TIMEOUT_MS}"
        with closing(self.database.connection().cursor()) as cursor:
            cursor.execute(sql)

    @contextmanager
    def _taken(self) -> Iterator[Any]:
        """Take the thread's connection; a borrowed one is left as it was found."""
        if self.is_owned:
            if self._turn is None:
                yield self._connection()
                return
            self._notice_fork()
            with self._turn:
                yield self._connection()
            return
        self._notice_fork()
        was_closed = self.database.connect(reuse_if_open=True)
        if self._local.__dict__.pop("must_open", False):
            # It was open before the fork, so it is found open after it.
            was_closed = False
        try:
            if self.on_first_use is not None:
                self.prepare()
            yield self.database.connection()
        finally:
            if was_closed:
                self.database.close()

    def _renew(self, error: BaseException) -> bool:
        """Have the next try find another connection; tell whether it can."""
        if self.is_owned:
            self._drop()
            return True
        if self.database.is_closed():
            return True
        if not is_gone(error, self.database.connection()):
            return False
        # Peewee keeps it for good, and the application may never look.
        self._drop()
        try:
            self.database.connect()
        except self._errors:
            return False
        return True

    def _drop(self) -> None:
        """Let go of a connection that is of no more use."""
        if self._turn is not None:
            return
        try:
            self.database.close()
        except Exception:
            self.database.dispose()
        self._local.__dict__.pop("holder", None)

    # Forks

    def _notice_fork(self) -> None:
        """Let go of a connection of this thread that belongs to the parent process."""
        process_id = notice_fork()
        local = self._local.__dict__
        if local.get("process_id") == process_id:
            return
        holder = local.get("holder")
        local.clear()
        local["process_id"] = process_id
        connection = self.database._state.conn
        is_ours = getattr(self._opening, "process_id", process_id) == process_id
        if connection is None or is_ours or self._is_memory:
            if holder is not None:
                local["holder"] = holder
            return
        leave_to_parent((connection, holder))
        self.database._state.reset()
        local["must_open"] = not self.is_owned

    def renew_locks(self) -> None:
        """In a forked child: no other thread is there, and no pooled connection is ours."""
        database = self.database
        self._first_use_lock = threading.RLock()
        self._is_preparing = False
        if database.thread_safe:
            database._lock = threading.RLock()
        pooled, in_use = _pooled(database), getattr(database, "_in_use", None)
        if in_use is not None:
            leave_to_parent((list(pooled), dict(in_use)))
            pooled.clear()
            in_use.clear()
            database._pool_lock = threading.RLock()
            database._pool_available = threading.Condition(database._pool_lock)
        if self._turn is not None:
            self._renew_turn()

    def _renew_turn(self) -> None:
        """Go on with the copy of a database in memory, unless it was in use at that moment."""
        is_free = self._turn.acquire(blocking=False)
        if is_free:
            self._turn.release()
            return
        self._turn = threading.RLock()
        leave_to_parent((self.database._state.conn, self._only_holder))
        self._only_holder = None
        self.database._state.reset()
        self.on_first_use = self._used_first

    # Errors

    def distrust(self) -> StoreUnavailableError:
        """Drop a connection that gave a row nobody asked for; return what to raise."""
        if not self.database.in_transaction():
            self._drop()
        return StoreUnavailableError(
            "the database answered another question than the one it was asked: the connection "
            "is shared with another process or thread, and was dropped"
        )

    def _after_failure(self, error: BaseException) -> BaseException:
        if isinstance(error, StoreUnavailableError):
            return error
        translated = translate(error)
        if (
            isinstance(translated, StoreUnavailableError)
            and self.is_owned
            and not self.is_sqlite
            and not self.database.in_transaction()
            and not getattr(self._local, "depth", 0)
        ):
            self._drop()
        return translated

    def _is_dead_at_begin(self, error: BaseException | None, attempt: int) -> bool:
        """Tell whether a connection was found dead before anything was sent over it."""
        if error is None or attempt > 1 or self.is_sqlite:
            return False
        names = {kind.__name__ for kind in type(error).__mro__}
        return bool(names & {"OperationalError", "InterfaceError"})


def _key_of_inserted(cursor: Any) -> Any:
    # PostgreSQL alone is asked to return it.
    return cursor.lastrowid if cursor.description is None else cursor.fetchone()[0]


class _Holder:
    """Closes a connection when its thread or greenlet is gone, or the whole database is."""

    __slots__ = ("__weakref__",)

    def __init__(self, connection: Any) -> None:
        # Not __del__: in a collected cycle it may come after the connection's own.
        weakref.finalize(self, _close_in_process, connection, os.getpid())


def _close_in_process(connection: Any, pid: int) -> None:
    if pid != os.getpid():
        leave_to_parent(connection)
        return
    # It may be closed already, or its server gone.
    with suppress(Exception):
        connection.close()


def _note_openings(database: Any) -> Any:
    """Have it noted from now on in which process a thread's connection was opened."""
    known = _openings.get(database)
    if known is not None:
        return known
    opening: Any = threading.local() if database.thread_safe else SimpleNamespace()
    connect = database._connect

    def connect_and_note() -> Any:
        # Before it: the parent's connections must have left the pool.
        process_id = notice_fork()
        connection = connect()
        opening.process_id = process_id
        return connection

    database._connect = connect_and_note
    if not database.is_closed():
        opening.process_id = os.getpid()
    _openings[database] = opening
    return opening


def _pooled(database: Any) -> list[Any]:
    """Return the connections that a pool of Peewee's has at hand, as it keeps them."""
    found: list[Any] = getattr(database, "_connections", None) or []
    return found
