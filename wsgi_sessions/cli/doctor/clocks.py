"""This machine's clock against the database's, which all processes share."""

from __future__ import annotations

from datetime import timedelta

from ...config.fields import in_words
from ...config.settings import SessionConfig
from .findings import Finding, fault, ok, warning

SUBJECT = "clock"


def check_clock(
    config: SessionConfig, *, asked_at_ms: int, said_ms: int | None, answered_at_ms: int
) -> Finding:
    """Compare with what the database said between two instants of this clock."""
    if said_ms is None:
        return ok(SUBJECT, "the database is in this machine, and has the same clock")
    off_ms = max(asked_at_ms - said_ms, 0) or min(answered_at_ms - said_ms, 0)
    # As ``ClockCheck`` has it: two that are right differ by the whole at most.
    allowed_ms = config.clock_difference_ms // 2
    where = "ahead of" if off_ms > 0 else "behind"
    off, allowed = _say(abs(off_ms)), _say(allowed_ms)
    if abs(off_ms) > allowed_ms:
        return fault(
            SUBJECT,
            f"this machine's clock is {off} {where} the database's, and {allowed} is allowed: "
            "cached copies are not taken, and sessions end too early or too late",
            "have both machines set their clocks by NTP (chrony, systemd-timesyncd)",
        )
    if abs(off_ms) > allowed_ms // 2:
        return warning(
            SUBJECT,
            f"this machine's clock is {off} {where} the database's; {allowed} is allowed",
            "have both machines set their clocks by NTP (chrony, systemd-timesyncd)",
        )
    return ok(SUBJECT, f"it is within {_say(abs(off_ms))} of the database's; {allowed} is allowed")


def check_future(
    config: SessionConfig, *, latest_expiry_ms: int | None, now_ms: int
) -> list[Finding]:
    """Return whether a clock that was ahead has written to the sessions."""
    lifetime_ms = max(config.expires_in_ms, config.short_expires_in_ms)
    slack_ms = max(config.clock_difference_ms, config.rotation_grace_ms)
    if latest_expiry_ms is None or latest_expiry_ms <= now_ms + lifetime_ms + slack_ms:
        return []
    ahead = _say((latest_expiry_ms - now_ms - lifetime_ms) // 1000 * 1000)
    return [
        warning(
            SUBJECT,
            f"a session expires {ahead} later than any that begins now: a server's clock is or "
            "was ahead, or expires_in was longer",
            "set all clocks by NTP; what they have written is put right as sessions are used",
        )
    ]


def _say(duration_ms: int) -> str:
    return in_words(timedelta(milliseconds=duration_ms))
