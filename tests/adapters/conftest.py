"""What the tests of every framework's example share: a manager, and the examples on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsgi_sessions import SessionManager
from wsgi_sessions_testing import CHEAP_PASSWORDS, FakeClock

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "frameworks"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock, tmp_path: Path) -> Iterator[SessionManager]:
    manager = SessionManager(
        f"sqlite:///{tmp_path / 'app.db'}",
        secret="a-secret-for-tests-of-32-characters",
        clock=clock,
        password=CHEAP_PASSWORDS,
        throttle={"tries": 5, "window": 60},
    )
    yield manager
    manager.close()
