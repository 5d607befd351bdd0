"""Attempts: noted under several keys, counted since an instant, taken back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from tests.support import NOW, in_parallel
from wsgi_sessions.accounts.device_cookie import DeviceCookies
from wsgi_sessions.accounts.throttle import Throttle
from wsgi_sessions.config.parts import ThrottleConfig
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.errors import InvalidCredentialsError, TooManyTriesError
from wsgi_sessions.events import Events
from wsgi_sessions.records import NO_FACTS
from wsgi_sessions.sessions.tokens import new_id
from wsgi_sessions.storage.attempts import MAX_KEYS
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .stores import THREADS


class TestAttempts:
    def test_counts_those_after_an_instant_and_tells_the_first(self, store: Store) -> None:
        for at_ms in (NOW, NOW + 1, NOW + 2, NOW + 3):
            store.attempts.insert(new_id(), ["key"], now_ms=at_ms)
        store.attempts.insert(new_id(), ["KEY"], now_ms=NOW + 2)

        counted = store.attempts.count(["key"], since_ms=NOW, until_ms=NOW + 2)

        assert counted == {"key": (2, NOW + 1)}

    def test_none_is_left_out(self, store: Store) -> None:
        assert store.attempts.count(["key"], since_ms=NOW, until_ms=NOW + 2) == {}

    def test_each_of_several_keys_is_counted_by_itself(self, store: Store) -> None:
        keys = [f"key-{number}" for number in range(MAX_KEYS)]
        for count in range(1, MAX_KEYS + 1):
            store.attempts.insert(new_id(), keys[:count], now_ms=NOW + count)

        counted = store.attempts.count(keys, since_ms=NOW, until_ms=NOW + MAX_KEYS)

        assert counted == {
            f"key-{number}": (MAX_KEYS - number, NOW + 1 + number) for number in range(MAX_KEYS)
        }

    def test_what_is_taken_back_is_gone_under_all_keys_and_alone(self, store: Store) -> None:
        keys = [f"key-{number}" for number in range(MAX_KEYS)]
        first, second = new_id(), new_id()
        for attempt_id in (first, second):
            store.attempts.insert(attempt_id, keys, now_ms=NOW)

        store.attempts.delete(first)

        counted = store.attempts.count(keys, since_ms=NOW - 1, until_ms=NOW)
        assert counted == dict.fromkeys(keys, (1, NOW))
        store.attempts.delete(second)
        assert store.attempts.count(keys, since_ms=NOW - 1, until_ms=NOW) == {}


class TestParallelGuesses:
    """Each thread has a throttle of its own, as in as many processes."""

    @pytest.mark.parametrize("facts", [{}, {"session_id": "one"}], ids=["stranger", "session"])
    def test_no_more_are_looked_at_than_may_fail(self, store: Store, facts: dict[str, Any]) -> None:
        config = SessionConfig(secret="0123456789abcdef" * 2, throttle=ThrottleConfig(tries=3))
        known = NO_FACTS._replace(address="192.0.2.1", **facts)
        looked_at: list[int] = []

        def guess(number: int) -> None:
            devices = DeviceCookies(config.secret, lifetime_ms=1)
            throttle = Throttle(store, config, Events(FakeClock()), devices)
            for _ in range(3):
                with (
                    suppress(InvalidCredentialsError, TooManyTriesError),
                    throttle.counting_failures("ada", facts=known, now_ms=NOW),
                ):
                    looked_at.append(number)
                    raise InvalidCredentialsError

        in_parallel(guess, THREADS)

        guess(0)
        assert len(looked_at) == 3
