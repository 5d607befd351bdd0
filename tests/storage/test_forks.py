"""No connection is shared across a fork."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

import peewee
import pytest

from tests.contract.databases import fresh_server_database
from wsgi_sessions.storage.connections import Connections

from .probes import connection_id, count, idle_one, put


class TestFork:
    def test_connection_that_can_not_be_closed_is_let_go(self, owned: Connections) -> None:
        class Gone:
            closed = 0

            def close(self) -> None:
                Gone.closed += 1
                raise OSError("the server is gone")

        owned.source.pool.idle[-1].connection.close()
        owned.source.pool.idle[-1].connection = Gone()
        owned.close()

        assert Gone.closed == 1

    @pytest.mark.parametrize("kind", ["memory", "app"])
    def test_what_has_one_connection_keeps_it(self, kind: str) -> None:
        app: Any = peewee.SqliteDatabase(":memory:")
        connections = Connections("sqlite:///:memory:" if kind == "memory" else app)
        connections.database.connect()
        before = connections.database.connection()

        source = connections.source
        source.thread().process_id = os.getpid() + 1
        source.peewee_connections.opening.process_id = os.getpid() + 1
        source.renew_locks()
        source.thread()

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
