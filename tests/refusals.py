"""Every error class that has an answer, found by walking the subclasses."""

from __future__ import annotations

from wsgi_sessions.errors import (
    AnswerableError,
    InvalidIdTokenError,
    RefusedError,
    TooManyTriesError,
)
from wsgi_sessions.request_errors import MethodNotAllowedError

PROTECTIONS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
"""What every answer of the product's own carries; the sessions page differs in two."""


def error_classes(kind: type[AnswerableError] = AnswerableError) -> list[type[AnswerableError]]:
    """Return the product's classes below one, without ``RefusedError``, which is their base."""
    found: list[type[AnswerableError]] = []
    for below in kind.__subclasses__():
        if below.__module__.startswith("wsgi_sessions."):
            found += [*([] if below is RefusedError else [below]), *error_classes(below)]
    return found


def make_error(kind: type[AnswerableError]) -> AnswerableError:
    """Return an error of a class, made as the product makes it."""
    if kind is TooManyTriesError:
        return TooManyTriesError(17)
    if issubclass(kind, (InvalidIdTokenError, MethodNotAllowedError)):
        return kind("GET, HEAD")
    return kind("this was refused")
