"""What a refusal is as an HTTP answer: for the middleware, the JSON API, pages and adapters."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import (
    AnswerableError,
    InternalError,
    RefusedError,
    SessionNotFreshError,
    StoreUnavailableError,
)
from ..light_dataclasses import dataclass
from ..request_errors import MethodNotAllowedError
from ..transport.environ import REQUEST_KEY, find_environ
from ..transport.languages import preferred_language
from ..transport.response_headers import HeaderLines, protections

if TYPE_CHECKING:
    from .request import SessionRequest

logger = logging.getLogger("wsgi_sessions")

_MAX_LOGGED_PATH = 200


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
    details: Mapping[str, Any] = field(default_factory=dict)
    """What JSON has beside code and message."""

    @property
    def status_line(self) -> str:
        """The status as ``start_response`` takes it (PEP 3333)."""
        return f"{self.status} {_phrases().get(self.status, 'Refused')}"

    @property
    def headers(self) -> HeaderLines:
        """What goes with any answer, a page of the application's own too."""
        headers = [("Cache-Control", "no-store")]
        if self.retry_after_seconds is not None:
            headers.append(("Retry-After", str(self.retry_after_seconds)))
        if self.allow is not None:
            headers.append(("Allow", self.allow))
        return headers

    def answer(self, *, is_program: bool) -> tuple[HeaderLines, bytes]:
        """Return headers and body of ours: JSON for a program, a line of text for people."""
        kind, body = "text/plain; charset=utf-8", f"{self.text}\n".encode("utf-8", "replace")
        if is_program:
            value = {"code": self.code, "message": self.text, **self.details}
            text = json.dumps(value, separators=(",", ":"))
            kind, body = "application/json", text.encode("ascii")
        return [("Content-Type", kind), *self.headers, *protections()], body


def refusal_of(error: AnswerableError, source: Any = None) -> Refusal:
    """Return what an exception of ours means over HTTP.

    ``source`` is the request, or its environ: then the text is what the setting ``messages``
    has for it, and ``str(error)`` is that, too.

    >>> from wsgi_sessions import NotSignedInError
    >>> refusal = refusal_of(NotSignedInError())
    >>> refusal.status_line, refusal.code, refusal.text
    ('401 Unauthorized', 'UNAUTHORIZED', 'Unauthorized. Sign in first.')
    """
    if source is not None:
        # On the error itself: it is all that an error page of Django's gets.
        error.message = _translation(error.code, find_environ(source)) or error.message
    # Not str(), which is for the log where the database is away.
    text = error.fill_in(error.message)
    allow = error.allow if isinstance(error, MethodNotAllowedError) else None
    details: dict[str, Any] = {}
    if isinstance(error, SessionNotFreshError) and error.max_age_seconds is not None:
        # Named as in the challenge of RFC 9470, which is for the schemes of OAuth alone.
        details = {"maxAge": error.max_age_seconds, "isElsewhere": error.is_elsewhere}
    return Refusal(error.status, error.code, text, error.retry_after_seconds, allow, details)


def answerable(error: Exception, request: SessionRequest) -> AnswerableError:
    """Return what the client is told of an error in an endpoint of ours; the log has the rest."""
    if not isinstance(error, AnswerableError):
        from ..log_fields import log_fields

        fields = log_fields("answer_failed")
        logger.error("the answer to a request failed", exc_info=error, extra=fields)
        return InternalError()
    if isinstance(error, StoreUnavailableError) and not request.is_database_away:
        request.manager.events.emit("database_error", details={"error": error})
    return error


def report_refusal(request: SessionRequest, error: RefusedError) -> None:
    """Tell the log and listeners of a refusal that may be part of an attack."""
    session = request.session
    # Encoded, so that no client can write a line or a field of the log.
    path = quote(request.facts.path[:_MAX_LOGGED_PATH], encoding="latin-1", errors="replace")
    request.manager.events.emit(
        "request_refused",
        session_id=None if session is None else session.id,
        user_id=None if session is None else session.user_id,
        address=request.facts.address,
        user_agent=request.facts.user_agent,
        details={"code": error.code, "path": path},
    )


def _translation(code: str, environ: Mapping[str, Any]) -> str | None:
    """Return what the setting ``messages`` has for a code and the languages a client reads."""
    handle: SessionRequest | None = environ.get(REQUEST_KEY)
    messages = {} if handle is None else handle.manager.config.messages
    found: dict[str, str] = {}
    for language, texts in messages.items():
        if not isinstance(texts, str) and code in texts:
            found[language] = texts[code]
    for_others = messages.get(code)
    assert for_others is None or isinstance(for_others, str)
    # English is there anyway, unless the site's own language has taken its place.
    offered = [*found] if for_others else [*found, "en"]
    asked = environ.get("HTTP_ACCEPT_LANGUAGE") or ""
    chosen = preferred_language(asked, offered) if found else None
    return for_others if chosen is None else found.get(chosen, for_others)


@cache
def _phrases() -> dict[int, str]:
    from http import HTTPStatus  # most processes refuse nothing

    return {status.value: status.phrase for status in HTTPStatus}
