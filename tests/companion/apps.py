"""Apps and settings for the tests of the companion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions_testing import settings_for_tests

ADA = "ada@example.org"

SOUND: list[dict[str, Any]] = [
    {},
    {"cookie_cache": True},
    {"idle_timeout": 120},
    {"idle_timeout": 3600},
    {"idle_timeout": 3600, "cookie_cache": {"enabled": True, "max_age": 86400}},
    {"idle_timeout": 1800, "absolute_timeout": 43_200, "cookie_cache": True},
    {"absolute_timeout": 43_200, "update_age": 3600},
    {"absolute_timeout": 43_200, "cookie": {"secure": False}, "cookie_cache": True},
    {"absolute_timeout": 30 * 86_400, "cookie_cache": True},
    {"rotate_tokens": False, "absolute_timeout": 30 * 86_400},
    {"rotate_tokens": False},
    {"rotation_grace": 1, "rotation_interval": 60, "absolute_timeout": 30 * 86_400},
    {"rotation_grace": 1, "rotation_interval": 6, "cookie": {"secure": False}},
    {"rotation_interval": 2 * 86_400, "upload_grace": 3600},
    {"expires_in": 3600, "update_age": 3000, "absolute_timeout": 36_000},
    {"cookie": {"path": "/app"}, "cookie_cache": True},
    {"cookie": {"domain": "example.org"}},
    {"cookie": {"secure": False}},
    {"multi_session": {"maximum_sessions": 1}},
    {"multi_session": {"maximum_sessions": None}},
    {"multi_session": {"enabled": False}},
    {"multi_session": {"maximum_sessions": 1, "on_limit": "reject"}},
    {"ip_binding": "subnet", "revocation_lag": 0},
    {"ip_binding": "exact", "on_ip_mismatch": "revoke"},
    {"api_path": None, "fresh_age": 600},
    {"fresh_age": 60, "throttle": {"tries": 1, "window": 5}},
    {"require_verified_email": True, "on_replay": "reject"},
    {"keep_ended": 0},
]
"""Settings under which every assertion about an app or a browser holds."""


def page_app(environ: Any, start_response: Any) -> list[bytes]:
    """Answers every request with the same page."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


def check_wrapped(claim: Callable[[Any], None], **settings: Any) -> None:
    """Check a claim of ``page_app`` within a middleware with these settings."""
    manager = SessionManager("sqlite:///:memory:", config=settings_for_tests(**settings))
    claim(SessionMiddleware(page_app, manager))
    manager.close()


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
