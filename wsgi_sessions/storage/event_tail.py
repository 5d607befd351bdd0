"""Reads what is new in the event table, each event once, in whatever order it is committed.

A row is committed at most ``late_ms`` after the instant that it says, by whatever clock, and ids
don't follow the order of commits: as in the revocation feed. So all that is so young is counted,
and where the count differs from what is known, and from time to time, the ids are compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import peewee

from ..events import SessionEvent
from .connections import Connections
from .event_rows import Wanted, to_event
from .models import Models
from .server_clock import ServerClock
from .statements import Runner, Statement, batches, compiled_once, slot
from .user_columns import UserColumns

MAX_ROWS = 1000
"""So many events one reading gives at most; the next goes on from there."""
_COMPARE_MS = 10_000
"""How often ids are compared, whatever the count is: a row may be deleted as another comes."""

_Mark = tuple[int, int]
"""The instant and the id of an event; a database that has lost its last rows repeats ids."""


class EventTail:
    """What comes from now on, and before it what there is since ``since_ms``, if that is given.

    An error of the database changes nothing: the next reading goes on where the last one was.
    """

    def __init__(
        self,
        connections: Connections,
        models: Models,
        clock: ServerClock,
        *,
        wanted: Wanted,
        late_ms: int,
        since_ms: int | None = None,
    ) -> None:
        self._runner = Runner(connections)
        self._models = models
        self._users = UserColumns(models, connections.dialect)
        self._clock = clock
        self._wanted = wanted
        self._late_ms = late_ms
        self._since_ms = since_ms
        self._seen: set[_Mark] = set()
        self._last_id = 0
        self._absent_count = 0
        """How many of those seen are there no more."""
        self._from_ms: int | None = None
        """From this instant on rows may still come; None before the first reading."""
        self._compared_at_ms = 0
        self._last_shown: _Mark | None = None
        """Of what was there at the start, while that is read page by page."""

    def read(self) -> tuple[list[SessionEvent], bool]:
        """Return what is new, the oldest first, and whether that is all for now.

        Raises ``StoreUnavailableError``.
        """
        now_ms = self._clock.now_ms()
        if self._from_ms is None:
            self._begin(now_ms)
        if self._since_ms is not None:
            return self._read_earlier()
        assert self._from_ms is not None
        rows = self._rows(self._newer, since=self._from_ms, id=self._last_id)
        found = [self._to_event(row) for row in rows]
        is_all = len(found) < MAX_ROWS
        if is_all:
            found += self._late(now_ms, self._seen | {*map(_mark_of, found)})
        self._note(found)
        if is_all:
            # Never back: what was forgotten would be new again.
            self._from_ms = from_ms = max(self._from_ms, now_ms - self._late_ms)
            self._seen = {mark for mark in self._seen if mark[0] >= from_ms}
        return sorted(found, key=_mark_of), is_all

    def _begin(self, now_ms: int) -> None:
        """Take what was there before for known, so far as it could be taken for new."""
        from_ms = now_ms - self._late_ms
        there = self._marks(from_ms)
        if self._since_ms is not None:
            there = {mark for mark in there if mark[0] < self._since_ms}
        self._seen, self._from_ms = there, from_ms
        self._last_id = max((row_id for _, row_id in there), default=0)
        self._compared_at_ms = now_ms

    def _read_earlier(self) -> tuple[list[SessionEvent], bool]:
        at_ms, row_id = self._last_shown or (self._since_ms, 0)
        rows = self._rows(self._page, since=at_ms, id=row_id)
        found = [self._to_event(row) for row in rows]
        self._note(found)
        if found:
            self._last_shown = _mark_of(found[-1])
        if len(found) < MAX_ROWS:
            self._since_ms = None
        return found, False

    def _late(self, now_ms: int, seen: set[_Mark]) -> list[SessionEvent]:
        """Return events that have come with a lower id than some that were read before."""
        assert self._from_ms is not None
        [(count,)] = self._rows(self._count, since=self._from_ms)
        known = len(seen) - self._absent_count
        if count == known and 0 <= now_ms - self._compared_at_ms < _COMPARE_MS:
            return []
        there = self._marks(self._from_ms)
        unseen = sorted(there - seen)
        found: list[SessionEvent] = []
        for batch in batches([row_id for _, row_id in unseen]):
            query = self._selected().where(self._models.event.id.in_(batch))
            found += map(self._to_event, self._rows(self._runner.compile(query)))
        self._absent_count = len(seen - there)
        self._compared_at_ms = now_ms
        return found

    def _note(self, events: Iterable[SessionEvent]) -> None:
        for mark in map(_mark_of, events):
            # What is older is never asked for again.
            if mark[0] >= (self._from_ms or 0):
                self._seen.add(mark)
            self._last_id = max(self._last_id, mark[1])

    # Statements

    def _rows(self, statement: Statement, **values: Any) -> list[tuple[Any, ...]]:
        user = self._wanted.key(self._users)
        return self._runner.read_rows(statement, user_id=user, **values)

    def _to_event(self, row: tuple[Any, ...]) -> SessionEvent:
        return to_event(row, self._models, self._users)

    def _marks(self, since_ms: int) -> set[_Mark]:
        return {(at_ms, row_id) for at_ms, row_id in self._rows(self._ids, since=since_ms)}

    def _selected(self, *columns: Any) -> Any:
        event = self._models.event
        query = event.select(*(columns or event._meta.sorted_fields))
        return self._wanted.among(query, event, self._users)

    @compiled_once
    def _newer(self) -> Any:
        event = self._models.event
        is_newer = (event.id > slot("id")) & (event.at >= slot("since"))
        return self._selected().where(is_newer).order_by(event.id).limit(MAX_ROWS)

    @compiled_once
    def _page(self) -> Any:
        event, since = self._models.event, slot("since")
        is_after = (event.at > since) | ((event.at == since) & (event.id > slot("id")))
        return self._selected().where(is_after).order_by(event.at, event.id).limit(MAX_ROWS)

    @compiled_once
    def _count(self) -> Any:
        count = peewee.fn.COUNT(peewee.SQL("*"))
        return self._selected(count).where(self._models.event.at >= slot("since"))

    @compiled_once
    def _ids(self) -> Any:
        event = self._models.event
        return self._selected(event.at, event.id).where(event.at >= slot("since"))


def _mark_of(event: SessionEvent) -> _Mark:
    assert event.id is not None
    return event.at_ms, event.id
