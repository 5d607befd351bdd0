"""Which language a client reads, by its header Accept-Language."""

from __future__ import annotations

import re
from collections.abc import Collection

_MAX_CHARACTERS = 1000
_RANGE = r"([a-z]{1,8}(?:-[a-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?))?"


def preferred_language(header: str, offered: Collection[str]) -> str | None:
    """Return which of the offered languages, in small letters, a client asks for first.

    Who asks for ``de-CH`` takes ``de``, and not the other way round: the look-up of RFC 4647,
    section 3.4, with the qualities of RFC 9110, section 12.4.2.

    >>> preferred_language("fr;q=0.3, de-CH, en;q=0.9", ["en", "de"])
    'de'
    """
    asked: list[tuple[float, str]] = []
    for part in header[:_MAX_CHARACTERS].lower().split(","):
        found = re.fullmatch(_RANGE, part.strip())
        if found is not None and (quality := float(found[2] or 1)) > 0:
            asked.append((quality, found[1]))
    for _, language in sorted(asked, key=lambda one: -one[0]):
        while language:
            if language in offered:
                return language
            language = language.rpartition("-")[0]
    return None
