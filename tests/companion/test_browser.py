"""Claims about ``Browser``, ``Network``, ``Factories`` and ``Bench``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import peewee
import pytest

import wsgi_sessions_testing
from wsgi_sessions import (
    EndReason,
    SessionLimitReached,
    SessionManager,
    SessionMiddleware,
    StoreUnavailableError,
)
from wsgi_sessions_testing import (
    TEST_SECRET,
    Bench,
    Browser,
    FakeClock,
    LostResponse,
    Network,
    assert_signed_in,
    find_session_middleware,
    settings_for_tests,
)

ADA = "ada@example.org"


def account_app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers 401 to visitors under /account, and 200 with what it was sent."""
    is_refused = environ["PATH_INFO"] == "/account" and environ["wsgi_sessions.user"] is None
    start_response("401 Unauthorized" if is_refused else "200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


def echo_app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers with the request as it saw it; no sessions."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    names = ["REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "CONTENT_TYPE"]
    names += sorted(name for name in environ if name.startswith("HTTP_"))
    text = "".join(f"{name}={environ.get(name, '')}\n" for name in names).encode() + body
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
    headers.append(("Set-Cookie", "visited=yes; Path=/; Max-Age=60"))
    start_response("200 OK", headers)
    return [text]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(account_app) as bench:
        yield bench


@pytest.fixture
def echo() -> Browser:
    return Browser(echo_app, clock=FakeClock())


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


# What a strict server would not let pass


def test_a_breach_of_pep_3333_is_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[str]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return ["text"]

    with pytest.raises(AssertionError):
        Browser(app, clock=FakeClock()).get("/")  # type: ignore[arg-type]


def test_an_app_that_never_starts_is_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return []

    with pytest.raises(AssertionError, match="start_response"):
        Browser(app, clock=FakeClock()).get("/")


def test_a_wrong_content_length_is_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        return [b"four"]

    with pytest.raises(AssertionError, match="announced Content-Length 3 and sent 4 bytes"):
        Browser(app, clock=FakeClock()).get("/")


def test_the_body_is_read_and_closed() -> None:
    seen: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen.append("read")
            yield b"text"

        def close(self) -> None:
            seen.append("closed")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()

    assert Browser(app, clock=FakeClock()).get("/").text == "text"
    assert seen == ["read", "closed"]


def test_what_the_app_raises_is_raised() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        Browser(app, clock=FakeClock()).get("/")


def test_starting_twice_is_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    with pytest.raises(AssertionError, match="start_response twice"):
        Browser(app, clock=FakeClock()).get("/")


def test_an_error_after_the_first_bytes_is_raised() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"so far"
        try:
            raise KeyError("too late")
        except KeyError:
            headers = [("Content-Type", "text/plain")]
            start_response("500 Internal Server Error", headers, sys.exc_info())
        yield b"never"

    with pytest.raises(KeyError, match="too late"):
        Browser(app, clock=FakeClock()).get("/")


def test_start_response_with_exc_info_replaces_the_headers() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise KeyError("late")
        except KeyError:
            start_response(
                "500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info()
            )
        yield b"sorry"

    assert Browser(app, clock=FakeClock()).get("/").status_int == 500


# Signing in and out


def test_signing_in_by_email_makes_the_user(bench: Bench, ada: Browser) -> None:
    session = ada.session
    assert session is not None
    assert session.user is not None
    assert session.user.email == ADA
    assert ada.get("/account").status_int == 200
    assert [event.name for event in bench.events] == ["session_created"]


def test_signing_in_again_keeps_the_user_and_replaces_the_session(ada: Browser) -> None:
    first = ada.session
    assert first is not None
    second = ada.sign_in("ADA@example.org")
    assert second.user_id == first.user_id
    assert ada.session is not None
    assert ada.session.id == second.id != first.id
    assert len(ada.manager.list_sessions(first.user_id)) == 1


def test_signing_in_as_a_user_that_was_made(bench: Bench) -> None:
    user = bench.factories.make_user(name="Grace")
    session = bench.new_browser().sign_in(user)
    assert session.user == user
    assert user.name == "Grace"


