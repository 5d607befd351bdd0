"""Reads the body of a request, or discards that of a refused one for the client's sake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..clock import monotonic_ms
from ..errors import BodyTooLargeError, InvalidValueError, RefusedError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_BODY_BYTES = 64 * 1024
MAX_DISCARDED_BYTES = 8 * 1024 * 1024
"""Of a larger body the rest stays unread: the client may see a reset and no answer."""

_MAX_DISCARDING_MS = 5_000
_CHUNK_BYTES = 64 * 1024


def media_type(environ: WSGIEnvironment) -> str:
    """Return the media type of the body in lower case, without parameters; "" for none."""
    kind: str = environ.get("CONTENT_TYPE") or ""
    return kind.partition(";")[0].strip().lower()


def read_body(environ: WSGIEnvironment) -> bytes:
    """Return the request body, of at most ``MAX_BODY_BYTES``.

    Content-Length is taken as an upper bound: the body may be shorter.
    """
    announced = _announced_bytes(environ)
    body = b""
    if announced is None or announced <= MAX_BODY_BYTES:
        longest = MAX_BODY_BYTES + 1 if announced is None else announced
        try:
            body = b"".join(_chunks(environ, longest))
        except OSError:
            raise InvalidValueError("the body broke off") from None
    if max(announced or 0, len(body)) > MAX_BODY_BYTES:
        raise BodyTooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    return body


def _announced_bytes(environ: WSGIEnvironment) -> int | None:
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
        announced = _announced_bytes(environ)
    except InvalidValueError:
        return
    left = MAX_DISCARDED_BYTES if announced is None else min(announced, MAX_DISCARDED_BYTES)
    chunks, begun_ms = _chunks(environ, left), monotonic_ms()
    with suppress(OSError):  # the client is gone
        while monotonic_ms() - begun_ms < _MAX_DISCARDING_MS and next(chunks, b""):
            pass


def _chunks(environ: WSGIEnvironment, left: int) -> Iterator[bytes]:
    """Yield the body in pieces, up to so many bytes."""
    while left > 0 and (chunk := environ["wsgi.input"].read(min(left, _CHUNK_BYTES))):
        yield chunk
        left -= len(chunk)
