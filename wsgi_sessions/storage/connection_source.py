"""Where a connection comes from: a pool of ours, or the application, who lends it.

Must not send a statement of the product: it opens, limits, hands out and takes back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee

from ..errors import ConfigurationError, StoreUnavailableError
from ..fork_safety import leave_to_parent, notice_fork, renew_locks_in_child
from .dialects import find_dialect
from .driver_errors import Meaning
from .openings import kept_by_pool, limit_pool, note_openings, open_in_turn, pool_errors
from .patience import current_budget, left_ms, spending
from .pool import Pool, PooledConnection
from .urls import DEFAULT_PATIENCE_MS, find_database, is_in_memory, open_url

__all__ = ["LONG_MS", "ConnectionSource"]

_PREPARING_MS = 60_000
"""Outside of a request, others who make the tables are waited for that long."""

LONG_MS = 50
"""Shorter waits are not taken from the budget of the way of every validated request."""


class ConnectionSource:
    """Opens, keeps and hands out the connections to one database.

    A URL makes a database of our own, with at most ``max_connections`` of this process. A
    Peewee database is the application's: open stays open, closed is closed again, its
    transactions stay its own. What is done outside of a request waits ``patience_ms`` at most.
    """

    def __init__(
        self,
        database: str | peewee.Database | peewee.DatabaseProxy,
        *,
        max_connections: int = 20,
        patience_ms: int = DEFAULT_PATIENCE_MS,
    ) -> None:
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
        self.is_ready_for: object = None
        self.patience_ms = patience_ms
        self.dialect = find_dialect(found)
        self._used_first: Callable[[], bool | None] | None = None
        # A lone surrogate fits in no database, an integer of more than 64 bits not in SQLite.
        self._errors: tuple[type[Exception], ...] = (
            peewee.PeeweeException,
            *pool_errors(self.database),
            *self.dialect.driver_errors(),
            OSError,
            UnicodeEncodeError,
            OverflowError,
        )
        self._transaction_errors: tuple[type[Exception], ...] = (
            *self._errors,
            StoreUnavailableError,
        )
        self._local = threading.local()
        self._is_memory = self.is_sqlite and is_in_memory(str(self.database.database))
        self._path = (
            str(self.database.database)
            if self.is_sqlite
            and not self._is_memory
            and not str(self.database.database).startswith("file:")
            else None
        )
        self._file_id: tuple[int, int] | None = None
        self._first_use_lock = threading.RLock()
        if self.is_owned:
            self.dialect.use_time_limits(self.database)
        else:
            limit_pool(self.database, self.dialect)
        self._opening = note_openings(self.database)
        # One connection in memory is all there is, so its users take turns.
        self._pool = Pool(
            1 if self._is_memory else max_connections,
            open_one=self._open,
            is_full=self.dialect.is_out_of_connections,
        )
        self._is_quick = self.is_owned and self._path is not None
        renew_locks_in_child(self)

    # Taking a connection

    def close(self) -> None:
        """Close the connections to a database of our own that are not in use."""
        if not self.is_owned:
            return
        self._notice_fork()
        if "held" not in self._local.__dict__ and not self.database.is_closed():
            self.database.close()
        self._pool.close_idle()

    def _take_quickly(self) -> PooledConnection | None:
        """Return an idle connection to a file that needs no look at anything, if there is one."""
        local = self._local.__dict__
        if (
            local.get("process_id") != os.getpid()
            or "held" in local
            or self.on_first_use is not None
            or not self.database._state.closed
        ):
            return None
        budget = current_budget()
        if budget is not None and budget.left_ms < self.patience_ms - LONG_MS:
            return None
        try:
            found = os.stat(self._path)  # type: ignore[arg-type]  # noqa: PTH116
        except OSError:
            return None
        if (found.st_dev, found.st_ino) != self._file_id:
            return None
        entry = self._pool.take_idle()
        if entry is not None and entry.lock_ms != self.patience_ms:
            self._pool.give(entry)
            return None
        return entry

    @contextmanager
    def _taken(self) -> Iterator[Any]:
        """Have a connection to oneself for a block; within another block it is that one's."""
        self._notice_fork()
        held = self._local.__dict__.get("held")
        if held is not None:
            yield held
            return
        with spending(self.patience_ms):
            # Who has opened a database of ours directly goes on with that connection.
            is_pooled = self.is_owned and (self._is_memory or self.database.is_closed())
            with self._pooled() if is_pooled else self._lent() as connection:
                yield connection

    @contextmanager
    def _pooled(self) -> Iterator[Any]:
        entry = self._take_usable()
        local, state = self._local.__dict__, self.database._state
        was_open = not state.closed
        local["held"] = entry.connection
        if not was_open:
            state.set_connection(entry.connection)
        is_broken = True
        try:
            with self.dialect.limited(entry.connection):
                self._limit_lock_waits(entry)
                if self.on_first_use is not None:
                    self._prepare()
                yield entry.connection
            is_broken = False
        except Exception:
            # An error that the server told of leaves a connection as good as it was.
            is_broken = False
            raise
        finally:
            local.pop("held", None)
            if not was_open:
                state.reset()
            is_broken = local.pop("is_distrusted", False) or is_broken
            if not self._is_memory:
                self._give_back(entry, is_broken=is_broken)
            else:
                if not was_open and entry.connection.in_transaction:
                    entry.connection.rollback()
                self._pool.give(entry)

    def _take_usable(self) -> PooledConnection:
        if self._path is not None:
            self._check_file()
        while True:
            entry = self._pool.take()
            # Cut by the server while it was idle: then nothing was sent over it.
            if not self.dialect.has_unread(entry.connection):
                return entry
            self._pool.discard(entry)

    def _give_back(self, entry: PooledConnection, *, is_broken: bool) -> None:
        if is_broken or entry.file_id != self._file_id or not self._is_idle(entry):
            self._pool.discard(entry)
        else:
            self._pool.give(entry)

    def _is_idle(self, entry: PooledConnection) -> bool:
        try:
            return self.dialect.is_idle(entry.connection)
        except Exception:
            # Closed meanwhile.
            return False

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        """Take the thread's connection; one that is lent is left as it was found."""
        was_closed = open_in_turn(self.database)
        if self._local.__dict__.pop("must_open", False):
            # It was open before the fork, so it is found open after it.
            was_closed = False
        try:
            connection = self._usable_lent()
            self._local.held = connection
            with self.dialect.limited(connection):
                if self.on_first_use is not None:
                    self._prepare()
                yield connection
        finally:
            self._local.__dict__.pop("held", None)
            if was_closed and not self.database.is_closed():
                self.database.close()

    def _usable_lent(self) -> Any:
        connection = self.database.connection()
        if self.dialect.is_running_query(connection):
            raise StoreUnavailableError(
                "another query is under way on the application's connection, or was broken off; "
                "read it to its end, or close the connection"
            )
        if self.dialect.has_unread(connection):
            if self.database.in_transaction():
                raise StoreUnavailableError(
                    "the application's connection was cut, or broken off within a query, in the "
                    "middle of its transaction; close it and begin again"
                )
            self._drop_lent()
            self.database.connect()
            connection = self.database.connection()
        return connection

    def _open(self) -> PooledConnection:
        """Open one more connection for the pool."""
        while True:
            if self.is_sqlite:
                self.database._timeout = (left_ms() or 0) / 1000
            try:
                connection = self.database._connect()
                break
            except self._errors as error:
                # While others turn a new file to WAL, SQLite does not wait, whatever its
                # busy_timeout says.
                if left_ms() == 0 or not (self.is_sqlite and self.dialect.is_conflict(error)):
                    raise
            time.sleep(0.01)
        try:
            if self.database.server_version is None:
                self.database._set_server_version(connection)
            with self.dialect.limited(connection):
                self.dialect.limit_lock_waits(connection, self.patience_ms)
        except BaseException:
            connection.close()
            raise
        if self._path is not None:
            self._file_id = _file_id(self._path)
        return PooledConnection(connection, lock_ms=self.patience_ms, file_id=self._file_id)

    def _limit_lock_waits(self, entry: PooledConnection) -> None:
        if not self.is_sqlite:
            return
        patience_ms = left_ms()
        if patience_ms is None or patience_ms > self.patience_ms - LONG_MS:
            patience_ms = self.patience_ms
        if entry.lock_ms != patience_ms:
            self.dialect.limit_lock_waits(entry.connection, patience_ms)
            entry.lock_ms = patience_ms

    def prepare(self, work: Callable[[], bool | None] | None = None) -> None:
        """Have done what comes before the first use, or this work in its place.

        It is done again at the next use if it returns False.
        """
        self._prepare_within(max(self.patience_ms, _PREPARING_MS), work)

    def _prepare_within(self, patience_ms: int, work: Callable[[], bool | None] | None) -> None:
        self._notice_fork()
        local = self._local.__dict__
        was_preparing = local.get("is_preparing", False)
        local["is_preparing"] = True
        try:
            with spending(patience_ms), self._taken():
                local["is_preparing"] = was_preparing
                self._prepare(work)
        except self._errors as error:
            raise self.dialect.translate(error) from error
        finally:
            local["is_preparing"] = was_preparing

    def visit(self, look: Callable[[], bool]) -> None:
        """Look at the database before the first use, and leave nothing behind: no file either."""
        name = Path(str(self.database.database))
        if self.is_sqlite and (self._is_memory or not name.exists()):
            if not self._is_memory and not name.parent.exists():
                raise StoreUnavailableError(
                    f"there is no folder {name.parent} for the file of the database"
                )
            return
        was_closed = self.database.is_closed() and not self._pool.is_open
        try:
            self._prepare_within(self.patience_ms, look)
        finally:
            if was_closed:
                self.close()

    def _prepare(self, work: Callable[[], bool | None] | None = None) -> None:
        """Do what the first use asks for; others wait until it is done."""
        local = self._local.__dict__
        if local.get("is_preparing"):
            return
        patience_ms = left_ms()
        seconds = -1 if patience_ms is None else patience_ms / 1000
        if not self._first_use_lock.acquire(timeout=seconds):
            raise StoreUnavailableError("another thread is still creating the tables; try again")
        local["is_preparing"] = True
        try:
            work = work or self.on_first_use
            if work is not None and work() is not False:
                self._used_first, self.on_first_use = work, None
        finally:
            local["is_preparing"] = False
            self._first_use_lock.release()

    # A file that was taken away

    def _check_file(self) -> None:
        """Notice, before a connection is taken, that the file is not there or is another one."""
        known = self._file_id
        if known is None:
            return
        try:
            found = _file_id(str(self._path))
        except FileNotFoundError:
            self._pool.close_idle()
            raise StoreUnavailableError(
                f"the database file {self._path} was deleted while it was in use; put it back, "
                "or start the application anew to have an empty one"
            ) from None
        if found != known:
            self._file_id = found
            self.on_first_use = self.on_first_use or self._used_first
            self._pool.close_idle()

    # Waiting

    def _spend(self, waited_ms: int) -> None:
        budget = current_budget()
        if budget is not None:
            budget.left_ms -= waited_ms

    def _is_spent(self, error: BaseException | None) -> bool:
        """Tell whether whoever asks has waited for as long as they can."""
        return left_ms() == 0 or (error is not None and self.dialect.is_timeout(error))

    # Connections that are of no more use

    def _renew(self, error: BaseException) -> bool:
        """Have the next try find another connection; tell whether it can."""
        if self.is_owned:
            if not self._is_memory:
                self._pool.close_idle()
            return True
        if self.database.is_closed():
            return True
        is_lost = self.dialect.meaning_of(error) is Meaning.CONNECTION_LOST
        if not is_lost and not self.dialect.is_closed(self.database.connection()):
            return False
        # Peewee keeps it for good, and the application may never look.
        self._drop_lent()
        try:
            self.database.connect()
        except self._errors:
            return False
        return True

    def _drop_lent(self) -> None:
        try:
            self.database.close()
        except Exception:
            self.database.dispose()

    def distrust(self) -> StoreUnavailableError:
        """Drop a connection that gave a row nobody asked for; return what to raise."""
        if "held" in self._local.__dict__:
            self._local.is_distrusted = True
        elif self.is_owned:
            self._pool.close_idle()
        elif not self.database.in_transaction():
            self._drop_lent()
        return StoreUnavailableError(
            "the database answered another question than the one it was asked: the connection "
            "is shared with another process or thread, and was dropped"
        )

    # Forks

    def _notice_fork(self) -> None:
        """Let go of a connection of this thread that belongs to the parent process."""
        process_id = notice_fork()
        local = self._local.__dict__
        if local.get("process_id") == process_id:
            return
        local.clear()
        local["process_id"] = process_id
        connection = self.database._state.conn
        is_ours = getattr(self._opening, "process_id", process_id) == process_id
        if connection is None or is_ours or self._is_memory:
            return
        leave_to_parent(connection)
        self.database._state.reset()
        local["must_open"] = not self.is_owned

    def renew_locks(self) -> None:
        """In a forked child: no other thread is there, and no pooled connection is ours."""
        database = self.database
        self._first_use_lock = threading.RLock()
        was_in_use = self._pool.leave_to_parent()
        if self.is_owned and self._is_memory and was_in_use:
            # A thread that is not there was in the middle of something: begin with an empty one.
            leave_to_parent(database.take_connection())
            self.on_first_use = self.on_first_use or self._used_first
        if database.thread_safe:
            database._lock = threading.RLock()
        pooled, in_use = kept_by_pool(database), getattr(database, "_in_use", None)
        if in_use is not None:
            leave_to_parent((list(pooled), dict(in_use)))
            pooled.clear()
            in_use.clear()
            database._pool_lock = threading.RLock()
            database._pool_available = threading.Condition(database._pool_lock)


def _file_id(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino
