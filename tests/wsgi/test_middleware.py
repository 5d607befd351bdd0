"""The middleware: what a request costs, which headers it adds, and what it answers when things break."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from tests.refusals import PROTECTIONS
from tests.support import confirm_next, rotate
from wsgi_sessions import (
    InvalidValueError,
    NotSignedInError,
    ServerBusyError,
    SessionManager,
    SessionNotFreshError,
    StoreUnavailableError,
    TooManyTriesError,
)
from wsgi_sessions.transport.response_headers import with_our_headers
from wsgi_sessions_testing.bench import Bench

Trace = list[str]
QUIET = 39 * 86_400
"""No cleaning up in between, which has statements of its own after the response."""


def app(environ: Any, start_response: Any) -> list[bytes]:
    session = environ["wsgi_sessions.session"]
    if environ["PATH_INFO"] == "/sign-out":
        environ["wsgi_sessions.request"].sign_out()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"-" if session is None else session.id.encode()]


class Traced:
    """A bench on an SQLite file whose statements are written down."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.clock = bench.clock
        self.browser = bench.new_browser()
        self.browser.sign_in("ada@example.org")
        self.statements: Trace = []
        manager: SessionManager = bench.manager
        database: Any = manager.database
        database.connection().set_trace_callback(self.note)

    def note(self, sql: str) -> None:
        verb = sql.split(None, 1)[0].upper()
        if verb in ("SELECT", "UPDATE", "INSERT", "DELETE"):
            self.statements.append(verb)

    def cost(self, path: str = "/") -> tuple[list[str], int]:
        """Return the statements of one request and how many cookies it set."""
        self.statements.clear()
        response = self.browser.get(path)
        return sorted(self.statements), len(response.headers.getall("Set-Cookie"))


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    with Bench(app, database=f"sqlite:///{tmp_path}/traced.db", purge_interval=QUIET) as bench:
        yield Traced(bench)


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[Traced]:
    with Bench(app, database=f"sqlite:///{tmp_path}/cached.db", cookie_cache=True) as bench:
        yield Traced(bench)


def test_no_cookie_costs_nothing(traced: Traced) -> None:
    traced.browser = traced.bench.new_browser()
    assert traced.cost() == ([], 0)


def test_a_forged_cookie_costs_nothing(traced: Traced) -> None:
    token = traced.browser.session_token
    assert token is not None
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    traced.statements.clear()
    traced.bench.new_browser().get("/", headers={"Cookie": f"__Host-session_token={forged}"})
    assert traced.statements == []


def test_a_valid_request_costs_one_select(traced: Traced) -> None:
    assert traced.cost() == (["SELECT"], 0)


def test_a_touch_costs_one_update(traced: Traced) -> None:
    traced.clock.advance(seconds=300)
    assert traced.cost() == (["SELECT", "UPDATE"], 0)
    assert traced.cost() == (["SELECT"], 0)


def test_refresh_with_offer_then_confirm_then_settle_cost_one_update_each(traced: Traced) -> None:
    traced.clock.advance(days=1)
    assert traced.cost() == (["SELECT", "UPDATE"], 1)
    traced.clock.advance(seconds=1)
    assert traced.cost() == (["SELECT", "UPDATE"], 0)
    assert traced.cost() == (["SELECT"], 0)
    traced.clock.advance(minutes=3)
    assert traced.cost() == (["SELECT", "UPDATE"], 0)
    assert traced.cost() == (["SELECT"], 0)
    traced.clock.advance(seconds=299)
    assert traced.cost() == (["SELECT"], 0), "settling was the touch, too"


def test_catch_up_costs_one_cookie_and_its_take_over_one_update(traced: Traced) -> None:
    crashed = traced.browser.fork()
    confirm_next(traced.browser, traced.clock)
    traced.browser = crashed
    traced.clock.advance(minutes=1)
    assert traced.cost() == (["SELECT"], 1)
    assert traced.cost() == (["SELECT", "UPDATE"], 0)
    assert traced.cost() == (["SELECT"], 0)


def test_sibling_and_token_before_cost_nothing_more(traced: Traced) -> None:
    before = traced.browser.fork()
    traced.clock.advance(days=1)
    sibling = traced.browser.fork()
    for browser in (sibling, traced.browser, traced.browser):
        browser.get("/")
    for traced.browser in (before, sibling):
        assert traced.cost() == (["SELECT"], 0)


def test_a_cached_request_costs_one_reading_of_the_feed_a_lag(cached: Traced) -> None:
    cached.cost()
    cached.clock.advance(seconds=1)
    assert cached.cost() == (["SELECT"], 0)
    assert cached.cost() == ([], 0)
    cached.clock.advance(seconds=1)
    assert cached.cost() == (["SELECT"], 0)


def test_an_ended_copy_is_renewed(cached: Traced) -> None:
    cached.cost()
    cached.clock.advance(seconds=299)
    cached.cost()
    cached.clock.advance(seconds=1)
    statements, cookies = cached.cost()
    assert statements.count("SELECT") == 1 and cookies == 1


