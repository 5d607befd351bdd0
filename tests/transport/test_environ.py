"""What is read from an environ, and the keys that an app finds in its own."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import webob

from wsgi_sessions import (
    SessionConfig,
    get_end_reason,
    get_request,
    get_session,
    get_user,
)
from wsgi_sessions.records import RequestFacts
from wsgi_sessions.transport.environ import ENVIRON_KEYS, find_environ, read_facts

SECRET = "0123456789abcdef" * 2
HELPERS: list[tuple[Callable[[Any], Any], str]] = [
    (get_session, "wsgi_sessions.session"),
    (get_user, "wsgi_sessions.user"),
    (get_request, "wsgi_sessions.request"),
    (get_end_reason, "wsgi_sessions.end_reason"),
]


def has_long_body(environ: dict[str, Any]) -> bool:
    return read_facts(environ, SessionConfig(secret=SECRET)).has_long_body


class TestFacts:
    def test_request_tells_who_and_what(self) -> None:
        environ = {
            "REMOTE_ADDR": "192.0.2.1",
            "HTTP_USER_AGENT": "Firefox",
            "wsgi.url_scheme": "https",
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/x",
        }

        assert read_facts(environ, SessionConfig(secret=SECRET)) == RequestFacts(
            "192.0.2.1", "Firefox", True, "POST", "/x"
        )

    def test_nothing_is_needed(self) -> None:
        assert read_facts({}, SessionConfig(secret=SECRET)) == RequestFacts(
            None, None, False, "GET", ""
        )

    @pytest.mark.parametrize("sent", [{}, {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}])
    def test_without_proxies_the_server_alone_is_believed(self, sent: dict[str, str]) -> None:
        environ = {"REMOTE_ADDR": "::ffff:192.0.2.1", "wsgi.url_scheme": "wss", **sent}

        facts = read_facts(environ, SessionConfig(secret=SECRET))

        assert (facts.address, facts.is_https) == ("192.0.2.1", True)

    def test_trusted_proxy_is_heard(self) -> None:
        config = SessionConfig(secret=SECRET, trusted_proxies=cast(Any, ["10.0.0.0/8"]))
        environ = {
            "REMOTE_ADDR": "10.0.0.1",
            "HTTP_X_FORWARDED_FOR": "203.0.113.9",
            "HTTP_X_FORWARDED_PROTO": "https",
        }

        facts = read_facts(environ, config)

        assert (facts.address, facts.is_https) == ("203.0.113.9", True)

    @pytest.mark.parametrize(
        ("length", "is_long"),
        [
            (None, False),
            ("", False),
            ("0", False),
            ("1", False),
            ("65536", False),
            ("65537", True),
            ("999999999999", True),
            ("9" * 13, True),
            ("9" * 100_000, True),
            ("-1", False),
            ("-65537", False),
            ("+65537", False),
            ("65537.0", False),
            ("6e9", False),
            (" 65537", False),
            ("65537, 65537", False),
            ("0x10001", False),
            ("70_000", False),
            ("many", False),
            ("\0", False),
            ("\xb2" * 9, False),
            ("\u0661" * 4, False),
            ("\uff19" * 9, True),
            (65_537, False),
            (b"65537", False),
            ([], False),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", None])
    def test_body_is_long_by_its_length_whatever_the_method(
        self, method: str | None, length: Any, is_long: bool
    ) -> None:
        environ = {"CONTENT_LENGTH": length, "REQUEST_METHOD": method}

        assert has_long_body(environ) is is_long

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PURGE"])
    @pytest.mark.parametrize("coding", ["chunked", "gzip, chunked", "CHUNKED", "\0"])
    def test_body_in_chunks_is_long_whatever_the_method(self, method: str, coding: str) -> None:
        environ = {"HTTP_TRANSFER_ENCODING": coding, "REQUEST_METHOD": method}

        assert has_long_body(environ)
        assert has_long_body({**environ, "CONTENT_LENGTH": ""})

    @pytest.mark.parametrize(
        ("method", "is_long"),
        [
            *[("POST", True), ("PUT", True), ("PATCH", True)],
            *[("GET", False), ("HEAD", False), ("DELETE", False), ("OPTIONS", False)],
            *[("post", False), ("", False), (None, False)],
        ],
    )
    def test_input_that_the_server_ends_may_be_a_long_body_of_some_methods_alone(
        self, method: Any, is_long: bool
    ) -> None:
        """Gunicorn says it of every request; HTTP/2 tells no length where a body is streamed."""
        environ = {"wsgi.input_terminated": True, "REQUEST_METHOD": method}

        assert has_long_body(environ) is is_long
        assert has_long_body({**environ, "CONTENT_LENGTH": ""}) is is_long
        assert not has_long_body({**environ, "CONTENT_LENGTH": "0"})
        assert not has_long_body({**environ, "CONTENT_LENGTH": "65536"})
        for said in (False, None, "", "no", 1):
            assert not has_long_body({**environ, "wsgi.input_terminated": said})

    def test_long_user_agent_is_cut(self) -> None:
        facts = read_facts({"HTTP_USER_AGENT": "x" * 513}, SessionConfig(secret=SECRET))

        assert facts.user_agent == "x" * 512


class TestFindEnviron:
    ENVIRON: ClassVar[dict[str, Any]] = {"wsgi_sessions.session": "here"}

    def test_mapping_is_itself(self) -> None:
        assert find_environ(self.ENVIRON) is self.ENVIRON

    @pytest.mark.parametrize("name", ["environ", "env", "META"])
    def test_request_object_holds_it(self, name: str) -> None:
        request = types.SimpleNamespace(**{name: self.ENVIRON})

        assert find_environ(request) is self.ENVIRON

    def test_webob_request_holds_it(self) -> None:
        assert find_environ(webob.Request(self.ENVIRON)) is self.ENVIRON

    def test_attribute_that_is_no_mapping_is_passed_over(self) -> None:
        request = types.SimpleNamespace(environ="production", META=self.ENVIRON)

        assert find_environ(request) is self.ENVIRON

    @pytest.mark.parametrize("source", [None, "x", object()])
    def test_anything_else_is_told(self, source: Any) -> None:
        with pytest.raises(TypeError, match="is needed, not .*; pass environ, or request.environ"):
            find_environ(source)


@pytest.mark.parametrize(("helper", "key"), HELPERS)
def test_helper_reads_its_key(helper: Callable[[Any], Any], key: str) -> None:
    value = object()

    assert helper({key: value}) is value
    assert helper(types.SimpleNamespace(environ={key: value})) is value


@pytest.mark.parametrize(("helper", "key"), HELPERS)
def test_environ_without_middleware_says_what_to_do(helper: Callable[[Any], Any], key: str) -> None:
    with pytest.raises(LookupError) as caught:
        helper({})

    assert f"{key!r} is not in the environ; wrap the app in SessionMiddleware" in str(caught.value)
    assert caught.value.__suppress_context__


def test_readme_lists_every_key() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")

    assert set(re.findall(r"^\| `(wsgi_sessions\.\w+)` \|", text, re.MULTILINE)) == set(
        ENVIRON_KEYS
    )
