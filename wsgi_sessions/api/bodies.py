"""Reads and discards the body of a refused request, so that the client can read the answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..clock import monotonic_ms
from ..errors import InvalidValueError, RefusedError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_DISCARDED_BYTES = 8 * 1024 * 1024
"""Of a larger body the rest stays unread: the client may see a reset and no answer."""

_MAX_DISCARDING_MS = 5_000
_CHUNK_BYTES = 64 * 1024


def announced_bytes(environ: WSGIEnvironment) -> int | None:
    """Return the length of the body that the request announces; None where its end is marked.

    Without a length a body is read where the server marks its end (``wsgi.input_terminated``),
    and is empty elsewhere (PEP 3333). Raises ``InvalidValueError`` for what is no number.
    """
    length = environ.get("CONTENT_LENGTH") or ""
    is_chunked = bool(environ.get("HTTP_TRANSFER_ENCODING")) or not length
    if is_chunked and environ.get("wsgi.input_terminated"):
        return None
    if not length:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise InvalidValueError("Content-Length is not a number")
    # Cut, because int() refuses thousands of digits.
    return int(length.lstrip("0")[:20] or "0")


@contextmanager
def discarding_body(
    environ: WSGIEnvironment, kind: type[RefusedError] = RefusedError
) -> Iterator[None]:
    """Discard the body when a refusal of a kind is raised, before which nothing was read.

    A body that is too large and has no length counts as unread too: its end is marked.
    """
    try:
        yield
    except kind:
        discard_body(environ)
        raise


def discard_body(environ: WSGIEnvironment) -> None:
    """Read an unread body, up to ``MAX_DISCARDED_BYTES`` and some seconds.

    A server that closes a connection with bytes unread resets it, and the client loses the
    answer that was on its way (RFC 9112, section 9.6).
    """
    try:
        announced = announced_bytes(environ)
    except InvalidValueError:
        return
    left = MAX_DISCARDED_BYTES if announced is None else min(announced, MAX_DISCARDED_BYTES)
    stream, begun_ms = environ["wsgi.input"], monotonic_ms()
    try:
        while left > 0 and monotonic_ms() - begun_ms < _MAX_DISCARDING_MS:
            chunk = stream.read(min(left, _CHUNK_BYTES))
            if not chunk:
                return
            left -= len(chunk)
    except OSError:
        return  # the client is gone
