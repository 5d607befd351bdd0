"""Ends sessions, tells the revocation feed of this process, and reports the events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from ..config.settings import SessionConfig
from ..events import Events
from ..light_dataclasses import dataclass
from ..records import NO_FACTS, EndReason, RequestFacts, SessionRecord
from ..storage.meta import DATABASE_SECRET
from ..storage.session_ends import EndedSessions
from ..storage.store import Store
from ..storage.time_budget import spending
from .revocation_feed import RevocationFeed
from .tokens import is_session_id, new_secret

if TYPE_CHECKING:
    from .audit_trail import AuditTrail

_EVERYTHING_MS = 30 * 60_000
"""How long the end of all sessions may take outside of a request: a second for 40,000 of them."""


@dataclass(eq=False)
class SessionEnding:
    store: Store
    feed: RevocationFeed
    events: Events
    clock: Clock
    config: SessionConfig
    audit: AuditTrail | None = None

    def end(self, session_id: str, *, reason: EndReason, facts: RequestFacts = NO_FACTS) -> bool:
        if not is_session_id(session_id):
            return False

        def end() -> bool:
            has_ended = self.store.session_ends.end(
                session_id, reason=reason, now_ms=self.clock.now_ms()
            )
            if has_ended and self.audit is not None:
                self.audit.tell_ends([session_id], reason=reason, facts=facts)
            return has_ended

        has_ended = end() if self.audit is None else self.store.atomically(end)
        if has_ended:
            self.report([session_id], user_id=None, reason=reason, address=facts.address)
        return has_ended

    def revoke(
        self, session_id: str, *, user_id: Any = None, facts: RequestFacts = NO_FACTS
    ) -> bool:
        if user_id is not None:
            found = self._find(session_id)
            if found is None or not self.store.users.is_same(found.user_id, user_id):
                return False
        return self.end(session_id, reason=EndReason.REVOKED, facts=facts)

    def revoke_others(self, session_id: str, *, facts: RequestFacts = NO_FACTS) -> int:
        found = self._find(session_id)
        if found is None or found.user_id is None:
            return 0
        return self.revoke_all_of(found.user_id, except_id=session_id, facts=facts)

    def revoke_all_of(
        self, user_id: Any, *, except_id: str | None = None, facts: RequestFacts = NO_FACTS
    ) -> int:
        reason = EndReason.REVOKED
        ended = self.end_unreported(user_id, reason=reason, except_id=except_id, facts=facts)
        self.report(ended.session_ids, user_id=user_id, reason=reason, address=facts.address)
        return ended.number

    def end_unreported(
        self,
        user_id: Any,
        *,
        reason: EndReason,
        except_id: str | None = None,
        facts: RequestFacts = NO_FACTS,
    ) -> EndedSessions:
        """End a user's sessions in one transaction, after which the caller reports them."""

        def end() -> EndedSessions:
            ended = self.store.session_ends.end_all_of(
                user_id,
                reason=reason,
                now_ms=self.clock.now_ms(),
                skew_ms=self.config.rotation_grace_ms,
                except_id=except_id,
            )
            if self.audit is not None:
                self.audit.tell_ends(ended, reason=reason, facts=facts, user_id=user_id)
            return ended

        return end() if self.audit is None else self.store.atomically(end)

    def revoke_everything(self, *, created_before_ms: int | None = None) -> int:
        def end_all() -> int:
            # No copy made before this can be opened after it, whatever clock made it.
            self.store.meta.replace(DATABASE_SECRET, new_secret())
            count = self.store.session_ends.end_all(
                now_ms=self.clock.now_ms(), created_before_ms=created_before_ms
            )
            if self.audit is not None:
                self.audit.tell_ends(EndedSessions((), count), reason=EndReason.REVOKED)
            return count

        with spending(_EVERYTHING_MS):
            count = self.store.atomically(end_all, is_synchronised=True)
        self.feed.invalidate()
        self.events.emit(
            "session_ended", reason=EndReason.REVOKED, details={"session_count": count}
        )
        return count

    def delete_user(
        self,
        user_id: Any,
        *,
        facts: RequestFacts = NO_FACTS,
        erase: Callable[[], None] | None = None,
    ) -> bool:
        """Delete a user and end their sessions; return whether there was one.

        ``erase`` deletes in the same transaction what else is kept of them, and may be called
        again where that begins again. The audit trail is then told nothing: it is erased, too.
        """
        reason = EndReason.USER_DELETED

        def delete() -> tuple[bool, EndedSessions]:
            is_deleted, ended = self.store.delete_user(
                user_id, now_ms=self.clock.now_ms(), skew_ms=self.config.rotation_grace_ms
            )
            if erase is not None:
                erase()
            elif self.audit is not None:
                self.audit.tell_ends(ended, reason=reason, facts=facts, user_id=user_id)
                if is_deleted:
                    self.audit.tell("user_deleted", facts=facts, user_id=user_id)
            return is_deleted, ended

        is_deleted, ended = self.store.atomically(delete, is_synchronised=True)
        self.report(ended.session_ids, user_id=user_id, reason=reason, address=facts.address)
        if is_deleted:
            self.events.emit("user_deleted", user_id=user_id, reason=reason, address=facts.address)
        return is_deleted

    def _find(self, session_id: str) -> SessionRecord | None:
        found = self.store.sessions.find(session_id) if is_session_id(session_id) else None
        return None if found is None else found[0]

    def report(
        self,
        session_ids: Iterable[str],
        *,
        user_id: Any,
        reason: EndReason,
        address: str | None = None,
    ) -> None:
        """Report sessions that have ended, once that is committed."""
        self.feed.invalidate()
        for session_id in session_ids:
            self.events.emit(
                "session_ended",
                session_id=session_id,
                user_id=user_id,
                reason=reason,
                address=address,
            )
