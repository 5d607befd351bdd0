"""Nodes that fail and come back while requests go on: nobody is signed out.

All of it with ``CI_FULL=1`` alone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from typing import Any

import pytest
from webob import Request, Response

from tests.support import IS_FULL
from wsgi_sessions import SessionManager, SessionMiddleware
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
        ticket: str | None = None
        while not self._is_over.is_set():
            began = time.monotonic()
            try:
                if ticket is None:
                    ticket = self.sign_in()
                self.seen[self.ask(ticket)] += 1
            except StoreUnavailableError:
                self.seen["unavailable"] += 1
            except Exception as error:
                self.seen[repr(error)] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def sign_in(self) -> str:
        """Return what is asked with from then on."""
        made = self.manager.sign_in(self.user_id).session
        assert made is not None
        return made.id

    def ask(self, ticket: str) -> str:
        """Return what became of a visitor."""
        return "live" if self.manager.is_live(ticket) else "signed out"

    def wait_for_answers(self, count: int = 200) -> None:
        """Wait until so many more have been told that they are signed in."""
        wanted = self.seen["live"] + count
        wait_until(lambda: self.seen["live"] >= wanted, f"{wanted} answers of {self.seen}")


class WebLoad(Load):
    """The same by requests to an application, which counts them in the session's data."""

    def __init__(self, manager: SessionManager) -> None:
        super().__init__(manager)
        self._app = SessionMiddleware(count_visits, manager)

    def sign_in(self) -> str:
        """Sign in by the JSON API; return the cookie."""
        body = {"email": "ada@example.org", "password": "correct horse"}
        answer = self._send(
            Request.blank(
                "/api/auth/sign-in/email",
                base_url="http://localhost",
                method="POST",
                json=body,
                headers={"Origin": "http://localhost", "Content-Type": "application/json"},
            )
        )
        return answer.headers["Set-Cookie"].partition(";")[0]

    def ask(self, ticket: str) -> str:
        """Return what a browser with a cookie is told."""
        answer = self._send(Request.blank("/", headers={"Cookie": ticket}))
        return "live" if answer.text == "ada@example.org" else f"signed out: {answer.text}"

    def _send(self, request: Request) -> Response:
        answer = request.get_response(self._app)
        for cookie in answer.headers.getall("Set-Cookie"):
            if "Max-Age=0" in cookie:
                raise RuntimeError("a cookie is deleted")
        if answer.status_int == 503 and int(answer.headers["Retry-After"]) > 0:
            raise StoreUnavailableError
        if answer.status_int != 200:
            raise RuntimeError(answer.status)
        return answer


def count_visits(environ: Any, start_response: Any) -> list[bytes]:
    session = environ["wsgi_sessions.session"]
    if session is not None:
        session.data["visits"] = session.data.get("visits", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"nobody" if session is None else session.user.email.encode()]


Trouble = Callable[[Cluster, Load], None]


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


TROUBLES: list[tuple[type[Load], Trouble]] = [(WebLoad, a_table_is_changed)]
if IS_FULL:
    FAILURES = (a_node_is_killed, a_node_hangs, the_majority_is_lost)
    TROUBLES += [(Load, a_table_is_changed), *product((Load, WebLoad), FAILURES)]


@pytest.mark.parametrize(("kind", "trouble"), TROUBLES)
def test_nobody_is_signed_out_while(
    cluster: Cluster, make_manager: MakeManager, kind: type[Load], trouble: Trouble
) -> None:
    manager = make_manager(database_patience=2, multi_session={"maximum_sessions": None})
    manager.create_tables()
    cluster.wait_until_same()
    with ExitStack() as stack:
        load = stack.enter_context(kind(manager))
        load.wait_for_answers()
        trouble(cluster, load)
        load.wait_for_answers()

    print(kind.__name__, trouble.__name__, dict(load.seen), f"slowest {load.slowest:.2f} s")
    assert set(load.seen) <= {"live", "unavailable"}
