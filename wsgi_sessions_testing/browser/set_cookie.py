"""Parses a Set-Cookie line as a browser does (RFC 6265bis, section 5.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from wsgi_sessions.clock import ms_from_datetime

_MAX_PAIR_BYTES = 4096
_MAX_ATTRIBUTE_BYTES = 1024
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MAX_AGE = re.compile(r"-?[0-9]+")

_DATE_DELIMITER = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\D.*)?", re.DOTALL)
_DAY = re.compile(r"(\d{1,2})(?:\D.*)?", re.DOTALL)
_YEAR = re.compile(r"(\d{2,4})(?:\D.*)?", re.DOTALL)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class UnreadableCookieError(ValueError):
    """A browser ignores this line altogether; the message says why."""


@dataclass(frozen=True, slots=True)
class SetCookie:
    """What one Set-Cookie line says; an attribute that is absent or unreadable is None.

    ``max_age_s`` is not limited yet, and ``domain`` has no leading dot. ``same_site`` is
    ``"Strict"``, ``"Lax"``, ``"None"`` or None for a missing or unknown word; ``priority`` is
    ``"Low"``, ``"Medium"`` or ``"High"`` (Chromium's, of no standard).
    """

    name: str
    value: str
    max_age_s: int | None = None
    expires_at_ms: int | None = None
    domain: str | None = None
    path: str | None = None
    is_secure: bool = False
    is_http_only: bool = False
    same_site: str | None = None
    priority: str = "Medium"


def parse_set_cookie(line: str) -> SetCookie:
    """Parse the value of one Set-Cookie header.

    Raises ``UnreadableCookieError`` for what browsers ignore. Of a repeated attribute the last
    one counts.

    >>> read = parse_set_cookie("a=b; Path=/x; secure")
    >>> read.name, read.value, read.path, read.is_secure, read.is_http_only
    ('a', 'b', '/x', True, False)
    """
    if _CONTROL.search(line):
        raise UnreadableCookieError("it contains a control character")
    pair, *attributes = line.split(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(" \t"), value.strip(" \t")
    if not name and not value:
        raise UnreadableCookieError("it has neither name nor value")
    size_bytes = len(name) + len(value)
    if size_bytes > _MAX_PAIR_BYTES:
        raise UnreadableCookieError(
            f"name and value have {size_bytes} bytes, more than {_MAX_PAIR_BYTES}"
        )
    said: dict[str, Any] = {}
    for attribute in attributes:
        key, _, text = attribute.partition("=")
        key, text = key.strip(" \t").lower(), text.strip(" \t")
        if len(text) <= _MAX_ATTRIBUTE_BYTES:
            said.update(_read_attribute(key, text))
    return SetCookie(name, value, **said)


def _read_attribute(key: str, text: str) -> dict[str, Any]:
    """Return what an attribute sets; nothing if it is unknown or can't be read."""
    if key == "max-age" and _MAX_AGE.fullmatch(text):
        return {"max_age_s": int(text)}
    if key == "expires" and (instant_ms := parse_cookie_date_ms(text)) is not None:
        return {"expires_at_ms": instant_ms}
    if key == "domain":
        return {"domain": text.removeprefix(".").lower()}
    if key == "path":
        return {"path": text}
    if key == "secure":
        return {"is_secure": True}
    if key == "httponly":
        return {"is_http_only": True}
    if key == "samesite":
        return {"same_site": {"strict": "Strict", "lax": "Lax", "none": "None"}.get(text.lower())}
    if key == "priority":
        return {"priority": {"low": "Low", "high": "High"}.get(text.lower(), "Medium")}
    return {}


def parse_cookie_date_ms(text: str) -> int | None:
    """Parse an Expires date (section 5.1.1), as lenient as browsers are; None if unreadable.

    >>> parse_cookie_date_ms("Thu, 01 Jan 1970 00:00:01 GMT")
    1000
    >>> parse_cookie_date_ms("tomorrow") is None
    True
    """
    time_parts: tuple[int, int, int] | None = None
    day = month = year = None
    for token in _DATE_DELIMITER.split(text):
        if time_parts is None and (match := _TIME.fullmatch(token)):
            time_parts = (int(match[1]), int(match[2]), int(match[3]))
        elif day is None and (match := _DAY.fullmatch(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.fullmatch(token)):
            year = int(match[1])
    if time_parts is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    if year < 1601:
        return None
    try:
        return ms_from_datetime(datetime(year, month, day, *time_parts, tzinfo=timezone.utc))
    except ValueError:  # a day or an hour that does not exist
        return None
