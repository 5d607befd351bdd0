"""What ``accounts/throttle.py`` promises: how many tries pass, for whom, and what is stored."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tests.support import new_clock
from wsgi_sessions.accounts.device_cookie import DeviceCookies
from wsgi_sessions.config.parts import ThrottleConfig
from wsgi_sessions.errors import (
    InvalidCredentialsError,
    InvalidIdTokenError,
    InvalidPasswordError,
    ServerBusyError,
    SessionLimitReached,
    StoreUnavailableError,
    TooManyTriesError,
)
from wsgi_sessions.events import Events, SessionEvent
from wsgi_sessions.records import NO_FACTS

from .fakes import FakeStore, make_config, make_throttle

NOW = 1_700_000_000_000
ADA, ADDRESS = "ada@example.org", "192.0.2.1"
WIDE_OPEN = 10**6


class Gate:
    """A throttle over a store in memory, and tries at it."""

    def __init__(
        self, config: ThrottleConfig | None = None, *, store: FakeStore | None = None, **limits: Any
    ) -> None:
        self.store = store or FakeStore()
        self.events = Events(new_clock())
        self.told: list[SessionEvent] = []
        self.events.subscribe(self.told.append)
        given = make_config(throttle=config or ThrottleConfig(**limits))
        self.throttle = make_throttle(self.store, given, self.events)
        self.devices = DeviceCookies(given.secret, lifetime_ms=86_400_000)

    def attempt(
        self,
        address: str | None = ADDRESS,
        account: str | None = ADA,
        *,
        error: BaseException | None = None,
        now_ms: int = NOW,
        **facts: Any,
    ) -> None:
        with self.throttle.counting_failures(
            account, facts=NO_FACTS._replace(address=address, **facts), now_ms=now_ms
        ):
            if error is not None:
                raise error

    def fail(self, *given: Any, count: int = 1, **named: Any) -> None:
        for _ in range(count):
            with pytest.raises(InvalidCredentialsError):
                self.attempt(*given, error=InvalidCredentialsError(), **named)

    def is_closed(self, *given: Any, **named: Any) -> int:
        """Return how long to wait; 0 if a right password is let in."""
        try:
            self.attempt(*given, **named)
        except TooManyTriesError as error:
            return error.retry_after_seconds
        return 0

    def cookie(self, account: str = ADA, **named: Any) -> tuple[str, ...]:
        return (self.devices.remember((), account, now_ms=named.get("now_ms", NOW)),)


KNOWN = Gate().cookie()

# What counts


def test_ten_failures_pass_and_whoever_comes_then_waits() -> None:
    gate = Gate()
    gate.fail(count=10)
    assert gate.is_closed() == 60


def test_successes_do_not_count() -> None:
    gate = Gate()
    for _ in range(100):
        gate.attempt()
    assert gate.store.attempts.rows == []
    gate.fail(count=9)
    assert not gate.is_closed()


@pytest.mark.parametrize(
    "error",
    [ServerBusyError(), SessionLimitReached(5), StoreUnavailableError(), KeyboardInterrupt()],
)
def test_what_fails_for_another_reason_than_the_password_does_not_count(
    error: BaseException,
) -> None:
    gate = Gate(tries=1)
    with pytest.raises(type(error)):
        gate.attempt(error=error)
    assert gate.store.attempts.rows == []


@pytest.mark.parametrize("error", [InvalidPasswordError(), InvalidIdTokenError("exp")])
def test_a_wrong_current_password_and_a_wrong_id_token_count(error: Exception) -> None:
    gate = Gate(tries=1)
    with pytest.raises(type(error)):
        gate.attempt(error=error)
    assert gate.is_closed()


def test_a_failure_that_can_not_be_taken_back_is_no_error() -> None:
    gate = Gate()

    def fail(attempt_id: str) -> None:
        raise StoreUnavailableError

    gate.store.attempts.delete = fail  # type: ignore[method-assign]
    gate.attempt()
    assert len(gate.store.attempts.rows) == 3


def test_refused_tries_leave_no_row_and_do_not_prolong_the_wait() -> None:
    gate = Gate()
    gate.fail(count=10)
    stored = list(gate.store.attempts.rows)
    for second in range(60):
        assert gate.is_closed(now_ms=NOW + second * 1000) == 60 - second
    assert gate.store.attempts.rows == stored


def test_refusals_are_reported_without_the_account() -> None:
    gate = Gate(tries=1)
    gate.fail()
    assert gate.is_closed()
    (event,) = gate.told
    assert (event.name, event.address) == ("throttled", ADDRESS)
    assert event.details == {"retry_after_seconds": 60}
    assert ADA not in repr(event)


# Until when


def test_wait_is_rounded_up_to_whole_seconds() -> None:
    gate = Gate()
    gate.fail(count=10)
    assert gate.is_closed(now_ms=NOW + 59_001) == 1


def test_window_is_over_at_the_very_instant() -> None:
    gate = Gate(window=timedelta(seconds=60))
    gate.fail(count=10)
    assert gate.is_closed(now_ms=NOW + 59_999)
    assert not gate.is_closed(now_ms=NOW + 60_000)


def test_waiting_as_told_is_enough() -> None:
    gate = Gate()
    for number in range(10):
        gate.fail(now_ms=NOW + number * 1000)
    wait_s = gate.is_closed(now_ms=NOW + 10_500)
    assert wait_s == 50
    assert not gate.is_closed(now_ms=NOW + 10_500 + wait_s * 1000)


def test_the_longest_wait_is_told_where_two_limits_are_reached() -> None:
    gate = Gate(tries=1, network_tries=2)
    gate.fail(now_ms=NOW)
    gate.fail(account="eve@example.org", now_ms=NOW + 30_000)
    wait_s = gate.is_closed(account="eve@example.org", now_ms=NOW + 30_000)
    assert wait_s == 60
    assert not gate.is_closed(account="eve@example.org", now_ms=NOW + 90_000)


def test_tries_by_a_clock_that_was_ahead_are_not_waited_for() -> None:
    gate = Gate()
    gate.fail(count=10)
    assert gate.is_closed(now_ms=NOW - 30_000) == 90
    assert not gate.is_closed(now_ms=NOW - 30_001)


# Networks and accounts


@pytest.mark.parametrize(
    ("inside", "outside"),
    [("192.0.2.250", "192.0.3.1"), ("2001:db8:1:ff::2", "2001:db8:2::1")],
)
def test_an_account_has_ten_failures_in_each_network(inside: str, outside: str) -> None:
    gate = Gate(network_tries=WIDE_OPEN, wide_network_tries=WIDE_OPEN)
    first = ADDRESS if "." in inside else "2001:db8:1::1"
    gate.fail(first, count=10)
    assert gate.is_closed(first)
    assert gate.is_closed(inside)
    assert not gate.is_closed(outside)
    assert not gate.is_closed(first, "grace@example.org")


def test_a_network_has_a_limit_over_all_accounts() -> None:
    gate = Gate()
    for number in range(50):
        gate.fail(f"192.0.2.{number}", f"user {number}")
    assert gate.is_closed("192.0.2.77", "somebody else")
    assert not gate.is_closed("192.0.3.77", "somebody else")


def test_ipv6_has_a_limit_for_a_56_and_a_looser_one_for_a_48() -> None:
    gate = Gate()
    for number in range(50):
        gate.fail(f"2001:db8:0:ab{number:02x}::1", f"user {number}")
    assert gate.is_closed("2001:db8:0:abff::1", "somebody else")
    assert not gate.is_closed("2001:db8:0:ac00::1", "somebody else")
    for number in range(50):
        gate.fail(f"2001:db8:0:ac{number:02x}::1", f"user {number + 50}")
    assert gate.is_closed("2001:db8:0:ad00::1", "somebody else")
    assert not gate.is_closed("2001:db8:1::1", "somebody else")


def test_colleagues_who_mistype_do_not_close_the_network() -> None:
    gate = Gate()
    for number in range(15):
        gate.fail(ADDRESS, f"colleague {number}", count=3)
    assert not gate.is_closed(ADDRESS, ADA)


def test_an_account_has_a_loose_limit_over_all_networks() -> None:
    gate = Gate()
    for number in range(10):
        gate.fail(f"198.51.{number}.1", count=10)
    assert gate.is_closed("203.0.113.1")
    assert not gate.is_closed("203.0.113.1", "grace@example.org")


def test_one_network_can_not_reach_the_limit_of_the_account() -> None:
    limits = ThrottleConfig()
    assert limits.tries * 5 <= limits.account_tries


def test_without_an_address_the_account_alone_counts() -> None:
    gate = Gate()
    gate.fail(None, count=10)
    assert gate.is_closed(None)
    for number in range(60):
        gate.fail(None, f"user {number}")
    assert not gate.is_closed(None, "grace@example.org")
    assert not gate.is_closed(ADDRESS), "another network"


def test_a_closed_account_does_not_use_up_its_network() -> None:
    gate = Gate(network_tries=11)
    gate.fail(count=10)
    for _ in range(20):
        assert gate.is_closed()
    assert not gate.is_closed(account="grace@example.org")


def test_id_tokens_are_counted_by_network_and_apart_from_passwords() -> None:
    gate = Gate(network_tries=3)
    for _ in range(3):
        with pytest.raises(InvalidIdTokenError):
            gate.attempt(account=None, error=InvalidIdTokenError("exp"))
    assert gate.is_closed(account=None)
    assert not gate.is_closed()
    assert not gate.is_closed("198.51.100.1", account=None)


def test_neither_address_nor_account_can_be_read_from_the_table() -> None:
    gate = Gate()
    gate.fail()
    for _, key, _ in gate.store.attempts.rows:
        assert len(key) == 64
        assert set(key) <= set("0123456789abcdef")


@pytest.mark.parametrize("address", ["not an address", "1.2.3.4\0"], ids=["words", "NUL"])
def test_odd_address_and_account_are_counted_like_any(address: str) -> None:
    gate = Gate()
    gate.fail(address, "half \ud800", count=10)
    assert gate.is_closed(address, "half \ud800")


# Known devices, and sessions


def test_a_known_device_is_let_in_whatever_strangers_did() -> None:
    gate = Gate()
    cookies = gate.cookie()
    for number in range(10):
        gate.fail(f"198.51.{number}.1", count=10)
    assert gate.is_closed(ADDRESS)
    assert not gate.is_closed(ADDRESS, device_cookies=cookies)


def test_a_known_device_is_known_for_its_own_account_alone() -> None:
    gate = Gate()
    gate.fail(count=10)
    assert gate.is_closed(device_cookies=gate.cookie("eve@example.org"))


def test_a_stolen_device_cookie_gives_ten_tries_more_than_a_stranger_has() -> None:
    gate = Gate()
    cookies = gate.cookie()
    gate.fail(count=20, device_cookies=cookies)
    assert gate.is_closed(device_cookies=cookies) == 60
    gate.fail("198.51.100.1", count=10, device_cookies=cookies)
    assert gate.is_closed("198.51.100.1", device_cookies=cookies)


def test_whoever_uses_up_a_stolen_device_cookie_does_not_lock_its_owner_out() -> None:
    gate = Gate()
    stolen = gate.cookie()
    gate.fail("198.51.100.1", count=20, device_cookies=stolen)
    assert not gate.is_closed(device_cookies=stolen)


def test_many_device_cookies_of_one_account_have_a_limit_together() -> None:
    """Whoever knew a password has as many as they like, and they outlive the password."""
    gate = Gate(network_tries=WIDE_OPEN)
    held = [gate.cookie() for _ in range(30)]
    looked_at = 0
    for cookies in held:
        with suppress(TooManyTriesError):
            for _ in range(10):
                with suppress(InvalidCredentialsError):
                    gate.attempt(error=InvalidCredentialsError(), device_cookies=cookies)
                looked_at += 1
    assert looked_at == 100 + 10, "and those of a stranger in that network"
    assert not gate.is_closed("198.51.100.1", device_cookies=gate.cookie())
    assert not gate.is_closed("198.51.100.1")


def test_a_known_device_waits_for_the_first_limit_that_opens() -> None:
    gate = Gate(tries=1)
    cookies = gate.cookie()
    gate.fail(device_cookies=cookies)
    gate.fail(device_cookies=cookies, now_ms=NOW + 30_000)
    assert gate.is_closed(device_cookies=cookies, now_ms=NOW + 30_000) == 30


def test_the_next_sign_in_is_not_held_to_what_was_tried_with_a_stolen_device_cookie() -> None:
    gate = Gate()
    stolen = gate.cookie()
    gate.fail(device_cookies=stolen, count=10)
    assert not gate.is_closed(device_cookies=(gate.devices.remember(stolen, ADA, now_ms=NOW),))


def test_failures_of_a_known_device_close_nothing_else() -> None:
    gate = Gate()
    gate.fail(device_cookies=gate.cookie(), count=10)
    assert not gate.is_closed()
    assert not gate.is_closed(device_cookies=gate.cookie())


def test_a_device_known_for_anybody_is_spared_where_nobody_is_named() -> None:
    gate = Gate(network_tries=1)
    with pytest.raises(InvalidIdTokenError):
        gate.attempt(account=None, error=InvalidIdTokenError("exp"))
    assert gate.is_closed(account=None)
    assert not gate.is_closed(account=None, device_cookies=gate.cookie())


def test_a_live_session_is_spared_and_has_a_limit_of_its_own() -> None:
    gate = Gate()
    for number in range(10):
        gate.fail(f"198.51.{number}.1", count=10)
    gate.fail(session_id="one", count=10)
    assert gate.is_closed(session_id="one")
    assert not gate.is_closed(session_id="another")


# Parallel tries


def test_tries_at_one_moment_do_not_slip_through_together() -> None:
    gate = Gate()
    count, is_first = gate.store.attempts.count, [True]

    def count_late(keys: Any, **named: Any) -> Any:
        found = count(keys, **named)
        if is_first.pop() if is_first else False:
            for number in range(10):
                gate.store.attempts.insert(f"other {number}", keys, now_ms=NOW)
        return found

    gate.store.attempts.count = count_late  # type: ignore[method-assign]
    assert gate.is_closed() == 1, "some of the others may be taken back in a moment"
    assert len(gate.store.attempts.rows) == 30


def test_a_try_counts_while_it_is_being_made() -> None:
    gate = Gate(tries=1)
    with gate.throttle.counting_failures(ADA, facts=NO_FACTS._replace(address=ADDRESS), now_ms=NOW):
        assert gate.is_closed()
    assert not gate.is_closed()


@pytest.mark.parametrize(
    ("facts", "error", "calls"),
    [
        ({}, None, 4),
        ({}, InvalidCredentialsError(), 3),
        ({"address": "2001:db8::1"}, None, 4),
        ({"session_id": "one"}, None, 4),
        ({"device_cookies": KNOWN}, InvalidCredentialsError(), 3),
    ],
)
def test_a_try_costs_four_statements_at_most(
    facts: Any, error: Exception | None, calls: int
) -> None:
    gate = Gate()
    with suppress(InvalidCredentialsError):
        gate.attempt(error=error, **facts)
    assert gate.store.attempts.call_count == calls


@pytest.mark.parametrize(("cookies", "calls"), [((), 1), (KNOWN, 2)])
def test_a_refusal_costs_one_statement_and_of_a_known_device_two(
    cookies: tuple[str, ...], calls: int
) -> None:
    gate = Gate(tries=1)
    gate.fail()
    with suppress(TooManyTriesError):
        gate.fail(device_cookies=cookies)
    gate.store.attempts.call_count = 0
    assert gate.is_closed(device_cookies=cookies)
    assert gate.store.attempts.call_count == calls


# Actions


def sign_up(gate: Gate, address: str | None = ADDRESS, **named: Any) -> None:
    gate.throttle.count("sign-up", address=address, now_ms=NOW, **named)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [("192.0.2.250", "192.0.3.1"), ("2001:db8:0:ff00::1", "2001:db8:1::1")],
)
def test_twenty_actions_of_a_kind_pass_in_a_network(inside: str, outside: str) -> None:
    gate = Gate()
    for _ in range(20):
        sign_up(gate, inside)
    with pytest.raises(TooManyTriesError) as caught:
        sign_up(gate, inside)
    assert caught.value.retry_after_seconds == 60
    assert [event.name for event in gate.told] == ["throttled"]
    sign_up(gate, outside)
    sign_up(gate, None)
    gate.throttle.count("mail", address=inside, now_ms=NOW)
    assert not gate.is_closed(inside)


def test_three_mails_to_one_address_pass_whoever_asks() -> None:
    gate = Gate()
    for number in range(3):
        gate.throttle.count("mail", address=f"192.0.{number}.1", account=ADA, now_ms=NOW)
    for address in ("203.0.113.1", None):
        with pytest.raises(TooManyTriesError):
            gate.throttle.count("mail", address=address, account=ADA, now_ms=NOW)
    gate.throttle.count("mail", address="203.0.113.1", account="grace@example.org", now_ms=NOW)


def test_actions_and_failures_do_not_count_for_each_other() -> None:
    gate = Gate(sign_ups=10)
    gate.fail(count=10)
    for _ in range(10):
        sign_up(gate)
    assert not gate.is_closed(account="grace@example.org")


# Within the application's transaction


class RollingBackStore(FakeStore):
    """A store within a transaction of the application's, which is undone after every try."""

    is_within_app_transaction = True

    def undo(self) -> None:
        self.attempts.rows.clear()


