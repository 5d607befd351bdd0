"""One store of every kind of database, each in a database of its own."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from wsgi_sessions.storage.store import Store

from .databases import KINDS, Place, open_place


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Place]:
    with open_place(request.param, tmp_path) as place:
        yield place


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Place]:
    with open_place(request.param, tmp_path) as place:
        yield place


@pytest.fixture
def store(place: Place) -> Store:
    return place.store
