"""What can't be saved: the driver's SELECT, a signature, JSON; and how near a request comes."""

from __future__ import annotations

import base64
import hmac
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

from tests.contract.databases import fresh_url
from tests.hot_paths.counting import serve
from wsgi_sessions import SessionManager

from .peers import ours
from .peers.site import EMAIL, environ_with
from .report import Cell, Plot, Result, Say, Series, Table

ROUNDS = 40
ROUND_US = 15_000
ENGINES = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB"}
NOTE = """\
The SELECT is the one that a request sends: the session by its key, joined to its user. A request is shown over the bare application, and compared with the SELECT by the driver that it uses itself; on PostgreSQL with the prepared one. Both have their own connection to the same database, with the same settings."""

Step = Callable[[], object]


class Raw(NamedTuple):
    """A driver's SELECT; ``module`` is where its connections come from."""

    name: str
    module: str
    step: Step


class Engine(NamedTuple):
    bare: Step
    request: Step
    raws: list[Raw]
    module: str
    """Of the driver that a request uses."""


def measure(*, is_quick: bool, say: Say) -> Result:
    rounds, round_us = (3, 1_000) if is_quick else (ROUNDS, ROUND_US)
    rows: list[list[Cell]] = []
    figures: dict[str, float] = {}
    skipped: list[str] = []
    raw_points: list[tuple[str | float, float]] = []
    our_points: list[tuple[str | float, float]] = []
    for engine, title in ENGINES.items():
        say(title)
        try:
            with opened(engine, skipped) as steps:
                steps_by_name = {"bare": steps.bare, "request": steps.request}
                steps_by_name |= {raw.name: raw.step for raw in steps.raws}
                taken = take_turns(steps_by_name, rounds, round_us)
        except pytest.skip.Exception as missing:
            skipped.append(f"{title}: {missing}")
            continue
        costs = medians_of(taken)
        over_bare = [
            request - bare for request, bare in zip(taken["request"], taken["bare"], strict=True)
        ]
        request = statistics.median(over_bare)
        # The first with the request's own driver is the one that it is compared with.
        compared = next(raw.name for raw in steps.raws if raw.module == steps.module)
        # Of each round: a pace that changes between the rounds does not matter then.
        ratio = statistics.median(
            cost / select for cost, select in zip(over_bare, taken[compared], strict=True)
        )
        rows += [[f"{title}, {raw.name}", costs[raw.name], "—"] for raw in steps.raws]
        rows.append([f"{title}, request by {steps.module}", request, ratio])
        figures |= {
            f"{engine}_select_us": costs[compared],
            f"{engine}_us": request,
            f"{engine}_ratio": ratio,
        }
        raw_points.append((title, costs[compared]))
        our_points.append((title, request))
    say("signature and JSON")
    parts = medians_of(take_turns(without_database(), rounds, round_us))
    return Result(
        "floor",
        [
            Table(
                "A request over the bare application, and the driver's SELECT",
                ["what", "µs", "× SELECT"],
                rows,
                NOTE,
            ),
            Table(
                "Parts of a request without a database",
                ["what", "µs"],
                [[name, value] for name, value in parts.items()],
            ),
        ],
        [
            Plot(
                "A validated request and the SELECT it can't save",
                "",
                "µs",
                [Series("SELECT by the driver", raw_points), Series("request", our_points)],
            )
        ],
        figures,
        skipped,
    )


def take_turns(steps: dict[str, Step], rounds: int, round_us: float) -> dict[str, list[float]]:
    """Return the microseconds of each in each round; a round has another order each time."""
    counts = {
        name: max(5, min(2000, int(round_us / microseconds(step, 10))))
        for name, step in steps.items()
    }
    values: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in random.Random(number).sample(list(steps), len(steps)):
            values[name].append(microseconds(steps[name], counts[name]))
    return values


def medians_of(taken: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in taken.items()}


def microseconds(step: Step, count: int) -> float:
    step()
    began = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - began) / count * 1e6


