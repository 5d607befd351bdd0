"""What is typed wrongly, and what is not there: each has its exit code and says what to do."""

from __future__ import annotations

import importlib
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wsgi_sessions import SessionManager
from wsgi_sessions.cli.failures import MEANINGS, Exit
from wsgi_sessions.cli.main import main

from .sites import SECRET, Site

Modules = Callable[[str], None]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Modules:
    """Return a function that writes a module ``shop`` into the folder that is worked in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in ("", ".")])
    monkeypatch.delitem(sys.modules, "shop", raising=False)

    def write(text: str) -> None:
        (tmp_path / "shop.py").write_text(text, "utf-8")
        importlib.invalidate_caches()

    return write


@pytest.mark.parametrize(
    ("app", "text", "said"),
    [
        ("shop", "", "give a module and a name in it"),
        ("shop:", "", "give a module and a name in it"),
        ("shops:manager", "", "there is no module shops"),
        ("shop.wsgi:manager", "", "there is no module shop.wsgi"),
        ("shop:manager", "", "shop has no 'manager'"),
        ("shop:manager", "manager = 7", "of type int, with no SessionManager in it"),
        ("shop:app", "def app(environ, start_response): ...", "wrapped in SessionMiddleware"),
        ("shop:manager", "import no_such_module", "No module named 'no_such_module'"),
        ("shop:manager", "1 / 0", "importing shop failed: ZeroDivisionError"),
        ("shop:make()", "def make(): raise OSError('no disk')", "make() failed: OSError: no disk"),
    ],
)
def test_a_wrong_app_is_wrong_use(
    app: str, text: str, said: str, module: Modules, capsys: pytest.CaptureFixture[str]
) -> None:
    module(text)

    assert main(["--app", app, "users", "list"]) == 2

    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "app = manager",
        "app = SessionMiddleware(lambda environ, start_response: [], manager)",
        "app = Outer(SessionMiddleware(lambda environ, start_response: [], manager))",
        "app = Outer(Outer(manager)).app.app",
    ],
)
def test_the_manager_of_an_app_is_found(
    text: str, module: Modules, capsys: pytest.CaptureFixture[str]
) -> None:
    module(
        "from wsgi_sessions import SessionManager, SessionMiddleware\n"
        "class Outer:\n"
        "    def __init__(self, app): self.app = app\n"
        f"manager = SessionManager('sqlite:///shop.db', secret={SECRET!r})\n"
        "manager.create_tables()\n"
        f"{text}\n"
    )

    assert main(["--app", "shop:app", "users", "list"]) == 0

    assert capsys.readouterr().out == "There is no such user.\n"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "no database is named; give --app module:manager"),
        ({"DATABASE_URL": "oracle://u:hidden@h/x"}, "the scheme 'oracle'"),
        ({"DATABASE_URL": "hidden"}, "the scheme ''"),
        ({"DATABASE_URL": "sqlite:///x.db", "SECRET": "hidden"}, "secret"),
        ({"DATABASE_URL": "sqlite:///x.db", "SECRET": ""}, "python -m wsgi_sessions secret"),
        ({"DATABASE_URL": "sqlite:///x.db", "EXPIRE_IN": "7"}, "the nearest is"),
        ({"DATABASE_URL": "sqlite:///x.db", "EXPIRES_IN": "soon"}, "WSGI_SESSIONS_EXPIRES_IN"),
        ({"DATABASE_URL": "sqlite:///x.db"}, "there is no database file x.db"),
    ],
)
def test_wrong_settings_are_wrong_use(
    variables: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"SECRET": SECRET, **variables}.items():
        monkeypatch.setenv(f"WSGI_SESSIONS_{name}", value)

    assert main(["users", "list"]) == 2

    shown = capsys.readouterr()
    assert said in shown.err and "hidden" not in shown.err
    assert (shown.out, list(tmp_path.iterdir())) == ("", [])


@pytest.mark.parametrize(
    "url",
    ["postgresql://ada:hidden@127.0.0.1:9/shop", "mysql://ada:hidden@127.0.0.1:9/shop"],
)
def test_a_database_that_is_away_has_a_code_of_its_own(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WSGI_SESSIONS_DATABASE_URL", url)
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", SECRET)

    assert main(["users", "list"]) == 3
    assert main(["--json", "stats"]) == 3

    words, _, document = capsys.readouterr().err.partition("\n")
    assert "shop on 127.0.0.1" in words and "hidden" not in words
    assert json.loads(document)["error"]["code"] == "database_away"


def test_a_database_without_our_tables_is_left_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.db"
    file.touch()
    monkeypatch.setenv("WSGI_SESSIONS_DATABASE_URL", f"sqlite:///{file}")
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", SECRET)

    assert main(["stats"]) == 2

    assert "has no tables wsgi_sessions_" in capsys.readouterr().err
    assert sqlite3.connect(file).execute("SELECT * FROM sqlite_master").fetchall() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "show", "nobody@example.org"),
        ("sessions", "list", "nobody"),
        ("sessions", "show", "nobody"),
        ("sessions", "show", "-" + "x" * 23),
        ("sessions", "revoke", "-" + "x" * 23),
        ("sessions", "revoke", "'; DROP TABLE"),
        ("sessions", "revoke-all", "nobody"),
        ("why", "nobody\0"),
        ("why", "\ud800"),
        ("export", ""),
        ("forget", "-nobody", "--yes"),
    ],
)
def test_who_is_unknown_is_told_so(site: Site, arguments: tuple[str, ...]) -> None:
    refused = site.line(*arguments)

    assert refused.exit_code == 1, refused.output
    assert "no user" in refused.stderr or "session" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "list", "--limit", "0"),
        ("users", "list", "--limit", "many"),
        ("sessions", "list", "ada@example.org", "--address", "192.0.2.7"),
        ("why",),
        ("why", "ada@example.org", "--days", "0"),
        ("purge", "--batch-rows", "0"),
        ("purge", "--pause", "-1"),
        ("stats", "all"),
        ("sessions", "revoke"),
    ],
)
def test_wrong_values_are_wrong_use(sqlite_site: Site, arguments: tuple[str, ...]) -> None:
    refused = sqlite_site.line(*arguments)

    assert refused.exit_code == 2
    assert refused.stdout == "" and "Usage: wsgi-sessions" in refused.stderr


def test_an_address_that_several_have_is_nobody_s(sqlite_site: Site) -> None:
    users = sqlite_site.manager.parts.store.users
    one = users.find(sqlite_site.ids["ada"])
    assert one is not None
    users.__dict__["list_by_email"] = lambda _email: [one, one._replace(id="other")]

    refused = sqlite_site.line("why", "ada@example.org")

    assert refused.exit_code == 2
    assert f"give the id of one: {one.id}, other" in refused.stderr


def test_an_unknown_user_is_told_to_programs_as_an_object(sqlite_site: Site) -> None:
    refused = sqlite_site.line("why", "nobody", "--json")

    assert refused.stdout == ""
    assert json.loads(refused.stderr)["error"]["code"] == "fault"


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)


def test_tables_of_another_user_model_are_refused(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manager = SessionManager(sqlite_url, secret=SECRET)
    manager.create_tables()
    monkeypatch.setattr(type(manager.parts.models), "whose", "member.id (integer)")
    monkeypatch.setenv("WSGI_SESSIONS_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", SECRET)

    assert main(["stats"]) == 2

    assert "hold the sessions of" in capsys.readouterr().err


def test_an_app_that_is_named_after_the_command_is_told_where_it_belongs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["users", "list", "--app", "shop:manager"]) == 2

    assert "--app stands before the command" in capsys.readouterr().err
