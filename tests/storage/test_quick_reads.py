"""One row read over a connection of our own to a server: the way of every validated request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.contract.databases import fresh_server_database, kill_connection, wait_for_nodes
from wsgi_sessions import StoreUnavailableError
from wsgi_sessions.errors import InvalidValueError
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.time_budget import Budget, request_budget

from .probes import connection_id, count, idle_one, put, trips
from .test_waiting import connect_beside, proxied, wait_until

UNPREPARED = "Parse Bind Describe Execute Sync"
PREPARED = "Bind Describe Execute Sync"
ASK = "SELECT word FROM thing WHERE id = %s"
THRESHOLD = 5
"""How often psycopg runs a statement before it prepares it."""


@pytest.fixture
def url(server: str) -> Iterator[str]:
    with fresh_server_database(server) as url:
        yield url


@pytest.fixture
def connections(server: str, url: str) -> Iterator[Connections]:
    connections = Connections(url)
    counter = "SERIAL" if server == "postgres" else "INTEGER AUTO_INCREMENT"
    connections.write(f"CREATE TABLE thing (id {counter} PRIMARY KEY, word VARCHAR(9) UNIQUE)", ())
    put(connections, "a")
    # A node of a cluster may begin with another.
    connections.write("UPDATE thing SET id = 1", ())
    wait_for_nodes()
    yield connections
    connections.close()


def read(connections: Connections, times: int = 1) -> Any:
    return {connections.read_row(ASK, (1,)) for _ in range(times)}.pop()


def has_come(connections: Connections) -> bool:
    is_readable = connections.source.pool.idle[-1].has_come
    return is_readable is not None and bool(is_readable(0))


def calls_of(work: Callable[[], object]) -> int:
    """Return how many Python functions are called, whatever the machine is busy with."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


only_postgres = pytest.mark.parametrize("server", ["postgres"], indirect=True)
only_mariadb = pytest.mark.parametrize("server", ["mariadb"], indirect=True)