def test_the_cookie_is_set_as_the_product_sets_it(ada: Browser) -> None:
    (line,) = ada.history[-1].received
    assert line == (
        f"__Host-session_token={ada.session_token}; Max-Age=604800; Path=/; Secure; HttpOnly; "
        "SameSite=Lax; Priority=High"
    )
    cookie = ada.cookies.find("__Host-session_token")
    assert cookie is not None
    assert cookie.is_http_only


def test_signing_in_with_a_password_goes_through_the_api(bench: Bench) -> None:
    bench.factories.make_user(ADA, password="correct horse")
    browser = bench.new_browser("Safari on iPhone", address="192.0.2.7")
    session = browser.sign_in(ADA, "correct horse")
    assert session.ip_address == "192.0.2.7"
    assert session.user_agent is not None
    assert "iPhone" in session.user_agent
    assert browser.history[-1].url == "https://localhost/api/auth/sign-in/email"


def test_a_wrong_password_tells_the_answer(bench: Bench) -> None:
    bench.factories.make_user(ADA, password="correct horse")
    with pytest.raises(AssertionError, match="INVALID_EMAIL_OR_PASSWORD"):
        bench.new_browser().sign_in(ADA, "battery staple")


def test_a_password_needs_the_api() -> None:
    with Bench(account_app, api_path=None) as bench:
        browser = bench.new_browser()
        with pytest.raises(LookupError, match="api_path is None"):
            browser.sign_in(ADA, "correct horse")


def test_what_the_product_raises_at_sign_in_is_raised() -> None:
    settings = {"maximum_sessions": 1, "on_limit": "reject"}
    with Bench(account_app, multi_session=settings) as bench:
        bench.new_browser().sign_in(ADA)
        with pytest.raises(SessionLimitReached):
            bench.new_browser().sign_in(ADA)


def test_signing_out_clears_the_jar(ada: Browser) -> None:
    assert ada.sign_out()
    assert ada.session is None
    assert not ada.cookies
    assert ada.get("/account").status_int == 401
    assert not ada.sign_out()


def test_not_remembered_means_until_the_browser_closes(bench: Bench) -> None:
    browser = bench.new_browser()
    browser.sign_in(ADA, remember_me=False)
    assert browser.get("/account").status_int == 200
    browser.restart()
    assert browser.get("/account").status_int == 401


def test_a_remembered_session_outlives_the_browser(ada: Browser) -> None:
    ada.restart()
    assert ada.get("/account").status_int == 200


def test_over_http_the_cookie_has_no_prefix(bench: Bench) -> None:
    browser = bench.new_browser(base_url="http://localhost:8000")
    browser.sign_in(ADA)
    assert set(browser.cookies) == {"session_token"}
    assert browser.session is not None
    assert browser.get("/account").status_int == 200


def test_cookies_of_a_path_and_a_domain() -> None:
    cookie = {"path": "/app", "domain": "example.org"}
    with Bench(account_app, cookie=cookie) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        assert browser.base_url == "https://example.org"
        assert browser.session is not None
        assert browser.session_token is not None
        assert browser.get("/account").status_int == 401


def test_other_devices_are_revoked_by_id(bench: Bench, ada: Browser) -> None:
    phone = bench.new_browser("Safari on iPhone")
    phone.sign_in(ADA)
    assert phone.session is not None
    assert ada.revoke_session(phone.session.id)
    assert phone.session is None
    assert ada.session is not None


def test_a_user_of_the_apps_own_model_can_sign_in() -> None:
    memory = peewee.SqliteDatabase(":memory:")

    class Member(peewee.Model):
        email = peewee.CharField(unique=True)

        class Meta:
            database = memory

    memory.create_tables([Member])
    ada: Any = Member.create(email=ADA)
    with Bench(account_app, database=memory, user_model=Member) as bench:
        browser = bench.new_browser()
        assert browser.sign_in(ada).user_id == ada.id
        assert browser.get("/account").status_int == 200
        assert browser.sign_in("grace@example.org").user_id != ada.id
        bench.factories.make_user("lin@example.org", password="correct horse")
        lin: Any = Member.get(Member.email == "lin@example.org")
        assert browser.sign_in(lin, "correct horse").user_id == lin.id
    memory.close()


