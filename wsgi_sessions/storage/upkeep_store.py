"""Every SQL statement about the feed, the attempts and ``meta``, and those that clean up.

Must not know when that is, nor what a cached copy is: it is told instants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peewee

from ..clock import Clock, SystemClock
from ..records import FeedPage
from .account_store import AccountStore
from .connections import Connections
from .models import Models
from .statements import Statement, compile_query, slot

__all__ = ["UpkeepStore"]

_SECRET_NAME = "database_secret"  # noqa: S105  the name of one


class UpkeepStore(AccountStore):
    """Feed, attempts, ``meta`` and clean-up beside users and accounts; ``Store`` adds sessions."""

    def __init__(
        self, connections: Connections, models: Models, clock: Clock | None = None
    ) -> None:
        super().__init__(connections, models)
        self._clock = clock
        # A clock that was given to the manager counts as the database's.
        self._is_clock_shared = connections.is_sqlite or not isinstance(clock, SystemClock)
        self._compile_upkeep_statements()

    # Feed

    def find_revocations(self, since_ms: int) -> FeedPage:
        """Return the feed's rows since an instant, and the database's secret and clock."""
        statement = self._find_feed
        rows = self._connections.read_rows(statement.sql, statement.fill({"since": since_ms}))
        database_secret: str | None = None
        database_now_ms: int | None = None
        found = []
        for session_id, before_ms, at_ms, secret in rows:
            if secret is None:
                found.append((session_id, before_ms, at_ms))
            else:
                database_secret, database_now_ms = secret, at_ms
        return FeedPage(found, database_secret, database_now_ms)

    def read_clock(self) -> int | None:
        """Return what the server's clock says, epoch milliseconds UTC; None on SQLite."""
        row = self._connections.read_row(self._read_clock_sql, ())
        return None if row is None else row[0]

    def make_database_secret(self, secret: str) -> str:
        """Keep a secret for the key of cached copies unless there is one; return what is kept."""
        return self.write_meta_once(_SECRET_NAME, secret)

    def renew_database_secret(self, secret: str) -> None:
        """Replace the secret: every cached copy that was made with the one before is void."""
        self.replace_meta(_SECRET_NAME, secret)

    def insert_revocation(
        self, session_id: str | None, *, before_ms: int | None = None, now_ms: int
    ) -> None:
        """Add a row: this session has ended, or every one that is older than an instant.

        Readers look back for a short time only. So it is never older than the server's clock
        says, however far this process's is behind.
        """
        self._write(self._feed, {"session_id": session_id, "before": before_ms, "now": now_ms})

    def feed_instant(self, now: Any) -> Any:
        """Return what to write as the instant of a row of the feed: now, or the server's now."""
        return now if self._is_clock_shared else peewee.fn.GREATEST(now, self._now())

    # Attempts

    @property
    def is_within_app_transaction(self) -> bool:
        """Whether what is written now is undone if the application's transaction is."""
        return self._connections.is_within_app_transaction

    def insert_attempt(self, key: str, now_ms: int) -> None:
        """Note a try at a password."""
        self._write(self._insert_attempt, {"key": key, "now": now_ms})

    def count_attempts(self, key: str, since_ms: int, *, until_ms: int) -> tuple[int, int | None]:
        """Return how many tries came after an instant and up to another, and when the first."""
        statement = self._count_attempts
        row = self._connections.read_row(
            statement.sql, statement.fill({"key": key, "since": since_ms, "until": until_ms})
        )
        return (0, None) if row is None else (int(row[0]), row[1])

    # What the database keeps for all processes

    def read_meta(self, name: str) -> str | None:
        """Return the value kept under a name of the table ``meta``, or None: one SELECT."""
        row = self._connections.read_row(self._read_meta_sql, (name,))
        return None if row is None else str(row[0])

    def write_meta_once(self, name: str, value: str) -> str:
        """Keep a value under a name unless there is one; return what is kept there.

        However many processes do it at once, all are told the same value. Within the
        application's transaction it is undone with that. At most 512 characters.
        """
        stored = self.read_meta(name)
        if stored is not None:
            return stored

        def write() -> str:
            self._write(self._insert_meta, {"name": name, "value": value})
            # Locked: within a transaction MariaDB could show what was there before the insert.
            row = self._connections.read_row(self._lock_meta_sql, (name,))
            return value if row is None else str(row[0])

        return self._connections.atomically(write)

    def replace_meta(self, name: str, value: str) -> None:
        """Keep a value under a name, whatever was there; at most 512 characters."""
        self._write(self._replace_meta, {"name": name, "value": value})

    # Clean-up

    def purge(
        self,
        now_ms: int,
        *,
        keep_ended_ms: int,
        feed_age_ms: int,
        attempt_age_ms: int,
        batch_rows: int = 500,
    ) -> int:
        """Delete at most a batch of rows of each kind that has had its time; 0 means done."""
        return sum(
            self._delete_batch(select_sql, delete_sql, limit_ms, batch_rows)
            for select_sql, delete_sql, limit_ms in (
                (self._old_ended, self._delete_sessions, now_ms - keep_ended_ms),
                (self._old_expired, self._delete_sessions, now_ms - keep_ended_ms),
                (self._old_feed, self._delete_feed, now_ms - feed_age_ms),
                (self._old_attempts, self._delete_attempts, now_ms - attempt_age_ms),
            )
        )

    def _delete_batch(
        self, select: Statement, delete: Callable[[list[Any]], Any], limit_ms: int, rows: int
    ) -> int:
        found = self._connections.read_rows(
            select.sql, select.fill({"limit": limit_ms, "rows": rows})
        )
        if not found:
            return 0
        statement = compile_query(delete([row[0] for row in found]))
        return self._connections.write(statement.sql, statement.fill({}))

    def _now(self) -> peewee.SQL:
        """Return SQL for the server's clock, in epoch milliseconds UTC; NULL on SQLite.

        Of the statement, not of the transaction, which may be an old one of the application's.
        """
        if self._connections.is_sqlite:
            return peewee.SQL("NULL")
        if self._connections.is_mysql:
            # By way of UTC: a time in the server's zone is ambiguous for an hour each year.
            return peewee.SQL("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000")
        return peewee.SQL("CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint)")

    def _compile_upkeep_statements(self) -> None:
        models = self._models
        session, feed, attempt = models.session, models.revocation, models.attempt
        self._feed = compile_query(
            feed.insert(
                {
                    feed.session_id: slot("session_id"),
                    feed.before: slot("before"),
                    feed.created_at: self.feed_instant(slot("now")),
                }
            )
        )
        nothing = peewee.SQL("NULL")
        meta = models.meta
        rows = feed.select(feed.session_id, feed.before, feed.created_at, nothing).where(
            feed.created_at >= slot("since")
        )
        terms = meta.select(nothing, nothing, self._now(), meta.value).where(
            meta.name == _SECRET_NAME
        )
        self._find_feed = compile_query(rows.union_all(terms))
        self._read_clock_sql = f"SELECT {self._now().sql}"

        self._insert_attempt = compile_query(
            attempt.insert({attempt.key: slot("key"), attempt.created_at: slot("now")})
        )
        self._count_attempts = compile_query(
            attempt.select(peewee.fn.COUNT(attempt.id), peewee.fn.MIN(attempt.created_at)).where(
                (attempt.key == slot("key"))
                & (attempt.created_at > slot("since"))
                & (attempt.created_at <= slot("until"))
            )
        )

        kept = {meta.name: slot("name"), meta.value: slot("value")}
        value = meta.select(meta.value).where(meta.name == slot("name"))
        self._read_meta_sql = compile_query(value).sql
        self._lock_meta_sql = compile_query(self.for_update(value)).sql
        self._insert_meta = compile_query(meta.insert(kept).on_conflict_ignore())
        # MySQL takes no name of the key that is there already.
        target = {} if self._connections.is_mysql else {"conflict_target": [meta.name]}
        self._replace_meta = compile_query(
            meta.insert(kept).on_conflict(preserve=[meta.value], **target)
        )

        def old(model: Any, instant: Any) -> Statement:
            return compile_query(
                model.select(model.id)
                .where(instant <= slot("limit"))
                .order_by(instant)
                .limit(slot("rows"))
            )

        # The same edge as has_passed: the very instant counts as over.
        self._old_ended = old(session, session.ended_at)
        self._old_expired = old(session, session.expires_at)
        self._old_feed = old(feed, feed.created_at)
        self._old_attempts = old(attempt, attempt.created_at)
        self._delete_sessions = lambda ids: session.delete().where(session.id.in_(ids))
        self._delete_feed = lambda ids: feed.delete().where(feed.id.in_(ids))
        self._delete_attempts = lambda ids: attempt.delete().where(attempt.id.in_(ids))
