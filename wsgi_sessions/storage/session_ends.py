"""The ends of sessions: one that was judged, some by id, all of a user's or of a provider's.

Each end is written to the revocation feed too, in the same transaction. Many sessions are ended
by one statement, and at most so many of their ids are returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import peewee

from ..errors import StoreUnavailableError
from ..light_dataclasses import dataclass
from ..records import Authentication, EndReason, SessionRecord
from .revocations import RevocationStore
from .server_clock import ServerClock
from .sessions import MAX_LISTED_SESSIONS, SessionColumns, judged_values
from .statements import Runner, batches, compiled_once, slot
from .users import UserStore


class EndedSessions(NamedTuple):
    """Sessions that ended together: how many, and at most ``MAX_LISTED_SESSIONS`` of their ids."""

    session_ids: tuple[str, ...] = ()
    number: int = 0


@dataclass(eq=False)
class SessionEnds:
    _runner: Runner
    _columns: SessionColumns
    _users: UserStore
    _revocations: RevocationStore
    _clock: ServerClock

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
                if judged is None:
                    self._runner.connections.require_synchronised()
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

    @compiled_once
    def _end(self) -> Any:
        return self._ending(self._columns.is_live_row)

    @compiled_once
    def _end_judged(self) -> Any:
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
            for batch in batches(session_ids):
                is_listed = self._columns.session.id.in_(batch)
                if self._write_ends(is_listed & self._columns.is_live, **values) == len(batch):
                    ended += batch
                else:  # others were faster with some
                    ended += self._read_ids(is_listed & self._is_ended_by_us, **values)
            self._revocations.insert_many(ended, now_ms=now_ms)
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
        """End the sessions of a user that expire after an instant, but for some.

        Called within the transaction that has locked the user. Four statements, however many
        there are.
        """
        is_theirs = self._columns.is_of_user
        if kept:
            is_theirs &= self._columns.session.id.not_in(kept)
        key = self._columns.users.key_or_null(user_id)
        return self._end_found(
            is_theirs, reason=reason, since_ms=since_ms, now_ms=now_ms, user_id=key
        )

    def end_by_sid(
        self, provider_sid: str, *, reason: EndReason, since_ms: int, now_ms: int
    ) -> EndedSessions:
        """End the sessions that began by a session at a provider."""
        is_by_sid = self._columns.session.provider_sid == slot("provider_sid")
        return self._runner.atomically(
            lambda: self._end_found(
                is_by_sid,
                reason=reason,
                since_ms=since_ms,
                now_ms=now_ms,
                provider_sid=provider_sid,
            )
        )

    def end_begun_by(
        self,
        user_id: Any,
        *,
        method: str,
        is_without_sid: bool,
        begun_until_ms: int,
        reason: EndReason,
        since_ms: int,
        now_ms: int,
    ) -> EndedSessions:
        """End the sessions of a user that began by a method up to an instant.

        ``is_without_sid``: only those of which no session at the provider is known.
        """
        session = self._columns.session
        start = Authentication(method).to_json().removesuffix("}")
        is_theirs = self._columns.is_of_user & (session.created_at <= slot("until"))
        is_theirs &= peewee.fn.SUBSTR(session.authentication, 1, len(start)) == start
        if is_without_sid:
            is_theirs &= session.provider_sid.is_null()

        def end() -> EndedSessions:
            self._users.lock(user_id)
            return self._end_found(
                is_theirs,
                reason=reason,
                since_ms=since_ms,
                now_ms=now_ms,
                user_id=self._columns.users.key_or_null(user_id),
                until=begun_until_ms,
            )

        return self._runner.atomically(end)

    def _end_found(
        self, condition: Any, *, reason: EndReason, since_ms: int, now_ms: int, **named: Any
    ) -> EndedSessions:
        """End what a condition finds of the sessions that expire after an instant."""
        session, columns = self._columns.session, self._columns
        values = {**named, "since": since_ms, "reason": reason.value, "now": now_ms}
        # What only a clock that is ahead calls expired lives on for everybody else.
        since = self._clock.at_most(slot("since"), age_ms=now_ms - since_ms)
        is_found = condition & columns.expires_after(since)

        is_past = self._runner.connections.may_read_stale_rows
        going = self._read_ids(is_found & columns.is_live, is_locking=is_past, **values)
        if not going:
            return EndedSessions()
        count = self._write_ends(is_found & columns.is_live, **values)
        if count == len(going):
            self._revocations.insert_many(going, now_ms=now_ms)
            return EndedSessions(tuple(going), count)
        # More than were listed, or others were faster with some.
        ours = is_found & self._is_ended_by_us
        self._revocations.insert_selected(session.select(session.id).where(ours), **values)
        return EndedSessions(tuple(self._read_ids(ours, **values)), count)

    def end_all(self, *, now_ms: int, created_before_ms: int | None = None) -> int:
        """End every session, or each that began before an instant; return how many.

        The copies of all are void: nothing in a copy tells when its session began.
        """
        is_found = self._columns.session.ended_at.is_null()
        if created_before_ms is not None:
            is_found &= self._columns.session.created_at < created_before_ms

        def end() -> int:
            count = self._write_ends(is_found, reason=EndReason.REVOKED.value, now=now_ms)
            self._revocations.insert_for_all(now_ms=now_ms)
            return count

        return self._runner.atomically(end)

    def end_left_by(self, user_id: Any, *, now_ms: int) -> None:
        """End what a deleted user has left whose key another one was given: nobody has a copy.

        Looked for first: on MariaDB, a write to what is not there would hold up other sign-ups.
        """
        values = {"user_id": self._columns.users.to_key(user_id), "now": now_ms}
        if self._read_ids(self._is_left, **values):
            self._runner.write(self._end_left, **values, reason=EndReason.USER_DELETED.value)

    @compiled_once
    def _end_left(self) -> Any:
        return self._ending(self._is_left)

    @property
    def _is_left(self) -> Any:
        return self._columns.is_of_user & self._columns.is_live

    def _ending(self, condition: Any) -> Any:
        session = self._columns.session
        values = {session.ended_at: slot("now"), session.end_reason: slot("reason")}
        return session.update(values).where(condition)

    def _write_ends(self, condition: Any, **values: Any) -> int:
        return self._runner.write(self._runner.compile(self._ending(condition)), **values)

    @property
    def _is_ended_by_us(self) -> Any:
        session = self._columns.session
        return (session.ended_at == slot("now")) & (session.end_reason == slot("reason"))

    def _read_ids(self, condition: Any, *, is_locking: bool = False, **values: Any) -> list[str]:
        session = self._columns.session
        query = session.select(session.id).where(condition)
        if is_locking:
            query = self._runner.dialect.for_update(query)
        statement = self._runner.compile(query.limit(MAX_LISTED_SESSIONS))
        return [session_id for (session_id,) in self._runner.read_rows(statement, **values)]
