"""Says in words what a browser calls itself, and how long ago something was.

Must not believe it: anybody can send any User-Agent, so it is a name to show and no more.
"""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["UNKNOWN_DEVICE", "device_in_words", "instant_in_words", "time_ago"]

UNKNOWN_DEVICE = "Unknown device"

_PLAINER = {
    "Chrome Mobile": "Chrome",
    "Chrome Mobile WebView": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Edge Mobile": "Edge",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "HeadlessChrome": "Chrome",
    "Mac OS X": "macOS",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari",
    "Opera Mobile": "Opera",
}
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def device_in_words(user_agent: str | None) -> str:
    """Name browser and system of a User-Agent header.

    >>> device_in_words("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0")
    'Firefox on Linux'
    >>> device_in_words("no browser at all"), device_in_words(None)
    ('Unknown device', 'Unknown device')
    """
    if not user_agent:
        return UNKNOWN_DEVICE
    # Costly to import and only needed where the page is on.
    from ua_parser import parse

    found = parse(user_agent)
    browser = _plain(None if found.user_agent is None else found.user_agent.family)
    system = _plain(None if found.os is None else found.os.family)
    device = _plain(None if found.device is None else found.device.family)
    if system == "iOS" and device is not None:
        system = device
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or UNKNOWN_DEVICE


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


def _plain(family: str | None) -> str | None:
    return None if family in (None, "Other") else _PLAINER.get(str(family), str(family))
