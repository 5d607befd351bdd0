"""Locks that a forked child makes anew: a thread that held one in the parent is not there.

Must not know what a lock guards.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["HasLocks", "renew_locks_in_child"]


class HasLocks(Protocol):
    """Whatever holds locks of this process."""

    def renew_locks(self) -> None:
        """Make every lock anew, free; called in a child, before anything else runs there."""
        ...


_holders: weakref.WeakSet[HasLocks] = weakref.WeakSet()


def renew_locks_in_child(holder: HasLocks) -> None:
    """Have an object's locks renewed in every child forked from now on, while it lives."""
    _holders.add(holder)


def _renew_all() -> None:
    for holder in list(_holders):
        holder.renew_locks()


os.register_at_fork(after_in_child=_renew_all)
