"""What writes cost when many come at once: refreshes, sign-ins, processes on one SQLite file."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.servers import fresh_database
from tests.scenarios.test_parallel import ADA, Site, managing, show_user, sign_up
from tests.support import in_parallel
from wsgi_sessions import SessionMiddleware
from wsgi_sessions_testing import Browser, FakeClock

from .floor import ENGINES
from .report import Cell, Result, Say, Table

TABS = 100
THREADS = 8
PROCESSES = 8
NOTE = (
    "The time of one operation is that of the caller, who waits for the others too. A storm is 100 "
    "requests of one session at once, whose refresh and rotation is due: three storms, from the old "
    "token to the new one's settling. The database itself counts what is written to the session's "
    "row. The processes sign in and revoke in turn, each for users of its own."
)


@dataclass
class Timed:
    """How long operations took, and how many went wrong."""

    seconds: list[float] = field(default_factory=list)
    error_count: int = 0
    elapsed: float = 0.0

    def do(self, work: Callable[[], object]) -> Any:
        """Do one operation; it goes wrong if it raises or returns False."""
        began = time.perf_counter()
        try:
            done = work()
        except Exception:  # whatever it is, it is counted
            done = False
        self.seconds.append(time.perf_counter() - began)
        self.error_count += done is False
        return done

    def add(self, other: Timed) -> None:
        self.seconds += other.seconds
        self.error_count += other.error_count

    def row(self, name: str, writes: Cell = "") -> list[Cell]:
        ordered = statistics.quantiles(self.seconds, n=100, method="inclusive")
        return [
            name,
            len(self.seconds) / self.elapsed,
            ordered[49] * 1000,
            ordered[98] * 1000,
            max(self.seconds) * 1000,
            self.error_count,
            writes,
        ]


def measure(*, is_quick: bool, say: Say) -> Result:
    rows: list[list[Cell]] = []
    figures: dict[str, float] = {}
    skipped: list[str] = []

    def add(timed: Timed, what: str, kind: str, writes: Cell = "") -> None:
        rows.append(timed.row(f"{what}, {ENGINES[kind]}", writes))
        figures["errors"] = figures.get("errors", 0) + timed.error_count

    for kind in ENGINES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                with fresh_database(kind, Path(folder)) as url:
                    say(f"storms on {ENGINES[kind]}")
                    storms, writes = refresh(url, sessions=1 if is_quick else 10)
                    add(storms, "requests of storms", kind, writes)
                    figures[f"{kind}_writes_a_session"] = writes
                    say(f"sign-ins on {ENGINES[kind]}")
                    each = 5 if is_quick else 50
                    add(sign_in(url, each=each, users=THREADS), "sign-ins of eight users", kind)
                    add(sign_in(url, each=each, users=1), "sign-ins of one user", kind)
            except pytest.skip.Exception as missing:
                skipped.append(f"{ENGINES[kind]}: {missing}")
    say("eight processes on one SQLite file")
    with tempfile.TemporaryDirectory() as folder:
        timed = by_processes(f"sqlite:///{folder}/app.db", each=5 if is_quick else 200)
        add(timed, "writes of eight processes", "sqlite")
    columns = [
        *("what", "operations/s", "p50, ms", "p99, ms", "longest, ms"),
        *("errors", "writes a session"),
    ]
    return Result("writes", [Table("Writes", columns, rows, NOTE)], [], figures, skipped)


def refresh(url: str, *, sessions: int) -> tuple[Timed, float]:
    """Have so many rotations, each asked for by hundred requests at once; return writes of each."""
    clock = FakeClock()
    timed = Timed()
    with managing(url, clock=clock) as manager:
        site = Site(manager, clock)
        app = SessionMiddleware(show_user, manager)

        def timed_app(environ: Any, start_response: Any) -> Any:
            return timed.do(lambda: app(environ, start_response))

        browser = Browser(timed_app, clock=clock, manager=manager)
        browser.get(f"/sign-in?{site.record.user_id}")
        before = len(site.writes)
        timed.seconds.clear()

        def storm(browsers: list[Browser]) -> list[Browser]:
            began = time.perf_counter()
            seen = in_parallel(lambda number: browsers[number].get("/").text, len(browsers))
            timed.elapsed += time.perf_counter() - began
            timed.error_count += sum(text != ADA for text in seen)
            return browsers

        for _ in range(sessions):
            clock.advance(days=1)
            tabs = storm(site.fork(browser, TABS))
            storm(tabs)
            clock.advance(minutes=3)
            browser = storm(site.fork(tabs[0], TABS))[0]
        return timed, (len(site.writes) - before) / sessions


def sign_in(url: str, *, each: int, users: int) -> Timed:
    """Have threads sign users in, past passwords and throttle."""
    with managing(url) as manager:
        ids = [sign_up(manager, f"user{number}-of-{users}@example.org") for number in range(users)]

        def work(number: int) -> Timed:
            timed = Timed()
            for _ in range(each):
                timed.do(lambda: manager.sign_in(ids[number % users]))
            return timed

        return together(partial(in_parallel, work, THREADS))


def by_processes(url: str, *, each: int) -> Timed:
    with managing(url) as manager:
        ids = [sign_up(manager, f"user{number}@example.org") for number in range(PROCESSES)]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    with context.Pool(PROCESSES, _set_barrier, (barrier,)) as pool:
        works = [(url, user_id, each) for user_id in ids]
        parts = pool.starmap(write_in_process, works, chunksize=1)
    whole = Timed(elapsed=max(part.elapsed for part in parts))
    for part in parts:
        whole.add(part)
    return whole


_barrier: Any = None


def _set_barrier(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def write_in_process(url: str, user_id: str, each: int) -> Timed:
    timed = Timed()
    with managing(url) as manager:
        _barrier.wait()
        began = time.perf_counter()
        for _ in range(each):
            made = timed.do(partial(manager.sign_in, user_id))
            if made:
                timed.do(partial(manager.revoke_session, made.session.id))
        timed.elapsed = time.perf_counter() - began
    return timed


def together(run: Callable[[], list[Timed]]) -> Timed:
    began = time.perf_counter()
    parts = run()
    whole = Timed(elapsed=time.perf_counter() - began)
    for part in parts:
        whole.add(part)
    return whole
