"""Connections: one a thread, none across a fork, borrowed ones left as found, dead ones replaced."""

from __future__ import annotations

import builtins
import gc
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import peewee
import psycopg
import pymysql
import pytest

from tests.contract.databases import fresh_server_database, in_parallel, is_counted, run_on_server
from wsgi_sessions import ConfigurationError, SessionManager, StoreUnavailableError
from wsgi_sessions.errors import InvalidValueError
from wsgi_sessions.storage.connections import Connections, IntegrityConflict

SECRET = "x" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def owned(file: Path) -> Iterator[Connections]:
    connections = Connections(f"sqlite:///{file}")
    connections.write("CREATE TABLE thing (id INTEGER PRIMARY KEY, word TEXT UNIQUE)", ())
    yield connections
    connections.close()


def count(connections: Connections) -> Any:
    row = connections.read_row("SELECT COUNT(*) FROM thing", ())
    assert row is not None
    return row[0]


def idle_one(connections: Connections) -> Any:
    """Return the connection that is taken next."""
    if not connections._pool._idle:
        connections.read_row("SELECT 1", ())
    return connections._pool._idle[-1].connection


@contextmanager
def noted(connections: Connections) -> Iterator[list[str]]:
    """Note what is sent over the connection that is taken next."""
    sent: list[str] = []

    def note(sql: str) -> None:
        if is_counted(sql):
            sent.append(sql)

    connection = idle_one(connections)
    connection.set_trace_callback(note)
    yield sent
    connection.set_trace_callback(None)


def lent_open(connections: Connections) -> Connections:
    """Return the same database as one that an application lends, open as it is."""
    connections.database.connect()
    return Connections(connections.database)


def put(connections: Connections, word: str) -> int:
    mark = "?" if connections.is_sqlite else "%s"
    return connections.write(f"INSERT INTO thing (word) VALUES ({mark})", (word,))


class TestUrl:
    @pytest.mark.parametrize("url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
    def test_database_in_memory_needs_no_file(self, url: str) -> None:
        connections = Connections(url)

        assert connections.read_row("SELECT 1", ()) == (1,)
        assert connections.database.database == ":memory:"
        connections.close()

    @pytest.mark.parametrize("name", ["a#b.db", "a?b.db", "a b.db", "a%20b.db"])
    def test_file_name_is_taken_as_it_is(self, tmp_path: Path, name: str) -> None:
        connections = Connections(f"sqlite:///{tmp_path / name}")
        connections.read_row("SELECT 1", ())
        connections.close()

        assert (tmp_path / name).exists()

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("oracle://x", "has the scheme 'oracle'; use sqlite:///file.db"),
            ("app.db", "has the scheme ''; use sqlite:///file.db"),
            ("sqlite:app.db", "give a file as sqlite:///file.db"),
            ("sqlite://app.db", "give a file as sqlite:///file.db"),
            ("postgresql://host:port/name", "the postgresql URL can't be read"),
            ("postgresql://host/name?foo=bar", "has the option 'foo', which its driver"),
            ("mysql://host/name?foo=bar", "has the option 'foo', which its driver"),
            ("sqlite:///a\0b.db", "a zero byte in the name of its file"),
        ],
    )
    def test_wrong_url_says_how_to_write_it(self, url: str, message: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Connections(url)

        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("url", "module", "extra"),
        [
            ("postgresql://h/n", "psycopg", "postgres"),
            ("mysql://h/n", "pymysql", "mysql"),
            ("mariadb://h/n", "pymysql", "mysql"),
        ],
    )
    def test_missing_driver_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str
    ) -> None:
        real = builtins.__import__

        def refuse(name: str, *given: Any, **more: Any) -> Any:
            if name == module:
                raise ImportError(name)
            return real(name, *given, **more)

        monkeypatch.setattr(builtins, "__import__", refuse)

        with pytest.raises(ConfigurationError) as caught:
            Connections(url)

        assert f'pip install "wsgi-sessions[{extra}]"' in str(caught.value)

    def test_wrong_url_shows_no_password(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Connections("postgresql://me:hush@host:port/name")

        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://me:hush/hush@host/name",
            "mysql://me:12/hush@host/name",
            "postgresql://me:hush#hush@host/name",
            "mysql://me:hush@host",
            "postgresql://me:hush@[host/name",
        ],
    )
    def test_traceback_of_a_wrong_url_shows_no_password(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Connections(url)

        assert "hush" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__, "what the parser said is not printed"

    @pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
    def test_user_and_password_reach_the_driver_decoded(self, scheme: str) -> None:
        connections = Connections(f"{scheme}://us%40er:p%40s%2Fs%3A%25@127.0.0.1/name")

        given = connections.database.connect_params
        assert given["user"] == "us@er"
        assert given.get("password", given.get("passwd")) == "p@s/s:%"


class TestGivenDatabase:
    def test_proxy_is_followed_to_its_database(self) -> None:
        database = peewee.SqliteDatabase(":memory:")
        inner, outer = peewee.DatabaseProxy(), peewee.DatabaseProxy()
        inner.initialize(database)
        outer.initialize(inner)

        connections = Connections(outer)

        assert connections.database is database
        assert (connections.is_owned, connections.is_sqlite) == (False, True)

    def test_manager_works_over_a_proxy(self) -> None:
        proxy = peewee.DatabaseProxy()
        proxy.initialize(peewee.SqliteDatabase(":memory:"))
        with proxy.connection_context():
            manager = SessionManager(proxy, secret=SECRET)
            manager.create_tables()

            made = manager.sign_up_email(
                name="Ada", email="ada@example.org", password="correct horse"
            )

            assert made.session is not None
            assert [each.id for each in manager.list_sessions(made.user.id)] == [made.session.id]

    def test_proxy_that_leads_nowhere_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match=r"leads nowhere yet; call its initialize\(\)"):
            Connections(peewee.DatabaseProxy())

    @pytest.mark.parametrize("given", [Path("app.db"), None, 7, peewee.SqliteDatabase])
    def test_what_is_no_database_is_told_what_may_be_given(self, given: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"give a URL as text \(sqlite:///file.db\)"):
            Connections(given)