def test_a_user_can_be_given_with_a_password(bench: Bench) -> None:
    user = bench.factories.make_user(password="correct horse")
    assert bench.new_browser().sign_in(user, "correct horse").user == user


def test_a_cookie_that_does_not_get_through_is_told() -> None:
    with Bench(account_app, cookie={"domain": "example.org"}) as bench:
        bench.factories.make_user(ADA, password="correct horse")
        browser = bench.new_browser(base_url="https://example.com")
        with pytest.raises(AssertionError, match=r"Domain=example\.org does not cover the host"):
            browser.sign_in(ADA, "correct horse")


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
        assert set(browser.cookies) == {"__Host-session_token", "__Host-session_data"}
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

        bench.manager.store.find_session = fail  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailableError, match="revoke session was not done"):
            browser.revoke_session(session.id)


# The network


def test_a_lost_response_reaches_the_app_and_not_the_browser() -> None:
    network = Network()
    browser = Browser(echo_app, clock=FakeClock(), network=network)
    with network.losing_responses(1):
        lost = browser.get("/first")
        assert browser.get("/second").status_int == 200
    assert isinstance(lost, LostResponse)
    assert lost.status_int == 0
    assert lost.body == b""
    assert not lost.headers
    assert "PATH_INFO=/first" in lost.unseen.text


def test_the_jar_does_not_know_of_a_lost_response(bench: Bench, ada: Browser) -> None:
    before = ada.session_token
    bench.clock.advance(days=1)
    with bench.network.losing_responses():
        ada.get("/")
        ada.get("/")
    assert ada.session_token == before
    assert ada.get("/account").status_int == 200
    assert ada.session_token != before


def test_a_delayed_responses_cookies_come_when_delivered(bench: Bench, ada: Browser) -> None:
    before = ada.session_token
    bench.clock.advance(days=1)
    with bench.network.delaying_responses(1):
        assert ada.get("/account").status_int == 200
    assert ada.session_token == before
    assert len(bench.network.held) == 1
    assert bench.network.deliver() == 1
    assert ada.session_token != before
    assert not bench.network.held


def test_delayed_responses_can_overtake_each_other() -> None:
    network = Network()
    answers = iter("abc")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        cookie = ("Set-Cookie", f"last={next(answers)}")
        start_response("200 OK", [("Content-Type", "text/plain"), cookie])
        return [b""]

    browser = Browser(app, clock=FakeClock(), network=network)
    with network.delaying_responses(3):
        for _ in range(3):
            browser.get("/")
    first, second, _ = network.held
    network.deliver(second)
    assert browser.cookies["last"] == "b"
    network.deliver(newest_first=True)
    assert browser.cookies["last"] == "a"
    with pytest.raises(LookupError, match="not on its way"):
        network.deliver(first)


def test_a_repeated_response_sets_its_cookies_twice(bench: Bench, ada: Browser) -> None:
    bench.clock.advance(days=1)
    with bench.network.repeating_responses(1):
        ada.get("/")
    first = ada.session_token
    ada.get("/")
    bench.clock.advance(days=1)
    ada.get("/")
    assert ada.session_token != first
    bench.network.deliver()
    assert ada.session_token == first


def test_a_repeated_request_reaches_the_app_twice() -> None:
    network = Network()
    calls: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        calls.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(len(calls)).encode()]

    browser = Browser(app, clock=FakeClock(), network=network)
    with network.repeating_requests(1):
        assert browser.post("/", {"a": "1"}).text == "2"
    assert calls == [b"a=1", b"a=1"]


def test_of_nested_troubles_the_inner_one_comes_first() -> None:
    network = Network()
    browser = Browser(echo_app, clock=FakeClock(), network=network)
    with network.delaying_responses(1), network.losing_responses(1):
        assert browser.get("/").status_int == 0
        assert browser.get("/").status_int == 200
    assert len(network.held) == 1