@contextmanager
def opened(engine: str, skipped: list[str]) -> Iterator[Engine]:
    """Give the steps to measure on a fresh database."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="floor-"))
        url = stack.enter_context(fresh_url(engine, Path(folder)))
        site = ours.site_of(url)
        stack.callback(site.manager.close)
        with site.manager.parts.connections.connection() as connection:
            module = driver_of(connection)
        raws = []
        for name, connect, options in drivers(engine, url, site.manager):
            try:
                driver = stack.enter_context(closing(connect()))
            except ModuleNotFoundError as missing:
                skipped.append(f"{ENGINES[engine]}, {name}: pip install {missing.name}")
                continue
            step = select(driver, site.select_sql(), site.session_id, options)
            assert EMAIL in step(), name
            raws.append(Raw(name, driver_of(driver), step))
        # The environs are made within both, so their cost is not in the difference.
        yield Engine(
            lambda: serve(site.bare, environ_with(site.cookie)),
            lambda: serve(site.app, environ_with(site.cookie)),
            raws,
            module,
        )


@contextmanager
def closing(connection: Any) -> Iterator[Any]:
    try:
        yield connection
    finally:
        connection.close()


def driver_of(connection: Any) -> str:
    """Return the module of a driver's connection, which may be of a class derived from it."""
    ours_too = ("wsgi_sessions", "peewee")
    modules = (kind.__module__.partition(".")[0] for kind in type(connection).__mro__)
    return next(module for module in modules if module not in ours_too)


def drivers(
    engine: str, url: str, manager: SessionManager
) -> Iterator[tuple[str, Callable[[], Any], Any]]:
    """Give the drivers of an engine, those that are compared with first."""
    if engine == "sqlite":
        # With the settings that ours have.
        database: Any = manager.database
        yield "SELECT by sqlite3", database._connect, {}
        return
    if engine == "postgres":
        import psycopg

        def connect_postgres() -> Any:
            return psycopg.connect(url, autocommit=True)

        yield "SELECT by psycopg, prepared", connect_postgres, {"prepare": True}
        yield "SELECT by psycopg, not prepared", connect_postgres, {"prepare": False}
        return
    parts = urlsplit(url)
    given: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or 3306,
        "user": unquote(parts.username or "root"),
        "password": unquote(parts.password or ""),
        "database": parts.path[1:],
        "charset": "utf8mb4",
        "autocommit": True,
    }

    def connect_mysqlclient() -> Any:
        import MySQLdb

        return MySQLdb.connect(**given)

    def connect_pymysql() -> Any:
        import pymysql

        return pymysql.connect(**given)

    yield "SELECT by mysqlclient", connect_mysqlclient, {}
    yield "SELECT by PyMySQL", connect_pymysql, {}


def select(connection: Any, sql: str, session_id: str, options: Any) -> Callable[[], Any]:
    if hasattr(connection, "execute"):  # a shortcut of these drivers, so it is what they cost

        def step() -> Any:
            return connection.execute(sql, (session_id,), **options).fetchone()

    else:

        def step() -> Any:
            cursor = connection.cursor()
            cursor.execute(sql, (session_id,))
            row = cursor.fetchone()
            cursor.close()
            return row

    return step


def without_database() -> dict[str, Step]:
    """Return what a request without a database needs, as plain as can be."""
    with tempfile.TemporaryDirectory(prefix="floor-") as folder:
        site = ours.cookie_cache(folder)
        site.manager.close()
    cookies = dict(pair.split("=", 1) for pair in site.cookie.split("; "))
    token = cookies["__Host-session_token"].encode()
    copy = cookies["__Host-session_data"].partition(".")[0]
    text = base64.urlsafe_b64decode(copy + "=" * (-len(copy) % 4))
    key = b"k" * 32
    json.loads(text)
    return {
        "HMAC-SHA256 of a token": lambda: hmac.digest(key, token, "sha256"),
        "HMAC-SHA256 of a cached copy": lambda: hmac.digest(key, copy.encode(), "sha256"),
        "Base64 of a cached copy": lambda: base64.urlsafe_b64decode(copy + "=="),
        "JSON of a cached copy": lambda: json.loads(text),
    }
