"""``Bench``: an app set up for a test, with every part that the test moves at hand.

Must not know pytest: the fixtures are made of this, and so can other test runners' be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

import peewee

from wsgi_sessions.clock import Clock
from wsgi_sessions.config import SessionConfig
from wsgi_sessions.environ import REQUEST_KEY
from wsgi_sessions.events import SessionEvent
from wsgi_sessions.manager import SessionManager
from wsgi_sessions.middleware import SessionMiddleware

from .browser import Browser
from .clock import FakeClock
from .factories import Factories
from .faults import Faults
from .network import Network
from .seam import WatchedStore
from .settings import settings_for_tests
from .workers import Workers
from .wrapping import find_session_middleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Self

__all__ = ["MEMORY", "Bench", "assembled_manager", "config_for_tests", "default_base_url", "wrap"]

MEMORY = "sqlite:///:memory:"


class Bench:
    """An app, wrapped if it is not, on a fresh database under a clock of its own.

    If the app contains a ``SessionMiddleware``, its manager works with the test's database,
    config and clock until the block ends. ``settings`` are changes of that config.

    >>> def app(environ, start_response):
    ...     user = environ["wsgi_sessions.user"]
    ...     status = "200 OK" if user else "401 Unauthorized"
    ...     start_response(status, [("Content-Type", "text/plain")])
    ...     return [b"account"]
    >>> with Bench(app, expires_in=3600, update_age=600) as bench:
    ...     browser = bench.new_browser()
    ...     session = browser.sign_in("ada@example.org")
    ...     before = browser.get("/account").status_int
    ...     bench.clock.advance(hours=1)
    ...     before, browser.get("/account").status_int
    (200, 401)
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        config: SessionConfig | None = None,
        database: str | peewee.Database = MEMORY,
        clock: FakeClock | None = None,
        **settings: Any,
    ) -> None:
        self._inner_app = app
        self._config = config_for_tests(app) if config is None else config
        if settings:
            self._config = settings_for_tests(self._config, **settings)
        self._database = database
        self._stack = ExitStack()
        self.clock = clock if clock is not None else FakeClock()
        self.network = Network()
        self.events: list[SessionEvent] = []

    def __enter__(self) -> Self:
        self.manager = self._stack.enter_context(
            assembled_manager(
                self._inner_app, database=self._database, config=self._config, clock=self.clock
            )
        )
        self.manager.events.subscribe(self.events.append)
        self.app = wrap(self._inner_app, self.manager)
        self.factories = Factories(self.manager)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @cached_property
    def faults(self) -> Faults:
        """A database that is down, locked, slow or forgetful; it reads along once asked for."""
        return Faults(self.manager, self.clock)

    @cached_property
    def workers(self) -> Workers:
        """Workers with caches and clocks of their own; faults asked for before meet them too."""
        faults = self.__dict__.get("faults")
        return Workers(self.app, self.manager, self.clock, faults=faults)

    def new_browser(
        self,
        user_agent: str = "Firefox on Linux",
        *,
        address: str | None = "127.0.0.1",
        base_url: str | None = None,
    ) -> Browser:
        """Return another browser with an empty jar."""
        return Browser(
            self.app,
            clock=self.clock,
            manager=self.manager,
            user_agent=user_agent,
            address=address,
            base_url=base_url or default_base_url(self.manager.config),
            network=self.network,
        )


def config_for_tests(app: WSGIApplication | None) -> SessionConfig:
    """Return the config of an app's ``SessionMiddleware``, or the defaults, cheap to run."""
    middleware = None if app is None else find_session_middleware(app)
    return settings_for_tests(None if middleware is None else middleware.manager.config)


@contextmanager
def assembled_manager(
    app: WSGIApplication | None,
    *,
    database: str | peewee.Database,
    config: SessionConfig,
    clock: Clock,
) -> Iterator[SessionManager]:
    """Lend the app's own manager the parts of a test, or make one if the app has none."""
    middleware = None if app is None else find_session_middleware(app)
    if middleware is not None:
        with middleware.manager.reassembled(
            database=database, config=config, clock=clock, wrap_store=WatchedStore.wrap
        ) as manager:
            manager.create_tables()
            yield manager
        return
    manager = SessionManager(database, config=config, clock=clock)
    with manager.reassembled(wrap_store=WatchedStore.wrap):
        manager.create_tables()
        try:
            yield manager
        finally:
            manager.close()


def wrap(app: WSGIApplication, manager: SessionManager) -> WSGIApplication:
    """Return the app as it is if it has a ``SessionMiddleware``, else wrapped in one.

    Raises ``LookupError`` at a request that met another one further in.
    """
    if find_session_middleware(app) is not None:
        return app

    def seen(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        ours = environ[REQUEST_KEY]
        iterable = app(environ, start_response)
        if environ.get(REQUEST_KEY) is not ours:
            raise LookupError(
                "the app has a SessionMiddleware of its own that can't be seen from outside, so "
                "it works on its own database and clock; make it with the test's manager: "
                "def wsgi_app(session_manager): return create_app(session_manager)"
            )
        return iterable

    return SessionMiddleware(seen, manager)


def default_base_url(config: SessionConfig) -> str:
    """Return where browsers find the app: at localhost, or at the domain of its cookies."""
    domain = config.cookie.domain
    return "https://localhost" if domain is None else f"https://{domain.removeprefix('.')}"
