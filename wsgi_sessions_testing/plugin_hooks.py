"""The hooks of the pytest plugin: option, marker, header, and names that other plugins use too."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .browser.browser import Browser
    from .live import LiveServer

MEMORY_URLS = ("sqlite:", "sqlite://", "sqlite:///:memory:")
_MARKER = "sessions(**settings): change settings of wsgi_sessions for this test"
_SPLINTER = ("pytest-splinter", "pytest_splinter.plugin", "splinter")
_NAMES_OTHERS_USE = {
    "browser": ("playwright", "pytest_playwright.pytest_playwright", *_SPLINTER),
    "session_browser": _SPLINTER,
    "live_server": ("django", "pytest_django.plugin", "flask", "pytest_flask.plugin"),
}


def _make_browser(app_browser: Browser) -> Browser:
    """A browser talking to your application: ``app_browser``, unless another plugin has one."""
    return app_browser


def _serve_live(session_live_server: LiveServer) -> LiveServer:
    """Your application under real gunicorn: ``session_live_server``, unless a plugin has one."""
    return session_live_server


_MADE_BY: dict[str, Callable[..., Any]] = {
    "browser": _make_browser,
    "session_browser": _make_browser,
    "live_server": _serve_live,
}
"""What makes a fixture of a name, unless another plugin has one of that name."""


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
    # A warning that importing WebOb 1.8 gives: the project under test can't prevent it.
    config.addinivalue_line(
        "filterwarnings", "ignore:'cgi' is deprecated:DeprecationWarning:webob.compat"
    )
    url: str | None = config.getoption("--sessions-database")
    if url is not None and url.startswith("sqlite") and url not in MEMORY_URLS:
        raise pytest.UsageError(
            f"--sessions-database={url} names a file, which tests would share and fill; without "
            "the option they run on SQLite in memory, and on a file if the fixture "
            "session_database returns its URL"
        )
    # Fixtures of other plugins build on their own fixture of a name, and would break on ours.
    for name, others in _NAMES_OTHERS_USE.items():
        if not any(map(config.pluginmanager.hasplugin, others)):
            ours = ModuleType(f"wsgi_sessions_{name}")
            setattr(ours, name, pytest.fixture(name=name)(_MADE_BY[name]))
            config.pluginmanager.register(ours, ours.__name__)


def pytest_report_header(config: pytest.Config) -> str:
    line = "wsgi-sessions: argon2 runs at its cheapest parameters"
    url: str | None = config.getoption("--sessions-database")
    if url is not None:
        # Neither the account nor the query: both may hold a password.
        place = url.partition("://")[2].partition("?")[0].rpartition("@")[2]
        line += f"; database: {url.partition(':')[0]} at {place}"
    return line
