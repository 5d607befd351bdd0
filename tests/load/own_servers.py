"""Database servers of the tests' own, which may be killed, and a way to them that may be broken."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from tests.scenarios.servers import PATIENCE_SECONDS, free_port

NAME = "scenario"
MAXIMUM_CONNECTIONS = 40
"""What such a server takes, which is little."""


@dataclass
class OwnServer:
    """A PostgreSQL or MariaDB server with one empty database."""

    kind: str
    directory: Path
    options: Sequence[str] = ()
    """Of its command line, after ours."""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user_of(self.kind),
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(psycopg.Error, pymysql.MySQLError, OSError):
                self.query("SELECT 1")
                return
            time.sleep(0.05)
        raise AssertionError(self.log)

    def has_crashed(self) -> bool:
        """Return whether it ended by itself, which no test asked of it."""
        return self.process is not None and self.process.poll() is not None

    @property
    def log(self) -> str:
        """What it has written about itself."""
        return (self.directory / "log").read_text(errors="replace")

    def kill(self) -> None:
        """End it as a crash would: at once, with all its children."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it for a block, with all its children, as a machine that hangs does.

        The kernel goes on taking connections for it, which nobody answers.
        """
        assert self.process is not None
        process_ids = _with_descendants(self.process.pid)
        try:
            # The parent first, or it could start another child meanwhile.
            for process_id in process_ids:
                with suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGSTOP)
            yield
        finally:
            for process_id in reversed(process_ids):
                with suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGCONT)

    def url(self, port: int | None = None) -> str:
        """Return the database's URL, by another way to the server if a port is given."""
        scheme = "postgresql" if self.kind == "postgres" else "mysql"
        user = "postgres" if self.kind == "postgres" else "root"
        return f"{scheme}://{user}@127.0.0.1:{port or self.port}/{NAME}"

    def connect(self, database: str | None = None) -> Any:
        """Connect past the product."""
        if self.kind == "postgres":
            return psycopg.connect(
                host="127.0.0.1",
                port=self.port,
                user="postgres",
                dbname=database or "postgres",
                autocommit=True,
                connect_timeout=3,
            )
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database or "",
            autocommit=True,
            connect_timeout=3,
        )

    def query(self, sql: str) -> list[Any]:
        """Run a statement and return its rows."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            has_rows = cursor.description is not None
            return list(cursor.fetchall()) if has_rows else []

    def renew_database(self) -> None:
        """Make the database anew, empty; a server that has ended by itself is started first."""
        if self.has_crashed():
            self.start()
        force = " WITH (FORCE)" if self.kind == "postgres" else ""
        self.query(f"DROP DATABASE IF EXISTS {NAME}{force}")
        self.query(f"CREATE DATABASE {NAME}")

    def connection_count(self) -> int:
        """Return how many connections to the database there are."""
        if self.kind == "postgres":
            sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{NAME}'"
        else:
            sql = f"SELECT count(*) FROM information_schema.processlist WHERE db = '{NAME}'"
        return int(self.query(sql)[0][0])

    @contextmanager
    def locking(self, table: str) -> Iterator[None]:
        """Hold a lock over a whole table, as a schema change does."""
        with closing(self.connect(NAME)) as connection, closing(connection.cursor()) as cursor:
            if self.kind == "postgres":
                cursor.execute("BEGIN")
                cursor.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
            else:
                cursor.execute(f"LOCK TABLES `{table}` WRITE")
            yield
            cursor.execute("ROLLBACK" if self.kind == "postgres" else "UNLOCK TABLES")

    def _command(self) -> list[str]:
        data = str(self.directory / "data")
        if self.kind == "postgres":
            return [
                find_postgres("postgres"),
                f"-D{data}",
                f"-p{self.port}",
                f"-k{self.directory}",
                "-cfsync=off",
                "-clisten_addresses=127.0.0.1",
                f"-cmax_connections={MAXIMUM_CONNECTIONS}",
                *self.options,
            ]
        return [
            _find_mariadbd(),
            "--no-defaults",
            f"--datadir={data}",
            f"--port={self.port}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self.directory / 'pid'}",
            f"--init-file={self.directory / 'init.sql'}",
            "--bind-address=127.0.0.1",
            "--innodb-buffer-pool-size=32M",
            f"--max-connections={MAXIMUM_CONNECTIONS}",
            *self.options,
        ]


@contextmanager
def own_server(
    kind: str, *, options: Sequence[str] = (), folder: Path | None = None
) -> Iterator[OwnServer]:
    """Give a server of our own, started, and take it away again."""
    # A short path outside of pytest's: the server runs as another user, on a socket in it.
    directory = Path(tempfile.mkdtemp(prefix="ws-", dir=folder))
    try:
        _prepare(kind, directory)
        server = OwnServer(kind, directory, options)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _prepare(kind: str, directory: Path) -> None:
    data = str(directory / "data")
    user = user_of(kind)
    if user is not None:
        shutil.chown(directory, user)
    if kind == "postgres":
        command = [find_postgres("initdb"), f"-D{data}", "-Upostgres", "-Atrust", "--no-sync"]
    else:
        _find_mariadbd()
        (directory / "init.sql").write_text(
            "CREATE USER IF NOT EXISTS root@'127.0.0.1';\n"
            "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        command = [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]
    made = subprocess.run(command, capture_output=True, text=True, user=user, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def _with_descendants(process_id: int) -> list[int]:
    """Return a process and all below it, parents first; PostgreSQL's are in groups of their own."""
    found = [process_id]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def user_of(kind: str) -> str | None:
    """Return whom the server must run as: these refuse to run as root."""
    user = "postgres" if kind == "postgres" else "mysql"
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(user)
    except KeyError:
        pytest.skip(f"there is no user {user} to run a {kind} server of our own; install it")
    return user


def find_postgres(name: str) -> str:
    found = shutil.which(name)
    paths = (
        [found] if found else sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))
    )
    if not paths:
        pytest.skip(f"PostgreSQL's {name} is not installed (Debian: postgresql)")
    return paths[-1]


def _find_mariadbd() -> str:
    found = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    if found is None:
        pytest.skip("mariadbd is not installed (Debian: mariadb-server)")
    return found


class Relay:
    """A way to a server, which can fall silent or be cut.

    Silent, it still takes connections and keeps those that are open, but passes nothing on:
    what a firewall leaves that has forgotten its connections, or a machine that hangs.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self._lock = threading.Lock()
        self._is_silent = False
        self._pairs: list[_Pair] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Pass nothing on within the block; what was open then stays dead, new ones live."""
        with self._lock:
            self._is_silent = True
            for pair in self._pairs:
                pair.passes.clear()
        yield
        with self._lock:
            self._is_silent = False

    def cut(self) -> None:
        """End every connection, as a proxy that is started anew does."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.close()

    def close(self) -> None:
        """Take the way away."""
        # shutdown wakes the thread that waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                pair = _Pair(near, far)
                if not self._is_silent:
                    pair.passes.set()
                self._pairs.append(pair)
            pair.start()


class _Pair:
    """One connection through the relay."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.passes = threading.Event()
        self._near, self._far = near, far

    def start(self) -> None:
        for one, other in ((self._near, self._far), (self._far, self._near)):
            threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def close(self) -> None:
        for end in (self._near, self._far):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.passes.set()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self.passes.wait()
                other.sendall(data)
        self.passes.wait()
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)