def test_a_trouble_that_met_nothing_is_an_error() -> None:
    network = Network()
    with (
        pytest.raises(AssertionError, match="2 were to be lost, but only 0 requests"),
        network.losing_responses(2),
    ):
        pass


def test_a_failure_within_a_trouble_is_not_hidden() -> None:
    network = Network()
    with pytest.raises(KeyError), network.losing_responses(2):
        raise KeyError("the test's own")


@pytest.mark.parametrize("count", [0, -1, True])
def test_a_trouble_needs_a_sensible_count(count: int) -> None:
    with pytest.raises(ValueError, match="1 or more"), Network().losing_responses(count):
        pass


def test_a_lost_sign_in_leaves_a_session_that_the_browser_knows_nothing_of(bench: Bench) -> None:
    browser = bench.new_browser()
    with bench.network.losing_responses(1):
        session = browser.sign_in(ADA)
    assert browser.session is None
    assert [one.id for one in bench.manager.list_sessions(session.user_id)] == [session.id]


@pytest.mark.parametrize("password", [None, "correct horse"])
def test_a_delayed_sign_in_is_one_when_it_is_delivered(bench: Bench, password: str | None) -> None:
    user = bench.factories.make_user(ADA, password=password)
    browser = bench.new_browser()
    with bench.network.delaying_responses(1):
        session = browser.sign_in(user, password)
    assert browser.session is None
    bench.network.deliver()
    assert browser.session is not None
    assert browser.session.id == session.id


def test_a_lost_sign_in_by_password_is_one_over_there(bench: Bench) -> None:
    user = bench.factories.make_user(ADA, password="correct horse")
    browser = bench.new_browser()
    with bench.network.losing_responses(1):
        session = browser.sign_in(ADA, "correct horse")
    assert browser.session is None
    assert [one.id for one in bench.manager.list_sessions(user.id)] == [session.id]


def test_a_lost_sign_out_ends_the_session_all_the_same(bench: Bench, ada: Browser) -> None:
    token = ada.session_token
    with bench.network.losing_responses(1):
        assert ada.sign_out()
    assert ada.session_token == token
    assert ada.session is None


def test_a_sign_out_that_is_sent_twice_has_the_second_answer(bench: Bench, ada: Browser) -> None:
    with bench.network.repeating_requests(1):
        assert not ada.sign_out()
    assert ada.session is None


def test_a_lost_revocation_is_one(bench: Bench, ada: Browser) -> None:
    phone = bench.new_browser()
    revoked = phone.sign_in(ADA).id
    with bench.network.losing_responses(1):
        assert ada.revoke_session(revoked)
    assert phone.session is None


def test_looking_at_a_session_is_no_request_to_be_lost(bench: Bench, ada: Browser) -> None:
    with bench.network.losing_responses(1):
        assert ada.session is not None
        assert_signed_in(ada)
        ada.get("/")


def test_a_worker_that_dies_at_a_sign_in_has_no_answer(bench: Bench) -> None:
    user = bench.factories.make_user(ADA)
    with (
        pytest.raises(StoreUnavailableError, match="the worker died, so sign in had no answer"),
        bench.faults.worker_killed(after="write"),
    ):
        bench.new_browser().sign_in(user)
    assert len(bench.manager.list_sessions(user.id)) == 1


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


# Factories


def test_a_session_of_any_age_can_be_adopted(bench: Bench) -> None:
    made = bench.factories.make_session(ADA, age=timedelta(days=6), last_seen=3600)
    assert made.session is not None
    browser = bench.new_browser()
    browser.adopt(made)
    assert browser.session is not None
    assert browser.session.id == made.session.id
    assert bench.clock.now() - browser.session.created_at == timedelta(days=6)
    assert bench.clock.now() - browser.session.last_seen_at == timedelta(hours=1)


def test_a_session_too_old_is_over(bench: Bench) -> None:
    browser = bench.new_browser()
    browser.adopt(bench.factories.make_session(age=timedelta(days=7)))
    assert browser.session is None
    assert browser.get("/account").status_int == 401


