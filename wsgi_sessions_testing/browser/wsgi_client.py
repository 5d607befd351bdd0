"""Calls a WSGI app as a strict server does: checked by ``wsgiref.validate``, body read, closed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.validate import validator

from webob import Request, Response  # type: ignore[import-untyped, unused-ignore]

_calls_under_way = 0


def call_app(app: Any, request: Request) -> Response:
    """Return the app's whole answer; what the app raises, or a breach of PEP 3333, is raised.

    Also raises ``AssertionError`` when Content-Length and the body don't agree.
    """
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    chunks: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None:
            try:
                if chunks:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # PEP 3333: no circular reference through the traceback
        elif begun:
            raise AssertionError("the app called start_response twice, without exc_info")
        begun[:] = [(status, headers)]
        return chunks.append

    with _connections_of_django_kept():
        iterable: Any = validator(app)(request.environ, start_response)
        try:
            chunks.extend(iterable)
        finally:
            iterable.close()
    if not begun:
        raise AssertionError("the app never called start_response")
    status, headers = begun[0]
    body = b"".join(chunks)
    has_no_body = request.method == "HEAD" or status[:3] in ("204", "304")
    announced = next((value for name, value in headers if name.lower() == "content-length"), None)
    if announced is not None and not has_no_body and int(announced) != len(body):
        raise AssertionError(
            f"the app announced Content-Length {announced} and sent {len(body)} bytes"
        )
    response = Response(status=status, headerlist=list(headers), app_iter=[body])
    response.request = request
    return response


@contextmanager
def _connections_of_django_kept() -> Iterator[None]:
    """Keep Django from closing its connections at the start and end of a request.

    Its own test client does the same: otherwise Django would use connections of an earlier test,
    which pytest-django forbids without its mark, and close that of a test's transaction.
    """
    global _calls_under_way  # noqa: PLW0603  requests of one test can be under way together
    signals, db = sys.modules.get("django.core.signals"), sys.modules.get("django.db")
    if signals is None or db is None:
        yield
        return
    ends = (signals.request_started, signals.request_finished)
    _calls_under_way += 1
    if _calls_under_way == 1:
        for signal in ends:
            signal.disconnect(db.close_old_connections)
    try:
        yield
    finally:
        _calls_under_way -= 1
        if not _calls_under_way:
            for signal in ends:
                signal.connect(db.close_old_connections)
