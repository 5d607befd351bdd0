"""A client whose body is refused reads the refusal, and no reset connection, on real servers."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .servers import Server, serving

MIB = 1024 * 1024
HEADERS = {"Content-Type": "application/json", "Cookie": "theme=dark"}


@pytest.fixture(scope="module", params=["sync", "gthread", "gevent", "waitress", "uwsgi"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    database = f"sqlite:///{directory / 'bodies.db'}"
    with serving(request.param, database, directory, workers=1) as started:
        yield started


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/api/auth/sign-in/email", None, 413),
        ("/api/auth/sign-in/email", "https://evil.test", 403),
        ("/api/auth/nothing", None, 404),
    ],
)
def test_a_refused_body_gets_its_answer(
    path: str, origin: str | None, status: int, is_chunked: bool, server: Server
) -> None:
    if server.is_uwsgi and is_chunked:
        return  # It gives the application none of it, so there is nothing to read on.
    own = f"http://127.0.0.1:{server.port}"
    for _ in range(5):  # a reset is a race, which the client does not lose every time
        # Waitress tells of no chunks: it has the whole body, and hands over its length.
        body = iter([b" " * 65_536] * 64) if is_chunked else b" " * (4 * MIB)
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as line:
            headers = {**HEADERS, "Origin": origin or own}
            line.request("POST", path, body, headers, encode_chunked=is_chunked)
            answer = line.getresponse()
            assert (answer.status, answer.read()[:1]) == (status, b"{")