def test_a_session_of_any_generation_can_be_adopted(bench: Bench) -> None:
    made = bench.factories.make_session(generation=3, data={"cart": ["tea"]})
    assert made.session is not None
    assert made.token is not None
    assert made.token.split(".")[2] == "3"
    browser = bench.new_browser()
    browser.adopt(made)
    assert browser.get("/account").status_int == 200
    assert browser.session is not None
    assert browser.session.data == {"cart": ["tea"]}
    older = bench.factories.token_of(made.token, generation=1)
    browser.adopt(type(made)(made.user, made.session, older))
    assert browser.session is None


def test_a_session_can_be_made_at_any_point_of_a_rotation(bench: Bench) -> None:
    made = bench.factories.make_session(
        generation=2, age=timedelta(days=3), confirmed=90, is_settled=False, caught_up=True
    )
    assert made.session is not None
    assert made.token is not None
    record, now_ms = made.session.record, bench.clock.now_ms()
    assert bench.manager.store.find_session(record.id) == (record, made.user.record)
    assert (record.generation, record.is_settled, record.caught_up) == (2, False, True)
    assert made.token.split(".")[2:4] == ["2", record.branch]
    assert now_ms - record.confirmed_at_ms == 90_000
    assert record.updated_at_ms == record.last_seen_at_ms == record.confirmed_at_ms
    # As the confirmation found it due, it was refreshed then.
    assert record.expires_at_ms - record.confirmed_at_ms == bench.manager.config.expires_in_ms
    assert now_ms - record.authenticated_at_ms == 3 * 86_400_000


@pytest.mark.parametrize(
    ("settings", "made", "left_s"),
    [
        ({}, {"age": 86_400}, 6 * 86_400),
        ({}, {"age": 86_400, "confirmed": 3600}, 6 * 86_400),  # a refresh was not due yet
        ({}, {"age": 90_000, "confirmed": 3600}, 7 * 86_400 - 3600),
        ({}, {"age": 90_000, "confirmed": 3600, "refreshed": 60}, 7 * 86_400 - 60),
        ({}, {"age": 90_000, "confirmed": 3600, "refreshed": 90_000}, 7 * 86_400 - 90_000),
        ({"absolute_timeout": 100_000}, {"age": 90_000, "confirmed": 3600}, 10_000),
        ({"absolute_timeout": 100_000}, {"age": 90_000, "remember_me": False}, -3600),
    ],
)
def test_a_made_session_expires_as_the_product_would_have_it(
    settings: dict[str, Any], made: dict[str, Any], left_s: int
) -> None:
    with Bench(account_app, **settings) as bench:
        session = bench.factories.make_session(generation=1, **made).session
        assert session is not None
        assert session.record.expires_at_ms - bench.clock.now_ms() == left_s * 1000


def test_the_token_before_is_made_too(bench: Bench) -> None:
    made = bench.factories.make_session(generation=2, age=3600, confirmed=10, is_settled=False)
    assert made.token is not None
    before, browser = bench.factories.token_before(made.token), bench.new_browser()
    assert before.split(".")[2] == "1"
    browser.adopt(type(made)(made.user, made.session, before))
    assert browser.get("/account").status_int == 200
    sibling = bench.factories.token_of(made.token, generation=1)
    browser.adopt(type(made)(made.user, made.session, sibling))
    assert browser.get("/account").status_int == 401


def test_where_nothing_was_rotated_there_is_no_token_before(bench: Bench) -> None:
    made = bench.factories.make_session()
    assert made.token is not None
    for token in (made.token, "v1.a.1.b.c"):
        with pytest.raises(ValueError, match="no token of a session here that was rotated once"):
            bench.factories.token_before(token)


def test_siblings_and_what_a_browser_is_given_to_catch_up_are_made(bench: Bench) -> None:
    made = bench.factories.make_session(generation=2, age=3600, confirmed=70, is_settled=False)
    assert made.token is not None
    token_of, browser = bench.factories.token_of, bench.new_browser()

    def present(token: str) -> int:
        browser.adopt(type(made)(made.user, made.session, token))
        return browser.get("/account").status_int

    sibling = token_of(made.token, generation=2)
    named = token_of(made.token, generation=2, branch="YnJhbmNo")
    assert sibling != made.token
    assert named.split(".")[3] == "YnJhbmNo"
    assert present(sibling) == 200
    assert present(named) == 200
    assert not browser.session.record.caught_up  # type: ignore[union-attr]
    assert present(token_of(made.token, generation=2, is_catch_up=True)) == 200
    assert browser.session.record.caught_up  # type: ignore[union-attr]
    assert present(token_of(made.token, generation=0)) == 401


