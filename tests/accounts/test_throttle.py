"""What ``accounts/throttle.py`` promises: how many tries pass, for whom, and what is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from wsgi_sessions.accounts.throttle import Throttle, throttle_keys
from wsgi_sessions.config.parts import ThrottleConfig
from wsgi_sessions.errors import TooManyTriesError
from wsgi_sessions.storage.store import Store

from .fakes import FakeStore

NOW = 1_700_000_000_000
TEN_A_MINUTE = ThrottleConfig(tries=10, window=timedelta(seconds=60))


def make_throttle(store: FakeStore, config: ThrottleConfig | None = TEN_A_MINUTE) -> Throttle:
    return Throttle(cast(Store, store), config)


def use_up(throttle: Throttle, *, address: str | None = "192.0.2.1", account: str = "ada") -> None:
    for _ in range(10):
        throttle.check(address, account, now_ms=NOW)


def test_ten_tries_pass_and_the_eleventh_waits() -> None:
    throttle = make_throttle(FakeStore())
    use_up(throttle)
    with pytest.raises(TooManyTriesError) as caught:
        throttle.check("192.0.2.1", "ada", now_ms=NOW)
    assert caught.value.retry_after_seconds == 60


def test_wait_is_rounded_up_to_whole_seconds() -> None:
    throttle = make_throttle(FakeStore())
    use_up(throttle)
    with pytest.raises(TooManyTriesError) as caught:
        throttle.check("192.0.2.1", "ada", now_ms=NOW + 59_001)
    assert caught.value.retry_after_seconds == 1


def test_window_is_over_at_the_very_instant() -> None:
    throttle = make_throttle(FakeStore())
    use_up(throttle)
    with pytest.raises(TooManyTriesError):
        throttle.check("192.0.2.1", "ada", now_ms=NOW + 59_999)
    throttle.check("192.0.2.1", "ada", now_ms=NOW + 60_000)


def test_waiting_as_told_is_enough() -> None:
    throttle = make_throttle(FakeStore())
    for number in range(10):
        throttle.check("192.0.2.1", "ada", now_ms=NOW + number * 1_000)
    with pytest.raises(TooManyTriesError) as caught:
        throttle.check("192.0.2.1", "ada", now_ms=NOW + 10_500)
    waited_ms = NOW + 10_500 + caught.value.retry_after_seconds * 1000
    throttle.check("192.0.2.1", "ada", now_ms=waited_ms)


def test_account_is_counted_over_all_addresses() -> None:
    throttle = make_throttle(FakeStore())
    for number in range(10):
        throttle.check(f"192.0.2.{number}", "ada", now_ms=NOW)
    with pytest.raises(TooManyTriesError):
        throttle.check("198.51.100.1", "ada", now_ms=NOW)


def test_address_is_counted_over_all_accounts() -> None:
    throttle = make_throttle(FakeStore())
    for number in range(10):
        throttle.check("192.0.2.1", f"user {number}", now_ms=NOW)
    with pytest.raises(TooManyTriesError):
        throttle.check("192.0.2.1", "somebody else", now_ms=NOW)
    throttle.check("192.0.2.2", "somebody else", now_ms=NOW)


def test_one_ipv6_customer_is_one_address() -> None:
    throttle = make_throttle(FakeStore())
    for number in range(10):
        throttle.check(f"2001:db8:1:2::{number:x}", f"user {number}", now_ms=NOW)
    with pytest.raises(TooManyTriesError):
        throttle.check("2001:db8:1:2:ffff::1", "somebody else", now_ms=NOW)
    throttle.check("2001:db8:1:3::1", "somebody else", now_ms=NOW)


def test_without_an_address_the_account_alone_counts() -> None:
    store = FakeStore()
    throttle = make_throttle(store)
    use_up(throttle, address=None)
    assert {key for key, _ in store.attempts.rows} == set(throttle_keys(None, "ada"))
    with pytest.raises(TooManyTriesError):
        throttle.check(None, "ada", now_ms=NOW)
    throttle.check(None, "grace", now_ms=NOW)


def test_refused_tries_leave_no_row() -> None:
    store = FakeStore()
    throttle = make_throttle(store)
    use_up(throttle)
    stored = len(store.attempts.rows)
    for _ in range(100):
        with pytest.raises(TooManyTriesError):
            throttle.check("192.0.2.1", "ada", now_ms=NOW + 1)
    assert len(store.attempts.rows) == stored == 20


def test_closed_account_does_not_use_up_an_address() -> None:
    store = FakeStore()
    throttle = make_throttle(store)
    use_up(throttle, address=None)
    for _ in range(20):
        with pytest.raises(TooManyTriesError):
            throttle.check("192.0.2.1", "ada", now_ms=NOW)
    throttle.check("192.0.2.1", "grace", now_ms=NOW)


def test_tries_at_one_moment_do_not_slip_through_together() -> None:
    store = FakeStore()
    throttle = make_throttle(store)
    count, is_first = store.attempts.count, [True]

    def count_late(key: str, since_ms: int, *, until_ms: int) -> tuple[int, int | None]:
        found = count(key, since_ms, until_ms=until_ms)
        if is_first.pop() if is_first else False:
            for _ in range(10):
                store.attempts.insert(throttle_keys(None, "ada")[0], NOW)
        return found

    store.attempts.count = count_late  # type: ignore[method-assign]
    with pytest.raises(TooManyTriesError):
        throttle.check(None, "ada", now_ms=NOW)


def test_tries_by_a_clock_that_was_ahead_are_not_waited_for() -> None:
    throttle = make_throttle(FakeStore())
    use_up(throttle)
    throttle.check("192.0.2.1", "ada", now_ms=NOW - 30 * 86_400_000)


def test_tries_by_a_clock_a_little_ahead_count() -> None:
    throttle = make_throttle(FakeStore())
    use_up(throttle)
    with pytest.raises(TooManyTriesError) as caught:
        throttle.check("192.0.2.1", "ada", now_ms=NOW - 30_000)
    assert caught.value.retry_after_seconds == 90
    throttle.check("192.0.2.1", "ada", now_ms=NOW - 30_001)


class RollingBackStore(FakeStore):
    """A store within a transaction of the application's, which is undone after every try."""

    is_within_app_transaction = True

    def undo(self) -> None:
        self.attempts.rows.clear()


