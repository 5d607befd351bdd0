"""The feed: how old a reading may be, who reads, and what is done when nobody can."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from tests.support import ShiftedClock
from wsgi_sessions import SessionConfig, SessionEvent, StoreUnavailableError
from wsgi_sessions.clock import Clock, SystemClock
from wsgi_sessions.events import Events
from wsgi_sessions.records import FeedRow
from wsgi_sessions.sessions.database_clock import ClockCheck, Moment
from wsgi_sessions.sessions.revocation_feed import FeedReading, RevocationFeed
from wsgi_sessions.storage.meta import DATABASE_SECRET
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .feed_table import FeedTable

WAIT_SECONDS = 20
SETTINGS: dict[str, Any] = {
    "secret": "s0123456789abcdef" * 2,
    "cookie_cache": {"enabled": True, "max_age": 300},
    "clock_difference": 30,
    "longest_transaction": 60,
}


@dataclass
class FakeStore:
    """A feed in a list, and a server with a clock of its own."""

    rows: list[FeedRow] = field(default_factory=list)
    secret: str | None = "d" * 43
    server_clock: Callable[[], int] | None = None
    is_within_app_transaction: bool = False
    on_read: Callable[[], None] | None = None
    revocations: FeedTable = field(init=False)

    def __post_init__(self) -> None:
        self.revocations = FeedTable(self.rows, self.secret)
        self.revocations.now_ms = lambda: self.server_clock and self.server_clock()
        self.revocations.after_statement = lambda: self.on_read and self.on_read()

    @property
    def meta(self) -> FakeStore:
        return self

    def write_once(self, name: str, secret: str) -> str:
        assert name == DATABASE_SECRET
        self.revocations.secret = self.revocations.secret or secret
        return self.revocations.secret

    def add(self, session_id: str | None, created_at_ms: int, **given: int) -> FeedRow:
        """Add a committed row, of the next id unless one is given."""
        row_id = given.get("row_id", 1 + max((row[3] for row in self.rows), default=0))
        row = (session_id, given.get("before_ms"), created_at_ms, row_id)
        self.rows.append(row)
        return row

    def take_calls(self) -> list[str]:
        """Return which statements there were since the last time."""
        calls = list(self.revocations.calls)
        self.revocations.calls.clear()
        return calls

    @property
    def count(self) -> int:
        return len(self.revocations.calls)


@dataclass
class Feed:
    """A feed of one process, its store, and what it told."""

    store: FakeStore
    clock: Clock
    feed: RevocationFeed
    told: list[SessionEvent]

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms()

    def current(self) -> FeedReading:
        reading = self.feed.current()
        assert reading is not None
        return reading


def make_feed(store: FakeStore | None = None, clock: Clock | None = None, **settings: Any) -> Feed:
    store, clock = store or FakeStore(), clock or FakeClock()
    config = SessionConfig.from_mapping({**SETTINGS, **settings})
    events = Events(clock)
    told: list[SessionEvent] = []
    events.subscribe(told.append)
    feed = RevocationFeed(cast(Store, store), clock, config, ClockCheck(clock, config, events))
    return Feed(store, clock, feed, told)


# How old a reading may be


def test_feed_is_read_once_a_lag() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)
    for _ in range(3):
        feed.current()
    clock.advance(milliseconds=999)
    feed.current()
    assert feed.store.count == 1
    clock.advance(milliseconds=1)
    feed.current()
    assert feed.store.count == 2


def test_lag_counts_from_the_beginning_of_a_slow_reading() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)
    feed.store.on_read = lambda: clock.advance(seconds=3)
    feed.current()
    feed.current()
    assert feed.store.count == 2


def test_reading_of_a_clock_that_was_ahead_is_not_current() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)
    clock.advance(days=30)
    feed.current()
    clock.advance(days=-30)
    feed.current()
    assert feed.store.count == 2


def test_without_a_lag_every_request_reads() -> None:
    feed = make_feed(revocation_lag=0)
    feed.current()
    feed.current()
    assert feed.store.count == 2


# What voids a copy


def test_named_session_is_revoked_whenever_its_copy_was_issued() -> None:
    feed = make_feed()
    for session_id in ("one", "two"):
        feed.store.add(session_id, feed.now_ms)
    reading = feed.current()
    assert reading.is_revoked("one", 10**15) and reading.is_revoked("two", 10**15)
    assert not reading.is_revoked("three", 0)


@pytest.mark.parametrize(("later_ms", "is_revoked"), [(90_000, True), (90_001, False)])
def test_everything_before_reaches_as_far_as_clocks_differ_and_transactions_last(
    later_ms: int, is_revoked: bool
) -> None:
    feed = make_feed()
    now_ms = feed.now_ms
    feed.store.add(None, now_ms, before_ms=now_ms)
    feed.store.add(None, now_ms, before_ms=now_ms - 100)
    assert feed.current().is_revoked("any", now_ms + later_ms) is is_revoked


# What this process has revoked itself


def test_own_revocation_asks_for_a_new_reading() -> None:
    feed = make_feed()
    feed.current()
    feed.feed.invalidate()
    feed.current()
    assert feed.store.count == 2


def test_own_revocation_during_a_reading_is_not_lost() -> None:
    feed = make_feed()

    def revoke() -> None:
        feed.store.on_read = None
        feed.store.add("one", feed.now_ms)
        feed.feed.invalidate()

    feed.store.on_read = revoke

    assert feed.feed.current() is None, "what was read may have missed it"
    assert feed.current().is_revoked("one", feed.now_ms)


# Nobody waits


def test_nobody_waits_for_the_reading_of_another() -> None:
    feed = make_feed()
    is_reading, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        is_reading.set()
        assert may_go_on.wait(WAIT_SECONDS)

    feed.store.on_read = wait
    reader = threading.Thread(target=feed.feed.current)
    reader.start()
    assert is_reading.wait(WAIT_SECONDS)

    assert feed.feed.current() is None

    may_go_on.set()
    reader.join(WAIT_SECONDS)
    assert feed.feed.current() is not None
    assert feed.store.count == 1


def test_present_reading_is_used_while_another_thread_reads_the_next() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)
    feed.current()
    with feed.feed._lock:
        assert feed.feed.current() is not None
        clock.advance(seconds=1)
        assert feed.feed.current() is None


def test_who_comes_second_uses_what_the_first_has_just_read() -> None:
    feed = make_feed()
    find = feed.feed._read_alone

    def first(now_ms: int) -> FeedReading | None:
        find(now_ms)
        return find(now_ms)

    feed.feed._read_alone = first  # type: ignore[method-assign]
    feed.current()
    assert feed.store.count == 1


# When it can't be read


def fail() -> None:
    raise StoreUnavailableError("away")


@pytest.mark.parametrize(("lag", "pause_ms"), [(0, 1000), (1, 1000), (10, 10_000)])
def test_failure_is_remembered_for_the_lag(lag: int, pause_ms: int) -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock, revocation_lag=lag)
    feed.store.on_read = fail
    for _ in range(3):
        assert feed.feed.current() is None
    clock.advance(milliseconds=pause_ms - 1)
    assert feed.feed.current() is None
    assert feed.store.count == 1
    feed.store.on_read = None
    clock.advance(milliseconds=1)
    feed.current()
    assert feed.store.count == 2


def test_failure_is_remembered_from_its_end() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)

    def fail_slowly() -> None:
        clock.advance(seconds=5)
        fail()

    feed.store.on_read = fail_slowly
    assert feed.feed.current() is None
    assert feed.feed.current() is None
    assert feed.store.count == 1


def test_failure_of_a_clock_that_was_ahead_is_not_remembered() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)
    clock.advance(days=30)
    feed.store.on_read = fail
    feed.feed.current()
    feed.store.on_read = None
    clock.advance(days=-30)
    feed.current()


def test_reading_before_a_failure_is_used_until_its_lag_is_over() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)
    feed.current()
    feed.store.on_read = fail
    clock.advance(milliseconds=999)
    feed.current()
    clock.advance(milliseconds=1)
    assert feed.feed.current() is None


# Within the application's transaction


def test_reading_within_the_applications_transaction_is_for_that_request_alone() -> None:
    feed = make_feed()
    feed.store.is_within_app_transaction = True
    feed.current()
    assert feed.feed.latest is None
    feed.store.is_within_app_transaction = False
    feed.current()
    assert feed.store.count == 2


# The database's secret


def test_secret_is_made_once_and_read_again() -> None:
    store = FakeStore(secret=None)
    first = make_feed(store).current().database_secret
    second = make_feed(store).current().database_secret
    assert first == second == store.revocations.secret
    assert len(first) >= 43


def test_renewed_secret_is_known_after_the_lag() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)
    feed.current()
    feed.store.revocations.secret = "e" * 43
    clock.advance(seconds=1)
    assert feed.current().database_secret == "e" * 43


def test_no_secret_shows() -> None:
    feed = make_feed()
    assert "d" * 43 not in repr(feed.current())
    assert "d" * 43 not in repr(feed.store.revocations.find(0))


# The database's clock


def server_now_ms() -> int:
    return SystemClock().now_ms()


@pytest.mark.parametrize("ahead_ms", [16_000, -16_000])
def test_clock_that_is_off_trusts_no_copy_and_says_so_once(ahead_ms: int) -> None:
    feed = make_feed(
        FakeStore(server_clock=server_now_ms), ShiftedClock(ahead_ms), revocation_lag=0
    )
    for _ in range(3):
        assert feed.feed.current() is None
        assert feed.feed.for_sealing() is None
    assert [event.name for event in feed.told] == ["clock_off"]
    assert abs(feed.told[0].details["ahead_ms"] - ahead_ms) < 1000
    assert feed.told[0].details["allowed_ms"] == 15_000


@pytest.mark.parametrize("ahead_ms", [13_000, -13_000])
def test_clock_that_is_nearly_right_is_taken(ahead_ms: int) -> None:
    feed = make_feed(FakeStore(server_clock=server_now_ms), ShiftedClock(ahead_ms))
    feed.current()
    assert feed.feed.for_sealing() is not None
    assert feed.told == []


def test_clock_that_was_put_right_is_taken_and_told_of_anew_when_it_is_off_again() -> None:
    clock = ShiftedClock(60_000)
    feed = make_feed(FakeStore(server_clock=server_now_ms), clock, revocation_lag=0)
    assert feed.feed.current() is None
    clock.ahead_ms = 0
    feed.current()
    assert len(feed.told) == 1
    clock.ahead_ms = -60_000
    assert feed.feed.current() is None
    assert len(feed.told) == 2


def test_clock_is_known_to_be_off_at_the_very_first_reading() -> None:
    feed = make_feed(FakeStore(secret=None, server_clock=server_now_ms), ShiftedClock(60_000))
    assert feed.feed.current() is None


def test_slow_answer_is_no_clock_that_is_off() -> None:
    clock = ShiftedClock()
    feed = make_feed(FakeStore(server_clock=server_now_ms), clock)
    said = server_now_ms()
    check = feed.feed._clock_check
    assert check.is_right(said + 30_000, asked_at_ms=said) is False
    clock.ahead_ms = 40_000
    assert check.is_right(said + 30_000, asked_at_ms=said) is True


def test_clock_given_to_the_manager_counts_as_the_databases() -> None:
    feed = make_feed(FakeStore(server_clock=server_now_ms), FakeClock())
    feed.current()
    assert feed.told == []


def test_database_without_a_clock_says_nothing_against_ours() -> None:
    make_feed(FakeStore(), ShiftedClock(60_000)).current()


# What is sealed with


def test_older_reading_is_good_for_sealing() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock)
    assert feed.feed.for_sealing() is not None
    clock.advance(hours=2)
    assert feed.feed.for_sealing() is not None
    assert feed.store.count == 1


@pytest.mark.parametrize("moved_ms", [2_000, -2_000])
def test_clock_that_has_jumped_is_asked_about_before_anything_is_sealed(moved_ms: int) -> None:
    clock = ShiftedClock()
    feed = make_feed(FakeStore(server_clock=server_now_ms), clock)
    feed.current()
    assert feed.feed.for_sealing() is not None
    assert feed.store.count == 1
    clock.ahead_ms = moved_ms
    assert feed.feed.for_sealing() is not None
    assert feed.store.count == 2
    clock.ahead_ms = 20 * moved_ms
    assert feed.feed.for_sealing() is None


def test_clock_is_asked_about_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ShiftedClock()
    begun = Moment(clock)
    passed_ms = 3_600_000
    monkeypatch.setattr(begun, "_monotonic_ms", begun._monotonic_ms - passed_ms)
    monkeypatch.setattr(begun, "at_ms", begun.at_ms - passed_ms)
    assert not begun.is_trusted_at(clock.now_ms())
    monkeypatch.setattr(begun, "_monotonic_ms", begun._monotonic_ms + 10_000)
    monkeypatch.setattr(begun, "at_ms", begun.at_ms + 10_000)
    assert begun.is_trusted_at(clock.now_ms())
