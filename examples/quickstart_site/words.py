"""Says times in words.

Must not produce HTML.
"""

from __future__ import annotations

from datetime import datetime, timedelta


def span_in_words(span: timedelta) -> str:
    """Say a duration in its largest unit, rounded.

    >>> span_in_words(timedelta(days=6, hours=23)), span_in_words(timedelta(seconds=70))
    ('7 days', '1 minute')
    """
    seconds = span.total_seconds()
    minutes, hours, days = (round(seconds / length) for length in (60, 3600, 86400))
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return _count(minutes, "minute")
    return _count(hours, "hour") if hours < 24 else _count(days, "day")


def time_ago(then: datetime, now: datetime) -> str:
    """Say how long ago something was.

    >>> moment = datetime(2026, 1, 2)
    >>> time_ago(moment, moment), time_ago(moment, moment + timedelta(hours=5))
    ('just now', '5 hours ago')
    """
    span = now - then
    return "just now" if span < timedelta(minutes=1) else f"{span_in_words(span)} ago"


def instant_in_words(instant: datetime) -> str:
    """Say an instant in full.

    >>> instant_in_words(datetime(2026, 1, 2, 3, 4))
    '2 January 2026, 03:04 UTC'
    """
    return f"{instant.day} {instant:%B %Y, %H:%M} UTC"


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
