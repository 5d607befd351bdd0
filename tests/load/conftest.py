"""Servers of the tests' own, one for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .own_servers import OwnServer, own_server


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def database_server(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    with own_server(request.param) as server:
        yield server


@pytest.fixture
def own(database_server: OwnServer) -> OwnServer:
    """An empty database on a server of our own, which may be killed."""
    database_server.renew_database()
    return database_server
