"""The pytest plugin: its fixtures, none of them ``autouse``.

Nothing but pytest is imported until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from .fixture_values import (
    NO_APP,
    EventRecorder,
    app_or_none,
    check_returned,
    checked_app,
    marker_settings,
)
from .plugin_hooks import (
    MEMORY_URLS,
    pytest_addoption,  # noqa: F401  these three are for pytest to find
    pytest_configure,  # noqa: F401
    pytest_report_header,  # noqa: F401
)

if TYPE_CHECKING:
    import peewee
    from _typeshed.wsgi import WSGIApplication

    from wsgi_sessions import SessionConfig, SessionEvent, SessionManager, SignIn, User

    from .browser.browser import Browser
    from .factories import Factories
    from .fakes.clock import FakeClock
    from .fakes.databases import ServerDatabase
    from .fakes.faults import Faults
    from .fakes.mailbox import Mailbox
    from .fakes.network import Network
    from .fakes.workers import Workers
    from .live import LiveServer
    from .schedules import Schedules


@pytest.fixture
def session_clock() -> FakeClock:
    """The clock of the test, by which everything in ``wsgi_sessions`` goes."""
    from .fakes.clock import FakeClock

    return FakeClock()


# Short names of what ours build on: a project may have fixtures of its own by these names.


@pytest.fixture
def clock(session_clock: FakeClock) -> FakeClock:
    """The ``session_clock``, unless your project has a clock of its own."""
    return session_clock


@pytest.fixture
def network(session_network: Network) -> Network:
    """The ``session_network``, unless your project has a network of its own."""
    return session_network


@pytest.fixture
def mailbox(session_mailbox: Mailbox) -> Mailbox:
    """The ``session_mailbox``, unless your project has a mailbox of its own."""
    return session_mailbox


@pytest.fixture
def faults(session_faults: Faults) -> Faults:
    """The ``session_faults``, unless your project has faults of its own."""
    return session_faults


@pytest.fixture
def workers(session_workers: Workers) -> Workers:
    """The ``session_workers``, unless your project has workers of its own."""
    return session_workers


@pytest.fixture
def wsgi_app() -> WSGIApplication:
    """Your application: the one fixture to define."""
    pytest.fail(NO_APP, pytrace=False)


@pytest.fixture
def session_config(request: pytest.FixtureRequest) -> SessionConfig:
    """The settings: those of your app's middleware, or the defaults, as the marker changes them.

    Override it for settings of your own; the marker changes those too.
    """
    from .bench import config_for_tests
    from .settings import with_changes

    return with_changes(config_for_tests(app_or_none(request)), *marker_settings(request))


@pytest.fixture
def _session_settings(
    request: pytest.FixtureRequest, session_config: SessionConfig
) -> SessionConfig:
    """The settings of the test, with the cheapest password hashing unless a marker changes it."""
    from .settings import settings_for_tests, with_changes

    check_returned("session_config", session_config)
    try:
        config = settings_for_tests(session_config)
    except TypeError as error:
        pytest.fail(f"The fixture session_config: {error}", pytrace=False)
    return with_changes(config, *marker_settings(request))


@pytest.fixture(scope="session")
def _session_server(request: pytest.FixtureRequest) -> Iterator[ServerDatabase | None]:
    url: str | None = request.config.getoption("--sessions-database")
    if url is None or url in MEMORY_URLS:
        yield None
        return
    from .fakes.databases import ServerDatabase

    server: ServerDatabase | None = None
    failure = ""
    try:
        server = ServerDatabase(url)
        server.drop()
        server.sweep()
    except Exception as error:
        failure = f"--sessions-database: {error}"
    if server is None or failure:
        # Outside of the except block: a traceback would show the password given to the driver.
        pytest.fail(failure, pytrace=False)
    try:
        yield server
    finally:
        server.drop()


@pytest.fixture
def session_database(
    request: pytest.FixtureRequest, _session_settings: SessionConfig
) -> str | peewee.Database:
    """A fresh database: SQLite in memory, or on the server that ``--sessions-database`` names.

    With a user model of your own it is that model's database; the rows of ours that a test
    adds there are removed after it, those of your models are yours to clean up.
    """
    from .bench import database_for_tests

    user_model = _session_settings.user_model
    url: str | None = request.config.getoption("--sessions-database")
    if user_model is not None and url is not None:
        pytest.fail(
            f"--sessions-database can't move the user model {user_model.__name__} from its own "
            "database: point that at the server, and leave the option out",
            pytrace=False,
        )
    server: ServerDatabase | None = request.getfixturevalue("_session_server")
    return database_for_tests(_session_settings) if server is None else server.make_fresh()


@pytest.fixture
def _session_log() -> Iterator[EventRecorder]:
    log = EventRecorder()
    yield log
    log.stop()


@pytest.fixture
def session_manager(
    request: pytest.FixtureRequest,
    _session_settings: SessionConfig,
    session_database: str | peewee.Database,
    session_clock: FakeClock,
    _session_log: EventRecorder,
) -> Iterator[SessionManager]:
    """The ``SessionManager`` of the test: your app's own, if it has one, with the test's parts."""
    from contextlib import nullcontext

    from .bench import assembled_manager
    from .fakes.databases import added_rows_removed

    check_returned("session_database", session_database)
    own = _session_settings.user_model
    with assembled_manager(
        app_or_none(request),
        database=session_database,
        config=_session_settings,
        clock=session_clock,
    ) as manager:
        is_theirs = own is not None and session_database is own._meta.database
        with added_rows_removed(manager) if is_theirs else nullcontext():
            _session_log.listen_to(manager)
            yield manager


@pytest.fixture
def session_app(wsgi_app: WSGIApplication, session_manager: SessionManager) -> WSGIApplication:
    """Your application with sessions, on the test's parts; wrapped here if it is not."""
    from .bench import wrap

    return wrap(checked_app(wsgi_app), session_manager)


