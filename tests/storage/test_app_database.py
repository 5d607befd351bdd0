"""What an application's own database answers when the application has left it in a bad way."""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import peewee
import pytest
from playhouse.db_url import connect as database_from_url
from playhouse.pool import PooledMySQLDatabase, PooledPostgresqlDatabase, PooledSqliteDatabase
from playhouse.sqliteq import SqliteQueueDatabase

from tests.contract.databases import fresh_url
from tests.support import in_parallel
from wsgi_sessions import ConfigurationError, SessionManager, StoreUnavailableError
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions_testing import CHEAP_PASSWORDS

POOLS = {
    "sqlite": PooledSqliteDatabase,
    "postgres": PooledPostgresqlDatabase,
    "mariadb": PooledMySQLDatabase,
}


@pytest.fixture(params=["postgres", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    named: str = request.param
    return named


@pytest.fixture
def url(kind: str, tmp_path: Path) -> Iterator[str]:
    with fresh_url(kind, tmp_path) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Any]:
    database = database_from_url(url.replace("postgresql:", "psycopg3:"))
    yield database
    if not database.is_closed():
        database.close()


@pytest.mark.parametrize("kind", POOLS, indirect=True)
def test_full_pool_of_the_application_is_told(kind: str, url: str, database: Any) -> None:
    pool = pool_like(kind, database, max_connections=1)
    connections = Connections(pool)
    pool.connect()

    def elsewhere(_: int) -> None:
        for work in (
            lambda: connections.read_row("SELECT 1", ()),
            lambda: connections.write("SELECT 1", ()),
            lambda: connections.atomically(lambda: None),
            lambda: connections.run(lambda: None),
        ):
            with pytest.raises(StoreUnavailableError, match="pool has no connection left"):
                work()

    in_parallel(elsewhere, 1)
    assert connections.read_row("SELECT 1", ()) == (1,)
    pool.close()
    pool.close_all()


@pytest.mark.parametrize("kind", POOLS, indirect=True)
def test_full_pool_is_waited_for_within_the_budget(kind: str, database: Any) -> None:
    """Though the application lets its own code wait for longer."""
    pool = pool_like(kind, database, max_connections=1, timeout=60)
    connections = Connections(pool, timeout_ms=500)
    pool.connect()

    def elsewhere(_: int) -> float:
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="pool has no connection left"):
            connections.read_row("SELECT 1", ())
        return time.monotonic() - began

    took = in_parallel(elsewhere, 2)
    assert max(took) < 5

    patient = Connections(pool, timeout_ms=20_000)
    with ThreadPoolExecutor() as other:
        found = other.submit(patient.read_row, "SELECT 1", ())
        time.sleep(0.3)
        pool.close()
        assert found.result() == (1,), "who waits gets the one that is given back"
    pool.close_all()


def pool_like(kind: str, database: Any, **options: Any) -> Any:
    if kind == "postgres":
        options["prefer_psycopg3"] = True
    if kind == "sqlite":
        # Else a connection works in the thread alone that opened it.
        options["check_same_thread"] = False
    return POOLS[kind](database.database, **{**database.connect_params, **options})


def test_queue_for_writes_is_refused_at_start(tmp_path: Path) -> None:
    database = SqliteQueueDatabase(str(tmp_path / "queued.db"), autostart=False)

    with pytest.raises(ConfigurationError, match=r"SqliteQueueDatabase.*has no transactions"):
        SessionManager(database, secret="x0123456789abcdef" * 2)


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_transaction_that_failed_and_was_left_open_is_told(database: Any) -> None:
    connections = Connections(database)
    database.execute_sql("BEGIN")
    with pytest.raises(peewee.ProgrammingError):
        database.execute_sql("SELECT broken")

    for work in (
        lambda: connections.read_row("SELECT 1", ()),
        lambda: connections.write("SELECT 1", ()),
        lambda: connections.atomically(lambda: None),
    ):
        with pytest.raises(StoreUnavailableError, match="transaction that failed and was not"):
            work()

    database.execute_sql("ROLLBACK")
    assert connections.read_row("SELECT 1", ()) == (1,)


def break_off(kind: str, database: Any) -> None:
    """Send a query and read no answer, as a request that is given up in the middle does."""
    connection = database.connection()
    if kind == "postgres":
        connection.pgconn.send_query(b"SELECT 'hush'")
    else:
        connection._execute_command(3, "SELECT 'hush'")
        while not connection_has_answer(connection):
            pass


def connection_has_answer(connection: Any) -> bool:
    import select

    return bool(select.select([connection._sock.fileno()], [], [], 5)[0])


def test_answer_to_a_query_that_was_broken_off_is_never_taken(kind: str, database: Any) -> None:
    connections = Connections(database)
    break_off(kind, database)

    if kind == "postgres":
        with pytest.raises(StoreUnavailableError, match="another query is under way"):
            connections.read_row("SELECT 1", ())
        database.close()
    assert connections.read_row("SELECT 1", ()) == (1,)


