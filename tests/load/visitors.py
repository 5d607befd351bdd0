"""Browsers and strangers that go on asking while the database is in trouble, and what they see."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from statistics import quantiles
from typing import Any

from tests.scenarios.servers import Answer, Server, Visitor
from tests.support import IS_FULL

PATIENCE_SECONDS = 5 if IS_FULL else 1
"""What a request may wait for the database in all."""
SLACK_SECONDS = 3.0
"""What a busy machine may add to it."""
RECOVERY_SECONDS = 3 * PATIENCE_SECONDS + SLACK_SECONDS
MAX_CONNECTIONS = 6
WORKERS = 2
SETTINGS: dict[str, Any] = {
    "database_patience": PATIENCE_SECONDS,
    "max_connections": MAX_CONNECTIONS,
    "cookie_cache": {"enabled": True},
    # Every request that reaches the database wants to write, too.
    "touch_interval": 0,
}


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
