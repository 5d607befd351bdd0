"""In which process a connection was opened that Peewee has for a thread, or in its pool.

Must not open one.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import peewee

from .forks import notice_fork

__all__ = ["kept_by_pool", "note_openings"]

_openings: weakref.WeakKeyDictionary[peewee.Database, Any] = weakref.WeakKeyDictionary()
"""In which process the connection was opened that a thread has to a database."""


def note_openings(database: Any) -> Any:
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


def kept_by_pool(database: Any) -> list[Any]:
    """Return the connections that a pool of Peewee's has at hand, as it keeps them."""
    found: list[Any] = getattr(database, "_connections", None) or []
    return found
