"""The ends of sessions: one that was judged, some by id, or all of a user's.

Each end is written to the revocation feed too, in the same transaction. Many sessions are ended
by one statement, and at most so many of their ids are returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from ..errors import StoreUnavailableError
from ..records import EndReason, SessionRecord
from .revocations import RevocationStore
from .runner import Runner
from .server_clock import ServerClock
from .session_columns import SessionColumns, judged_values
from .sessions import MAX_LISTED_SESSIONS
from .statements import Statement, computed_once, slot
from .users import UserStore

_MAX_BATCH_IDS = 200
"""Rows of one INSERT, ids of one IN."""


class EndedSessions(NamedTuple):
    """Sessions that ended together: how many, and at most ``MAX_LISTED_SESSIONS`` of their ids."""

    session_ids: tuple[str, ...] = ()
    number: int = 0


class SessionEnds:
    """Ends sessions of one database."""

    def __init__(
        self,
        runner: Runner,
        columns: SessionColumns,
        *,
        users: UserStore,
        revocations: RevocationStore,
        clock: ServerClock,
    ) -> None:
        self._runner = runner
        self._columns = columns
        self._session = columns.session
        self._users = users
        self._revocations = revocations
        self._clock = clock

    def end(
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
            values |= judged_values(judged)

        def end() -> bool:
            if self._runner.write(statement, **values) == 0:
                return False
            self._revocations.insert(session_id, now_ms=now_ms)
            return True

        try:
            if with_feed:
                return self._runner.atomically(end)
            return self._runner.write_compared(statement, **values) > 0
        except StoreUnavailableError as error:
            if judged is None or not self._runner.was_overtaken(error):
                raise
            return False

    @computed_once
    def _end(self) -> Statement:
        return self._ending(self._columns.is_live_row)

    @computed_once
    def _end_judged(self) -> Statement:
        return self._ending(self._columns.is_judged)

    def end_each(
        self, session_ids: Sequence[str], *, reason: EndReason, now_ms: int
    ) -> tuple[str, ...]:
        """End those of some sessions that are live; return their ids."""
        if len(session_ids) == 1:
            is_ended = self.end(session_ids[0], reason=reason, now_ms=now_ms)
            return tuple(session_ids) if is_ended else ()
        values: dict[str, Any] = {"reason": reason.value, "now": now_ms}

        def end() -> tuple[str, ...]:
            ended: list[str] = []
            for batch in _batches(session_ids):
                is_listed = self._session.id.in_(batch)
                if self._runner.write(
                    self._ending(is_listed & self._columns.is_live), **values
                ) == len(batch):
                    ended += batch
                else:  # others were faster with some
                    ended += self._read_ids(is_listed & self._is_ended_by_us, **values)
            self._insert_revocations(ended, now_ms=now_ms)
            return tuple(ended)

        return self._runner.atomically(end)

    def end_all_of(
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
            self._users.lock(user_id)
            kept = [] if except_id is None else [except_id]
            return self.end_all_but(
                user_id, kept, reason=reason, since_ms=now_ms - skew_ms, now_ms=now_ms
            )

        return self._runner.atomically(end)

    def end_all_but(
        self, user_id: Any, kept: Sequence[str], *, reason: EndReason, since_ms: int, now_ms: int
    ) -> EndedSessions:
        """End the sessions of a locked user that expire after an instant, but for some.

        Four statements, however many there are.
        """
        session, columns = self._session, self._columns
        values = {
            "user_id": columns.users.key_or_null(user_id),
            "since": since_ms,
            "reason": reason.value,
            "now": now_ms,
        }
        # What only a clock that is ahead calls expired lives on for everybody else.
        since = self._clock.at_most(slot("since"), age_ms=now_ms - since_ms)
        is_of_user = columns.is_of_user & columns.expires_after(since)
        if kept:
            is_of_user &= session.id.not_in(kept)

        def end() -> EndedSessions:
            is_past = self._runner.connections.may_read_stale_rows
            going = self._read_ids(is_of_user & self._columns.is_live, is_locking=is_past, **values)
            if not going:
                return EndedSessions()
            count = self._runner.write(self._ending(is_of_user & self._columns.is_live), **values)
            if count == len(going):
                self._insert_revocations(going, now_ms=now_ms)
                return EndedSessions(tuple(going), count)
            # More than were listed, or others were faster with some.
            ours = is_of_user & self._is_ended_by_us
            self._revocations.insert_selected(session.select(session.id).where(ours), **values)
            return EndedSessions(tuple(self._read_ids(ours, **values)), count)

        return self._runner.atomically(end)

    def end_all(self, *, now_ms: int) -> int:
        """End every session there is; return how many were not ended before."""

        def end() -> int:
            reason = EndReason.REVOKED.value
            count = self._runner.write(self._end_all, reason=reason, now=now_ms)
            self._revocations.insert_for_all(now_ms=now_ms)
            return count

        return self._runner.atomically(end)

    @computed_once
    def _end_all(self) -> Statement:
        return self._ending(self._session.ended_at.is_null())

    def end_left_by(self, user_id: Any, *, now_ms: int) -> None:
        """End what a deleted user has left whose key another one was given: nobody has a copy.

        Looked for first: on MariaDB, a write to what is not there would hold up other sign-ups.
        """
        values = {"user_id": self._columns.users.to_key(user_id), "now": now_ms}
        if self._runner.read_row(self._find_left, **values):
            self._runner.write(self._end_left, **values, reason=EndReason.USER_DELETED.value)

    @property
    def _is_left(self) -> Any:
        return self._columns.is_of_user & self._columns.is_live

    @computed_once
    def _find_left(self) -> Statement:
        return self._runner.compile(
            self._session.select(self._session.id).where(self._is_left).limit(1)
        )

    @computed_once
    def _end_left(self) -> Statement:
        return self._ending(self._is_left)

    def _ending(self, condition: Any) -> Statement:
        session = self._session
        values = {session.ended_at: slot("now"), session.end_reason: slot("reason")}
        return self._runner.compile(session.update(values).where(condition))

    @property
    def _is_ended_by_us(self) -> Any:
        session = self._session
        return (session.ended_at == slot("now")) & (session.end_reason == slot("reason"))

    def _read_ids(self, condition: Any, *, is_locking: bool = False, **values: Any) -> list[str]:
        query = self._session.select(self._session.id).where(condition)
        if is_locking:
            query = self._runner.dialect.for_update(query)
        statement = self._runner.compile(query.limit(MAX_LISTED_SESSIONS))
        return [session_id for (session_id,) in self._runner.read_rows(statement, **values)]

    def _insert_revocations(self, session_ids: Sequence[str], *, now_ms: int) -> None:
        if len(session_ids) == 1:
            self._revocations.insert(session_ids[0], now_ms=now_ms)
            return
        for batch in _batches(session_ids):
            self._revocations.insert_many(batch, now_ms=now_ms)


def _batches(session_ids: Sequence[str]) -> Iterator[list[str]]:
    remaining = iter(session_ids)
    while batch := list(islice(remaining, _MAX_BATCH_IDS)):
        yield batch
