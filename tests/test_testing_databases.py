"""Claims about the databases of tests: empty for each, made once, and left as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.databases import fresh_server_database
from wsgi_sessions import SessionManager
from wsgi_sessions.connections import Connections
from wsgi_sessions_testing.databases import ServerDatabase, added_rows_removed
from wsgi_sessions_testing.factories import Factories
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

    assert second.store.find_user_by_email("ada@example.org") is None
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


def test_rows_that_were_there_before_stay() -> None:
    manager = manager_on("sqlite:///:memory:")
    factories = Factories(manager)
    known: Any = factories.make_session("ada@example.org")

    with added_rows_removed(manager):
        factories.make_session("ada@example.org")
        factories.make_session("bob@example.org")
        manager.revoke_session(known.session.id)

    session = manager.models.session
    assert [row.id for row in session.select()] == [known.session.id]
    assert manager.store.find_user_by_email("bob@example.org") is None
    assert manager.store.find_user_by_email("ada@example.org") is not None
    assert manager.models.revocation.select().count() == 0
