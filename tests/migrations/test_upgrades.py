"""A database of an earlier release, filled, on every engine: what an upgrade makes of it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.databases import fresh_url
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.errors import ConfigurationError
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.meta import MetaStore
from wsgi_sessions_testing import FakeClock

from . import next_release
from .frozen import FROZEN_AT, KINDS, PASSWORD, SECRET, Frozen, visit
from .next_release import NEXT, STATEMENTS, THIS

WORKERS = 8
NEW = "the tables have version {} now"


@dataclass
class Database:
    kind: str
    url: str

    def manager(self, **settings: Any) -> SessionManager:
        clock = FakeClock(FROZEN_AT)
        clock.advance(minutes=10)
        return SessionManager(self.url, secret=SECRET, clock=clock, **settings)

    def write(self, sql: str) -> None:
        """Run a statement over a connection of its own."""
        connections = Connections(self.url)
        connections.write(sql, ())
        connections.close()

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        connections = Connections(self.url)
        rows = connections.read_rows(sql, ())
        connections.close()
        return rows

    @property
    def version(self) -> str | None:
        rows = self.read("SELECT value FROM wsgi_sessions_meta WHERE name = 'schema_version'")
        return rows[0][0] if rows else None

    @property
    def shape(self) -> dict[str, Any]:
        """All tables, with their columns and indexes, as Peewee reads them."""
        connections = Connections(self.url)
        database = connections.database
        found: dict[str, Any] = {}

        def look() -> None:
            for table in database.get_tables():
                columns = {
                    (each.name, each.data_type, each.null) for each in database.get_columns(table)
                }
                indexes = {
                    (each.name, tuple(each.columns), each.unique)
                    for each in database.get_indexes(table)
                }
                found[table] = (columns, indexes)

        connections.run(look)
        connections.close()
        return found


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty(kind: str, tmp_path: Path) -> Iterator[Database]:
    with fresh_url(kind, tmp_path) as url:
        yield Database(kind, url)


@pytest.fixture
def old(empty: Database) -> Database:
    """A database as the first release left it, with rows in every table."""
    Frozen(1, empty.kind).load(empty.url)
    return empty


def shapes(kind: str, folder: Path) -> list[dict[str, Any]]:
    """Return the tables that come of those of the first release, and those that are made anew."""
    found = []
    for is_old in (True, False):
        place = folder / str(is_old)
        place.mkdir()
        with fresh_url(kind, place) as url:
            database = Database(kind, url)
            if is_old:
                Frozen(1, kind).load(url)
            database.manager().create_tables()
            found.append(database.shape)
    return found


def start_next(database: Database, *steps: int) -> subprocess.Popen[str]:
    """Start a worker of the next release."""
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.next_release", database.url, *map(str, steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_all_is_there(database: Database) -> None:
    """Check that who was signed in is, that passwords hold, and that what ended has ended."""
    manager = database.manager()
    cookie = Frozen(1, database.kind).cookie

    assert visit(manager, cookie, put={}) == {"cart": ["apple", "Äpfel"]}
    made = manager.sign_in_email(email="ada@example.org", password=PASSWORD)
    assert made.session is not None
    assert len(manager.list_sessions(made.user.id)) == 2
    bob = manager.sign_in_email(email="bob@example.org", password=PASSWORD)
    assert bob.user.name == "Bób 🦉"
    assert len(manager.list_sessions(bob.user.id)) == 2
    for session in (made.session, bob.session):
        assert session is not None
        assert manager.sign_out(session.id)
    manager.close()


class TestThisRelease:
    def test_takes_what_the_first_one_left(self, old: Database) -> None:
        check_all_is_there(old)

    def test_keeps_events_there(self, old: Database) -> None:
        manager = old.manager(audit=True)
        made = manager.sign_up_email(name="Eve", email="eve@example.net", password=PASSWORD)

        told = manager.list_events(user_id=made.user.id)
        manager.close()

        assert [event.name for event in told] == ["session_created", "user_created"]

    def test_makes_the_same_of_it_as_it_makes_anew(self, kind: str, tmp_path: Path) -> None:
        upgraded, made_anew = shapes(kind, tmp_path)

        assert upgraded == made_anew

    def test_writes_its_version_into_a_new_database(self, empty: Database) -> None:
        manager = empty.manager()
        assert manager.check_schema().version is None
        manager.create_tables()

        assert manager.check_schema() == (THIS, THIS, (), ())
        assert empty.version == f"{THIS} (works with 1)"
        manager.close()


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the code be that of the next release."""
    next_release.install(monkeypatch.setattr)


