"""``Faults``: a database that is down, locked, slow or loses a write, and workers that die.

The product is left as it is: the calls of its store are broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from wsgi_sessions.clock import ms_from_duration
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.manager import SessionManager

from .clock import FakeClock
from .instrumentation import READ, WRITE, StoreCall, WatchedStore

_BOTH = (READ, WRITE)


class WorkerKilled(BaseException):
    """A worker process died here; nothing in it can catch this."""


@dataclass(slots=True)
class _Fault:
    """What becomes of calls of these kinds: of so many, or of all (``left`` is None)."""

    kinds: tuple[str, ...]
    act: Callable[[StoreCall], Any]
    left: int | None = None
    met_count: int = 0


class Faults:
    """Breaks the database of a manager, for the length of a ``with`` block.

    A block in which nothing met the fault, or fewer calls than it was for, raises
    ``AssertionError``, because the test then shows nothing.
    ``manager`` must have a watched store, as the managers of ``Bench`` and of the fixtures do.
    """

    def __init__(self, manager: SessionManager, clock: FakeClock) -> None:
        self._manager = manager
        self._clock = clock
        self._faults: list[_Fault] = []
        self._before: dict[Any, list[dict[str, Any]]] | None = None
        self.watch(manager)

    def watch(self, manager: SessionManager) -> None:
        """Break another manager's calls too: that of another worker."""
        store: Any = manager.parts.store
        if not isinstance(store, WatchedStore):
            raise TypeError(
                "this manager's store can't be broken; use a manager of Bench or of the "
                "session_manager fixture"
            )
        store.watchers.append(self)

    @contextmanager
    def database_down(self, count: int | None = None) -> Iterator[None]:
        """Have the next ``count`` reads and writes, or all in the block, find no database."""
        with self._during(_Fault(_BOTH, _refuse, count)):
            yield

    @contextmanager
    def database_locked(self, count: int | None = None) -> Iterator[None]:
        """Have writes fail as they do when others hold the lock for too long; reads work."""
        with self._during(_Fault((WRITE,), _refuse, count)):
            yield

    @contextmanager
    def database_slow(self, by: timedelta | int) -> Iterator[None]:
        """Have every read and write take so long, a ``timedelta`` or whole seconds."""
        delay = timedelta(milliseconds=ms_from_duration(by))

        def wait(call: StoreCall) -> Any:
            self._clock.advance(delay)
            return call.run()

        with self._during(_Fault(_BOTH, wait)):
            yield

    @contextmanager
    def database_unasked(self) -> Iterator[None]:
        """Assert that nothing in the block asks the database: what is cached has to do."""
        asked: list[str] = []

        def note(call: StoreCall) -> Any:
            asked.append(call.kind)
            return call.run()

        with self._added(_Fault(_BOTH, note)):
            yield
        if asked:
            raise AssertionError(f"the database was asked within the block: {', '.join(asked)}")

    @contextmanager
    def worker_killed(
        self, *, after: str | None = None, before: str | None = None
    ) -> Iterator[None]:
        """Have the worker die at its next ``"read"`` or ``"write"``, before or after it.

        Its browser gets no answer: a ``LostResponse``. What was committed stays.
        """
        kind = after if before is None else before
        if kind not in _BOTH or (after is None) == (before is None):
            raise ValueError('give one point: after="write", before="write", after="read" …')

        def die(call: StoreCall) -> NoReturn:
            if after is not None:
                call.run()
            raise WorkerKilled

        missing = f"a worker was to be killed at a {kind}, but none came to one"
        with self._during(_Fault((kind,), die, 1), missing=missing):
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

        self._manager.parts.connections.run(
            lambda: self._manager.parts.connections.atomically(restore)
        )

    def around(self, call: StoreCall) -> Any:
        """Make a call, or have it meet a fault: see ``Watcher``."""
        if call.kind == WRITE:
            self._before = self._read_all()
        for fault in reversed(self._faults):
            if fault.left != 0 and call.kind in fault.kinds:
                fault.met_count += 1
                if fault.left is not None:
                    fault.left -= 1
                return fault.act(call)
        return call.run()

    @contextmanager
    def _added(self, fault: _Fault) -> Iterator[None]:
        self._faults.append(fault)
        try:
            yield
        finally:
            # By identity: two blocks may ask for the same.
            self._faults = [known for known in self._faults if known is not fault]

    @contextmanager
    def _during(self, fault: _Fault, *, missing: str | None = None) -> Iterator[None]:
        """Add a fault for the length of a block; fail after it if calls were ``missing``."""
        count = fault.left
        if count is not None and (isinstance(count, bool) or count < 1):
            raise ValueError(f"{count!r} is no number of failures; give 1 or more, or nothing")
        with self._added(fault):
            yield
        if count is None and not fault.met_count:
            raise AssertionError(
                "the database was to be in trouble, but was not asked within the block, so "
                "the test shows nothing; if that is what it is to show, write "
                "faults.database_unasked()"
            )
        if fault.left:
            what = missing or (
                f"the database was to fail {count} times, but was asked {fault.left} times too few"
            )
            raise AssertionError(f"{what} within the block, so the test shows nothing")

    def _read_all(self) -> dict[Any, list[dict[str, Any]]]:
        found: dict[Any, list[dict[str, Any]]] = {}

        def read() -> None:
            for model in self._manager.parts.models.created_here:
                found[model] = list(model.select().dicts())

        self._manager.parts.connections.run(read)
        return found


def _refuse(_: StoreCall) -> NoReturn:
    raise StoreUnavailableError("the database did not answer (as the test asked for)")
