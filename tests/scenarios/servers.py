"""Real servers in processes of their own, and visitors who talk to them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

from tests.contract.databases import fresh_server_database
from tests.support import in_parallel

ROOT = Path(__file__).parents[2]
APPLICATION = "tests.scenarios.server_app:application"
SECRET = "scenario-secret-" * 3
PATIENCE_SECONDS = 60
PASSWORD = "correct horse"
LARGE_FILE = b"a line of some length\n" * 50_000
_PORTS = list(range(20_000, 32_000))
"""What ``free_port`` has not given out."""

DATABASES = ("sqlite", "postgres", "mariadb")
THREADED = ("--worker-class", "gthread", "--threads", "4")
SERVERS: dict[str, tuple[str, ...]] = {
    "sync": ("--worker-class", "sync"),
    "gthread": THREADED,
    "gevent": ("--worker-class", "gevent"),
    "sync-preload": ("--worker-class", "sync", "--preload"),
    "gthread-preload": (*THREADED, "--preload"),
    "waitress": (),
    "uwsgi": (),
    "uwsgi-lazy": ("--lazy-apps",),
    "uwsgi-threads": ("--enable-threads", "--threads", "4"),
}


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Visitor:
    """One browser: a jar that does what it is told, and one address."""

    def __init__(self, port: int, cookies: dict[str, str] | None = None) -> None:
        self.port = port
        self.cookies = dict(cookies or {})

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, value: Any = None) -> Answer:
        return self.ask("POST", path, json.dumps({} if value is None else value).encode())

    def post_in_chunks(self, path: str, value: Any) -> Answer:
        """Send JSON whose length nobody tells (RFC 9112, section 7.1)."""
        return self.ask("POST", path, iter([b" ", json.dumps(value).encode()]))

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None) -> Answer:
        """Send a request and keep the cookies of its answer.

        Raises ``OSError`` or ``HTTPException`` when there is none, or half of one.
        """
        headers = {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        ) as connection:
            # A server may refuse a body before it has read all of it, and stop listening.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                answer = Answer(response.status, response.read(), dict(response.headers.items()))
                self._keep(response.headers.get_all("Set-Cookie", []))
        return answer

    def sign_up(self, email: str) -> Answer:
        given = {"name": "Ada", "email": email, "password": PASSWORD}
        return self.post("/api/auth/sign-up/email", given)

    def sign_in(self, email: str, password: str = PASSWORD) -> Answer:
        return self.post("/api/auth/sign-in/email", {"email": email, "password": password})

    def sign_out(self) -> Answer:
        return self.post("/api/auth/sign-out")

    def user(self) -> Any:
        """Tell whom the application takes this browser for: an e-mail address or None."""
        return self.get("/me").json["user"]

    def _keep(self, lines: list[str]) -> None:
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


@dataclass(frozen=True)
class Server:
    """A server that answers on a port of 127.0.0.1."""

    kind: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def visitor(self) -> Visitor:
        """Return a browser that was never here."""
        return Visitor(self.port)

    @property
    def is_prefork(self) -> bool:
        """Whether the application was loaded once, before the workers were forked."""
        return self.kind.endswith("-preload") or self.kind in ("uwsgi", "uwsgi-threads")

    @property
    def is_uwsgi(self) -> bool:
        return self.kind.startswith("uwsgi")

    def reload(self) -> None:
        """Have the server load the application anew, as an operator does; it goes on serving."""
        self.use_every_worker()
        before = set(self.workers())
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if before.isdisjoint(now := self.workers()) and len(now) >= len(before):
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.kind} did not reload: {self.log.read_text()}")

    def use_every_worker(self) -> None:
        """Have every worker use the database; one that is still starting is waited for.

        One that was never asked takes a new file for its own, and uWSGI reloads none that has
        not loaded the application yet.
        """
        unused = set(self.workers())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while unused:
            assert time.monotonic() < deadline, f"workers {unused} never answered"
            asked = in_parallel(lambda _: self.visitor().get("/connection").json, 2 * len(unused))
            unused -= {answer["pid"] for answer in asked}

    def workers(self) -> list[int]:
        """Return the process ids of the server's workers."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        )
        found = re.findall(r"^\s*(\d+)\s+(\d+)\s+([^Z\s]\S*)", listed.stdout, re.MULTILINE)
        return [int(pid) for pid, parent, _ in found if int(parent) == self.process.pid]


