"""``Faults``: a database that is down, locked, slow or forgetful, and workers that die.

Must not change the product: it stands at the points where the store is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from wsgi_sessions.clock import ms_from_duration
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.manager import SessionManager

from .clock import FakeClock
from .instrumentation import READ, WRITE, WatchedStore

__all__ = ["Faults", "WorkerKilled"]


class WorkerKilled(BaseException):
    """A worker process died here; nothing in it can catch this."""


@dataclass(slots=True)
class _Trouble:
    meets: Callable[[str], bool]
    act: Callable[[str, Callable[[], Any]], Any]
    left: int | None
    met: int = 0


class Faults:
    """Breaks the database of a manager, for the length of a ``with`` block.

    A block in which nothing met the trouble, or less than it was told to, raises
    ``AssertionError``, because the test then shows nothing.
    ``manager`` must have a watched store, as the managers of ``Bench`` and of the fixtures do.
    """

    def __init__(self, manager: SessionManager, clock: FakeClock) -> None:
        self._manager = manager
        self._clock = clock
        self._troubles: list[_Trouble] = []
        self._before: dict[Any, list[dict[str, Any]]] | None = None
        self.watch(manager)

    def watch(self, manager: SessionManager) -> None:
        """Break another manager's calls too: that of another worker."""
        store: Any = manager.store
        if not isinstance(store, WatchedStore):
            raise TypeError(
                "this manager's store can't be broken; use a manager of Bench or of the "
                "session_manager fixture"
            )
        store.watchers.append(self)

    @contextmanager
    def database_down(self, count: int | None = None) -> Iterator[None]:
        """Have the next ``count`` reads and writes, or all in the block, find no database."""
        with self._trouble(lambda _: True, _refuse, count):
            yield

    @contextmanager
    def database_locked(self, count: int | None = None) -> Iterator[None]:
        """Have writes fail as they do when others hold the lock for too long; reads work."""
        with self._trouble(lambda point: point == WRITE, _refuse, count):
            yield

    @contextmanager
    def database_slow(self, by: timedelta | int) -> Iterator[None]:
        """Have every read and write take so long, a ``timedelta`` or whole seconds."""
        delay = timedelta(milliseconds=ms_from_duration(by))

        def wait(_: str, call: Callable[[], Any]) -> Any:
            self._clock.advance(delay)
            return call()

        with self._trouble(lambda _: True, wait, None):
            yield

    @contextmanager
    def database_unasked(self) -> Iterator[None]:
        """Assert that nothing in the block asks the database: what is cached has to do."""
        asked: list[str] = []

        def note(point: str, call: Callable[[], Any]) -> Any:
            asked.append(point)
            return call()

        trouble = _Trouble(lambda _: True, note, None)
        self._troubles.append(trouble)
        try:
            yield
        finally:
            self._troubles = [known for known in self._troubles if known is not trouble]
        if asked:
            raise AssertionError(f"the database was asked within the block: {', '.join(asked)}")

    @contextmanager
    def worker_killed(
        self, *, after: str | None = None, before: str | None = None
    ) -> Iterator[None]:
        """Have the worker die at its next ``"read"`` or ``"write"``, before or after it.

        Its browser gets no answer: a ``LostResponse``. What was committed stays.
        """
        point = after if before is None else before
        if point not in (READ, WRITE) or (after is None) == (before is None):
            raise ValueError('give one point: after="write", before="write", after="read" …')

        def die(_: str, call: Callable[[], Any]) -> Any:
            if after is not None:
                call()
            raise WorkerKilled

        with self._trouble(
            lambda reached: reached == point,
            die,
            1,
            missing=f"a worker was to be killed at a {point}, but none came to one",
        ):
            yield

    def fail_over(self) -> None:
        """Switch to a standby that never got the last write: it is undone.

        Raises ``LookupError`` when nothing has been written since this was set up.
        """
        if self._before is None:
            raise LookupError("nothing has been written yet, so there is no last write to lose")
        before, self._before = self._before, None

        def restore() -> None:
            for model, rows in before.items():
                model.delete().execute()
                if rows:
                    model.insert_many(rows).execute()

        self._manager.connections.run(lambda: self._manager.connections.atomically(restore))

    def around(self, point: str, _name: str, call: Callable[[], Any]) -> Any:
        """Stand at a point: see ``Watcher``."""
        if point == WRITE:
            self._before = self._read_all()
        for trouble in reversed(self._troubles):
            if trouble.left != 0 and trouble.meets(point):
                trouble.met += 1
                if trouble.left is not None:
                    trouble.left -= 1
                return trouble.act(point, call)
        return call()

    @contextmanager
    def _trouble(
        self,
        meets: Callable[[str], bool],
        act: Callable[[str, Callable[[], Any]], Any],
        count: int | None,
        *,
        missing: str | None = None,
    ) -> Iterator[None]:
        if count is not None and (isinstance(count, bool) or count < 1):
            raise ValueError(f"{count!r} is no number of failures; give 1 or more, or nothing")
        trouble = _Trouble(meets, act, count)
        self._troubles.append(trouble)
        try:
            yield
        finally:
            self._troubles = [known for known in self._troubles if known is not trouble]
        if trouble.left or not trouble.met:
            if count is None:
                raise AssertionError(
                    "the database was to be in trouble, but was not asked within the block, so "
                    "the test shows nothing; if that is what it is to show, write "
                    "faults.database_unasked()"
                )
            what = missing or (
                f"the database was to fail {count} times, but was asked {trouble.left} times "
                "too few"
            )
            raise AssertionError(f"{what} within the block, so the test shows nothing")

    def _read_all(self) -> dict[Any, list[dict[str, Any]]]:
        found: dict[Any, list[dict[str, Any]]] = {}

        def read() -> None:
            for model in self._manager.models.created_here:
                found[model] = list(model.select().dicts())

        self._manager.connections.run(read)
        return found


def _refuse(_: str, __: Callable[[], Any]) -> Any:
    raise StoreUnavailableError("the database did not answer (as the test asked for)")
