"""Statements and transactions over connections that wait no longer than they may.

Must not know any table, nor where a connection comes from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..clock import monotonic_ms
from ..errors import StoreUnavailableError
from .connection_source import LONG_MS, ConnectionSource
from .driver_errors import IntegrityConflict
from .patience import left_ms, only_briefly, spending

__all__ = ["Connections", "IntegrityConflict"]

T = TypeVar("T")
Row = tuple[Any, ...]

_MAX_TRIES = 8
_TOUCH_MS = 250
"""How long what may fail waits for a server to answer; for a lock it does not wait at all."""


class Connections(ConnectionSource):
    """The way to one database, and all that is sent there."""

    @property
    def is_within_app_transaction(self) -> bool:
        """Whether the application has begun a transaction that what is written here joins."""
        self._notice_fork()
        # Of a database of our own too: the application may use ``manager.database`` itself.
        return not getattr(self._local, "depth", 0) and bool(self.database.in_transaction())

    @property
    def has_begun_transaction(self) -> bool:
        """Whether the transaction that is open was begun here, and not by the application."""
        return bool(getattr(self._local, "has_begun", False))

    @property
    def may_read_the_past(self) -> bool:
        """Whether a plain SELECT may show rows as they were before others changed them.

        MariaDB does so within a transaction that has read before. Ours lock before they read;
        what the application's have done nobody knows.
        """
        return (
            self.is_mysql
            and bool(self.database.in_transaction())
            and not self.has_begun_transaction
        )

    # Statements

    def read_row(self, sql: str, parameters: Sequence[Any]) -> Row | None:
        """Run a SELECT outside of any transaction of ours and return its first row, or None."""
        if self._is_quick:
            entry = self._take_quickly()
            if entry is not None:
                began_ms = monotonic_ms()
                try:
                    row: Row | None = entry.connection.execute(sql, parameters).fetchone()
                except BaseException as error:
                    self._pool.discard(entry)
                    if not isinstance(error, self._errors) or self.dialect.is_conflict(error):
                        raise self._translated(error) from error
                else:
                    self._pool.give(entry)
                    waited_ms = monotonic_ms() - began_ms
                    if waited_ms >= LONG_MS:
                        self._spend(waited_ms)
                    return row
        rows = self.read_rows(sql, parameters)
        return rows[0] if rows else None

    def read_rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        """Run a SELECT and return its rows; tried again once on a new connection.

        Not after a time-out: whoever asks has waited long enough.
        """
        with spending(self.patience_ms):
            for attempt in (1, 2):
                try:
                    with self._taken() as connection:
                        return self._send(connection, sql, parameters, _all_rows)
                except self._errors as error:
                    translated = self.dialect.translate(error)
                    is_last = (
                        attempt == 2
                        or self.database.in_transaction()
                        or not isinstance(translated, StoreUnavailableError)
                        or self._is_spent(error)
                    )
                    if is_last or not self._renew(error):
                        raise translated from error
        raise AssertionError("unreachable")

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it changed."""
        return self._change(sql, parameters, _row_count)

    def insert(self, sql: str, parameters: Sequence[Any]) -> Any:
        """Run one INSERT and return the key of the row: what it returns, or the last one given."""
        return self._change(sql, parameters, _key_of_inserted)

    def write_unless_locked(self, sql: str, parameters: Sequence[Any]) -> int:
        """Run one UPDATE that nobody is to wait for; return how many rows it changed.

        Raises ``StoreUnavailableError`` at once where it would have to wait for a lock.
        """
        self._notice_fork()
        with only_briefly(_TOUCH_MS):
            return self.dialect.write_unless_locked(self, sql, parameters)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Have one connection of the driver for all that is done in a block."""
        try:
            with self._taken() as connection:
                yield connection
        except self._errors as error:
            raise self.dialect.translate(error) from error

    def _change(self, sql: str, parameters: Sequence[Any], tell: Callable[[Any], T]) -> T:
        try:
            with self._taken() as connection:
                return self._send(connection, sql, parameters, tell)
        except self._errors as error:
            raise self.dialect.translate(error) from error

    def _send(
        self, connection: Any, sql: str, parameters: Sequence[Any], tell: Callable[[Any], T]
    ) -> T:
        try:
            cursor = connection.cursor()
            try:
                cursor.execute(sql, parameters)
                return tell(cursor)
            finally:
                cursor.close()
        except self._errors:
            raise
        except Exception as error:
            # A driver whose connection was broken off in the middle falls over itself.
            raise StoreUnavailableError(
                f"the connection is of no use: {type(error).__name__} in the driver, as after a "
                "query that was broken off"
            ) from error

    def atomically(self, work: Callable[[], T]) -> T:
        """Run statements all or none, again from the start after a conflict with others.

        Joins a transaction of ours that is open; within the application's it is a savepoint.
        """
        self._notice_fork()
        if getattr(self._local, "depth", 0):
            return work()
        with spending(self.patience_ms):
            for attempt in range(1, _MAX_TRIES + 1):
                has_begun = [False]
                try:
                    return self._atomically_once(work, has_begun)
                except self._transaction_errors as error:
                    cause = error.__cause__ if isinstance(error, StoreUnavailableError) else error
                    # A try may itself wait for a lock, and whoever asked waits with it.
                    is_last = attempt == _MAX_TRIES or self._is_spent(cause)
                    if self.database.in_transaction() or is_last:
                        raise self._translated(error) from cause
                    if not self.dialect.is_conflict(cause):
                        # Once begun it may have been committed, so it is not sent again.
                        is_unsent = not has_begun[0] and self._is_dead_at_begin(cause, attempt)
                        if cause is None or not (is_unsent and self._renew(cause)):
                            raise self._translated(error) from cause
                        continue
                time.sleep(min(0.005 * 2**attempt, (left_ms() or 0) / 1000))
        raise AssertionError("unreachable")

    def _atomically_once(self, work: Callable[[], T], has_begun: list[bool]) -> T:
        with self._taken():
            is_inner = self.database.in_transaction()
            kind = () if is_inner else self.dialect.transaction_kind
            self._local.depth = 1
            self._local.has_begun = not is_inner
            try:
                with self.database.atomic(*kind):
                    has_begun[0] = True
                    return work()
            finally:
                self._local.depth = 0
                self._local.has_begun = False

    def run(self, work: Callable[[], None], *, patience_ms: int | None = None) -> None:
        """Run work that uses the Peewee database itself, on one connection.

        ``patience_ms``: what it may wait outside of a request.
        """
        try:
            with spending(patience_ms or self.patience_ms), self._taken():
                work()
        except self._errors as error:
            raise self.dialect.translate(error) from error

    # Errors

    def _translated(self, error: BaseException) -> BaseException:
        return self.dialect.translate(error) if isinstance(error, self._errors) else error

    def _is_dead_at_begin(self, error: BaseException | None, attempt: int) -> bool:
        """Tell whether a connection was found dead before anything was sent over it."""
        if error is None or attempt > 1 or not self.dialect.is_server:
            return False
        names = {kind.__name__ for kind in type(error).__mro__}
        return bool(names & {"OperationalError", "InterfaceError"})


def _all_rows(cursor: Any) -> list[Row]:
    return [tuple(row) for row in cursor.fetchall()]


def _row_count(cursor: Any) -> int:
    return int(cursor.rowcount)


def _key_of_inserted(cursor: Any) -> Any:
    # PostgreSQL alone is asked to return it.
    return cursor.lastrowid if cursor.description is None else cursor.fetchone()[0]
