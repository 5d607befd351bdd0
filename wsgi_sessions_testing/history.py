"""What a browser sent and was answered, kept so that a failed test can tell the story.

Must not show cookies in full: a line of history may end up in a public log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from wsgiref.util import request_uri

from webob import Request, Response  # type: ignore[import-untyped, unused-ignore]

from wsgi_sessions.clock import datetime_from_ms

from .jar import RefusedCookie
from .network import Fate

__all__ = ["Exchange", "tell"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response.

    ``action`` names what the browser did by itself (``"sign in"``), None for a request of the
    test's. ``sent`` is the Cookie header, ``received`` the values of the Set-Cookie headers.
    """

    at_ms: int
    method: str
    url: str
    status: str
    fate: Fate
    sent: str | None
    received: tuple[str, ...]
    action: str | None = None

    @classmethod
    def of(
        cls, request: Request, response: Response, *, at_ms: int, fate: Fate, action: str | None
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
        )

    def __str__(self) -> str:
        what = self.action or f"{self.method} {self.url}"
        text = f"{datetime_from_ms(self.at_ms).isoformat(timespec='milliseconds')} {what}"
        text += f" -> {self.status}"
        if self.fate is not Fate.ARRIVES:
            text += f" ({self.fate.value})"
        if self.sent:
            text += "; sent " + ", ".join(_shorten(pair) for pair in self.sent.split("; "))
        for line in self.received:
            pair, _, attributes = line.partition(";")
            text += f"; set {_shorten(pair)};{attributes}"
        return text


def tell(history: Iterable[Exchange], *, refused: Iterable[RefusedCookie] = ()) -> str:
    """Return a history as text, a line for each request, then the cookies that were refused."""
    lines = [str(exchange) for exchange in history]
    lines += [
        f"refused {_shorten(cookie.line.partition(';')[0])} from {cookie.url}: {cookie.why}"
        for cookie in refused
    ]
    return "\n".join(lines) if lines else "(nothing was sent yet)"


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
