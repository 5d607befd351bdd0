"""Apps for the tests of the companion."""

from __future__ import annotations

from typing import Any

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
