"""What a browser sent and was answered, kept for the message of a test that fails.

Cookies are never shown in full: a message may end up in a public log.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wsgi_sessions.clock import datetime_from_ms
from wsgi_sessions.events import Events, SessionEvent

from ..fakes.network import Fate
from .cookie import RefusedCookie

_OMITTED = frozenset({"purge_done"})
_SLOW_MS = 1000
"""A shorter time between a request and its answer is not shown."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response.

    ``action`` names what the browser did by itself (``"sign in"``), None for a request of the
    test's. ``sent`` is the Cookie header, ``received`` the values of the Set-Cookie headers.
    ``events_before`` counts the events that the browser's log held when this was sent.
    ``is_by_app``: it was sent through every layer of the app, and not to its middleware alone.
    ``has_arrived``: the request reached the ``SessionMiddleware``, as far as can be seen.
    ``at_ms`` is when the app was called; the request may have been made before and answered
    later. ``by`` says who sent it where a story has several browsers, as in ``"the thief"``.
    """

    at_ms: int
    method: str
    url: str
    status: str
    fate: Fate
    sent: str | None
    received: tuple[str, ...]
    action: str | None = None
    events_before: int = 0
    is_by_app: bool = True
    has_arrived: bool = True
    made_at_ms: int | None = None
    answered_at_ms: int | None = None
    by: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx or 3xx."""
        return self.status[:1] in ("2", "3")

    def session_ids(self, read: Callable[[str], Any]) -> set[str]:
        """Return the ids of the sessions whose tokens were sent or received; ``read`` reads one."""
        pairs = [*(self.sent or "").split("; "), *(line.split(";")[0] for line in self.received)]
        tokens = [read(pair.partition("=")[2]) for pair in pairs]
        return {token.session_id for token in tokens if token is not None}

    def __str__(self) -> str:
        what = self.action or f"{self.method} {self.url}"
        text = f"{_instant(self.at_ms)} {what}"
        if self.by is not None:
            text = f"{_instant(self.at_ms)} {self.by}: {what}"
        if self.made_at_ms is not None and abs(self.at_ms - self.made_at_ms) >= _SLOW_MS:
            text += f" (made at {_instant(self.made_at_ms)})"
        if not self.is_by_app:
            text += " (past the layers around SessionMiddleware)"
        text += f" -> {self.status}"
        if not self.has_arrived:
            text += " (by a layer around SessionMiddleware)"
        answered = ""
        if self.answered_at_ms is not None and abs(self.answered_at_ms - self.at_ms) >= _SLOW_MS:
            answered = f"answered at {_instant(self.answered_at_ms)}"
        fate = "" if self.fate is Fate.ARRIVES else self.fate.value
        remarks = [remark for remark in (fate, answered) if remark]
        if remarks:
            text += f" ({', '.join(remarks)})"
        if self.sent:
            text += "; sent " + ", ".join(shorten(pair) for pair in self.sent.split("; "))
        for line in self.received:
            pair, _, attributes = line.partition(";")
            text += f"; set {shorten(pair)};{attributes}"
        return text


@dataclass(frozen=True, slots=True)
class Note:
    """What happened to the browser itself, after so many requests and events."""

    at_ms: int
    text: str
    history_before: int
    events_before: int

    def __str__(self) -> str:
        return f"{_instant(self.at_ms)} {self.text}"


class EventLog:
    """The audit events of a browser's manager, the earliest first."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []

    def listen_to(self, events: Events) -> None:
        """Record the events of a manager for as long as this log is in use."""
        log = weakref.ref(self)

        def note(event: SessionEvent) -> None:
            alive = log()
            if alive is not None:
                alive.events.append(event)

        weakref.finalize(self, events.subscribe(note)).atexit = False


def render_history(
    history: Iterable[Exchange],
    *,
    events: Iterable[SessionEvent] = (),
    session_ids: Iterable[str] = (),
    refused: Iterable[RefusedCookie] = (),
    notes: Iterable[Note] = (),
) -> str:
    """Return a history as text, a line for each request, then the cookies that were refused.

    ``notes`` and ``events`` stand between the requests, at their place in time. Events about
    other sessions than ``session_ids`` are left out.
    """
    logged = list(events)
    ours = set(session_ids)
    lines: list[str] = []
    next_event = 0

    def add_events(end: int) -> None:
        nonlocal next_event
        for event in logged[next_event:end]:
            is_ours = event.session_id is None or event.session_id in ours
            if is_ours and event.name not in _OMITTED:
                lines.append(_event_line(event))
        next_event = max(next_event, end)

    waiting = list(notes)
    exchanges = list(history)
    for position, exchange in enumerate([*exchanges, None]):
        while waiting and waiting[0].history_before <= position:
            add_events(waiting[0].events_before)
            lines.append(str(waiting.pop(0)))
        if exchange is not None:
            add_events(exchange.events_before)
            lines.append(str(exchange))
    add_events(len(logged))
    lines += [
        f"refused {shorten(cookie.line.partition(';')[0])} from {cookie.url}: {cookie.why}"
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
    known = [(key, value) for key, value in event.details.items() if value is not None]
    return text + "".join(f" {key}={value}" for key, value in known)


def _instant(at_ms: int) -> str:
    return datetime_from_ms(at_ms).isoformat(timespec="milliseconds")


def shorten(pair: str) -> str:
    """Cut a cookie's value short, but keep a token's generation and the start of its branch.

    >>> shorten("session_token=v1.aaaaaaaaaaaaaaaaaaaa.2.YnJhbmNo.bbbbbbbbbbbbbbbbb")
    'session_token=v1.aaaa….2.YnJh….…'
    >>> shorten("theme=dark")
    'theme=dark'
    """
    name, _, value = pair.partition("=")
    parts = value.split(".")
    if parts[0] == "v1" and len(parts) == 5:
        return f"{name}=v1.{parts[1][:4]}….{parts[2]}.{parts[3][:4]}….…"
    return pair if len(value) <= 16 else f"{name}={value[:8]}…"
