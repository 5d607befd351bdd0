"""Claims about ``Bench``, which every fixture is made of: the app on the parts of a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import SessionEvent, SessionManager, SessionMiddleware
from wsgi_sessions_testing import Bench

SECRET = "the-secret-of-a-project-under-test"


def account_app(environ: Any, start_response: Any) -> list[bytes]:
    status = "401 Unauthorized" if environ["wsgi_sessions.user"] is None else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [b"account"]


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return SessionManager(f"sqlite:///{tmp_path}/theirs.db", secret=SECRET)


class TestListeners:
    """The application's own listeners."""

    def test_they_hear_what_happens_in_a_test(self, manager: SessionManager) -> None:
        heard: list[SessionEvent] = []
        manager.events.subscribe(heard.append)

        with Bench(SessionMiddleware(account_app, manager)) as bench:
            bench.new_browser().sign_in("ada@example.org")

        assert [event.name for event in heard] == ["session_created"]

    def test_they_hear_what_workers_do_once(self, manager: SessionManager) -> None:
        heard: list[SessionEvent] = []
        manager.events.subscribe(heard.append)

        with Bench(SessionMiddleware(account_app, manager)) as bench:
            session = bench.new_browser().sign_in("ada@example.org")
            bench.workers.start().manager.revoke_session(session.id)

        assert [event.name for event in heard] == ["session_created", "session_ended"]

    def test_those_of_a_test_are_gone_with_it(self, manager: SessionManager) -> None:
        with Bench(SessionMiddleware(account_app, manager)) as bench:
            bench.new_browser().sign_in("ada@example.org")
        heard = list(bench.events)

        with Bench(SessionMiddleware(account_app, manager)) as later:
            later.new_browser().sign_in("ada@example.org")

        assert bench.events == heard
