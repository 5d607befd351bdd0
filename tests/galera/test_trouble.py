"""Nodes that fail and come back while requests go on: nobody is signed out.

All of it with ``CI_FULL=1`` alone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.support import IS_FULL
from wsgi_sessions import SessionManager
from wsgi_sessions.errors import StoreUnavailableError

from .cluster import Cluster, wait_until
from .conftest import MakeManager

VISITORS = 4


class Load:
    """Visitors who ask whether they are signed in, and sign in once more, all the time."""

    def __init__(self, manager: SessionManager) -> None:
        self.manager = manager
        self.seen: Counter[str] = Counter()
        self.slowest = 0.0
        user = manager.create_user(name="Ada", email="ada@example.org", password="correct horse")
        self.user_id = user.id
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(VISITORS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _visit(self) -> None:
        session_id: str | None = None
        while not self._is_over.is_set():
            began = time.monotonic()
            try:
                if session_id is None:
                    made = self.manager.sign_in(self.user_id).session
                    assert made is not None
                    session_id = made.id
                is_live = self.manager.is_live(session_id)
                self.seen["live" if is_live else "signed out"] += 1
            except StoreUnavailableError:
                self.seen["unavailable"] += 1
            except Exception as error:
                self.seen[repr(error)] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def wait_for_answers(self, count: int = 200) -> None:
        """Wait until so many more have been told that they are signed in."""
        wanted = self.seen["live"] + count
        wait_until(lambda: self.seen["live"] >= wanted, f"{wanted} answers of {self.seen}")


def a_node_is_killed(cluster: Cluster, load: Load) -> None:
    cluster.nodes[1].kill()
    wait_until(lambda: cluster.nodes[0].status("cluster_size") == "2", "it is left out")
    load.wait_for_answers()
    cluster.rejoin(cluster.nodes[1])


def a_node_hangs(cluster: Cluster, load: Load) -> None:
    with cluster.nodes[1].frozen():
        wait_until(lambda: cluster.nodes[0].status("cluster_size") == "2", "it is left out")
        load.wait_for_answers()
    cluster.wait_for(cluster.nodes[1])


def the_majority_is_lost(cluster: Cluster, load: Load) -> None:
    first, *others = cluster.nodes
    for node in others:
        node.kill()
    wait_until(lambda: first.status("ready") == "OFF", "it refuses statements")
    before = load.seen["unavailable"]
    wait_until(lambda: load.seen["unavailable"] > before + VISITORS, "requests are refused")
    cluster.bootstrap(first)
    for node in others:
        cluster.rejoin(node)


def a_table_is_changed(cluster: Cluster, load: Load) -> None:
    database = load.manager.database.database
    for sql in ("ADD COLUMN note INT NULL", "DROP COLUMN note"):
        cluster.nodes[2].query(f"ALTER TABLE {database}.wsgi_sessions_session {sql}", seconds=60)
        load.wait_for_answers()


TROUBLES = [a_table_is_changed]
if IS_FULL:
    TROUBLES += [a_node_is_killed, a_node_hangs, the_majority_is_lost]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_nobody_is_signed_out_while(
    cluster: Cluster, make_manager: MakeManager, trouble: Callable[[Cluster, Load], None]
) -> None:
    manager = make_manager(database_patience=2)
    manager.create_tables()
    with ExitStack() as stack:
        load = stack.enter_context(Load(manager))
        load.wait_for_answers()
        trouble(cluster, load)
        load.wait_for_answers()

    print(trouble.__name__, dict(load.seen), f"slowest {load.slowest:.2f} s")
    assert set(load.seen) <= {"live", "unavailable"}
