"""Reads request bodies within bounds; that of a refused request too, so that its answer arrives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..clock import monotonic_ms
from ..errors import InvalidValueError, RefusedError
from ..request_errors import BodyTooLargeError, UnsupportedMediaTypeError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_BODY_BYTES = 64 * 1024
MAX_DISCARDED_BYTES = 8 * 1024 * 1024
"""Of a larger body the rest stays unread: the client may see a reset and no answer."""

_MAX_DISCARDING_MS = 5_000
_CHUNK_BYTES = 64 * 1024


def read_json(environ: WSGIEnvironment) -> bytes:
    """Return the request body, of at most ``MAX_BODY_BYTES``, or refuse what is not JSON.

    A form, or a script that may not read the answer, can't send ``application/json`` to
    another origin without a preflight: this alone keeps most forgeries out.
    """
    body = read_body(environ)
    kind = media_type(environ)
    # An empty body needs no type; wsgiref's server fills in text/plain.
    is_empty = not body and kind in ("", "text/plain")
    if is_compressed(environ) or not (kind == "application/json" or is_empty):
        raise UnsupportedMediaTypeError("Content-Type: application/json, uncompressed")
    return body


def media_type(environ: WSGIEnvironment) -> str:
    kind: str = environ.get("CONTENT_TYPE") or ""
    return kind.partition(";")[0].strip().lower()


def is_compressed(environ: WSGIEnvironment) -> bool:
    encoding: str = environ.get("HTTP_CONTENT_ENCODING") or "identity"
    return encoding.strip().lower() != "identity"


def read_body(environ: WSGIEnvironment) -> bytes:
    """Return the request body, of at most ``MAX_BODY_BYTES``."""
    if (_announced_bytes(environ) or 0) <= MAX_BODY_BYTES:
        try:
            body = b"".join(_chunks(environ, MAX_BODY_BYTES + 1))
        except OSError:
            raise InvalidValueError("the body broke off") from None
        if len(body) <= MAX_BODY_BYTES:
            return body
    raise BodyTooLargeError(MAX_BODY_BYTES)


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
    chunks, begun_ms = _chunks(environ, MAX_DISCARDED_BYTES), monotonic_ms()
    with suppress(InvalidValueError, OSError):  # no length to go by; the client is gone
        while monotonic_ms() - begun_ms < _MAX_DISCARDING_MS and next(chunks, b""):
            pass


def _chunks(environ: WSGIEnvironment, max_bytes: int) -> Iterator[bytes]:
    """Yield what there is of the body: its announced length is an upper bound."""
    announced = _announced_bytes(environ)
    left = max_bytes if announced is None else min(announced, max_bytes)
    while left > 0 and (chunk := environ["wsgi.input"].read(min(left, _CHUNK_BYTES))):
        yield chunk
        left -= len(chunk)


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
