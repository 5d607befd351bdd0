"""A manager whose cookie cache is on, and a registry that no other test fills."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from wsgi_sessions import SessionManager

SECRET = "s0123456789abcdef" * 2


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SessionManager]:
    manager = SessionManager(f"sqlite:///{tmp_path}/app.db", secret=SECRET, cookie_cache=True)
    manager.create_tables()
    yield manager
    manager.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()
