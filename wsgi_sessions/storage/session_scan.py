"""Reads what a forecast needs of all live sessions, a batch at a time, by the primary key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import peewee

from .connections import Connections, Row
from .models import Models
from .sessions import SessionColumns
from .statements import Runner, slot
from .user_columns import UserColumns

BATCH_ROWS = 10_000


class SessionScan:
    """Each batch is a statement of its own: nobody who writes meanwhile is held up."""

    def __init__(self, connections: Connections, models: Models) -> None:
        self._runner = Runner(connections)
        self._columns = SessionColumns(models.session, UserColumns(models, connections.dialect))

    def count(self, *, now_ms: int) -> int:
        """Return about how many rows there will be."""
        query = self._columns.session.select(peewee.fn.COUNT(peewee.SQL("*")))
        row = self._runner.read_row(
            self._runner.compile(query.where(self._is_live)), now=now_ms, after=""
        )
        return 0 if row is None else int(row[0])

    def read(self, *, now_ms: int, batch_rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
        """Yield the sessions that are neither ended nor expired, by id, each as a row.

        Its id, its user's, when it was authenticated, last seen, and expires, and the addresses
        that it began and was last used at.
        """
        session = self._columns.session
        is_touched = session.last_ip_address.is_null(False) | session.last_user_agent.is_null(False)
        used_from = peewee.Case(None, [(is_touched, session.last_ip_address)], session.ip_address)
        query = session.select(
            session.id,
            session.user_id,
            session.authenticated_at,
            session.last_seen_at,
            session.expires_at,
            session.ip_address,
            used_from,
        )
        query = query.where(self._is_live).order_by(session.id).limit(batch_rows)
        statement = self._runner.compile(query)
        after = ""
        while True:
            rows = self._runner.read_rows(statement, now=now_ms, after=after)
            if rows:
                yield rows
            if len(rows) < batch_rows:
                return
            after = rows[-1][0]

    @property
    def _is_live(self) -> Any:
        columns = self._columns
        is_live = columns.is_live & columns.expires_after(slot("now"))
        return (columns.session.id > slot("after")) & is_live
