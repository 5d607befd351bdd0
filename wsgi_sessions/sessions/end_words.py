"""Why sessions end, in words for people."""

from __future__ import annotations

from collections.abc import Mapping

from ..clock import has_passed
from ..config.settings import SessionConfig
from ..records import EndReason, SessionRecord
from .policy import end_reason_at, first_limit_ms

END_IN_WORDS: Mapping[EndReason, str] = {
    EndReason.SIGNED_OUT: "signed out, or signed in anew in the same browser",
    EndReason.REVOKED: "ended on the sessions page, by the application, or by an administrator",
    EndReason.EXPIRED: "not used for too long (expires_in)",
    EndReason.IDLE: "not used for too long (idle_timeout)",
    EndReason.ABSOLUTE: "as long after the sign-in as a session may last (absolute_timeout)",
    EndReason.EVICTED: "made room for a newer sign-in (maximum_sessions)",
    EndReason.REPLAYED: "an old token was presented, as if the cookie had been copied",
    EndReason.IP_MISMATCH: "used from an address that it is not bound to (ip_binding)",
    EndReason.PASSWORD_CHANGED: "the password was changed",
    EndReason.USER_DELETED: "the user was deleted",
}


def end_of(
    record: SessionRecord, *, now_ms: int, config: SessionConfig
) -> tuple[EndReason, int] | None:
    """Return why a session is over and since when, also where nothing has marked it yet.

    None for a live one. A limit that is over is marked when somebody presents the token.
    """
    if record.ended_at_ms is not None:
        return EndReason(record.end_reason), record.ended_at_ms
    limit_ms = first_limit_ms(record, config=config)
    if not has_passed(limit_ms, now_ms):
        return None
    reason = end_reason_at(record, now_ms=limit_ms, config=config)
    assert reason is not None  # the first limit is over at its instant
    return reason, limit_ms
