"""What sessions cost in memory: what a request leaves behind, a connection, a worker."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hot_paths.counting import Application, Environ, serve
from tests.hot_paths.importing import DEPENDENCIES
from tests.hot_paths.paths import OTHER_COOKIES
from tests.scenarios.servers import ROOT, fresh_database
from wsgi_sessions import SessionMiddleware

from .floor import ENGINES
from .peers.ours import app, site_of
from .peers.site import environ_with
from .report import Result, Say, Table

NOTES = {
    "requests": (
        "After the garbage collector has run: what is left is a leak. The median of five blocks, as "
        "now and then Python enlarges a table of its own, such as that of interned names. Cyclic "
        "objects are those that wait for the collector, as reference counts do not free them."
    ),
    "connections": "What the process grows by for each connection that has answered one SELECT.",
    "workers": (
        "A process that serves it, after a thousand requests; private is what it shares with no "
        "file (RssAnon). Peewee imports the drivers of every database that are installed."
    ),
}
BLOCKS = 5
CONNECTIONS = 20
RSS = """
import re
def read_kib():
    with open("/proc/self/status") as file:
        read = dict(re.findall(r"(VmRSS|RssAnon):\\s*(\\d+)", file.read()))
    return int(read["VmRSS"]), int(read["RssAnon"])
"""
CONNECTING = (
    RSS
    + """
import sys
from contextlib import ExitStack
from threading import Barrier
from tests.support import in_parallel
from wsgi_sessions.storage.connections import Connections
url, count = sys.argv[1], int(sys.argv[2])
connections = Connections(url, max_connections=count + 1)
sql = "SELECT count(*) FROM wsgi_sessions_session"
connections.read_rows(sql, ())
before = read_kib()
def use(number):
    with connections.connection():
        barrier.wait()
        connections.read_rows(sql, ())
        barrier.wait()
barrier = Barrier(count)
in_parallel(use, count)
print((read_kib()[1] - before[1]) / count)
"""
)
WORKING = (
    RSS
    + """
import os, sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
kind, folder, *dependencies = sys.argv[1:]
for name in dependencies:
    __import__(name)
cookies = ""
if kind:
    from wsgi_sessions import SessionManager, SessionMiddleware
    settings = {"secret": os.urandom(32).hex(), "cookie_cache": kind == "cookie cache"}
    manager = SessionManager(f"sqlite:///{folder}/app.db", **settings)
    app = SessionMiddleware(app, manager)
    user = manager.create_user(name="Ada", email="ada@example.org")
    token = manager.sign_in(user.id).token
    # No cookie is kept, so of the cookie cache each answer makes another copy.
    cookies = f"__Host-session_token={token}"
for _ in range(1000):
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "", "QUERY_STRING": "",
        "SERVER_NAME": "localhost", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7", "HTTP_HOST": "localhost", "HTTP_COOKIE": cookies,
        "wsgi.url_scheme": "https",
    }
    list(app(environ, lambda status, headers, exc_info=None: None))
