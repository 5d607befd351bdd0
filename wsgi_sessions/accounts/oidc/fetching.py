"""Fetches a JSON object from a URL, within limits of time and size, without redirects.

``http.client`` is slow to import, so import this module only where something is fetched.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib import request as urls

from ...clock import Clock

if TYPE_CHECKING:
    from socket import socket

    from _typeshed import WriteableBuffer

TIMEOUT_SECONDS = 5
MAX_ANSWER_BYTES = 256 * 1024


class Deadline(NamedTuple):
    """The instant up to which to wait, over several requests.

    It has also passed if it is further away than ``longest_ms``: then the clock was set back.
    """

    clock: Clock
    at_ms: int
    longest_ms: int

    def seconds_to_wait(self) -> float:
        """Return how long one step may take; ``TimeoutError`` if nothing is left."""
        left_ms = self.at_ms - self.clock.now_ms()
        if not 0 < left_ms <= self.longest_ms:
            raise TimeoutError("the answer takes too long")
        return min(TIMEOUT_SECONDS, left_ms / 1000)


def fetch_json(url: str, deadline: Deadline) -> Mapping[str, Any]:
    """Return the JSON object at a URL; ``OSError`` or ``ValueError`` if there is none in time.

    A redirect is an error: it is not followed.
    """
    opener = urls.OpenerDirector()
    for handler in (
        urls.ProxyHandler(),
        _Handler(deadline),
        urls.HTTPDefaultErrorHandler(),
        urls.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    asked = urls.Request(url, headers={"Accept": "application/json"})  # noqa: S310  is_safe_url
    try:
        with opener.open(asked, timeout=deadline.seconds_to_wait()) as response:
            body = response.read(MAX_ANSWER_BYTES + 1)
        if len(body) > MAX_ANSWER_BYTES:
            raise OSError("the answer is too large")
        found = json.loads(body)
    except HTTPException as error:
        raise OSError("the answer is no HTTP") from error
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("what lies there is no JSON object")
    return found


class _Handler(urls.AbstractHTTPHandler):
    """Opens connections that check the deadline at each read."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, request: urls.Request) -> HTTPResponse:
        return self.do_open(self._connector(HTTPConnection), request)

    def https_open(self, request: urls.Request) -> HTTPResponse:
        return self.do_open(self._connector(HTTPSConnection), request)

    http_request = https_request = urls.AbstractHTTPHandler.do_request_

    def _connector(self, kind: type[HTTPConnection]) -> Callable[..., HTTPConnection]:
        def connect(*given: Any, **named: Any) -> HTTPConnection:
            connection = kind(*given, **named)
            response = partial(_Response, deadline=self._deadline)
            connection.response_class = response  # type: ignore[assignment]
            return connection

        return connect


class _Response(HTTPResponse):
    def __init__(self, sock: socket, *given: Any, deadline: Deadline, **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, deadline))


class _Reader(io.RawIOBase):
    """Reads a socket up to a deadline: the socket's own timeout restarts with every byte."""

    def __init__(self, raw: io.RawIOBase, sock: socket, deadline: Deadline) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._sock.settimeout(self._deadline.seconds_to_wait())
        count: int | None = self._raw.readinto(buffer)
        self._deadline.seconds_to_wait()
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
