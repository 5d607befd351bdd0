"""Claims about applications with layers around the middleware: what they do to answers is judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions_testing import (
    TEST_SECRET,
    Bench,
    Browser,
    assert_bound_to_address,
    assert_cached_copy_is_bounded,
    assert_cookie_flags,
    assert_forged_token_refused,
    assert_logout_is_final,
    assert_no_session_fixation,
    assert_not_shared_cacheable,
    assert_revocation_is_final,
    assert_revocation_within,
    assert_rotated,
    assert_rotation_safe,
    assert_session_data_is_kept,
    assert_signed_in,
    assert_signed_out,
    find_session_middleware,
)

ADA = "ada@example.org"
Headers = list[tuple[str, str]]


def account_app(environ: Any, start_response: Any) -> list[bytes]:
    user = environ["wsgi_sessions.user"]
    text = "nobody" if user is None else user.email
    start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "private")])
    return [text.encode()]


class Layer:
    """Changes what goes in and comes out; keeps the app where nobody expects it."""

    def __init__(
        self,
        app: Any,
        *,
        change: Callable[[Headers], Headers] = lambda headers: headers,
        enter: Callable[[dict[str, Any]], None] = lambda environ: None,
    ) -> None:
        self._next = app
        self.change = change
        self.enter = enter
        self.request_count = 0

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.request_count += 1
        self.enter(environ)

        def begin(status: str, headers: Headers, exc_info: Any = None) -> Any:
            return start_response(status, self.change(headers), *([exc_info] if exc_info else []))

        answer: Iterable[bytes] = self._next(environ, begin)
        return answer


def without(pattern: str) -> Callable[[Headers], Headers]:
    """Strip what a pattern finds from every Set-Cookie, and the line if nothing is left."""

    def change(headers: Headers) -> Headers:
        kept = [
            (name, re.sub(pattern, "", value)) if name == "Set-Cookie" else (name, value)
            for name, value in headers
        ]
        return [line for line in kept if line[1]]

    return change


def dropping(*names: str) -> Callable[[Headers], Headers]:
    return lambda headers: [line for line in headers if line[0] not in names]


def renaming(old: str, new: str) -> Callable[[Headers], Headers]:
    return lambda headers: [(name, value.replace(old, new)) for name, value in headers]


@contextmanager
def bench_within(wrap: Callable[[Any], Any] = Layer, **settings: Any) -> Iterator[Bench]:
    manager = SessionManager("sqlite:///:memory:", secret=TEST_SECRET)
    with Bench(wrap(SessionMiddleware(account_app, manager)), **settings) as bench:
        yield bench
    manager.close()


@contextmanager
def signed_in(wrap: Callable[[Any], Any] = Layer, **settings: Any) -> Iterator[Browser]:
    with bench_within(wrap, **settings) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        yield browser


# What goes out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("; Secure"), "a session cookie came without secure"),
        (without("; HttpOnly"), "a session cookie came without httponly"),
        (without("; SameSite=Lax"), "a session cookie came without samesite=lax"),
        (without("; Path=/"), "a session cookie came without path=/"),
        (renaming("Path=/", "Path=/shop"), "a session cookie came without path=/"),
        (renaming("Path=/", "Path=/; Domain=localhost"), "a session cookie goes to other hosts"),
        (renaming("__Host-", ""), "a session cookie's name lacks the prefix __Host-"),
        (renaming("__Host-session", "__Http-other"), "no session cookie got through the layers"),
        (dropping("Set-Cookie"), "no session cookie got through the layers"),
    ],
)
@pytest.mark.parametrize("by", ["sign_in", "page"])
def test_flags_are_judged_as_the_outermost_layer_sent_them(
    change: Callable[[Headers], Headers], said: str, by: str
) -> None:
    with bench_within(partial(Layer, change=change)) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        if by == "page":
            bench.clock.advance(days=1)
            browser.get("/")
        with pytest.raises(AssertionError, match=said):
            assert_cookie_flags(browser)


def test_a_visitors_cookie_comes_through_the_layers_too() -> None:
    with bench_within(partial(Layer, change=without("; HttpOnly"))) as bench:
        browser = bench.new_browser()
        browser._with_handle(
            "begin", lambda handle: handle.start_anonymous_session().data.update(a=1)
        )
        with pytest.raises(AssertionError, match="came without httponly"):
            assert_cookie_flags(browser)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (assert_signed_in, "the browser is signed out"),
        (assert_signed_out, "the browser signed in, but was never given a session cookie"),
        (assert_cookie_flags, "no session cookie got through the layers"),
        (lambda browser: assert_rotated(browser, None), "there was no token before"),
        (assert_rotation_safe, "the browser was not signed in before"),
        (assert_logout_is_final, "the browser was not signed in before"),
        (assert_revocation_is_final, "the browser was not signed in before"),
        (assert_cached_copy_is_bounded, "the browser was not signed in before"),
        (assert_forged_token_refused, "the browser was not signed in before"),
        (assert_session_data_is_kept, "the browser was not signed in before"),
        (assert_bound_to_address, "the browser was not signed in before"),
        (
            lambda browser: assert_revocation_within(browser, 1),
            "the browser was not signed in before",
        ),
        (
            lambda browser: assert_no_session_fixation(
                browser.app, sign_in=lambda victim: victim.sign_in(ADA)
            ),
            "no session could be made for the attacker",
        ),
    ],
)
def test_no_assertion_passes_where_no_cookie_comes_by(
    claim: Callable[[Browser], None], said: str
) -> None:
    settings = {"cookie_cache": True, "ip_binding": "exact"}
    with (
        signed_in(partial(Layer, change=dropping("Set-Cookie")), **settings) as browser,
        pytest.raises(AssertionError, match=said),
    ):
        claim(browser)


def test_a_sign_out_whose_cookie_is_kept_back_is_shown() -> None:
    def change(headers: Headers) -> Headers:
        return [line for line in headers if "Max-Age=0" not in line[1]]

    with (
        signed_in(partial(Layer, change=change)) as browser,
        pytest.raises(AssertionError, match="the sign-out left the cookie in the browser"),
    ):
        assert_logout_is_final(browser)


@pytest.mark.parametrize("dropped", [("Cache-Control",), ("Cache-Control", "Vary")])
def test_a_layer_that_lets_caches_keep_pages_is_shown(dropped: tuple[str, ...]) -> None:
    with (
        signed_in(partial(Layer, change=dropping(*dropped))) as browser,
        pytest.raises(AssertionError, match="does not forbid shared caches to keep a 200"),
    ):
        assert_not_shared_cacheable(browser.get("/"))


def test_a_layer_that_keeps_rotations_back_is_shown() -> None:
    def change(headers: Headers) -> Headers:
        return [line for line in headers if not re.search(r"v1\.[^.]+\.1\.", line[1])]

    with (
        signed_in(partial(Layer, change=change)) as browser,
        pytest.raises(AssertionError, match="the token is still that of generation 0"),
    ):
        assert_rotation_safe(browser)


# What goes in


def lose_cookies(environ: dict[str, Any]) -> None:
    environ.pop("HTTP_COOKIE", None)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (assert_signed_in, "the layers around SessionMiddleware do not let it come to that"),
        (assert_forged_token_refused, "the browser was not signed in before"),
        (assert_revocation_within, "the browser was not let in before the revocation"),
        (assert_session_data_is_kept, "the browser was not signed in before"),
    ],
)
def test_a_layer_that_keeps_cookies_back_is_shown(claim: Callable[..., None], said: str) -> None:
    with signed_in(partial(Layer, enter=lose_cookies)) as browser:
        assert browser.session is not None
        more = [1] if claim is assert_revocation_within else []
        with pytest.raises(AssertionError, match=said):
            claim(browser, *more)


def believe_anybody(environ: dict[str, Any]) -> None:
    told = environ.get("HTTP_X_FORWARDED_FOR")
    if told:
        environ["REMOTE_ADDR"] = told


@pytest.mark.parametrize("settings", [{}, {"on_ip_mismatch": "revoke"}])
def test_a_layer_that_believes_any_forwarded_address_is_shown(settings: dict[str, Any]) -> None:
    with signed_in(ip_binding="exact", **settings) as browser:
        assert_bound_to_address(browser)

    believing = partial(Layer, enter=believe_anybody)
    with (
        signed_in(believing, ip_binding="exact", **settings) as browser,
        pytest.raises(AssertionError, match="a copy of the cookies is let in from"),
    ):
        assert_bound_to_address(browser)


# Layers that answer by themselves


class Cache(Layer):
    """Keeps what it was once told, for whoever asks."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._kept: dict[tuple[str, str], tuple[str, Headers, list[bytes]]] = {}

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        key = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if key[0] == "GET" and key not in self._kept:
            told: list[Any] = []

            def begin(*line: Any) -> Any:
                told[:] = line[:2]
                return lambda _: None

            answer = self._next(environ, begin)
            body = list(answer)
            getattr(answer, "close", lambda: None)()
            self._kept[key] = (told[0], told[1], body)
        if key in self._kept:
            status, headers, body = self._kept[key]
            start_response(status, headers)
            return body
        return super().__call__(environ, start_response)


