"""Says in words how long ago something was, and when.

Must not produce HTML.
"""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["instant_in_words", "time_ago"]

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def time_ago(instant: datetime, now: datetime) -> str:
    """Say how long ago an instant was, in its largest unit.

    >>> noon = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
    >>> time_ago(noon.replace(hour=9), noon), time_ago(noon.replace(minute=1), noon)
    ('3 hours ago', 'just now')
    """
    seconds = (now - instant).total_seconds()
    for length, unit in _UNITS:
        count = int(seconds // length)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def instant_in_words(instant: datetime) -> str:
    """Say an instant in UTC.

    >>> instant_in_words(datetime(2026, 1, 2, 12, tzinfo=timezone.utc))
    '2 January 2026, 12:00 UTC'
    """
    utc = instant.astimezone(timezone.utc)
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"
