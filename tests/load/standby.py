"""A PostgreSQL server with a standby that replays what it writes, a moment later."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.servers import PATIENCE_SECONDS

from .own_servers import NAME, OwnServer, Relay, find_postgres, own_server, user_of


@dataclass
class Pair:
    """``way`` is how the standby gets what the primary writes."""

    primary: OwnServer
    standby: OwnServer
    way: Relay

    @property
    def url(self) -> str:
        """The URL of both, the primary first."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in (self.primary, self.standby))
        return f"postgresql://postgres@{hosts}/{NAME}"

    def wait_until_alike(self) -> None:
        """Wait until the standby has replayed all that the primary has written."""
        [(written,)] = self.primary.query("SELECT pg_current_wal_lsn()")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            [(is_there,)] = self.standby.query(f"SELECT pg_last_wal_replay_lsn() >= '{written}'")
            if is_there:
                return
            time.sleep(0.02)
        raise AssertionError(self.standby.log)

    def promote(self) -> None:
        """Make the standby a primary, with what it has."""
        [(is_promoted,)] = self.standby.query("SELECT pg_promote()")
        assert is_promoted, self.standby.log


@contextmanager
def replicated() -> Iterator[Pair]:
    """Give a primary with an empty database, and its standby, both started."""
    with own_server("postgres") as primary, closing(Relay(primary.port)) as way:
        primary.renew_database()
        directory = Path(tempfile.mkdtemp(prefix="ws-"))
        try:
            copy_of(way.port, directory)
            standby = OwnServer("postgres", directory)
            try:
                standby.start()
                yield Pair(primary, standby, way)
            finally:
                standby.kill()
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def copy_of(port: int, directory: Path) -> None:
    """Copy a running server into a folder, as its standby."""
    user = user_of("postgres")
    if user is not None:
        shutil.chown(directory, user)
    source = ["-h127.0.0.1", f"-p{port}", "-Upostgres"]
    options = ["-R", "-Xstream", "-cfast", "--no-sync", f"-D{directory / 'data'}"]
    made = subprocess.run(
        [find_postgres("pg_basebackup"), *source, *options],
        capture_output=True,
        text=True,
        user=user,
        check=False,
    )
    assert made.returncode == 0, made.stderr
