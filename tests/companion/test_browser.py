"""The browser: what it sends, what it shows and the story it tells."""

from __future__ import annotations

import re
from typing import Any

import pytest

from wsgi_sessions import (
    StoreUnavailableError,
)
from wsgi_sessions_testing import (
    Bench,
    Browser,
    FakeClock,
)

from .apps import ADA, account_app, echo_app

# Requests


def test_a_browser_sends_what_browsers_send(echo: Browser) -> None:
    lines = echo.get("/page", query={"q": "a b"}).text.splitlines()
    assert lines[:5] == [
        "REQUEST_METHOD=GET",
        "PATH_INFO=/page",
        "QUERY_STRING=q=a+b",
        "REMOTE_ADDR=127.0.0.1",
        "CONTENT_TYPE=",
    ]
    assert "HTTP_HOST=localhost" in lines
    assert "HTTP_SEC_FETCH_SITE=same-origin" in lines
    assert any(line.startswith("HTTP_USER_AGENT=Mozilla/5.0 (X11; Linux") for line in lines)
    assert not any(line.startswith("HTTP_ORIGIN") for line in lines)


def test_a_form_is_sent_with_its_origin(echo: Browser) -> None:
    text = echo.post("/form", {"name": "Ada L", "tea": "yes"}).text
    assert "REQUEST_METHOD=POST" in text
    assert "CONTENT_TYPE=application/x-www-form-urlencoded" in text
    assert "HTTP_ORIGIN=https://localhost\n" in text
    assert text.endswith("name=Ada+L&tea=yes")


def test_json_is_sent_as_json(echo: Browser) -> None:
    text = echo.post_json("/api", {"a": [1]}).text
    assert "CONTENT_TYPE=application/json" in text
    assert text.endswith('{"a": [1]}')
    assert echo.post_json("/api").text.endswith("{}")


def test_other_methods(echo: Browser) -> None:
    assert "REQUEST_METHOD=PUT" in echo.put("/", b"raw").text
    assert "REQUEST_METHOD=DELETE" in echo.delete("/").text
    assert "REQUEST_METHOD=PATCH" in echo.request("patch", "/").text


def test_head_has_no_body_to_compare() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
        return []

    assert Browser(app, clock=FakeClock()).head("/").status_int == 200


def test_headers_can_be_replaced_and_left_out(echo: Browser) -> None:
    text = echo.get("/", headers={"User-Agent": None, "Accept": "image/png"}).text
    assert "HTTP_ACCEPT=image/png" in text
    assert "HTTP_USER_AGENT" not in text


def test_another_sites_page_is_told_apart(echo: Browser) -> None:
    text = echo.post("/", {}, from_origin="https://evil.example").text
    assert "HTTP_ORIGIN=https://evil.example\n" in text
    assert "HTTP_SEC_FETCH_SITE=cross-site" in text
    image = echo.get("/", from_origin="https://evil.example", is_navigation=False).text
    assert "HTTP_SEC_FETCH_MODE=cors" in image
    assert "HTTP_ORIGIN=https://evil.example" in image
    sibling = echo.get("/", from_origin="https://localhost:8443").text
    assert "HTTP_SEC_FETCH_SITE=same-site" in sibling


def test_pages_over_plain_http_send_no_fetch_metadata() -> None:
    browser = Browser(echo_app, clock=FakeClock(), base_url="http://app.example.org")
    assert "HTTP_SEC_FETCH" not in browser.get("/").text


def test_the_address_of_a_unix_socket_is_empty() -> None:
    browser = Browser(echo_app, clock=FakeClock(), address=None)
    assert "REMOTE_ADDR=\n" in browser.get("/").text


def test_cookies_come_back_until_they_expire() -> None:
    clock = FakeClock()
    browser = Browser(echo_app, clock=clock)
    browser.get("/")
    assert browser.cookies["visited"] == "yes"
    assert "HTTP_COOKIE=visited=yes" in browser.get("/").text
    clock.advance(seconds=60)
    assert "HTTP_COOKIE" not in browser.get("/").text


def test_a_cross_site_form_carries_no_lax_cookie(ada: Browser) -> None:
    assert ada.post("/account", {}, from_origin="https://evil.example").status_int == 401
    assert ada.post("/account", {}).status_int == 200


