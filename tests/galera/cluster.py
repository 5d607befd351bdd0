"""A Galera cluster of three MariaDB servers on this machine, and HAProxy before it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymysql
import pytest

from tests.load.own_servers import user_of
from tests.scenarios.servers import free_port

NODES = 3
PATIENCE_SECONDS = 60
PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
_LIMITS = "keepalive_period=0.3,inactive_check_period=0.3,suspect_timeout=2,inactive_timeout=4,install_timeout=4"
"""After which a node that says nothing is left out, in seconds; usually more than twice that."""
_SHIM = """
#include <pthread.h>
#include <string.h>
int pthread_getschedparam(pthread_t thread, int *policy, struct sched_param *given)
{ *policy = 0; memset(given, 0, sizeof *given); return 0; }
int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *wanted)
{ return 0; }
"""
"""Galera asks for the priority of a thread that has begun this instant; some machines know none."""


@dataclass
class Node:
    """One server of the cluster."""

    number: int
    directory: Path
    ports: tuple[int, ...]
    """Of SQL, of the cluster, of state transfers: what changed, and all."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process is not None and self.process.poll() is not None

    @property
    def log(self) -> str:
        """What it has written about itself."""
        return (self.directory / "log").read_text(errors="replace")

    def connect(self, database: str = "", *, seconds: int = 5) -> Any:
        """Connect past the product."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database,
            autocommit=True,
            connect_timeout=seconds,
            read_timeout=seconds,
            write_timeout=seconds,
        )

    def query(self, sql: str, *, seconds: int = 5) -> list[Any]:
        """Run a statement and return its rows."""
        with closing(self.connect(seconds=seconds)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def status(self, name: str) -> str:
        """Return what the node says of itself under a name, empty where it does not answer."""
        with suppress(pymysql.MySQLError, OSError):
            return str(self.query(f"SHOW STATUS LIKE 'wsrep_{name}'", seconds=2)[0][1])
        return ""

    def url(self, database: str) -> str:
        """Return the URL of a database, past HAProxy."""
        return f"mysql://root@127.0.0.1:{self.port}/{database}"

    def end(self) -> None:
        """Have it end by itself."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        self.process = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it for a block, as a machine that hangs does."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    @contextmanager
    def behind(self, other: Node, *, seconds: float = 0.5) -> Iterator[None]:
        """Have it apply nothing of what is written on another from now on, for so long."""
        other.query("CREATE DATABASE IF NOT EXISTS lag")
        other.query("CREATE TABLE IF NOT EXISTS lag.held (number INT AUTO_INCREMENT PRIMARY KEY)")
        self.query("SET STATEMENT wsrep_sync_wait = 1 FOR SELECT 1")
        with closing(self.connect(seconds=PATIENCE_SECONDS)) as connection:
            cursor = connection.cursor()
            # Others' writes are applied one after the other, and the first of them waits for this.
            cursor.execute("LOCK TABLES lag.held READ")
            other.query("INSERT INTO lag.held VALUES ()")
            timer = threading.Timer(seconds, cursor.execute, ["UNLOCK TABLES"])
            timer.start()
            try:
                yield
            finally:
                timer.join()

    @contextmanager
    def not_applying(self) -> Iterator[None]:
        """Have it take what others write, and apply none of it, for a block."""
        with closing(self.connect(seconds=60)) as connection, connection.cursor() as cursor:
            # Desynchronised, or the others would wait for it before long.
            cursor.execute("SET GLOBAL wsrep_desync = ON")
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            try:
                yield
            finally:
                cursor.execute("UNLOCK TABLES")
                cursor.execute("SET GLOBAL wsrep_desync = OFF")


