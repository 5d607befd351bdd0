"""``wsgi-sessions migrate``, over databases of the first release and of none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.databases import fresh_url
from tests.migrations import next_release
from tests.migrations.frozen import KINDS, SECRET, Frozen
from tests.migrations.next_release import NEXT, THIS
from wsgi_sessions import SessionManager
from wsgi_sessions.cli.main import main
from wsgi_sessions.storage.connections import Connections

FIRST = "the tables have version 1, and this release needs"


@pytest.fixture(params=KINDS)
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    with fresh_url(request.param, tmp_path) as url:
        monkeypatch.setenv("WSGI_SESSIONS_DATABASE_URL", url)
        monkeypatch.setenv("WSGI_SESSIONS_SECRET", SECRET)
        monkeypatch.setenv("WSGI_SESSIONS_AUTO_MIGRATE", "false")
        yield url


@pytest.fixture
def old(request: pytest.FixtureRequest, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tables of the first release; the code is that of a later one."""
    Frozen(1, request.node.callspec.params["url"]).load(url)
    next_release.install(monkeypatch.setattr)
    return url


@pytest.mark.usefixtures("old")
def test_says_what_is_to_be_done_and_then_does_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--check"]) == 1
    shown = capsys.readouterr().out
    assert f"to do: {NEXT}: a note on each session" in shown
    assert FIRST in shown

    assert main(["migrate"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{NEXT}: a note on each session",
        f"the tables have version {NEXT}",
    ]
    assert main(["migrate", "--check"]) == 0
    assert "to do" not in capsys.readouterr().out
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out == f"the tables have version {NEXT}\n"


@pytest.mark.usefixtures("old")
def test_json_has_the_same_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "migrate", "--check"]) == 1
    looked = json.loads(capsys.readouterr().out)
    assert main(["--json", "migrate"]) == 0
    done = json.loads(capsys.readouterr().out)

    assert (looked["version"], looked["needed"]) == (1, NEXT)
    assert looked["pending"] == done["done"]
    assert (done["version"], done["pending"], done["created"]) == (NEXT, [], False)


def test_printed_statements_do_the_same(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--sql"]) == 0
    _run_printed(old, capsys.readouterr().out)

    assert main(["migrate", "--check"]) == 0


def test_an_empty_database_gets_its_tables(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--check"]) == 1
    assert "no tables yet" in capsys.readouterr().out
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out == f"created the tables\nthe tables have version {THIS}\n"

    manager = SessionManager(url, secret=SECRET, auto_migrate=False)
    assert manager.list_sessions("nobody") == []
    manager.close()


def test_printed_statements_make_the_tables(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--sql"]) == 0
    _run_printed(url, capsys.readouterr().out)

    assert main(["migrate", "--check"]) == 0


@pytest.mark.usefixtures("url")
def test_two_ways_to_look_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--sql", "--check"]) == 2
    assert "give one" in capsys.readouterr().err


def _run_printed(url: str, printed: str) -> None:
    connections = Connections(url)
    for statement in printed.strip().removesuffix(";").split(";\n"):
        connections.write(statement, ())
    connections.close()
