"""What a browser sent and was answered, kept so that a failed test can tell the story.

Must not show cookies in full: a line of history may end up in a public log.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from wsgiref.util import request_uri

from webob import Request, Response  # type: ignore[import-untyped, unused-ignore]

from wsgi_sessions.clock import datetime_from_ms
from wsgi_sessions.events import Events, SessionEvent

from .jar import RefusedCookie
from .network import Fate

__all__ = ["EventLog", "Exchange", "tell"]

_QUIET = frozenset({"purge_done"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response.

    ``action`` names what the browser did by itself (``"sign in"``), None for a request of the
    test's. ``sent`` is the Cookie header, ``received`` the values of the Set-Cookie headers.
    ``heard_before`` counts the events that the browser's log held when this was sent.
    ``is_by_app``: the whole app answered, every layer of it, and not its middleware alone.
    ``has_arrived``: the request got to the ``SessionMiddleware``, as far as can be seen.
    """

    at_ms: int
    method: str
    url: str
    status: str
    fate: Fate
    sent: str | None
    received: tuple[str, ...]
    action: str | None = None
    heard_before: int = 0
    is_by_app: bool = True
    has_arrived: bool = True

    @classmethod
    def of(
        cls,
        request: Request,
        response: Response,
        *,
        at_ms: int,
        fate: Fate,
        action: str | None,
        heard_before: int = 0,
        is_by_app: bool = True,
        has_arrived: bool = True,
    ) -> Exchange:
        return cls(
            at_ms=at_ms,
            method=request.method,
            # Not WebOb's, which takes no path that is not UTF-8.
            url=request_uri(request.environ),
            status=response.status,
            fate=fate,
            sent=request.environ.get("HTTP_COOKIE"),
            received=tuple(response.headers.getall("Set-Cookie")),
            action=action,
            heard_before=heard_before,
            is_by_app=is_by_app,
            has_arrived=has_arrived,
        )

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx or 3xx."""
        return self.status[:1] in ("2", "3")

    def session_ids(self, read: Callable[[str], Any]) -> set[str]:
        """Return the ids of the sessions whose tokens went to and fro; ``read`` reads one."""
        pairs = [*(self.sent or "").split("; "), *(line.split(";")[0] for line in self.received)]
        tokens = [read(pair.partition("=")[2]) for pair in pairs]
        return {token.session_id for token in tokens if token is not None}

    def __str__(self) -> str:
        what = self.action or f"{self.method} {self.url}"
        text = f"{_instant(self.at_ms)} {what}"
        if not self.is_by_app:
            text += " (past the layers around SessionMiddleware)"
        text += f" -> {self.status}"
        if not self.has_arrived:
            text += " (by a layer around SessionMiddleware)"
        if self.fate is not Fate.ARRIVES:
            text += f" ({self.fate.value})"
        if self.sent:
            text += "; sent " + ", ".join(_shorten(pair) for pair in self.sent.split("; "))
        for line in self.received:
            pair, _, attributes = line.partition(";")
            text += f"; set {_shorten(pair)};{attributes}"
        return text


class EventLog:
    """The audit events that reached whoever listens for a browser, the earliest first."""

    def __init__(self) -> None:
        self.heard: list[SessionEvent] = []

    def listen_to(self, events: Events) -> None:
        """Note down the events of a manager for as long as this log is in use."""
        log = weakref.ref(self)

        def note(event: SessionEvent) -> None:
            alive = log()
            if alive is not None:
                alive.heard.append(event)

        weakref.finalize(self, events.subscribe(note)).atexit = False


def tell(
    history: Iterable[Exchange],
    *,
    events: Iterable[SessionEvent] = (),
    session_ids: Iterable[str] = (),
    refused: Iterable[RefusedCookie] = (),
) -> str:
    """Return a history as text, a line for each request, then the cookies that were refused.

    ``events`` are those of the browser's log. Each follows the request that it happened in or
    after; those about other sessions than ``session_ids`` are left out.
    """
    told = list(events)
    ours = set(session_ids)
    lines: list[str] = []
    next_event = 0

    def tell_events(end: int) -> None:
        nonlocal next_event
        for event in told[next_event:end]:
            if event.name not in _QUIET and (event.session_id is None or event.session_id in ours):
                lines.append(_event_line(event))
        next_event = max(next_event, end)

    for exchange in history:
        tell_events(exchange.heard_before)
        lines.append(str(exchange))
    tell_events(len(told))
    lines += [
        f"refused {_shorten(cookie.line.partition(';')[0])} from {cookie.url}: {cookie.why}"
        for cookie in refused
    ]
    return "\n".join(lines) if lines else "(nothing was sent yet)"


def _event_line(event: SessionEvent) -> str:
    text = f"{_instant(event.at_ms)} event {event.name}"
    if event.reason is not None:
        text += f" as {event.reason}"
    if event.session_id is not None:
        text += f" of session {event.session_id[:4]}…"
    if event.address is not None:
        text += f" at {event.address}"
    return text + "".join(f" {key}={value}" for key, value in event.details.items())


def _instant(at_ms: int) -> str:
    return datetime_from_ms(at_ms).isoformat(timespec="milliseconds")


def _shorten(pair: str) -> str:
    """Cut a cookie's value short, but keep the generation of a session token readable.

    >>> _shorten("session_token=v1.aaaaaaaaaaaaaaaaaaaa.2.bbbbbbbbbbbbbbbbb")
    'session_token=v1.aaaa….2.…'
    >>> _shorten("theme=dark")
    'theme=dark'
    """
    name, _, value = pair.partition("=")
    parts = value.split(".")
    if parts[0] == "v1" and len(parts) == 4:
        return f"{name}=v1.{parts[1][:4]}….{parts[2]}.…"
    return pair if len(value) <= 16 else f"{name}={value[:8]}…"