def test_tries_that_the_application_undoes_count_in_this_process() -> None:
    store = RollingBackStore()
    throttle = make_throttle(store)
    for _ in range(10):
        throttle.check("192.0.2.1", "ada", now_ms=NOW)
        store.undo()

    with pytest.raises(TooManyTriesError) as caught:
        throttle.check("192.0.2.1", "ada", now_ms=NOW + 20_000)
    assert caught.value.retry_after_seconds == 40

    throttle.check("192.0.2.1", "ada", now_ms=NOW + 60_000)


def test_what_a_process_noted_by_a_clock_that_was_ahead_is_not_waited_for() -> None:
    store = RollingBackStore()
    throttle = make_throttle(store)
    for _ in range(10):
        throttle.check("192.0.2.1", "ada", now_ms=NOW)
        store.undo()
    with pytest.raises(TooManyTriesError):
        throttle.check("192.0.2.1", "ada", now_ms=NOW - 30_000)

    throttle.check("192.0.2.1", "ada", now_ms=NOW - 30_001)


def test_what_a_process_notes_is_forgotten_after_the_window() -> None:
    throttle = make_throttle(RollingBackStore())
    for number in range(50):
        throttle.check(None, f"account-{number}", now_ms=NOW + number)

    throttle.check(None, "another", now_ms=NOW + 60_049)

    assert len(throttle._noted) == 1


def test_neither_address_nor_account_can_be_read_from_the_table() -> None:
    store = FakeStore()
    make_throttle(store).check("192.0.2.1", "ada@example.org", now_ms=NOW)
    for key, _ in store.attempts.rows:
        assert len(key) == 64
        assert set(key) <= set("0123456789abcdef")


def test_odd_address_and_account_are_counted_like_any() -> None:
    store = FakeStore()
    make_throttle(store).check("not an address", "half \ud800", now_ms=NOW)
    assert len(store.attempts.rows) == 2


def test_switched_off_throttle_stores_nothing() -> None:
    store = FakeStore()
    throttle = make_throttle(store, None)
    for _ in range(50):
        throttle.check("192.0.2.1", "ada", now_ms=NOW)
    assert store.attempts.rows == []
