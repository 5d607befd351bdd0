"""Every SQL statement that ends sessions: one that was judged, some by id, or all of a user's.

Must not decide which. Many are ended by one statement, and what tells of them is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import peewee

from ..clock import Clock
from ..errors import StoreUnavailableError
from ..records import EndReason, SessionRecord
from .connections import Connections
from .models import Models
from .statements import Statement, compile_query, slot
from .upkeep_store import UpkeepStore

__all__ = ["MAX_LISTED", "EndedSessions", "EndingStore"]

MAX_LISTED = 1000
"""No list of sessions has more rows."""
_BATCH = 200
"""Rows of one INSERT, ids of one IN."""


class EndedSessions(NamedTuple):
    """Sessions that ended together: the ids of at most ``MAX_LISTED`` of them, and how many."""

    session_ids: tuple[str, ...] = ()
    number: int = 0


class EndingStore(UpkeepStore):
    """The ends of sessions beside feed, users and accounts; ``Store`` adds all else."""

    def __init__(
        self, connections: Connections, models: Models, clock: Clock | None = None
    ) -> None:
        super().__init__(connections, models, clock)
        self._compile_ending_statements()

    def end_session(
        self,
        session_id: str,
        *,
        reason: EndReason,
        now_ms: int,
        judged: SessionRecord | None = None,
        with_feed: bool = True,
    ) -> bool:
        """End a live session; tell whether this call did it.

        With ``judged``, only if it still is what was judged. The feed's row is written in the
        same transaction; without it nothing tells cached copies.
        """
        values: dict[str, Any] = {"id": session_id, "reason": reason.value, "now": now_ms}
        statement = self._end
        if judged is not None:
            statement = self._end_judged
            values.update(self.judged_values(judged))

        def end() -> bool:
            if self._write(statement, values) == 0:
                return False
            if with_feed:
                self.insert_revocation(session_id, now_ms=now_ms)
            return True

        try:
            return (
                self.atomically(end) if with_feed else self._write_compared(statement, values) > 0
            )
        except StoreUnavailableError as error:
            if judged is None or not self._was_overtaken(error):
                raise
            return False

    def end_listed(
        self, session_ids: Sequence[str], *, reason: EndReason, now_ms: int
    ) -> tuple[str, ...]:
        """End those of some sessions that are live; return their ids."""
        if len(session_ids) == 1:
            is_ended = self.end_session(session_ids[0], reason=reason, now_ms=now_ms)
            return tuple(session_ids) if is_ended else ()
        values = {"reason": reason.value, "now": now_ms}
        session = self._models.session

        def end() -> tuple[str, ...]:
            ended: list[str] = []
            for batch in _batches(session_ids):
                listed = session.id.in_(batch)
                update = session.update(self._ending).where(listed & self._is_live)
                if self._write(compile_query(update), values) == len(batch):
                    ended += batch
                    continue
                # Others were faster with some.
                ours = listed & self._is_ended_by_us
                ended += self._read_ids(
                    compile_query(session.select(session.id).where(ours)), values
                )
            self._insert_revocations(ended, now_ms=now_ms)
            return tuple(ended)

        return self.atomically(end)

    def end_user_sessions(
        self,
        user_id: Any,
        *,
        reason: EndReason,
        now_ms: int,
        skew_ms: int,
        except_id: str | None = None,
    ) -> EndedSessions:
        """End all live sessions of a user, but one if it is named.

        One that expired less than ``skew_ms`` ago is ended too: a worker whose clock is behind
        could still refresh it.
        """

        def end() -> EndedSessions:
            # Locked, or a sign-in under way could slip in between the list and the ends.
            self.lock_user(user_id)
            kept = [] if except_id is None else [except_id]
            return self.end_all_but(
                user_id, kept, reason=reason, since_ms=now_ms - skew_ms, now_ms=now_ms
            )

        return self.atomically(end)

    def end_all_but(
        self,
        user_id: Any,
        kept: Sequence[str],
        *,
        reason: EndReason,
        since_ms: int,
        now_ms: int,
    ) -> EndedSessions:
        """End the sessions of a locked user that expire after an instant, but for some.

        Four statements, however many there are.
        """
        session = self._models.session
        values = {
            "user_id": self.key_or_null(user_id),
            "since": since_ms,
            "reason": reason.value,
            "now": now_ms,
        }
        since: Any = slot("since")
        if not self._is_clock_shared:
            # What only a clock that is ahead calls expired lives on for everybody else.
            since = peewee.fn.LEAST(since, self._now() - (now_ms - since_ms))
        # Written so that no planner takes the index of expires_at, and locks a range of it.
        is_of_user = self.is_of_user(session.user_id) & (
            peewee.fn.COALESCE(session.expires_at, 0) > since
        )
        if kept:
            is_of_user &= session.id.not_in(kept)

        def end() -> EndedSessions:
            select = session.select(session.id).where(is_of_user & self._is_live)
            if self._connections.may_read_the_past:
                select = self.for_update(select)
            going = self._read_ids(compile_query(select.limit(MAX_LISTED)), values)
            if not going:
                return EndedSessions()
            update = session.update(self._ending).where(is_of_user & self._is_live)
            count = self._write(compile_query(update), values)
            if count == len(going):
                self._insert_revocations(going, now_ms=now_ms)
                return EndedSessions(tuple(going), count)
            # More than were listed, or others were faster with some.
            ours = is_of_user & self._is_ended_by_us
            feed = self._models.revocation
            rows = session.select(session.id, self.feed_instant(slot("now"))).where(ours)
            insert = feed.insert_from(rows, [feed.session_id, feed.created_at])
            self._write(compile_query(insert), values)
            listed = session.select(session.id).where(ours).limit(MAX_LISTED)
            ended = self._read_ids(compile_query(listed), values)
            return EndedSessions(tuple(ended), count)

        return self.atomically(end)

    def end_all_sessions(self, *, now_ms: int) -> int:
        """End every session there is; return how many were not ended before."""

        def end() -> int:
            count = self._write(self._end_all, {"reason": EndReason.REVOKED.value, "now": now_ms})
            self.insert_revocation(None, before_ms=now_ms, now_ms=now_ms)
            return count

        return self.atomically(end)

    def delete_user(self, user_id: Any, *, now_ms: int, skew_ms: int) -> tuple[bool, EndedSessions]:
        """Delete a user and their accounts and end their sessions, all or nothing.

        Returns whether there was such a user, and the sessions that ended.
        """

        def delete() -> tuple[bool, EndedSessions]:
            ended = self.end_user_sessions(
                user_id, reason=EndReason.USER_DELETED, now_ms=now_ms, skew_ms=skew_ms
            )
            return self.delete_user_row(user_id), ended

        return self.atomically(delete)

    def _read_ids(self, statement: Statement, values: dict[str, Any]) -> list[str]:
        rows = self._connections.read_rows(statement.sql, statement.fill(values))
        return [row[0] for row in rows]

    def _insert_revocations(self, session_ids: Sequence[str], *, now_ms: int) -> None:
        if len(session_ids) == 1:
            self.insert_revocation(session_ids[0], now_ms=now_ms)
            return
        feed = self._models.revocation
        for batch in _batches(session_ids):
            rows = [(session_id, self.feed_instant(now_ms)) for session_id in batch]
            insert = feed.insert_many(rows, [feed.session_id, feed.created_at])
            self._write(compile_query(insert), {})

    # Statements

    def _compile_ending_statements(self) -> None:
        session = self._models.session
        # Written so that no planner takes the index of ended_at: MariaDB would lock a gap of it,
        # and the ends of other sessions would wait.
        self._is_live = peewee.fn.COALESCE(session.ended_at, 0) == 0
        self._is_ended_by_us = (session.ended_at == slot("now")) & (
            session.end_reason == slot("reason")
        )
        self._ending = {session.ended_at: slot("now"), session.end_reason: slot("reason")}
        end = session.update(self._ending)
        self._end = compile_query(end.where(self.is_live_row()))
        self._end_judged = compile_query(end.where(self.is_judged()))
        self._end_all = compile_query(end.where(session.ended_at.is_null()))

    def is_live_row(self) -> Any:
        """Return what finds one session by its id, unless it has ended."""
        return (self._models.session.id == slot("id")) & self._is_live

    def is_judged(self) -> Any:
        """Return what finds a live session that still is what was judged."""
        session = self._models.session
        return (
            self.is_live_row()
            & (session.generation == slot("judged_generation"))
            & (session.branch == slot("judged_branch"))
            & (session.is_settled == slot("judged_is_settled"))
            & (session.expires_at == slot("judged_expires_at_ms"))
            & (session.last_seen_at == slot("judged_last_seen_at_ms"))
        )

    def judged_values(self, judged: SessionRecord) -> dict[str, Any]:
        """Return what fills the slots of ``is_judged``."""
        return {
            "id": judged.id,
            "judged_generation": judged.generation,
            "judged_branch": judged.branch,
            "judged_is_settled": bool(judged.is_settled),
            "judged_expires_at_ms": judged.expires_at_ms,
            "judged_last_seen_at_ms": judged.last_seen_at_ms,
        }


def _batches(session_ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(session_ids), _BATCH):
        yield list(session_ids[start : start + _BATCH])