class TestNextRelease:
    """What a migration does, by one that every kind of step is in."""

    @pytest.mark.usefixtures("upgraded")
    def test_migrates_before_it_serves(
        self, old: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        manager = old.manager()
        with caplog.at_level(logging.INFO, "wsgi_sessions"):
            SessionMiddleware(lambda _environ, _start: [], manager)

        assert manager.check_schema().version == NEXT
        assert NEW.format(NEXT) in caplog.text
        assert old.read("SELECT note, id FROM wsgi_sessions_session WHERE note IS NULL")
        check_all_is_there(old)

    @pytest.mark.usefixtures("upgraded")
    def test_migrates_at_first_use_where_nothing_was_wrapped(self, old: Database) -> None:
        manager = old.manager()
        assert manager.list_sessions("nobody") == []

        assert manager.check_schema().version == NEXT
        manager.close()

    @pytest.mark.usefixtures("upgraded")
    def test_makes_the_same_of_it_as_it_makes_anew(self, kind: str, tmp_path: Path) -> None:
        upgraded, made_anew = shapes(kind, tmp_path)

        assert "wsgi_sessions_extra" in upgraded
        assert upgraded == made_anew

    @pytest.mark.usefixtures("upgraded")
    def test_shows_the_sql_that_it_then_runs(self, old: Database) -> None:
        manager = old.manager(auto_migrate=False)
        status = manager.check_schema()

        assert (status.version, status.needed) == (1, NEXT)
        assert status.pending[-1] == f"{NEXT}: a note on each session"
        assert old.version is None
        *changes, version = status.sql
        for sql in changes:
            old.write(sql)
        assert manager.migrate() == status.pending
        assert manager.check_schema() == (NEXT, NEXT, (), ())
        assert old.version is not None
        assert old.version in version
        manager.close()

    @pytest.mark.usefixtures("upgraded")
    def test_refuses_to_serve_where_it_may_not_migrate(self, old: Database) -> None:
        manager = old.manager(auto_migrate=False)

        uses: list[Any] = [
            lambda: SessionMiddleware(lambda _environ, _start: [], manager),
            manager.create_tables,
            lambda: manager.list_sessions("nobody"),
        ]
        for use in uses:
            with pytest.raises(ConfigurationError, match=r"version 1, .* run 'wsgi-sessions migr"):
                use()
        manager.migrate()
        assert manager.list_sessions("nobody") == []
        manager.close()

    @pytest.mark.usefixtures("upgraded")
    def test_migrates_an_application_s_own_database(self, old: Database) -> None:
        theirs: Any = Connections(old.url).database
        manager = SessionManager(theirs, secret=SECRET)
        with theirs.connection_context():
            assert manager.list_sessions("nobody") == []

        assert manager.check_schema().version == NEXT
        assert theirs.is_closed()

    @pytest.mark.usefixtures("upgraded")
    def test_does_not_migrate_within_an_application_s_transaction(self, old: Database) -> None:
        theirs: Any = Connections(old.url).database
        manager = SessionManager(theirs, secret=SECRET)
        with theirs:
            assert manager.list_sessions("nobody") == []

        assert old.version is None
        assert manager.list_sessions("nobody") == []
        assert manager.check_schema().version == NEXT
        theirs.close()

    @pytest.mark.usefixtures("upgraded")
    def test_takes_tables_that_another_worker_migrates_while_they_are_looked_at(
        self, old: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manager, other = old.manager(), old.manager()
        read_all = MetaStore.read_all

        def read_late(meta: MetaStore, *names: str) -> dict[str, str]:
            """Read the version when the columns have been read, and another is done."""
            monkeypatch.setattr(MetaStore, "read_all", read_all)
            other.migrate()
            return meta.read_all(*names)

        monkeypatch.setattr(MetaStore, "read_all", read_late)
        manager.create_tables()

        assert old.version == f"{NEXT} (works with 1)"
        for each in (manager, other):
            each.close()

    def test_migrates_once_however_many_workers_start(self, old: Database) -> None:
        workers = [start_next(old) for _ in range(WORKERS)]
        told = [worker.communicate(timeout=60) for worker in workers]

        assert told == [(f"{NEXT}\n", "")] * WORKERS
        check_all_is_there(old)

    @pytest.mark.parametrize("statement_count", range(STATEMENTS + 1))
    def test_goes_on_where_one_that_was_killed_stopped(
        self, old: Database, statement_count: int
    ) -> None:
        first = start_next(old, statement_count)
        first.communicate(timeout=60)
        assert first.returncode == -9
        assert old.version != f"{NEXT} (works with 1)"
        check_all_is_there(old)

        assert start_next(old).communicate(timeout=60) == (f"{NEXT}\n", "")
        check_all_is_there(old)

    def test_leaves_workers_of_this_release_at_work(self, old: Database) -> None:
        manager = old.manager()
        cookie = Frozen(1, old.kind).cookie
        assert visit(manager, cookie, put={}) is not None

        assert start_next(old).communicate(timeout=60) == (f"{NEXT}\n", "")

        # One that goes on, and one that its server has started anew.
        for worker in (manager, old.manager()):
            assert visit(worker, cookie, put={}) is not None
            assert worker.sign_in_email(email="ada@example.org", password=PASSWORD).session
            worker.close()
        assert old.version == f"{NEXT} (works with 1)"

    def test_waits_for_who_holds_the_table_and_lets_them_go_on(self, old: Database) -> None:
        if old.kind == "sqlite":
            return  # readers are in nobody's way
        holder = Connections(old.url)
        with holder.database.connection_context(), holder.database.atomic():
            holder.database.execute_sql("SELECT * FROM wsgi_sessions_session").fetchall()
            worker = start_next(old)
            manager = old.manager()
            cookie = Frozen(1, old.kind).cookie
            for _ in range(5):
                assert visit(manager, cookie, put={}) is not None
            assert worker.poll() is None
            manager.close()

        assert worker.communicate(timeout=60) == (f"{NEXT}\n", "")


class TestLaterRelease:
    def test_is_refused_where_it_does_not_work_with_this_one(
        self, empty: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as later:
            next_release.install(later.setattr, works_with=NEXT)
            empty.manager().create_tables()
        manager = empty.manager()

        uses: list[Any] = [
            lambda: SessionMiddleware(lambda _environ, _start: [], manager),
            manager.create_tables,
            manager.migrate,
            manager.check_schema,
            lambda: manager.list_sessions("nobody"),
        ]
        for use in uses:
            with pytest.raises(ConfigurationError) as caught:
                use()
            for part in (f"version {NEXT}", f"knows {THIS}", "Install a release"):
                assert part in str(caught.value)

    @pytest.mark.parametrize("text", ["999", "999 (works with 998)"])
    def test_is_refused_where_it_says_nothing_of_this_one(self, empty: Database, text: str) -> None:
        empty.manager().create_tables()
        empty.write(f"UPDATE wsgi_sessions_meta SET value = '{text}' WHERE name = 'schema_version'")

        with pytest.raises(ConfigurationError, match="have version 999"):
            empty.manager().create_tables()
        assert empty.version == text

    @pytest.mark.parametrize("text", ["", "two", "-1", "1 or 2", "9" * 12])
    def test_a_row_that_is_no_version_is_refused(self, empty: Database, text: str) -> None:
        empty.manager().create_tables()
        empty.write(f"UPDATE wsgi_sessions_meta SET value = '{text}' WHERE name = 'schema_version'")

        with pytest.raises(ConfigurationError, match="no version; put back .*works with 1"):
            empty.manager().create_tables()