class TestReads:
    def test_server_is_waited_for_once(self, server: str, connections: Connections) -> None:
        read(connections, THRESHOLD + 1)

        with trips(server, connections) as sent:
            read(connections, 2)

        assert sent == [PREPARED if server == "postgres" else "Query"] * 2

    def test_fewer_functions_are_called_than_by_a_cursor_of_the_driver(
        self, server: str, url: str, connections: Connections
    ) -> None:
        columns = ", ".join(["id AS a, word AS b"] * 15)
        sql = f"SELECT {columns} FROM thing WHERE id = %s"
        with closing(connect_beside(server, url)) as driver, closing(driver.cursor()) as cursor:
            for _ in range(THRESHOLD + 2):
                ours = calls_of(lambda: connections.read_row(sql, (1,)))
                of_driver = calls_of(lambda: (cursor.execute(sql, (1,)), cursor.fetchone()))

        assert connections.read_row(sql, (1,)) == (1, "a") * 15
        assert ours < of_driver / 2

    def test_connection_is_given_back_outside_of_a_transaction(
        self, connections: Connections
    ) -> None:
        before = idle_one(connections)

        read(connections, 3)

        assert [entry.connection for entry in connections.source.pool.idle] == [before]
        assert connections.dialect.is_idle(before)

    @pytest.mark.parametrize(
        ("sql", "parameters"),
        [
            ("SELECT 7, 'word', NULL, 1.5, 2147483648, '100%%'", ()),
            ("SELECT CAST('2026-11-27' AS DATE), CAST(7 AS DECIMAL(5, 2))", ()),
            ("SELECT CAST(%s AS CHAR(4)), %s + 1, %s + 1", ("é%s\n", 1, 2**40)),
            ("SELECT COALESCE(%s, 'none')", (None,)),
            ("SELECT word FROM thing WHERE id = %s", (99,)),
            ("SELECT id, word FROM thing WHERE word IN (%s, %s) ORDER BY id DESC", ("a", "b")),
        ],
    )
    def test_row_is_that_of_the_driver(
        self, connections: Connections, sql: str, parameters: tuple[Any, ...]
    ) -> None:
        put(connections, "b")
        for _ in range(THRESHOLD + 2):
            rows = connections.read_rows(sql, parameters)

            assert connections.read_row(sql, parameters) == (rows[0] if rows else None)

    def test_statement_that_fails_leaves_the_connection(self, connections: Connections) -> None:
        before = idle_one(connections)

        with pytest.raises(InvalidValueError):
            connections.read_row("SELECT CAST(%s AS CHAR)", ("\ud800",))

        assert idle_one(connections) is before
        assert read(connections) == ("a",)

    def test_connection_is_dropped_where_a_read_is_broken_off(
        self, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a greenlet's time-out breaks it off; the answer may still come."""
        before = idle_one(connections)

        class Stopped(BaseException):
            pass

        def stop(sql: str, parameters: Any) -> Any:
            raise Stopped

        monkeypatch.setattr(connections.source.pool.idle[-1], "execute", stop)
        with pytest.raises(Stopped):
            read(connections)

        assert idle_one(connections) is not before
        assert connections.dialect.is_closed(before)

    def test_driver_that_fails_in_its_own_code_is_asked_anew(
        self, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = idle_one(connections)
        monkeypatch.setattr(connections.source.pool.idle[-1], "execute", lambda *given: {}[given])

        assert read(connections) == ("a",)
        assert idle_one(connections) is not before

    @pytest.mark.parametrize("is_in_request", [True, False])
    def test_silent_server_is_waited_for_once(
        self, url: str, connections: Connections, *, is_in_request: bool
    ) -> None:
        with proxied(url) as (through, proxy):
            waiting = Connections(through, timeout_ms=300)
            read(waiting)
            waiting.source.pool._open_one = pytest.fail
            budget = Budget(300)
            token = request_budget.set(budget if is_in_request else None)
            proxy.is_silent = True
            with pytest.raises(StoreUnavailableError):
                read(waiting)
            request_budget.reset(token)
            proxy.is_silent = False

        assert budget.left_ms <= 0 or not is_in_request, "it is taken from the request's budget"
        assert not waiting.source.pool.is_open, "the answer may still come over it"

    def test_less_is_waited_for_where_less_is_left(
        self, url: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read(connections)
        monkeypatch.setattr(connections.source.pool.idle[-1], "execute", pytest.fail)
        token = request_budget.set(Budget(connections.source.timeout_ms // 2))

        assert read(connections) == ("a",), "with time limits of its own"
        request_budget.reset(token)

    def test_within_a_transaction_its_connection_is_read_over(
        self, server: str, connections: Connections
    ) -> None:
        def work() -> None:
            put(connections, "b")
            assert count(connections) == 2

        connections.atomically(work)

    def test_connection_over_which_something_came_is_looked_at_first(
        self, server: str, url: str, connections: Connections
    ) -> None:
        """A notice does no harm, and the end of a connection is noticed before it is used."""
        before = connections.read_row(connection_id(server), ())
        assert before is not None
        if server == "postgres":
            idle_one(connections).execute("LISTEN news")
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("NOTIFY news")
            wait_until(lambda: has_come(connections))
            assert connections.read_row(connection_id(server), ()) == before
        kill_connection(server, *before)
        wait_until(lambda: has_come(connections))

        assert connections.read_row(connection_id(server), ()) != before


@only_postgres
class TestPrepared:
    """As psycopg does it: not at once, not where the URL says so, not over a pooler's."""

    def test_statement_that_is_run_often_is_prepared_once(
        self, server: str, connections: Connections
    ) -> None:
        with trips(server, connections) as sent:
            read(connections, THRESHOLD + 2)

        assert sent == [*[UNPREPARED] * THRESHOLD, "Parse Sync", PREPARED, PREPARED]

    @pytest.mark.parametrize(
        ("threshold", "expected"),
        [("none", [UNPREPARED] * 9), ("0", ["Parse Sync", *[PREPARED] * 9])],
    )
    def test_url_tells_when(
        self, server: str, url: str, connections: Connections, threshold: str, expected: list[str]
    ) -> None:
        told = Connections(f"{url}?prepare_threshold={threshold}")
        told.read_row("SELECT 1", ())

        with trips(server, told) as sent:
            read(told, 9)

        told.close()
        assert sent == expected

    def test_not_more_than_psycopg_prepares(self, server: str, connections: Connections) -> None:
        for number in range(120):
            for _ in range(THRESHOLD + 1):
                connections.read_row(f"SELECT {number}", ())

        row = connections.read_row("SELECT count(*) FROM pg_prepared_statements", ())

        assert row is not None
        assert 90 <= row[0] <= 100

    @pytest.mark.parametrize("command", ["DISCARD ALL", "DEALLOCATE ALL"])
    def test_statement_that_is_gone_is_sent_unprepared(
        self, server: str, connections: Connections, command: str
    ) -> None:
        """As behind a pooler, which sends it over another connection next time."""
        read(connections, THRESHOLD + 1)
        connection = idle_one(connections)
        connection.pgconn.exec_(command.encode())

        with trips(server, connections) as sent:
            assert read(connections) == ("a",)
            assert read(connections, THRESHOLD * 2) == ("a",)

        assert sent == [PREPARED, *[UNPREPARED] * (THRESHOLD * 2 + 1)]
        assert idle_one(connections) is connection

    def test_no_other_connection_has_statements_of_the_same_names(
        self, server: str, url: str, connections: Connections
    ) -> None:
        """Or a pooler could run another client's statement, as it does with ``_pg3_0``."""
        names: list[set[str]] = []
        for _ in range(2):
            for _ in range(THRESHOLD + 1):
                connections.atomically(partial(read, connections, 2))
                read(connections)
            rows = connections.read_rows("SELECT name FROM pg_prepared_statements", ())
            names.append({name for (name,) in rows})
            connections.close()

        assert {name.rstrip("0123456789abcdef") for name in names[0]} == {"_pg3_", "wsgi_sessions_"}
        assert names[0].isdisjoint(names[1])

    def test_column_of_another_type_is_read(self, server: str, connections: Connections) -> None:
        read(connections, THRESHOLD + 1)
        connections.write("UPDATE thing SET word = '7'", ())
        connections.write(
            "ALTER TABLE thing ALTER COLUMN word TYPE integer USING word::integer", ()
        )

        assert read(connections, THRESHOLD * 2) == (7,)

    @pytest.mark.parametrize("command", ["DEALLOCATE ALL", "PREPARE _pg3_{} AS SELECT 1"])
    @pytest.mark.parametrize("is_atomic", [False, True])
    def test_write_that_can_not_be_prepared_is_sent_as_it_is(
        self, server: str, connections: Connections, command: str, *, is_atomic: bool
    ) -> None:
        """psycopg prepares these itself; nothing was done where that is what fails."""
        for number in range(THRESHOLD + 2):
            put(connections, f"w{number}")
        connection = idle_one(connections)
        connection.pgconn.exec_(command.format(connection._prepared._prepared_idx).encode())

        def touch(number: int) -> None:
            put(connections, f"v{number}")
            connections.write("UPDATE thing SET word = 'last' WHERE word = %s", (f"v{number}",))
            connections.write("DELETE FROM thing WHERE word = 'last'", ())

        for number in range(THRESHOLD + 2):
            if is_atomic:
                connections.atomically(partial(touch, number))
            else:
                touch(number)

        assert count(connections) == THRESHOLD + 3
        assert idle_one(connections) is connection
        assert connection.prepare_threshold is None


@only_mariadb
class TestColumns:
    """What a reply says of its columns is read once, as long as it says the same."""

    def test_columns_that_changed_are_read_anew(self, connections: Connections) -> None:
        assert read(connections, 3) == ("a",)
        connections.write("UPDATE thing SET word = '7'", ())
        connections.write("ALTER TABLE thing MODIFY COLUMN word INTEGER", ())

        assert read(connections, 3) == (7,)

    def test_equally_many_columns_are_not_taken_for_each_other(
        self, connections: Connections
    ) -> None:
        for _ in range(3):
            assert connections.read_row("SELECT 'x', 1", ()) == ("x", 1)
            assert connections.read_row("SELECT 1, 'x'", ()) == (1, "x")
            assert connections.read_row("SELECT NULL, 'longer'", ()) == (None, "longer")

    def test_reply_in_pieces_is_read(self, url: str, connections: Connections) -> None:
        with proxied(url) as (through, proxy):
            slow = Connections(through)
            assert read(slow, 2) == ("a",)
            proxy.is_slow = True
            found = slow.read_row("SELECT 1", ())
            proxy.is_slow = False
            assert found == (1,)
            assert read(slow, 2) == ("a",)
            slow.close()

    def test_reply_longer_than_the_buffer_is_read(self, connections: Connections) -> None:
        columns = ", ".join(
            f"'{'x' * 200}' AS a_rather_long_name_{number}" for number in range(300)
        )

        for _ in range(3):
            row = connections.read_row(f"SELECT {columns}", ())
            assert row == ("x" * 200,) * 300

    def test_connection_cut_within_a_reply_is_replaced(
        self, connections: Connections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = idle_one(connections)
        read(connections)

        def cut(buffer: Any) -> int:
            raise ConnectionResetError

        monkeypatch.setattr(before._rfile.raw, "readinto", cut)

        assert read(connections) == ("a",)
        assert connections.dialect.is_closed(before)
