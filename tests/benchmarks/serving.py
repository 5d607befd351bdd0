"""What sessions cost behind real servers: gunicorn and uWSGI, under wrk."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.hot_paths.paths import OTHER_COOKIES
from tests.scenarios.servers import Server, fresh_database, serving_application

from .peers.contenders import CACHED, DATABASE, FLASK_COOKIE
from .peers.site import EMAIL, NOBODY
from .report import MissingError, Plot, Result, Say, Series, Table
from .served import COOKIE_FILE

CONNECTIONS_A_WORKER = 4
ROUNDS = 5
NOTE = (
    "wrk keeps four connections for each worker busy, from the same machine. Rounds of the lines "
    "are interleaved, and the medians shown. Share is the requests a second of the application "
    "without sessions, in the same round; µs are the CPU time of the workers for a request. "
    "gunicorn's sync workers close each connection, so a request is a connection."
)


class Served(NamedTuple):
    name: str
    key: str
    site: str
    """Of ``peers``, or what ``fresh_database`` knows, for ours."""
    bare: str
    """The name of the line without sessions; its own if it is that."""
    is_visitor: bool = False


BARE, FLASK_BARE, DJANGO_BARE = (
    f"{framework}, no sessions" for framework in ("bare application", "Flask", "Django")
)
OURS = (
    Served(BARE, "bare", DATABASE, BARE),
    Served("visitor", "visitor", DATABASE, BARE, is_visitor=True),
    Served("SQLite", "sqlite", DATABASE, BARE),
    Served("cookie cache", "cached", CACHED, BARE),
    Served("PostgreSQL", "postgres", "postgres", BARE),
    Served("MariaDB", "mariadb", "mariadb", BARE),
)
FLASK = (
    Served(FLASK_BARE, "flask_bare", FLASK_COOKIE, FLASK_BARE),
    Served(FLASK_COOKIE, "flask_cookie", FLASK_COOKIE, FLASK_BARE),
)
PEERS = (
    *FLASK,
    Served(
        "Flask-Session, cachelib files",
        "flask_session",
        "Flask-Session, cachelib files",
        FLASK_BARE,
    ),
    Served(DJANGO_BARE, "django_bare", "Django, db", DJANGO_BARE),
    Served("Django, db", "django_db", "Django, db", DJANGO_BARE),
)


class Plan(NamedTuple):
    """A server, and what is served by it."""

    name: str
    kind: str
    """As in ``tests.scenarios.servers``."""
    key: str
    workers: int
    lines: tuple[Served, ...]


PLANS = (
    Plan("gunicorn sync", "sync", "sync", 1, OURS + PEERS),
    Plan("gunicorn gthread", "gthread", "gthread", 1, OURS + PEERS),
    Plan("gunicorn gevent", "gevent", "gevent", 1, OURS + PEERS),
    Plan("uWSGI", "uwsgi-lazy", "uwsgi", 1, OURS + PEERS),
    Plan("gunicorn sync, two workers", "sync", "sync_2", 2, OURS + FLASK),
    Plan("gunicorn gthread, two workers", "gthread", "gthread_2", 2, OURS + FLASK),
)
QUICK_PLANS = tuple(plan._replace(lines=OURS[:1] + OURS[2:4]) for plan in (PLANS[1], PLANS[3]))

# It closes each connection and says so to nobody, which wrk takes for an error.
OPTIONS = {"uwsgi-lazy": ("--disable-logging", "--add-header=Connection: close")}
SCRIPT = """
done = function(summary, latency)
    local errors = 0
    for _, count in pairs(summary.errors) do errors = errors + count end
    io.write(string.format('\\n{"seconds": %.6f, "requests": %d, "errors": %d, "p50": %d, "p99": %d}\\n',
        summary.duration / 1e6, summary.requests, errors,
        latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Seen:
    """What one round of one line has shown."""

    requests_a_second: float
    p50_ms: float
    p99_ms: float
    server_us: float


def measure(*, is_quick: bool, say: Say) -> Result:
    if shutil.which("wrk") is None:
        raise MissingError("install wrk (Debian: wrk)")
    result = Result("serving", [])
    shares: list[Series] = []
    for plan in QUICK_PLANS if is_quick else PLANS:
        rounds: dict[Served, list[Seen]] = {}
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            running: dict[Served, Target] = {}
            for line in plan.lines:
                say(f"{plan.name} starts {line.name}")
                try:
                    running[line] = stack.enter_context(started(line, plan, folder))
                except (pytest.skip.Exception, MissingError) as missing:
                    result.skipped.append(f"{plan.name}, {line.name}: {missing}")
            for target in () if is_quick else running.values():
                target.ask()
            for turn in range(1 if is_quick else ROUNDS):
                say(f"{plan.name}, round {turn + 1}")
                for line, target in running.items():
                    rounds.setdefault(line, []).append(target.ask())
        if rounds:
            table, share = report(plan, rounds, result.figures)
            result.tables.append(table)
            shares.append(share)
    result.plots.append(Plot("Requests a second", "", "% of those without sessions", shares))
    return result


def report(
    plan: Plan, rounds: Mapping[Served, list[Seen]], figures: dict[str, float]
) -> tuple[Table, Series]:
    """Return the lines of one server, and add to the figures."""
    by_name = {line.name: seen for line, seen in rounds.items()}
    rows: list[list[Any]] = []
    shares: list[tuple[str | float, float]] = []
    for line, seen in rounds.items():
        medians = [
            statistics.median(getattr(one, name) for one in seen)
            for name in ("requests_a_second", "p50_ms", "p99_ms", "server_us")
        ]
        row: list[Any] = [line.name, *medians, "", ""]
        if line.bare in by_name and line.name != line.bare:
            pairs = list(zip(seen, by_name[line.bare], strict=True))
            over_us = statistics.median(one.server_us - bare.server_us for one, bare in pairs)
            share = 100 * statistics.median(
                one.requests_a_second / bare.requests_a_second for one, bare in pairs
            )
            row[-2:] = [over_us, share]
            shares.append((line.name, share))
            figures[f"{plan.key}_{line.key}_share"] = share
            figures[f"{plan.key}_{line.key}_us"] = over_us
        rows.append(row)
    columns = [
        *("served", "requests/s", "p50, ms", "p99, ms", "µs in the server"),
        *("over no sessions, µs", "share, %"),
    ]
    return Table(plan.name, columns, rows, NOTE), Series(plan.name, shares)


@contextmanager
def started(line: Served, plan: Plan, folder: Path) -> Iterator[Target]:
    """Serve one line; raise, or skip, where something that it needs is not installed."""
    own = Path(tempfile.mkdtemp(dir=folder))
    variables = {"BENCHMARK_SITE": line.site, "BENCHMARK_FOLDER": str(own)}
    if line.name == line.bare:
        variables["BENCHMARK_BARE"] = "1"
    with ExitStack() as stack:
        if line.site in ("postgres", "mariadb") or (plan.workers > 1 and line.site == DATABASE):
            kind = "sqlite" if line.site == DATABASE else line.site
            variables["BENCHMARK_SITE"] = stack.enter_context(fresh_database(kind, own))
        server = stack.enter_context(
            serving_application(
                plan.kind,
                "tests.benchmarks.served:application",
                own,
                plan.workers,
                variables,
                options=OPTIONS.get(plan.kind, ()),
                path="/",
            )
        )
        cookies = OTHER_COOKIES if line.is_visitor else (own / COOKIE_FILE).read_text()
        target = Target(server, cookies, plan.workers, own / "wrk.lua")
        target.script.write_text(SCRIPT)
        target.check(NOBODY if line.is_visitor else EMAIL)
        yield target


@dataclass(frozen=True)
class Target:
    """A server with one application, and the cookies that it is asked with."""

    server: Server
    cookies: str
    workers: int
    script: Path

    def check(self, expected: str) -> None:
        connection = HTTPConnection("127.0.0.1", self.server.port)
        connection.request("GET", "/", headers={"Cookie": self.cookies})
        said = connection.getresponse().read().decode()
        connection.close()
        assert said == expected, said

    def ask(self) -> Seen:
        """Keep the server busy for a second, the least that wrk knows."""
        before = self._cpu_seconds()
        asked = subprocess.run(
            [
                *("wrk", "-t1", f"-c{CONNECTIONS_A_WORKER * self.workers}", "-d1s"),
                *("-s", str(self.script), "-H", f"Cookie: {self.cookies}"),
                f"http://127.0.0.1:{self.server.port}/",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        spent = self._cpu_seconds() - before
        told = json.loads(asked.stdout.splitlines()[-1])
        assert told["errors"] == 0, asked.stdout
        return Seen(
            told["requests"] / told["seconds"],
            told["p50"] / 1000,
            told["p99"] / 1000,
            spent / told["requests"] * 1e6,
        )

    def _cpu_seconds(self) -> float:
        """Return what the workers have used; Linux counts it by thread, in nanoseconds."""
        tasks = [
            task
            for worker in self.server.workers()
            for task in Path(f"/proc/{worker}/task").glob("*/schedstat")
        ]
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
