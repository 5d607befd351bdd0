"""The revocation feed: which sessions have ended, for processes that hold cached copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peewee

from ..light_dataclasses import dataclass
from ..records import FeedPage
from .meta import DATABASE_SECRET
from .models import Models
from .server_clock import ServerClock
from .statements import Runner, batches, compiled_once, slot


@dataclass(eq=False)
class RevocationStore:
    """The rows of the feed.

    Readers look back for a short time only. So no row is older than the server's clock says,
    however far behind the clock of the process is that writes it.
    """

    _runner: Runner
    _models: Models
    _clock: ServerClock

    def find(self, since_ms: int) -> FeedPage:
        database_secret: str | None = None
        database_now_ms: int | None = None
        found = []
        rows = self._runner.read_rows(self._find, since=since_ms)
        for session_id, before_ms, at_ms, secret in rows:
            if secret is None:
                found.append((session_id, before_ms, at_ms))
            else:
                database_secret, database_now_ms = secret, at_ms
        return FeedPage(found, database_secret, database_now_ms)

    @compiled_once
    def _find(self) -> Any:
        feed, meta, nothing = self._models.revocation, self._models.meta, peewee.SQL("NULL")
        rows = feed.select(feed.session_id, feed.before, feed.created_at, nothing).where(
            feed.created_at >= slot("since")
        )
        terms = meta.select(nothing, nothing, self._clock.sql, meta.value).where(
            meta.name == DATABASE_SECRET
        )
        return rows.union_all(terms)

    def insert(self, session_id: str, *, now_ms: int) -> None:
        self._runner.write(self._insert, session_id=session_id, before=None, now=now_ms)

    def insert_for_all(self, *, now_ms: int) -> None:
        self._runner.write(self._insert, session_id=None, before=now_ms, now=now_ms)

    @compiled_once
    def _insert(self) -> Any:
        feed = self._models.revocation
        values = {
            feed.session_id: slot("session_id"),
            feed.before: slot("before"),
            feed.created_at: self._clock.at_least(slot("now")),
        }
        return feed.insert(values)

    def insert_many(self, session_ids: Sequence[str], *, now_ms: int) -> None:
        feed, now = self._models.revocation, self._clock.at_least(now_ms)
        for batch in batches(session_ids):
            rows = [(session_id, now) for session_id in batch]
            insert = feed.insert_many(rows, [feed.session_id, feed.created_at])
            self._runner.write(self._runner.compile(insert))

    def insert_selected(self, session_ids: Any, **values: Any) -> None:
        """Add a row for each session of a SELECT of one column; ``values`` fill its slots."""
        feed = self._models.revocation
        rows = session_ids.select_extend(self._clock.at_least(slot("now")))
        insert = feed.insert_from(rows, [feed.session_id, feed.created_at])
        self._runner.write(self._runner.compile(insert), **values)
