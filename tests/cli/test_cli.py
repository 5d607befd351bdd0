"""The command line, as it is typed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from wsgi_sessions import SessionConfig, SessionManager
from wsgi_sessions.cli.main import main
from wsgi_sessions.cli.program import COMMANDS

SECRET = "0123456789abcdef" * 2


@pytest.fixture
def database_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/app.db"
    monkeypatch.setenv("WSGI_SESSIONS_DATABASE_URL", url)
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", SECRET)
    return url


def test_secret_is_new_each_time_and_good_for_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["secret"]), main(["secret"])) == (0, 0)

    first, second = capsys.readouterr().out.split()
    assert first != second
    assert SessionConfig(secret=first).secret == (first,)


@pytest.mark.parametrize("arguments", [["secrets"], ["secret", "more"], ["users", "look"]])
def test_wrong_use_says_what_there_is(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2

    assert "Usage: " in capsys.readouterr().err


def test_nothing_typed_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    main([])

    assert "revoke-everything" in "".join(capsys.readouterr())


def test_without_the_extra_there_is_secret_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert main(["secret"]) == 0
    assert main(["users", "list"]) == 2

    shown = capsys.readouterr()
    assert len(shown.out.strip()) == 43
    assert "pip install 'wsgi-sessions[cli]'" in shown.err


def test_importing_the_module_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("wsgi_sessions.__main__")

    assert capsys.readouterr().out == ""


def test_module_runs() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "wsgi_sessions", "secret"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(printed.stdout.strip()) == 43
    assert printed.stderr == ""


def test_module_s_exit_status_is_the_command_s() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "wsgi_sessions", "secrets"], capture_output=True, text=True
    )

    assert refused.returncode == 2
    assert "No such command 'secrets'" in refused.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0

    assert "Usage: " in capsys.readouterr().out


def test_a_user_is_found_by_id_and_by_address(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = SessionManager(database_url, secret=SECRET).create_user(
        name="Ada", email="ada@example.org"
    )

    assert main(["users", "show", "Ada@example.org", "--json"]) == 0
    assert main(["--json", "users", "show", str(made.id)]) == 0

    by_address, by_id = capsys.readouterr().out.split("}\n{")
    assert json.loads(by_address + "}") == json.loads("{" + by_id)


def test_an_unknown_user_is_a_fault_and_no_wrong_use(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    SessionManager(database_url, secret=SECRET).create_tables()

    assert main(["users", "show", "nobody@example.org"]) == 1

    assert "no user with the id or e-mail address nobody@" in capsys.readouterr().err


def test_a_misspelt_database_is_not_made(
    database_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["users", "show", "ada@example.org"]) == 2

    assert "there is no database file" in capsys.readouterr().err
    assert not (tmp_path / "app.db").exists()