@pytest.mark.parametrize("reason", [EndReason.REVOKED, "replayed"])
def test_a_session_of_any_end_can_be_made(bench: Bench, reason: EndReason | str) -> None:
    made = bench.factories.make_session(ended=reason)
    assert made.session is not None
    found = bench.manager.store.find_session(made.session.id)
    assert found is not None
    assert found[0].end_reason == str(reason)


def test_a_foreign_token_has_no_other_generations(bench: Bench) -> None:
    with pytest.raises(ValueError, match="not a token of the manager's"):
        bench.factories.token_of("v1.a.0.b", generation=1)


def test_adopting_nothing_is_an_error(bench: Bench, ada: Browser) -> None:
    made = bench.factories.make_session()
    with pytest.raises(ValueError, match="no cookie"):
        ada.adopt(type(made)(made.user, None))


def test_users_have_addresses_of_their_own(bench: Bench) -> None:
    first, second = bench.factories.make_user(), bench.factories.make_user()
    assert first.email != second.email
    assert first.name == "User1"


def test_everything_can_be_shown(bench: Bench, ada: Browser) -> None:
    assert "at 127.0.0.1 with CookieJar(__Host-session_token)" in repr(ada)
    assert repr(bench.network) == "<Network with 0 responses on their way>"


def test_what_does_not_exist_is_not_in_the_package() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Browzer'"):
        _ = wsgi_sessions_testing.Browzer


@pytest.mark.parametrize("name", wsgi_sessions_testing.__all__)
def test_every_name_of_the_package_can_be_imported(name: str) -> None:
    assert getattr(wsgi_sessions_testing, name) is not None


# The bench


def test_a_wrapped_app_gets_its_own_parts_back() -> None:
    manager = SessionManager("sqlite:///:memory:", secret=TEST_SECRET, expires_in=timedelta(days=3))
    wrapped = SessionMiddleware(account_app, manager)
    config, clock, database = manager.config, manager.clock, manager.database
    with Bench(wrapped) as bench:
        assert bench.app is wrapped
        assert bench.manager is manager
        assert manager.clock is bench.clock
        assert manager.database is not database
        assert manager.config.expires_in == timedelta(days=3)
        assert manager.config.password.time_cost == 1
        bench.new_browser().sign_in(ADA)
    assert (manager.config, manager.clock, manager.database) == (config, clock, database)


@pytest.mark.parametrize("name", ["app", "wsgi_app", "application", "wrapped"])
def test_the_middleware_is_found_in_layers(name: str) -> None:
    class Layer:
        def __init__(self, inner: Any) -> None:
            setattr(self, name, inner)

        def __call__(self, environ: Any, start_response: Any) -> Any:
            raise NotImplementedError

    manager = SessionManager("sqlite:///:memory:", secret=TEST_SECRET)
    middleware = SessionMiddleware(account_app, manager)
    assert find_session_middleware(Layer(Layer(middleware))) is middleware
    assert find_session_middleware(Layer(account_app)) is None
    manager.close()


def test_a_layer_that_wraps_itself_ends_the_search() -> None:
    class Endless:
        def __call__(self, environ: Any, start_response: Any) -> Any:
            raise NotImplementedError

        @property
        def app(self) -> Endless:
            return Endless()

    assert find_session_middleware(Endless()) is None


def test_a_switch_leaves_its_part_alone() -> None:
    config = settings_for_tests(cookie_cache={"max_age": 60})
    assert not config.cookie_cache.enabled
    changed = settings_for_tests(config, cookie_cache=True)
    assert changed.cookie_cache.enabled
    assert changed.cookie_cache.max_age == timedelta(seconds=60)
