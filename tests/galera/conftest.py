"""One cluster for all tests of this folder, and managers at its nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.scenarios.servers import SECRET
from wsgi_sessions import SessionManager
from wsgi_sessions_testing import CHEAP_PASSWORDS

from .cluster import Cluster, running_cluster

MakeManager = Callable[..., SessionManager]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    with cluster.database() as name:
        yield name


@pytest.fixture
def make_manager(cluster: Cluster, database: str) -> Iterator[MakeManager]:
    """Make a manager at a node of a number, or by HAProxy at each in turn."""
    with ExitStack() as stack:

        def make(node: int | None = None, **settings: Any) -> SessionManager:
            url = cluster.url(database) if node is None else cluster.nodes[node].url(database)
            manager = SessionManager(
                url,
                **{"secret": SECRET, "throttle": None, "password": CHEAP_PASSWORDS, **settings},
            )
            stack.callback(manager.close)
            return manager

        yield make


@pytest.fixture
def managers(cluster: Cluster, make_manager: MakeManager) -> list[SessionManager]:
    """One manager at each node, with tables that are there on all."""
    managers = [make_manager(node.number) for node in cluster.nodes]
    managers[0].create_tables()
    cluster.wait_until_same()
    return managers
