"""CockroachDB, as far as that can be told without a server: the contract over PostgreSQL.

Each test also looks through all the statements that it has sent. ``WSGI_SESSIONS_TEST_COCKROACH``
names a real server; then the tests of the other files run on that, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from playhouse.cockroachdb import CockroachDatabase, PooledCockroachDatabase

from tests.cli.sites import PASSWORD, Line
from tests.support import make_user
from wsgi_sessions import ConfigurationError, SessionManager
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.dialects.cockroach import Cockroach
from wsgi_sessions.storage.dialects.postgres import Postgres
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing.settings import CHEAP_PASSWORDS

from .cockroach import Sent, refusals, spoken_to_as_cockroach
from .databases import COCKROACH, Place, is_real_cockroach, open_place
from .test_attempts import *  # noqa: F403  its tests, over the place below
from .test_limits import *  # noqa: F403
from .test_meta import *  # noqa: F403
from .test_one_time_tokens import *  # noqa: F403
from .test_revocations import *  # noqa: F403
from .test_session_data import *  # noqa: F403
from .test_sessions import *  # noqa: F403
from .test_users import *  # noqa: F403

SECRET = "x0123456789abcdef" * 2


@pytest.fixture(params=["cockroach"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with open_place(request.param, tmp_path) as place:
        yield place


@pytest.fixture
def store(place: Place) -> Store:
    return place.store


@pytest.fixture
def manager(place: Place) -> Iterator[SessionManager]:
    manager = SessionManager(
        str(place.database), secret=SECRET, audit=True, password=CHEAP_PASSWORDS
    )
    manager.sign_up_email(name="Ada", email="ada@example.org", password=PASSWORD)
    yield manager
    manager.close()


def test_a_manager_works_over_it(manager: SessionManager) -> None:
    with spoken_to_as_cockroach() as sent:
        made = manager.sign_in_email(email="ada@example.org", password=PASSWORD)
    assert made.session is not None

    assert made.session.id in [each.id for each in manager.list_sessions(made.user.id)]
    assert manager.revoke_session(made.session.id)
    assert manager.check_health().is_ok
    # The limit of sessions is held by a lock of the user.
    assert any(each.sql.endswith("FOR UPDATE") for each in sent)


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "list"],
        ["users", "show", "ada@example.org"],
        ["sessions", "list", "ada@example.org"],
        ["events", "--user", "ada@example.org"],
        ["why", "ada@example.org"],
        ["stats"],
        ["doctor"],
        ["simulate", "--idle", "1d"],
        ["export", "ada@example.org"],
        ["migrate", "--check"],
        ["purge"],
        ["revoke-everything", "--yes"],
        ["forget", "ada@example.org", "--yes"],
    ],
    ids=" ".join,
)
def test_the_command_line_works_over_it(manager: SessionManager, arguments: list[str]) -> None:
    if arguments == ["doctor"]:
        make_statistics(str(manager.parts.connections.database.database))

    result = Line(manager)(*arguments)

    assert result.exception is None or isinstance(result.exception, SystemExit)
    if arguments == ["doctor"]:
        assert "CockroachDB" in result.output and "indexes: all are there" in result.output
    else:
        assert result.exit_code == 0, result.output


def make_statistics(database: str) -> None:
    """Give PostgreSQL the view by which CockroachDB tells its indexes, as its pages have it."""
    if is_real_cockroach():
        return
    url = urlunsplit(urlsplit(COCKROACH)._replace(scheme="postgresql", path=f"/{database}"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.pgconn.exec_(STATISTICS.encode())


STATISTICS = """
    CREATE VIEW information_schema.statistics AS
    SELECT s.nspname AS table_schema, r.relname AS table_name, x.relname AS index_name,
        CASE WHEN i.indisunique THEN 'NO' ELSE 'YES' END AS non_unique,
        k.position AS seq_in_index, a.attname AS column_name, 'NO' AS storing, 'NO' AS implicit
    FROM pg_index AS i
    JOIN pg_class AS r ON r.oid = i.indrelid
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_namespace AS s ON s.oid = r.relnamespace
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = k.attnum
"""


def test_who_commits_second_begins_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server says so at COMMIT, as a rule."""
    database, left = place.connections.database, [2]
    commit = database.commit

    def undone() -> Any:
        if left[0]:
            left[0] -= 1
            database.rollback()
            raise psycopg.errors.SerializationFailure("restart transaction")
        return commit()

    monkeypatch.setattr(database, "commit", undone)
    place.store.insert_user(make_user())

    assert left == [0]
    assert place.store.users.find("user-1") is not None


def test_reading_of_one_row_is_repeated_where_it_was_undone(place: Place) -> None:
    place.store.insert_user(make_user())
    [entry] = place.connections.source.pool.idle
    execute = entry.execute

    def undone(_sql: str, _parameters: Any) -> Any:
        raise psycopg.errors.SerializationFailure("restart transaction")

    entry.execute = undone
    assert place.store.users.find("user-1") is not None

    entry.execute = execute
    assert place.connections.source.pool.idle == [entry], "the connection was as good as before"


class TestWhichDialect:
    @pytest.mark.parametrize("kind", [CockroachDatabase, PooledCockroachDatabase])
    def test_a_database_of_the_application_is_known_by_its_class(self, kind: Any) -> None:
        assert type(Connections(kind("app", prefer_psycopg3=True)).dialect) is Cockroach

    @pytest.mark.parametrize(
        ("url", "port"),
        [
            ("cockroachdb://root@a/app", 26257),
            ("crdb://root@a:5000/app?sslmode=verify-full", 5000),
            ("cockroachdb://root@a,b:5000/app", "26257,5000"),
        ],
    )
    def test_url_is_one_of_peewee(self, url: str, port: object) -> None:
        connections = Connections(url)

        assert type(connections.dialect) is Cockroach
        assert connections.database.connect_params["port"] == port

    def test_url_of_postgresql_that_leads_to_it_is_refused(self) -> None:
        told = {"crdb_version": "CockroachDB CCL v25.2.1"}
        connection = SimpleNamespace(info=SimpleNamespace(parameter_status=told.get))
        database = SimpleNamespace(connection=lambda: connection)

        with (
            pytest.raises(ConfigurationError, match="give its URL as cockroachdb://"),
            Postgres().changing_tables(database, max_wait_s=1),
        ):
            pass


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT pg_advisory_xact_lock(1)", ()),
        ("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED", ()),
        ('SELECT "id", %s FROM "session" WHERE "id" = %s', ("{}", "a")),
        ("SELECT * FROM (VALUES (%s), (%s)) AS wanted (name)", ("a", "b")),
        ('CREATE TABLE IF NOT EXISTS "wsgi_sessions_a" ("id" BYTEA NOT NULL PRIMARY KEY)', ()),
    ],
)
def test_what_it_lacks_is_found(sql: str, parameters: tuple[Any, ...]) -> None:
    assert len(refusals([Sent(sql, parameters)])) >= 1


def test_a_table_made_within_a_transaction_is_found() -> None:
    made = Sent('CREATE TABLE IF NOT EXISTS "a" ("id" BIGINT NOT NULL)')

    assert len(refusals([Sent("BEGIN"), made, Sent("COMMIT")])) == 1
    assert refusals([Sent("BEGIN"), Sent("COMMIT"), made]) == []
