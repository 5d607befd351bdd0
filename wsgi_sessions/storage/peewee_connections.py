"""The connection that Peewee keeps for each thread, as the application opens and uses it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import peewee

from ..clock import monotonic_ms
from ..errors import StoreUnavailableError
from ..fork_safety import first_process_id, leave_to_parent, notice_fork
from .dialects.dialect import Dialect
from .time_budget import is_spending, left_ms

_openings: weakref.WeakKeyDictionary[peewee.Database, Any] = weakref.WeakKeyDictionary()
"""For each database that is used: in which process a thread's connection to it was opened."""


class PeeweeConnections:
    """Opens, checks and closes the connection that a Peewee database keeps for each thread."""

    def __init__(self, database: Any, dialect: Dialect) -> None:
        self._database = database
        self._dialect = dialect
        if database not in _openings:
            _openings[database] = _note_openings(database)
            _limit_pool_checks(database, dialect)
        self.opening = _openings[database]

    def open(self) -> bool:
        """Open the thread's connection in time if it is closed; tell whether it was.

        Peewee opens one after the other, and a pool that is full waits for as long as its own
        ``timeout`` says.
        """
        database = self._database
        if not database.is_closed():
            return False
        if database.deferred:
            raise StoreUnavailableError(
                "the database has no name yet; call the init() of the Peewee database with one"
            )
        connect, wait_seconds = _connect_of(database)
        if left_ms() is None or not database.thread_safe:
            return bool(database.connect(reuse_if_open=True))
        until_ms = monotonic_ms() + min(left_ms() or 0, wait_seconds * 1000)
        while True:
            if not database._lock.acquire(timeout=(left_ms() or 0) / 1000):
                raise StoreUnavailableError(
                    "another thread is still opening a connection of the application's database; "
                    "its server does not answer"
                )
            # Peewee takes it itself, and it can't be taken twice.
            database._lock.release()
            try:
                return bool(connect(reuse_if_open=True))
            except Exception as error:
                seconds = (until_ms - monotonic_ms()) / 1000
                if type(error).__name__ != "MaxConnectionsExceeded" or seconds <= 0:
                    raise
            with database._pool_available:
                database._pool_available.wait(min(seconds, 1))

    def usable(self) -> Any:
        """Return the thread's connection, or a new one where it was cut outside a transaction.

        Raises ``StoreUnavailableError`` where the application alone can mend it.
        """
        database, dialect = self._database, self._dialect
        connection = database.connection()
        if dialect.is_running_query(connection):
            raise StoreUnavailableError(
                "another query is under way on the application's connection, or was broken off; "
                "read it to its end, or close the connection"
            )
        if dialect.has_unread(connection):
            if database.in_transaction():
                raise StoreUnavailableError(
                    "the application's connection was cut, or broken off within a query, in the "
                    "middle of its transaction; close it and begin again"
                )
            self.drop()
            database.connect()
            connection = database.connection()
        return connection

    def drop(self) -> None:
        try:
            self._database.close()
        except Exception:
            self._database.dispose()

    def leave_to_parent(self, process_id: int) -> bool:
        """Let go of a thread's connection that was opened before a fork; tell whether it was."""
        state = self._database._state
        if state.conn is None or getattr(self.opening, "process_id", process_id) == process_id:
            return False
        leave_to_parent(state.conn)
        state.reset()
        return True

    def renew_locks(self) -> None:
        """In a forked child: free Peewee's locks, and take nothing from the parent's pool."""
        database = self._database
        if database.thread_safe:
            database._lock = threading.RLock()
        in_use = getattr(database, "_in_use", None)
        if in_use is not None:
            leave_to_parent((list(database._connections), dict(in_use)))
            database._connections.clear()
            in_use.clear()
            database._pool_lock = threading.RLock()
            database._pool_available = threading.Condition(database._pool_lock)


def _note_openings(database: Any) -> Any:
    """Note from now on in which process a thread's connection was opened.

    Of what was opened before nobody knows. Where the process was forked since this package was
    imported, it may be the parent's, and is taken for that; but for one within a transaction,
    which is the application's work of now.
    """
    opening: Any = threading.local() if database.thread_safe else SimpleNamespace()
    connect = database._connect

    def connect_and_note() -> Any:
        # Before it: the parent's connections must have left the pool.
        process_id = notice_fork()
        connection = connect()
        opening.process_id = process_id
        return connection

    database._connect = connect_and_note
    if os.getpid() != first_process_id():
        pooled = getattr(database, "_connections", None) or []
        leave_to_parent(list(pooled))
        pooled.clear()
    if not database.is_closed():
        is_begun_here = database.in_transaction()
        opening.process_id = os.getpid() if is_begun_here else first_process_id()
    return opening


def _limit_pool_checks(database: Any, dialect: Dialect) -> None:
    """Make a pool of Peewee's check its connections in time when this package takes one.

    It asks the server whether a connection still lives before it hands it out, and rolls back
    what was left open before it takes it back.
    """

    def limited(check: Callable[[Any], bool], connection: Any) -> bool:
        # What the application asks of its pool takes as long as it takes.
        with dialect.limited(connection) if is_spending() else nullcontext():
            return check(connection)

    for name in ("_is_closed", "_can_reuse"):
        if hasattr(database, name):
            setattr(database, name, partial(limited, getattr(database, name)))


def _connect_of(database: Any) -> tuple[Any, float]:
    """Return what opens a connection at once or not at all, and how long a pool is waited for.

    Where the application has a ``connect`` of its own, that is called, and waits as it likes.
    """
    if getattr(database, "_wait_timeout", None):
        from playhouse.pool import PooledDatabase  # it loads every driver

        if type(database).connect is PooledDatabase.connect:
            without_wait: Any = super(PooledDatabase, database)
            return without_wait.connect, database._wait_timeout
    return database.connect, 0
