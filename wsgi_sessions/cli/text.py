"""Text for a terminal: what clients have sent must not act on it."""

from __future__ import annotations

from datetime import datetime

from ..clock import datetime_from_ms


def printable(text: object) -> str:
    r"""Return text without characters that a terminal would obey: escapes, turned writing.

    >>> printable("Ada\x1b[2J\nBob"), printable(7)
    ('Ada�[2J Bob', '7')
    """
    return "".join(
        char if char.isprintable() else " " if char in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for char in str(text)
    )


def instant(at_ms: int | None) -> str | None:
    """Return an instant for programs (RFC 3339), None if there is none.

    >>> instant(1_700_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    return None if at_ms is None else f"{_whole_seconds(at_ms).isoformat()}Z"


def instant_in_words(at_ms: int | None) -> str:
    """Return an instant for people, in UTC.

    >>> instant_in_words(1_700_000_000_000)
    '2023-11-14 22:13:20'
    """
    return "" if at_ms is None else str(_whole_seconds(at_ms))


def _whole_seconds(at_ms: int) -> datetime:
    return datetime_from_ms(at_ms).replace(microsecond=0, tzinfo=None)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number of things.

    >>> counted(1, "session"), counted(1200, "session"), counted(2, "person", "people")
    ('1 session', '1,200 sessions', '2 people')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
