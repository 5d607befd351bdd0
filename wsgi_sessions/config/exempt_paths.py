"""Which paths the middleware passes on untouched (``exempt_paths``).

A path that could mean another one is never exempt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

# An application, or a server behind this one, may resolve these to a path elsewhere.
# Encoded once more than a server decodes, or with what URL parsers take out (tabs, ends of lines).
_AMBIGUOUS = (
    r"(?i)(?:^|/)(?:\.|%(?:25)*2e){1,2} *(?:[;?#][^/]*)?(?=/|\Z)"
    r"|//|\\|[\x00-\x1f\x7f]|%(?:25)*(?:2f|5c|[01][0-9a-f]|7f)"
)
_PREFIX = r"/[^?#*\s\x00-\x1f\x7f\ud800-\udfff]*"


def is_exempt(path: str, prefixes: Sequence[str]) -> bool:
    """Return whether a PATH_INFO lies under one of the prefixes, to the letter.

    >>> is_exempt("/static/app.css", ["/static/"]), is_exempt("/static/../account", ["/static/"])
    (True, False)
    >>> [is_exempt(path, ["/health"]) for path in ("/health", "/health/db", "/healthy")]
    [True, True, False]
    """
    exact, begun, ambiguous = _compiled(tuple(prefixes))
    return (path in exact or path.startswith(begun)) and ambiguous.search(path) is None


def lies_within(path: str, prefix: str) -> bool:
    """Return whether two paths overlap: one is the other, or lies below it."""
    shorter, longer = sorted((f"{path.rstrip('/')}/", f"{prefix.rstrip('/')}/"), key=len)
    return longer.startswith(shorter)


def is_prefix(path: str) -> bool:
    """Return whether paths can be exempt by this beginning: it is one, and of one meaning."""
    return bool(re.fullmatch(_PREFIX, path)) and not re.search(_AMBIGUOUS, path)


@lru_cache(maxsize=32)
def _compiled(
    prefixes: tuple[str, ...],
) -> tuple[frozenset[str], tuple[str, ...], re.Pattern[str]]:
    # PEP 3333: what a server decodes is UTF-8, shown as if it were Latin-1.
    shown = [prefix.encode().decode("latin-1") for prefix in prefixes]
    whole = frozenset(prefix for prefix in shown if not prefix.endswith("/"))
    begun = tuple(prefix if prefix.endswith("/") else f"{prefix}/" for prefix in shown)
    return whole, begun, re.compile(_AMBIGUOUS)