@dataclass
class Cluster:
    """Three nodes, and the port at which HAProxy leads to each in turn."""

    directory: Path
    nodes: list[Node] = field(default_factory=list)
    proxy_port: int = field(default_factory=free_port)
    proxy: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the servers' data once for all, and start the first, the others and HAProxy."""
        data = self.directory / "data"
        made = subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={data}",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            capture_output=True,
            text=True,
            user=user_of("mariadb"),
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        self._compile_shim()
        for number in range(NODES):
            home = self.directory / f"node{number}"
            home.mkdir()
            self.nodes.append(Node(number, home, tuple(free_port() for _ in range(4))))
        first, *others = self.nodes
        data.rename(first.directory / "data")
        _give(self.directory)
        # Its data say that they are a cluster's only once it has been one.
        self.start_node(first, "--wsrep-new-cluster", f"--init-file={self._init_file()}")
        first.end()
        for node in others:
            shutil.copytree(first.directory / "data", node.directory / "data")
            _give(node.directory)
        self.start_node(first, "--wsrep-new-cluster")
        for node in others:
            self.start_node(node, must_wait=False)
        for node in others:
            self.wait_for(node)
        self._start_proxy()

    def _init_file(self) -> Path:
        path = self.directory / "init.sql"
        path.write_text(
            "CREATE USER IF NOT EXISTS root@'127.0.0.1';\n"
            "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        return path

    def start_node(self, node: Node, *options: str, must_wait: bool = True) -> None:
        """Start a node, from where it was when it ended."""
        with (node.directory / "log").open("ab") as log:
            node.process = subprocess.Popen(
                [*self._command(node), *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user_of("mariadb"),
                env={**os.environ, "LD_PRELOAD": str(self.directory / "shim.so")},
            )
        if must_wait:
            self.wait_for(node)

    def rejoin(self, node: Node) -> None:
        """Start a node that was killed; it finds out first how much it has, as systemd's does."""
        log = node.log
        self.start_node(node, "--wsrep-recover", must_wait=False)
        assert node.process is not None
        node.process.wait()
        found = re.findall(r"Recovered position: (\S+)", node.log.removeprefix(log))
        self.start_node(node, f"--wsrep-start-position={found[-1]}")

    def wait_for(self, node: Node) -> None:
        """Wait until a node takes statements."""
        wait_until(lambda: node.status("ready") == "ON", f"node {node.number} is ready", node)

    def wait_until_same(self) -> None:
        """Wait until every node has applied what all have written."""
        for node in self.nodes:
            sql = "SET STATEMENT wsrep_sync_wait = 1 FOR SELECT 1"
            node.query(sql, seconds=PATIENCE_SECONDS)

    def bootstrap(self, node: Node) -> None:
        """Say that a node is the primary component, as who knows that no other is."""
        node.query("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")

    def url(self, database: str) -> str:
        """Return the URL of a database, by HAProxy."""
        return f"mysql://root@127.0.0.1:{self.proxy_port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """Give the name of an empty database."""
        name = f"sessions_{uuid4().hex[:12]}"
        self.nodes[0].query(f"CREATE DATABASE {name}")
        self.wait_until_same()
        try:
            yield name
        finally:
            self.nodes[0].query(f"DROP DATABASE {name}", seconds=PATIENCE_SECONDS)

    def stop(self) -> None:
        """End all of it at once."""
        if self.proxy is not None:
            self.proxy.kill()
            self.proxy.wait()
        for node in self.nodes:
            node.kill()

    def _command(self, node: Node) -> list[str]:
        home, (port, cluster, changes, whole) = node.directory, node.ports
        limits = [f"evs.{name}=PT{value}S" for name, value in map(_halves, _LIMITS.split(","))]
        options = (
            f"base_port={cluster}",
            f"gmcast.listen_addr=tcp://127.0.0.1:{cluster}",
            f"ist.recv_addr=127.0.0.1:{changes}",
            "gcache.size=32M",
            *limits,
        )
        peers = ",".join(f"127.0.0.1:{each.ports[1]}" for each in self.nodes)
        return [
            find_program("mariadbd", "mariadb-server"),
            "--no-defaults",
            f"--datadir={home / 'data'}",
            f"--port={port}",
            f"--socket={home / 'socket'}",
            f"--pid-file={home / 'pid'}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--performance-schema=OFF",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            # What a machine that fails has lost, the others have.
            "--innodb-flush-log-at-trx-commit=0",
            "--wsrep-on=ON",
            f"--wsrep-provider={PROVIDER}",
            "--wsrep-cluster-name=sessions",
            f"--wsrep-cluster-address=gcomm://{peers}",
            f"--wsrep-node-name=node{node.number}",
            "--wsrep-node-address=127.0.0.1",
            f"--wsrep-sst-receive-address=127.0.0.1:{whole}",
            "--wsrep-sst-method=rsync",
            "--wsrep-slave-threads=1",
            f"--wsrep-provider-options={';'.join(options)}",
        ]

    def _compile_shim(self) -> None:
        source, shim = self.directory / "shim.c", self.directory / "shim.so"
        source.write_text(_SHIM)
        compiler = find_program("cc", "build-essential")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source], check=True)

    def _start_proxy(self) -> None:
        servers = "\n".join(
            f"  server node{node.number} 127.0.0.1:{node.port} check inter 500ms fall 2 rise 1"
            for node in self.nodes
        )
        settings = self.directory / "haproxy.cfg"
        settings.write_text(
            "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 60s\n"
            "  timeout server 60s\n  option redispatch\n  retries 2\n"
            f"listen galera\n  bind 127.0.0.1:{self.proxy_port}\n  balance roundrobin\n"
            f"{servers}\n"
        )
        self.proxy = subprocess.Popen(
            [find_program("haproxy", "haproxy"), "-db", "-q", "-f", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def leads_on() -> bool:
            with suppress(pymysql.MySQLError, OSError):
                pymysql.connect(host="127.0.0.1", port=self.proxy_port, user="root").close()
                return True
            return False

        wait_until(leads_on, "HAProxy leads to a node")


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Give a cluster, started, and take it away again."""
    if not PROVIDER.exists():
        pytest.skip("Galera is not installed (Debian: galera-4)")
    find_program("rsync", "rsync")
    # A short path outside of pytest's: the servers run as another user, on sockets in it.
    # In memory where that is possible: tables are made twice as fast.
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="ws-", dir=place))
    cluster = Cluster(directory)
    try:
        _give(directory)
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


def wait_until(is_done: Callable[[], object], what: str, node: Node | None = None) -> None:
    """Wait until something outside of this process is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        if (node is not None and node.has_ended) or time.monotonic() > deadline:
            raise AssertionError(f"not in time: {what}\n{'' if node is None else node.log[-4000:]}")
        time.sleep(0.05)


def find_program(name: str, package: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return found


def _halves(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _give(path: Path) -> None:
    """Give a folder, and what is in it, to whom the servers run as."""
    user = user_of("mariadb")
    if user is not None:
        for each in [path, *path.rglob("*")]:
            shutil.chown(each, user)
