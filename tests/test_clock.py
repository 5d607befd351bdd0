"""Instants in milliseconds: the machine's, the edge of a deadline, and back to datetimes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from wsgi_sessions.clock import (
    Clock,
    SystemClock,
    datetime_from_ms,
    has_passed,
    ms_from_datetime,
    ms_from_duration,
)


def test_system_clock_cuts_nanoseconds_down_to_whole_milliseconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wsgi_sessions.clock.time.time_ns", lambda: 1_999_999)
    clock: Clock = SystemClock()

    assert clock.now_ms() == 1


def test_system_clock_says_what_it_is() -> None:
    assert repr(SystemClock()) == "SystemClock()"


@pytest.mark.parametrize(("now_ms", "is_over"), [(999, False), (1000, True), (1001, True)])
def test_deadline_is_over_at_its_very_instant(now_ms: int, is_over: bool) -> None:
    assert has_passed(1000, now_ms) is is_over


@pytest.mark.parametrize("instant_ms", [0, 1, -1, 1_800_000_000_123, 253_402_300_799_999])
def test_instant_comes_back_to_the_millisecond(instant_ms: int) -> None:
    shown = datetime_from_ms(instant_ms)

    assert shown.utcoffset() == timedelta(0)
    assert ms_from_datetime(shown) == instant_ms


def test_other_time_zone_is_the_same_instant() -> None:
    east = timezone(timedelta(hours=2))

    assert ms_from_datetime(datetime(1970, 1, 1, 2, 0, 1, tzinfo=east)) == 1000


def test_microseconds_are_cut_off() -> None:
    instant = datetime(1970, 1, 1, microsecond=1999, tzinfo=timezone.utc)

    assert ms_from_datetime(instant) == 1


def test_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone; give an aware datetime"):
        ms_from_datetime(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("duration", "expected"),
    [(60, 60_000), (0, 0), (timedelta(minutes=1), 60_000), (timedelta(microseconds=1999), 1)],
)
def test_duration_is_seconds_or_a_timedelta(duration: timedelta | int, expected: int) -> None:
    assert ms_from_duration(duration) == expected
