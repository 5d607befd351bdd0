"""Keeps a forked child from using its parent's held locks and open connections.

A fork in C, as uWSGI makes it, runs no hook of Python. So the process id is compared at each
use, and in the hook of ``os.fork`` as well.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol


class HasLocks(Protocol):
    """Whatever holds locks of this process."""

    def renew_locks(self) -> None:
        """Replace every lock by a free one; called in a child, before anything else there."""
        ...


_holders: weakref.WeakSet[HasLocks] = weakref.WeakSet()
_process_ids = [os.getpid()]
"""The last is that of the process whose locks these are."""

_turns: dict[int, threading.RLock] = {}
"""One lock a process: in a child no thread is left to release the parent's."""

_left_to_parent: list[Any] = []


def renew_locks_in_child(holder: HasLocks) -> None:
    """Renew an object's locks in every child forked from now on, while the object exists."""
    _holders.add(holder)


def notice_fork() -> int:
    """Renew all locks if this process was forked since they were made; return its id.

    Call it before a lock is taken or a connection used. It costs one system call.
    """
    process_id = os.getpid()
    if process_id != _process_ids[-1]:
        _renew_all(process_id)
    return process_id


def _renew_all(process_id: int) -> None:
    with _turns.setdefault(process_id, threading.RLock()):
        if process_id == _process_ids[-1]:
            return
        for holder in list(_holders):
            holder.renew_locks()
        # Last: a thread that sees this id finds all locks renewed.
        _process_ids.append(process_id)


def first_process_id() -> int:
    """Return the id of the process that imported this: the current one, or its ancestor."""
    return _process_ids[0]


def leave_to_parent(held: Any) -> None:
    """Keep a connection of the parent from being closed here: that would end it there, too."""
    _left_to_parent.append(held)


# Not on Windows, which does not fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=notice_fork)
