"""Whatever is sent, the API answers in JSON and below 500, and no table grows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions_testing import LocalIssuer

from .client import EMAIL, PASSWORD, Answer, Client, call, make_manager, plain_app

PATHS = sorted(ROUTES)
MANY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# A server hands headers over as text of one byte a character (PEP 3333).
header_text = st.text(alphabet=st.characters(max_codepoint=255), max_size=60)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        *["name", "email", "password", "image", "rememberMe", "callbackURL", "token", "id"],
        *["sessionId", "currentPassword", "newPassword", "revokeOtherSessions", "__proto__", ""],
        *["provider", "idToken", "nonce", "accessToken", "user", "theme", "zoom"],
    ]
)
near_right = st.sampled_from(
    [
        *[EMAIL, PASSWORD, "", "A" * 24, "/account", "//evil.test", "\ud800", "\0", True, None],
        *[10**400, "corp", {"token": "a.b.c"}, {"token": "eyJhbGciOiJSUzI1NiJ9.e30.AA"}],
        *[{"token": "", "user": {"name": {"firstName": [], "lastName": "\0"}}}, {"token": {}}],
    ]
)
objects = st.dictionaries(fields, near_right | json_values, max_size=8)
bodies = st.one_of(
    st.binary(max_size=400),
    objects.map(lambda value: json.dumps(value).encode()),
    objects.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")),
    objects.map(lambda value: json.dumps(value).encode("utf-16")),
    st.integers(1, 20_000).map(lambda depth: b'{"name":' + b"[" * depth),
    st.integers(1, 20_000).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth),
    st.integers(1, 60_000).map(lambda digits: b'{"name":' + b"9" * digits + b"}"),
)
headers = st.dictionaries(
    st.sampled_from(
        [
            *["HTTP_ORIGIN", "HTTP_REFERER", "HTTP_HOST", "HTTP_COOKIE", "HTTP_USER_AGENT"],
            *["HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_MODE", "HTTP_X_FORWARDED_HOST"],
            *["HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED"],
            *["HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING", "HTTP_ACCEPT", "HTTP_RANGE"],
            *["HTTP_ACCESS_CONTROL_REQUEST_METHOD", "HTTP_IF_NONE_MATCH", "HTTP_AUTHORIZATION"],
            *["CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_ADDR", "QUERY_STRING", "SCRIPT_NAME"],
        ]
    ),
    header_text
    | st.sampled_from(
        [
            *["http://app.example.org", "null", "cross-site", "navigate", "chunked", "gzip", "-1"],
            *['a="\\377"', "session_token=v1." + "A" * 32 + ".0." + "A" * 32, "70000", "[::1"],
            *["application/json", "application/json; charset=utf-7", "10.0.0.1, unknown", "for=_"],
        ]
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def manager() -> Iterator[SessionManager]:
    with LocalIssuer() as issuer:
        manager = make_manager(
            trusted_proxies=["192.0.2.0/24"],
            cookie_cache=True,
            social_providers=[issuer.provider("corp")],
            session_fields={"theme": "string", "zoom": "number"},
        )
        Client(manager).sign_up()
        yield manager


def send(manager: SessionManager, method: str, path: str, body: bytes, **changes: Any) -> Answer:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": f"/api/auth{path}",
        "QUERY_STRING": "",
        "SERVER_NAME": "app.example.org",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "app.example.org",
        "REMOTE_ADDR": "192.0.2.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **changes,
    }
    # The validator is for apps, and would object to what is sent here on purpose.
    return call(SessionMiddleware(plain_app, manager), environ, is_strict=False)


def assert_is_sound(answer: Answer) -> None:
    assert 200 <= answer.status < 500
    for name, value in answer.headers:
        assert not set("\r\n\0") & set(name + value), (name, value)
    if answer.header("Content-Type") == "application/json" and answer.body:
        shown = json.loads(answer.body)
        if answer.status >= 400:
            assert shown.keys() == {"code", "message"}
    assert b"Traceback" not in answer.body


def count_rows(manager: SessionManager) -> tuple[int, int]:
    return manager.parts.models.user.select().count(), manager.parts.models.attempt.select().count()


@MANY
@given(path=st.sampled_from(PATHS), body=bodies)
def test_any_body_is_answered(manager: SessionManager, path: str, body: bytes) -> None:
    assert_is_sound(send(manager, "POST", path, body))


@MANY
@given(path=st.sampled_from(PATHS), body=bodies, data=st.data())
def test_any_body_of_a_signed_in_user_is_answered(
    manager: SessionManager, path: str, body: bytes, data: st.DataObject
) -> None:
    client = Client(manager)
    if client.sign_in().status != 200:
        client.sign_up()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    method = data.draw(st.sampled_from(["POST", ROUTES[path].method]))
    origin = "http://app.example.org"
    assert_is_sound(send(manager, method, path, body, HTTP_COOKIE=cookie, HTTP_ORIGIN=origin))


@MANY
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "", "get"]) | header_text,
    path=st.sampled_from(PATHS) | header_text,
    body=bodies,
    changes=headers,
)
def test_any_request_is_answered(
    manager: SessionManager, method: str, path: str, body: bytes, changes: dict[str, str]
) -> None:
    assert_is_sound(send(manager, method, path, body, **changes))


@MANY
@given(query=header_text, method=st.sampled_from(["GET", "HEAD"]))
def test_any_query_is_answered(manager: SessionManager, query: str, method: str) -> None:
    answer = send(manager, method, "/get-session", b"", QUERY_STRING=query)
    assert answer.status == 200


@MANY
@given(body=st.binary(max_size=400), changes=headers)
def test_garbage_makes_no_row(
    manager: SessionManager, body: bytes, changes: dict[str, str]
) -> None:
    before = count_rows(manager)
    for path in ("/sign-up/email", "/sign-in/email"):
        send(manager, "POST", path, body, **changes)
    assert count_rows(manager) == before
