"""How many there are of what: counted by the database, so that no rows are read but the counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import peewee

from .connections import Connections
from .listings import LiveAt
from .models import Models
from .statements import Runner

_ROWS = peewee.fn.COUNT(peewee.SQL("*"))
_MAX_USER_AGENTS = 10_000
"""How many user agents are told apart; those that are rarer are counted together."""


class SessionCounts(NamedTuple):
    """``live_users`` have a live session. ``overdue``: over by a limit, and not yet marked so."""

    all: int
    live: int
    live_anonymous: int
    live_users: int
    overdue: int
    ended: int


class Statistics:
    def __init__(self, connections: Connections, models: Models) -> None:
        self._runner = Runner(connections)
        self._models = models

    def count_sessions(self, live: LiveAt) -> SessionCounts:
        session = self._models.session
        is_live = live.condition(session)
        query = session.select(
            _ROWS,
            _count_if(is_live),
            _count_if(is_live & session.user_id.is_null()),
            _count_if(session.ended_at.is_null() & ~is_live),
            _count_if(session.ended_at.is_null(False)),
        )
        users = session.select(peewee.fn.COUNT(session.user_id.distinct())).where(is_live)
        [(number, lives, anonymous, overdue, ended)] = self._read(query)
        [(user_count,)] = self._read(users)
        counts = (number, lives, anonymous, user_count, overdue, ended)
        return SessionCounts(*(int(count or 0) for count in counts))

    def count_rows(self) -> dict[str, int]:
        """Return how many rows each table has, by its name."""
        models = dict.fromkeys((self._models.user, *self._models.created_here))
        return {
            model._meta.table_name: int(self._read(model.select(_ROWS))[0][0]) for model in models
        }

    def count_by_age(
        self, of: str, bounds_ms: Sequence[int], live: LiveAt, *, now_ms: int
    ) -> list[int]:
        """Return how many live sessions are younger than each bound, but not than one before.

        ``of`` is the name of the instant that they are that old since: ``created_at``, say. The
        last number is of those that are older than all bounds.
        """
        session = self._models.session
        instant = session._meta.fields[of]
        cases = [(instant > now_ms - bound, number) for number, bound in enumerate(bounds_ms)]
        bucket = peewee.Case(None, cases, len(bounds_ms))
        query = session.select(bucket, _ROWS).where(live.condition(session))
        counts = [0] * (len(bounds_ms) + 1)
        for number, count in self._read(query.group_by(peewee.SQL("1"))):
            counts[int(number)] = int(count)
        return counts

    def count_by_user_agent(self, live: LiveAt) -> Mapping[str | None, int]:
        """Return how many live sessions each user agent has, of those that most have."""
        session = self._models.session
        query = (
            session.select(session.user_agent, _ROWS)
            .where(live.condition(session))
            .group_by(session.user_agent)
            .order_by(peewee.SQL("2 DESC"))
            .limit(_MAX_USER_AGENTS)
        )
        return {user_agent: int(count) for user_agent, count in self._read(query)}

    def count_by_reason(self, *, since_ms: int) -> Mapping[str, int]:
        """Return how many sessions ended for each reason since an instant."""
        session = self._models.session
        query = session.select(session.end_reason, _ROWS).where(session.ended_at >= since_ms)
        rows = self._read(query.group_by(session.end_reason))
        return {str(reason): int(count) for reason, count in rows}

    def count_created_before(self, instant_ms: int | None) -> tuple[int, int]:
        """Return how many sessions are not ended that began before an instant, and of how many."""
        session = self._models.session
        condition = session.ended_at.is_null()
        if instant_ms is not None:
            condition &= session.created_at < instant_ms
        query = session.select(_ROWS, peewee.fn.COUNT(session.user_id.distinct()))
        [(sessions, users)] = self._read(query.where(condition))
        return int(sessions), int(users)

    def _read(self, query: Any) -> list[tuple[Any, ...]]:
        return self._runner.read_rows(self._runner.compile(query))


def _count_if(condition: Any) -> Any:
    return peewee.fn.SUM(peewee.Case(None, [(condition, 1)], 0))
