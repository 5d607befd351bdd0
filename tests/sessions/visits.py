"""A signed-in browser, and what its requests show."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from wsgi_sessions.records import SessionRecord
from wsgi_sessions_testing.bench import Bench
from wsgi_sessions_testing.browser.browser import Browser
from wsgi_sessions_testing.fakes.instrumentation import SessionReads

NEW, OLD = "n0123456789abcdef" * 2, "o0123456789abcdef" * 2
NOBODY = "(nobody)"


def app(environ: Any, start_response: Any) -> list[bytes]:
    session, reason = environ["wsgi_sessions.session"], environ["wsgi_sessions.end_reason"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{NOBODY if session is None else session.id} {reason}".encode()]


def opened(**settings: Any) -> tuple[Bench, Browser]:
    bench = Bench(app, **settings)
    bench.__enter__()
    browser = bench.new_browser()
    browser.sign_in("ada@example.org")
    return bench, browser


def is_in(browser: Browser) -> bool:
    return not browser.get("/").text.startswith(NOBODY)


def session_reads(bench: Bench) -> AbstractContextManager[SessionReads]:
    """Count how often a session is read meanwhile."""
    store: Any = bench.manager.parts.store
    reads: AbstractContextManager[SessionReads] = store.watched_by(SessionReads())
    return reads


def asks_the_database(bench: Bench, browser: Browser) -> bool:
    """Tell whether a signed-in browser's next request reads its session, rather than a copy."""
    with session_reads(bench) as reads:
        assert is_in(browser)
    return reads.count > 0


def reason(browser: Browser) -> str:
    return str(browser.get("/").text.split()[1])


def browser_header(browser: Browser) -> str:
    return f"__Host-session_token={browser.session_token}"


def cookies_header(browser: Browser) -> str:
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def stored(bench: Bench) -> SessionRecord:
    session = bench.manager.parts.models.session.select().get()
    found = bench.manager.parts.store.sessions.find(session.id)
    assert found is not None
    return found[0]
