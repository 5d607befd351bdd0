"""Connections of our own, and the servers to open them to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wsgi_sessions.storage.connections import Connections


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def owned(file: Path) -> Iterator[Connections]:
    connections = Connections(f"sqlite:///{file}")
    connections.write("CREATE TABLE thing (id INTEGER PRIMARY KEY, word TEXT UNIQUE)", ())
    yield connections
    connections.close()


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind
