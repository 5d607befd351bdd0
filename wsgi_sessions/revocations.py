"""The revocation feed: what makes a cached copy die within ``revocation_lag`` in every process.

Must not read more often than once a lag, and must never call a copy good on a stale reading.
"""

from __future__ import annotations

import threading

from .clock import Clock
from .config import SessionConfig
from .errors import StoreUnavailableError
from .forks import notice_fork, renew_locks_in_child
from .store import Store

__all__ = ["RevocationFeed", "feed_age_ms"]


def feed_age_ms(config: SessionConfig) -> int:
    """Return for how long a row of the feed matters: the longest copy, and room for clocks.

    The room is the grace (clocks differ by less) plus a minute for a row whose transaction
    commits late: such a row is read because every reading starts this far back, whatever
    ids were seen before.
    """
    return config.cookie_cache.max_age_ms + config.rotation_grace_ms + 60_000


class RevocationFeed:
    """One process's view of the feed."""

    def __init__(self, store: Store, clock: Clock, config: SessionConfig) -> None:
        self._store = store
        self._clock = clock
        self._lag_ms = config.revocation_lag_ms
        self._age_ms = feed_age_ms(config)
        # Clocks of workers differ by less than the grace; a copy that only seems to have been
        # issued after "everything before" goes to the database, which knows.
        self._skew_ms = config.rotation_grace_ms
        self.renew_locks()
        renew_locks_in_child(self)
        self._read_at_ms: int | None = None
        self._session_ids: frozenset[str] = frozenset()
        self._before_ms: int | None = None

    def renew_locks(self) -> None:
        """Make the lock anew: in a forked child nobody is reading."""
        self._lock = threading.Lock()

    def is_good(self, session_id: str, issued_at_ms: int) -> bool:
        """Tell whether no revocation up to ``revocation_lag`` ago meets a copy.

        False also when the feed can't be read: then the database has to decide.
        """
        if not self._is_current(self._clock.now_ms()):
            notice_fork()
            with self._lock:
                now_ms = self._clock.now_ms()
                if not self._is_current(now_ms):
                    try:
                        self._read(now_ms)
                    except StoreUnavailableError:
                        return False
        if session_id in self._session_ids:
            return False
        before_ms = self._before_ms
        return before_ms is None or issued_at_ms > before_ms + self._skew_ms

    def forget(self) -> None:
        """Have the next copy wait for a new reading: this process has just revoked something."""
        self._read_at_ms = None

    def _is_current(self, now_ms: int) -> bool:
        read_at_ms = self._read_at_ms
        return read_at_ms is not None and 0 <= now_ms - read_at_ms < self._lag_ms

    def _read(self, now_ms: int) -> None:
        rows = self._store.find_revocations(now_ms - self._age_ms)
        self._session_ids = frozenset(row[0] for row in rows if row[0] is not None)
        instants = [row[1] for row in rows if row[1] is not None]
        self._before_ms = max(instants) if instants else None
        # Last: a thread that sees this instant sees what was read at it.
        self._read_at_ms = now_ms
