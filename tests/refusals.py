"""Every error class that has an answer, found by walking the subclasses."""

from __future__ import annotations

from wsgi_sessions.errors import (
    AnswerableError,
    InvalidIdTokenError,
    MethodNotAllowedError,
    RefusedError,
    TooManyTriesError,
)


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
