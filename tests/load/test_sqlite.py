"""One SQLite file in trouble: locked by others, deleted, or replaced under the workers."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.servers import Server, Visitor, fresh_database, serving
from tests.support import in_parallel

from .visitors import PATIENCE_SECONDS, SETTINGS, SLACK_SECONDS, Load, check, tell

WORKERS = 3
CHECK_SECONDS = 10
"""How long workers may take to find out that their file is gone."""


@contextmanager
def held_by_a_writer(path: Path) -> Iterator[None]:
    """Keep the file locked by somebody who writes and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 20000")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("kind", ["sync", "gthread", "uwsgi"])
def test_readers_do_not_wait_for_a_writer_who_does_not_end(kind: str, tmp_path: Path) -> None:
    with (
        fresh_database("sqlite", tmp_path) as database,
        serving(kind, database, tmp_path, workers=WORKERS, settings=SETTINGS) as server,
        Load(server) as load,
    ):
        load.wait_until_served()
        with held_by_a_writer(tmp_path / "scenario.db"):
            time.sleep(0.5)
            began = time.monotonic()
            newcomer = server.visitor().sign_up("late@example.org")
            seconds = time.monotonic() - began
        load.wait_until_served()
        afterwards = server.visitor().sign_up("late@example.org")

    # Every request had something to touch, and a touch waits for nobody.
    assert {one.what for one in load.seen} == {"served"}
    check(load)
    assert tell(newcomer, None) == "away"
    assert seconds < PATIENCE_SECONDS + SLACK_SECONDS
    assert afterwards.status == 200


def delete(path: Path, _: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)


def replace(path: Path, copy: Path) -> None:
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    copy.replace(path)


@pytest.mark.parametrize("change", [delete, replace])
@pytest.mark.parametrize("kind", ["sync", "gthread", "uwsgi"])
def test_workers_agree_when_their_file_is_taken_away(
    kind: str, change: Any, tmp_path: Path
) -> None:
    path, copy = tmp_path / "scenario.db", tmp_path / "copy.db"
    with (
        fresh_database("sqlite", tmp_path) as database,
        serving(kind, database, tmp_path, workers=WORKERS) as server,
    ):
        old, other = server.visitor(), server.visitor()
        assert old.sign_up("old@example.org").status == 200
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        assert other.sign_up("after-the-copy@example.org").status == 200
        assert ask_all(server, old) == {"old@example.org"}
        assert ask_all(server, other) == {"after-the-copy@example.org"}

        server.use_every_worker()
        change(path, copy)

        wait_until_agreed(server, [old, other])
        newcomer = server.visitor()
        status = newcomer.sign_up("new@example.org").status
        assert status in (200, 503)
        seen = [ask_all(server, visitor) for visitor in (old, other)]
        if status == 503:
            assert seen == [{"away"}] * 2, "away for all"
        else:
            kept = {"old@example.org"} if change is replace else {None}
            assert seen == [kept, {None}], "one database for all"
            assert ask_all(server, newcomer) == {"new@example.org"}


def ask_all(server: Server, visitor: Visitor) -> set[Any]:
    """Ask so often that most likely every worker answers; return what they say."""

    def ask(_: int) -> Any:
        answer = Visitor(server.port, visitor.cookies).get("/me?bare")
        return answer.json["user"] if answer.status == 200 else tell(answer, None)

    return set(in_parallel(ask, 8 * WORKERS))


def wait_until_agreed(server: Server, visitors: list[Visitor]) -> None:
    deadline = time.monotonic() + CHECK_SECONDS
    while time.monotonic() < deadline:
        if all(len(ask_all(server, visitor)) == 1 for visitor in visitors):
            return