@pytest.fixture
def session_network() -> Network:
    """The network between browsers and app: it can lose, delay and repeat responses."""
    from .fakes.network import Network

    return Network()


@pytest.fixture
def new_browser(
    session_app: WSGIApplication,
    session_manager: SessionManager,
    session_clock: FakeClock,
    session_network: Network,
) -> Callable[..., Browser]:
    """Make browsers: ``new_browser("Safari on iPhone", address="192.0.2.7")``."""
    from .bench import default_base_url
    from .browser.browser import Browser

    def new_browser(
        user_agent: str = "Firefox on Linux",
        *,
        address: str | None = "127.0.0.1",
        base_url: str | None = None,
    ) -> Browser:
        return Browser(
            session_app,
            clock=session_clock,
            manager=session_manager,
            user_agent=user_agent,
            address=address,
            base_url=base_url or default_base_url(session_manager.config),
            network=session_network,
        )

    return new_browser


@pytest.fixture
def app_browser(new_browser: Callable[..., Browser]) -> Browser:
    """A browser talking to your application, whatever other plugins call theirs."""
    return new_browser()


@pytest.fixture
def session_events(
    session_manager: SessionManager, _session_log: EventRecorder
) -> list[SessionEvent]:
    """The audit events since the test began, the earliest first."""
    _session_log.listen_to(session_manager)
    return _session_log.events


@pytest.fixture
def session_mailbox(session_manager: SessionManager) -> Mailbox:
    """The mails of the test: ``mailbox.last("reset-password").token``."""
    from .fakes.mailbox import Mailbox

    return Mailbox(session_manager)


@pytest.fixture
def session_faults(session_manager: SessionManager, session_clock: FakeClock) -> Faults:
    """A database that is down, locked, slow or loses a write, and workers that die."""
    from .fakes.faults import Faults

    return Faults(session_manager, session_clock)


@pytest.fixture
def session_workers(
    request: pytest.FixtureRequest,
    session_app: WSGIApplication,
    session_manager: SessionManager,
    session_clock: FakeClock,
) -> Workers:
    """Several workers with caches and clocks of their own: ``first, second = workers(2)``."""
    from .fakes.workers import Workers

    are_broken = "session_faults" in request.fixturenames
    faults = request.getfixturevalue("session_faults") if are_broken else None
    return Workers(session_app, session_manager, session_clock, faults=faults)


@pytest.fixture
def schedules(
    wsgi_app: WSGIApplication,
    _session_settings: SessionConfig,
    session_database: str | peewee.Database,
    session_clock: FakeClock,
) -> Schedules:
    """Parallel requests in chosen or all orders, each story on the test's database."""
    from .schedules import Schedules

    check_returned("session_database", session_database)
    return Schedules(
        checked_app(wsgi_app),
        config=_session_settings,
        database=session_database,
        clock=session_clock,
    )


@pytest.fixture
def session_live_server(
    request: pytest.FixtureRequest, wsgi_app: WSGIApplication, _session_settings: SessionConfig
) -> Iterator[LiveServer]:
    """Your application under real gunicorn, on a database of its own and real time.

    ``live_server`` where no other plugin has one. Users for it are made by its ``make_user``.
    The other fixtures keep their own database and clock.
    """
    from .live import LiveServer, manager_for_processes

    folder = request.getfixturevalue("tmp_path")
    with (
        manager_for_processes(_session_settings, folder=folder) as manager,
        LiveServer(checked_app(wsgi_app), manager=manager) as server,
    ):
        yield server


@pytest.fixture
def _session_factories(session_manager: SessionManager) -> Factories:
    from .factories import Factories

    return Factories(session_manager)


@pytest.fixture
def make_user(_session_factories: Factories) -> Callable[..., User]:
    """Make users: see ``Factories.make_user``."""
    return _session_factories.make_user


@pytest.fixture
def make_session(_session_factories: Factories) -> Callable[..., SignIn]:
    """Make sessions of any age, generation or end: see ``Factories.make_session``."""
    return _session_factories.make_session
