"""Compares this process's clock with the database's, which all processes share."""

from __future__ import annotations

from ..clock import Clock, SystemClock, monotonic_ms
from ..config.settings import SessionConfig
from ..events import Events

_MAX_DRIFT_MS = 1000
_MAX_TRUST_MS = 3_600_000


class Moment:
    """An instant and the monotonic time at it: together they show a later jump of the clock."""

    __slots__ = ("_monotonic_ms", "at_ms")

    def __init__(self, clock: Clock) -> None:
        self.at_ms = clock.now_ms()
        self._monotonic_ms = monotonic_ms()

    def is_trusted_at(self, now_ms: int) -> bool:
        """Return whether the clock has not jumped since then, and that was within the last hour."""
        passed_ms = monotonic_ms() - self._monotonic_ms
        has_jumped = abs(now_ms - self.at_ms - passed_ms) > _MAX_DRIFT_MS
        return not has_jumped and passed_ms < _MAX_TRUST_MS


class ClockCheck:
    """Compares the clock with the database's: right within half of ``clock_difference``.

    Two processes that are both right then differ from each other by at most the whole. A clock
    that was given to the manager always counts as right, and so does one beside a database
    without a clock of its own.
    """

    def __init__(self, clock: Clock, config: SessionConfig, events: Events) -> None:
        self._clock = clock
        self._allowed_ms = config.clock_difference_ms // 2
        self._events = events
        self._is_known_to_be_off = False
        self.is_needed = isinstance(clock, SystemClock)

    def is_right(self, database_now_ms: int | None, *, asked_at_ms: int) -> bool:
        """Compare with what the database's clock said to a statement sent at ``asked_at_ms``.

        It said so between that instant and now, so a slow answer makes no clock wrong. A clock
        that is off is one event, ``clock_off``; there is another only after it was right.
        """
        if database_now_ms is None or not self.is_needed:
            return True
        ahead_ms = max(0, asked_at_ms - database_now_ms)
        behind_ms = max(0, database_now_ms - self._clock.now_ms())
        is_off = max(ahead_ms, behind_ms) > self._allowed_ms
        if is_off and not self._is_known_to_be_off:
            self._events.emit(
                "clock_off",
                details={"ahead_ms": ahead_ms - behind_ms, "allowed_ms": self._allowed_ms},
            )
        self._is_known_to_be_off = is_off
        return not is_off
