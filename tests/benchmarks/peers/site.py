"""What a contender gives, and how a request is made and served."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tests.hot_paths import paths as hot_paths
from tests.hot_paths.counting import Application, Environ
from tests.hot_paths.paths import OTHER_COOKIES

EMAIL = "ada@example.org"
NOBODY = "nobody"
SECRET = "a secret for benchmarks, long enough"
SIGN_IN = "/sign-in"
"""The path that makes a session, for contenders that need a request for it."""


@dataclass(frozen=True)
class Site:
    """An application with sessions, which answers who is signed in."""

    app: Application
    bare: Application
    """The same without sessions."""
    cookie: str
    """Of a browser that is signed in; other cookies come before it."""


def environ_with(cookies: str, path: str = "/") -> Environ:
    """Return what a server makes of a browser's request, with all that any framework reads."""
    return {
        **hot_paths.environ_with(cookies),
        "PATH_INFO": path,
        "wsgi.version": (1, 0),
        "wsgi.input": NO_INPUT,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


NO_INPUT = io.BytesIO()


def ask(app: Application, cookies: str, path: str = "/") -> tuple[str, str]:
    """Return the text of an answer, and the cookies that a browser sends from then on."""
    answered: list[tuple[str, str]] = []
    body = app(
        environ_with(cookies, path), lambda status, headers, exc_info=None: answered.extend(headers)
    )
    text = b"".join(body).decode()
    if hasattr(body, "close"):
        body.close()
    jar = dict(pair.split("=", 1) for pair in cookies.split("; "))
    for name, value in answered:
        if name.lower() == "set-cookie":
            key, _, content = value.partition(";")[0].partition("=")
            jar[key] = content
    return text, "; ".join(f"{key}={content}" for key, content in jar.items())


def sign_in(app: Application) -> str:
    """Return the cookies of a browser that was signed in by a request."""
    return ask(app, OTHER_COOKIES, SIGN_IN)[1]


def answer(environ: Environ, start_response: Any, text: str) -> list[bytes]:
    body = text.encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


def bare_app(environ: Environ, start_response: Any) -> list[bytes]:
    return answer(environ, start_response, EMAIL)


def by_asgi(app: Callable[..., Coroutine[Any, Any, None]]) -> Application:
    """Return an ASGI application as one that is called like the others, without an event loop.

    Only for applications that wait for nothing.
    """

    def call(environ: Environ, start_response: Any) -> list[bytes]:
        chunks: list[bytes] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": environ["REQUEST_METHOD"],
            "scheme": "https",
            "path": environ["PATH_INFO"],
            "raw_path": environ["PATH_INFO"].encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                (b"user-agent", environ["HTTP_USER_AGENT"].encode()),
                (b"cookie", environ["HTTP_COOKIE"].encode()),
            ],
            "client": ("192.0.2.7", 50000),
            "server": ("localhost", 443),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [(key.decode(), value.decode()) for key, value in message["headers"]]
                start_response(str(message["status"]), headers)
            else:
                chunks.append(message["body"])

        running = app(scope, receive, send)
        try:
            running.send(None)
        except StopIteration:
            return chunks
        raise RuntimeError("it waits, so it needs an event loop")

    return call