@pytest.mark.parametrize(
    "claim",
    [
        assert_logout_is_final,
        assert_rotation_safe,
        lambda browser: assert_revocation_within(browser, 1),
    ],
    ids=["logout", "rotation", "revocation"],
)
def test_pages_that_a_layer_keeps_show_nothing(claim: Callable[[Browser], None]) -> None:
    with (
        signed_in(Cache) as browser,
        pytest.raises(AssertionError, match="/ was answered by a layer around"),
    ):
        claim(browser)


class Refusing(Layer):
    """Lets nobody send a form without its token, as protections against forgery do."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"no token"]
        return super().__call__(environ, start_response)


def test_a_sign_in_that_a_layer_refuses_is_done_past_it_and_shows_no_flags() -> None:
    with signed_in(Refusing) as browser:
        assert_signed_in(browser, as_=ADA)
        assert "sign in -> 403 Forbidden (by a layer around SessionMiddleware)" in browser.story()
        assert "sign in (past the layers around SessionMiddleware) -> 200 OK" in browser.story()
        with pytest.raises(AssertionError, match="no session cookie came through the whole app"):
            assert_cookie_flags(browser)
        browser.manager.clock.advance(days=1)  # type: ignore[attr-defined]
        browser.get("/")
        assert_cookie_flags(browser)


def test_where_there_are_no_sessions_nobody_can_sign_in() -> None:
    settings: dict[str, Any] = {"cookie": {"path": "/app"}, "exempt_paths": ("/app",)}
    told = "https://localhost/app, which exempt_paths excepts"
    with bench_within(**settings) as bench, pytest.raises(LookupError, match=told):
        bench.new_browser().sign_in(ADA)


# Layers of every make


def closed_over(app: Any) -> Any:
    strip = without("; Secure")

    def layer(environ: Any, start_response: Any) -> Any:
        def begin(status: str, headers: Headers, exc_info: Any = None) -> Any:
            return start_response(status, strip(headers))

        return app(environ, begin)

    return layer


def called_with(app: Any, environ: Any, start_response: Any) -> Any:
    return closed_over(app)(environ, start_response)


MAKES: dict[str, Callable[[Any], Any]] = {
    "object": partial(Layer, change=without("; Secure")),
    "function": closed_over,
    "partial": lambda app: partial(called_with, app),
    "method": lambda app: Layer(app, change=without("; Secure")).__call__,
    "several": lambda app: Layer(closed_over(Layer(app))),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_every_make_of_layer_is_seen_through(make: Callable[[Any], Any]) -> None:
    with bench_within(make) as bench:
        browser = bench.new_browser()
        browser.sign_in(ADA)
        with pytest.raises(AssertionError, match="came without secure"):
            assert_cookie_flags(browser)
        worker = bench.workers(1)[0]
        seat = bench.new_browser().through(worker)
        seat.sign_in(ADA)
        with pytest.raises(AssertionError, match="came without secure"):
            assert_cookie_flags(seat)


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_workers_have_the_layers_and_a_middleware_each(make: Callable[[Any], Any]) -> None:
    with bench_within(make, cookie_cache=True) as bench:
        first, second = bench.workers(2)
        inner = [find_session_middleware(worker.app) for worker in (first, second)]
        assert inner == [first.middleware, second.middleware]
        assert first.middleware is not second.middleware
        assert find_session_middleware(bench.app) not in inner


def test_the_app_is_left_as_it_was() -> None:
    with bench_within() as bench:
        middleware = find_session_middleware(bench.app)
        assert middleware is not None
        before = middleware.app
        browser = bench.new_browser()
        browser.sign_in(ADA)
        browser.get("/")
        assert_signed_in(browser)
        assert middleware.app is before
        assert bench.app.request_count == 2  # type: ignore[attr-defined]


def test_a_function_that_is_no_layer_is_not_called() -> None:
    def helper() -> None:
        raise AssertionError("unreachable")

    def app(environ: Any, start_response: Any) -> Any:
        return helper

    assert find_session_middleware(app) is None


@pytest.mark.parametrize(
    "claim",
    [
        assert_rotation_safe,
        assert_revocation_is_final,
        assert_forged_token_refused,
        assert_cookie_flags,
        assert_logout_is_final,
        assert_session_data_is_kept,
        assert_cached_copy_is_bounded,
        assert_bound_to_address,
        assert_signed_in,
        lambda browser: assert_not_shared_cacheable(browser.get("/")),
    ],
)
@pytest.mark.parametrize("make", [Layer, lambda app: closed_over(Layer(app))], ids=["one", "two"])
def test_layers_that_do_no_harm_pass(
    claim: Callable[[Browser], None], make: Callable[[Any], Any], monkeypatch: Any
) -> None:
    monkeypatch.setitem(globals(), "without", lambda _: lambda headers: headers)
    settings = {"cookie_cache": True, "ip_binding": "exact"}
    with signed_in(make, **settings) as browser:
        claim(browser)
