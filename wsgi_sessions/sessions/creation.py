"""Creates sessions: the row, what it replaces, and how many a user may have."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from ..clock import Clock
from ..config.settings import SessionConfig
from ..errors import SessionLimitReached
from ..light_dataclasses import dataclass
from ..records import (
    Authentication,
    EndReason,
    RequestFacts,
    SessionRecord,
    UserRecord,
    refuse_to_pickle,
)
from ..storage.sessions import MAX_LISTED_SESSIONS
from ..storage.store import Store
from .policy import end_reason_at, first_expiry_ms
from .tokens import TokenSigner, mint_secret, new_branch, session_id_from

if TYPE_CHECKING:
    from .audit_trail import AuditTrail

NOT_KNOWN: Final = Authentication()
NO_NEWS: Final[Mapping[str, bool]] = {}
Ended = tuple[tuple[str, EndReason], ...]


class CreatedSession(NamedTuple):
    """A session that began, its first token, and the sessions that ended for it.

    ``news`` is what the audit trail found new about its device and network.
    """

    session: SessionRecord
    token: str
    ended: Ended
    news: Mapping[str, bool] = NO_NEWS

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def __repr__(self) -> str:
        return f"CreatedSession(session={self.session!r}, ended={self.ended!r})"


@dataclass(frozen=True, slots=True)
class Replaced:
    """The sessions that a browser held, which end as a new one begins."""

    session_id: str | None = None
    """Its data is carried over if it was anonymous, or the same user's."""
    elsewhere_id: str | None = None
    """One that was refused for its address: nobody gets its data, and it counts no more either."""
    reason: EndReason = EndReason.SIGNED_OUT

    @classmethod
    def of(cls, given: Replaced | str | None) -> Replaced:
        """Return what is replaced: as it is given, or by the id of a session."""
        return given if isinstance(given, Replaced) else cls(given)