def test_an_expired_session_costs_one_update_and_clears_nothing(traced: Traced) -> None:
    token = traced.browser.session_token
    traced.clock.advance(days=7)
    traced.statements.clear()
    header = {"Cookie": f"__Host-session_token={token}"}
    response = traced.bench.new_browser().get("/", headers=header)
    assert sorted(traced.statements) == ["SELECT", "UPDATE"]
    assert response.headers.getall("Set-Cookie") == []
    assert response.text == "-"


def test_a_replay_costs_one_update_and_one_feed_row(traced: Traced) -> None:
    thief = traced.browser.fork()
    rotate(traced.browser, traced.clock)
    traced.browser = thief
    assert traced.cost() == (["INSERT", "SELECT", "UPDATE"], 0)


def test_a_sign_out_costs_one_update_and_one_feed_row_and_clears_both(traced: Traced) -> None:
    assert traced.cost("/sign-out") == (["INSERT", "SELECT", "UPDATE"], 2)


def test_while_the_database_is_away_the_answer_is_503(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(session_id: str) -> None:
        raise StoreUnavailableError("away")

    token = traced.browser.session_token
    with monkeypatch.context() as patch:
        patch.setattr(traced.bench.manager.parts.store.sessions, "find", away)
        response = traced.browser.get("/")
        assert response.status_int == 503
        assert int(response.headers["Retry-After"]) > 0
        assert traced.browser.session_token == token
    assert traced.browser.get("/").text != "-"


def test_on_database_error_anonymous_runs_the_app() -> None:
    def away(session_id: str) -> None:
        raise StoreUnavailableError("away")

    with Bench(app, on_database_error="anonymous") as bench, pytest.MonkeyPatch.context() as patch:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        patch.setattr(bench.manager.parts.store.sessions, "find", away)
        response = browser.get("/")
        assert (response.status_int, response.text) == (200, "-")
        assert response.headers.getall("Set-Cookie") == []


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotSignedInError("sign in"), 401),
        (SessionNotFreshError("sign in again"), 403),
        (TooManyTriesError(7), 429),
        (ServerBusyError("busy"), 503),
        (InvalidValueError("wrong"), 400),
        (StoreUnavailableError("away"), 503),
    ],
)
def test_what_an_app_lets_through_is_answered(error: Exception, status: int, is_late: bool) -> None:
    def failing(environ: Any, start_response: Any) -> Any:
        raise error

    def failing_late(environ: Any, start_response: Any) -> Any:
        raise error
        yield b""

    with Bench(failing_late if is_late else failing) as bench:
        response = bench.new_browser().get("/")
    assert response.status_int == status
    assert "Traceback" not in response.text


@pytest.mark.parametrize("error", [InvalidValueError("wrong"), StoreUnavailableError("away")])
@pytest.mark.parametrize("is_late", [False, True])
def test_an_answer_in_the_apps_place_brings_the_cookie_of_its_sign_in(
    error: Exception, is_late: bool
) -> None:
    """The session before was ended for it, so without the cookie the browser were signed out."""

    def sign_in(environ: Any) -> None:
        if environ["PATH_INFO"] == "/again":
            environ["wsgi_sessions.request"].sign_in(environ["wsgi_sessions.user"].id)
            raise error

    def failing(environ: Any, start_response: Any) -> Any:
        sign_in(environ)
        return app(environ, start_response)

    def failing_late(environ: Any, start_response: Any) -> Any:
        sign_in(environ)
        yield from app(environ, start_response)

    with Bench(failing_late if is_late else failing) as bench:
        browser = bench.new_browser()
        before = browser.sign_in("ada@example.org").id
        response = browser.get("/again")
        assert response.status_int in (400, 503)
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Vary"] == "Cookie"
        assert browser.get("/").text not in ("-", before)


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_an_answer_in_the_apps_place_is_protected(accept: str) -> None:
    def failing(environ: Any, start_response: Any) -> Any:
        raise NotSignedInError("sign in")

    with Bench(failing) as bench:
        browser = bench.new_browser()
        refused = browser.get("/", headers={"Accept": accept})
        browser.sign_in("ada@example.org")
        with bench.faults.database_down():
            away = browser.get("/", headers={"Accept": accept})
    for answer, status in ((refused, 401), (away, 503)):
        assert answer.status_int == status
        assert {name: answer.headers[name] for name in PROTECTIONS} == PROTECTIONS


def test_an_answer_in_the_apps_place_has_no_body_for_head() -> None:
    def failing(environ: Any, start_response: Any) -> Any:
        raise NotSignedInError("sign in")

    with Bench(failing) as bench:
        response = bench.new_browser().head("/")
    assert (response.status_int, response.body) == (401, b"")
    assert int(response.headers["Content-Length"]) > 0


