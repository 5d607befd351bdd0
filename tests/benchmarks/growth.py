"""What sessions cost as their table grows, from a thousand to ten million rows of SQLite."""

from __future__ import annotations

import random
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from tests.hot_paths.counting import serve
from tests.hot_paths.paths import OTHER_COOKIES
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.sessions.tokens import session_id_from
from wsgi_sessions_testing.factories import Factories

from .peers.ours import app
from .peers.site import EMAIL, SECRET, ask, environ_with
from .report import Plot, Result, Say, Series, Table

SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)
QUICK_SIZES = SIZES[:2]
SESSIONS_A_USER = 4
BYTES_A_SESSION = 900
"""What a session may take on the disk while its file is made."""
ACTIVE_SESSIONS = SIZES[0]
PURGED_SESSIONS = 50
WARM_UP_REQUESTS = 20_000
COUNT = "SELECT count(*), count(ended_at) FROM wsgi_sessions_session"
NOTE = (
    "A file for each size, rounds of the sizes interleaved. The random sessions are drawn from all "
    "of the table, so their pages are in the page cache of the operating system, and hardly ever "
    "in that of SQLite or of the processor; no disk is measured. A user has four sessions."
)

Prepare = Callable[[], Callable[[], object]]
"""Prepares some operations and returns what does them; only that is timed."""


def measure(*, is_quick: bool, say: Say) -> Result:
    sizes, skipped = fitting(QUICK_SIZES if is_quick else SIZES)
    taken: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        grown: dict[int, Grown] = {}
        for size in sizes:
            say(f"fills {size:,} sessions")
            grown[size] = stack.enter_context(closing(Grown(folder / f"{size}.db", size)))
            grown[size].validate_random(100 if is_quick else WARM_UP_REQUESTS)()
        rounds = 3 if is_quick else 25
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            for size, one in grown.items():
                for name, (count, prepare) in one.operations().items():
                    work = prepare()
                    began = time.perf_counter()
                    work()
                    spent_us = (time.perf_counter() - began) * 1e6
                    taken.setdefault((name, size), []).append(spent_us / count)
    return report(sizes, taken, skipped)


def fitting(sizes: tuple[int, ...]) -> tuple[list[int], list[str]]:
    """Return the sizes for which there is room on the disk, and what to say of the others."""
    fit: list[int] = []
    skipped: list[str] = []
    for size in sizes:
        needed = (sum(fit) + size) * BYTES_A_SESSION
        folder = tempfile.gettempdir()
        if needed < shutil.disk_usage(folder).free:
            fit.append(size)
        else:
            skipped.append(f"{size:,} sessions: free {needed / 1e9:.0f} GB in {folder}")
    return fit, skipped


def report(
    sizes: list[int], taken: dict[tuple[str, int], list[float]], skipped: list[str]
) -> Result:
    names = list(dict.fromkeys(name for name, _ in taken))
    medians = {key: statistics.median(values) for key, values in taken.items()}
    ratios = {
        name: statistics.median(
            large / small
            for small, large in zip(taken[name, sizes[0]], taken[name, sizes[-1]], strict=True)
        )
        for name in names
    }
    columns = ["µs", *(f"{size:,} sessions" for size in sizes), "last over first"]
    rows: list[list[Any]] = [
        [name, *(medians[name, size] for size in sizes), ratios[name]] for name in names
    ]
    lines = [Series(name, [(size, medians[name, size]) for size in sizes]) for name in names]
    plot = Plot("Growth", "sessions", "µs", lines, kind="lines", is_x_log=True, is_y_log=True)
    figures = {}
    if sizes[-1] == SIZES[-1]:
        figures = {
            "validate_ratio": ratios["validate, random sessions"],
            "validate_one_ratio": ratios["validate, one session"],
            "validate_active_ratio": ratios["validate, a thousand active sessions"],
        }
    return Result("growth", [Table("Growth", columns, rows, NOTE)], [plot], figures, skipped)


