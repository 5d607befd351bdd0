"""Has Peewee open a connection for a thread, and notes in which process that was.

Must not send anything over one.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import peewee

from ..clock import monotonic_ms
from ..errors import StoreUnavailableError
from ..fork_safety import first_process_id, leave_to_parent, notice_fork
from .dialects import Dialect
from .patience import is_spending, left_ms

__all__ = ["kept_by_pool", "limit_pool", "note_openings", "open_in_turn", "pool_errors"]

_openings: weakref.WeakKeyDictionary[peewee.Database, Any] = weakref.WeakKeyDictionary()
"""In which process the connection was opened that a thread has to a database."""


def note_openings(database: Any) -> Any:
    """Have it noted from now on in which process a thread's connection was opened.

    Of what was opened before nobody knows. Where the process was forked since this package was
    imported, it may be the parent's, and is taken for that; but for one within a transaction,
    which is the application's work of now.
    """
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
    if os.getpid() != first_process_id():
        pooled = kept_by_pool(database)
        leave_to_parent(list(pooled))
        pooled.clear()
    if not database.is_closed():
        is_begun_here = database.in_transaction()
        opening.process_id = os.getpid() if is_begun_here else first_process_id()
    _openings[database] = opening
    return opening


def limit_pool(database: Any, dialect: Dialect) -> None:
    """Have a pool of Peewee's look at its connections within the time of who waits for one.

    It asks the server whether a connection still lives before it hands it out, and undoes what
    was left open before it takes it back. What the application asks of its pool is not meant.
    """
    for name in ("_is_closed", "_can_reuse"):
        check = getattr(database, name, None)
        if dialect.is_server and check is not None and not isinstance(check, _LimitedCheck):
            setattr(database, name, _LimitedCheck(check, dialect))


class _LimitedCheck:
    def __init__(self, check: Callable[[Any], bool], dialect: Dialect) -> None:
        self._check = check
        self._dialect = dialect

    def __call__(self, connection: Any) -> bool:
        if not is_spending():
            return self._check(connection)
        with self._dialect.limited(connection):
            return self._check(connection)


def pool_errors(database: Any) -> tuple[type[Exception], ...]:
    """Return what a pool of Peewee's raises besides the errors of the driver."""
    if not hasattr(database, "_max_connections"):
        return ()
    from playhouse.pool import MaxConnectionsExceeded  # it loads every driver

    return (MaxConnectionsExceeded,)


def kept_by_pool(database: Any) -> list[Any]:
    """Return the connections that a pool of Peewee's has at hand, as it keeps them."""
    found: list[Any] = getattr(database, "_connections", None) or []
    return found


def open_in_turn(database: Any) -> bool:
    """Open the thread's connection if it is closed, within the budget; tell whether it was.

    Peewee opens one after the other, and a pool that is full waits for as long as its own
    ``timeout`` says.
    """
    if not database.is_closed():
        return False
    connect, wait_seconds = _opening_of(database)
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


def _opening_of(database: Any) -> tuple[Any, float]:
    """Return what opens a connection at once or not at all, and how long a pool is waited for.

    Where the application has a ``connect`` of its own, that is called, and waits as it likes.
    """
    if getattr(database, "_wait_timeout", None):
        from playhouse.pool import PooledDatabase  # it loads every driver

        if type(database).connect is PooledDatabase.connect:
            without_wait: Any = super(PooledDatabase, database)
            return without_wait.connect, database._wait_timeout
    return database.connect, 0
