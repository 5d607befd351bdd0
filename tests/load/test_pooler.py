"""Behind a pooler that sends each transaction over whichever of its connections is free."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.contract.databases import POSTGRES, fresh_server_database
from tests.scenarios.servers import PATIENCE_SECONDS, free_port
from tests.support import in_parallel
from wsgi_sessions import SessionManager
from wsgi_sessions_testing import CHEAP_PASSWORDS

CONNECTIONS = 3
CLIENTS = 2
PEOPLE = 12


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A database behind PgBouncer, which knows nothing of prepared statements.

    So it is up to release 1.20, and later where it is told so.
    """
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed (Debian: pgbouncer)")
    server = urlsplit(POSTGRES)
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(free_port()),
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": str(CONNECTIONS),
        # The one that has rested longest is next: statements change their connection often.
        "server_round_robin": "1",
    }
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    if tuple(map(int, version.stdout.split()[1].split(".")[:2])) >= (1, 21):
        settings["max_prepared_statements"] = "0"
    target = f"host={server.hostname} port={server.port or 5432} user={server.username}"
    if server.password:
        target += f" password={server.password}"
    file = tmp_path / "pgbouncer.ini"
    lines = [f"{name} = {value}" for name, value in settings.items()]
    file.write_text("\n".join(["[databases]", f"* = {target}", "[pgbouncer]", *lines, ""]))
    # It refuses to run as root, and reads its file again as who it runs as.
    command = [program, *(["-u", "nobody"] if os.geteuid() == 0 else []), str(file)]
    with fresh_server_database("postgres") as direct:
        netloc = f"{server.username}@127.0.0.1:{settings['listen_port']}"
        pooled = urlunsplit(urlsplit(direct)._replace(netloc=netloc))
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until_it_answers(pooled, process, tmp_path / "log")
            yield pooled
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.Error:
            has_time = process.poll() is None and time.monotonic() < until
            assert has_time, log.read_text()
            time.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("option", ["", "?prepare_threshold=none"])
def test_sessions_are_read_and_written_over_any_of_its_connections(url: str, option: str) -> None:
    def use(number: int, managers: list[Any]) -> None:
        for person in range(PEOPLE):
            manager, other = managers[person % 2], managers[1 - person % 2]
            made = manager.sign_up_email(
                name="Ada", email=f"a{number}.{person}@example.org", password="correct horse"
            )
            for reader in managers:
                session, user = reader.parts.store.sessions.find(made.session.id)
                assert (session.id, user.id) == (made.session.id, made.user.id)
                assert reader.parts.store.users.find(made.user.id).email == made.user.email
            assert other.revoke_session(made.session.id)
            assert not manager.is_live(made.session.id)

    with ExitStack() as stack:
        managers: list[Any] = [
            stack.enter_context(
                closing(
                    SessionManager(
                        url + option, secret="x0123456789abcdef" * 2, password=CHEAP_PASSWORDS
                    )
                )
            )
            for _ in range(CLIENTS)
        ]
        managers[0].create_tables()
        in_parallel(lambda number: use(number, managers), 4)
