"""``RequestState``: what a request had as its session, for when a transaction is rolled back."""

from __future__ import annotations

from typing import NamedTuple

from ..parts import Parts
from ..records import EndReason
from ..sessions.data import SessionData
from ..sessions.session import Session, User
from .request_data import Unsaved
from .response_cookies import ResponseCookies


class RequestState(NamedTuple):
    """What a request has as its session after one act within the application's transaction."""

    session: Session | None
    user: User | None
    end_reason: EndReason | None
    cookies: ResponseCookies | None
    data: SessionData | None
    unsaved: Unsaved | None
    ended_ids: tuple[str, ...] = ()
    is_user_changed: bool = False

    def is_true_in(self, parts: Parts) -> bool:
        """Return whether the database still says so.

        So it is if the row of ``session`` is live (and its user as it was changed) and none of
        the sessions in ``ended_ids`` is.
        """
        if any(parts.reader.find_live(session_id) for session_id in self.ended_ids):
            return False
        if self.session is None or self.unsaved is not None:
            return True
        found = parts.store.sessions.find(self.session.id)
        if found is None or found[0].ended_at_ms is not None:
            return False
        return not self.is_user_changed or (self.user is not None and found[1] == self.user.record)