class TestOwned:
    def test_connection_given_back_is_taken_by_the_next(self, owned: Connections) -> None:
        first = idle_one(owned)
        put(owned, "a")
        owned.atomically(lambda: put(owned, "b"))

        found = in_parallel(lambda _: count(owned), 3)

        assert found == [2, 2, 2]
        assert first in [entry.connection for entry in owned._pool._idle]

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
            "wsgi_sessions.storage.patience.monotonic_ms", lambda: next(took_ms, 5000)
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


class TestFork:
    def test_connection_that_can_not_be_closed_is_let_go(self, owned: Connections) -> None:
        class Gone:
            closed = 0

            def close(self) -> None:
                Gone.closed += 1
                raise OSError("the server is gone")

        owned._pool._idle[-1].connection.close()
        owned._pool._idle[-1].connection = Gone()
        owned.close()

        assert Gone.closed == 1

    @pytest.mark.parametrize("kind", ["memory", "borrowed"])
    def test_what_has_one_connection_keeps_it(self, kind: str) -> None:
        borrowed: Any = peewee.SqliteDatabase(":memory:")
        connections = Connections("sqlite:///:memory:" if kind == "memory" else borrowed)
        connections.database.connect()
        before = connections.database.connection()

        connections._local.process_id = connections._opening.process_id = os.getpid() + 1
        connections.renew_locks()
        connections._notice_fork()

        assert connections.database.connection() is before
        connections.database.close()

    def child_says(self, work: Callable[[], str]) -> str:
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(write_end, work().encode())
            except BaseException as error:
                os.write(write_end, repr(error).encode())
            finally:
                os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        return said

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_child_has_a_connection_of_its_own(self, owned: Connections) -> None:
        put(owned, "parent")
        parents = id(idle_one(owned))

        def in_child() -> str:
            own = id(idle_one(owned)) != parents
            put(owned, "child")
            gc.collect()
            return f"{own} {count(owned)}"

        assert self.child_says(in_child) == "True 2"
        assert (count(owned), put(owned, "again")) == (2, 1)

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    @pytest.mark.parametrize("server", ["postgres", "mariadb"])
    def test_child_leaves_the_parents_connection_alone(self, server: str) -> None:
        with fresh_server_database(server) as url:
            connections = Connections(url)
            ask = connection_id(server)
            parents = connections.read_row(ask, ())

            def in_child() -> str:
                row = connections.read_row(ask, ())
                connections.close()
                gc.collect()
                return str(row != parents)

            assert self.child_says(in_child) == "True"
            assert connections.read_row(ask, ()) == parents
            connections.close()


