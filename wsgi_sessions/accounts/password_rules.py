"""Which new passwords are taken: long enough, not common, not made of the words around them.

NIST SP 800-63B-4, section 3.1.1.2, and OWASP ASVS 5.0, section 6.2.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from ..config.settings import SessionConfig
from ..errors import (
    PasswordCompromisedError,
    PasswordTooCommonError,
    PasswordTooShortError,
    PasswordTooSimilarError,
)
from ..events import Events
from ..sessions.tokens import new_id
from .passwords import PasswordHasher

_MIN_WORD_LENGTH = 4
_MAX_ADDED = 5
"""Digits and signs that make no other password of a common one: a year and a sign."""
_MARK = re.compile("[\u0300-\u036f]")
_LOOK_ALIKES = str.maketrans("01!|l3457$@", "oiiiieastsa")
_ROWS = (
    *["0123456789", "1234567890", "abcdefghijklmnopqrstuvwxyz"],
    *["qwertyuiop", "asdfghjkl", "zxcvbnm", "1q2w3e4r5t6y7u8i9o0p", "qazwsxedcrfvtgbyhnujmikolp"],
)
"""Of numbers, of letters, of keys."""


class PasswordRules:
    """Checks the passwords that people want to have from now on."""

    def __init__(self, config: SessionConfig, hasher: PasswordHasher, events: Events) -> None:
        self._config = config.password
        self._site_words = _words_of(*config.password.context_words, config.pages_title or "")
        self._hasher = hasher
        self._events = events
        self._is_service_down = False

    def check_new(self, password: object, *, email: str | None, name: str | None) -> None:
        """Check the password that the user with this e-mail address and name is to have.

        Raises ``InvalidValueError``, ``PasswordTooShortError``, ``PasswordTooLongError``,
        ``PasswordTooCommonError``, ``PasswordTooSimilarError`` or ``PasswordCompromisedError``.
        It may ask a service on the network: call it after the throttle, outside transactions.
        """
        text, length = self._hasher.normalize(password)
        least = self._config.min_length
        if length < least:
            raise PasswordTooShortError(least)
        if self._is_common(text):
            raise PasswordTooCommonError
        email = email or ""
        words = self._site_words | _words_of(name or "", email, email.partition("@")[0])
        rest = _without(words, text)
        if rest != text and (len(rest) < least or self._is_common(rest)):
            raise PasswordTooSimilarError
        if self._is_compromised(text):
            raise PasswordCompromisedError

    def _is_common(self, text: str) -> bool:
        """Return whether the whole text, or all but a few digits and signs, is on the list."""
        text = text.casefold()
        others = "".join({character for character in text if not character.isalpha()})
        signs = "".join({character for character in others if not character.isdigit()})
        cores = (text, text.strip(signs), text.rstrip(others), text.strip(others))
        return any(
            self._is_guessed_early(core) for core in cores if len(text) - len(core) <= _MAX_ADDED
        )

    def _is_guessed_early(self, text: str) -> bool:
        repeated = text[: (text + text).find(text, 1)]
        if len(repeated) < min(len(text), self._config.min_length):
            return True
        rows = [row * (len(repeated) // len(row) + 2) for row in _ROWS]
        return _fold(repeated) in _known_words() or any(
            way in row for row in rows for way in (repeated, repeated[::-1])
        )

    def _is_compromised(self, text: str) -> bool:
        if self._config.is_compromised is None:
            return False
        try:
            is_compromised = bool(self._config.is_compromised(text))
        except Exception as error:
            if not self._is_service_down:
                self._is_service_down = True
                # The message of the exception may hold the password.
                details = {"error": type(error).__name__}
                self._events.emit("breach_service_failed", details=details)
            return False
        self._is_service_down = False
        return is_compromised


@cache
def _known_words() -> frozenset[str]:
    """Return common passwords, and the words and names that are common passwords as well.

    The list has each word in one place alone, that where it is the most frequent.
    """
    # Costly to import (50 ms, 14 MiB), and only needed when a password is set.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    text = "\n".join(word for part in FREQUENCY_LISTS.values() for word in part)
    words = _fold(text).split("\n")
    return frozenset(word for word in words if len(word) >= _MIN_WORD_LENGTH)


def _words_of(*texts: str) -> frozenset[str]:
    """Return patterns of the texts, and of what they are made of: four letters or more."""
    found: set[str] = set()
    for text in texts:
        runs = re.findall(r"[^\W_]+", text)
        words = [*runs, *re.findall(r"[^\W\d_]+", text)]
        found |= {re.escape(_fold(word)) for word in words if len(word) >= _MIN_WORD_LENGTH}
        if len("".join(runs)) >= _MIN_WORD_LENGTH:
            between = r"[\W_]*"
            found |= {re.escape(_fold(text)), between.join(map(re.escape, map(_fold, runs)))}
    return frozenset(found)


def _without(words: frozenset[str], text: str) -> str:
    """Return what is left of a text when the words, longest first, are taken out of it."""
    if not words:
        return text
    # Python keeps patterns that were compiled lately: a comment makes this one new, so that the
    # time does not tell whose address was here before.
    any_word = f"(?#{new_id()})" + "|".join(sorted(words, key=len, reverse=True))
    folded = [_fold(character) for character in text]
    places = [place for place, part in enumerate(folded) for _ in part]
    taken = {
        place
        for found in re.finditer(any_word, "".join(folded))
        for place in places[found.start() : found.end()]
    }
    return "".join(text[place] for place in range(len(text)) if place not in taken)


def _fold(text: str) -> str:
    """Return a text without case and accents, and with letters for what looks like them.

    >>> _fold("Pässw0rd!") == _fold("PASSWORDI")
    True
    """
    if not text.isascii():
        text = _MARK.sub("", unicodedata.normalize("NFKD", text))
    return text.casefold().translate(_LOOK_ALIKES)
