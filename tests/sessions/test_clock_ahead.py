"""Sessions written by a clock that was ahead, once it is put right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support import BEYOND_THE_WINDOW, confirm_next
from wsgi_sessions.errors import InvalidCredentialsError, TooManyTriesError
from wsgi_sessions_testing.bench import Bench
from wsgi_sessions_testing.browser.browser import Browser

from .visits import NOBODY, app, browser_header, is_in, opened, reason, stored

MONTH = timedelta(days=30)


def signed_in_by_a_clock_that_was_ahead(**settings: Any) -> tuple[Bench, Browser]:
    bench = Bench(app, **settings)
    bench.__enter__()
    bench.clock.advance(MONTH)
    browser = bench.new_browser()
    browser.sign_in("ada@example.org")
    bench.clock.advance(-MONTH)
    return bench, browser


def test_session_of_a_clock_that_was_ahead_is_kept_in_use() -> None:
    bench, browser = signed_in_by_a_clock_that_was_ahead()
    bench.clock.advance(days=6)
    assert is_in(browser)
    assert stored(bench).expires_at_ms == bench.clock.now_ms() + 7 * 86_400_000
    for _ in range(4):
        bench.clock.advance(days=6)
        assert is_in(browser)


def test_session_of_a_clock_that_was_ahead_ends_when_it_is_not_used() -> None:
    bench, browser = signed_in_by_a_clock_that_was_ahead()
    assert is_in(browser)
    token = browser_header(browser)
    bench.clock.advance(days=7)
    assert bench.new_browser().get("/", headers={"Cookie": token}).text == f"{NOBODY} expired"


def test_session_that_ends_with_the_browser_is_bounded_after_a_clock_was_ahead() -> None:
    bench = Bench(app)
    bench.__enter__()
    bench.clock.advance(MONTH)
    browser = bench.new_browser()
    browser.sign_in("ada@example.org", remember_me=False)
    bench.clock.advance(-MONTH)
    assert is_in(browser)
    bench.clock.advance(days=1)
    assert reason(browser) == "expired"


def test_limits_hold_after_a_clock_was_ahead() -> None:
    bench, browser = signed_in_by_a_clock_that_was_ahead(idle_timeout=600)
    assert is_in(browser)
    bench.clock.advance(seconds=600)
    assert reason(browser) == "idle"

    bench, browser = signed_in_by_a_clock_that_was_ahead(absolute_timeout=3 * 86_400)
    for _ in range(3):
        assert is_in(browser)
        header = {"Cookie": browser_header(browser)}
        bench.clock.advance(days=1)
    assert bench.new_browser().get("/", headers=header).text == f"{NOBODY} absolute"


def test_tokens_rotate_after_a_clock_was_ahead() -> None:
    bench, browser = signed_in_by_a_clock_that_was_ahead()
    before = browser.session_token
    assert is_in(browser)
    bench.clock.advance(days=1)
    assert is_in(browser)
    assert browser.session_token != before


def test_grace_does_not_last_as_long_as_a_clock_was_ahead() -> None:
    bench = Bench(app)
    bench.__enter__()
    bench.clock.advance(MONTH)
    browser = bench.new_browser()
    browser.sign_in("ada@example.org")
    thief = browser.fork()
    confirm_next(browser, bench.clock)
    bench.clock.advance(-MONTH)
    assert is_in(browser)
    bench.clock.advance(**BEYOND_THE_WINDOW)
    assert is_in(browser)
    assert stored(bench).is_settled
    assert reason(thief) == "replayed"


def test_last_seen_is_written_after_a_clock_was_ahead_though_no_touch_is_due() -> None:
    bench, browser = signed_in_by_a_clock_that_was_ahead()
    assert is_in(browser)
    record = stored(bench)
    now_ms = bench.clock.now_ms()
    assert (record.last_seen_at_ms, record.confirmed_at_ms) == (now_ms, now_ms)
    assert record.authenticated_at_ms == now_ms


def test_session_of_a_clock_a_little_ahead_is_fresh() -> None:
    bench, browser = opened()
    bench.clock.advance(seconds=-30)
    session = bench.manager.get_session({"Cookie": browser_header(browser)})
    assert session is not None and session.is_fresh
    bench.clock.advance(milliseconds=-1)
    session = bench.manager.get_session({"Cookie": browser_header(browser)})
    assert session is not None and not session.is_fresh


def test_tries_further_ahead_than_clocks_differ_do_not_count() -> None:
    bench = Bench(app, clock_difference=5, throttle={"tries": 1, "window": 60})
    bench.__enter__()

    def try_once() -> None:
        bench.manager.sign_in_email(email="ada@example.org", password="wrong password")

    bench.clock.advance(seconds=5)
    with pytest.raises(InvalidCredentialsError):
        try_once()
    bench.clock.advance(seconds=-5)
    with pytest.raises(TooManyTriesError):
        try_once()
    bench.clock.advance(milliseconds=-1)
    with pytest.raises(InvalidCredentialsError):
        try_once()


def test_reading_only_puts_nothing_right() -> None:
    bench, browser = signed_in_by_a_clock_that_was_ahead()
    before = stored(bench)
    assert bench.manager.get_session({"Cookie": browser_header(browser)}) is not None
    assert stored(bench) == before