def connection_id(server: str) -> str:
    return "SELECT pg_backend_pid()" if server == "postgres" else "SELECT CONNECTION_ID()"


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


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


class TestServer:
    def kill(self, server: str, connections: Connections) -> None:
        row = connections.read_row(connection_id(server), ())
        assert row is not None
        run_on_server(
            server,
            f"SELECT pg_terminate_backend({row[0]}, 5000)"
            if server == "postgres"
            else f"KILL {row[0]}",
        )

    @pytest.fixture
    def connections(self, server: str) -> Iterator[Connections]:
        with fresh_server_database(server) as url:
            connections = Connections(url)
            counter = "SERIAL" if server == "postgres" else "INTEGER AUTO_INCREMENT"
            connections.write(
                f"CREATE TABLE thing (id {counter} PRIMARY KEY, word VARCHAR(9) UNIQUE)", ()
            )
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
        monkeypatch.setattr(
            "wsgi_sessions.storage.connection_source.has_something_unread",
            lambda *given, **more: False,
        )
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

    def test_read_sends_one_statement(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count(connections)
        before = self.statements(server, connections, monkeypatch)

        count(connections)

        assert self.statements(server, connections, monkeypatch) - before == 2, "ours and the look"

    def statements(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> int:
        """Tell how many the server has had over this connection, this one included."""
        if server == "mariadb":
            row = connections.read_row("SHOW SESSION STATUS LIKE 'Questions'", ())
            assert row is not None
            return int(row[1])
        if not hasattr(self, "sent"):
            self.sent: list[Any] = []
            real = psycopg.Cursor.execute

            def note(cursor: Any, query: Any, *given: Any, **more: Any) -> Any:
                self.sent.append(query)
                return real(cursor, query, *given, **more)

            monkeypatch.setattr(psycopg.Cursor, "execute", note)
        assert idle_one(connections).autocommit, "no BEGIN goes before"
        connections.read_row("SELECT 1", ())
        return len(self.sent)

    def test_borrowed_connection_that_was_killed_is_replaced_by_the_next_read(
        self, server: str, connections: Connections
    ) -> None:
        borrowed = lent_open(connections)
        before = borrowed.read_row(connection_id(server), ())
        self.kill(server, borrowed)

        after = borrowed.read_row(connection_id(server), ())

        assert after != before
        assert not connections.database.is_closed(), "open was found and open is left"

    def test_borrowed_connection_that_was_killed_is_replaced_by_the_next_transaction(
        self, server: str, connections: Connections
    ) -> None:
        borrowed = lent_open(connections)
        self.kill(server, borrowed)

        borrowed.atomically(lambda: put(borrowed, "a"))

        assert count(borrowed) == 1
        assert not connections.database.is_closed(), "open was found and open is left"

    def test_borrowed_connection_killed_within_a_transaction_is_told(
        self, server: str, connections: Connections
    ) -> None:
        """What the application did before is undone, and only it can do that again."""
        borrowed = lent_open(connections)

        with (
            suppress(peewee.InterfaceError, peewee.OperationalError),
            connections.database.atomic(),
        ):
            self.kill(server, borrowed)
            with pytest.raises(StoreUnavailableError):
                borrowed.read_row("SELECT 1", ())

    def test_borrowed_connection_that_only_failed_is_kept(
        self, server: str, connections: Connections
    ) -> None:
        borrowed = lent_open(connections)
        before = borrowed.read_row(connection_id(server), ())

        with pytest.raises(StoreUnavailableError):
            borrowed.read_row("SELECT * FROM missing", ())

        assert borrowed.read_row(connection_id(server), ()) == before

    def test_borrowed_connection_whose_server_is_gone_is_told(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        borrowed = lent_open(connections)
        self.kill(server, borrowed)

        def refuse() -> None:
            raise OSError("connection refused")

        with monkeypatch.context() as patch:
            patch.setattr(connections.database, "_connect", refuse)
            with pytest.raises(StoreUnavailableError):
                borrowed.read_row("SELECT 1", ())

        assert borrowed.read_row("SELECT 1", ()) == (1,)

    def test_connection_of_ours_waits_five_seconds_for_a_lock(
        self, server: str, connections: Connections
    ) -> None:
        ask, limit = {
            "postgres": ("SHOW lock_timeout", "5s"),
            "mariadb": ("SELECT @@innodb_lock_wait_timeout", 5),
        }[server]

        assert connections.read_row(ask, ()) == (limit,)

    def test_conflict_that_took_long_is_not_tried_again(
        self, server: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count(connections)
        now_ms = [0]
        monkeypatch.setattr("wsgi_sessions.storage.patience.monotonic_ms", lambda: now_ms[0])
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

    def test_borrowed_database_that_is_closed_is_asked_again(
        self, server: str, connections: Connections
    ) -> None:
        connections.close()
        borrowed = Connections(connections.database)

        assert borrowed.read_row("SELECT 1", ()) == (1,)
        assert connections.database.is_closed()

    def test_savepoint_within_the_applications_transaction(
        self, server: str, connections: Connections
    ) -> None:
        borrowed = lent_open(connections)

        def fail() -> None:
            put(borrowed, "b")
            raise LookupError

        with connections.database.atomic():
            put(borrowed, "a")
            with pytest.raises(LookupError):
                borrowed.atomically(fail)

        assert borrowed.read_rows("SELECT word FROM thing", ()) == [("a",)]

    @pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
    def test_server_that_is_not_there_is_unavailable(self, scheme: str) -> None:
        connections = Connections(f"{scheme}://nobody@127.0.0.1:1/nothing")

        with pytest.raises(StoreUnavailableError):
            connections.read_row("SELECT 1", ())
        with pytest.raises(StoreUnavailableError):
            connections.atomically(lambda: None)


class TestBorrowed:
    @pytest.fixture
    def borrowed(self, file: Path) -> Iterator[peewee.SqliteDatabase]:
        database: Any = peewee.SqliteDatabase(str(file))
        database.execute_sql("CREATE TABLE thing (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
        database.close()
        yield database
        database.close()

    @pytest.mark.parametrize("is_open", [False, True])
    def test_is_left_open_or_closed_as_it_was(
        self, borrowed: peewee.SqliteDatabase, is_open: bool
    ) -> None:
        if is_open:
            borrowed.connect()
        connections = Connections(borrowed)

        put(connections, "a")
        count(connections)
        connections.atomically(lambda: put(connections, "b"))
        connections.close()

        assert borrowed.is_closed() is not is_open

    def test_is_left_as_it_was_by_a_failure(self, borrowed: peewee.SqliteDatabase) -> None:
        connections = Connections(borrowed)

        with pytest.raises(StoreUnavailableError):
            connections.read_row("SELECT * FROM missing", ())

        assert borrowed.is_closed()

    def test_the_applications_transaction_stays_its_own(
        self, borrowed: peewee.SqliteDatabase
    ) -> None:
        connections = Connections(borrowed)

        with borrowed.atomic() as transaction:
            put(connections, "a")
            with pytest.raises(LookupError):
                connections.atomically(lambda: self.fail_after(put(connections, "b")))
            assert count(connections) == 1, "ours was a savepoint within it"
            transaction.rollback()

        assert count(connections) == 0

    def fail_after(self, _: int) -> None:
        raise LookupError

    def test_manager_works_within_the_applications_transaction(
        self, borrowed: peewee.SqliteDatabase
    ) -> None:
        manager = SessionManager(borrowed, secret=SECRET)
        manager.create_tables()

        with borrowed.atomic() as transaction:
            manager.sign_up_email(name="Ada", email="ada@example.org", password="correct horse")
            transaction.rollback()

        assert manager.store.find_user_by_email("ada@example.org") is None


def test_first_use_prepares_once_though_many_come_at_once(file: Path) -> None:
    connections = Connections(f"sqlite:///{file}")
    calls: list[int] = []
    connections.on_first_use = lambda: calls.append(1)

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

    connections.on_first_use = prepare

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

    connections.on_first_use = prepare
    with pytest.raises(StoreUnavailableError):
        connections.read_row("SELECT 1", ())
    connections.close()

    assert connections.read_row("SELECT 1", ()) == (1,)
    assert calls == [1, 1]
    connections.close()
