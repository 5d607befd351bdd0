"""Clean-ups beside traffic: how much a batch deletes, and when the next one comes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import is_purge_due
from wsgi_sessions import SessionManager
from wsgi_sessions.sessions import cleanup
from wsgi_sessions_testing import FakeClock

Delete = Callable[[int], float]
"""Takes the number of rows of a batch, and tells how many seconds that took."""


class Database:
    """A store in which there is always more to delete, and a clock that its work moves on."""

    def __init__(self, seconds_for: Delete) -> None:
        self.seconds_for = seconds_for
        self.now_seconds = 0.0
        self.batches: list[int] = []

    def purge(self, _now_ms: int, *, batch_rows: int, **_ages_ms: int) -> int:
        self.batches.append(batch_rows)
        self.now_seconds += self.seconds_for(batch_rows)
        return batch_rows


@pytest.fixture
def manager(session_manager: SessionManager) -> SessionManager:
    return session_manager


@pytest.fixture
def database(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database(lambda rows: rows * 0.00001)
    monkeypatch.setattr(manager.parts.store, "purge", database.purge)
    monkeypatch.setattr(cleanup, "monotonic_seconds", lambda: database.now_seconds)
    manager.parts.purger.rest_ms = range(0)
    return database


def purge_for(manager: SessionManager, clock: FakeClock, *, seconds: int) -> None:
    """Answer a request each millisecond, each of which looks whether a clean-up is due."""
    for _ in range(seconds * 1000):
        manager.parts.purger.purge_if_due()
        clock.advance(milliseconds=1)


def test_batches_take_a_three_hundredth_of_the_time(
    manager: SessionManager, clock: FakeClock, database: Database
) -> None:
    purge_for(manager, clock, seconds=30)

    assert 0.06 < database.now_seconds <= 0.11
    assert sum(database.batches) > 6_000


def test_a_batch_is_as_large_as_some_milliseconds_allow(
    manager: SessionManager, clock: FakeClock, database: Database
) -> None:
    database.seconds_for = lambda rows: rows * 0.0001
    purge_for(manager, clock, seconds=10)
    quick = database.batches[-1]
    database.seconds_for = lambda rows: 0.0001 + rows * 0.0002
    purge_for(manager, clock, seconds=10)

    assert (quick, database.batches[-1]) == (25, 12)


@pytest.mark.parametrize(("seconds", "rows"), [(0.0001, 500), (0.5, 10)])
def test_a_batch_has_a_least_and_a_largest_size(
    manager: SessionManager, clock: FakeClock, database: Database, seconds: float, rows: int
) -> None:
    database.seconds_for = lambda _: seconds
    for _ in range(10):
        manager.parts.purger.purge_if_due()
        clock.advance(minutes=5)

    assert database.batches[-1] == rows


def test_who_has_deleted_all_rests_for_the_interval(
    manager: SessionManager, clock: FakeClock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.parts.purger.purge_if_due()
    clock.advance(seconds=1)
    assert is_purge_due(manager)
    monkeypatch.setattr(manager.parts.store, "purge", lambda *_, **__: 0)
    manager.parts.purger.purge_if_due()

    clock.advance(minutes=59)
    assert not is_purge_due(manager)
    clock.advance(minutes=1)
    assert is_purge_due(manager)
