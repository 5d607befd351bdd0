"""Who brings the cookie of a session that is over is told why; nobody else is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from wsgi_sessions import EndReason
from wsgi_sessions_testing import Bench, Browser

ADA = "ada@example.org"
API = "/api/auth"
HEADER = "X-Session-End-Reason"
ORIGIN = "https://front.example.net"


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the app"]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(app, trusted_origins=[ORIGIN]) as bench:
        yield bench


@pytest.fixture
def browser(bench: Bench) -> Browser:
    browser = bench.new_browser()
    browser.sign_in(ADA)
    return browser


def end(bench: Bench, browser: Browser, reason: EndReason = EndReason.EVICTED) -> None:
    assert browser.session is not None
    bench.manager.parts.ending.end(browser.session.id, reason=reason)


@pytest.mark.parametrize("reason", EndReason)
@pytest.mark.parametrize("query", ["", "?disableRefresh=true", "?disableCookieCache=true"])
def test_get_session_stays_null_and_says_why(
    bench: Bench, browser: Browser, reason: EndReason, query: str
) -> None:
    end(bench, browser, reason)

    answer = browser.get(f"{API}/get-session{query}")

    assert (answer.json, answer.headers[HEADER]) == (None, reason.value)


def test_a_401_says_why_in_its_body_too(bench: Bench, browser: Browser) -> None:
    end(bench, browser)

    answer = browser.get(f"{API}/list-sessions")

    assert (answer.status_int, answer.json["endReason"]) == (401, "evicted")
    assert answer.headers[HEADER] == "evicted"


def test_a_session_that_ran_out_says_so(bench: Bench, browser: Browser) -> None:
    token = browser.session_token
    bench.clock.advance(days=8)  # and a browser that keeps cookies for longer than it is told

    answer = bench.new_browser().get(
        f"{API}/get-session",
        headers={"Cookie": f"session_token={token}; __Host-session_token={token}"},
    )

    assert answer.headers[HEADER] == "expired"


def test_a_session_from_a_cached_copy_that_is_void_says_so() -> None:
    with Bench(app, cookie_cache=True) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        browser.get("/")
        end(bench, browser)
        bench.clock.advance(seconds=2)

        assert browser.get(f"{API}/get-session").headers[HEADER] == "evicted"


def test_a_live_session_and_a_visitor_have_none(bench: Bench, browser: Browser) -> None:
    for one in (browser, bench.new_browser()):
        for path in ("get-session", "list-sessions"):
            answer = one.get(f"{API}/{path}")
            assert HEADER not in answer.headers
            assert "endReason" not in answer.text


def test_who_signs_out_is_told_nothing_that_they_have_just_done(browser: Browser) -> None:
    answer = browser.post_json(f"{API}/sign-out")

    assert (answer.status_int, HEADER in answer.headers) == (200, False)


def test_who_signs_in_anew_is_told_nothing_more(bench: Bench, browser: Browser) -> None:
    bench.factories.make_user("bob@example.org", password="correct horse")
    end(bench, browser)

    answer = browser.post_json(
        f"{API}/sign-in/email", {"email": "bob@example.org", "password": "correct horse"}
    )

    assert (answer.status_int, HEADER in answer.headers) == (200, False)


@pytest.mark.parametrize("change", ["signature", "secret"])
def test_a_token_that_nobody_signed_tells_nothing(
    bench: Bench, browser: Browser, change: str
) -> None:
    token = str(browser.session_token)
    end(bench, browser)
    version, secret, generation, branch, signature = token.split(".")
    if change == "signature":
        signature = signature[:-1] + ("A" if signature[-1] != "A" else "Q")
    else:
        secret = "A" * len(secret)
    forged = ".".join((version, secret, generation, branch, signature))
    cookies = f"session_token={forged}; __Host-session_token={forged}"

    answer = bench.new_browser().get(f"{API}/get-session", headers={"Cookie": cookies})

    assert (answer.json, HEADER in answer.headers) == (None, False)


def test_a_page_of_another_trusted_origin_may_read_it(bench: Bench, browser: Browser) -> None:
    end(bench, browser)
    token = browser.session_token
    cookies = f"session_token={token}; __Host-session_token={token}"

    answer = browser.get(f"{API}/get-session", headers={"Cookie": cookies, "Origin": ORIGIN})

    assert answer.headers[HEADER] == "evicted"
    assert HEADER in answer.headers["Access-Control-Expose-Headers"]
