"""What the signed in and the strangers see while the database is in trouble, and afterwards.

Short by default; ``CI_FULL=1`` waits as long as the default settings let a request wait, and
tries every server that serves many at once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.servers import DATABASES, SECRET, Visitor, fresh_database, serving
from tests.support import IS_FULL, in_parallel
from wsgi_sessions import SessionManager

from .own_servers import OwnServer, Relay, own_server
from .visitors import (
    MAX_CONNECTIONS,
    RECOVERY_SECONDS,
    SETTINGS,
    WORKERS,
    Load,
    check,
)

TROUBLE_SECONDS = 20 if IS_FULL else 5
WORK_SECONDS = 3
"""How long an application is at work; two one after the other take longer than a request waits."""
SERVERS = ["gthread"]
if IS_FULL:
    SERVERS += ["gevent", "gthread-preload", "waitress", "uwsgi-threads"]


@contextmanager
def stopped(own: OwnServer, relay: Relay) -> Iterator[None]:
    own.kill()
    try:
        yield
    finally:
        own.start()


@contextmanager
def silent(own: OwnServer, relay: Relay) -> Iterator[None]:
    with relay.silent():
        yield


@contextmanager
def frozen(own: OwnServer, relay: Relay) -> Iterator[None]:
    with own.frozen():
        yield


@contextmanager
def locked(own: OwnServer, relay: Relay) -> Iterator[None]:
    with own.locking(session_table(own.url())):
        yield


@contextmanager
def cut(own: OwnServer, relay: Relay) -> Iterator[None]:
    """Have every connection cut five times a second."""
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.wait(0.2):
            relay.cut()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def full(own: OwnServer, relay: Relay) -> Iterator[None]:
    """Have others take every connection that the server has left."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(closing(own.connect()))
            except Exception:
                break
        yield


TROUBLES = {trouble.__name__: trouble for trouble in (stopped, silent, frozen, locked, cut, full)}


def session_table(database: str) -> str:
    with closing(SessionManager(database, secret=SECRET)) as manager:
        name: str = manager.parts.models.session._meta.table_name
        return name


COMBINATIONS = list(product(SERVERS, TROUBLES))
if not IS_FULL:
    # Where a driver would hold up every greenlet of its worker.
    COMBINATIONS += [("gevent", "silent"), ("gevent", "locked")]


@pytest.mark.parametrize(("kind", "trouble"), COMBINATIONS)
def test_trouble_signs_nobody_out_and_keeps_nobody_waiting(
    kind: str, trouble: str, own: OwnServer, tmp_path: Path
) -> None:
    try:
        play(kind, trouble, own, tmp_path)
    except Exception:
        if not own.has_crashed():
            raise
        # A database server that ends by itself shows nothing about its clients: once more.
        print(own.log)
        own.renew_database()
        play(kind, trouble, own, tmp_path)


def play(kind: str, trouble: str, own: OwnServer, folder: Path) -> None:
    """Serve while the database is in trouble and afterwards, and check what everybody saw."""
    with (
        closing(Relay(own.port)) as relay,
        serving(kind, own.url(relay.port), folder, workers=WORKERS, settings=SETTINGS) as server,
        Load(server) as load,
    ):
        load.wait_until_served()
        # A worker that was never asked has no connection to go on with.
        server.use_every_worker()
        began = time.monotonic()
        with TROUBLES[trouble](own, relay):
            time.sleep(TROUBLE_SECONDS)
            ended = time.monotonic()
        recovery_seconds = load.wait_until_served()
        held = own.connection_count()

    seen = Counter(one.what for one in load.between(began, ended) if one.who != "stranger")
    print(kind, own.kind, trouble, dict(seen), f"recovered after {recovery_seconds:.2f} s")
    print("slowest", max(load.seen, key=lambda one: one.seconds))
    check(load)
    if trouble == "full":
        assert set(seen) == {"served"}, "it goes on with the connections that it has"
    elif trouble != "cut":
        assert seen["away"], "there was trouble"
    assert recovery_seconds < RECOVERY_SECONDS
    # Dead ones may be there still on the server's side, which was told of nothing.
    is_unheard = trouble in ("silent", "frozen")
    assert held <= WORKERS * MAX_CONNECTIONS * (2 if is_unheard else 1)


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_two_hundred_greenlets_take_turns_on_twenty_connections(kind: str, tmp_path: Path) -> None:
    settings = {"max_connections": 20}
    with (
        own_server(kind) as own,
        closing(Watch(own)) as watch,
    ):
        own.renew_database()
        with serving("gevent", own.url(), tmp_path, workers=1, settings=settings) as server:
            visitors = [server.visitor() for _ in range(10)]
            for number, visitor in enumerate(visitors):
                assert visitor.sign_up(f"{number}@example.org").status == 200
            watch.begin()

            def ask(number: int) -> tuple[int, Any, float]:
                tab = Visitor(server.port, visitors[number % 10].cookies)
                began = time.monotonic()
                answer = tab.get("/at-work?0.5")
                right = f"{number % 10}@example.org"
                user = answer.json["user"] == right if answer.status == 200 else answer.body
                return answer.status, user, time.monotonic() - began

            # While nobody's statement comes to an end, everybody wants a connection.
            with ThreadPoolExecutor(1) as locker:
                is_locked = threading.Event()
                locker.submit(lock_for_a_second, own, is_locked)
                assert is_locked.wait(10)
                answers = in_parallel(ask, 200)
            most = watch.end()

    print(kind, "most connections", most, "slowest", max(one[2] for one in answers))
    assert Counter(one[:2] for one in answers) == {(200, True): 200}
    assert most <= 20 + 1, "and that of who holds the lock"


def lock_for_a_second(own: OwnServer, is_locked: threading.Event) -> None:
    with own.locking(session_table(own.url())):
        is_locked.set()
        time.sleep(1)


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
@pytest.mark.parametrize("database_kind", DATABASES)
def test_who_is_at_work_holds_no_connection(kind: str, database_kind: str, tmp_path: Path) -> None:
    """Held meanwhile, the only one would let the others wait for longer than they may."""
    count, settings = (4 if kind == "gthread" else 40), {"max_connections": 1}
    with (
        fresh_database(database_kind, tmp_path) as database,
        serving(kind, database, tmp_path, workers=1, settings=settings) as server,
    ):
        visitor = server.visitor()
        assert visitor.sign_up("ada@example.org").status == 200

        def ask(_: int) -> tuple[int, float]:
            began = time.monotonic()
            answer = Visitor(server.port, visitor.cookies).get(f"/at-work?{WORK_SECONDS}")
            return answer.status, time.monotonic() - began

        answers = in_parallel(ask, count)

    print(kind, database_kind, "slowest", max(seconds for _, seconds in answers))
    assert Counter(status for status, _ in answers) == {200: count}


class Watch:
    """Notes the most connections that a server ever had."""

    def __init__(self, own: OwnServer) -> None:
        self._own = own
        self._is_over = threading.Event()
        self._most = 0
        self._thread = threading.Thread(target=self._look, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> int:
        self.close()
        return self._most

    def close(self) -> None:
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.05):
            with suppress(Exception):
                self._most = max(self._most, self._own.connection_count())
