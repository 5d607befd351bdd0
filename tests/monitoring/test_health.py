"""The health check tells what is wrong, in time, on real databases."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import peewee
import psycopg
import pytest

from tests.contract.databases import fresh_url
from tests.load.own_servers import own_server
from tests.migrations import next_release
from tests.storage.test_waiting import (
    POOLS,
    SLACK_SECONDS,
    WHOLE_TABLE,
    app_database,
    connect_beside,
    locked,
    proxied,
)
from wsgi_sessions import Health, SessionManager
from wsgi_sessions_testing import Bench

SECRET = "x0123456789abcdef" * 2
SERVERS = ["postgres", "mariadb"]
HALF_A_SECOND = timedelta(milliseconds=500)

NewManager = Callable[..., SessionManager]


@pytest.fixture(params=["sqlite", *SERVERS])
def kind(request: pytest.FixtureRequest) -> str:
    named: str = request.param
    return named


@pytest.fixture
def url(kind: str, tmp_path: Path) -> Iterator[str]:
    with fresh_url(kind, tmp_path) as url:
        yield url


@pytest.fixture
def new_manager() -> Iterator[NewManager]:
    made: list[SessionManager] = []

    def build(database: Any, **settings: Any) -> SessionManager:
        made.append(SessionManager(database, secret=SECRET, **settings))
        return made[-1]

    yield build
    for manager in made:
        manager.close()


def checked_in_time(manager: SessionManager, **limits: Any) -> Health:
    began = time.monotonic()
    health = manager.check_health(**{"timeout": 1, "slow_after": 60, **limits})
    assert time.monotonic() - began < 1 + SLACK_SECONDS
    return health


class TestOk:
    def test_the_first_use_makes_the_tables(self, url: str, new_manager: NewManager) -> None:
        manager = new_manager(url)

        first = manager.check_health(timeout=20, slow_after=20)

        assert (first.status, first.is_ok, first.detail) == ("ok", True, "")
        user = manager.create_user(name="Ada", email="ada@example.org")
        assert manager.sign_in(user.id).session is not None
        assert manager.check_health(slow_after=20).is_ok

    def test_nothing_of_an_application_s_connection_changes(
        self, kind: str, url: str, new_manager: NewManager
    ) -> None:
        if kind == "sqlite":
            database: Any = peewee.SqliteDatabase(url.removeprefix("sqlite:///"))
        else:
            database = app_database(url)
        manager = new_manager(database)
        manager.create_tables()
        assert manager.check_health(slow_after=20).is_ok
        assert database.is_closed()

        with database.atomic():
            assert manager.check_health(slow_after=20).is_ok
            manager.create_user(name="Ada", email="ada@example.org")
        assert manager.find_user(email="ada@example.org") is not None
        database.close()


class TestNotMigrated:
    def test_an_application_s_database_without_our_tables(
        self, kind: str, url: str, new_manager: NewManager
    ) -> None:
        if kind == "sqlite":
            database: Any = peewee.SqliteDatabase(url.removeprefix("sqlite:///"))
        else:
            database = app_database(url)
        manager = new_manager(database)

        health = checked_in_time(manager)

        assert health.status == "not_migrated"
        assert "wsgi_sessions_session" in health.detail
        assert "create_tables()" in health.detail
        manager.create_tables()
        assert checked_in_time(manager).is_ok

    def test_a_table_that_is_gone(self, kind: str, url: str, new_manager: NewManager) -> None:
        manager = new_manager(url)
        manager.create_tables()
        with closing(connect_beside(kind, url)) as other, closing(other.cursor()) as cursor:
            cursor.execute("DROP TABLE wsgi_sessions_revocation")

        health = checked_in_time(manager)

        assert health.status == "not_migrated"
        assert "wsgi_sessions_revocation" in health.detail

    def test_a_column_that_is_gone(self, kind: str, url: str, new_manager: NewManager) -> None:
        manager = new_manager(url)
        manager.create_tables()
        with closing(connect_beside(kind, url)) as other, closing(other.cursor()) as cursor:
            cursor.execute("ALTER TABLE wsgi_sessions_session DROP COLUMN authentication")

        health = checked_in_time(manager)

        assert (health.status, "authentication" in health.detail) == ("not_migrated", True)


class TestVersions:
    """Tables of another release."""

    def test_of_a_later_one_are_not_what_this_one_needs(
        self, kind: str, url: str, new_manager: NewManager
    ) -> None:
        manager = new_manager(url)
        manager.create_tables()
        set_version(kind, url, "999 (works with 998)")

        health = checked_in_time(manager)

        assert health.status == "not_migrated"
        assert "version 999" in health.detail

    def test_of_an_earlier_one_that_must_not_be_migrated_by_itself(
        self, url: str, new_manager: NewManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new_manager(url).create_tables()
        next_release.install(monkeypatch.setattr)

        health = checked_in_time(new_manager(url, auto_migrate=False))

        assert health.status == "not_migrated"
        assert "wsgi-sessions migrate" in health.detail
        assert checked_in_time(new_manager(url), timeout=20).is_ok, "the first use migrates"

    @pytest.mark.parametrize("kind", SERVERS, indirect=True)
    def test_that_can_not_be_migrated_now_hold_nobody_up(
        self, kind: str, url: str, new_manager: NewManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new_manager(url).create_tables()
        next_release.install(monkeypatch.setattr)
        manager = new_manager(url)
        reading = ("BEGIN", "SELECT * FROM wsgi_sessions_session")

        with locked(kind, url, reading):
            assert checked_in_time(manager).status == "slow"
        assert checked_in_time(manager, timeout=20).is_ok


def set_version(kind: str, url: str, text: str) -> None:
    sql = f"UPDATE wsgi_sessions_meta SET value = '{text}' WHERE name = 'schema_version'"
    with closing(connect_beside(kind, url)) as other, closing(other.cursor()) as cursor:
        cursor.execute(sql)
        if kind == "mariadb":
            other.commit()


@pytest.mark.parametrize("kind", SERVERS, indirect=True)
class TestAwayAndSlow:
    def test_a_silent_server_is_away(self, url: str, new_manager: NewManager) -> None:
        with proxied(url) as (through, proxy):
            manager = new_manager(through)
            manager.create_tables()
            assert checked_in_time(manager).is_ok

            proxy.is_silent = True

            assert checked_in_time(manager).status == "away", "over a connection that is open"
            assert checked_in_time(manager).status == "away", "over a new one"
            proxy.is_silent = False
            assert checked_in_time(manager).is_ok

    def test_an_answer_that_comes_late_is_slow(self, url: str, new_manager: NewManager) -> None:
        manager = new_manager(url)
        manager.create_tables()

        health = manager.check_health(slow_after=timedelta(milliseconds=1), timeout=20)

        assert (health.status, "ms to answer" in health.detail) == ("slow", True)
        assert health.latency_ms >= 1

    def test_a_table_that_is_locked_is_slow_and_not_away(
        self, kind: str, url: str, new_manager: NewManager
    ) -> None:
        manager = new_manager(url)
        manager.create_tables()
        statements = tuple(
            statement.replace("{session}", "wsgi_sessions_meta") for statement in WHOLE_TABLE[kind]
        )
        with locked(kind, url, statements):
            assert checked_in_time(manager).status == "slow"
        assert checked_in_time(manager).is_ok

    def test_all_connections_in_use_is_busy(self, url: str, new_manager: NewManager) -> None:
        manager = new_manager(url, max_connections=1)
        manager.create_tables()
        is_taken, may_end = threading.Event(), threading.Event()

        def hold() -> None:
            with manager.parts.connections.connection():
                is_taken.set()
                may_end.wait(20)

        holder = threading.Thread(target=hold)
        holder.start()
        assert is_taken.wait(20)
        health = checked_in_time(manager)
        may_end.set()
        holder.join()

        assert (health.status, "max_connections" in health.detail) == ("busy", True)
        assert checked_in_time(manager).is_ok

    def test_a_full_pool_of_the_application_is_busy(
        self, kind: str, url: str, new_manager: NewManager
    ) -> None:
        database = app_database(url, POOLS[kind])
        manager = new_manager(database)
        manager.create_tables()
        database.close_all()
        database._max_connections = -1

        assert checked_in_time(manager).status == "busy"
        database._max_connections = 20
        assert checked_in_time(manager).is_ok
        database.close_all()

    def test_a_server_that_is_stopped_frozen_and_started_again(
        self, kind: str, new_manager: NewManager, caplog: pytest.LogCaptureFixture
    ) -> None:
        with own_server(kind) as server:
            server.renew_database()
            manager = new_manager(server.url())
            manager.create_tables()
            assert checked_in_time(manager).is_ok

            with server.frozen():
                checked_in_time(manager)  # it may still have answered the first question
                assert checked_in_time(manager).status == "away"
            server.kill()
            assert checked_in_time(manager).status == "away"
            assert checked_in_time(manager).status == "away"
            server.start()

            assert checked_in_time(manager).is_ok
        logged = [record.sessions_event for record in caplog.records if record.levelname != "DEBUG"]  # type: ignore[attr-defined]
        assert logged == ["database_away", "database_back"], "once each"


def test_a_server_without_room_for_one_more_is_busy(new_manager: NewManager) -> None:
    with own_server("postgres") as server:
        server.renew_database()
        new_manager(server.url()).create_tables()
        manager = new_manager(server.url())
        held: list[Any] = []
        with suppress(psycopg.OperationalError):
            while True:
                held.append(server.connect())
        health = checked_in_time(manager)
        for connection in held:
            connection.close()

    assert health.status == "busy"


class TestFile:
    """SQLite."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "app.db"

    def test_a_file_that_another_process_has_locked_is_slow(
        self, file: Path, new_manager: NewManager
    ) -> None:
        manager = new_manager(f"sqlite:///{file}")
        manager.create_tables()
        manager.close()
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            other.execute("DELETE FROM wsgi_sessions_attempt")
            assert checked_in_time(manager).status == "slow"
            other.execute("ROLLBACK")
        assert checked_in_time(manager).is_ok

    def test_a_file_that_is_gone_is_away(self, file: Path, new_manager: NewManager) -> None:
        manager = new_manager(f"sqlite:///{file}")
        manager.create_tables()
        file.rename(file.with_suffix(".gone"))

        health = checked_in_time(manager)

        assert (health.status, "was deleted" in health.detail) == ("away", True)
        assert not file.exists(), "none is made in its place"

    def test_a_folder_that_is_not_there_is_away(
        self, tmp_path: Path, new_manager: NewManager
    ) -> None:
        manager = new_manager(f"sqlite:///{tmp_path}/nowhere/app.db")

        assert checked_in_time(manager).status == "away"

    def test_what_is_no_database_is_away(self, file: Path, new_manager: NewManager) -> None:
        file.write_text("This is a text, and a long one, so that nobody takes it for a database.")

        health = checked_in_time(new_manager(f"sqlite:///{file}"))

        assert (health.status, "not a database" in health.detail) == ("away", True)


def test_no_password_is_in_the_detail(new_manager: NewManager) -> None:
    manager = new_manager("postgresql://ada:hunter2@127.0.0.1:1/shop")

    health = checked_in_time(manager)

    assert health.status == "away"
    assert "hunter2" not in health.detail


def test_a_fault_of_the_companion_is_away() -> None:
    with Bench(lambda environ, start_response: []) as bench:
        with bench.faults.database_down():
            assert bench.manager.check_health().status == "away"
        assert bench.manager.check_health(slow_after=20).is_ok


@pytest.mark.parametrize("limits", [{"timeout": 0}, {"slow_after": timedelta(0)}])
def test_limits_are_more_than_nothing(new_manager: NewManager, limits: Any) -> None:
    with pytest.raises(ValueError, match="must be more than 0 seconds"):
        new_manager("sqlite:///:memory:").check_health(**limits)
