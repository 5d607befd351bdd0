"""Ends sessions, tells the revocation feed of this process, and reports the events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..clock import Clock
from ..config.settings import SessionConfig
from ..events import Events
from ..light_dataclasses import dataclass
from ..records import EndReason, SessionRecord
from ..storage.meta import DATABASE_SECRET
from ..storage.session_ends import EndedSessions
from ..storage.store import Store
from .revocation_feed import RevocationFeed
from .tokens import is_session_id, new_secret


@dataclass(eq=False)
class SessionEnding:
    store: Store
    feed: RevocationFeed
    events: Events
    clock: Clock
    config: SessionConfig

    def end(self, session_id: str, *, reason: EndReason) -> bool:
        if not is_session_id(session_id):
            return False
        has_ended = self.store.session_ends.end(
            session_id, reason=reason, now_ms=self.clock.now_ms()
        )
        if has_ended:
            self.report([session_id], user_id=None, reason=reason)
        return has_ended

    def revoke(self, session_id: str, *, user_id: Any = None) -> bool:
        if user_id is not None:
            found = self._find(session_id)
            if found is None or not self.store.users.is_same(found.user_id, user_id):
                return False
        return self.end(session_id, reason=EndReason.REVOKED)

    def revoke_others(self, session_id: str) -> int:
        found = self._find(session_id)
        if found is None or found.user_id is None:
            return 0
        return self.revoke_all_of(found.user_id, except_id=session_id)

    def revoke_all_of(self, user_id: Any, *, except_id: str | None = None) -> int:
        reason = EndReason.REVOKED
        ended = self.end_unreported(user_id, reason=reason, except_id=except_id)
        self.report(ended.session_ids, user_id=user_id, reason=reason)
        return ended.number

    def end_unreported(
        self, user_id: Any, *, reason: EndReason, except_id: str | None = None
    ) -> EndedSessions:
        """End a user's sessions within a transaction, after which the caller reports them."""
        return self.store.session_ends.end_all_of(
            user_id,
            reason=reason,
            now_ms=self.clock.now_ms(),
            skew_ms=self.config.rotation_grace_ms,
            except_id=except_id,
        )

    def revoke_everything(self, *, created_before_ms: int | None = None) -> int:

        def end_all() -> int:
            # No copy made before this can be opened after it, whatever clock made it.
            self.store.meta.replace(DATABASE_SECRET, new_secret())
            return self.store.session_ends.end_all(
                now_ms=self.clock.now_ms(), created_before_ms=created_before_ms
            )

        count = self.store.atomically(end_all)
        self.feed.invalidate()
        self.events.emit(
            "session_ended", reason=EndReason.REVOKED, details={"session_count": count}
        )
        return count

    def delete_user(self, user_id: Any) -> bool:
        reason = EndReason.USER_DELETED
        is_deleted, ended = self.store.delete_user(
            user_id, now_ms=self.clock.now_ms(), skew_ms=self.config.rotation_grace_ms
        )
        self.report(ended.session_ids, user_id=user_id, reason=reason)
        if is_deleted:
            self.events.emit("user_deleted", user_id=user_id, reason=reason)
        return is_deleted

    def _find(self, session_id: str) -> SessionRecord | None:
        found = self.store.sessions.find(session_id) if is_session_id(session_id) else None
        return None if found is None else found[0]

    def report(self, session_ids: Iterable[str], *, user_id: Any, reason: EndReason) -> None:
        """Report sessions that have ended, once that is committed."""
        self.feed.invalidate()
        for session_id in session_ids:
            self.events.emit("session_ended", session_id=session_id, user_id=user_id, reason=reason)
