"""``Workers``: several middlewares with caches and clocks of their own on one database.

No process is started: what sets workers apart is what each has in memory.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wsgi_sessions.clock import Clock
from wsgi_sessions.manager import SessionManager
from wsgi_sessions.middleware import SessionMiddleware

from .clock import FakeClock
from .faults import Faults
from .instrumentation import WatchedStore, watch_feed
from .interception import inner_app
from .managers import sibling
from .wrapping import find_session_middleware, rewrapped

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class Worker:
    """One worker process: ``app`` is the application around a ``middleware`` of its own.

    The layers around the middleware are copies that refer to the same objects; where one can't
    be copied, ``app`` is the middleware itself.
    """

    def __init__(
        self, number: int, app: WSGIApplication, middleware: SessionMiddleware, clock: Clock
    ) -> None:
        self.number = number
        self.clock = clock
        self.manager: SessionManager = middleware.manager
        self.middleware = middleware
        self.app = app

    def __repr__(self) -> str:
        return f"<Worker {self.number} at {self.clock!r}>"


class Workers:
    """Makes workers of one application: ``first, second = workers(2)``.

    >>> from wsgi_sessions_testing import Bench
    >>> def app(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [b"hello"]
    >>> with Bench(app, cookie_cache=True) as bench:
    ...     first, second = bench.workers(2, skew=2)
    ...     second.clock.now_ms() - first.clock.now_ms()
    2000
    """

    def __init__(
        self, app: Any, manager: SessionManager, clock: FakeClock, *, faults: Faults | None = None
    ) -> None:
        found = find_session_middleware(app)
        if found is None:
            raise LookupError(f"{app!r} is not wrapped in SessionMiddleware as far as can be seen")
        self._app = app
        self._middleware = found
        self._manager = manager
        self._clock = clock
        self._faults = faults
        self._made: list[Worker] = []

    def __call__(self, count: int, *, skew: timedelta | float = 0) -> list[Worker]:
        """Make workers; the clock of each is ``skew`` ahead of that of the one before.

        ``skew`` is a ``timedelta`` or seconds; below zero it is behind.
        """
        step = skew if isinstance(skew, timedelta) else timedelta(seconds=skew)
        return [self.start(skew=step * number) for number in range(count)]

    def start(self, *, skew: timedelta | float = 0) -> Worker:
        """Make one worker whose clock is ``skew`` ahead of the test's."""
        clock: Clock = self._clock.skewed(skew) if skew else self._clock
        manager = sibling(self._manager, clock=clock, wrap_store=WatchedStore.wrap)
        watch_feed(manager.parts.feed)
        if self._faults is not None:
            self._faults.watch(manager)
        middleware = copy.copy(self._middleware)
        SessionMiddleware.__init__(middleware, inner_app(self._middleware), manager)
        app: WSGIApplication = middleware
        with suppress(LookupError):
            app = rewrapped(self._app, middleware)
        worker = Worker(len(self._made) + 1, app, middleware, clock)
        self._made.append(worker)
        return worker

    def meet(self, faults: Faults) -> None:
        """Let faults break the calls of the workers made so far, and of those to come."""
        self._faults = faults
        for worker in self._made:
            faults.watch(worker.manager)
