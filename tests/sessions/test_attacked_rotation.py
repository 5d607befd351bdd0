"""Stories of a rotation that an attacker of the rules and their code has found to fail."""

from __future__ import annotations

import sys
from typing import Any

import bottle
import pytest
from webtest import TestApp

from tests.support import Stage
from tests.wsgi.test_held_headers import TEXT, Server
from wsgi_sessions_testing import Bench
from wsgi_sessions_testing.browser.browser import Browser


def app(environ: Any, start_response: Any) -> list[bytes]:
    is_known = environ["wsgi_sessions.session"] is not None
    start_response("200 OK" if is_known else "401 Unauthorized", [("Content-Type", "text/plain")])
    return [b""]


def stay(bench: Bench, browser: Browser, *, minutes: int, every: int = 10) -> None:
    """Use the site all the time, and be known all the time."""
    for _ in range(minutes // every):
        bench.clock.advance(minutes=every)
        assert browser.get("/").status_int == 200


class TestTheCookieLastsAsLongAsTheSession:
    """The confirmation has refreshed, and its cookie did not stay in the jar."""

    @pytest.fixture
    def bench(self) -> Any:
        with Bench(app) as bench:
            yield bench

    @pytest.fixture
    def browser(self, bench: Bench) -> Browser:
        """Return a browser that was offered a token, and comes back when that has two hours."""
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        bench.clock.advance(days=1)
        browser.get("/")
        bench.clock.advance(days=6, hours=22)
        return browser

    def test_after_a_lost_answer(self, bench: Bench, browser: Browser) -> None:
        with bench.network.losing_responses(1):
            browser.get("/")
        stay(bench, browser, minutes=180)

    def test_after_two_lost_answers(self, bench: Bench, browser: Browser) -> None:
        with bench.network.losing_responses(1):
            browser.get("/")
        bench.clock.advance(minutes=3)
        with bench.network.losing_responses(1):
            browser.get("/")
        stay(bench, browser, minutes=180)

    def test_after_a_crash(self, bench: Bench, browser: Browser) -> None:
        browser.get("/")
        browser.crash()
        stay(bench, browser, minutes=180)

    def test_and_the_token_is_not_sent_for_ever(self, bench: Bench, browser: Browser) -> None:
        browser.get("/")
        sent = []
        for _ in range(12):
            bench.clock.advance(minutes=10)
            sent.append("Set-Cookie" in browser.get("/").headers)
        assert sent == [True, *[False] * 4, True, *[False] * 5, True]


def test_a_refresh_is_told_again_where_the_next_offer_comes_too_late() -> None:
    with Bench(app, expires_in=7200, update_age=3600) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        bench.clock.advance(minutes=60)
        browser.get("/")
        bench.clock.advance(minutes=59)
        browser.get("/")
        bench.clock.advance(minutes=3)
        with bench.network.losing_responses(1):
            browser.get("/")
        stay(bench, browser, minutes=120)


def test_what_start_response_returned_still_writes_after_exc_info() -> None:
    """The headers that it was to send were held back, and others took their place."""
    with Stage() as stage:
        server = Server(stage, written_after_an_error)
        assert server.ask(seconds=0) == [("500 Error", True), b"sorry"]


def written_after_an_error(environ: Any, start_response: Any, work: Any) -> list[bytes]:
    write = start_response("200 OK", TEXT)
    try:
        raise ValueError
    except ValueError:
        start_response("500 Error", TEXT, sys.exc_info())
    write(b"sorry")
    return []


def test_held_headers_are_told_before_a_body_is_returned() -> None:
    """Bottle's ``mount()`` answered 500 once a rotation was due, as it takes none later."""
    with Bench(lambda environ, start_response: streamed(start_response)) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        bench.clock.advance(days=1)
        root = bottle.Bottle()
        root.mount("/mounted", bench.app)
        outside = TestApp(root, extra_environ={"wsgi.url_scheme": "https"})
        cookie = f"__Host-session_token={browser.session_token}"
        answer = outside.get("/mounted/a", headers={"Cookie": cookie}, status=404)
        assert answer.content_type == "text/x-own"
        assert "Set-Cookie" in answer.headers


def streamed(start_response: Any) -> Any:
    start_response("404 Not Found", [("Content-Type", "text/x-own")])
    return iter([b"x"])


def test_what_breaks_off_before_its_first_bytes_is_closed() -> None:
    closed = []

    class Body:
        def __iter__(self) -> Any:
            raise RuntimeError("broken")

        def close(self) -> None:
            closed.append(True)

    def broken(environ: Any, start_response: Any, work: Any) -> Any:
        start_response("200 OK", TEXT)
        return Body()

    with Stage() as stage, pytest.raises(RuntimeError, match="broken"):
        Server(stage, broken).ask(seconds=0)
    assert closed == [True]