class Body:
    """An iterable that runs code and is no generator, as frameworks return them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


@pytest.mark.parametrize("wrap", [iter, Body, lambda chunks: map(bytes, chunks)])
def test_a_change_within_a_streamed_body_is_kept(wrap: Any) -> None:
    def streaming(environ: Any, start_response: Any) -> Any:
        session = environ["wsgi_sessions.session"]

        def chunks() -> Iterator[bytes]:
            yield b"cart: "
            session.data.setdefault("cart", []).append("tea")
            yield str(session.data["cart"]).encode()

        start_response("200 OK", [("Content-Type", "text/plain")])
        return wrap(chunks())

    with Bench(streaming) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        browser.get("/")
        assert browser.get("/").text == "cart: ['tea', 'tea']"


def test_a_purge_waits_until_a_list_is_out(traced: Traced) -> None:
    traced.clock.advance(days=46)
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)

    body: Any = traced.bench.app(environ, lambda *_: lambda _: None)

    assert list(body) == [b"-"]
    assert "DELETE" not in traced.statements
    body.close()
    assert "DELETE" in traced.statements


@pytest.mark.parametrize("error", [NotSignedInError("sign in"), StoreUnavailableError("away")])
def test_after_the_first_bytes_an_error_is_the_servers(error: Exception) -> None:
    def failing(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"begun"
        raise error

    with Bench(failing) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        with pytest.raises(type(error)):
            browser.get("/")


OURS = [("Set-Cookie", "session_token=x")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "Cookie"),
        ([("Vary", "Accept")], "Accept, Cookie"),
        ([("vary", "accept, cookie")], "accept, cookie"),
        ([("Vary", "*")], "*"),
        ([("Vary", "")], "Cookie"),
    ],
)
def test_vary_is_merged(given: list[tuple[str, str]], expected: str) -> None:
    headers = with_our_headers(given, [])
    assert [value for name, value in headers if name.lower() == "vary"] == [expected]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "private"),
        ([("Cache-Control", "public, max-age=60")], "private, max-age=60"),
        ([("Cache-Control", "s-maxage=60, max-age=5")], "private, max-age=5"),
        ([("cache-control", "no-store")], "no-store"),
        ([("Cache-Control", "private")], "private"),
        ([("Cache-Control", "PUBLIC"), ("Cache-Control", "no-cache")], "private, no-cache"),
        ([("Cache-Control", 'private="Set-Cookie", max-age=5')], "private, max-age=5"),
        (
            [("Cache-Control", 'no-cache="Set-Cookie, X-A", public')],
            'private, no-cache="Set-Cookie, X-A"',
        ),
        ([("Cache-Control", 'note="a, public, b"')], 'private, note="a, public, b"'),
        ([("Cache-Control", 'S-MaxAge = "60", immutable')], "private, immutable"),
        ([("Cache-Control", "must-understand, no-store")], "private, must-understand, no-store"),
        (
            [("Cache-Control", "stale-while-revalidate=60, stale-if-error=9")],
            "private, stale-while-revalidate=60, stale-if-error=9",
        ),
        ([("Cache-Control", 'broken="public, s-maxage=9')], 'private, broken="public'),
    ],
)
def test_a_response_with_our_cookie_is_for_one_browser(
    given: list[tuple[str, str]], expected: str
) -> None:
    headers = with_our_headers(given, OURS)
    assert [value for name, value in headers if name.lower() == "cache-control"] == [expected]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("CDN-Cache-Control", "public, max-age=600", "no-store"),
        ("cloudflare-cdn-cache-control", "max-age=600", "no-store"),
        ("Netlify-CDN-Cache-Control", "public, s-maxage=60, durable", "no-store"),
        ("X-LiteSpeed-Cache-Control", "public, max-age=120", "no-store"),
        ("Surrogate-Control", "max-age=3600", "no-store"),
        ("Surrogate-Control", 'max-age=60, content="ESI/1.0"', 'no-store, content="ESI/1.0"'),
        ("Edge-Control", "!no-store, max-age=30d", "no-store"),
        ("X-Accel-Expires", "3600", "0"),
    ],
)
def test_what_only_shared_caches_read_forbids_storing_our_cookie(
    name: str, given: str, expected: str
) -> None:
    headers = with_our_headers([(name, given), ("Expires", "tomorrow")], OURS)
    assert [value for key, value in headers if key == name] == [expected]
    assert ("Cache-Control", "private") in headers and ("Expires", "tomorrow") in headers
    assert (name, given) in with_our_headers([(name, given)], [])


def test_without_our_cookie_caching_is_the_apps_business() -> None:
    given = [("Cache-Control", "public, max-age=60")]
    assert with_our_headers(given, []) == [*given, ("Vary", "Cookie")]


def test_the_apps_list_of_headers_is_left_alone() -> None:
    given = [("Content-Type", "text/plain")]
    with_our_headers(given, OURS)
    assert given == [("Content-Type", "text/plain")]


def test_a_purge_follows_a_response_when_it_is_due(traced: Traced) -> None:
    traced.clock.advance(days=46)
    browser = traced.bench.new_browser()
    browser.get("/")
    database: Any = traced.bench.manager.database
    assert database.execute_sql("SELECT count(*) FROM wsgi_sessions_session").fetchone() == (0,)