def gate_that_is_undone() -> Gate:
    store = RollingBackStore()
    gate = Gate(store=store)
    for _ in range(10):
        gate.fail()
        store.undo()
    return gate


def test_failures_that_the_application_undoes_count_in_this_process() -> None:
    gate = gate_that_is_undone()
    assert gate.is_closed(now_ms=NOW + 20_000) == 40
    assert not gate.is_closed(now_ms=NOW + 60_000)


def test_successes_within_a_transaction_do_not_count_either() -> None:
    gate = Gate(store=RollingBackStore())
    for _ in range(20):
        gate.attempt()
    assert not gate.is_closed()


def test_what_a_process_noted_by_a_clock_that_was_ahead_is_not_waited_for() -> None:
    gate = gate_that_is_undone()
    assert gate.is_closed(now_ms=NOW - 30_000)
    assert not gate.is_closed(now_ms=NOW - 30_001)


def test_what_a_process_notes_is_forgotten_after_the_window() -> None:
    gate = Gate(store=RollingBackStore())
    for number in range(50):
        gate.fail(None, f"account-{number}", now_ms=NOW + number)
    gate.fail(None, "another", now_ms=NOW + 60_049)
    assert len(gate.throttle._noted) == 2


def test_switched_off_throttle_stores_nothing() -> None:
    store = FakeStore()
    throttle = make_throttle(store, make_config(), Events(new_clock()))
    for _ in range(50):
        with (
            pytest.raises(InvalidCredentialsError),
            throttle.counting_failures(ADA, facts=NO_FACTS, now_ms=NOW),
        ):
            raise InvalidCredentialsError
        throttle.count("sign-up", address=ADDRESS, account=ADA, now_ms=NOW)
    assert store.attempts.call_count == 0
