"""Cleaning up: small batches after responses, in the thread of the request.

A batch takes a few milliseconds, and three hundred times as long passes until the next one: so far
fewer than one request in a hundred meets one, however much there is to delete.
"""

from __future__ import annotations

import threading
from typing import Any

from ..clock import Clock, monotonic_seconds
from ..config.settings import SessionConfig
from ..errors import StoreUnavailableError
from ..events import Events
from ..fork_safety import notice_fork, renew_locks_in_child
from ..storage.store import Store
from ..storage.time_budget import limited_to
from .database_clock import ClockCheck
from .known_revocations import ages_of

_PATIENCE_MS = 2000
"""How long a batch waits for the database; a later response does another."""
_FIRST_BATCH_ROWS = 50
_BATCH_ROWS = range(10, 501)
"""How many rows of a kind a batch deletes at the least and at the most."""
_SHORT_SECONDS, _LONG_SECONDS = 0.002, 0.004
"""A batch that takes less is followed by one twice as large, and one that takes longer by half."""
_PAUSE = 300
"""How many times as long as a batch takes passes until the next."""


class Purger:
    """Deletes what is too old to matter: ended sessions, feed rows, attempts and events.

    Not while the clock is off: one that is ahead would delete live sessions, and rows of the feed
    that other processes still need.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        config: SessionConfig,
        events: Events,
        clock_check: ClockCheck,
    ) -> None:
        self._store = store
        self._clock = clock
        self._config = config
        self._events = events
        self._clock_check = clock_check
        audit = config.audit
        self._batch_rows = _FIRST_BATCH_ROWS
        self._event_age_ms = audit.keep_ms if audit is not None and audit.enabled else None
        self.renew_locks()
        renew_locks_in_child(self)
        self._rest()

    def renew_locks(self) -> None:
        """Replace the lock by a free one: in a forked child nobody is cleaning up."""
        self._lock = threading.Lock()

    def purge(self, *, batch_rows: int = 500) -> int:
        now_ms = self._clock.now_ms()
        if self._clock_check.is_needed and not self._clock_check.is_right(
            self._store.clock.read_ms(), asked_at_ms=now_ms
        ):
            return 0
        return self._store.purge(now_ms, **self._ages_ms(), batch_rows=batch_rows)

    def count_due(self) -> int:
        """Return how many rows there are to delete now."""
        return self._store.count_due(self._clock.now_ms(), **self._ages_ms())

    def _ages_ms(self) -> dict[str, Any]:
        throttle = self._config.throttle
        return {
            "keep_ended_ms": self._config.keep_ended_ms,
            "feed_age_ms": ages_of(self._config).kept_ms,
            "attempt_age_ms": 0 if throttle is None else throttle.window_ms,
            "token_age_ms": self._config.clock_difference_ms,
            "event_age_ms": self._event_age_ms,
        }

    def purge_if_due(self) -> None:
        """Delete one batch if it is time and no other thread does so; never fails.

        While there is more to delete, another batch follows after a pause, so no request waits
        for all of it.
        """
        if self._clock.now_ms() in self.rest_ms:
            return
        notice_fork()
        if not self._lock.acquire(blocking=False):
            return
        try:
            began = monotonic_seconds()
            with limited_to(_PATIENCE_MS):
                row_count = self.purge(batch_rows=self._batch_rows)
        except StoreUnavailableError as error:
            self._events.emit("database_error", details={"error": error})
            self._rest()
        else:
            if row_count:
                self._events.emit("purge_done", details={"row_count": row_count})
                self._pause(monotonic_seconds() - began)
            else:
                self._rest()
        finally:
            self._lock.release()

    def _pause(self, batch_seconds: float) -> None:
        """Have the next batch come later, and take about as long as a batch should."""
        if batch_seconds < _SHORT_SECONDS:
            self._batch_rows = min(2 * self._batch_rows, _BATCH_ROWS[-1])
        elif batch_seconds > _LONG_SECONDS:
            self._batch_rows = max(self._batch_rows // 2, _BATCH_ROWS[0])
        self._rest_for(int(batch_seconds * 1000 * _PAUSE))

    def _rest(self) -> None:
        """Clean up again after ``purge_interval``."""
        self._rest_for(self._config.purge_interval_ms)

    def _rest_for(self, duration_ms: int) -> None:
        """Clean up again after this time; before that, if the clock was ahead."""
        now_ms = self._clock.now_ms()
        self.rest_ms = range(now_ms - self._config.clock_difference_ms, now_ms + duration_ms)
        """The instants, by the clock, at which no clean-up is due."""
