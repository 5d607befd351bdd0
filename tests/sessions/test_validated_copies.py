"""When a cached copy stands for its session, and when the database is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import rotate
from wsgi_sessions import StoreUnavailableError
from wsgi_sessions.clock import datetime_from_ms
from wsgi_sessions_testing.bench import Bench
from wsgi_sessions_testing.fakes.instrumentation import WatchedStore
from wsgi_sessions_testing.fakes.managers import running_with

from .visits import (
    NOBODY,
    asks_the_database,
    browser_header,
    cookies_header,
    is_in,
    opened,
    reason,
    session_reads,
)


def test_a_revocation_elsewhere_is_obeyed_within_the_lag() -> None:
    bench, browser = opened(cookie_cache=True)
    (elsewhere,) = bench.workers(1)
    session = browser.session
    assert session is not None
    assert is_in(browser) and is_in(browser)
    elsewhere.manager.revoke_session(session.id)
    bench.clock.advance(seconds=1)
    assert not is_in(browser)


def test_a_theft_found_elsewhere_reaches_copies_within_the_lag() -> None:
    bench, browser = opened(cookie_cache=True)
    thief = browser.fork()
    rotate(browser, bench.clock)
    assert is_in(browser)
    assert not asks_the_database(bench, browser)

    (elsewhere,) = bench.workers(1)
    thief = thief.through(elsewhere)
    thief.cookies.discard("__Host-session_data")
    assert reason(thief) == "replayed"

    bench.clock.advance(seconds=1)
    assert reason(browser) == "replayed"


def test_a_revocation_here_is_obeyed_at_once() -> None:
    bench, browser = opened(cookie_cache=True)
    session = browser.session
    assert session is not None
    assert is_in(browser)
    bench.manager.revoke_session(session.id)
    assert not is_in(browser)


def test_a_user_who_is_deleted_elsewhere_has_no_copy_either() -> None:
    bench, browser = opened(cookie_cache=True)
    (elsewhere,) = bench.workers(1)
    session = browser.session
    assert session is not None
    assert is_in(browser)
    assert not asks_the_database(bench, browser)
    elsewhere.manager.delete_user(session.user_id)
    bench.clock.advance(seconds=1)
    assert not is_in(browser)


def test_revoking_everything_reaches_copies() -> None:
    bench, browser = opened(cookie_cache=True)
    (elsewhere,) = bench.workers(1)
    assert is_in(browser) and is_in(browser)
    assert elsewhere.manager.revoke_everything() == 1
    bench.clock.advance(seconds=1)
    assert not is_in(browser)


def test_revoking_what_began_before_an_instant_reaches_its_copies_and_spares_the_others() -> None:
    bench, browser = opened(cookie_cache=True)
    (elsewhere,) = bench.workers(1)
    bench.clock.advance(minutes=10)
    newcomer = bench.new_browser()
    newcomer.sign_in("bob@example.org")
    bench.clock.advance(minutes=10)
    assert is_in(browser) and is_in(newcomer), "both have a copy that was made just now"

    noon = datetime_from_ms(bench.clock.now_ms() - 10 * 60_000)
    assert elsewhere.manager.revoke_everything(before=noon) == 1
    bench.clock.advance(seconds=1)

    assert (is_in(browser), is_in(newcomer)) == (False, True)


def test_a_copy_issued_by_a_clock_ahead_does_not_outlive_everything() -> None:
    bench, browser = opened(cookie_cache=True)
    (elsewhere,) = bench.workers(1)
    bench.clock.advance(seconds=30)
    assert is_in(browser)
    bench.clock.advance(seconds=-30)
    elsewhere.manager.revoke_everything()
    bench.clock.advance(seconds=31)
    assert not is_in(browser)


def test_a_feed_that_cannot_be_read_lets_the_database_decide() -> None:
    bench, browser = opened(cookie_cache=True)
    assert is_in(browser)
    bench.clock.advance(seconds=1)

    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.manager.parts.store.revocations, "find", away)
        assert is_in(browser)
        patch.setattr(bench.manager.parts.store.sessions, "find", away)
        assert browser.get("/").status_int == 503


def test_no_copy_is_sealed_that_nobody_would_take() -> None:
    bench, browser = opened(cookie_cache=True)
    bench.manager.revoke_everything()
    browser.sign_in("ada@example.org")
    bench.clock.advance(seconds=90)
    assert browser.get("/").headers.getall("Set-Cookie") == []
    bench.clock.advance(milliseconds=1)
    assert ["session_data" in line for line in browser.get("/").headers.getall("Set-Cookie")]
    assert not asks_the_database(bench, browser)


def test_copy_is_left_as_it_is_while_the_feed_cannot_be_read() -> None:
    bench, browser = opened(cookie_cache=True)
    assert is_in(browser)
    bench.clock.advance(seconds=1)

    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.manager.parts.store.revocations, "find", away)
        answer = browser.get("/")
    assert not answer.text.startswith(NOBODY)
    assert answer.headers.getall("Set-Cookie") == []


def test_another_version_drops_every_copy() -> None:
    bench, browser = opened(cookie_cache=True)
    browser.get("/")
    changed = bench.manager.config.replace(cookie_cache={"version": "2"})
    with running_with(bench.manager, config=changed, wrap_store=WatchedStore.wrap):
        assert asks_the_database(bench, browser)


def test_a_limit_that_has_become_shorter_holds_for_copies_of_before() -> None:
    bench, browser = opened(cookie_cache=True)
    assert not asks_the_database(bench, browser)
    bench.clock.advance(minutes=2)
    changed = bench.manager.config.replace(idle_timeout=60)
    with running_with(bench.manager, config=changed, wrap_store=WatchedStore.wrap):
        assert reason(browser) == "idle"


@pytest.mark.parametrize("is_junk_first", [False, True])
def test_a_good_copy_is_found_beside_junk(is_junk_first: bool) -> None:
    """As a sub-domain may plant it where the name bears no ``__Host-``."""
    bench, browser = opened(cookie_cache=True, cookie={"path": "/app"})
    cookies = [cookies_header(browser), "__Secure-session_data=junk"]
    header = "; ".join(reversed(cookies) if is_junk_first else cookies)

    with session_reads(bench) as reads:
        answer = bench.new_browser().get("/app", headers={"Cookie": header})

    assert not answer.text.startswith(NOBODY)
    assert reads.count == 0


def test_bare_headers_are_answered_by_a_copy_that_is_bound_to_an_address() -> None:
    bench, browser = opened(cookie_cache=True, ip_binding="exact")
    assert not asks_the_database(bench, browser)

    with session_reads(bench) as reads:
        assert bench.manager.get_session({"Cookie": cookies_header(browser)}) is not None
    assert reads.count == 0


def test_a_copy_is_void_beside_another_token() -> None:
    bench, browser = opened(cookie_cache=True)
    browser.get("/")
    received = [line for exchange in browser.history for line in exchange.received]
    line = next(line for line in received if "session_data" in line)
    bob = bench.new_browser()
    session = bob.sign_in("bob@example.org")
    header = {"Cookie": f"{browser_header(bob)}; {line.partition(';')[0]}"}
    assert bench.new_browser().get("/", headers=header).text.startswith(session.id)


def test_a_copy_too_large_for_a_browser_is_warned_of_once() -> None:
    bench, browser = opened(cookie_cache=True)
    database: Any = bench.manager.database
    database.execute_sql("UPDATE wsgi_sessions_user SET image = ?", ("x" * 5000,))
    bench.clock.advance(seconds=301)
    browser.get("/")
    browser.get("/")
    names = [event.name for event in bench.events]
    assert names.count("cookie_cache_too_large") == 1


def test_session_data_is_read_from_the_database_beside_a_copy() -> None:
    def reading(environ: Any, start_response: Any) -> list[bytes]:
        data = environ["wsgi_sessions.session"].data
        data["count"] = data.get("count", 0) + 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(data["count"]).encode()]

    with Bench(reading, cookie_cache=True) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        assert [browser.get("/").text for _ in range(4)] == ["1", "2", "3", "4"]