# Looking


def test_a_visitor_has_no_session_and_no_token(bench: Bench) -> None:
    browser = bench.new_browser()
    assert browser.session is None
    assert browser.session_token is None


def test_looking_at_a_session_changes_nothing(bench: Bench, ada: Browser) -> None:
    bench.clock.advance(days=2)
    before = ada.session
    assert before is not None
    again = ada.session
    assert again is not None
    assert again.record == before.record
    bench.clock.advance(days=30)
    assert ada.session is None
    bench.clock.advance(days=-30)
    assert ada.session is not None


def test_looking_through_a_thiefs_eyes_ends_nothing(bench: Bench, ada: Browser) -> None:
    thief = ada.fork()
    bench.clock.advance(days=1)
    ada.get("/")
    ada.get("/")
    bench.clock.advance(minutes=3)
    ada.get("/")
    assert thief.session is None
    assert ada.session is not None
    assert thief.get("/account").status_int == 401
    assert ada.session is None


def test_a_token_of_no_row_is_no_session(ada: Browser) -> None:
    manager = ada.manager
    assert ada.session_token is not None
    with Bench(account_app) as elsewhere:
        browser = elsewhere.new_browser()
        browser.cookies.receive(
            [f"__Host-session_token={ada.session_token}; Secure; Path=/"], url=browser.base_url
        )
        assert elsewhere.manager is not manager
        assert browser.session is None


def test_a_cached_copy_is_not_believed() -> None:
    with Bench(account_app, cookie_cache=True) as bench:
        browser = bench.new_browser()
        session = browser.sign_in(ADA)
        assert set(browser.cookies) >= {"__Host-session_token", "__Host-session_data"}
        bench.manager.revoke_session(session.id)
        assert browser.session is None


def test_a_fork_starts_with_the_same_cookies_and_goes_its_own_way(ada: Browser) -> None:
    twin = ada.fork()
    assert twin.session_token == ada.session_token
    assert twin.history == ada.history
    ada.sign_out()
    assert ada.session_token is None
    assert twin.session_token is not None
    assert twin.session is None


def test_an_app_without_sessions_says_what_to_write(echo: Browser) -> None:
    with pytest.raises(LookupError, match="manager=manager"):
        _ = echo.session


def test_the_manager_is_found_in_the_app(bench: Bench) -> None:
    assert Browser(bench.app, clock=bench.clock).manager is bench.manager


def test_a_database_that_is_away_is_told() -> None:
    with Bench(account_app) as bench:
        browser = bench.new_browser()
        session = browser.sign_in(ADA)

        def fail(*args: Any, **kwargs: Any) -> Any:
            raise StoreUnavailableError("away")

        bench.manager.parts.store.sessions.find = fail  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailableError, match="revoke session was not done"):
            browser.revoke_session(session.id)


# The story


def test_the_story_tells_requests_cookies_and_fates(bench: Bench, ada: Browser) -> None:
    bench.clock.advance(days=1)
    with bench.network.losing_responses(1):
        ada.get("/account")
    first, began, second, refreshed = ada.story().splitlines()
    assert first.startswith("2030-01-01T12:00:00.000+00:00 sign in -> 200 OK; set __Host-")
    assert "2030-01-02T12:00:00.000+00:00 GET https://localhost/account -> 200 OK (lost)" in second
    assert "sent __Host-session_token=v1." in second
    assert re.search(r"; set __Host-session_token=v1\.[\w-]{4}…\.1\.[\w-]{4}…\.…;", second)
    assert " event session_created of session " in began
    assert " event session_refreshed of session " in refreshed
    token = ada.session_token
    assert token is not None
    assert token not in ada.story()


def test_the_story_tells_refused_cookies() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        cookie = ("Set-Cookie", "__Host-a=1")
        start_response("200 OK", [("Content-Type", "text/plain"), cookie])
        return [b""]

    browser = Browser(app, clock=FakeClock())
    assert browser.story() == "(nothing was sent yet)"
    browser.get("/")
    assert browser.story().endswith(
        "refused __Host-a=1 from https://localhost/: __Host-a needs Secure"
    )
