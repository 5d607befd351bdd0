"""Requests that stop at every read, write and response of the store, to be stepped one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.records import Change, SessionRecord

# Not the reading of the feed: one request at a time does that, under a lock.
_STOPPING = {
    "sessions": ("find", "apply"),
    "session_ends": ("end",),
}

Landed = Callable[[SessionRecord, Change], None]


def stop_here() -> None:
    """Give the turn back to whoever steps this request; outside of one, do nothing."""
    current = getcurrent()
    if isinstance(current, RequestGreenlet):
        assert current.parent is not None
        current.parent.switch()


class SteppedStore:
    """Stands before a manager's store: stops before and after each of its effects."""

    def __init__(self, inner: Any, on_landed: Landed) -> None:
        self._inner = inner
        for part, names in _STOPPING.items():
            setattr(self, part, SteppedPart(getattr(inner, part), names, on_landed))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class SteppedPart:
    """One part of it."""

    def __init__(self, inner: Any, names: tuple[str, ...], on_landed: Landed) -> None:
        self._inner = inner
        self._names = names
        self._on_landed = on_landed

    def __getattr__(self, name: str) -> Any:
        effect = getattr(self._inner, name)
        if name not in self._names:
            return effect

        def stopped(*args: Any, **kwargs: Any) -> Any:
            current = getcurrent()
            if name == "find" and isinstance(current, RequestGreenlet):
                current.flight.has_asked_database = True
            stop_here()
            result = effect(*args, **kwargs)
            if name == "apply" and result:
                self._on_landed(args[0], args[1])
            stop_here()
            return result

        return stopped


class RequestGreenlet(greenlet):
    """A request of its own flow of control."""

    flight: Flight


class Flight:
    """One request on its way: stepped, finished or killed.

    ``is_upload``: its body takes time before the server sees it. ``is_slow``: the application
    takes time before its answer starts, and stops for as long.
    """

    def __init__(
        self,
        app: SessionMiddleware,
        cookie_header: str,
        *,
        sent_at_ms: int,
        is_upload: bool = False,
        is_slow: bool = False,
    ) -> None:
        self.sent_at_ms = sent_at_ms
        self.is_upload = is_upload
        self.is_slow = is_slow
        self.is_working = False
        self.has_begun = False
        self.has_asked_database = False
        self.cookie_header = cookie_header
        self.status: str | None = None
        self.set_cookies: list[str] = []
        self.answer: dict[str, Any] = {}
        self.is_killed = False
        self._app = app
        self._greenlet = RequestGreenlet(self._run)
        self._greenlet.flight = self

    @property
    def is_over(self) -> bool:
        return self.is_killed or self._greenlet.dead

    def step(self) -> None:
        if not self.is_over:
            self.has_begun = True
            self._greenlet.switch()

    def finish(self) -> None:
        while not self.is_over:
            self.step()

    def kill(self) -> None:
        """Be a worker that dies here: what was committed stays, the rest never happens."""
        if self._greenlet:
            self._greenlet.throw(GreenletExit)
        self.is_killed = True

    def _run(self) -> None:
        def start_response(status: str, headers: Iterable[tuple[str, str]], _: Any = None) -> Any:
            self.status = status
            self.set_cookies = [value for name, value in headers if name == "Set-Cookie"]
            return lambda chunk: None

        environ = {
            "REQUEST_METHOD": "POST" if self.is_upload else "GET",
            "CONTENT_LENGTH": "1000000" if self.is_upload else "",
            "PATH_INFO": "/",
            "wsgi.url_scheme": "https",
            "REMOTE_ADDR": "192.0.2.1",
            "HTTP_COOKIE": self.cookie_header,
        }
        body = b"".join(self._app(environ, start_response))
        if self.status == "200 OK":
            self.answer = json.loads(body)
        stop_here()


def tell_session(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with what the middleware put into the environ; a slow answer stops before it."""
    current = getcurrent()
    if isinstance(current, RequestGreenlet) and current.flight.is_slow:
        current.flight.is_working = True
        stop_here()
        current.flight.is_working = False
    session = environ["wsgi_sessions.session"]
    reason = environ["wsgi_sessions.end_reason"]
    start_response("200 OK", [("Content-Type", "application/json")])
    answer = {"session": session and session.id, "reason": reason and reason.value}
    return [json.dumps(answer).encode()]


def stepped_manager(manager: SessionManager, on_landed: Landed) -> SessionMiddleware:
    """Wrap a small app in a middleware whose validation stops at every step."""
    store: Any = SteppedStore(manager.parts.store, on_landed)
    manager.parts.validator.store = store
    manager.parts.feed._store = store
    return SessionMiddleware(tell_session, manager)
