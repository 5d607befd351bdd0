"""What traffic notices of a clean-up of many sessions: two processes that serve, and that clean up.

``python -m tests.benchmarks.purging URL COOKIES SECONDS yes|no`` is one of those processes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.contract.databases import fresh_url
from tests.hot_paths.counting import serve
from wsgi_sessions import SessionManager, SessionMiddleware

from .feed import ENGINES
from .peers.site import SECRET, bare_app, environ_with
from .report import Cell, Result, Say, Table

ENDED = 200_000
QUICK_ENDED = 5_000
ROWS_AN_INSERT = 500
BROWSERS = 50
PROCESSES = 2
EVERY_SECONDS = 0.004
"""A process is sent a request so often, whether it has answered the one before or not."""
SECONDS = 10
TOUCH_SECONDS = 5
COLUMNS = [
    *("engine", "median, ms", "99 %, ms", "longest, ms"),
    *("beside a clean-up: median, ms", "99 %, ms ", "longest, ms "),
    *("99 %, ratio", "rows a second"),
]
NOTE = (
    f"{PROCESSES} processes, each of which is sent a validated request every "
    f"{EVERY_SECONDS * 1000:.0f} ms; one in {TOUCH_SECONDS / EVERY_SECONDS / BROWSERS:.0f} also "
    f"writes when the session was last seen. {ENDED:,} ended sessions are to be deleted. A time "
    "counts from the instant at which a request was due, so it has the wait for a batch of the "
    "clean-up in it. Rounds without and with a clean-up take turns; the longest is that of all."
)


def measure(*, is_quick: bool, say: Say) -> Result:
    rows: list[list[Cell]] = []
    figures: dict[str, float] = {}
    skipped: list[str] = []
    for engine, title in ENGINES.items():
        try:
            costs = measure_engine(engine, is_quick=is_quick, say=partial(_say_of, say, title))
        except pytest.skip.Exception as missing:
            skipped.append(f"{title}: {missing}")
            continue
        rows.append([title, *costs])
        figures[f"{engine}_ratio"], figures[f"{engine}_longest_ms"] = costs[6], costs[5]
    if not skipped:
        figures["ratio"] = max(figures[f"{engine}_ratio"] for engine in ENGINES)
        figures["longest_ms"] = max(figures[f"{engine}_longest_ms"] for engine in ENGINES)
    return Result("purging", [Table("Clean-up", COLUMNS, rows, NOTE)], [], figures, skipped)


def _say_of(say: Say, title: str, text: str) -> None:
    say(f"{title}: {text}")


def measure_engine(engine: str, *, is_quick: bool, say: Say) -> list[float]:
    seconds, rounds = (1, 1) if is_quick else (SECONDS, 3)
    taken: dict[bool, list[float]] = {False: [], True: []}
    deleted = 0
    ratios = []
    with tempfile.TemporaryDirectory() as folder, fresh_url(engine, Path(folder)) as url:
        say("fills the tables")
        cookies = fill(url, QUICK_ENDED if is_quick else ENDED)
        for turn in range(rounds):
            of_round: dict[bool, float] = {}
            for purges in (False, True):
                say(f"round {turn + 1} of {rounds}, {'with' if purges else 'without'} a clean-up")
                before = count(url)
                times = run_processes(url, cookies, seconds, purges=purges)
                of_round[purges] = percentile(times, 99)
                taken[purges] += times
                deleted += before - count(url)
            ratios.append(of_round[True] / of_round[False])
    without, beside = (
        [statistics.median(times), percentile(times, 99), max(times)] for times in taken.values()
    )
    return [*without, *beside, statistics.median(ratios), deleted / (rounds * seconds)]


def fill(url: str, ended: int) -> list[str]:
    """Sign browsers in, and store sessions that ended long ago; return the cookies."""
    with closing(SessionManager(url, secret=SECRET)) as manager:
        manager.create_tables()
        made = manager.sign_up_email(name="A", email="ada@example.org", password="correct horse")
        name = f"__Host-{manager.config.cookie.name}"
        users = [made.user.id] + [
            manager.create_user(name="B", email=f"b{number}@example.org").id
            for number in range(BROWSERS - 1)
        ]
        cookies = [f"{name}={manager.sign_in(user).token}" for user in users]
        session = manager.parts.models.session
        row = dict(session.select().dicts().bind(manager.database).get())
        row |= {"ended_at": 1, "expires_at": 1, "end_reason": "expired"}
        with manager.database.connection_context(), manager.database.atomic():
            for start in range(0, ended, ROWS_AN_INSERT):
                numbers = range(start, min(start + ROWS_AN_INSERT, ended))
                session.insert_many(
                    [row | {"id": f"ended-{number}"} for number in numbers]
                ).execute()
    return cookies


def count(url: str) -> int:
    with closing(SessionManager(url, secret=SECRET)) as manager:
        found = manager.parts.connections.read_rows(
            "SELECT count(*) FROM wsgi_sessions_session", ()
        )
    return int(found[0][0])


def percentile(times: list[float], share: int) -> float:
    return statistics.quantiles(times, n=100)[share - 1]


def run_processes(url: str, cookies: list[str], seconds: int, *, purges: bool) -> list[float]:
    """Return how many milliseconds each request of all processes took."""
    arguments = [url, json.dumps(cookies), str(seconds), "yes" if purges else "no"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, *arguments], stdout=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    return [time for each in processes for time in json.loads(each.communicate()[0])]


def times_of(manager: SessionManager, cookies: list[str], seconds: int) -> Iterator[float]:
    app: Any = SessionMiddleware(bare_app, manager)
    environs = [environ_with(each) for each in cookies]
    for environ in environs:  # each once, which opens what is needed
        serve(app, environ.copy())
    began = time.perf_counter()
    for number in range(int(seconds / EVERY_SECONDS)):
        due = began + number * EVERY_SECONDS
        time.sleep(max(0, due - time.perf_counter()))
        serve(app, environs[number % len(environs)].copy())
        yield (time.perf_counter() - due) * 1000


def main(arguments: list[str]) -> None:
    url, cookies, seconds, purges = arguments
    with closing(SessionManager(url, secret=SECRET, touch_interval=TOUCH_SECONDS)) as manager:
        if purges == "yes":
            manager.parts.purger.rest_ms = range(0)
        print(json.dumps(list(times_of(manager, json.loads(cookies), int(seconds)))))


if __name__ == "__main__":
    main(sys.argv[1:])
