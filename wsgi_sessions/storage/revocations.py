"""The revocation feed: which sessions have ended, for processes that hold cached copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peewee

from ..light_dataclasses import dataclass
from ..records import FeedPage, FeedRow
from .meta import DATABASE_SECRET
from .models import Models
from .server_clock import ServerClock
from .statements import Runner, batches, compiled_once, slot

_FOREVER_MS = 2**62
_NO_LIMIT = 2**31 - 1


@dataclass(eq=False)
class RevocationStore:
    """The rows of the feed.

    Readers look back for a short time only. So no row is older than the server's clock says,
    however far behind the clock of the process is that writes it.
    """

    _runner: Runner
    _models: Models
    _clock: ServerClock

    def find(
        self,
        since_ms: int,
        *,
        until_ms: int = _FOREVER_MS,
        limit: int = _NO_LIMIT,
        anew: bool = False,
    ) -> FeedPage:
        """Return rows written since an instant and before another, the oldest first.

        Those that are counted are all since the first instant. ``anew``: as the feed is, where
        servers lag.
        """
        return self._page(self._find, anew=anew, since=since_ms, until=until_ms, limit=limit)

    @compiled_once
    def _find(self) -> Any:
        feed = self._models.revocation
        is_asked_for = (feed.created_at >= slot("since")) & (feed.created_at < slot("until"))
        return self._with_terms(is_asked_for, feed.created_at, feed.id)

    def find_newer(self, row_id: int, *, since_ms: int, limit: int, anew: bool = False) -> FeedPage:
        """Return the row of an id, if it is there, and those of higher ids in their order.

        Only what was written since an instant, and all of that is counted.
        """
        return self._page(self._find_newer, anew=anew, row_id=row_id, since=since_ms, limit=limit)

    @compiled_once
    def _find_newer(self) -> Any:
        feed = self._models.revocation
        is_asked_for = (feed.id >= slot("row_id")) & (feed.created_at >= slot("since"))
        return self._with_terms(is_asked_for, feed.id)

    def _with_terms(self, condition: Any, *order: Any) -> Any:
        """Return a SELECT of rows, and of what concerns them all: one snapshot for both."""
        feed, meta, nothing = self._models.revocation, self._models.meta, peewee.SQL("NULL")
        columns = [feed.session_id, feed.before, feed.created_at, feed.id]
        found = feed.select(*columns).where(condition).order_by(*order).limit(slot("limit"))
        found = found.alias("found")
        rows = peewee.Select([found], [found.c[each.column_name] for each in columns] + [nothing])
        count = feed.select(peewee.fn.COUNT(peewee.SQL("*")))
        count = count.where(feed.created_at >= slot("since"))
        terms = meta.select(nothing, self._clock.sql, count, nothing, meta.value).where(
            meta.name == DATABASE_SECRET
        )
        return rows.union_all(terms)

    def _page(self, statement: Any, *, anew: bool, **values: Any) -> FeedPage:
        found: list[FeedRow] = []
        terms: tuple[Any, Any, Any] = (None, None, None)
        read = self._runner.read_rows_anew if anew else self._runner.read_rows
        rows = read(statement, **values)
        for first, second, third, row_id, secret in rows:
            if secret is None:
                found.append((first, second, third, row_id))
            else:
                terms = third, secret, second
        return FeedPage(found, *terms)

    def count_by_time(self, since_ms: int, *, width_ms: int) -> dict[int, int]:
        """Return how many rows were written in each span of a length, by its first instant."""
        rows = self._runner.read_rows(self._count_by_time, since=since_ms, width=width_ms)
        return {int(start_ms): count for start_ms, count in rows}

    @compiled_once
    def _count_by_time(self) -> Any:
        feed, modulo = self._models.revocation, self._runner.dialect.modulo
        start = feed.created_at - modulo(feed.created_at, slot("width"))
        counted = feed.select(start, peewee.fn.COUNT(peewee.SQL("*")))
        return counted.where(feed.created_at >= slot("since")).group_by(peewee.SQL("1"))

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
