"""Claims about ``FakeClock``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from runpy import run_path
from typing import Any

import pytest
import time_machine
from freezegun import freeze_time

import wsgi_sessions_testing.fakes.clock as clock_module
from wsgi_sessions_testing import START, FakeClock
from wsgi_sessions_testing.fakes.clock import real_ns


def test_it_starts_at_the_same_instant_every_time() -> None:
    assert FakeClock().now() == FakeClock().now() == START
    assert FakeClock().now().utcoffset() == timedelta(0)


def test_it_starts_where_it_is_told() -> None:
    start = datetime(1999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=2)))
    assert FakeClock(start).now() == start


def test_it_stands_still_by_itself() -> None:
    clock = FakeClock()
    assert {clock.now_ms() for _ in range(1000)} == {clock.now_ms()}


@pytest.mark.parametrize(
    ("moves", "moved_ms"),
    [
        ({"milliseconds": 1}, 1),
        ({"seconds": 1.5}, 1500),
        ({"minutes": 1, "seconds": 1}, 61_000),
        ({"hours": -1}, -3_600_000),
        ({"days": 1}, 86_400_000),
        ({"weeks": 1}, 604_800_000),
    ],
)
def test_it_advances_by_named_amounts(moves: dict[str, float], moved_ms: int) -> None:
    clock = FakeClock()
    before_ms = clock.now_ms()
    clock.advance(**moves)
    assert clock.now_ms() - before_ms == moved_ms


def test_it_advances_by_a_timedelta() -> None:
    clock = FakeClock()
    clock.advance(timedelta(days=1))
    assert clock.now() == START + timedelta(days=1)


def test_it_travels_forth_and_back() -> None:
    clock = FakeClock()
    clock.travel_to(datetime(2040, 1, 1, tzinfo=timezone.utc))
    clock.travel_to(datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert clock.now().isoformat() == "2020-01-01T00:00:00+00:00"


@pytest.mark.parametrize("amount", [3.5, 7, "1h"])
def test_advancing_by_a_bare_amount_says_what_to_write(amount: Any) -> None:
    with pytest.raises(TypeError, match=r"write advance\(seconds=.*\) or a timedelta"):
        FakeClock().advance(amount)


def test_advancing_by_nothing_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"write advance\(seconds=1\)"):
        FakeClock().advance()


def test_advancing_by_both_ways_at_once_is_an_error() -> None:
    with pytest.raises(TypeError, match="not both"):
        FakeClock().advance(timedelta(1), days=1)


def test_a_timedelta_under_a_name_is_an_error_that_says_what_to_write() -> None:
    wrong: Any = timedelta(days=1)
    with pytest.raises(TypeError, match=r"write advance\(datetime.timedelta\(days=1\)\)"):
        FakeClock().advance(days=wrong)


def test_travelling_to_a_naive_datetime_says_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"add tzinfo=timezone\.utc"):
        FakeClock().travel_to(datetime(2030, 1, 2))


def test_travelling_to_a_number_says_what_to_write() -> None:
    wrong: Any = 1_900_000_000
    with pytest.raises(TypeError, match=r"write travel_to\(datetime\("):
        FakeClock().travel_to(wrong)


class Stopwatch:
    """Stands in for the machine's monotonic clock."""

    now_ns = 5_000_000_000

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    stopwatch = Stopwatch()
    monkeypatch.setattr("wsgi_sessions_testing.fakes.clock.real_ns", stopwatch)
    return stopwatch


def test_ticking_follows_real_time_until_frozen(machine: Stopwatch) -> None:
    clock = FakeClock()
    clock.tick()
    machine.now_ns += 2_000_000_000
    assert clock.now() == START + timedelta(seconds=2)
    clock.freeze()
    machine.now_ns += 2_000_000_000
    assert clock.now() == START + timedelta(seconds=2)


def test_ticking_in_a_block_ends_with_it(machine: Stopwatch) -> None:
    clock = FakeClock()
    with clock.tick() as ticking:
        assert ticking.is_ticking
        machine.now_ns += 1_000_000
    assert not clock.is_ticking
    assert clock.now() == START + timedelta(milliseconds=1)


def test_a_ticking_clock_can_still_be_moved(machine: Stopwatch) -> None:
    clock = FakeClock()
    clock.tick()
    machine.now_ns += 1_000_000_000
    clock.advance(days=1)
    assert clock.now() == START + timedelta(days=1, seconds=1)
    clock.travel_to(START)
    assert clock.now() == START
    machine.now_ns += 1_000_000_000
    assert clock.now() == START + timedelta(seconds=1)


def test_starting_to_tick_twice_loses_no_time(machine: Stopwatch) -> None:
    clock = FakeClock()
    clock.tick()
    machine.now_ns += 1_000_000_000
    clock.tick()
    assert clock.now() == START + timedelta(seconds=1)


@contextmanager
def their_time_is_frozen(package: str) -> Iterator[None]:
    at = datetime(2012, 1, 14, tzinfo=timezone.utc)
    if package == "freezegun":
        with freeze_time(at):
            yield
    else:
        with time_machine.travel(at, tick=False):
            yield


@pytest.mark.parametrize("package", ["freezegun", "time_machine"])
def test_ticking_follows_real_time_whoever_freezes_that_of_python(package: str) -> None:
    clock = FakeClock()
    clock.tick()
    with their_time_is_frozen(package):
        within = clock.now()
        assert any(clock.now() != within for _ in range(10_000_000))
    clock.freeze()
    assert START <= within < clock.now() < START + timedelta(minutes=1)


@pytest.mark.parametrize("package", ["freezegun", "time_machine"])
def test_real_time_is_found_by_who_is_imported_while_it_is_frozen(package: str) -> None:
    with their_time_is_frozen(package):
        module = run_path(clock_module.__file__)
        began_ns = module["real_ns"]()
        assert any(module["real_ns"]() != began_ns for _ in range(10_000_000))
    assert 0 < real_ns() - began_ns < 60_000_000_000


@pytest.mark.parametrize("skew", [-1.5, 3, timedelta(minutes=1)])
def test_a_skewed_clock_follows_its_parent(skew: float | timedelta) -> None:
    clock = FakeClock()
    other = clock.skewed(skew)
    expected = skew if isinstance(skew, timedelta) else timedelta(seconds=skew)
    assert other.now() - clock.now() == expected
    clock.advance(days=-3)
    assert other.now() - clock.now() == expected


def test_reprs_show_the_time() -> None:
    clock = FakeClock()
    assert repr(clock) == "<FakeClock 2030-01-01T12:00:00+00:00>"
    assert repr(clock.skewed(-1)) == "<SkewedClock 2030-01-01T11:59:59+00:00 (-1000 ms)>"
    clock.tick()
    assert repr(clock).endswith(" ticking>")


@pytest.mark.parametrize("name", ["weeks", "days", "hours", "minutes", "seconds", "milliseconds"])
def test_moving_by_nothing_is_a_case_like_others(name: str) -> None:
    clock = FakeClock()
    clock.advance(**{name: 0})
    clock.advance(timedelta(0))
    assert clock.now() == START
