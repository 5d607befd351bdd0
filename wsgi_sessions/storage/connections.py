"""Statements and transactions over the connections to one database, each within its time limit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import peewee

from ..clock import monotonic_seconds
from ..errors import StoreUnavailableError
from .connection_source import SHORT_MS, ConnectionSource, ReadAgainError, Work
from .dialects.dialect import all_rows, key_of_inserted
from .driver_errors import Meaning, translate
from .pool import PooledConnection
from .time_budget import left_ms, limited_to, request_budget, spending
from .urls import DEFAULT_TIMEOUT_MS

T = TypeVar("T")
Row = tuple[Any, ...]

_MAX_TRIES = 8
_SHORT_SECONDS = SHORT_MS / 1000
_NOT_READ_AGAIN = (Meaning.LOCKED, Meaning.NOT_PREPARED)
"""What a read of one row is not tried again for."""
_PREPARING_MS = 60_000
"""Outside of a request, others who make the tables are waited for that long."""
_OPTIONAL_WRITE_MS = 250
"""How long a write that may fail waits for a server to answer; for a lock it does not wait."""


class Connections:
    """All that is sent to one database; ``source`` hands out the connections to it.

    See ``ConnectionSource`` for what the arguments mean.
    """

    def __init__(
        self,
        database: str | peewee.Database | peewee.DatabaseProxy,
        *,
        max_connections: int = 20,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
    ) -> None:
        self.source = source = ConnectionSource(
            database, max_connections=max_connections, timeout_ms=timeout_ms
        )
        self.database, self.dialect = source.database, source.dialect
        self.is_owned, self.first_use = source.is_owned, source.first_use
        self.close, self.require_synchronised = source.close, source.require_synchronised

    @property
    def is_within_app_transaction(self) -> bool:
        """Whether the application has begun a transaction that what is written here joins."""
        # Of a database of our own too: the application may use ``manager.database`` itself.
        return not self.source.thread().is_atomic and bool(self.database.in_transaction())

    @property
    def has_begun_transaction(self) -> bool:
        """Whether the transaction that is open was begun here, and not by the application."""
        return self.source.thread().has_begun

    @property
    def may_read_stale_rows(self) -> bool:
        """Whether a plain SELECT may show rows as they were before others changed them.

        So it is within a transaction that has read before, where the engine keeps to that
        snapshot. Ours lock before they read; what the application's have done nobody knows.
        """
        return (
            self.dialect.keeps_first_snapshot
            and bool(self.database.in_transaction())
            and not self.has_begun_transaction
        )

    @property
    def is_lagging(self) -> bool:
        """Whether the server is one of several that apply late what others write; asked once."""
        return self.source.is_lagging

    # Statements

    def read_row(self, sql: str, parameters: Sequence[Any]) -> Row | None:
        """Run a SELECT outside of any transaction of ours and return its first row, or None."""
        entry = self._take_quickly()
        if entry is not None:
            pool = self.source.pool
            began = monotonic_seconds()
            try:
                row: Row | None = entry.execute(sql, parameters).fetchone()  # type: ignore[misc]
            except BaseException as error:
                self._end_quick_read(entry, began, error)
            else:
                # As ``pool.give`` does it.
                pool.idle.append(entry)
                if pool.waiters:
                    pool.serve()
                if monotonic_seconds() - began >= _SHORT_SECONDS:
                    self._spend(began)
                if row is None and self.is_lagging:
                    return self.read_row_anew(sql, parameters)
                return row
        rows = self.read_rows(sql, parameters)
        return rows[0] if rows else None

    def read_row_anew(self, sql: str, parameters: Sequence[Any]) -> Row | None:
        rows = self.read_rows(sql, parameters, anew=True)
        return rows[0] if rows else None

    def _end_quick_read(self, entry: PooledConnection, began: float, error: BaseException) -> None:
        """Give back or drop a connection that failed; raise what another try would not mend."""
        source = self.source
        if isinstance(error, source.errors) and source.is_usable(entry):
            source.pool.give(entry)
        else:
            source.pool.discard(entry)
        waited_ms = self._spend(began)
        if not isinstance(error, Exception):
            raise error
        translated = self._translated(error)
        if isinstance(error, source.errors) and (
            not isinstance(translated, StoreUnavailableError)
            or self.dialect.meaning_of(error) in _NOT_READ_AGAIN
            or waited_ms > source.timeout_ms - SHORT_MS
        ):
            raise translated from error

    def _spend(self, began: float) -> int:
        """Take the time since then from the request's budget, if there is one; return it."""
        waited_ms = int((monotonic_seconds() - began) * 1000)
        budget = request_budget.get()
        if budget is not None:
            budget.left_ms -= waited_ms
        return waited_ms

    def _take_quickly(self) -> PooledConnection | None:
        """Return an idle connection of our own that needs no preparation, if any.

        Every validated request passes here, so no other Python function is called.
        """
        source = self.source
        state, pool = source.threads.state, source.pool
        if (
            not pool.idle
            or state.process_id != os.getpid()
            or state.connection is not None
            or source.first_use.work is not None
            or not self.database._state.closed
            or pool.waiters
        ):
            return None
        budget = request_budget.get()
        if budget is not None and budget.left_ms < source.timeout_ms - SHORT_MS:
            return None
        try:
            if source.path is not None:
                found = os.stat(source.path)  # noqa: PTH116  a Path takes five times as long
                if (found.st_dev, found.st_ino) != source.file_id:
                    return None
            entry = pool.idle.pop()
        except (OSError, IndexError):
            return None
        if (
            entry.execute is not None
            and entry.lock_ms == source.timeout_ms
            and (entry.has_come is None or not entry.has_come(0))
        ):
            return entry
        pool.give(entry)
        return None

    def read_rows(self, sql: str, parameters: Sequence[Any], *, anew: bool = False) -> list[Row]:
        """Run a SELECT and return its rows.

        ``anew``: it shows all that was written before, on whatever server; within a transaction,
        what that does. So does whatever finds nothing.
        """
        rows = [] if anew else self.read_rows_once(sql, parameters)
        if rows or not (anew or self._may_be_late):
            return rows
        if self._may_be_late:
            sql = self.dialect.synchronised(sql)
        return self.read_rows_once(sql, parameters)

    def read_catalogue(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        """Read which tables there are, as they are, also where servers lag."""
        with self.connection() as connection:
            self._wait_for_others(connection)
            return self.read_rows_once(sql, parameters)

    @property
    def _may_be_late(self) -> bool:
        return self.is_lagging and not self.database.in_transaction()

    def read_rows_once(
        self, sql: str, parameters: Sequence[Any], *, is_preparing: bool = False
    ) -> list[Row]:
        """Run a SELECT on the server at hand; tried again once, but not after a time-out."""
        with spending(self.source.timeout_ms):
            try:
                with self.source.taken(is_preparing=is_preparing) as connection:
                    return self._send(connection, sql, parameters, all_rows)
            except self.source.errors as error:
                translated = self._translated(error)
                if (
                    self.database.in_transaction()
                    or not isinstance(translated, StoreUnavailableError)
                    or self._is_time_over(error)
                    or not (self._is_overtaken(error) or self.source.reconnect(error))
                ):
                    raise translated from error
            with self.connection(is_preparing=is_preparing) as connection:
                return self._send(connection, sql, parameters, all_rows)

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it changed."""
        return self._change(sql, parameters, _row_count)

    def insert(self, sql: str, parameters: Sequence[Any]) -> Any:
        """Run one INSERT and return the key of the row: what it returns, or the last one given."""
        return self._change(sql, parameters, key_of_inserted)

    def write_unless_locked(self, sql: str, parameters: Sequence[Any]) -> int:
        """Run one UPDATE that nobody is to wait for; return how many rows it changed.

        Raises ``StoreUnavailableError`` at once where it would have to wait for a lock.
        """
        with limited_to(_OPTIONAL_WRITE_MS if self.dialect.is_server else 0):
            return self.dialect.write_unless_locked(self, sql, parameters)

    @contextmanager
    def connection(self, *, is_preparing: bool = False) -> Iterator[Any]:
        """Use one connection of the driver for all that is done in a block."""
        try:
            with self.source.taken(is_preparing=is_preparing) as connection:
                yield connection
        except self.source.errors as error:
            raise self._translated(error) from error

    def _change(self, sql: str, parameters: Sequence[Any], read: Callable[[Any], T]) -> T:
        with self.connection() as connection:
            return self._send(connection, sql, parameters, read)

    def _send(
        self, connection: Any, sql: str, parameters: Sequence[Any], read: Callable[[Any], T]
    ) -> T:
        try:
            cursor = connection.cursor()
            try:
                cursor.execute(sql, parameters)
                return read(cursor)
            finally:
                cursor.close()
        except self.source.errors as error:
            # A transaction has failed with it, and begins anew.
            if not self.dialect.stop_preparing(connection, error) or self.database.in_transaction():
                raise
            return self._send(connection, sql, parameters, read)
        except Exception as error:
            # A driver whose connection was broken off in the middle fails in its own code, and
            # may have read half of a reply.
            self.source.thread().must_drop = True
            raise StoreUnavailableError(
                f"the connection is of no use: {type(error).__name__} in the driver, as after a "
                "query that was broken off"
            ) from error

    def atomically(self, work: Callable[[], T], *, is_synchronised: bool = False) -> T:
        """Run statements all or none, again from the start after a conflict with others.

        Joins a transaction of ours that is open; within the application's it is a savepoint.
        ``is_synchronised``: only when the server has applied all that others had written. So it
        is whenever it is run again.
        """
        if self.source.thread().is_atomic:
            if is_synchronised:
                self.require_synchronised()
            return work()
        failures: tuple[type[Exception], ...] = (*self.source.errors, StoreUnavailableError)
        with spending(self.source.timeout_ms):
            for attempt in range(1, _MAX_TRIES + 1):
                has_begun = False
                try:
                    with self.source.taken() as connection:
                        if is_synchronised:
                            self._wait_for_others(connection)
                        with self._transaction(is_synchronised=is_synchronised):
                            has_begun = True
                            return work()
                except ReadAgainError:
                    is_synchronised = True
                    continue
                except failures as error:
                    cause = error.__cause__ if isinstance(error, StoreUnavailableError) else error
                    is_conflict = self.dialect.meaning_of(cause).is_conflict
                    # Once begun it may have been committed, so it is not sent again.
                    is_unsent = attempt == 1 and not has_begun and self._is_cut(cause)
                    if (
                        attempt == _MAX_TRIES
                        or self.database.in_transaction()
                        # A try may itself wait for a lock, and whoever asked waits with it.
                        or self._is_time_over(cause)
                        or not (is_conflict or (is_unsent and self.source.reconnect(cause)))
                    ):
                        raise self._translated(error) from cause
                is_synchronised = is_synchronised or is_conflict
                if is_conflict:
                    time.sleep(min(0.005 * 2**attempt, (left_ms() or 0) / 1000))
        raise AssertionError("unreachable")

    def _wait_for_others(self, connection: Any) -> None:
        if self._may_be_late:
            self._send(connection, self.dialect.synchronised("SELECT 1"), (), all_rows)

    @contextmanager
    def _transaction(self, *, is_synchronised: bool) -> Iterator[None]:
        state = self.source.thread()
        is_inner = self.database.in_transaction()
        state.is_atomic, state.has_begun = True, not is_inner
        state.is_synchronised = is_synchronised
        try:
            with self.database.atomic(*() if is_inner else self.dialect.transaction_kind):
                yield
        finally:
            state.is_atomic = state.has_begun = False

    def run(self, work: Callable[[], None], *, timeout_ms: int | None = None) -> None:
        """Run work that uses the Peewee database itself, on one connection.

        ``timeout_ms``: how long it may wait outside of a request.
        """
        with spending(timeout_ms or self.source.timeout_ms), self.connection():
            work()

    # Before the first use

    def reach(self) -> None:
        """Have the server answer; nothing is done for the first use."""
        self.read_rows_once("SELECT 1", (), is_preparing=True)

    def prepare(self, work: Work, *, timeout_ms: int = _PREPARING_MS) -> None:
        limit_ms = max(self.source.timeout_ms, timeout_ms)
        with spending(limit_ms), self.connection(is_preparing=True):
            self.first_use.do(work)

    def visit(self, look: Work, *, timeout_ms: int | None = None) -> None:
        """Look at the database before the first use, and make none that is not there."""
        if self.dialect.is_missing(self.database):
            return
        was_closed = self.database.is_closed() and not self.source.pool.is_open
        try:
            limit_ms = timeout_ms or self.source.timeout_ms
            with spending(limit_ms), self.connection(is_preparing=True):
                self.first_use.do(look)
        finally:
            if was_closed:
                self.close()

    # Errors

    def refuse_other_row(self) -> StoreUnavailableError:
        """Drop a connection that gave a row nobody asked for; return what to raise."""
        source = self.source
        state = source.thread()
        if state.connection is not None:
            state.must_drop = True
        elif self.is_owned:
            source.pool.close_idle()
        elif not self.database.in_transaction():
            source.peewee_connections.drop()
        return StoreUnavailableError(
            "the database answered another question than the one it was asked: the connection "
            "is shared with another process or thread, and was dropped"
        )

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, self.source.errors):
            return translate(error, self.dialect.meaning_of(error))
        return error

    def _is_time_over(self, error: BaseException | None) -> bool:
        """Return whether whoever asks has waited for as long as they can."""
        return left_ms() == 0 or self.dialect.meaning_of(error) is Meaning.TIMED_OUT

    def _is_overtaken(self, error: BaseException) -> bool:
        return self.dialect.meaning_of(error) is Meaning.OVERTAKEN

    def _is_cut(self, error: BaseException | None) -> bool:
        """Return whether an error may mean that the server has closed the connection."""
        names = {kind.__name__ for kind in type(error).__mro__}
        return self.dialect.is_server and bool(names & {"OperationalError", "InterfaceError"})


def _row_count(cursor: Any) -> int:
    return int(cursor.rowcount)
