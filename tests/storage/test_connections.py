"""Connections of our own, and those of an application, which are left as they were found."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.support import in_parallel
from wsgi_sessions import SessionManager, StoreUnavailableError
from wsgi_sessions.errors import InvalidValueError
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.driver_errors import IntegrityConflict

from .probes import SECRET, count, idle_one, noted, put


class TestOwned:
    def test_connection_given_back_is_taken_by_the_next(self, owned: Connections) -> None:
        first = idle_one(owned)
        put(owned, "a")
        owned.atomically(lambda: put(owned, "b"))

        found = in_parallel(lambda _: count(owned), 3)

        assert found == [2, 2, 2]
        assert first in [entry.connection for entry in owned.source.pool.idle]

    def test_connection_taken_by_a_thread_outlives_it(self, owned: Connections) -> None:
        thread = threading.Thread(target=lambda: count(owned))
        thread.start()
        thread.join()
        gc.collect()

        assert idle_one(owned).execute("SELECT 1").fetchone() == (1,)

    def test_connection_of_a_database_that_is_dropped_is_closed(self, file: Path) -> None:
        connections: Connections | None = Connections(f"sqlite:///{file}")
        assert connections is not None
        connection = idle_one(connections)

        connections = None
        gc.collect()

        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")

    def test_read_sends_one_statement(self, owned: Connections) -> None:
        count(owned)

        with noted(owned) as sent:
            owned.read_row("SELECT word FROM thing WHERE id = ?", (7,))
            owned.read_rows("SELECT word FROM thing WHERE id = ?", (8,))

        assert sent == [
            "SELECT word FROM thing WHERE id = 7",
            "SELECT word FROM thing WHERE id = 8",
        ]

    def test_write_sends_one_statement(self, owned: Connections) -> None:
        count(owned)

        with noted(owned) as sent:
            put(owned, "a")

        assert sent == ["INSERT INTO thing (word) VALUES ('a')"]

    def test_write_tells_how_many_rows_it_changed(self, owned: Connections) -> None:
        put(owned, "a")
        put(owned, "b")

        assert owned.write("UPDATE thing SET word = word || 'x'", ()) == 2
        assert owned.write("DELETE FROM thing WHERE id = 99", ()) == 0

    def test_read_tells_the_rows(self, owned: Connections) -> None:
        put(owned, "a")
        put(owned, "b")

        assert owned.read_rows("SELECT word FROM thing ORDER BY id", ()) == [("a",), ("b",)]
        assert owned.read_row("SELECT word FROM thing ORDER BY id", ()) == ("a",)
        assert owned.read_row("SELECT word FROM thing WHERE id = 99", ()) is None

    def test_read_within_a_transaction_fails_with_it(self, owned: Connections) -> None:
        with noted(owned) as sent, pytest.raises(StoreUnavailableError):
            owned.atomically(lambda: owned.read_row("SELECT * FROM broken", ()))

        assert sent == ["BEGIN IMMEDIATE", "ROLLBACK"]

    def test_failed_read_is_not_sent_again_within_a_transaction(self, owned: Connections) -> None:
        overflow = "SELECT abs(-9223372036854775807 - 1)"

        with noted(owned) as sent, pytest.raises(StoreUnavailableError):
            owned.atomically(lambda: owned.read_row(overflow, ()))

        assert sent == ["BEGIN IMMEDIATE", overflow, "ROLLBACK"]

    def test_inner_transaction_joins_the_outer(self, owned: Connections) -> None:
        with noted(owned) as sent:
            owned.atomically(lambda: owned.atomically(lambda: put(owned, "a")))

        assert sent == ["BEGIN IMMEDIATE", "INSERT INTO thing (word) VALUES ('a')", "COMMIT"]

    def test_transaction_over_a_closed_file_reopens_it(self, owned: Connections) -> None:
        owned.close()
        owned.close()

        owned.atomically(lambda: put(owned, "a"))

        assert count(owned) == 1

    def test_what_the_work_says_is_unavailable_is_not_tried_again(self, owned: Connections) -> None:
        said = StoreUnavailableError("said by the work")
        tries: list[int] = []

        def work() -> None:
            tries.append(1)
            raise said

        with pytest.raises(StoreUnavailableError, match="said by the work"):
            owned.atomically(work)

        assert tries == [1]

    def test_file_is_in_wal_mode_and_waits_for_locks(self, owned: Connections) -> None:
        assert owned.read_row("PRAGMA journal_mode", ()) == ("wal",)
        assert owned.read_row("PRAGMA busy_timeout", ()) == (5000,)

    def test_memory_is_shared_by_threads(self) -> None:
        connections = Connections("sqlite:///:memory:")
        connections.write("CREATE TABLE thing (id INTEGER PRIMARY KEY, word TEXT)", ())

        in_parallel(lambda number: put(connections, str(number)), 8)

        assert count(connections) == 8
        connections.close()

    def test_closed_one_opens_again(self, owned: Connections) -> None:
        owned.close()

        assert count(owned) == 0

    def test_transaction_is_all_or_nothing(self, owned: Connections) -> None:
        def work() -> None:
            put(owned, "a")
            owned.atomically(lambda: put(owned, "b"))
            raise LookupError

        with pytest.raises(LookupError):
            owned.atomically(work)

        assert count(owned) == 0

    def test_taken_value_is_a_conflict_of_its_own(self, owned: Connections) -> None:
        put(owned, "a")

        with pytest.raises(IntegrityConflict):
            put(owned, "a")

    def test_unstorable_text_is_the_clients_fault(self, owned: Connections) -> None:
        with pytest.raises(InvalidValueError):
            put(owned, "\ud800")

    def test_missing_table_says_how_to_make_it(self, owned: Connections) -> None:
        with pytest.raises(StoreUnavailableError, match=r"call manager.create_tables\(\) once"):
            owned.read_row("SELECT * FROM missing", ())
        with pytest.raises(StoreUnavailableError, match=r"call manager.create_tables\(\) once"):
            owned.run(lambda: owned.database.execute_sql("SELECT * FROM missing"))

    def test_locked_file_is_tried_again(
        self, owned: Connections, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owned.write("PRAGMA busy_timeout = 0", ())
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        slept: list[float] = []

        def let_go(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                other.execute("COMMIT")

        monkeypatch.setattr("wsgi_sessions.storage.connections.time.sleep", let_go)

        owned.atomically(lambda: put(owned, "a"))

        assert (count(owned), len(slept)) == (1, 2)
        other.close()

    def test_file_locked_for_good_is_unavailable(
        self, owned: Connections, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owned.write("PRAGMA busy_timeout = 0", ())
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("wsgi_sessions.storage.connections.time.sleep", lambda seconds: None)

        with pytest.raises(StoreUnavailableError):
            owned.atomically(lambda: put(owned, "a"))

        other.close()

    def test_lock_that_was_waited_for_long_is_not_waited_for_again(
        self, owned: Connections, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owned.write("PRAGMA busy_timeout = 0", ())
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        took_ms = iter([0, 0, 5000])
        monkeypatch.setattr(
            "wsgi_sessions.storage.time_budget.monotonic_ms", lambda: next(took_ms, 5000)
        )
        monkeypatch.setattr("wsgi_sessions.storage.connections.time.sleep", pytest.fail)

        with pytest.raises(StoreUnavailableError):
            owned.atomically(lambda: put(owned, "a"))

        other.close()

    def test_number_beyond_sixty_four_bits_is_the_clients_fault(self, owned: Connections) -> None:
        with pytest.raises(InvalidValueError):
            owned.read_row("SELECT ?", (2**64,))

    def test_insert_tells_the_key_that_the_row_got(self, owned: Connections) -> None:
        assert [owned.insert("INSERT INTO thing (word) VALUES (?)", (word,)) for word in "ab"] == [
            *[1, 2],
        ]

    def test_folder_that_is_not_there_is_unavailable(self, tmp_path: Path) -> None:
        connections = Connections(f"sqlite:///{tmp_path}/no/app.db")

        with pytest.raises(StoreUnavailableError):
            connections.read_row("SELECT 1", ())
        with pytest.raises(StoreUnavailableError):
            connections.write("SELECT 1", ())


@pytest.mark.parametrize("text", ["database is locked", "disk I/O error"])
def test_only_a_locked_new_file_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """As it is while another process turns it to WAL, for which SQLite does not wait."""
    connections = Connections(f"sqlite:///{tmp_path}/new.db")
    database, tries = connections.database, []
    connect = database._connect

    def connect_at_last() -> Any:
        tries.append(1)
        if len(tries) < 4:
            raise sqlite3.OperationalError(text)
        return connect()

    monkeypatch.setattr(database, "_connect", connect_at_last)

    if text == "database is locked":
        assert connections.read_row("SELECT 1", ()) == (1,)
        assert len(tries) == 4
    else:
        with pytest.raises(StoreUnavailableError):
            connections.atomically(lambda: None)
        assert len(tries) == 1
    connections.close()


class TestAppDatabase:
    @pytest.fixture
    def app_database(self, file: Path) -> Iterator[peewee.SqliteDatabase]:
        database: Any = peewee.SqliteDatabase(str(file))
        database.execute_sql("CREATE TABLE thing (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
        database.close()
        yield database
        database.close()

    @pytest.mark.parametrize("is_open", [False, True])
    def test_is_left_open_or_closed_as_it_was(
        self, app_database: peewee.SqliteDatabase, is_open: bool
    ) -> None:
        if is_open:
            app_database.connect()
        connections = Connections(app_database)

        put(connections, "a")
        count(connections)
        connections.atomically(lambda: put(connections, "b"))
        connections.close()

        assert app_database.is_closed() is not is_open

    def test_is_left_as_it_was_by_a_failure(self, app_database: peewee.SqliteDatabase) -> None:
        connections = Connections(app_database)

        with pytest.raises(StoreUnavailableError):
            connections.read_row("SELECT * FROM missing", ())

        assert app_database.is_closed()

    def test_the_applications_transaction_stays_its_own(
        self, app_database: peewee.SqliteDatabase
    ) -> None:
        connections = Connections(app_database)

        with app_database.atomic() as transaction:
            put(connections, "a")
            with pytest.raises(LookupError):
                connections.atomically(lambda: self.fail_after(put(connections, "b")))
            assert count(connections) == 1, "ours was a savepoint within it"
            transaction.rollback()

        assert count(connections) == 0

    def fail_after(self, _: int) -> None:
        raise LookupError

    def test_manager_works_within_the_applications_transaction(
        self, app_database: peewee.SqliteDatabase
    ) -> None:
        manager = SessionManager(app_database, secret=SECRET)
        manager.create_tables()

        with app_database.atomic() as transaction:
            manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
            transaction.rollback()

        assert manager.parts.store.users.find_by_email("ada@example.org") is None


def test_first_use_prepares_once_though_many_come_at_once(file: Path) -> None:
    connections = Connections(f"sqlite:///{file}")
    calls: list[int] = []
    connections.first_use.work = lambda: calls.append(1)

    in_parallel(lambda _: connections.read_row("SELECT 1", ()), 8)

    assert calls == [1]
    connections.close()


def test_preparation_may_open_a_connection_anew(file: Path) -> None:
    connections = Connections(f"sqlite:///{file}")
    calls: list[int] = []

    def prepare() -> None:
        calls.append(1)
        assert len(calls) == 1, "it was begun within itself"
        connections.close()
        connections.read_row("SELECT 1", ())

    connections.first_use.work = prepare

    assert connections.read_row("SELECT 1", ()) == (1,)
    assert calls == [1]
    connections.close()


def test_failed_preparation_is_tried_again(file: Path) -> None:
    connections = Connections(f"sqlite:///{file}")
    calls: list[int] = []

    def prepare() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StoreUnavailableError("not yet")

    connections.first_use.work = prepare
    with pytest.raises(StoreUnavailableError):
        connections.read_row("SELECT 1", ())
    connections.close()

    assert connections.read_row("SELECT 1", ()) == (1,)
    assert calls == [1, 1]
    connections.close()
