"""``FakeClock``: the time of a test, which moves only when the test moves it.

It patches nothing: it is handed to whatever asks for a clock.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from wsgi_sessions.clock import datetime_from_ms, ms_from_datetime

START = datetime(2030, 1, 1, 12, 0, 0, tzinfo=timezone.utc)
"""Where every ``FakeClock`` starts unless told otherwise: a Tuesday noon, UTC."""

_MILLISECOND = timedelta(milliseconds=1)


def real_ns() -> int:
    """Return nanoseconds of real time since some instant, even where a test fakes the time."""
    # freezegun and time-machine replace time.monotonic_ns, but not this one.
    if sys.platform == "win32":
        return time.monotonic_ns()
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class FakeClock:
    """A clock that stands still until ``advance``, ``travel_to`` or ``tick``.

    >>> clock = FakeClock()
    >>> clock.advance(days=7, seconds=1)
    >>> clock.now().isoformat()
    '2030-01-08T12:00:01+00:00'
    >>> clock.advance(3.5)
    Traceback (most recent call last):
      ...
    TypeError: advance(3.5) does not say 3.5 of what; write advance(seconds=3.5) or a timedelta
    """

    def __init__(self, start: datetime = START) -> None:
        self._now_ms = _ms_from(start, "FakeClock")
        self._ticking_since_ns: int | None = None

    def now_ms(self) -> int:
        """Return the instant in milliseconds since the Unix epoch, UTC."""
        if self._ticking_since_ns is None:
            return self._now_ms
        return self._now_ms + (real_ns() - self._ticking_since_ns) // 1_000_000

    def now(self) -> datetime:
        """Return the instant as an aware datetime, UTC."""
        return datetime_from_ms(self.now_ms())

    def advance(
        self,
        by: timedelta | None = None,
        /,
        *,
        weeks: float | None = None,
        days: float | None = None,
        hours: float | None = None,
        minutes: float | None = None,
        seconds: float | None = None,
        milliseconds: float | None = None,
    ) -> None:
        """Move forward, or back by a negative amount; a fraction of a millisecond is cut off."""
        given = {
            "weeks": weeks,
            "days": days,
            "hours": hours,
            "minutes": minutes,
            "seconds": seconds,
            "milliseconds": milliseconds,
        }
        named = {name: amount for name, amount in given.items() if amount is not None}
        for name, amount in named.items():
            if isinstance(amount, timedelta):
                raise TypeError(f"advance({name}=…) takes a number; write advance({amount!r})")
            if not isinstance(amount, (int, float)):
                raise TypeError(f"advance({name}={amount!r}) takes a number; give {name} as one")
        if by is None:
            if not named:
                raise TypeError("advance() moves nothing; write advance(seconds=1), say")
            by = timedelta(**named)
        elif not isinstance(by, timedelta):
            wrong, right = f"does not say {by!r} of what", f"seconds={by!r}"
            if not isinstance(by, (int, float)):
                wrong, right = "is no length of time", "seconds=30, hours=1"
            raise TypeError(f"advance({by!r}) {wrong}; write advance({right}) or a timedelta")
        elif named:
            raise TypeError("advance() takes a timedelta or named amounts, not both; add them up")
        self._now_ms += by // _MILLISECOND

    def travel_to(self, instant: datetime) -> None:
        """Go to an instant, later or earlier."""
        self._now_ms = _ms_from(instant, "travel_to")
        if self._ticking_since_ns is not None:
            self._ticking_since_ns = real_ns()

    def tick(self) -> _Ticking:
        """Follow real time from here until ``freeze()``, or for the length of a ``with`` block."""
        if self._ticking_since_ns is None:
            self._ticking_since_ns = real_ns()
        return _Ticking(self)

    def freeze(self) -> None:
        """Stand still at the instant reached."""
        self._now_ms = self.now_ms()
        self._ticking_since_ns = None

    @property
    def is_ticking(self) -> bool:
        return self._ticking_since_ns is not None

    def skewed(self, seconds: float | timedelta) -> SkewedClock:
        """Return the clock of another worker, ahead by so much, or behind if negative."""
        by = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        return SkewedClock(self, by // _MILLISECOND)

    def __repr__(self) -> str:
        return f"<FakeClock {self.now().isoformat()}{' ticking' if self.is_ticking else ''}>"


def fake_clock(clock: Any) -> FakeClock:
    """Return the clock of a browser, as one that a test can move; else raise ``TypeError``."""
    if not isinstance(clock, FakeClock):
        raise TypeError(f"the browser's clock must be a FakeClock, not {clock!r}")
    return clock


class SkewedClock:
    """A clock that is always the same amount off another one, and moves with it.

    >>> clock = FakeClock()
    >>> late = clock.skewed(-2)
    >>> clock.advance(hours=1)
    >>> clock.now_ms() - late.now_ms()
    2000
    """

    def __init__(self, parent: FakeClock, ahead_by_ms: int) -> None:
        self.parent = parent
        self.ahead_by_ms = ahead_by_ms

    def now_ms(self) -> int:
        """Return the instant in milliseconds since the Unix epoch, UTC."""
        return self.parent.now_ms() + self.ahead_by_ms

    def now(self) -> datetime:
        """Return the instant as an aware datetime, UTC."""
        return datetime_from_ms(self.now_ms())

    def __repr__(self) -> str:
        return f"<SkewedClock {self.now().isoformat()} ({self.ahead_by_ms:+d} ms)>"


class _Ticking:
    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def __enter__(self) -> FakeClock:
        return self._clock

    def __exit__(self, *_: object) -> None:
        self._clock.freeze()


def _ms_from(instant: datetime, caller: str) -> int:
    if not isinstance(instant, datetime):
        raise TypeError(
            f"{caller}({instant!r}) needs a datetime; "
            f"write {caller}(datetime(2030, 12, 31, tzinfo=timezone.utc)), say"
        )
    if instant.tzinfo is None:
        raise ValueError(
            f"{caller}({instant!r}) has no time zone, so it could be any of a day's instants; "
            "add tzinfo=timezone.utc"
        )
    return ms_from_datetime(instant)
