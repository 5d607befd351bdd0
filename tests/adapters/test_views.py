"""What the adapters share: where a request went, and whether a program sent it."""

from __future__ import annotations

import pytest

from wsgi_sessions.adapters import is_program, path_and_query


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"PATH_INFO": "/a"}, "/a"),
        ({"SCRIPT_NAME": "/caf\xc3\xa9", "PATH_INFO": "/b c"}, "/caf%C3%A9/b%20c"),
        ({"PATH_INFO": "/a?b%41", "QUERY_STRING": "c=%26&d"}, "/a%3Fb%2541?c=%26&d"),
        ({"PATH_INFO": "/\xff", "QUERY_STRING": '\xff"'}, "/%FF?%FF%22"),
        ({"PATH_INFO": "/a\r\nb\\"}, "/a%0D%0Ab%5C"),
    ],
)
def test_a_request_is_told_as_the_browser_sent_it(environ: dict[str, str], url: str) -> None:
    assert path_and_query(environ) == url


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"HTTP_ACCEPT": "*/*"}, False),
        ({"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}, False),
        ({"HTTP_ACCEPT": "text/html, application/json"}, False),
        ({"HTTP_ACCEPT": "Application/JSON, text/plain, */*"}, True),
        ({"HTTP_ACCEPT": "*/*", "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, True),
    ],
)
def test_a_program_asks_for_json_alone(environ: dict[str, str], expected: bool) -> None:
    assert is_program(environ) is expected
