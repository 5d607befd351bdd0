"""What a strict server would not let pass."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from wsgi_sessions_testing import (
    Browser,
    FakeClock,
)


def test_a_breach_of_pep_3333_is_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[str]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return ["text"]

    with pytest.raises(AssertionError):
        Browser(app, clock=FakeClock()).get("/")  # type: ignore[arg-type]


def test_an_app_that_never_starts_is_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return []

    with pytest.raises(AssertionError, match="start_response"):
        Browser(app, clock=FakeClock()).get("/")


def test_a_wrong_content_length_is_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        return [b"four"]

    with pytest.raises(AssertionError, match="announced Content-Length 3 and sent 4 bytes"):
        Browser(app, clock=FakeClock()).get("/")


def test_the_body_is_read_and_closed() -> None:
    seen: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen.append("read")
            yield b"text"

        def close(self) -> None:
            seen.append("closed")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()

    assert Browser(app, clock=FakeClock()).get("/").text == "text"
    assert seen == ["read", "closed"]


def test_what_the_app_raises_is_raised() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        Browser(app, clock=FakeClock()).get("/")


def test_starting_twice_is_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    with pytest.raises(AssertionError, match="start_response twice"):
        Browser(app, clock=FakeClock()).get("/")


def test_an_error_after_the_first_bytes_is_raised() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"so far"
        try:
            raise KeyError("too late")
        except KeyError:
            headers = [("Content-Type", "text/plain")]
            start_response("500 Internal Server Error", headers, sys.exc_info())
        yield b"never"

    with pytest.raises(KeyError, match="too late"):
        Browser(app, clock=FakeClock()).get("/")


def test_start_response_with_exc_info_replaces_the_headers() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise KeyError("late")
        except KeyError:
            start_response(
                "500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info()
            )
        yield b"sorry"

    assert Browser(app, clock=FakeClock()).get("/").status_int == 500
