"""Calls a WSGI app as a strict server does: checked by ``wsgiref.validate``, body read, closed.

Must not know browsers, cookies or sessions.
"""

from __future__ import annotations

from typing import Any
from wsgiref.validate import validator

from webob import Request, Response  # type: ignore[import-untyped, unused-ignore]

__all__ = ["call_app"]


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