@dataclass(eq=False)
class SessionCreation:
    store: Store
    signer: TokenSigner
    config: SessionConfig
    clock: Clock
    audit: AuditTrail | None = None

    def make_record(
        self,
        user_id: Any,
        *,
        facts: RequestFacts,
        remember: bool,
        data: str = "{}",
        authentication: Authentication = NOT_KNOWN,
        provider_sid: str | None = None,
    ) -> tuple[SessionRecord, str]:
        """Return the row of a new session and its first token; nothing is written yet."""
        now_ms = self.clock.now_ms()
        secret = mint_secret()
        record = SessionRecord(
            id=session_id_from(secret),
            user_id=user_id,
            generation=0,
            branch=new_branch(),
            branch_before=None,
            is_settled=True,
            caught_up=False,
            confirmed_at_ms=now_ms,
            created_at_ms=now_ms,
            authenticated_at_ms=now_ms,
            updated_at_ms=now_ms,
            last_seen_at_ms=now_ms,
            expires_at_ms=first_expiry_ms(now_ms=now_ms, remember=remember, config=self.config),
            remember=remember,
            ip_address=facts.address,
            user_agent=facts.user_agent,
            data=data,
            data_version=0,
            ended_at_ms=None,
            end_reason=None,
            authentication=authentication.to_json(),
            provider_sid=provider_sid,
        )
        return record, self.signer.write(secret, 0, record.branch)

    def create(
        self,
        user: UserRecord,
        *,
        remember_me: bool,
        facts: RequestFacts,
        replaces: Replaced | str | None,
        authentication: Authentication,
        provider_sid: str | None = None,
    ) -> CreatedSession:
        record, token = self.make_record(
            user.id,
            facts=facts,
            remember=remember_me,
            authentication=authentication,
            provider_sid=provider_sid,
        )
        session, ended = self.insert(record, replaced=Replaced.of(replaces))
        if self.audit is None:
            return CreatedSession(session, token, ended)
        for reason, gone in groupby(ended, key=lambda pair: pair[1]):
            # What this browser had before may have been another user's.
            whose = None if reason is EndReason.SIGNED_OUT else user.id
            session_ids = [session_id for session_id, _ in gone]
            self.audit.tell_ends(session_ids, reason=reason, facts=facts, user_id=whose)
        news = self.audit.tell_sign_in(session, user, method=authentication.method, facts=facts)
        return CreatedSession(session, token, ended, news)

    def insert(self, record: SessionRecord, *, replaced: Replaced) -> tuple[SessionRecord, Ended]:
        """Insert a user's new session, and end what it replaces and what is too many beside it.

        Called in a transaction. However many sign-ins run at once, never more than
        ``maximum_sessions`` are left live. Returns what was written and what ended. Raises
        ``LookupError`` for a user who is gone, and ``SessionLimitReached`` under
        ``on_limit="reject"``.
        """
        # First of all, so that parallel sign-ins of a user come one after the other.
        if not self.store.users.lock(record.user_id):
            raise LookupError(f"there is no user with the id {record.user_id!r}")
        ended, data = self._end_replaced(replaced, by=record)
        session = record._replace(data=data)
        # Inserted before the list is locked: then it waits for no other user's list.
        self.store.sessions.insert(session)
        return session, ended + self._make_room(session)

    def _end_replaced(self, replaced: Replaced, *, by: SessionRecord) -> tuple[Ended, str]:
        """End what is replaced; return what ended, and the data for the new session."""
        ended: Ended = ()
        data = by.data
        for session_id in (replaced.session_id, replaced.elsewhere_id):
            if session_id is None or not self.store.session_ends.end(
                session_id, reason=replaced.reason, now_ms=by.created_at_ms
            ):
                continue
            ended += ((session_id, replaced.reason),)
            if session_id == replaced.session_id:
                # Read after it ended: no later request can add to the data any more.
                data = self._data_to_carry_over(session_id, to=by)
        return ended, data

    def _data_to_carry_over(self, session_id: str, *, to: SessionRecord) -> str:
        """Return the data of an anonymous session or one of the same user, but of no other's."""
        found = self.store.sessions.find(session_id)
        if found is None:
            return to.data
        session, user = found
        # Without a user it is that of somebody who is gone, and whose id was given out again.
        is_same_user = user is not None and session.user_id == to.user_id
        return session.data if session.user_id is None or is_same_user else to.data

    def _make_room(self, created: SessionRecord) -> Ended:
        """End the user's sessions that are past a limit, and those too many beside a new one.

        One that expired within the grace is ended too: a worker whose clock is behind would
        still count it.
        """
        multi = self.config.multi_session
        limit = multi.maximum_sessions if multi.enabled else 1
        if limit is None:
            return ()
        may_evict = multi.on_limit != "reject" or not multi.enabled
        reason = EndReason.EVICTED if multi.enabled else EndReason.REVOKED
        now_ms = created.created_at_ms
        since_ms = now_ms - self.config.rotation_grace_ms
        max_count = limit + MAX_LISTED_SESSIONS
        ended: Ended = ()
        while True:
            listed = self.store.sessions.list_locked(created.user_id, since_ms, max_count=max_count)
            live, going = self._divide(listed, beside=created)
            if len(live) >= limit and not may_evict:
                raise SessionLimitReached(limit)
            kept, evicted = live[: limit - 1], live[limit - 1 :]
            is_all = len(listed) < max_count
            if evicted and is_all:
                going.setdefault(reason, []).extend(evicted)
            for why, session_ids in going.items():
                gone = self.store.session_ends.end_each(session_ids, reason=why, now_ms=now_ms)
                ended += tuple((session_id, why) for session_id in gone)
            if evicted and not is_all:
                rest = self.store.session_ends.end_all_but(
                    created.user_id,
                    [created.id, *kept],
                    reason=reason,
                    since_ms=since_ms,
                    now_ms=now_ms,
                )
                ended += tuple((session_id, reason) for session_id in rest.session_ids)
            if evicted or is_all:
                return ended

    def _divide(
        self, listed: list[SessionRecord], *, beside: SessionRecord
    ) -> tuple[list[str], dict[EndReason, list[str]]]:
        """Return the ids of those that are live, and by reason of those that are past a limit."""
        live: list[str] = []
        past: dict[EndReason, list[str]] = {}
        for session in listed:
            if session.id == beside.id:
                continue
            reason = end_reason_at(session, now_ms=beside.created_at_ms, config=self.config)
            (live if reason is None else past.setdefault(reason, [])).append(session.id)
        return live, past
