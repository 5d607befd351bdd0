"""``Bench``: an app set up for a test, with all that the test changes; works without pytest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from inspect import signature
from typing import TYPE_CHECKING, Any

import peewee

from wsgi_sessions.clock import Clock
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.events import SessionEvent
from wsgi_sessions.manager import SessionManager
from wsgi_sessions.middleware import SessionMiddleware
from wsgi_sessions.parts import build_parts, connect, read_config
from wsgi_sessions.transport.environ import REQUEST_KEY

from .browser.browser import Browser
from .factories import Factories
from .fakes.clock import FakeClock
from .fakes.databases import added_rows_removed
from .fakes.faults import Faults
from .fakes.instrumentation import WatchedStore, watch_feed
from .fakes.mailbox import Mailbox
from .fakes.managers import manager_of, running_with
from .fakes.network import Network
from .fakes.workers import Workers
from .fakes.wrapping import find_session_middleware
from .settings import settings_for_tests

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Self, Unpack

    from wsgi_sessions.config.keywords import SessionSettings

MEMORY = "sqlite:///:memory:"


class _Open:
    """What a bench has within its block alone."""

    def __init__(self, manager: SessionManager, app: WSGIApplication, clock: FakeClock) -> None:
        self.manager = manager
        self.app = app
        self.factories = Factories(manager)
        self.workers = Workers(app, manager, clock)
        self._clock = clock

    @cached_property
    def faults(self) -> Faults:
        faults = Faults(self.manager, self._clock)
        self.workers.meet(faults)
        return faults


class Bench:
    """An app, wrapped if it is not, on a fresh database under a clock of its own.

    If the app contains a ``SessionMiddleware``, its manager works with the test's database,
    config and clock until the block ends. ``settings`` are changes of that config. Without
    ``database`` it is one in memory; with a user model of the app's own it is that model's,
    where the rows that the block added to our tables are removed at its end.

    ``faults`` is a database that is down, locked, slow or loses a write, and ``workers`` makes
    workers with caches and clocks of their own. ``faults`` reads every row before each write,
    from its first use on.

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

    manager: SessionManager
    app: WSGIApplication
    factories: Factories
    faults: Faults
    workers: Workers
    network: Network
    events: list[SessionEvent]
    mailbox: Mailbox

    def __init__(
        self,
        app: WSGIApplication | None,
        *,
        config: SessionConfig | None = None,
        database: str | peewee.Database | None = None,
        clock: FakeClock | None = None,
        **settings: Unpack[SessionSettings],
    ) -> None:
        self._inner_app = app
        self._config = config_for_tests(app) if config is None else config
        if settings:
            self._config = settings_for_tests(self._config, **settings)
        self._database = database
        self._open: _Open | None = None
        self._stack = ExitStack()
        self.clock = clock if clock is not None else FakeClock()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            database = self._database
            if database is None:
                database = database_for_tests(self._config)
            manager = stack.enter_context(
                assembled_manager(
                    self._inner_app, database=database, config=self._config, clock=self.clock
                )
            )
            if self._database is None and self._config.user_model is not None:
                stack.enter_context(added_rows_removed(manager))
            self.network = Network()
            self.events = []
            manager.events.subscribe(self.events.append)
            self.mailbox = Mailbox(manager)
            self._open = _Open(manager, wrap(self._inner_app, manager), self.clock)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = None
        self._stack.close()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name not in Bench.__annotations__:
                raise AttributeError(f"a bench has no {name}")
            if self._open is None or name in ("network", "events", "mailbox"):
                raise AttributeError(
                    f"a bench has {name} within its block alone; write with Bench(app) as bench: …"
                )
            return getattr(self._open, name)

    @contextmanager
    def emptied_afterwards(self) -> Iterator[Self]:
        """Remove what the block adds, so that one bench can serve several tests.

        The rows that it added to our tables are removed, and ``events`` and ``mailbox`` emptied.
        The clock is not set back, and changes to earlier rows stay.
        """
        with added_rows_removed(self.manager):
            try:
                yield self
            finally:
                self.events.clear()
                self.mailbox.clear()

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


def database_for_tests(config: SessionConfig) -> str | peewee.Database:
    """Return a fresh SQLite database in memory, or where the user model lives."""
    if config.user_model is None:
        return MEMORY
    database: peewee.Database = config.user_model._meta.database
    return database


@contextmanager
def assembled_manager(
    app: WSGIApplication | None,
    *,
    database: str | peewee.Database,
    config: SessionConfig,
    clock: Clock,
) -> Iterator[SessionManager]:
    """Give the app's own manager the parts of a test, or make one if the app has none.

    Raises ``TypeError`` for what is no WSGI app, and for a database that is None, with which the
    app's own would be used.
    """
    check_app(app)
    if database is None:
        raise TypeError("the database of a test is None; give a URL or a Peewee database")
    middleware = None if app is None else find_session_middleware(app)
    if middleware is not None:
        with running_with(
            middleware.manager,
            database=database,
            config=config,
            clock=clock,
            wrap_store=WatchedStore.wrap,
        ) as manager:
            _create_tables(manager)
            watch_feed(manager.parts.feed)
            yield manager
        return
    config = read_config(config, {})
    connections = connect(database, config)
    manager = manager_of(build_parts(connections, config, clock, wrap_store=WatchedStore.wrap))
    _create_tables(manager)
    watch_feed(manager.parts.feed)
    try:
        yield manager
    finally:
        manager.close()


def _create_tables(manager: SessionManager) -> None:
    """Create the missing tables; a database of our own gets them when it is opened."""
    if manager.parts.connections.is_owned:
        manager.parts.connections.run(lambda: None)
    else:
        manager.create_tables()


def check_app(app: Any) -> None:
    """Raise ``TypeError`` for what can't be a WSGI app; None is allowed."""
    if app is None:
        return
    if not callable(app):
        raise TypeError(f"{app!r} is no WSGI app; give the application itself")
    with suppress(ValueError):  # not every callable tells what it takes
        taken = signature(app)
        try:
            taken.bind({}, None)
        except TypeError:
            name = getattr(app, "__name__", repr(app))
            raise TypeError(
                f"{name}{taken} does not take (environ, start_response), so it is no WSGI app; "
                f"if it makes one, write {name}()"
            ) from None


def wrap(app: WSGIApplication | None, manager: SessionManager) -> WSGIApplication:
    """Return the app as it is if it has a ``SessionMiddleware``, else wrapped in one.

    A request raises ``LookupError`` if it meets another ``SessionMiddleware`` within the app.
    """
    if app is not None and find_session_middleware(app) is not None:
        return app

    def checked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        ours = environ[REQUEST_KEY]
        if app is None:
            raise LookupError("there is no app here to answer; write Bench(app)")
        iterable = app(environ, start_response)
        if ours._exchange.has_inner:
            raise LookupError(
                "the app has a SessionMiddleware of its own that can't be seen from outside, so "
                "it works on its own database and clock; make it with the test's manager: "
                "def wsgi_app(session_manager): return create_app(session_manager)"
            )
        return iterable

    return SessionMiddleware(checked, manager)


def default_base_url(config: SessionConfig) -> str:
    """Return where browsers find the app: at localhost, or at the domain of its cookies."""
    domain = config.cookie.domain
    return "https://localhost" if domain is None else f"https://{domain.removeprefix('.')}"
