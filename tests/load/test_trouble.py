"""What the signed in and the strangers see while the database is in trouble, and afterwards.

Short by default; ``CI_FULL=1`` waits as long as the default settings let a request wait, and
tries every server that serves many at once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from itertools import product
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

from tests.scenarios.servers import SECRET, Answer, Server, Visitor, serving
from tests.support import IS_FULL, in_parallel
from wsgi_sessions import SessionManager

from .own_servers import OwnServer, Relay, own_server

PATIENCE_SECONDS = 5 if IS_FULL else 1
"""What a request may wait for the database in all."""
SLACK_SECONDS = 3.0
"""What a busy machine may add to it."""
TROUBLE_SECONDS = 20 if IS_FULL else 5
RECOVERY_SECONDS = 3 * PATIENCE_SECONDS + SLACK_SECONDS
MAX_CONNECTIONS = 6
WORKERS = 2
SERVERS = ["gthread"]
if IS_FULL:
    SERVERS += ["gevent", "gthread-preload", "waitress", "uwsgi-threads"]
SETTINGS: dict[str, Any] = {
    "database_patience": PATIENCE_SECONDS,
    "max_connections": MAX_CONNECTIONS,
    "cookie_cache": {"enabled": True},
    # Every request that reaches the database wants to write, too.
    "touch_interval": 0,
}


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def database_server(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    with own_server(request.param) as server:
        yield server


@pytest.fixture
def own(database_server: OwnServer) -> OwnServer:
    """An empty database on a server of our own, which may be killed."""
    database_server.renew_database()
    return database_server


@dataclass(frozen=True)
class Seen:
    """One answer, or what came instead of one."""

    who: str
    at: float
    seconds: float
    what: str


class Load:
    """Browsers that go on asking: of the signed in some bring a cached copy, strangers nothing."""

    def __init__(self, server: Server, *, plain_count: int = 2, cached_count: int = 1) -> None:
        self.server = server
        self.seen: list[Seen] = []
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        works: list[Callable[[], None]] = [self._ask_as_stranger]
        for number in range(plain_count + cached_count):
            is_cached = number >= plain_count
            email = f"{'cached' if is_cached else 'plain'}{number}@example.org"
            visitor = server.visitor()
            self._sign_up(visitor, email)
            works.append(partial(self._ask_as, email, visitor, is_cached=is_cached))
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]

    def _sign_up(self, visitor: Visitor, email: str) -> None:
        # The first request also makes the tables, which a busy machine may not do in time.
        deadline = time.monotonic() + RECOVERY_SECONDS
        send, status = visitor.sign_up, 503
        while status == 503 and time.monotonic() < deadline:
            status = send(email).status
            if status == 422:  # there since a try that was answered 503
                send, status = visitor.sign_in, 503
            time.sleep(0.05 if status == 503 else 0)
        assert status == 200

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def wait_until_served(self) -> float:
        """Return after how many seconds everybody was served again, ten times in a row."""
        began = time.monotonic()
        while time.monotonic() - began < RECOVERY_SECONDS + PATIENCE_SECONDS:
            time.sleep(0.05)
            with self._lock:
                seen = list(self.seen)
            people = {one.who for one in seen}
            latest = [
                [one.what for one in seen if one.who == who and one.at >= began][-10:]
                for who in people
            ]
            if len(people) == len(self._threads) and all(
                len(ten) == 10 and set(ten) == {"served"} for ten in latest
            ):
                first = [
                    min(one.at for one in seen if one.who == who and one.at >= began)
                    for who in people
                ]
                bad = [
                    one.at + one.seconds for one in seen if one.at >= began and one.what != "served"
                ]
                return max([*bad, *first]) - began
        raise AssertionError(f"not served again: {Counter((s.who, s.what) for s in seen[-200:])}")

    def between(self, begin: float, end: float) -> list[Seen]:
        """Return what was asked within a time."""
        with self._lock:
            return [one for one in self.seen if begin <= one.at < end]

    def _ask_as(self, email: str, visitor: Visitor, *, is_cached: bool) -> None:
        while not self._is_over.is_set():
            if not is_cached:
                visitor.cookies.pop("session_data", None)
            self._ask(email, visitor, email)
            time.sleep(0.01)

    def _ask_as_stranger(self) -> None:
        while not self._is_over.is_set():
            self._ask("stranger", self.server.visitor(), None)
            time.sleep(0.02)

    def _ask(self, who: str, visitor: Visitor, right: str | None) -> None:
        began = time.monotonic()
        try:
            what = tell(visitor.get("/me?bare"), right)
        except (OSError, HTTPException) as error:
            what = repr(error)
        with self._lock:
            self.seen.append(Seen(who, began, time.monotonic() - began, what))


def tell(answer: Answer, right: str | None) -> str:
    """Tell what an answer is: ``served``, ``away``, or a fault."""
    if answer.status == 503 and answer.headers.get("Retry-After", "").isdecimal():
        return "away"
    if answer.status != 200:
        return f"{answer.status} {answer.body[:200]!r}"
    told = answer.json
    return "served" if told["user"] == right else f"answered as {told}"


def check(load: Load) -> None:
    """Nobody is signed out, nobody is another, nobody waits beyond the budget."""
    faults = [one for one in load.seen if one.what not in ("served", "away")]
    assert not faults, faults[:5]
    strangers = [one for one in load.seen if one.who == "stranger"]
    assert {one.what for one in strangers} == {"served"}, "strangers need no database"
    # Not the slowest: the machine has others to serve, too.
    assert quantiles([one.seconds for one in strangers], n=10)[-1] < PATIENCE_SECONDS / 2
    slowest = max(load.seen, key=lambda one: one.seconds)
    assert slowest.seconds < PATIENCE_SECONDS + SLACK_SECONDS, slowest


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

            answers = in_parallel(ask, 200)
            most = watch.end()

    print(kind, "most connections", most, "slowest", max(one[2] for one in answers))
    assert Counter(one[:2] for one in answers) == {(200, True): 200}
    assert most <= 20


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