@pytest.mark.parametrize("kind", ["mariadb"], indirect=True)
def test_answer_to_a_query_broken_off_in_a_transaction_is_never_taken(database: Any) -> None:
    connections = Connections(database)

    def read_within() -> None:
        with database.atomic():
            break_off("mariadb", database)
            connections.read_row("SELECT 1", ())

    with pytest.raises(StoreUnavailableError, match="in the middle of its transaction"):
        read_within()


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_connection_that_listens_is_kept(database: Any) -> None:
    connections = Connections(database)
    database.execute_sql("LISTEN news")
    kept = database.connection()
    other = Connections(database)
    in_parallel(lambda _: other.run(lambda: database.execute_sql("NOTIFY news, 'hello'")), 1)

    assert connections.read_row("SELECT 1", ()) == (1,)

    assert database.connection() is kept
    assert [note.payload for note in kept.notifies(timeout=5, stop_after=1)] == ["hello"]


def test_driver_that_falls_over_itself_is_no_error_of_the_application(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(database)
    database.connect()

    class Broken:
        def execute(self, *given: Any) -> None:
            raise AttributeError("'NoneType' object has no attribute 'read'")

        def close(self) -> None:
            return

    monkeypatch.setattr(database.connection(), "cursor", Broken)

    with pytest.raises(StoreUnavailableError, match="AttributeError in the driver"):
        connections.read_row("SELECT 1", ())


# A file that is taken away


class TestFile:
    def sites(self, file: Path) -> list[SessionManager]:
        """Return what two workers have, who have both used the file."""
        managers = [
            SessionManager(
                f"sqlite:///{file}", secret="x0123456789abcdef" * 2, password=CHEAP_PASSWORDS
            )
            for _ in range(2)
        ]
        managers[0].sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
        assert all(
            manager.parts.store.users.find_by_email("ada@example.org") for manager in managers
        )
        return managers

    def test_deleted_file_is_away_for_every_worker(self, tmp_path: Path) -> None:
        file = tmp_path / "gone.db"
        managers = self.sites(file)
        for each in tmp_path.iterdir():
            each.unlink()

        for manager in managers * 2:
            with pytest.raises(StoreUnavailableError, match="was deleted while it was in use"):
                manager.parts.store.sessions.find("nobody")
            with pytest.raises(StoreUnavailableError, match="was deleted while it was in use"):
                manager.parts.store.users.find_by_email("ada@example.org")
            with pytest.raises(StoreUnavailableError, match="was deleted while it was in use"):
                manager.parts.store.session_ends.end_all(now_ms=1)
        assert not file.exists(), "nobody makes an empty one in its place"
        for manager in managers:
            manager.close()

    def test_file_that_is_put_back_is_used_by_every_worker(self, tmp_path: Path) -> None:
        file = tmp_path / "moved.db"
        managers = self.sites(file)
        for manager in managers:
            manager.close()
        file.rename(tmp_path / "elsewhere.db")
        with pytest.raises(StoreUnavailableError):
            managers[0].parts.store.users.find("nobody")
        (tmp_path / "elsewhere.db").rename(file)

        assert all(
            manager.parts.store.users.find_by_email("ada@example.org") for manager in managers
        )
        for manager in managers:
            manager.close()

    @pytest.mark.parametrize("has_tables", [False, True])
    def test_file_that_is_replaced_is_used_by_every_worker(
        self, tmp_path: Path, has_tables: bool
    ) -> None:
        file, other = tmp_path / "app.db", tmp_path / "other.db"
        managers = self.sites(file)
        made = SessionManager(
            f"sqlite:///{other}", secret="x0123456789abcdef" * 2, password=CHEAP_PASSWORDS
        )
        if has_tables:
            made.sign_up_email(name="Bob", email="bob@example.org", password="correct horse")
            made.close()
        else:
            sqlite3.connect(other).close()
            other.touch()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        other.replace(file)

        for manager in managers:
            assert manager.parts.store.sessions.find("nobody") is None
            assert manager.parts.store.users.find_by_email("ada@example.org") is None
            bob = manager.parts.store.users.find_by_email("bob@example.org")
            assert (bob is not None) is has_tables
            manager.close()
        gc.collect()


def test_a_database_that_has_no_name_yet_is_told_so() -> None:
    """As Peewee allows: it is made where the models are, and named when the settings are read."""
    manager = SessionManager(
        peewee.SqliteDatabase(None), secret="a-secret-for-tests-of-32-characters"
    )
    told = "^the database SqliteDatabase does not answer: the database has no name yet; call the"
    with pytest.raises(StoreUnavailableError, match=told):
        manager.create_tables()
    with pytest.raises(StoreUnavailableError, match=r"call the init\(\) of the Peewee database"):
        manager.list_sessions("ada")


def test_a_database_may_be_named_after_the_manager_is_made(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(None)
    manager = SessionManager(database, secret="a-secret-for-tests-of-32-characters")
    database.init(str(tmp_path / "app.db"))
    manager.create_tables()
    assert manager.list_sessions("ada") == []