class Grown:
    """A database with so many live sessions, and what is done with it; it keeps its size."""

    def __init__(self, path: Path, count: int) -> None:
        self.count = count
        self.draw = random.Random(count)
        # Or the first request of a session would be a write.
        self.manager = SessionManager(f"sqlite:///{path}", secret=SECRET, touch_interval=86_400)
        self.app = SessionMiddleware(app, self.manager)
        live = Factories(self.manager).make_session(EMAIL, user_agent="Firefox on Linux").session
        assert live is not None
        found = self.manager.parts.store.sessions.find(live.id)
        assert found is not None
        self.live, self.branch = live, found[0].branch
        self.manager.close()
        self.rows = sqlite3.connect(path, isolation_level=None)
        self.rows.create_function("session_id", 1, session_id, deterministic=True)
        self.rows.create_function("user_id", 1, user_id, deterministic=True)
        self._fill()

    def close(self) -> None:
        self.manager.close()
        self.rows.close()

    def _fill(self) -> None:
        for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -1000000"):
            self.rows.execute(f"PRAGMA {pragma}")
        indexes = self.rows.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            self.rows.execute(f"DROP INDEX {name}")
        users = self.count // SESSIONS_A_USER
        self._copy(
            "user", self.live.user_id, users, id="user_id(n)", email="'ada' || n || '@example.org'"
        )
        self._copy(
            "session", self.live.id, self.count, id="session_id(n)", user_id=f"user_id(n % {users})"
        )
        self.last_row = self.rows.execute(
            "SELECT max(rowid) FROM wsgi_sessions_session"
        ).fetchone()[0]
        for _, sql in indexes:
            self.rows.execute(sql)
        for pragma in ("cache_size = -2000", "synchronous = normal", "journal_mode = wal"):
            self.rows.execute(f"PRAGMA {pragma}")

    def _copy(self, table: str, row_id: Any, count: int, **values: str) -> None:
        """Add copies of a row that the product has written, numbered from 0."""
        table = f"wsgi_sessions_{table}"
        columns = [row[1] for row in self.rows.execute(f"PRAGMA table_info({table})")]
        selected = ", ".join(values.get(column, f"row.{column}") for column in columns)
        self.rows.execute(
            f"""
            INSERT INTO {table} ({", ".join(columns)})
            WITH RECURSIVE number(n) AS
                (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < {count - 1})
            SELECT {selected} FROM number, (SELECT * FROM {table} WHERE id = ?) AS row
            """,
            (row_id,),
        )

    def operations(self) -> dict[str, tuple[int, Prepare]]:
        """Return how many operations of each kind a round has, and what prepares them."""
        return {
            "validate, one session": (200, lambda: self._validate([1] * 200)),
            "validate, a thousand active sessions": (200, lambda: self._validate_active(200)),
            "validate, random sessions": (200, lambda: self.validate_random(200)),
            "list a user's sessions": (20, lambda: self._of_users(20, self.manager.list_sessions)),
            "sign in": (10, lambda: self._of_users(10, self.manager.sign_in)),
            "revoke all of a user": (
                10,
                lambda: self._of_users(10, self.manager.revoke_all_sessions),
            ),
            "purge, a session": (PURGED_SESSIONS, self._purge),
        }

    def validate_random(self, count: int) -> Callable[[], object]:
        return self._validate([self.draw.randrange(self.count) for _ in range(count)])

    def _validate_active(self, count: int) -> Callable[[], object]:
        """Ask for sessions of the thousand that are in use, spread over the table."""
        apart = self.count // ACTIVE_SESSIONS
        return self._validate([self.draw.randrange(ACTIVE_SESSIONS) * apart for _ in range(count)])

    def _validate(self, numbers: list[int]) -> Callable[[], object]:
        write = self.manager.parts.creation.signer.write
        environs = [
            environ_with(
                f"{OTHER_COOKIES}; __Host-session_token={write(secret(number), 0, self.branch)}"
            )
            for number in numbers
        ]
        assert ask(self.app, environs[0]["HTTP_COOKIE"])[0].endswith(EMAIL.partition("@")[2])

        def validate() -> None:
            for environ in environs:
                serve(self.app, environ)

        return validate

    def _of_users(self, count: int, do: Callable[[str], object]) -> Callable[[], object]:
        self.restore()
        users = self.count // SESSIONS_A_USER
        ids = [user_id(self.draw.randrange(users)) for _ in range(count)]
        return lambda: [do(one) for one in ids]

    def restore(self) -> None:
        """Take back what the last operations have changed."""
        for sql in (
            "DELETE FROM wsgi_sessions_revocation",
            "UPDATE wsgi_sessions_session SET ended_at = NULL WHERE ended_at IS NOT NULL",
            f"DELETE FROM wsgi_sessions_session WHERE rowid > {self.last_row}",
        ):
            self.rows.execute(sql)

    def _purge(self) -> Callable[[], object]:
        self.restore()
        self._copy(
            "session", self.live.id, PURGED_SESSIONS, id="session_id(-1 - n)", expires_at="n"
        )
        return partial(self.manager.purge, batch_rows=PURGED_SESSIONS)


def secret(number: int) -> bytes:
    return b"session" + number.to_bytes(17, "big", signed=True)


def session_id(number: int) -> str:
    return session_id_from(secret(number))


def user_id(number: int) -> str:
    return session_id_from(b"user" + number.to_bytes(20, "big"))
