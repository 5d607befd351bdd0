"""The revocation feed: it voids cached copies within ``revocation_lag``, in every process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

from ..clock import Clock
from ..config.settings import SessionConfig
from ..errors import StoreUnavailableError
from ..fork_safety import notice_fork, renew_locks_in_child
from ..storage.meta import DATABASE_SECRET
from ..storage.store import Store
from .database_clock import ClockCheck, Moment
from .known_revocations import FeedNews, KnownRevocations, ages_of, read_news
from .tokens import new_secret

_MIN_PAUSE_MS = 1000


class FeedReading(NamedTuple):
    """What is known after a reading. Threads share it without a lock.

    ``session_ids`` may get those of later readings, too; ``own_ids`` are what was seen within the
    application's transaction. ``database_secret`` is part of the key of cached copies;
    ``is_clock_right``: this process's clock may be compared with instants that others wrote.
    """

    begun: Moment
    session_ids: Mapping[str, int]
    own_ids: frozenset[str]
    void_up_to_ms: int | None
    database_secret: str
    is_clock_right: bool
    version: object

    def is_revoked(self, session_id: str, issued_at_ms: int) -> bool:
        """Return whether a copy is revoked, or may be, as clocks differ."""
        if session_id in self.session_ids or session_id in self.own_ids:
            return True
        return self.void_up_to_ms is not None and issued_at_ms <= self.void_up_to_ms

    def __repr__(self) -> str:
        return f"FeedReading(<{len(self.session_ids)} sessions>)"


class RevocationFeed:
    def __init__(
        self, store: Store, clock: Clock, config: SessionConfig, clock_check: ClockCheck
    ) -> None:
        self._store = store
        self._clock = clock
        self._clock_check = clock_check
        self._lag_ms = config.revocation_lag_ms
        self._ages = ages_of(config)
        self.renew_locks()
        renew_locks_in_child(self)
        self.latest: FeedReading | None = None
        """The last reading, however old, or None before the first; it may miss revocations."""
        self._known = KnownRevocations({})
        self._failed_at_ms: int | None = None
        self._version = object()

    def renew_locks(self) -> None:
        """Replace the lock by a free one: in a forked child nobody is reading."""
        self._lock = threading.Lock()

    def current(self, now_ms: int | None = None) -> FeedReading | None:
        """Return a reading that is at most ``revocation_lag`` old, to judge copies by.

        ``now_ms`` is what the clock has just said, if it was asked.
        None where the database has to decide: the feed can't be read, another thread is reading
        it (nobody waits for that, as it may be slow), or the clock is off.
        """
        if now_ms is None:
            now_ms = self._clock.now_ms()
        reading = self.latest
        if reading is None or not self._is_current(reading, now_ms):
            reading = self._read_alone(now_ms)
        return reading if reading is not None and reading.is_clock_right else None

    def for_sealing(self) -> FeedReading | None:
        """Return a reading to make a copy with, or None if none must be made.

        An older one does, if the clock has not jumped since: whoever takes the copy looks at a
        current one.
        """
        reading = self.latest
        if reading is None or not reading.is_clock_right:
            return self.current()
        if self._clock_check.is_needed and not reading.begun.is_trusted_at(self._clock.now_ms()):
            return self.current()
        return reading

    def invalidate(self) -> None:
        """Take no copy before the feed is read again: this process has revoked something.

        A reading that another thread has begun already may miss it, so that one does not count.
        """
        self._version = object()

    def _is_current(self, reading: FeedReading, now_ms: int) -> bool:
        is_within_lag = 0 <= now_ms - reading.begun.at_ms < self._lag_ms
        return is_within_lag and reading.version is self._version

    def _read_alone(self, now_ms: int) -> FeedReading | None:
        """Read, unless another thread does or a reading has just failed."""
        pause_ms = max(self._lag_ms, _MIN_PAUSE_MS)
        if self._failed_at_ms is not None and 0 <= now_ms - self._failed_at_ms < pause_ms:
            return None
        notice_fork()
        lock = self._lock
        if not lock.acquire(blocking=False):
            return None
        try:
            reading = self.latest
            if reading is not None and self._is_current(reading, self._clock.now_ms()):
                return reading
            return self._read()
        except StoreUnavailableError:
            # Else every request after this one would wait as long.
            self._failed_at_ms = self._clock.now_ms()
            return None
        finally:
            lock.release()

    def _read(self) -> FeedReading | None:
        """Read what is new; return None if that was not all, and the next reading goes on."""
        version, latest = self._version, self.latest
        # What this process has ended itself, it must find.
        anew = latest is not None and latest.version is not version
        begun = Moment(self._clock)
        news = self._read_news(begun, anew=anew)
        if news.database_secret is None:
            self._store.meta.write_once(DATABASE_SECRET, new_secret())
            news = self._read_news(begun, anew=anew)
        if news.database_secret is None:
            return None
        is_clock_right = self._clock_check.is_right(news.database_now_ms, asked_at_ms=begun.at_ms)
        known, before_ms = news.known, news.known.before_ms
        # There it may be old, or see what is rolled back later: good for this request alone.
        is_shared = not self._store.is_within_app_transaction
        if is_shared and is_clock_right:
            known = known.keep(news.added, now_ms=begun.at_ms, ages=self._ages)
            self._known = known
        reading = FeedReading(
            begun,
            known.session_ids,
            frozenset() if is_shared else frozenset(news.added),
            # A copy may be made while that transaction is still open, by a clock that is ahead.
            None if before_ms is None else before_ms + self._ages.late_ms,
            news.database_secret,
            is_clock_right,
            version,
        )
        if not news.is_complete and is_clock_right:
            return None
        if is_shared:
            self.latest = reading
        return reading if version is self._version else None

    def _read_news(self, begun: Moment, *, anew: bool) -> FeedNews:
        return read_news(
            self._store.revocations, self._known, now_ms=begun.at_ms, ages=self._ages, anew=anew
        )
