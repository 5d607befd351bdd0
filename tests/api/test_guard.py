"""What ``api/guard.py`` promises: which requests are accepted, and how much of them is read."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsgi_sessions.api.bodies import read_json
from wsgi_sessions.api.guard import (
    check_callback_url,
    check_origin,
    cors_headers,
    is_trusted_origin,
)
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.errors import InvalidValueError, RefusedError
from wsgi_sessions.request_errors import (
    BodyTooLargeError,
    CrossSiteNavigationError,
    InvalidCallbackUrlError,
    InvalidOriginError,
    MissingOriginError,
    UnsupportedMediaTypeError,
)

LIMIT = 64 * 1024
HTTP = {"wsgi.url_scheme": "http"}
COOKIE = {"HTTP_COOKIE": "session_token=v1.x"}
NAVIGATION = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate"}
TRUSTED = ("https://front.example.net", "https://*.preview.example.net", "http://localhost:3000")


def config(**settings: Any) -> SessionConfig:
    settings = {"trusted_origins": TRUSTED, **settings}
    return SessionConfig(secret="a-secret-for-tests-of-32-characters", **settings)


def environ(**changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "HTTP_HOST": "app.example.org",
        "SERVER_NAME": "backend",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "10.0.0.1",
        "wsgi.url_scheme": "https",
        "CONTENT_TYPE": "application/json",
        **changes,
    }


def check(**changes: Any) -> None:
    check_origin(environ(**changes), config())


def is_trusted(url: str, *, scheme: str = "https", **settings: Any) -> bool:
    return is_trusted_origin(environ(**{"wsgi.url_scheme": scheme}), url, config(**settings))


# Origin, with cookies


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.org",
        "https://front.example.net",
        "https://pull-17.preview.example.net",
        "http://localhost:3000",
    ],
)
def test_own_and_trusted_origins_are_heard(origin: str) -> None:
    check(HTTP_ORIGIN=origin, **COOKIE)


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://app.example.org.evil.test",
        "https://evil.test",
        "https://front.example.net.evil.test",
        "https://a.b.preview.example.net",
        "https://preview.example.net",
        "https://evil.test/.preview.example.net",
        "https://evil.test#.preview.example.net",
        "https://evil.test?.preview.example.net",
        "https://evil.test\\.preview.example.net",
        "https://user@front.example.net",
        "https://front.example.net@evil.test",
        "https://front.example.net\n.evil.test",
        "http://localhost:30000",
        "http://localhost",
        "app.example.org",
        "//app.example.org",
        "https:app.example.org",
        "javascript://app.example.org",
        "https://\u0430pp.example.org",
        "https://evil\u3002preview.example.net",
        "*",
        "https://",
    ],
)
def test_other_origins_are_refused(origin: str) -> None:
    with pytest.raises(InvalidOriginError):
        check(HTTP_ORIGIN=origin, **COOKIE)


@pytest.mark.parametrize("origin", [{}, {"HTTP_ORIGIN": ""}, {"HTTP_ORIGIN": "null"}])
def test_cookies_without_an_origin_are_refused(origin: dict[str, str]) -> None:
    with pytest.raises(MissingOriginError):
        check(**origin, **COOKIE)


def test_any_cookie_at_all_asks_for_an_origin() -> None:
    with pytest.raises(MissingOriginError):
        check(HTTP_COOKIE="theme=dark")


def test_referer_stands_in_for_a_missing_origin() -> None:
    check(HTTP_REFERER="https://app.example.org/login?next=https://evil.test", **COOKIE)
    with pytest.raises(InvalidOriginError):
        check(HTTP_REFERER="https://evil.test/https://app.example.org", **COOKIE)


def test_null_origin_is_not_mended_by_the_referer() -> None:
    with pytest.raises(MissingOriginError):
        check(HTTP_ORIGIN="null", HTTP_REFERER="https://app.example.org/", **COOKIE)


@pytest.mark.parametrize("cookie", [{}, COOKIE])
@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "http://app.example.org"},
        {"HTTP_ORIGIN": "https://elsewhere.example"},
        {"HTTP_REFERER": "https://elsewhere.example/"},
    ],
)
def test_what_browsers_call_same_origin_is_our_own(
    origin: dict[str, str], cookie: dict[str, str]
) -> None:
    """Behind a proxy the server may see another scheme and host than the browser does."""
    check(HTTP_SEC_FETCH_SITE="same-origin", **origin, **cookie)


@pytest.mark.parametrize(
    "site", ["same-site", "cross-site", "none", "same-origin, cross-site", "?"]
)
def test_other_fetch_metadata_do_not_replace_the_origin(site: str) -> None:
    with pytest.raises(MissingOriginError):
        check(HTTP_SEC_FETCH_SITE=site, **COOKIE)
    with pytest.raises(InvalidOriginError):
        check(HTTP_SEC_FETCH_SITE=site, HTTP_ORIGIN="https://evil.test", **COOKIE)


@pytest.mark.parametrize("secure", [True, "auto"])
def test_secure_cookies_say_that_browsers_come_by_https(secure: Any) -> None:
    """A proxy that ends TLS passes requests on by http, and browsers before 2023 say no more."""
    settings = config(cookie={"secure": secure})
    own = environ(HTTP_ORIGIN="https://app.example.org", **HTTP, **COOKIE)
    other = environ(HTTP_ORIGIN="http://app.example.org", **HTTP, **COOKIE)
    if secure == "auto":
        own, other = other, own
    check_origin(own, settings)
    with pytest.raises(InvalidOriginError):
        check_origin(other, settings)


def test_endless_origin_is_nobodys() -> None:
    patterns = ("https://a*a*a*a*a*a.example.net",)
    assert is_trusted("https://aaaaaaaa.example.net", trusted_origins=patterns)
    assert not is_trusted(f"https://{'a' * 60_000}.example.net", trusted_origins=patterns)
    # Within the longest name a search that goes back would take centuries.
    assert not is_trusted(f"https://{'a' * 200}b.example.net", trusted_origins=patterns)


def test_default_port_and_case_make_no_other_origin() -> None:
    assert is_trusted("HTTPS://App.Example.Org:443")
    assert is_trusted("http://app.example.org:80/path", scheme="http")
    assert not is_trusted("https://app.example.org:80")


def test_server_without_a_host_header_goes_by_its_own_name() -> None:
    bare = {k: v for k, v in environ(**HTTP).items() if k != "HTTP_HOST"}
    assert is_trusted_origin(bare, "http://backend:8000", config())


def test_wildcard_stands_for_a_part_of_one_label() -> None:
    patterns = ("https://app-*.example.net",)
    assert is_trusted("https://app-17.example.net", trusted_origins=patterns)
    assert not is_trusted("https://app-17.evil.example.net", trusted_origins=patterns)


def test_wildcard_alone_in_its_label_stands_for_something() -> None:
    patterns = ("https://*.example.net", "https://app*.example.net")
    assert is_trusted("https://x.example.net", trusted_origins=patterns)
    assert is_trusted("https://app.example.net", trusted_origins=patterns)
    assert not is_trusted("https://.example.net", trusted_origins=patterns)


def test_nobody_is_trusted_unless_told() -> None:
    assert not is_trusted("https://front.example.net", trusted_origins=())


# Behind proxies


def test_forwarded_host_is_believed_from_a_trusted_proxy_alone() -> None:
    forwarded = environ(HTTP_X_FORWARDED_HOST="forged.test, www.example.org")
    url = "https://www.example.org"
    trusting = config(trusted_proxies=["10.0.0.0/8"])
    assert is_trusted_origin(forwarded, url, trusting)
    assert not is_trusted_origin(forwarded, "https://forged.test", trusting)
    assert not is_trusted_origin(forwarded, url, config())
    stranger = {**forwarded, "REMOTE_ADDR": "192.0.2.1"}
    assert not is_trusted_origin(stranger, url, trusting)


def test_only_proxies_are_behind_a_unix_socket() -> None:
    local = environ(HTTP_X_FORWARDED_HOST="www.example.org", REMOTE_ADDR="")
    trusting = config(trusted_proxies=["10.0.0.0/8"])
    assert is_trusted_origin(local, "https://www.example.org", trusting)
    assert not is_trusted_origin(local, "https://www.example.org", config())


# Origin, without cookies


def test_program_without_cookies_needs_no_origin() -> None:
    check()
    check(HTTP_COOKIE="")


@pytest.mark.parametrize("site", ["", "none", "same-site", "cross-site"])
def test_whoever_names_an_untrusted_page_is_refused_without_cookies_too(site: str) -> None:
    """Somebody could else be signed in as another, by a browser without Fetch Metadata."""
    metadata = {"HTTP_SEC_FETCH_SITE": site} if site else {}
    with pytest.raises(InvalidOriginError):
        check(HTTP_ORIGIN="https://evil.test", **metadata)
    with pytest.raises(InvalidOriginError):
        check(HTTP_REFERER="https://evil.test/page", **metadata)
    with pytest.raises(MissingOriginError):
        check(HTTP_ORIGIN="null", **metadata)


def test_navigation_from_another_site_is_refused() -> None:
    with pytest.raises(CrossSiteNavigationError):
        check(**NAVIGATION)
    with pytest.raises(CrossSiteNavigationError):
        check(HTTP_ORIGIN="https://evil.test", **NAVIGATION)
    with pytest.raises(CrossSiteNavigationError):
        check(HTTP_ORIGIN="https://front.example.net", **NAVIGATION)


def test_script_of_another_site_is_refused_unless_trusted() -> None:
    script = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "cors"}
    check(HTTP_ORIGIN="https://front.example.net", **script)
    with pytest.raises(InvalidOriginError):
        check(HTTP_ORIGIN="https://evil.test", **script)
    for silent in ({}, {"HTTP_ORIGIN": "null"}):
        with pytest.raises(MissingOriginError):
            check(**silent, **script)


def test_page_of_a_sibling_domain_is_heard_if_trusted() -> None:
    same_site = {"HTTP_SEC_FETCH_SITE": "same-site"}
    check(HTTP_ORIGIN="https://pull-17.preview.example.net", **same_site)
    with pytest.raises(InvalidOriginError):
        check(HTTP_ORIGIN="https://evil.example.org", **same_site)
    with pytest.raises(MissingOriginError):
        check(**same_site)


def test_first_sign_in_from_the_own_page_is_heard() -> None:
    check(HTTP_SEC_FETCH_SITE="same-origin", HTTP_ORIGIN="https://app.example.org")
    check(HTTP_SEC_FETCH_SITE="same-origin")
    check(HTTP_SEC_FETCH_SITE="none")


# CORS


def test_trusted_page_may_read_the_answer_with_credentials() -> None:
    asked = environ(HTTP_ORIGIN="https://front.example.net")
    headers = dict(cors_headers(asked, config()))
    assert headers["Access-Control-Allow-Origin"] == "https://front.example.net"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Retry-After" in headers["Access-Control-Expose-Headers"]
    assert headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "", "*"])
def test_untrusted_page_gets_no_cors_header(origin: str) -> None:
    headers = cors_headers(environ(HTTP_ORIGIN=origin), config())
    assert headers == [("Vary", "Origin")]


def test_origin_is_not_echoed_with_what_hides_behind_it() -> None:
    asked = environ(HTTP_ORIGIN="https://front.example.net/\r\nSet-Cookie: a=b")
    headers = dict(cors_headers(asked, config()))
    assert headers["Access-Control-Allow-Origin"] == "https://front.example.net"


# Callback URLs


def check_url(url: object) -> None:
    check_callback_url(environ(), url, config())


@pytest.mark.parametrize(
    "url",
    [
        *[None, "", "/", "/account", "/account?tab=1&x=%2F#top", "/a//b", "/@ada"],
        *["/.well-known/x", "/a.b/..c", "/...", "/a?x=/../y", "/#/./"],
        *["https://app.example.org", "https://app.example.org/x?y#z"],
        *["https://front.example.net/home", "https://a.preview.example.net/"],
    ],
)
def test_callback_to_this_site_or_a_trusted_one_is_taken(url: str | None) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *["/" + "a" * 2048, "https://app.example.org/" + "a" * 60_000],
        *["https://evil.test", "//evil.test", "/\\evil.test", "/%2fevil.test", "/%5Cevil.test"],
        *["/.//evil.test", "/%2E//evil.test", "/a/..//evil.test", "/a/.%2e/%2fevil.test"],
        *["/.", "/..", "/a/../b", "/%2e%2E?x", "/./#x"],
        *["\\\\evil.test", "/\tevil", "/\n/evil.test", " /account", "account", "../account", "?x"],
        *["javascript:alert(1)", "javascript://app.example.org/%0aalert(1)", "data:text/html,x"],
        *["https://app.example.org@evil.test/", "https:evil.test", "https:///evil.test"],
        *["https://app.example.org\\@evil.test", "http://app.example.org/", "/caf\u00e9", "/a b"],
        *["https://evil.test/https://app.example.org", "HTTPS://EVIL.TEST", "/\x00", "/\\"],
    ],
)
def test_callback_that_may_lead_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(InvalidCallbackUrlError):
        check_url(url)


@pytest.mark.parametrize("url", [1, True, ["/"], {"href": "/"}])
def test_callback_that_is_no_text_is_a_refused_value(url: object) -> None:
    with pytest.raises(InvalidValueError):
        check_url(url)


# The body


def read(body: bytes, **changes: Any) -> bytes:
    sent = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    given = environ(**{**sent, **changes})
    return read_json({name: value for name, value in given.items() if value is not None})


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON ;x"]
)
def test_json_is_read(kind: str) -> None:
    assert read(b"{}", CONTENT_TYPE=kind) == b"{}"


@pytest.mark.parametrize(
    "kind",
    [
        *[None, "", ";", "text/plain", "text/json", "application/x-www-form-urlencoded"],
        *["multipart/form-data; boundary=application/json", "application/jsonp"],
        *[
            "application/json, text/plain",
            "application/problem+json",
            "text/plain;application/json",
        ],
    ],
)
def test_anything_else_is_an_unsupported_media_type(kind: str | None) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        read(b"{}", CONTENT_TYPE=kind)


def test_packed_json_is_an_unsupported_media_type() -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        read(b"{}", HTTP_CONTENT_ENCODING="gzip")
    assert read(b"{}", HTTP_CONTENT_ENCODING="identity") == b"{}"


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/json"])
def test_request_without_a_body_needs_no_type(kind: str | None) -> None:
    assert read(b"", CONTENT_TYPE=kind, CONTENT_LENGTH=None) == b""


def test_empty_form_is_still_a_form() -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        read(b"", CONTENT_TYPE="application/x-www-form-urlencoded")


def test_body_of_64_kib_is_read_and_one_byte_more_is_not() -> None:
    assert len(read(b" " * LIMIT)) == LIMIT
    with pytest.raises(BodyTooLargeError):
        read(b" " * (LIMIT + 1))


class Endless:
    """A body that never ends, and counts what was taken of it."""

    def __init__(self, *, at_once: int = 1_000) -> None:
        self.taken = 0
        self._at_once = at_once

    def read(self, size: int = -1) -> bytes:
        assert size > 0
        size = min(size, self._at_once)
        self.taken += size
        return b" " * size


def test_announced_large_body_is_refused_unread() -> None:
    endless = Endless()
    with pytest.raises(BodyTooLargeError):
        read(b"", CONTENT_LENGTH="65537", **{"wsgi.input": endless})
    assert endless.taken == 0


def test_chunked_body_is_read_to_the_limit_and_no_further() -> None:
    endless = Endless()
    chunked = {"wsgi.input": endless, "wsgi.input_terminated": True}
    with pytest.raises(BodyTooLargeError):
        read(b"", CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="chunked", **chunked)
    assert endless.taken == LIMIT + 1


def test_length_beside_chunks_is_not_believed() -> None:
    chunked = {"wsgi.input": Endless(), "wsgi.input_terminated": True}
    with pytest.raises(BodyTooLargeError):
        read(b"", CONTENT_LENGTH="2", HTTP_TRANSFER_ENCODING="chunked", **chunked)


def test_chunked_body_is_read() -> None:
    chunked = {"wsgi.input": io.BytesIO(b'{"a": 1}'), "wsgi.input_terminated": True}
    assert read(b"", CONTENT_LENGTH=None, **chunked) == b'{"a": 1}'


def test_no_more_is_read_than_announced() -> None:
    endless = Endless()
    assert len(read(b"", CONTENT_LENGTH="5000", **{"wsgi.input": endless})) == 5000
    assert endless.taken == 5000


def test_length_larger_than_the_body_reads_what_is_there() -> None:
    assert read(b"{}", CONTENT_LENGTH="60000") == b"{}"


def test_body_without_a_length_or_a_marked_end_is_not_waited_for() -> None:
    endless = Endless()
    assert read(b"", CONTENT_LENGTH=None, CONTENT_TYPE=None, **{"wsgi.input": endless}) == b""
    assert endless.taken == 0


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "0x10", "5, 5", "five", "\u0665", " 5"])
def test_length_that_is_no_number_is_a_refused_value(length: str) -> None:
    with pytest.raises(InvalidValueError):
        read(b"{}", CONTENT_LENGTH=length)


def test_length_of_thousands_of_digits_is_too_large() -> None:
    with pytest.raises(BodyTooLargeError):
        read(b"{}", CONTENT_LENGTH="9" * 10_000)
    assert read(b"{}", CONTENT_LENGTH="0" * 10_000 + "2") == b"{}"


def test_broken_connection_is_a_refused_value() -> None:
    class Broken:
        def read(self, size: int) -> bytes:
            raise ConnectionResetError

    with pytest.raises(InvalidValueError):
        read(b"{}", **{"wsgi.input": Broken()})


@settings(deadline=None)
@given(
    origin=st.text(max_size=40) | st.just("https://app.example.org"),
    host=st.text(max_size=40) | st.just("app.example.org"),
    site=st.sampled_from(["", "none", "same-origin", "same-site", "cross-site", "?"]),
)
@example(origin="https://app.example.org", host="app.example.org", site="")
def test_hostile_headers_are_heard_or_refused(origin: str, host: str, site: str) -> None:
    hostile = environ(HTTP_ORIGIN=origin, HTTP_HOST=host, HTTP_SEC_FETCH_SITE=site, **COOKIE)
    try:
        check_origin(hostile, config())
    except RefusedError:
        return
    assert site == "same-origin" or is_trusted_origin(hostile, origin, config())
