"""Claims about the databases of tests: empty for each, made once, and left as they were found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.databases import fresh_server_database
from wsgi_sessions import SessionManager
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions_testing.factories import Factories
from wsgi_sessions_testing.fakes import databases
from wsgi_sessions_testing.fakes.databases import ServerDatabase, added_rows_removed
from wsgi_sessions_testing.settings import settings_for_tests


@pytest.fixture(params=["postgres", "mariadb"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with fresh_server_database(request.param) as url:
        yield url


@pytest.fixture
def server(url: str) -> Iterator[ServerDatabase]:
    server = ServerDatabase(url)
    yield server
    server.drop()


def manager_on(url: str) -> SessionManager:
    return SessionManager(url, config=settings_for_tests())


def run_sql(manager: SessionManager, sql: str) -> None:
    database: Any = manager.database
    database.execute_sql(sql)


def test_the_next_test_finds_no_row_in_the_same_tables(server: ServerDatabase) -> None:
    first = manager_on(server.make_fresh())
    Factories(first).make_session("ada@example.org")
    run_sql(first, "CREATE INDEX still_there ON wsgi_sessions_session (user_agent)")
    first.close()

    second = manager_on(server.make_fresh())

    assert second.parts.store.users.find_by_email("ada@example.org") is None
    assert "still_there" in {
        index.name for index in second.database.get_indexes("wsgi_sessions_session")
    }
    second.close()


def test_a_table_that_a_test_left_is_gone(server: ServerDatabase) -> None:
    first = manager_on(server.make_fresh())
    run_sql(first, "CREATE TABLE theirs (id INTEGER)")
    first.close()

    second = manager_on(server.make_fresh())

    assert "theirs" not in second.database.get_tables()
    assert second.list_sessions("nobody") == []
    second.close()


def test_a_column_that_a_test_changed_is_as_before(server: ServerDatabase) -> None:
    first = manager_on(server.make_fresh())
    run_sql(first, "ALTER TABLE wsgi_sessions_session DROP COLUMN user_agent")
    first.close()

    second = manager_on(server.make_fresh())

    Factories(second).make_session(user_agent="curl/8.5.0")
    second.close()


def test_nothing_of_it_stays(url: str) -> None:
    server = ServerDatabase(url)
    server.make_fresh()

    server.drop()

    connections = Connections(url)
    catalogue = "SELECT schema_name FROM information_schema.schemata"
    assert server.name not in {name for (name,) in connections.read_rows(catalogue, ())}
    connections.close()


TEST_PROCESS = """
import sys
from wsgi_sessions_testing.fakes.databases import ServerDatabase

server = ServerDatabase(sys.argv[1])
server.make_fresh()
print(server.name, flush=True)
sys.stdin.read()
"""


class TestProcess:
    """Another process that runs tests on a server, until it is killed."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", TEST_PROCESS, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
        )
        assert self._process.stdout is not None
        self.made = self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def other_process(url: str) -> Iterator[TestProcess]:
    process = TestProcess(url)
    yield process
    process.kill()
    run_on_url(url, f"DROP {kind_of(url)} IF EXISTS {process.made}")


def kind_of(url: str) -> str:
    return "DATABASE" if url.startswith("mysql") else "SCHEMA"


def run_on_url(url: str, sql: str) -> None:
    connections = Connections(url)
    connections.write(sql if url.startswith("mysql") or "DROP" not in sql else f"{sql} CASCADE", ())
    connections.close()


def names_on(url: str) -> set[str]:
    connections = Connections(url)
    catalogue = "SELECT schema_name FROM information_schema.schemata"
    names = {name for (name,) in connections.read_rows(catalogue, ())}
    connections.close()
    return names


def test_what_a_killed_run_left_is_swept(
    url: str, server: ServerDatabase, other_process: TestProcess
) -> None:
    other_process.kill()
    assert other_process.made in names_on(url)

    server.sweep()

    assert other_process.made not in names_on(url)


def test_what_a_living_run_uses_is_left_alone(
    url: str, server: ServerDatabase, other_process: TestProcess
) -> None:
    server.make_fresh()

    server.sweep()

    assert {other_process.made, server.name} <= names_on(url)


def test_a_run_begins_with_the_sweep(url: str, other_process: TestProcess, tmp_path: Path) -> None:
    other_process.kill()
    (tmp_path / "test_it.py").write_text("def test_it(session_manager): pass", encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, f"--sessions-database={url}"], cwd=tmp_path, capture_output=True, text=True
    )

    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert other_process.made not in names_on(url)


@pytest.mark.parametrize(
    "name",
    [
        "wsgi_sessions_test_{elsewhere}_{dead}_main",
        "wsgi_sessions_test_theirs",
        "x{ours}",
        "{ours}",
    ],
)
def test_what_is_of_another_machine_or_of_nobody_known_is_left_alone(
    url: str, server: ServerDatabase, other_process: TestProcess, name: str
) -> None:
    other_process.kill()
    dead = re.findall("[0-9]+", other_process.made)[-1]
    name = name.format(elsewhere="0" * 10, dead=dead, ours=f"{other_process.made}-theirs")
    quote = "`" if url.startswith("mysql") else '"'
    run_on_url(url, f"CREATE {kind_of(url)} {quote}{name}{quote}")
    try:
        server.sweep()

        assert name in names_on(url)
    finally:
        run_on_url(url, f"DROP {kind_of(url)} {quote}{name}{quote}")


def test_what_cannot_be_removed_stops_no_run(
    url: str, server: ServerDatabase, other_process: TestProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_process.kill()

    def refuse(self: Connections, sql: str, parameters: Any) -> int:
        raise RuntimeError("you are not its owner")

    with monkeypatch.context() as patched:
        patched.setattr(Connections, "write", refuse)
        server.sweep()

    server.make_fresh()


def test_a_process_is_taken_for_living_where_nobody_can_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert databases._is_alive(os.getpid())
    assert databases._is_alive(1)
    assert not databases._is_alive(2**22 + 1)  # past the highest id of Linux
    assert databases._is_alive(2**80)
    monkeypatch.setattr(sys, "platform", "win32")
    assert databases._is_alive(2**22 + 1)


def test_its_name_fits_into_every_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw128")
    monkeypatch.setattr(os, "getpid", lambda: 2**22)
    assert len(ServerDatabase("postgresql://db.example/test").name) < 63


def test_rows_that_were_there_before_stay() -> None:
    manager = manager_on("sqlite:///:memory:")
    factories = Factories(manager)
    known: Any = factories.make_session("ada@example.org")

    with added_rows_removed(manager):
        factories.make_session("ada@example.org")
        factories.make_session("bob@example.org")
        manager.revoke_session(known.session.id)

    session = manager.parts.models.session
    assert [row.id for row in session.select()] == [known.session.id]
    assert manager.parts.store.users.find_by_email("bob@example.org") is None
    assert manager.parts.store.users.find_by_email("ada@example.org") is not None
    assert manager.parts.models.revocation.select().count() == 0
