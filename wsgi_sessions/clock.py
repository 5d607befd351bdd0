"""The only module that reads the time, as whole milliseconds since the Unix epoch, UTC."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)


class Clock(Protocol):
    """Whatever can tell the time; tests give a fake one."""

    def now_ms(self) -> int:
        """Return the current instant in milliseconds since the Unix epoch, UTC."""
        ...


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Return the machine's current instant in milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    def __repr__(self) -> str:
        return "SystemClock()"


monotonic_seconds = time.monotonic
"""The same, for where each call counts: in C, as a fraction of seconds."""


def monotonic_ms() -> int:
    """Return milliseconds since no instant in particular, to tell how long something takes."""
    return time.monotonic_ns() // 1_000_000


@contextmanager
def lasting(milliseconds: int) -> Iterator[None]:
    """Have a block last so long at least: then its time tells nothing of what it did."""
    end_ns = time.monotonic_ns() + milliseconds * 1_000_000
    try:
        yield
    finally:
        time.sleep(max(0, end_ns - time.monotonic_ns()) / 1_000_000_000)


def has_passed(deadline_ms: int, now_ms: int) -> bool:
    """Return whether a deadline is over; the very instant counts as over.

    Both are UTC epoch milliseconds. Purge queries use the same edge.

    >>> has_passed(1000, 999), has_passed(1000, 1000)
    (False, True)
    """
    return now_ms >= deadline_ms


def datetime_from_ms(instant_ms: int) -> datetime:
    """Return epoch milliseconds as an aware UTC datetime.

    >>> datetime_from_ms(1_500).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return _EPOCH + timedelta(milliseconds=instant_ms)


def ms_from_datetime(instant: datetime) -> int:
    """Return an aware datetime as epoch milliseconds, cut down to the millisecond.

    Raises ``ValueError`` for a naive datetime, whose instant is anybody's guess.

    >>> ms_from_datetime(datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc))
    1000
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; give an aware datetime such as UTC")
    return (instant - _EPOCH) // _MILLISECOND


def ms_from_duration(duration: timedelta | int) -> int:
    """Return a ``timedelta``, or whole seconds, as milliseconds.

    >>> ms_from_duration(timedelta(minutes=1)), ms_from_duration(60)
    (60000, 60000)
    """
    if isinstance(duration, timedelta):
        return duration // _MILLISECOND
    return duration * 1000
