"""The same commands as ``flask sessions`` and ``manage.py sessions``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import SessionManager
from wsgi_sessions.cli.managers import _unwrap
from wsgi_sessions.cli.program import COMMANDS

from .sites import SECRET, Site

ITS_OWN = set(COMMANDS) - {"sessions"} | {"list", "show", "revoke", "revoke-all"}
"""What stands after ``flask sessions``, where nobody has to say ``sessions`` twice."""


def flask_app(manager: SessionManager) -> Any:
    flask = pytest.importorskip("flask")
    from wsgi_sessions.adapters.flask import FlaskSessions

    app = flask.Flask("shop")
    FlaskSessions(app, manager)
    return app


def test_flask_has_the_manager_of_its_app(sqlite_site: Site) -> None:
    runner = flask_app(sqlite_site.manager).test_cli_runner()

    listed = runner.invoke(args=["sessions", "list", "ada@example.org", "--json"])

    ids = [each["id"] for each in json.loads(listed.stdout)["sessions"]]
    assert ids == [sqlite_site.sessions["laptop"], sqlite_site.sessions["phone"]]


def test_flask_has_every_command_once(sqlite_site: Site) -> None:
    group = flask_app(sqlite_site.manager).cli.commands["sessions"]

    assert set(group.list_commands(None)) == ITS_OWN
    assert [name for name in ITS_OWN if group.get_command(None, name) is None] == []
    assert group.get_command(None, "sessions") is None


def test_listeners_find_the_app_of_flask(sqlite_site: Site) -> None:
    flask = pytest.importorskip("flask")
    heard: list[str] = []
    sqlite_site.manager.events.subscribe(lambda _event: heard.append(flask.current_app.name))

    flask_app(sqlite_site.manager).test_cli_runner().invoke(
        args=["sessions", "revoke-all", "ada@example.org"]
    )

    assert set(heard) == {"shop"}


def test_a_command_of_the_app_s_own_is_left(sqlite_site: Site) -> None:
    flask = pytest.importorskip("flask")
    from wsgi_sessions.adapters.flask import FlaskSessions

    app = flask.Flask("shop")
    own = app.cli.command("sessions")(lambda: None)

    FlaskSessions(app, sqlite_site.manager)

    assert app.cli.commands["sessions"] is own


def test_the_manager_of_a_flask_app_is_found(sqlite_site: Site) -> None:
    assert _unwrap(flask_app(sqlite_site.manager)) is sqlite_site.manager


@pytest.fixture
def manage(sqlite_site: Site, tmp_path: Path) -> Any:
    """Return a function that runs ``manage.py`` of a project over the database."""
    pytest.importorskip("django")
    (tmp_path / "project.py").write_text(
        "SECRET_KEY = 'x' * 50\n"
        "INSTALLED_APPS = ['wsgi_sessions']\n"
        f"WSGI_SESSIONS = {{'DATABASE': {sqlite_site.url!r}, 'SECRET': {SECRET!r}}}\n",
        "utf-8",
    )
    (tmp_path / "manage.py").write_text(
        "import os, sys\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'project')\n"
        "from django.core.management import call_command, execute_from_command_line\n"
        "if sys.argv[1] == 'call':\n"
        "    import django; django.setup()\n"
        "    call_command('sessions', *sys.argv[2:])\n"
        "else:\n"
        "    execute_from_command_line(sys.argv)\n",
        "utf-8",
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_django_has_the_manager_of_its_settings(manage: Any, sqlite_site: Site) -> None:
    told = manage("sessions", "why", "ada@example.org", "--json", "--settings=project")

    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["user_id"] == sqlite_site.ids["ada"]


def test_django_keeps_the_exit_codes(manage: Any) -> None:
    unknown, wrong = manage("sessions", "why", "nobody"), manage("sessions", "why")

    assert (unknown.returncode, wrong.returncode) == (1, 2)
    assert "Usage: manage.py sessions why" in wrong.stderr


def test_django_calls_a_command_from_python(manage: Any) -> None:
    listed, refused = manage("call", "users", "list"), manage("call", "why", "nobody")

    assert (listed.returncode, "ada@example.org" in listed.stdout) == (0, True)
    assert "CommandError: there is no user" in refused.stderr
