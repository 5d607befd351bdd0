"""What many sessions need of a database: bytes a row, and the writes a second that it takes.

``python -m tests.benchmarks.capacity URL WHAT SECONDS`` is one of the processes that write.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.databases import fresh_url
from tests.galera.cluster import running_cluster
from tests.hot_paths.counting import serve
from wsgi_sessions import SessionManager, SessionMiddleware, SignIn
from wsgi_sessions.records import NO_FACTS
from wsgi_sessions_testing import CHEAP_PASSWORDS

from .feed import ENGINES as SERVERS
from .peers.site import SECRET, bare_app, environ_with
from .report import Cell, Result, Say, Table

ENGINES = {**SERVERS, "galera": "Galera, three nodes"}
USERS, SESSIONS_A_USER = 20_000, 5
ROWS_AN_INSERT = 500
TOUCHES = 10
PROCESSES = 4
SECONDS = 8
DAY_MS = 86_400_000
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
FACTS = NO_FACTS._replace(address="203.0.113.77", user_agent=BROWSER)
SESSION_TIMES = (*("created_at", "authenticated_at", "updated_at", "confirmed_at", "last_seen_at"),)
TABLES = ("user", "account", "session", "event", "revocation")
ROW_COLUMNS = ["engine", *TABLES, "session, after use"]
ROW_NOTE = (
    f"Bytes of a row with its share of all indexes. {USERS:,} users have {SESSIONS_A_USER} sessions "
    f"each, with the User-Agent of a browser ({len(BROWSER)} characters) and no data of the "
    "application's; one account with a password; and each session an event and a revocation. Rows "
    f"were added in the order of time. After use: each session was then touched {TOUCHES} times, "
    "refreshed and rotated, in an order of chance and ten thousand to a transaction, PostgreSQL "
    "with a VACUUM after each round."
)
WRITE_COLUMNS = ["what", "operations/s", "µs CPU, application", "µs CPU, server"]
WRITE_NOTE = (
    f"{PROCESSES} processes with one thread each, on the same two processors as the server, which "
    "are busy with both: what a server with processors of its own takes a second is better worked "
    "out of its CPU time. All three nodes of Galera are on this machine, and their times are added. "
    "Servers write to the disk at each COMMIT, as they do by default; the nodes of Galera and "
    "SQLite with its WAL do not. SQLite is a part of the application's process. A request that is "
    "only read is there to compare with. A sign-in is without its password, whose hash takes tens "
    "of milliseconds of the application's CPU."
)


USERS_A_PROCESS = 100
Work = Callable[[SessionManager], Iterator[object]]
"""Prepares, then does an operation each time it is asked."""


def measure(*, is_quick: bool, say: Say) -> Result:
    sizes: list[list[Cell]] = []
    speeds: list[list[Cell]] = []
    figures: dict[str, float] = {}
    skipped: list[str] = []
    for engine, title in ENGINES.items():
        try:
            with opened(engine) as url:
                if engine != "galera":
                    say(f"{title}: fills the tables")
                    found = bytes_of_rows(engine, url, users=200 if is_quick else USERS)
                    sizes.append([title, *found.values()])
                    figures |= {f"{engine}_{name}_bytes": size for name, size in found.items()}
            with opened(engine) as url:
                for what in WORKS:
                    say(f"{title}: {what}")
                    speed = speed_of(url, what, seconds=1 if is_quick else SECONDS)
                    speeds.append([f"{what}, {title}", *speed])
        except pytest.skip.Exception as missing:
            skipped.append(f"{title}: {missing}")
    tables = [
        Table("Bytes of a row", ROW_COLUMNS, sizes, ROW_NOTE),
        Table("Writes a second", WRITE_COLUMNS, speeds, WRITE_NOTE),
    ]
    return Result("capacity", tables, [], figures, skipped)


@contextmanager
def opened(engine: str) -> Iterator[str]:
    """Give the URL of an empty database of an engine."""
    with ExitStack() as stack:
        if engine == "galera":
            cluster = stack.enter_context(running_cluster())
            yield cluster.url(stack.enter_context(cluster.database()))
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            yield stack.enter_context(fresh_url(engine, Path(folder)))


# Bytes


def bytes_of_rows(engine: str, url: str, *, users: int) -> dict[str, float]:
    """Return how many bytes a row of each table takes, and one of a session that was used."""
    sessions = users * SESSIONS_A_USER
    with closing(
        SessionManager(url, secret=SECRET, password=CHEAP_PASSWORDS, audit=True)
    ) as manager:
        fill(manager, users)
        taken = sizes_of_tables(engine, manager)
        found = {
            name: taken[name] / (users if name in ("user", "account") else sessions)
            for name in TABLES
        }
        for number in range(TOUCHES + 1):
            use(manager, sessions, is_refreshed=number == TOUCHES)
            if engine == "postgres":
                manager.parts.connections.write("VACUUM wsgi_sessions_session", ())
        return {**found, "used_session": sizes_of_tables(engine, manager)["session"] / sessions}


def fill(manager: SessionManager, users: int) -> None:
    """Have the product write a row of each table, and add copies of it."""
    made = manager.sign_up_email(
        name="Ada Lovelace", email="ada@example.org", password="correct horse", facts=FACTS
    )
    assert made.session is not None
    manager.sign_in(made.user.id, facts=FACTS)
    manager.revoke_session(made.session.id)
    draw = random.Random(users)

    def key() -> str:
        return urlsafe_b64encode(draw.randbytes(18)).decode()

    user_ids = [key() for _ in range(users)]
    own_session_ids = [key() for _ in range(users * SESSIONS_A_USER)]

    def of_user(number: int) -> dict[str, Any]:
        return {"id": user_ids[number], "email": f"person{number}@example.org"}

    def of_account(number: int) -> dict[str, Any]:
        user_id = user_ids[number]
        return {"id": key(), "user_id": user_id, "account_id": user_id}

    def of_session(number: int) -> dict[str, Any]:
        late = dict.fromkeys(SESSION_TIMES, made_ms + number * 10)
        own = {"id": own_session_ids[number], "user_id": draw.choice(user_ids)}
        return own | late | {"expires_at": late["created_at"] + 7 * DAY_MS}

    def of_event(number: int) -> dict[str, Any]:
        own = {"session_id": own_session_ids[number], "user_id": draw.choice(user_ids)}
        return own | {"at": made_ms + number * 10}

    def of_revocation(number: int) -> dict[str, Any]:
        return {"session_id": own_session_ids[number], "created_at": made_ms + number * 10}

    rows = {
        "user": (users, of_user),
        "account": (users, of_account),
        "session": (len(own_session_ids), of_session),
        "event": (len(own_session_ids), of_event),
        "revocation": (len(own_session_ids), of_revocation),
    }
    models = manager.parts.models
    with manager.database.connection_context():
        made_ms = models.user.get().created_at
        for name, (count, own) in rows.items():
            model = getattr(models, name)
            # The newest: of sessions the one that lives.
            row = dict(model.select().order_by(model._meta.primary_key.desc()).dicts().get())
            if name == "session":
                row = dict(model.select().where(model.ended_at.is_null()).dicts().get())
            if name in ("event", "revocation"):
                del row["id"]
            for start in range(0, count, ROWS_AN_INSERT):
                numbers = range(start, min(start + ROWS_AN_INSERT, count))
                with manager.database.atomic():
                    model.insert_many([row | own(number) for number in numbers]).execute()


def sizes_of_tables(engine: str, manager: SessionManager) -> dict[str, int]:
    """Return how many bytes each table takes, with its indexes."""
    sql = {
        "sqlite": "SELECT m.tbl_name, sum(d.pgsize) FROM dbstat d JOIN sqlite_master m"
        " ON m.name = d.name GROUP BY 1",
        "postgres": "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
        " WHERE relkind = 'r' AND starts_with(relname, 'wsgi')",
        "mariadb": "SELECT substring_index(name, '/', -1), file_size"
        " FROM information_schema.innodb_sys_tablespaces"
        " WHERE substring_index(name, '/', 1) = database()",
    }[engine]
    rows = manager.parts.connections.read_rows(sql, ())
    return {str(name).removeprefix("wsgi_sessions_"): int(size) for name, size in rows}


def use(manager: SessionManager, count: int, *, is_refreshed: bool) -> None:
    """Touch all sessions as a touch does, and at the end also as a refresh and a rotation do."""
    session = manager.parts.models.session
    later = {session.last_seen_at: session.last_seen_at + DAY_MS // TOUCHES}
    if is_refreshed:
        later |= {session.generation: session.generation + 1}
        later |= {name: name + DAY_MS for name in (session.expires_at, session.confirmed_at)}
    with manager.database.connection_context():
        ids = [row[0] for row in session.select(session.id).tuples()]
        random.Random(count).shuffle(ids)
        for start in range(0, len(ids), ROWS_AN_INSERT):
            with manager.database.atomic():
                some = ids[start : start + ROWS_AN_INSERT]
                session.update(later).where(session.id.in_(some)).execute()


# Writes a second


def requests(manager: SessionManager) -> Iterator[None]:
    """Ask for the same page again and again, with one of a hundred sessions in turn."""
    app = SessionMiddleware(bare_app, manager)
    name = f"__Host-{manager.config.cookie.name}"
    some = islice(sign_ins(manager), USERS_A_PROCESS)
    environs = [environ_with(f"{name}={signed_in.token}") for signed_in in some]
    while True:
        for environ in environs:
            serve(app, environ.copy())
            yield


def sign_ins(manager: SessionManager) -> Iterator[SignIn]:
    """Sign a hundred users in, in turn."""
    users = [
        manager.create_user(name="Ada", email=f"{uuid4().hex}@example.org").id
        for _ in range(USERS_A_PROCESS)
    ]
    while True:
        for user_id in users:
            yield manager.sign_in(user_id, facts=FACTS)


def sign_outs(manager: SessionManager) -> Iterator[None]:
    """Sign out the twenty sessions that each of a hundred users has."""
    for signed_in in list(islice(sign_ins(manager), 20 * USERS_A_PROCESS)):
        yield
        assert signed_in.session is not None
        manager.sign_out(signed_in.session.id)


UNLIMITED = {"multi_session": {"maximum_sessions": None}}
WORKS: dict[str, tuple[Work, dict[str, Any]]] = {
    "requests that only read": (requests, {}),
    "requests that note their time": (requests, {"touch_interval": 0}),
    "sign-ins": (sign_ins, UNLIMITED),
    "sign-ins with an audit trail": (sign_ins, {**UNLIMITED, "audit": True}),
    "sign-ins that end another session": (sign_ins, {"multi_session": {"maximum_sessions": 1}}),
    "sign-outs": (sign_outs, UNLIMITED),
}


def speed_of(url: str, what: str, *, seconds: int) -> list[float]:
    """Return operations a second, and what each costs the application and the server, in µs."""
    with closing(SessionManager(url, secret=SECRET)) as manager:
        manager.create_tables()
    command = [sys.executable, "-m", __spec__.name, url, what, str(seconds)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    before = server_cpu_seconds()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate()[0]) for process in processes]
    server = server_cpu_seconds() - before
    count = sum(each["count"] for each in told)
    application = sum(each["cpu"] for each in told)
    a_second = sum(each["count"] / each["elapsed"] for each in told)
    return [a_second, application / count * 1e6, server / count * 1e6]


def server_cpu_seconds() -> float:
    """Return the CPU time of all database servers on this machine, since each began."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            if name in ("postgres", "mariadbd"):
                # Of those that have ended, their parent tells.
                ticks += sum(map(int, rest.split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main(arguments: list[str]) -> None:
    url, what, seconds = arguments
    work, settings = WORKS[what]
    with closing(SessionManager(url, secret=SECRET, **settings)) as manager:
        steps = work(manager)
        next(steps)
        print("ready", flush=True)
        sys.stdin.readline()
        began, cpu = time.perf_counter(), time.process_time()
        count = 0
        for _ in steps:
            count += 1
            if time.perf_counter() - began > int(seconds):
                break
        elapsed = time.perf_counter() - began
        cpu = time.process_time() - cpu
        print(json.dumps({"count": count, "cpu": cpu, "elapsed": elapsed}))


if __name__ == "__main__":
    main(sys.argv[1:])