@contextmanager
def serving(
    kind: str,
    database: str,
    directory: Path,
    *,
    workers: int = 2,
    settings: dict[str, Any] | None = None,
    use_early: bool = False,
    is_of_app: bool = False,
) -> Iterator[Server]:
    """Serve the scenario's application until the end of the block."""
    variables = {
        "SCENARIO_DATABASE": database,
        "SCENARIO_SECRET": SECRET,
        "SCENARIO_SETTINGS": json.dumps(settings or {}),
        "SCENARIO_FILE": str(directory / "large-file"),
        **({"SCENARIO_USE_EARLY": "1"} if use_early else {}),
        **({"SCENARIO_APP_DATABASE": "1"} if is_of_app else {}),
    }
    (directory / "large-file").write_bytes(LARGE_FILE)
    with serving_application(kind, APPLICATION, directory, workers, variables) as server:
        yield server


@contextmanager
def serving_application(
    kind: str,
    application: str,
    directory: Path,
    workers: int,
    variables: Mapping[str, str],
    *,
    options: Sequence[str] = (),
    path: str = "/api/auth/ok",
) -> Iterator[Server]:
    """Serve ``module:name``; it has started once it answers at the path."""
    port = free_port()
    log = directory / f"{kind}-{port}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*_command(kind, port, workers, application), *options],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            server = Server(kind, port, process, log)
            _wait_for(server, workers, path)
            yield server
        finally:
            stop_server(process)


@contextmanager
def fresh_database(kind: str, directory: Path) -> Iterator[str]:
    """Give the URL of an empty database, and take it away again."""
    if kind == "sqlite":
        yield f"sqlite:///{directory / 'scenario.db'}"
    else:
        with fresh_server_database(kind) as url:
            yield url


def _command(kind: str, port: int, workers: int, application: str) -> list[str]:
    address = f"127.0.0.1:{port}"
    if kind.startswith("uwsgi"):
        options = [f"--http-socket={address}", f"--processes={workers}", *SERVERS[kind]]
        return [*uwsgi_command(), *options, f"--module={application}"]
    needed = {"waitress": ("waitress",), "gevent": ("gunicorn", "gevent")}.get(kind, ("gunicorn",))
    for package in needed:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed; it comes with the extra dev")
    if kind == "waitress":
        return [sys.executable, "-m", "waitress", f"--listen={address}", application]
    options = ["--bind", address, "--workers", str(workers), "--log-level", "warning"]
    # Since 25.1 it would open a socket for all of this user's servers.
    if hasattr(import_module("gunicorn.config"), "ControlSocketDisable"):
        options.append("--no-control-socket")
    return [sys.executable, "-m", "gunicorn", *SERVERS[kind], *options, application]


def uwsgi_command() -> list[str]:
    """Return uWSGI with what it always needs: it is no Python, and is told where ours is."""
    try:
        files = distribution("uwsgi").files or []
    except PackageNotFoundError:
        pytest.skip("uwsgi is not installed; pip install uwsgi builds it, with a C compiler")
    program = next(file.locate() for file in files if file.name == "uwsgi")
    # SIGTERM reloads it, unless told otherwise; and it resets the connection of whoever sent a
    # body that the application did not read, unless it read that itself.
    always = ["--master", "--need-app", "--die-on-term", "--post-buffering=65536"]
    return [str(program), *always, f"--virtualenv={sys.prefix}", f"--pythonpath={ROOT}"]


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens, and that this process gives out once.

    It is none of those that the kernel gives to whoever connects: a server that starts a second
    later, or is started again, would find such a port taken now and then.
    """
    while _PORTS:
        port = _PORTS.pop(SystemRandom().randrange(len(_PORTS)))
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def _wait_for(server: Server, worker_count: int, path: str) -> None:
    """Wait until the server answers, and has started every worker it was asked for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    is_complete = server.kind == "waitress"
    while server.process.poll() is None and time.monotonic() < deadline:
        is_complete = is_complete or len(server.workers()) >= worker_count
        with suppress(OSError):
            if is_complete and server.visitor().get(path).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"{server.kind} did not start: {server.log.read_text()}")


def stop_server(process: subprocess.Popen[bytes]) -> None:
    """End a server and whatever it has started."""
    try:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    finally:
        # The group outlives its leader as long as one member does.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
