"""What a forked child must not take over from its parent: held locks, and open connections.

Must not know what a lock guards. A fork in C, as uWSGI makes it, runs no hook of Python, so the
process id is compared whenever something is used; where there is a hook, it does so at once.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol

__all__ = [
    "HasLocks",
    "first_process_id",
    "leave_to_parent",
    "notice_fork",
    "renew_locks_in_child",
]


class HasLocks(Protocol):
    """Whatever holds locks of this process."""

    def renew_locks(self) -> None:
        """Make every lock anew, free; called in a child, before anything else is done there."""
        ...


_holders: weakref.WeakSet[HasLocks] = weakref.WeakSet()
_process_ids = [os.getpid()]
"""The last is that of the process whose locks these are."""

_turns: dict[int, threading.RLock] = {}
"""One lock a process: whoever held the parent's is not there to let go."""

_left_to_parent: list[Any] = []


def renew_locks_in_child(holder: HasLocks) -> None:
    """Have an object's locks renewed in every child forked from now on, while it lives."""
    _holders.add(holder)


def notice_fork() -> int:
    """Renew all locks if this process was forked since they were made; return its id.

    To be called before a lock is taken or a connection used: it costs one system call.
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
    """Return the id of the process that has imported this: this one, or one it was forked from."""
    return _process_ids[0]


def leave_to_parent(held: Any) -> None:
    """Keep what belongs to the parent from being closed here: that would end it there, too."""
    _left_to_parent.append(held)


# Not on Windows, which does not fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=notice_fork)
