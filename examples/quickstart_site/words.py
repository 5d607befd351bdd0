"""Says devices and times in words.

Must not produce HTML; what a browser calls itself comes out as plain, unescaped text.
"""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["device_in_words", "instant_in_words", "span_in_words", "time_ago"]

# The first that is found counts: browsers also name those whose habits they share.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("Python-urllib/", "Python"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
)


def device_in_words(user_agent: str | None) -> str:
    """Name browser and system of a User-Agent header.

    >>> device_in_words("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0")
    'Firefox on Linux'
    >>> device_in_words("curl/8.5.0"), device_in_words(None)
    ('curl', 'Unknown device')
    """
    text = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if mark in text), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"


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
