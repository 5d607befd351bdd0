"""Opens, limits, hands out and takes back the connections to one database."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import peewee

from ..errors import ConfigurationError, StoreUnavailableError
from ..fork_safety import leave_to_parent, notice_fork, renew_locks_in_child
from ..light_dataclasses import dataclass
from .dialects import find_dialect
from .driver_errors import Meaning, translate
from .peewee_connections import PeeweeConnections
from .pool import Pool, PooledConnection
from .time_budget import left_ms, spending
from .urls import find_database, open_url

Work = Callable[[], "bool | None"]

SHORT_MS = 50
"""Where every validated request passes, shorter waits are not taken from its budget."""


class ReadAgainError(Exception):
    """A transaction has not found what may only be late; it begins again, synchronised."""


class FirstUse:
    """What is done once before a database is used, by one thread while the others wait."""

    def __init__(self) -> None:
        self.work: Work | None = None
        """What is still to be done, None if nothing is; it stays if it returns False."""
        self.is_ready_for: object = None
        self.lock = threading.RLock()
        self._done: Work | None = None

    def do(self, work: Work | None = None) -> None:
        """Do what is to be done, or this work in its place."""
        left = left_ms()
        if not self.lock.acquire(timeout=-1 if left is None else left / 1000):
            raise StoreUnavailableError("another thread is still creating the tables; try again")
        try:
            work = work or self.work
            if work is not None and work() is not False:
                self._done, self.work = work, None
        finally:
            self.lock.release()

    def repeat(self) -> None:
        """Require the work again: another database is in the place of the first."""
        self.work = self.work or self._done


@dataclass(eq=False, slots=True)
class _ThreadState:
    """What one thread of one process is doing with a database."""

    process_id: int
    connection: Any = None
    is_atomic: bool = False
    """Whether it is in a block of ``atomically``, and whether that began the transaction:"""
    has_begun: bool = False
    is_synchronised: bool = False
    """Whether that was after the server had applied all that others had written."""
    must_drop: bool = False
    """Whether its connection is of no use to the next."""
    was_open: bool = False
    """Whether the application had a connection open before the fork."""


class _Threads(threading.local):
    state = _ThreadState(0)  # of no process, so nothing is ever written to it


class ConnectionSource:
    """The connections to one database.

    A URL makes a database of our own, with at most ``max_connections`` of this process. A
    Peewee database is the application's: open stays open, closed is closed again, its
    transactions stay its own. What is done outside of a request waits ``timeout_ms`` at most.
    """

    def __init__(
        self,
        database: str | peewee.Database | peewee.DatabaseProxy,
        *,
        max_connections: int,
        timeout_ms: int,
    ) -> None:
        self.is_owned = isinstance(database, str)
        found = open_url(database) if isinstance(database, str) else find_database(database)
        if found is None:
            raise ConfigurationError(
                "the database is a DatabaseProxy that leads nowhere yet; call its initialize() "
                "with a Peewee database before the manager is made"
            )
        self.database: Any = found
        self.dialect = find_dialect(found)
        self.timeout_ms = timeout_ms
        self.first_use = FirstUse()
        self._is_lagging = None if self.dialect.may_lag else False
        # A lone surrogate fits in no database, an integer of more than 64 bits not in SQLite.
        self.errors: tuple[type[Exception], ...] = (
            peewee.PeeweeException,
            *self.dialect.driver_errors(),
            OSError,
            UnicodeEncodeError,
            OverflowError,
        )
        if hasattr(found, "_max_connections"):
            from playhouse.pool import MaxConnectionsExceeded  # it loads every driver

            self.errors += (MaxConnectionsExceeded,)
        self.threads = _Threads()
        self._is_memory = self.dialect.is_in_memory(found)
        self.path = self.dialect.file_of(found) if self.is_owned else None
        self.file_id: tuple[int, int] | None = None
        if self.is_owned:
            self.dialect.use_time_limits(found)
        self.peewee_connections = PeeweeConnections(found, self.dialect)
        # One connection in memory is all there is, so its users take turns.
        self.pool = Pool(
            1 if self._is_memory else max_connections,
            open_one=self._open,
            is_full=lambda error: self.dialect.meaning_of(error) is Meaning.TOO_MANY_CONNECTIONS,
        )
        renew_locks_in_child(self)

    # Taking a connection

    def close(self) -> None:
        if not self.is_owned:
            return
        if self.thread().connection is None and not self.database.is_closed():
            self.database.close()
        self.pool.close_idle()

    @contextmanager
    def taken(self, *, is_preparing: bool = False) -> Iterator[Any]:
        """Take a connection for a block; a block inside another one gets the same.

        ``is_preparing``: nothing is done before its first use.
        """
        state = self.thread()
        if state.connection is not None:
            yield state.connection
            return
        # A thread that has opened a database of ours itself goes on with that connection.
        is_pooled = self.is_owned and (self._is_memory or self.database.is_closed())
        opened = self._pooled(state) if is_pooled else self._of_peewee(state)
        with spending(self.timeout_ms), opened as connection, self.dialect.limited(connection):
            if self.first_use.work is not None and not is_preparing:
                self.first_use.do()
            yield connection

    @contextmanager
    def _pooled(self, state: _ThreadState) -> Iterator[Any]:
        entry = self._take_usable()
        in_peewee = self.database._state
        was_open = not in_peewee.closed
        state.connection = entry.connection
        if not was_open:
            in_peewee.set_connection(entry.connection)
        try:
            self._limit_lock_waits(entry)
            yield entry.connection
        except BaseException as error:
            # An error that the server reports leaves a connection as good as it was.
            # Or that it is no longer one of those that know.
            state.must_drop |= not isinstance(error, Exception) or self.is_lost(error)
            # BEGIN is prepared by the driver, too.
            self.dialect.stop_preparing(entry.connection, error)
            raise
        finally:
            state.connection = None
            if not was_open:
                in_peewee.reset()
            must_drop, state.must_drop = state.must_drop, False
            if self._is_memory:
                if not was_open and entry.connection.in_transaction:
                    entry.connection.rollback()
                self.pool.give(entry)
            elif not must_drop and self.is_usable(entry):
                self.pool.give(entry)
            else:
                self.pool.discard(entry)

    def _take_usable(self) -> PooledConnection:
        self._check_file()
        while True:
            entry = self.pool.take()
            # Cut by the server while it was idle: then nothing was sent over it.
            if not self.dialect.has_unread(entry.connection):
                return entry
            self.pool.discard(entry)

    def is_usable(self, entry: PooledConnection) -> bool:
        """Return whether the next one can use a connection as it is."""
        try:
            return entry.file_id == self.file_id and self.dialect.is_idle(entry.connection)
        except Exception:
            return False  # closed meanwhile

    @contextmanager
    def _of_peewee(self, state: _ThreadState) -> Iterator[Any]:
        """Take the connection that Peewee has for the thread, and leave it open or closed."""
        # One that was open before the fork is found open after it.
        must_close = self.peewee_connections.open() and not state.was_open
        state.was_open = False
        try:
            state.connection = self.peewee_connections.usable()
            yield state.connection
        finally:
            state.connection = None
            if must_close and not self.database.is_closed():
                self.database.close()

    def _open(self) -> PooledConnection:
        connection = self.dialect.connect(self.database)
        try:
            if self.database.server_version is None:
                self.database._set_server_version(connection)
            with self.dialect.limited(connection):
                self.dialect.limit_lock_waits(connection, self.timeout_ms)
        except BaseException:
            connection.close()
            raise
        if self.path is not None:
            self.file_id = _file_id(self.path)
        entry = PooledConnection(connection, lock_ms=self.timeout_ms, file_id=self.file_id)
        # Who uses the only one of a database in memory may have left it in a transaction.
        if not self._is_memory:
            entry.execute = self.dialect.quick_execute(connection, self.timeout_ms)
            entry.has_come = self.dialect.watch(connection)
        return entry

    def _limit_lock_waits(self, entry: PooledConnection) -> None:
        if self.dialect.is_server:
            return  # it would cost a round trip
        limit_ms = left_ms()
        if limit_ms is None or limit_ms > self.timeout_ms - SHORT_MS:
            limit_ms = self.timeout_ms
        if entry.lock_ms != limit_ms:
            self.dialect.limit_lock_waits(entry.connection, limit_ms)
            entry.lock_ms = limit_ms

    def _check_file(self) -> None:
        """Notice, before a connection is taken, that the file is not there or is another one."""
        known = self.file_id
        if self.path is None or known is None:
            return
        try:
            found = _file_id(self.path)
        except FileNotFoundError:
            self.pool.close_idle()
            raise StoreUnavailableError(
                f"the database file {self.path} was deleted while it was in use; put it back, "
                "or start the application anew to have an empty one"
            ) from None
        if found != known:
            self.file_id = found
            self.first_use.repeat()
            self.pool.close_idle()

    # Servers that lag

    @property
    def is_lagging(self) -> bool:
        """Whether the server is one of several that apply late what others write; asked once."""
        if self._is_lagging is None:
            try:
                with self.taken() as connection:
                    self._is_lagging = self.dialect.is_lagging(connection)
            except self.errors as error:
                raise translate(error, self.dialect.meaning_of(error)) from error
        return self._is_lagging

    def require_synchronised(self) -> None:
        """Begin a transaction of ours again where what it does not find may only be late.

        Called within it, before somebody is told so. Nothing happens where it was synchronised,
        or the application has begun it.
        """
        state = self.thread()
        if state.has_begun and not state.is_synchronised and self.is_lagging:
            raise ReadAgainError

    # Connections that are of no more use

    def is_lost(self, error: BaseException | None) -> bool:
        """Return whether an error means that a connection leads nowhere, or to a standby."""
        if isinstance(error, StoreUnavailableError):
            error = error.__cause__
        return self.dialect.meaning_of(error) in (Meaning.CONNECTION_LOST, Meaning.READ_ONLY)

    def reconnect(self, error: BaseException | None) -> bool:
        """Make the next try find another connection; return whether it can."""
        if self.is_owned:
            if not self._is_memory:
                self.pool.close_idle()
            return True
        if self.database.is_closed():
            return True
        if not self.is_lost(error) and not self.dialect.is_closed(self.database.connection()):
            return False
        # Peewee keeps it for good, and the application may never look.
        self.peewee_connections.drop()
        try:
            self.database.connect()
        except self.errors:
            return False
        return True

    # Forks

    def thread(self) -> _ThreadState:
        """Return the state of this thread, after letting go of a parent process's connection."""
        process_id = notice_fork()
        state = self.threads.state
        if state.process_id != process_id:
            state = self.threads.state = _ThreadState(process_id)
            if not self._is_memory and self.peewee_connections.leave_to_parent(process_id):
                state.was_open = not self.is_owned
        return state

    def renew_locks(self) -> None:
        """In a forked child: no other thread is there, and no pooled connection is ours."""
        self.first_use.lock = threading.RLock()
        was_in_use = self.pool.leave_to_parent()
        if self.is_owned and self._is_memory and was_in_use:
            # A thread that is not there was in the middle of something: begin with an empty one.
            leave_to_parent(self.database.take_connection())
            self.first_use.repeat()
        self.peewee_connections.renew_locks()


def _file_id(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116  a Path takes five times as long
    return found.st_dev, found.st_ino
