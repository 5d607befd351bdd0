"""Claims about the pool that need no database: who is interrupted while waiting keeps nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wsgi_sessions.storage import pool as pool_module
from wsgi_sessions.storage.pool import Pool, PooledConnection


class Interrupted(BaseException):
    """As a greenlet's time-out interrupts whoever waits."""


class Emptied(list[PooledConnection]):
    """Has one when it is looked at, which another thread has taken when it is to be taken."""

    def __len__(self) -> int:
        return 1

    def pop(self, index: Any = -1) -> PooledConnection:
        raise IndexError("pop from empty list")


class Connection:
    def close(self) -> None:
        pass


def interrupt_waiting(
    monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Have every wait broken off, after something has happened meanwhile."""

    class Event:
        def set(self) -> None:
            pass

        def wait(self, seconds: float | None) -> bool:
            meanwhile()
            raise Interrupted

    class Waiter:
        def __init__(self) -> None:
            self.event: Any = Event()
            self.entry: PooledConnection | None = None

    monkeypatch.setattr(pool_module, "_Waiter", Waiter)


@pytest.fixture
def pool() -> Pool:
    def open_one() -> PooledConnection:
        return PooledConnection(Connection(), lock_ms=0, file_id=None)

    return Pool(1, open_one=open_one, is_full=lambda error: False)


def test_who_is_interrupted_waits_no_longer(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = pool.take()
    interrupt_waiting(monkeypatch)
    with pytest.raises(Interrupted):
        pool.take()

    pool.give(taken)

    assert pool.take() is taken


@pytest.mark.parametrize("is_given", [True, False])
def test_what_was_handed_to_who_is_interrupted_goes_back(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, is_given: bool
) -> None:
    taken = pool.take()
    interrupt_waiting(monkeypatch, lambda: pool.give(taken) if is_given else pool.discard(taken))
    with pytest.raises(Interrupted):
        pool.take()

    assert (pool.take() is taken) is is_given


def test_idle_one_that_another_thread_was_faster_to_take_is_not_missed(pool: Pool) -> None:
    pool.idle = Emptied()

    assert isinstance(pool.take(), PooledConnection)


def test_who_waits_is_not_forgotten_where_an_idle_one_is_taken_by_another(pool: Pool) -> None:
    taken = pool.take()
    waiter = pool_module._Waiter()
    pool.waiters.append(waiter)
    pool.idle = Emptied()

    pool.serve()
    pool.idle = []
    pool.give(taken)

    assert waiter.entry is taken
