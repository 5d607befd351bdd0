"""What a refusal is as an HTTP answer: for the middleware, the JSON API, pages and adapters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

from ..errors import AnswerableError, MethodNotAllowedError, StoreUnavailableError
from ..transport.response_headers import HeaderLines

_UNAVAILABLE = "The service is away for a moment; please try again."
_PHRASES = {one.value: one.phrase for one in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What to answer: an HTTP status, a code for programs, words for people.

    ``retry_after_seconds`` is None where waiting does not help; ``allow`` lists the methods of
    a path that does not answer to this one.
    """

    status: int
    code: str
    text: str
    retry_after_seconds: int | None = None
    allow: str | None = None

    @property
    def status_line(self) -> str:
        """The status as ``start_response`` takes it (PEP 3333)."""
        return f"{self.status} {_PHRASES.get(self.status, 'Refused')}"

    @property
    def headers(self) -> HeaderLines:
        headers = [("Cache-Control", "no-store")]
        if self.retry_after_seconds is not None:
            headers.append(("Retry-After", str(self.retry_after_seconds)))
        if self.allow is not None:
            headers.append(("Allow", self.allow))
        return headers

    def body(self, *, is_program: bool) -> tuple[str, bytes]:
        """Return media type and body: JSON for a program, a line of text for people."""
        if is_program:
            text = json.dumps({"code": self.code, "message": self.text}, separators=(",", ":"))
            return "application/json", text.encode("ascii")
        return "text/plain; charset=utf-8", f"{self.text}\n".encode("utf-8", "replace")


def refusal_of(error: AnswerableError) -> Refusal:
    """Return what an exception of ours means over HTTP.

    >>> from wsgi_sessions import NotSignedInError
    >>> refusal = refusal_of(NotSignedInError("sign in first"))
    >>> refusal.status_line, refusal.code, refusal.text
    ('401 Unauthorized', 'UNAUTHORIZED', 'sign in first')
    """
    # The text of a database error is for the log: it may name hosts and users.
    text = _UNAVAILABLE if isinstance(error, StoreUnavailableError) else str(error)
    allow = error.allow if isinstance(error, MethodNotAllowedError) else None
    return Refusal(error.status, error.code, text, error.retry_after_seconds, allow)
