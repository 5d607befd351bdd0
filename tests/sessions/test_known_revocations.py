"""What is known of the feed: only what is new is read, and nothing is missed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator

import pytest

from tests.support import ShiftedClock
from wsgi_sessions import SessionConfig, StoreUnavailableError
from wsgi_sessions.sessions.known_revocations import ages_of
from wsgi_sessions_testing import FakeClock

from .test_revocation_feed import SETTINGS, WAIT_SECONDS, Feed, make_feed, server_now_ms

READ_MS = (300 + 30 + 60) * 1000
BUCKET_MS = 10_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def feed(clock: FakeClock) -> Feed:
    """A feed with one row that is known."""
    feed = make_feed(clock=clock)
    feed.store.add("known", feed.now_ms, row_id=100)
    feed.current()
    feed.store.take_calls()
    return feed


def is_known(feed: Feed, session_id: str) -> bool:
    return feed.current().is_revoked(session_id, feed.now_ms)


def catch_up(feed: Feed) -> None:
    feed.feed.invalidate()
    while feed.feed.current() is None:
        pass


# What is read


def test_rows_are_read_for_as_long_as_a_copy_may_live_and_a_row_be_late() -> None:
    ages = ages_of(SessionConfig.from_mapping(SETTINGS))
    assert ages.read_ms == READ_MS
    assert ages.kept_ms == READ_MS + 30_000 + BUCKET_MS, "the purger's clock may be ahead"


def test_first_reading_goes_back_as_far_as_rows_count() -> None:
    feed = make_feed()
    since_ms = (feed.now_ms - READ_MS) // BUCKET_MS * BUCKET_MS
    feed.store.add("too-old", since_ms - 1)
    feed.store.add("oldest", since_ms)
    assert is_known(feed, "oldest")
    assert not is_known(feed, "too-old")


def test_reading_is_one_statement(feed: Feed, clock: FakeClock) -> None:
    for number in range(3):
        clock.advance(seconds=1)
        feed.store.add(f"new-{number}", feed.now_ms)
        assert is_known(feed, f"new-{number}")
    assert feed.store.take_calls() == ["find_newer"] * 3


def test_reading_of_an_empty_feed_is_one_statement(clock: FakeClock) -> None:
    feed = make_feed(clock=clock)
    for _ in range(3):
        clock.advance(seconds=1)
        feed.current()
    assert feed.store.take_calls() == ["find"] * 3


def test_only_what_is_new_is_read(
    feed: Feed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(500):
        feed.store.add(f"old-{number}", feed.now_ms)
    clock.advance(seconds=1)
    feed.current()
    clock.advance(seconds=1)
    feed.store.add("new", feed.now_ms)
    pages = []
    read = feed.store.revocations._page

    def noted(*given: object) -> object:
        page = read(*given)  # type: ignore[arg-type]
        pages.append(len(page.rows))
        return page

    monkeypatch.setattr(feed.store.revocations, "_page", noted)
    assert is_known(feed, "new")
    assert pages == [2], "the last that was known, and the new one"


def test_closed_buckets_are_not_counted_but_every_ten_seconds(
    feed: Feed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    read = feed.store.revocations._page

    def noted(call: str, found: list[object], since_ms: int) -> object:
        counted.append((clock.now_ms() - since_ms) // BUCKET_MS)
        return read(call, found, since_ms)  # type: ignore[arg-type]

    monkeypatch.setattr(feed.store.revocations, "_page", noted)
    for _ in range(12):
        clock.advance(seconds=1)
        feed.current()
    assert counted == [9] * 9 + [39] + [9] * 2


# What is committed late


def test_row_that_is_committed_late_with_a_lower_id_is_read(feed: Feed, clock: FakeClock) -> None:
    clock.advance(seconds=60)
    feed.store.add("late", feed.now_ms - 90_000, row_id=7)

    assert is_known(feed, "late")
    assert feed.store.take_calls() == ["find_newer", "count_by_time", "find"]
    clock.advance(seconds=1)
    feed.current()
    assert feed.store.take_calls() == ["find_newer"]


def test_rows_that_are_late_in_buckets_far_apart_are_all_read(feed: Feed, clock: FakeClock) -> None:
    now_ms = feed.now_ms
    for number in range(1500):
        feed.store.add(f"old-{number}", now_ms - 40_000)
    catch_up(feed)
    feed.store.add("late", now_ms - 70_000, row_id=7)
    feed.store.add("later", now_ms, row_id=8)
    clock.advance(seconds=1)

    assert feed.feed.current() is None, "the buckets between them have more than a thousand rows"
    assert is_known(feed, "late") and is_known(feed, "later")


def test_row_of_a_transaction_longer_than_allowed_is_read_when_all_is_counted(
    feed: Feed, clock: FakeClock
) -> None:
    clock.advance(seconds=9)
    feed.current()
    feed.store.add("much-too-late", feed.now_ms - 200_000, row_id=7)
    clock.advance(seconds=10)
    assert is_known(feed, "much-too-late")


def test_rows_committed_between_the_statements_of_a_reading_are_counted(
    feed: Feed, clock: FakeClock
) -> None:
    clock.advance(seconds=1)
    feed.store.add("late", feed.now_ms, row_id=7)

    def commit() -> None:
        if len(feed.store.revocations.calls) < 3:
            number = len(feed.store.rows)
            feed.store.add(f"other-{number}", feed.now_ms, row_id=number)

    feed.store.on_read = commit
    assert is_known(feed, "late")
    feed.store.on_read = None
    feed.store.take_calls()
    clock.advance(seconds=1)
    feed.current()
    assert feed.store.take_calls() == ["find_newer"]


# More than a reading takes


def test_more_than_a_thousand_new_rows_are_read_by_several_readings(feed: Feed) -> None:
    feed.feed.invalidate()
    for number in range(2500):
        feed.store.add(f"new-{number}", feed.now_ms)

    assert [feed.feed.current() is None for _ in range(3)] == [True, True, False]
    assert all(is_known(feed, f"new-{number}") for number in (0, 1000, 2499))
    assert feed.store.count == 3


def test_first_reading_of_many_rows_is_cut_short_too() -> None:
    feed = make_feed()
    for number in range(2500):
        feed.store.add(f"session-{number}", feed.now_ms - 20_000 + number)

    assert [feed.feed.current() is None for _ in range(3)] == [True, True, False]
    assert feed.feed.latest is not None
    assert len(feed.feed.latest.session_ids) == 2500


def test_thousand_new_rows_are_one_reading(feed: Feed) -> None:
    feed.feed.invalidate()
    for number in range(1000):
        feed.store.add(f"new-{number}", feed.now_ms)

    assert is_known(feed, "new-999")


@pytest.mark.parametrize("count", [1500, 6000])
def test_late_row_among_many_is_read_in_the_end(feed: Feed, clock: FakeClock, count: int) -> None:
    for number in range(count):
        feed.store.add(f"new-{number}", feed.now_ms)
    catch_up(feed)
    feed.store.add("late", feed.now_ms, row_id=7)
    clock.advance(seconds=1)
    assert is_known(feed, "late")


def test_reading_that_was_cut_short_is_not_the_base_of_the_next(
    feed: Feed, clock: FakeClock
) -> None:
    clock.advance(seconds=300)
    for number in range(1001):
        feed.store.add(f"new-{number}", feed.now_ms)
    feed.store.add("late", feed.now_ms - 280_000, row_id=7)
    assert feed.feed.current() is None
    clock.advance(seconds=100)
    catch_up(feed)
    assert "new-1000" in feed.current().session_ids
    assert "late" in feed.current().session_ids


# What is forgotten, and what is purged


def test_rows_that_no_copy_can_need_are_forgotten(feed: Feed, clock: FakeClock) -> None:
    before = feed.current()
    clock.advance(milliseconds=READ_MS + 2 * BUCKET_MS)
    feed.store.add("new", feed.now_ms)
    assert "known" not in feed.current().session_ids
    assert list(feed.feed._known.counts) == [feed.now_ms // BUCKET_MS * BUCKET_MS]
    assert "known" in before.session_ids, "a request under way has what it began with"


def test_purge_at_the_far_edge_is_no_difference(feed: Feed, clock: FakeClock) -> None:
    ages = ages_of(SessionConfig.from_mapping(SETTINGS))
    feed.store.take_calls()
    for _ in range(900):
        clock.advance(seconds=1)
        feed.store.add(f"at-{feed.now_ms}", feed.now_ms)
        up_to_ms = feed.now_ms + 30_000 - ages.kept_ms  # by a clock that is ahead
        feed.store.rows[:] = [row for row in feed.store.rows if row[2] > up_to_ms]
        feed.current()
    assert set(feed.store.take_calls()) == {"find_newer"}
    assert len(feed.current().session_ids) <= (READ_MS + BUCKET_MS) // 1000 + 60


def test_ids_that_begin_anew_after_a_purge_are_read(feed: Feed, clock: FakeClock) -> None:
    clock.advance(hours=1)
    feed.store.rows.clear()
    feed.current()
    feed.store.add("first-again", feed.now_ms, row_id=1)
    clock.advance(seconds=1)
    assert is_known(feed, "first-again")
    feed.store.take_calls()
    feed.store.add("second", feed.now_ms)
    clock.advance(seconds=1)
    assert is_known(feed, "second")
    assert feed.store.take_calls() == ["find_newer"]


def test_id_of_a_row_that_was_lost_may_be_given_to_another(feed: Feed, clock: FakeClock) -> None:
    [lost] = feed.store.rows
    feed.store.rows[:] = [("another", None, lost[2], lost[3])]
    clock.advance(seconds=1)
    assert is_known(feed, "another")
    assert feed.store.take_calls() == ["find_newer", "find"]


# Another database


def test_another_secret_is_another_database(feed: Feed, clock: FakeClock) -> None:
    before = feed.current()
    feed.store.revocations.secret = "e" * 43
    feed.store.rows[:] = [("theirs", None, feed.now_ms, row_id) for row_id in (99, 100, 101)]
    clock.advance(seconds=1)
    assert dict(feed.current().session_ids).keys() == {"theirs"}
    assert feed.current().database_secret == "e" * 43
    assert "known" in before.session_ids


# Clocks


def test_clock_that_went_back_counts_all_again(feed: Feed, clock: FakeClock) -> None:
    clock.advance(days=30)
    feed.current()
    clock.advance(days=-30)
    feed.store.add("behind", feed.now_ms - 200_000, row_id=7)
    assert is_known(feed, "behind") and is_known(feed, "known")


def test_clock_that_is_off_changes_nothing_that_is_known() -> None:
    clock = ShiftedClock()
    feed = make_feed(clock=clock, revocation_lag=0)
    feed.store.server_clock = server_now_ms
    feed.store.add("known", feed.now_ms)
    feed.current()
    before = feed.feed._known
    clock.ahead_ms = 3_600_000
    assert feed.feed.current() is None
    assert feed.feed._known is before
    clock.ahead_ms = 0
    assert is_known(feed, "known")


# Within the application's transaction


def test_what_the_applications_transaction_sees_is_for_that_request_alone(
    feed: Feed, clock: FakeClock
) -> None:
    clock.advance(seconds=1)
    before = feed.feed._known
    feed.store.is_within_app_transaction = True
    rolled_back = feed.store.add("rolled-back", feed.now_ms)
    assert is_known(feed, "rolled-back") and is_known(feed, "known")
    assert feed.feed._known is before
    feed.store.is_within_app_transaction = False
    feed.store.rows.remove(rolled_back)
    assert not is_known(feed, "rolled-back")


def test_snapshot_of_before_is_no_loss(feed: Feed, clock: FakeClock) -> None:
    clock.advance(seconds=1)
    rows, snapshot = feed.store.rows, list(feed.store.rows)
    feed.store.add("new", feed.now_ms)
    feed.current()
    feed.feed.invalidate()
    feed.store.is_within_app_transaction = True
    feed.store.revocations.rows = snapshot
    assert is_known(feed, "known")
    feed.store.is_within_app_transaction = False
    feed.store.revocations.rows = rows
    assert is_known(feed, "new")


# Failures, threads and forks


@pytest.mark.parametrize("statement", [1, 2, 3])
def test_failure_of_any_statement_leaves_what_was_known(
    feed: Feed, clock: FakeClock, statement: int
) -> None:
    before = feed.feed._known
    clock.advance(seconds=1)
    feed.store.add("late", feed.now_ms, row_id=7)

    def fail() -> None:
        if feed.store.count == statement:
            raise StoreUnavailableError("away")

    feed.store.on_read = fail
    assert feed.feed.current() is None
    assert feed.feed._known is before
    feed.store.on_read = None
    clock.advance(seconds=1)
    assert is_known(feed, "late")


@pytest.fixture
def quick_switches() -> Generator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("quick_switches")
def test_threads_judge_while_another_reads() -> None:
    clock = FakeClock()
    feed = make_feed(clock=clock, revocation_lag=0)
    added: list[str] = []
    missed: list[str] = []
    is_over = threading.Event()

    def judge() -> None:
        while not is_over.is_set():
            count = len(added)
            reading = feed.feed.current()
            if reading is None:
                continue
            missed.extend(key for key in added[:count] if not reading.is_revoked(key, 0))

    threads = [threading.Thread(target=judge) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(300):
        feed.store.add(f"new-{number}", feed.now_ms, row_id=(number * 7) % 300 + 1)
        added.append(f"new-{number}")
        feed.feed.current()
    is_over.set()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert missed == []
    assert len(feed.current().session_ids) == 300


def test_child_goes_on_from_what_its_parent_knew(feed: Feed, clock: FakeClock) -> None:
    """A reading of the parent that was under way at the fork is as good as none."""
    seen = []

    def fork() -> None:
        child = make_feed(feed.store, clock)
        child.feed._known, child.feed.latest = feed.feed._known, feed.feed.latest
        feed.store.on_read = None
        seen.append(is_known(child, "new") and is_known(child, "known"))

    clock.advance(seconds=1)
    feed.store.add("new", feed.now_ms)
    feed.store.on_read = fork
    assert is_known(feed, "new")
    assert seen == [True]
