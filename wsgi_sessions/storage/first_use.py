"""What is done once before a database is used, by one thread while the others wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import StoreUnavailableError
from .time_budget import left_ms

Work = Callable[[], "bool | None"]


class FirstUse:
    """The work before the first use of a database; it is done again if it returns False."""

    def __init__(self) -> None:
        self.work: Work | None = None
        """What is still to be done, None if nothing is."""
        self.is_ready_for: object = None
        self._done: Work | None = None
        self._lock = threading.RLock()

    def do(self, work: Work | None = None) -> None:
        """Do what is to be done, or this work in its place."""
        left = left_ms()
        if not self._lock.acquire(timeout=-1 if left is None else left / 1000):
            raise StoreUnavailableError("another thread is still creating the tables; try again")
        try:
            work = work or self.work
            if work is not None and work() is not False:
                self._done, self.work = work, None
        finally:
            self._lock.release()

    def repeat(self) -> None:
        """Require the work again: another database is in the place of the first."""
        self.work = self.work or self._done

    def renew_lock(self) -> None:
        """In a forked child: free the lock."""
        self._lock = threading.RLock()