print(*read_kib())
"""
)


def measure(*, is_quick: bool, say: Say) -> Result:
    result = Result("memory", [])
    for add in (_requests, _connections, _workers):
        result.tables.append(add(result, is_quick, say))
    return result


# Requests


def _requests(result: Result, is_quick: bool, say: Say) -> Table:
    count = 300 if is_quick else 10_000
    rows: list[list[str | int | float]] = []
    with paths() as works:
        for name, work in works.items():
            say(f"{count:,} requests: {name}")
            left = bytes_left(work, count)
            cyclic = cyclic_objects(work)
            rows.append([name, left, cyclic])
            result.figures[f"{name.replace(' ', '_')}_cyclic_objects"] = cyclic
    result.figures["most_bytes_left"] = max(float(row[1]) for row in rows)
    columns = ["requests", "bytes left by a request", "cyclic objects of a request"]
    return Table("Left behind", columns, rows, NOTES["requests"])


@contextmanager
def paths() -> Iterator[dict[str, Callable[[], None]]]:
    """Give what makes one request, for each kind of request."""
    with tempfile.TemporaryDirectory() as folder:
        site = site_of(f"sqlite:///{folder}/app.db")
        cached = site_of(f"sqlite:///{folder}/app.db", cookie_cache=True)
        forged = site.cookie[:-1] + ("A" if site.cookie[-1] != "A" else "B")
        manager = site.manager
        setting = SessionMiddleware(set_data, manager)

        def asks(target: Application, cookies: str, path: str = "/") -> Callable[[], None]:
            return lambda: serve(target, environ_with(cookies, path))

        def sign_in_and_out() -> None:
            made = manager.sign_in(user.id)
            assert made.session is not None
            manager.sign_out(made.session.id)

        user = manager.create_user(name="Bob", email="bob@example.org")
        yield {
            "visitor": asks(site.app, OTHER_COOKIES),
            "forged token": asks(site.app, forged),
            "from the database": asks(site.app, site.cookie),
            "cookie cache": asks(cached.app, cached.cookie),
            "session data written": asks(setting, site.cookie),
            "get-session of the API": asks(site.app, site.cookie, "/api/auth/get-session"),
            "sign-in and sign-out": sign_in_and_out,
        }
        manager.close()
        cached.manager.close()


def set_data(environ: Environ, start_response: Any) -> list[bytes]:
    session = environ["wsgi_sessions.session"]
    session.data["turn"] = session.data.get("turn", 0) % 10 + 1
    return app(environ, start_response)


def bytes_left(work: Callable[[], None], count: int) -> float:
    for _ in range(count // 3):
        work()
    gc.collect()
    tracemalloc.start()
    left: list[int] = []
    for _ in range(BLOCKS + 1):
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(count // BLOCKS):
            work()
        gc.collect()
        left.append(tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()
    # The first block has what tracemalloc begins with; a leak is in every other.
    return statistics.median(left[1:]) / (count // BLOCKS)


def cyclic_objects(work: Callable[[], None], count: int = 50) -> float:
    gc.collect()
    gc.disable()
    try:
        for _ in range(count):
            work()
        return gc.collect() / count
    finally:
        gc.enable()


# Processes


def _connections(result: Result, is_quick: bool, say: Say) -> Table:
    rows: list[list[str | int | float]] = []
    for kind, title in ENGINES.items():
        say(f"connections to {title}")
        with tempfile.TemporaryDirectory() as folder:
            try:
                with fresh_database(kind, Path(folder)) as url:
                    site_of(url).manager.close()
                    kib = float(run(CONNECTING, url, str(5 if is_quick else CONNECTIONS)))
            except pytest.skip.Exception as missing:
                result.skipped.append(f"{title}: {missing}")
                continue
        rows.append([title, kib])
        result.figures[f"{kind}_connection_kib"] = kib
    return Table("A connection", ["database", "KiB"], rows, NOTES["connections"])


def _workers(result: Result, is_quick: bool, say: Say) -> Table:
    rows: list[list[str | int | float]] = []
    for name, kind, dependencies in (
        ("bare application", "", ()),
        ("the same, dependencies imported", "", DEPENDENCIES),
        ("sessions from the database", "database", DEPENDENCIES),
        ("sessions from the cookie cache", "cookie cache", DEPENDENCIES),
    ):
        say(f"a worker: {name}")
        with tempfile.TemporaryDirectory() as folder:
            kib, private_kib = map(int, run(WORKING, kind, folder, *dependencies).split())
        rows.append([name, kib / 1024, private_kib / 1024])
    result.figures["worker_mib"] = float(rows[2][1]) - float(rows[1][1])
    return Table("A worker", ["application", "MiB", "private, MiB"], rows, NOTES["workers"])


def run(program: str, *arguments: str) -> str:
    """Run a program in a process of its own, and return what it prints."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]
