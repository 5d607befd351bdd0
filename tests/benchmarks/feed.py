"""What it costs a process to know, each second, which sessions were revoked."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.contract.databases import fresh_url
from wsgi_sessions import SessionManager
from wsgi_sessions.sessions.known_revocations import BUCKET_MS, ages_of
from wsgi_sessions_testing import FakeClock

from .peers.site import SECRET
from .report import Cell, Plot, Result, Say, Series, Table

ENGINES = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB"}
COUNTS = (0, 10**3, 10**4, 10**5)
QUICK_COUNTS = (0, 10**3)
SPAN_SECONDS = 300
SECONDS = 120
"""Twice as long as it takes until what is old is forgotten."""
WHOLE_EVERY = 10
LATE_SECONDS = 20
COLUMNS = [
    *("revocations in five minutes", "whole window, ms CPU", "ms CPU"),
    *("ms CPU, a late row each second", "ms waited"),
]
NOTE = (
    "CPU time of the process for one reading, which is made once a second; the clock is a fake "
    "one, so the seconds don't pass. Rows are added each second, as many as that is. The whole "
    "window is what was read before: every row that may still matter, by one SELECT. A late row "
    "has an id lower than those known, and was written twenty seconds before it was committed. "
    "Waited is the time until the answer, in which a server works, too."
)


def measure(*, is_quick: bool, say: Say) -> Result:
    rows: list[list[Cell]] = []
    lines: list[Series] = []
    figures: dict[str, float] = {}
    skipped: list[str] = []
    for engine, title in ENGINES.items():
        whole, now = Series(f"{title}, whole window", []), Series(title, [])
        for count in QUICK_COUNTS if is_quick else COUNTS:
            say(f"{title}, {count:,} revocations")
            try:
                with opened(engine, count) as stream:
                    costs = stream.measure(3 if is_quick else SECONDS)
            except pytest.skip.Exception as missing:
                skipped.append(f"{title}: {missing}")
                break
            rows.append([f"{title}, {count:,}", *costs])
            if count:
                whole.points.append((count, costs[0]))
                now.points.append((count, costs[1]))
            if count == COUNTS[-1]:
                figures[f"{engine}_ms"] = costs[1]
        lines += [series for series in (whole, now) if series.points]
    if figures:
        # Of a core's second that has a thousand milliseconds.
        figures["share"] = max(figures.values()) / 10
    plot = Plot(
        "A reading of the feed",
        "revocations in five minutes",
        "ms",
        lines,
        kind="lines",
        is_x_log=True,
        is_y_log=True,
    )
    return Result(
        "feed", [Table("A reading of the feed", COLUMNS, rows, NOTE)], [plot], figures, skipped
    )


@contextmanager
def opened(engine: str, count: int) -> Iterator[Stream]:
    with (
        tempfile.TemporaryDirectory(prefix="feed-") as folder,
        fresh_url(engine, Path(folder)) as url,
        closing(Stream(url, count)) as stream,
    ):
        yield stream


class Stream:
    """A process that knows the feed of some minutes, to which rows are added each second."""

    def __init__(self, url: str, count: int) -> None:
        self.clock = FakeClock()
        self.manager = SessionManager(url, secret=SECRET, cookie_cache=True, clock=self.clock)
        self.feed = self.manager.parts.feed
        self._revocations = self.manager.parts.store.revocations
        self._rate = count / SPAN_SECONDS
        self._ages = ages_of(self.manager.config)
        self._added = self._late = 0
        self._due = 0.0
        for _ in range((self._ages.read_ms + BUCKET_MS) // BUCKET_MS):
            self.manager.parts.store.atomically(self._pass_a_bucket)
        while self.feed.current() is None:
            pass

    def close(self) -> None:
        self.manager.close()

    def _pass_a_bucket(self) -> None:
        for _ in range(BUCKET_MS // 1000):
            self._pass_a_second()

    def _pass_a_second(self) -> None:
        self.clock.advance(seconds=1)
        self._due += self._rate
        names = [f"revoked-{number:016}" for number in range(self._added, int(self._due))]
        self._added += len(names)
        self._revocations.insert_many(names, now_ms=self.clock.now_ms())

    def measure(self, seconds: int) -> list[float]:
        """Return ms for the columns of the table."""
        readings, whole = [], []
        for number in range(seconds):
            self._pass_a_second()
            readings.append(timed(self.read))
            if number % WHOLE_EVERY == 0:
                whole.append(timed(self.read_whole)[0])
        with_late = []
        for _ in range(min(seconds, LATE_SECONDS)):
            self._pass_a_second()
            self._commit_late()
            with_late.append(timed(self.read)[0])
        return [
            statistics.median(whole),
            # Not the median: what is done now and then counts, too.
            statistics.mean(cpu for cpu, _ in readings),
            statistics.mean(with_late),
            statistics.mean(waited for _, waited in readings),
        ]

    def _commit_late(self) -> None:
        self._late += 1
        created_at = self.clock.now_ms() - LATE_SECONDS * 1000
        feed = self.manager.parts.models.revocation
        row = {feed.id: -self._late, feed.session_id: f"late-{self._late}"}
        insert = feed.insert({**row, feed.created_at: created_at})
        self.manager.parts.connections.run(insert.execute)

    def read(self) -> None:
        reading = self.feed.current()
        assert reading is not None

    def read_whole(self) -> frozenset[str]:
        feed = self.manager.parts.models.revocation
        since_ms = self.clock.now_ms() - self._ages.read_ms
        columns = (feed.session_id, feed.before, feed.created_at)
        sql, parameters = feed.select(*columns).where(feed.created_at >= since_ms).sql()
        rows = self.manager.parts.connections.read_rows(sql, parameters)
        return frozenset(session_id for session_id, _, _ in rows)


def timed(read: Callable[[], object]) -> tuple[float, float]:
    """Return milliseconds of CPU time, and of all time."""
    began, began_cpu = time.perf_counter(), time.process_time()
    read()
    spent_cpu = time.process_time() - began_cpu
    return spent_cpu * 1000, (time.perf_counter() - began) * 1000
