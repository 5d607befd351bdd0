"""What the figures must reach, each with where it comes from; the page says which line is met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Target(NamedTuple):
    """A figure, as ``benchmark.figure``, and its limit."""

    says: str
    figure: str
    limit: float
    unit: str = ""
    is_lower_better: bool = True
    why_not: str = ""
    """Shown below the table while it is not met: what the profile says."""

    def is_met(self, measured: float) -> bool:
        return measured <= self.limit if self.is_lower_better else measured >= self.limit

    def limit_text(self) -> str:
        return (
            f"{'at most' if self.is_lower_better else 'at least'} {number(self.limit, self.unit)}"
        )


def number(value: float, unit: str) -> str:
    text = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    # So that a narrow column of the page does not part them.
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def lines(figures: Mapping[str, float]) -> list[tuple[Target, float | None]]:
    """Return each target with what was measured, if it was."""
    return [(target, figures.get(target.figure)) for target in TARGETS]


INTERPRETED = (
    "The SELECT is a program in C, and the rest of a request one in Python. Processors run the two "
    "at different paces: of the instructions of a request 47 % are those of the SELECT, so it is "
    "2.1 × as long, and on an Intel Xeon it took 2.3 to 2.5 ×. On an AMD EPYC of 2.4 GHz it took "
    "3.3 to 3.8 ×: there 68 % of the time are spent in the interpreter, 12 % each in SQLite and in the "
    "kernel."
)
SLOWER = (
    "An AMD EPYC of 2.4 GHz takes 2.2 to 2.4 times as long for the same Python as an Intel Xeon, "
    "where {there}. Neither has the pace of the machine for which the limit was set: there the "
    "raw SELECT took 7.6 µs."
)
BEHIND_A_SERVER = (
    "A server, the kernel and an application push each other out of the processor's caches, which "
    "a loop does not: compare the microseconds of the tables below with those of *Peers*. With "
    "gunicorn's sync worker in one process, on an Intel Xeon, a request from SQLite that took "
    "41 µs in a loop took 56, and gunicorn's own code more than without it. gunicorn also looks at "
    "each byte of a Cookie header, which took 6 µs for a cached copy, and took 2 µs for a header "
    "of the response."
)
TARGETS = (
    Target(
        "database-validated request over the raw SELECT",
        "floor.sqlite_ratio",
        2.5,
        "×",
        why_not=INTERPRETED,
    ),
    Target(
        "fastest peer with server-side sessions, over our database-validated request",
        "peers.server_side_ratio",
        15,
        "×",
        is_lower_better=False,
        why_not="That peer (Flask-Session with cachelib's files) waits for the kernel, which slow "
        "Python does not make slower. On an Intel Xeon the fastest one was Django with "
        "cached_db, and took 15.2 ×.",
    ),
    Target(
        "cookie-cache request over the bare application",
        "peers.cached_us",
        10,
        "µs",
        why_not=SLOWER.format(there="it took 9.8 µs, with four calls more"),
    ),
    Target(
        "the same, over Flask's signed cookie (10 µs where it costs 17)",
        "peers.cached_over_flask",
        0.59,
        "×",
    ),
    Target(
        "visitor without our cookie, over the bare application",
        "peers.visitor_us",
        3,
        "µs",
        why_not=SLOWER.format(there="it took 4.7 µs")
        + " It is 25 calls, and half of the time goes to calling. A seventh makes the exchange and "
        "what the application finds in its environ, a tenth the time that the request may wait "
        "for a database, a twelfth adds Vary to the headers, a twentieth looks whether a purge is "
        "due. All of it is what the application may ask for, or its answer must say, of a visitor.",
    ),
    Target("calls of a validated request, of C functions too", "peers.database_calls", 70),
    Target("calls of a cached request, of C functions too", "peers.cached_calls", 45),
    Target("calls of a visitor's request, of C functions too", "peers.visitor_calls", 25),
    *(
        Target(
            f"requests a second of the bare application's, gunicorn {worker}, {what}",
            f"serving.{worker}_{key}_share",
            share,
            "%",
            is_lower_better=False,
            why_not=BEHIND_A_SERVER,
        )
        for worker in ("sync", "gthread")
        for what, key, share in (
            ("from SQLite", "sqlite", 85),
            ("cached", "cached", 92),
            ("visitors", "visitor", 97),
        )
    ),
    Target("over the raw driver's SELECT, PostgreSQL", "floor.postgres_ratio", 1.25, "×"),
    Target("over the raw driver's SELECT, MariaDB", "floor.mariadb_ratio", 1.15, "×"),
    Target(
        "validation at 10⁷ sessions over that at 10³",
        "growth.validate_ratio",
        1.3,
        "×",
        why_not="The sessions are drawn from all of the table, and a SELECT searches four trees "
        "(key and row of session and user) whose last pages are then in no cache of the "
        "processor: with a thousand sessions of ten million in use it is nearly the same, and one "
        "that is asked for again costs what it costs in a small table. A file beyond "
        "2 GB is not mapped as a whole.",
    ),
    Target(
        "feed read with 10⁵ revocations in five minutes, share of one core", "feed.share", 2, "%"
    ),
    Target("99 % of requests beside a clean-up, over those without", "purging.ratio", 1.5, "×"),
    Target("longest request beside a clean-up", "purging.longest_ms", 50, "ms"),
    Target(
        "import over that of its dependencies",
        "imports.own_ms",
        40,
        "ms",
        why_not=SLOWER.format(there="it took 41.5 ms for 5 % more instructions"),
    ),
    Target(
        "import in all",
        "imports.all_ms",
        90,
        "ms",
        why_not=SLOWER.format(there="it took 81 ms"),
    ),
)
