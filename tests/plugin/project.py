"""A downstream project with tests of its own, as the tests of the plugin run it."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from textwrap import dedent
from typing import Any

import pytest

import wsgi_sessions_testing.assertions.session_ends

# What is here already is not imported anew by every run in this process.
import wsgi_sessions_testing.bench
import wsgi_sessions_testing.schedules  # noqa: F401

APP = """
    import pytest

    def account_app(environ, start_response):
        is_refused = environ["PATH_INFO"] == "/account" and environ["wsgi_sessions.user"] is None
        status = "401 Unauthorized" if is_refused else "200 OK"
        start_response(status, [("Content-Type", "text/plain")])
        return [b"account"]
"""

BARE = """
    @pytest.fixture
    def wsgi_app():
        return account_app
"""

WRAPPED = """
    from datetime import timedelta
    from wsgi_sessions import SessionManager, SessionMiddleware

    SECRET = "the-secret-of-a-project-under-test"
    manager = SessionManager("sqlite:///theirs.db", secret=SECRET, expires_in=timedelta(days=7))
    application = SessionMiddleware(account_app, manager)

    class Logging:
        def __init__(self, wrapped):
            self.wrapped = wrapped

        def __call__(self, environ, start_response):
            return self.wrapped(environ, start_response)

    @pytest.fixture
    def wsgi_app():
        return Logging(application)
"""

EXAMPLES = """
    def test_session_ends_after_a_week_of_silence(browser, clock):
        browser.sign_in("ada@example.org")
        clock.advance(days=7, seconds=1)
        assert browser.get("/account").status_int == 401

    def test_token_rotates_once_a_day(browser, clock):
        browser.sign_in("ada@example.org")
        before = browser.session_token
        clock.advance(days=1)
        browser.get("/")
        assert browser.session_token != before

    def test_two_devices(new_browser):
        laptop, phone = new_browser("Firefox on Linux"), new_browser("Safari on iPhone")
        laptop.sign_in("ada@example.org"); phone.sign_in("ada@example.org")
        laptop.revoke_session(phone.session.id)
        assert phone.session is None and laptop.session is not None

    def test_a_lost_response_signs_nobody_out(browser, clock, network):
        browser.sign_in("ada@example.org")
        clock.advance(days=1)
        with network.losing_responses(1):
            browser.get("/")
        assert browser.get("/account").status_int == 200
"""

_RANDOM_PARTS = {
    r"v1\.[\w-]{4}…\.(\d+)\.[\w-]{4}…": r"v1.abcd….\1.wxyz…",
    r"known_device=[\w-]{8}…": "known_device=wxyz…",
    r"of session [\w-]{4}…": "of session abcd…",
    r" at 0x[0-9a-f]+>": " at 0x7f>",
    r"\bid='[\w-]+'": "id='…'",
    r"\buser_id='[\w-]+'": "user_id='…'",
}


class Project:
    """A downstream project with tests."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.options = ["-p", "wsgi_sessions_testing.plugin", "-p", "no:cacheprovider"]

    def write(self, *conftest: str, tests: str) -> None:
        self.pytester.makeconftest("\n".join(dedent(part) for part in conftest))
        self.pytester.makepyfile(test_project=tests)

    def run(self, *options: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(*self.options, *options)

    def run_apart(self, *options: str) -> pytest.RunResult:
        """Run in a process of its own, for what would stay behind in this one."""
        return self.pytester.runpytest_subprocess(*self.options, *options)

    def run_python(self, *arguments: str) -> pytest.RunResult:
        """Run Python, every warning an error but that of WebOb 1.8, which imports ``cgi``."""
        ignored = "ignore:'cgi' is deprecated:DeprecationWarning"
        return self.pytester.run(sys.executable, "-W", "error", "-W", ignored, *arguments)

    def told(self, *options: str) -> str:
        """Run, and return what the only failure says: the text a user reads, in full.

        What is random in it is replaced.
        """
        recorded = self.pytester.inline_run(*self.options, *options)
        reports = recorded.getreports("pytest_runtest_logreport")
        failures: list[Any] = [report.longrepr for report in reports if report.failed]
        assert len(failures) == 1, failures
        crash = getattr(failures[0], "reprcrash", None)
        text = str(failures[0]) if crash is None else str(crash.message)
        for pattern, replacement in _RANDOM_PARTS.items():
            text = re.sub(pattern, replacement, text)
        return text


def need(package: str) -> None:
    """Skip a test for want of a package; with ``CI=true`` that fails it (tests/conftest.py)."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed; it comes with the extra dev")
