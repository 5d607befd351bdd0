"""Connections to a database server: conflicts, and connections that die."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import peewee
import psycopg
import pymysql
import pytest

from tests.contract.databases import fresh_server_database, kill_connection, wait_for_nodes
from tests.support import in_parallel
from wsgi_sessions import StoreUnavailableError
from wsgi_sessions.errors import InvalidValueError
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.driver_errors import IntegrityConflict

from .probes import connection_id, count, opened_by_app, put


class TestServer:
    def kill(self, server: str, connections: Connections) -> None:
        row = connections.read_row(connection_id(server), ())
        assert row is not None
        kill_connection(server, row[0])

    @pytest.fixture
    def connections(self, server: str) -> Iterator[Connections]:
        with fresh_server_database(server) as url:
            connections = Connections(url)
            counter = "SERIAL" if server == "postgres" else "INTEGER AUTO_INCREMENT"
            connections.write(
                f"CREATE TABLE thing (id {counter} PRIMARY KEY, word VARCHAR(9) UNIQUE)", ()
            )
            wait_for_nodes()
            yield connections
            connections.close()

    def test_killed_connection_is_replaced_by_the_next_read(
        self, server: str, connections: Connections
    ) -> None:
        self.kill(server, connections)

        assert count(connections) == 0

    def test_killed_connection_is_replaced_by_the_next_transaction(
        self, server: str, connections: Connections
    ) -> None:
        self.kill(server, connections)

        connections.atomically(lambda: put(connections, "a"))

        assert count(connections) == 1

    def test_killed_connection_is_replaced_by_the_next_write(
        self, server: str, connections: Connections
    ) -> None:
        """The server has told its end while nothing was under way, so nothing was sent."""
        self.kill(server, connections)

        assert put(connections, "a") == 1
        assert count(connections) == 1

    def test_write_whose_connection_dies_under_it_is_not_sent_again(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Whether it landed can't be known.
        count(connections)
        monkeypatch.setattr(type(connections.dialect), "has_unread", lambda *given: False)
        self.kill(server, connections)

        with pytest.raises(StoreUnavailableError):
            put(connections, "a")

        assert put(connections, "b") == 1

    def test_connection_killed_within_a_transaction_undoes_it(
        self, server: str, connections: Connections
    ) -> None:
        def work() -> None:
            put(connections, "a")
            self.kill(server, connections)
            put(connections, "b")

        with pytest.raises(StoreUnavailableError):
            connections.atomically(work)

        assert count(connections) == 0

    def test_deadlock_is_tried_again(self, server: str, connections: Connections) -> None:
        put(connections, "a")
        put(connections, "b")
        barrier = threading.Barrier(2)
        winner_is_through = threading.Event()
        tries: list[int] = []

        def swap(number: int) -> None:
            first, second = (1, 2) if number == 0 else (2, 1)

            def work() -> None:
                tries.append(number)
                if len(tries) > 2:
                    winner_is_through.wait(10)  # or the two could meet once more
                connections.write(
                    f"UPDATE thing SET word = 'x{number}{first}' WHERE id = {first}", ()
                )
                if len(tries) <= 2:
                    barrier.wait(10)
                connections.write(
                    f"UPDATE thing SET word = 'x{number}{second}' WHERE id = {second}", ()
                )

            connections.atomically(work)
            winner_is_through.set()

        in_parallel(swap, 2)

        assert len(tries) == 3, "one of them was the victim, and tried once more"

    def conflicts(self, server: str) -> list[Exception]:
        if server == "postgres":
            return [psycopg.errors.lookup(state)() for state in ("40001", "40P01")]
        return [pymysql.err.OperationalError(code, "conflict") for code in (1213, 1020)]

    def test_conflict_is_tried_again_until_it_is_over(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wsgi_sessions.storage.connections.time.sleep", lambda seconds: None)
        for number, conflict in enumerate(self.conflicts(server)):
            left = [conflict] * 3

            def work(word: str = f"w{number}", left: list[Exception] = left) -> None:
                put(connections, word)
                if left:
                    raise left.pop()

            connections.atomically(work)

        assert count(connections) == len(self.conflicts(server)), "each landed once"

    def test_endless_conflict_is_unavailable(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("wsgi_sessions.storage.connections.time.sleep", slept.append)
        conflict = self.conflicts(server)[0]

        def work() -> None:
            raise conflict

        with pytest.raises(StoreUnavailableError):
            connections.atomically(work)

        assert len(slept) == 7
        assert slept == sorted(slept), "each wait is longer than the one before"

    def test_failure_within_a_transaction_keeps_the_connection(
        self, server: str, connections: Connections
    ) -> None:
        before = connections.read_row(connection_id(server), ())

        with pytest.raises(StoreUnavailableError):
            connections.atomically(
                lambda: connections.write("INSERT INTO missing (word) VALUES ('a')", ())
            )

        assert connections.read_row(connection_id(server), ()) == before

    def test_transaction_whose_commit_was_not_answered_is_not_run_again(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # It has landed, but the answer is lost; whether it has can't be known.
        real = connections.database.commit
        if server == "postgres":
            lost: Exception = psycopg.OperationalError("server closed the connection")
        else:
            lost = pymysql.err.OperationalError(2013, "Lost connection to server during query")
        answers = [lost]

        def commit() -> None:
            real()
            if answers:
                raise answers.pop()

        monkeypatch.setattr(connections.database, "commit", commit)

        words = iter("ab")
        with suppress(StoreUnavailableError):
            connections.atomically(lambda: put(connections, next(words)))

        assert count(connections) == 1

    def test_too_long_a_value_is_the_clients_fault(
        self, server: str, connections: Connections
    ) -> None:
        with pytest.raises(InvalidValueError):
            put(connections, "x" * 10)

    def test_missing_table_says_how_to_make_it(self, server: str, connections: Connections) -> None:
        with pytest.raises(StoreUnavailableError, match=r"call manager.create_tables\(\) once"):
            connections.read_row("SELECT * FROM missing", ())

    def test_apps_connection_that_was_killed_is_replaced_by_the_next_read(
        self, server: str, connections: Connections
    ) -> None:
        app = opened_by_app(connections)
        before = app.read_row(connection_id(server), ())
        self.kill(server, app)

        after = app.read_row(connection_id(server), ())

        assert after != before
        assert not connections.database.is_closed(), "open was found and open is left"

    def test_apps_connection_that_was_killed_is_replaced_by_the_next_transaction(
        self, server: str, connections: Connections
    ) -> None:
        app = opened_by_app(connections)
        self.kill(server, app)

        app.atomically(lambda: put(app, "a"))

        assert count(app) == 1
        assert not connections.database.is_closed(), "open was found and open is left"

    def test_apps_connection_killed_within_a_transaction_is_told(
        self, server: str, connections: Connections
    ) -> None:
        """What the application did before is undone, and only it can do that again."""
        app = opened_by_app(connections)

        with (
            suppress(peewee.InterfaceError, peewee.OperationalError),
            connections.database.atomic(),
        ):
            self.kill(server, app)
            with pytest.raises(StoreUnavailableError):
                app.read_row("SELECT 1", ())

    def test_apps_connection_that_only_failed_is_kept(
        self, server: str, connections: Connections
    ) -> None:
        app = opened_by_app(connections)
        before = app.read_row(connection_id(server), ())

        with pytest.raises(StoreUnavailableError):
            app.read_row("SELECT * FROM missing", ())

        assert app.read_row(connection_id(server), ()) == before

    def test_apps_connection_whose_server_is_gone_is_told(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = opened_by_app(connections)
        self.kill(server, app)

        def refuse() -> None:
            raise OSError("connection refused")

        with monkeypatch.context() as patch:
            patch.setattr(connections.database, "_connect", refuse)
            with pytest.raises(StoreUnavailableError):
                app.read_row("SELECT 1", ())

        assert app.read_row("SELECT 1", ()) == (1,)

    def test_connection_of_ours_waits_about_five_seconds_for_a_lock(
        self, server: str, connections: Connections
    ) -> None:
        ask, limit = {
            "postgres": ("SHOW lock_timeout", "4500ms"),
            "mariadb": ("SELECT @@innodb_lock_wait_timeout", 5),
        }[server]

        assert connections.read_row(ask, ()) == (limit,)

    def test_conflict_that_took_long_is_not_tried_again(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count(connections)
        now_ms = [0]
        monkeypatch.setattr("wsgi_sessions.storage.time_budget.monotonic_ms", lambda: now_ms[0])
        monkeypatch.setattr("wsgi_sessions.storage.connections.time.sleep", lambda seconds: None)
        tries: list[int] = []

        def work() -> None:
            tries.append(1)
            now_ms[0] += 2500
            raise self.conflicts(server)[1]

        with pytest.raises(StoreUnavailableError):
            connections.atomically(work)

        assert len(tries) == 2, "again before the five seconds were over, and not after"

    def test_insert_tells_the_key_that_the_row_got(
        self, server: str, connections: Connections
    ) -> None:
        returning = " RETURNING id" if server == "postgres" else ""

        keys = [
            connections.insert(f"INSERT INTO thing (word) VALUES (%s){returning}", (word,))
            for word in "ab"
        ]

        rows = connections.read_rows("SELECT id FROM thing ORDER BY word", ())
        assert [(key,) for key in keys] == rows

    @pytest.mark.parametrize(
        ("columns", "values", "said"),
        [
            ("word", "'hush'", ("thing_word_key", "'word'")),
            ("id", "NULL", ('"id"', "'id'")),
            ("size", "-1", ("thing_size_check", "size")),
        ],
    )
    def test_refused_row_is_told_by_the_name_of_what_refused_it(
        self, server: str, columns: str, values: str, said: tuple[str, str]
    ) -> None:
        with fresh_server_database(server) as url:
            connections = Connections(url)
            connections.write(
                "CREATE TABLE thing "
                "(id INTEGER NOT NULL DEFAULT 7, word VARCHAR(9) UNIQUE DEFAULT 'hush',"
                " size INTEGER CHECK (size > 0))",
                (),
            )
            connections.write("INSERT INTO thing (size) VALUES (1)", ())

            with pytest.raises(IntegrityConflict) as caught:
                connections.write(f"INSERT INTO thing ({columns}) VALUES ({values})", ())
            connections.close()

        assert said[server == "mariadb"] in str(caught.value)
        assert "hush" not in str(caught.value)

    def test_column_without_a_default_is_a_refused_row(
        self, server: str, connections: Connections
    ) -> None:
        connections.write("ALTER TABLE thing ADD COLUMN country VARCHAR(9) NOT NULL", ())

        with pytest.raises(IntegrityConflict, match="country"):
            put(connections, "a")

    def test_apps_database_that_is_closed_is_asked_again(
        self, server: str, connections: Connections
    ) -> None:
        connections.close()
        app = Connections(connections.database)

        assert app.read_row("SELECT 1", ()) == (1,)
        assert connections.database.is_closed()

    def test_savepoint_within_the_applications_transaction(
        self, server: str, connections: Connections
    ) -> None:
        app = opened_by_app(connections)

        def fail() -> None:
            put(app, "b")
            raise LookupError

        with connections.database.atomic():
            put(app, "a")
            with pytest.raises(LookupError):
                app.atomically(fail)

        assert app.read_rows("SELECT word FROM thing", ()) == [("a",)]

    @pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
    def test_server_that_is_not_there_is_unavailable(self, scheme: str) -> None:
        connections = Connections(f"{scheme}://nobody@127.0.0.1:1/nothing")

        with pytest.raises(StoreUnavailableError):
            connections.read_row("SELECT 1", ())
        with pytest.raises(StoreUnavailableError):
            connections.atomically(lambda: None)
