"""A bounded pool of the connections of one process: the one given back last is taken first."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..clock import monotonic_seconds
from ..errors import StoreUnavailableError
from ..fork_safety import leave_to_parent
from ..light_dataclasses import dataclass
from .time_budget import left_ms

Execute = Callable[[str, Sequence[Any]], Any]
"""Runs a SELECT, and returns something with ``fetchone()``."""


@dataclass(eq=False, slots=True)
class PooledConnection:
    """A connection, how long it waits for a lock, and which file it has open."""

    connection: Any
    lock_ms: int
    file_id: tuple[int, int] | None
    execute: Execute | None = None
    """Runs one that may take the whole time-out; None where that is for the cursor to do."""
    has_come: Callable[[int], Any] | None = None
    """Tells, asked with 0, whether something has come over it; None where nobody sends."""


class AllInUseError(StoreUnavailableError):
    """No connection was given back in time."""


class _Waiter:
    """A thread that waits for a connection to be given back, or for room to open one."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.entry: PooledConnection | None = None


class Pool:
    """At most ``size`` connections; where all are in use, threads wait in turn.

    ``open_one`` opens one more. ``is_full`` tells whether its error means that the server has
    no room for one more.
    """

    def __init__(
        self,
        size: int,
        *,
        open_one: Callable[[], PooledConnection],
        is_full: Callable[[Exception], bool],
    ) -> None:
        self.size = size
        self._open_one = open_one
        self._is_full = is_full
        self.watch: Callable[[float, bool], object] | None = None
        """Is told how many seconds each thread waited, and whether it was served."""
        self._all: set[PooledConnection] = set()
        self._owner = [0]
        """The id of the process whose connections these are."""
        self._begin()
        weakref.finalize(self, _close_all, self._all, self._owner)

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self.idle: list[PooledConnection] = []
        self.waiters: deque[_Waiter] = deque()
        self._count = 0
        self._owner[0] = os.getpid()

    def leave_to_parent(self) -> bool:
        """In a forked child: begin with no connection; tell whether one had been in use."""
        was_in_use = len(self.idle) < len(self._all)
        leave_to_parent((list(self._all), self.idle))
        self._all.clear()
        self._begin()
        return was_in_use

    @property
    def is_open(self) -> bool:
        return bool(self._all)

    @property
    def open_count(self) -> int:
        return len(self._all)

    def take(self) -> PooledConnection:
        """Return a connection that nobody else uses until it is given back.

        Raises what opening one raises, and ``StoreUnavailableError`` when the time is over.
        """
        with self._lock:
            if not self.waiters:
                with suppress(IndexError):
                    return self.idle.pop()
            may_open = self._count < self.size
            if may_open:
                self._count += 1
        return self._open() if may_open else self._wait()

    def give(self, entry: PooledConnection) -> None:
        """Give back a connection that the next thread can use as it is."""
        # In this order: a thread that begins to wait looks for an idle one after that.
        self.idle.append(entry)
        if self.waiters:
            self.serve()

    def discard(self, entry: PooledConnection) -> None:
        self._all.discard(entry)
        _close(entry)
        self._free_room()

    def close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self.discard(self.idle.pop())

    def _open(self) -> PooledConnection:
        try:
            entry = self._open_one()
        except BaseException as error:
            is_full = isinstance(error, Exception) and self._is_full(error)
            # A waiter who was given this room would only be refused, too.
            self._free_room(may_be_used=not is_full)
            if is_full and self._count:
                # One of ours will be given back, also one that is being opened just now.
                return self._wait()
            raise
        self._all.add(entry)
        return entry

    def _wait(self) -> PooledConnection:
        if self.watch is None:
            return self._wait_in_turn()
        began, is_served = monotonic_seconds(), False
        try:
            entry = self._wait_in_turn()
            is_served = True
            return entry
        finally:
            self.watch(monotonic_seconds() - began, is_served)

    def _wait_in_turn(self) -> PooledConnection:
        waiter = _Waiter()
        with self._lock:
            self.waiters.append(waiter)
        self.serve()
        patience_ms = left_ms()
        try:
            waiter.event.wait(None if patience_ms is None else patience_ms / 1000)
        except BaseException:
            # A greenlet's time-out, say: what it may have been given goes back.
            if self._was_served(waiter):
                if waiter.entry is None:
                    self._free_room()
                else:
                    self.give(waiter.entry)
            raise
        if self._was_served(waiter):
            return self._open() if waiter.entry is None else waiter.entry
        raise AllInUseError(
            f"all {self._count} connections to the database are in use; raise max_connections, "
            "or have fewer threads"
        )

    def _was_served(self, waiter: _Waiter) -> bool:
        """End a wait; return whether a connection, or room for one, was given meanwhile."""
        with self._lock, suppress(ValueError):
            self.waiters.remove(waiter)
            return False
        return True

    def serve(self) -> None:
        # No look at ``idle`` before: who reads quickly takes from it without the lock.
        with self._lock, suppress(IndexError):
            while self.waiters:
                entry = self.idle.pop()
                waiter = self.waiters.popleft()
                waiter.entry = entry
                waiter.event.set()

    def _free_room(self, *, may_be_used: bool = True) -> None:
        with self._lock:
            self._count -= 1
            if may_be_used and self.waiters and self._count < self.size:
                self._count += 1
                self.waiters.popleft().event.set()


def _close(entry: PooledConnection) -> None:
    # It may be closed already, or its server gone.
    with suppress(Exception):
        entry.connection.close()


def _close_all(entries: set[PooledConnection], owner: list[int]) -> None:
    """At the end of the pool, or of the process: close what is open, if it is this process's."""
    if owner[0] != os.getpid():
        leave_to_parent(list(entries))
        return
    for entry in list(entries):
        _close(entry)
