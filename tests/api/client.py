"""The companion's browser as a client of the JSON API: real middleware, and SQLite.

``wsgiref.validate`` watches both sides, and the OpenAPI document has to name whatever is answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import peewee
import pytest

from tests.support import new_clock
from wsgi_sessions import SessionConfig, SessionManager, SessionMiddleware
from wsgi_sessions.api.openapi import describe
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions_testing import Browser, FakeClock
from wsgi_sessions_testing.settings import send_nowhere

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ORIGIN = "http://app.example.org"
EMAIL, PASSWORD = "ada@example.org", "correct horse"
CHEAP = {"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1}
PLAIN_APP_SAYS = b"this is the app"


def make_manager(clock: FakeClock | None = None, **settings: Any) -> SessionManager:
    """Return a manager on a database of its own, without a throttle unless asked for."""
    mail = {"site_url": ORIGIN, "on_send": send_nowhere}
    settings = {"throttle": None, "password": CHEAP, **mail, **settings}
    return SessionManager(
        "sqlite:///:memory:",
        clock=clock or new_clock(),
        secret="a-secret-for-tests-of-32-characters",
        **settings,
    )


@lru_cache(maxsize=64)
def documented_answers(method: str, path: str) -> frozenset[tuple[int, str | None]]:
    """Return what the OpenAPI document lets a call answer: statuses, each with a code or None.

    Nothing where there is no such call.
    """
    config = SessionConfig(secret="a-secret-for-tests-of-32-characters")
    document = describe(ROUTES, config, mount_path="", cookie_name="session_token")
    if path not in ROUTES or method != ROUTES[path].method:
        return frozenset()
    operation = document["paths"][path][method.lower()]
    found: set[tuple[int, str | None]] = set()
    for status, answer in operation["responses"].items():
        schema = answer["content"]["application/json"]["schema"]
        parts = schema.get("allOf", [{}, {}])[1]
        codes = parts.get("properties", {}).get("code", {}).get("enum", [None])
        found |= {(int(status), code) for code in codes}
    return frozenset(found)


def lose_database(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every use of a manager's database fail from now on."""

    def fail(*_: Any, **__: Any) -> Any:
        raise peewee.OperationalError("the database is gone")

    manager.close()
    monkeypatch.setattr(manager.database, "_connect", fail)


def plain_app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [PLAIN_APP_SAYS]


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        return self.json["code"]

    def header(self, name: str) -> str | None:
        found = self.header_list(name)
        return ", ".join(found) if found else None

    def header_list(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]


class Client:
    """The companion's browser as a page of the API uses it: JSON goes out, an ``Answer`` comes."""

    def __init__(
        self,
        manager: SessionManager,
        *,
        origin: str | None = ORIGIN,
        address: str = "192.0.2.1",
        cookies: Mapping[str, str] | None = None,
    ) -> None:
        self.manager = manager
        self.origin = origin
        # Behind a proxy that ends TLS, the browser's scheme is not the app's.
        scheme = "https" if (origin or "").startswith("https:") else "http"
        self.url = f"{scheme}://app.example.org/api/auth"
        self.browser = Browser(
            self._app, clock=manager.clock, manager=manager, address=address, base_url=self.url
        )
        self.cookies = cookies or {}
        self._environ: dict[str, Any] = {}
        self._answer: Answer | None = None

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that go to the API, by name."""
        return {cookie.name: cookie.value for cookie in self.browser.cookies.find_all(self.url)}

    @cookies.setter
    def cookies(self, cookies: Mapping[str, str]) -> None:
        self.browser.cookies.clear()
        lines = [f"{name}={value}; Path=/" for name, value in cookies.items()]
        self.browser.cookies.receive(lines, url=self.url)

    def get(self, path: str, *, query: str = "", **headers: str) -> Answer:
        return self.send("GET", path, query=query, headers=headers)

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        payload = json.dumps({} if body is None else body).encode()
        return self.send("POST", path, payload=payload, headers=headers)

    def sign_up(self, **changes: Any) -> Answer:
        body = {"name": "Ada", "email": EMAIL, "password": PASSWORD, **changes}
        return self.post("/sign-up/email", body)

    def sign_in(self, **changes: Any) -> Answer:
        return self.post("/sign-in/email", {"email": EMAIL, "password": PASSWORD, **changes})

    def send(
        self,
        method: str,
        path: str,
        *,
        payload: bytes = b"",
        query: str = "",
        headers: Mapping[str, str] | None = None,
        **environ: Any,
    ) -> Answer:
        """Send a request; ``headers`` are named as in ``SEC_FETCH_SITE``.

        ``environ`` are keys that no browser could send like this; None leaves one out.
        """
        is_post = method == "POST"
        lines: dict[str, str | None] = {
            "Origin": self.origin if is_post else None,
            "Content-Type": "application/json" if is_post else None,
            # Old browsers send none; a test gives those that it is about.
            **dict.fromkeys(("Sec-Fetch-Site", "Sec-Fetch-Mode")),
            **{name.replace("_", "-").title(): value for name, value in (headers or {}).items()},
        }
        self._environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": "/api/auth" + path,
            "QUERY_STRING": query,
            "wsgi.url_scheme": "http",
            **environ,
        }
        self.browser.request(method, self.url, payload, headers=lines)
        assert self._answer is not None
        allowed = documented_answers(method, path)
        if allowed and self._environ["PATH_INFO"] == "/api/auth" + path:
            code = None if self._answer.status in (200, 302) else self._answer.code
            assert (self._answer.status, code) in allowed, (
                f"{method} {path} has an answer that is not documented"
            )
        return self._answer

    def _app(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Call the middleware with what no browser could send, and keep its answer."""
        given = {**environ, **self._environ}
        given = {name: value for name, value in given.items() if value is not None}
        self._answer = call(SessionMiddleware(plain_app, self.manager), given)
        start_response(f"{self._answer.status} Answered", self._answer.headers)
        return [self._answer.body]


def call(app: WSGIApplication, environ: dict[str, Any], *, is_strict: bool = True) -> Answer:
    """Call a WSGI app and read its answer to the end."""
    said: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        said.append((status, headers))
        return written.append

    iterable = (validator(app) if is_strict else app)(environ, start_response)
    try:
        written.extend(iterable)
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()
    status, headers = said[-1]
    return Answer(int(status[:3]), headers, b"".join(written))
