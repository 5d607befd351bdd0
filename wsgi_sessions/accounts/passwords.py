"""Passwords: normalised, hashed with argon2id and compared; never shown in a message."""

from __future__ import annotations

import base64
import os
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from ..config.parts import PasswordConfig
from ..errors import InvalidValueError, PasswordTooLongError, PasswordTooShortError, ServerBusyError
from ..fork_safety import notice_fork, renew_locks_in_child

# The time to normalise grows with the square of the length. At most four code points become one
# (Greek letters with three marks), so a text of more than four times the limit is too long anyway.
_MAX_COMPOSED_CHARACTERS = 4
_MAX_EXTRA_CHARACTERS = 1024
_ENCODED_HASH = re.compile(
    r"\$argon2(?:id|i|d)\$v=\d{1,3}\$m=\d{1,10},t=\d{1,10},p=\d{1,8}\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)


class PasswordHasher:
    """Hashes passwords, at most ``max_parallel`` at a time.

    ``max_waiting`` more may wait; any other is refused with ``ServerBusyError``. A password is
    brought into Unicode form NFKC first (NIST SP 800-63B, 5.1.1.2), so that the same keys pressed
    on another system make the same password.

    >>> cheap = PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1)
    >>> hasher = PasswordHasher(cheap)
    >>> stored = hasher.hash("correct horse")
    >>> hasher.verify(stored, "correct horse"), hasher.verify(stored, "correct house")
    (True, False)
    """

    __slots__ = ("__weakref__", "_argon2", "_config", "_decoy", "_places", "_queue")

    def __init__(self, config: PasswordConfig) -> None:
        self._config = config
        self._argon2 = argon2.PasswordHasher(
            time_cost=config.time_cost,
            memory_cost=config.memory_cost_kib,
            parallelism=config.parallelism,
            hash_len=config.hash_length,
            salt_len=config.salt_length,
        )
        self._decoy = _decoy_hash(config)
        self.renew_locks()
        renew_locks_in_child(self)

    def renew_locks(self) -> None:
        """Replace both semaphores by free ones: in a forked child nobody is hashing."""
        count = self._config.max_parallel or os.cpu_count() or 1
        self._places = threading.BoundedSemaphore(count)
        self._queue = threading.BoundedSemaphore(count + self._config.max_waiting)

    def check_length(self, password: object) -> None:
        """Check a new password; its length is counted in code points of its normal form.

        Raises ``PasswordTooShortError``, ``PasswordTooLongError``, or ``InvalidValueError`` for
        what is not text.
        """
        length = len(self._normal_form(password))
        if length < self._config.min_length:
            raise PasswordTooShortError(
                f"the password has {length} characters; "
                f"at least {self._config.min_length} are needed"
            )

    def check_text(self, password: object) -> None:
        """Raise ``InvalidValueError`` for a password that is not text."""
        _check_text(password)

    def hash(self, password: object) -> str:
        """Return the encoded argon2id hash of a password, with a salt of its own.

        Raises ``PasswordTooLongError``, ``InvalidValueError`` or ``ServerBusyError``.
        """
        secret = self._normal_form(password).encode()
        with self._place():
            return self._argon2.hash(secret)

    def verify(self, password_hash: str | None, password: object) -> bool:
        """Return whether a password is the one that was hashed.

        Without a hash (nobody has this e-mail address), or with one that is not argon2's, the
        answer is False after the same work, so that the time it takes says nothing. A hash that
        only looks like argon2's matches no password. A password longer than
        ``password.max_length`` matches no hash, and costs no work. Raises ``InvalidValueError``
        or ``ServerBusyError``.
        """
        try:
            secret = self._normal_form(password).encode()
        except PasswordTooLongError:
            return False
        usable = password_hash if _ENCODED_HASH.fullmatch(password_hash or "") else None
        with self._place():
            try:
                self._argon2.verify(usable or self._decoy, secret)
            except (VerificationError, InvalidHashError):
                return False
        return usable is not None

    def needs_rehash(self, password_hash: str) -> bool:
        return self._argon2.check_needs_rehash(password_hash)

    def _normal_form(self, password: object) -> str:
        """Return a password in NFKC; ``PasswordTooLongError`` before any work on a long text."""
        text = _check_text(password)
        most = self._config.max_length
        if len(text) <= min(most * _MAX_COMPOSED_CHARACTERS, most + _MAX_EXTRA_CHARACTERS):
            text = unicodedata.normalize("NFKC", text)
        if len(text) > most:
            raise PasswordTooLongError(
                f"the password has {len(text)} characters; at most {most} are taken"
            )
        return text

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Wait until fewer than ``max_parallel`` are hashing, if the queue is not full."""
        notice_fork()
        if not self._queue.acquire(blocking=False):
            raise ServerBusyError("too many passwords are being checked; try again in a moment")
        try:
            with self._places:
                yield
        finally:
            self._queue.release()

    def __repr__(self) -> str:
        return f"PasswordHasher({self._config!r})"


def _check_text(password: object) -> str:
    if not isinstance(password, str):
        raise InvalidValueError(f"a password is text, not {type(password).__name__}")
    try:
        password.encode()
    except UnicodeEncodeError:
        # Not chained: the exception would carry the password.
        raise InvalidValueError("the password holds half a character (a lone surrogate)") from None
    return password


def _decoy_hash(config: PasswordConfig) -> str:
    """Return a hash that no password has; making it costs no hashing."""
    salt, digest = (
        base64.b64encode(bytes(length)).rstrip(b"=").decode()
        for length in (config.salt_length, config.hash_length)
    )
    return (
        f"$argon2id$v={argon2.low_level.ARGON2_VERSION}$m={config.memory_cost_kib},"
        f"t={config.time_cost},p={config.parallelism}${salt}${digest}"
    )
