"""The server's secrets: how strong they look, how old they are, and whether one has had its time.

No secret, and nothing that tells one from a guess, is shown or stored.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from ...config.fields import in_words
from ...sessions.signing import derive_key
from .findings import Finding, fault, ok, warning

SUBJECT = "secrets"

MAX_AGE = timedelta(days=730)
"""NIST SP 800-57 part 1, table 1: a symmetric key for authentication is used for two years."""

_WORDS = re.compile(
    r"secret|passw|change[-_ ]?me|example|insecure|default|replace|placeholder", re.IGNORECASE
)
_MIN_BITS = 96
_LONGEST_RUN = 7
_REMEDY = "make one with: wsgi-sessions secret"


def check_strength(secrets: Sequence[str]) -> list[Finding]:
    """Return which secrets look as if a person or a manual had made them."""
    found = []
    for number, secret in enumerate(secrets, start=1):
        name = _name(number, len(secrets))
        if _WORDS.search(secret) or _longest_run(secret) > _LONGEST_RUN:
            found.append(
                fault(
                    SUBJECT,
                    f"{name} holds a word or a row of characters as examples have: whoever "
                    "guesses it can make cached copies and tokens pass its check",
                    _REMEDY,
                )
            )
        elif " " in secret or _bits(secret) < _MIN_BITS:
            found.append(warning(SUBJECT, f"{name} does not look as if it had been drawn", _REMEDY))
    if len(set(secrets)) < len(secrets):
        found.append(warning(SUBJECT, "the same secret stands there twice", "take one of them out"))
    return found or [ok(SUBJECT, f"{_how_many(len(secrets))} of good strength")]


def fingerprint(secret: str) -> str:
    """Return what tells the few secrets of an application apart.

    Sixteen bits: two secrets in 65,536 share one, and somebody who has the database and guesses
    at a secret learns next to nothing.
    """
    return derive_key(secret, "fingerprint").hex()[:4]


def check_age(
    first_seen_ms: Sequence[int | None], *, now_ms: int, longest_life_ms: int
) -> list[Finding]:
    """Return what the instants tell at which this command saw each secret first, newest first.

    None stands for one that it sees for the first time. A secret is as old or older.
    ``longest_life_ms``: after so long without a use, no session is live any more.
    """
    found = [
        _age(_name(number, len(first_seen_ms)), seen_ms, now_ms=now_ms)
        for number, seen_ms in enumerate(first_seen_ms, start=1)
    ]
    newest_ms = first_seen_ms[0]
    if len(first_seen_ms) > 1 and newest_ms is not None and now_ms - newest_ms > longest_life_ms:
        life = in_words(timedelta(milliseconds=longest_life_ms))
        found.append(
            warning(
                SUBJECT,
                f"the newest secret is there for longer than {life}, so every live session has "
                "been given a token that it signs, and an older secret is still taken",
                "take the older ones out: nobody is signed out, and a browser whose device cookie "
                "one of them signed counts as a new one to the throttle",
            )
        )
    return found


def _age(name: str, seen_ms: int | None, *, now_ms: int) -> Finding:
    if seen_ms is None:
        return ok(
            SUBJECT,
            f"the age of {name} is unknown: it is seen for the first time, and counts from today",
        )
    age = timedelta(days=max(0, now_ms - seen_ms) // 86_400_000)
    if age > MAX_AGE:
        return warning(
            SUBJECT,
            f"{name} is {age.days} days old or older",
            "put a new one before it in the list, and take the old one out after expires_in",
        )
    return ok(SUBJECT, f"{name} is {age.days} days old or older; it is good for two years")


def _name(number: int, count: int) -> str:
    return "the secret" if count == 1 else f"secret {number} of {count}"


def _how_many(count: int) -> str:
    return "one, and it is" if count == 1 else f"{count}, and all are"


def _bits(text: str) -> float:
    """Return how many bits the characters would have if they were drawn by their own shares."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -len(text) * sum(share * math.log2(share) for share in shares)


def _longest_run(text: str) -> int:
    """Return the length of the longest row such as 'abcdef', '6543' or '1111'.

    >>> _longest_run("x1234y"), _longest_run("zaaaz")
    (4, 3)
    """
    longest = 0
    for step in (-1, 0, 1):
        length = 1
        for before, after in pairwise(text):
            length = length + 1 if ord(after) - ord(before) == step else 1
            longest = max(longest, length)
    return longest
