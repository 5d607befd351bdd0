"""The pytest plugin: fixtures, the ``sessions`` marker and ``--sessions-database``.

Must not import anything but pytest until a fixture is used, and uses none by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import peewee
    from _typeshed.wsgi import WSGIApplication

    from wsgi_sessions import SessionConfig, SessionEvent, SessionManager, SignIn, User

    from .browser.browser import Browser
    from .factories import Factories
    from .fakes.clock import FakeClock
    from .fakes.databases import ServerDatabase
    from .fakes.faults import Faults
    from .fakes.network import Network
    from .fakes.workers import Workers
    from .live import LiveServer
    from .schedules import Schedules

__all__: list[str] = []

_MARKER = "sessions(**settings): change settings of wsgi_sessions for this test"
_NO_APP = """\
These tests need your application. Write into conftest.py:

    @pytest.fixture
    def wsgi_app():
        return my_project.create_app()

Any WSGI app will do, wrapped in SessionMiddleware or not."""
_SPLINTER = ("pytest-splinter", "pytest_splinter.plugin", "splinter")
_NAMES_OTHERS_USE = {
    "browser": ("playwright", "pytest_playwright.pytest_playwright", *_SPLINTER),
    "session_browser": _SPLINTER,
    "live_server": ("django", "pytest_django.plugin", "flask", "pytest_flask.plugin"),
}
_MADE_BY = {
    "browser": "_make_browser",
    "session_browser": "_make_browser",
    "live_server": "_serve_live",
}
"""Which function here makes a fixture of a name, where nobody else does."""
_MEMORY = ("sqlite:", "sqlite://", "sqlite:///:memory:")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("wsgi-sessions").addoption(
        "--sessions-database",
        metavar="URL",
        help=(
            "run tests that use wsgi_sessions on this server (postgresql://… or mysql://…) "
            "instead of SQLite; a schema or database of its own is made there and dropped"
        ),
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    # WebOb 1.8 says so at its import, which is nothing the project under test can mend.
    config.addinivalue_line(
        "filterwarnings", "ignore:'cgi' is deprecated:DeprecationWarning:webob.compat"
    )
    url: str | None = config.getoption("--sessions-database")
    if url is not None and url.startswith("sqlite") and url not in _MEMORY:
        raise pytest.UsageError(
            f"--sessions-database={url} names a file, which tests would share and fill; without "
            "the option they run on SQLite in memory, and on a file if the fixture "
            "session_database returns its URL"
        )
    # Their own fixtures build on theirs, and break on ours, whichever happened to come last.
    for name, others in _NAMES_OTHERS_USE.items():
        if not any(map(config.pluginmanager.hasplugin, others)):
            ours = ModuleType(f"wsgi_sessions_{name}")
            setattr(ours, name, pytest.fixture(name=name)(globals()[_MADE_BY[name]]))
            config.pluginmanager.register(ours, ours.__name__)


def pytest_report_header(config: pytest.Config) -> str:
    line = "wsgi-sessions: argon2 runs at its cheapest parameters"
    url: str | None = config.getoption("--sessions-database")
    if url is not None:
        # Neither the account nor the query: both may hold a password.
        place = url.partition("://")[2].partition("?")[0].rpartition("@")[2]
        line += f"; database: {url.partition(':')[0]} at {place}"
    return line


@pytest.fixture
def session_clock() -> FakeClock:
    """The time of the test, which everything in ``wsgi_sessions`` asks."""
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
    pytest.fail(_NO_APP, pytrace=False)


@pytest.fixture
def session_config(request: pytest.FixtureRequest) -> SessionConfig:
    """The settings: those of your app's middleware, or the defaults, as the marker changes them.

    Override it for settings of your own; the marker changes those too.
    """
    from .bench import config_for_tests
    from .settings import with_changes

    return with_changes(config_for_tests(_app_or_none(request)), *_marked(request))


@pytest.fixture
def _session_settings(
    request: pytest.FixtureRequest, session_config: SessionConfig
) -> SessionConfig:
    """The settings of the test: cheap to run, and then as its markers change them."""
    from .settings import settings_for_tests, with_changes

    _check_returned("session_config", session_config)
    try:
        config = settings_for_tests(session_config)
    except TypeError as error:
        pytest.fail(f"The fixture session_config: {error}", pytrace=False)
    return with_changes(config, *_marked(request))


@pytest.fixture(scope="session")
def _session_server(request: pytest.FixtureRequest) -> Iterator[ServerDatabase | None]:
    url: str | None = request.config.getoption("--sessions-database")
    if url is None or url in _MEMORY:
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
        # Out here, as a traceback would show what the driver was called with: the password.
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
def _session_log() -> Iterator[_Log]:
    log = _Log()
    yield log
    log.stop()


@pytest.fixture
def session_manager(
    request: pytest.FixtureRequest,
    _session_settings: SessionConfig,
    session_database: str | peewee.Database,
    session_clock: FakeClock,
    _session_log: _Log,
) -> Iterator[SessionManager]:
    """The ``SessionManager`` of the test: your app's own on other parts, if it has one."""
    from contextlib import nullcontext

    from .bench import assembled_manager
    from .fakes.databases import added_rows_removed

    _check_returned("session_database", session_database)
    own = _session_settings.user_model
    with assembled_manager(
        _app_or_none(request),
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

    return wrap(_checked(wsgi_app), session_manager)


@pytest.fixture
def session_network() -> Network:
    """What lies between the browsers and the app: loses, delays and repeats."""
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


def _make_browser(app_browser: Browser) -> Browser:
    """A browser talking to your application: ``app_browser``, where no other plugin has one."""
    return app_browser


@pytest.fixture
def session_events(session_manager: SessionManager, _session_log: _Log) -> list[SessionEvent]:
    """The audit events since the test began, the earliest first."""
    _session_log.listen_to(session_manager)
    return _session_log.events


@pytest.fixture
def session_faults(session_manager: SessionManager, session_clock: FakeClock) -> Faults:
    """A database that is down, locked, slow or forgetful, and workers that die."""
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
    """Parallel requests in chosen or all orders, each story on the database as it is now."""
    from .schedules import Schedules

    _check_returned("session_database", session_database)
    return Schedules(
        _checked(wsgi_app), config=_session_settings, database=session_database, clock=session_clock
    )


@pytest.fixture
def session_live_server(
    request: pytest.FixtureRequest, wsgi_app: WSGIApplication, _session_settings: SessionConfig
) -> Iterator[LiveServer]:
    """Your application under real gunicorn, on a database of its own and real time.

    ``live_server`` where no other plugin has one. Users for it are made by its ``make_user``.
    Nothing changes in this process, so the other fixtures work beside it, on their database
    and clock.
    """
    from .live import LiveServer, manager_for_processes

    folder = request.getfixturevalue("tmp_path")
    with (
        manager_for_processes(_session_settings, folder=folder) as manager,
        LiveServer(_checked(wsgi_app), manager=manager) as server,
    ):
        yield server


def _serve_live(session_live_server: LiveServer) -> LiveServer:
    """Your application under real gunicorn: ``session_live_server``, where nobody else has one."""
    return session_live_server


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


class _Log:
    """The events of a test, of whichever manager it has."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self._manager: SessionManager | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def listen_to(self, manager: SessionManager) -> None:
        """Listen, unless this manager is listened to: one that overrides ours is not."""
        if manager is not self._manager:
            self.stop()
            self._manager = manager
            self._unsubscribe = manager.events.subscribe(self.events.append)

    def stop(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()


def _app_or_none(request: pytest.FixtureRequest) -> Any:
    """Return the ``wsgi_app`` of the test, or None if there is none to be had here.

    There is none when nobody has defined it, and while one is being made out of the very
    fixture that asks.
    """
    try:
        return _checked(request.getfixturevalue("wsgi_app"))
    except pytest.FixtureLookupError:
        return None
    except pytest.fail.Exception as failure:
        if failure.msg == _NO_APP:
            return None
        raise


def _checked(app: Any) -> Any:
    """Return what ``wsgi_app`` has returned, if it can be an app."""
    from .bench import check_app

    _check_returned("wsgi_app", app)
    try:
        check_app(app)
    except TypeError as error:
        pytest.fail(f"The fixture wsgi_app: {error}", pytrace=False)
    return app


def _check_returned(fixture: str, value: object) -> None:
    if value is None:
        pytest.fail(f"The fixture {fixture} returned None; does it end in return …?", pytrace=False)


def _marked(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Return the settings of each ``sessions`` marker, that nearest to the test the last."""
    markers = list(request.node.iter_markers("sessions"))[::-1]
    for marker in markers:
        if marker.args:
            raise pytest.UsageError(
                "@pytest.mark.sessions takes settings by name; "
                "write @pytest.mark.sessions(idle_timeout=3600), say"
            )
    return [marker.kwargs for marker in markers]
