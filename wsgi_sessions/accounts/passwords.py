"""Passwords: normalised, hashed with argon2id and compared; never shown in a message."""

from __future__ import annotations

import base64
import os
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import argon2

from ..clock import monotonic_seconds
from ..config.parts import PasswordConfig
from ..errors import InvalidValueError, PasswordTooLongError, ServerBusyError
from ..fork_safety import notice_fork, renew_locks_in_child
from ..storage.time_budget import left_ms
from .foreign_hashes import Check, UnusableHashError, check_argon2, read_hash

# The time to normalise grows with the square of the length. At most four code points become one
# (Greek letters with three marks), so a text of more than four times the limit is too long anyway.
_MAX_COMPOSED_CHARACTERS = 4
_MAX_EXTRA_CHARACTERS = 1024
_NO_PASSWORD = ("!", "*")
"""What stands for no password begins so, in Django and in Unix."""


class Verdict(NamedTuple):
    """Whether a password is the one that was hashed.

    ``new_hash`` takes the place of a hash that is not made as today's are; ``unusable`` is why a
    stored hash could not be compared.
    """

    matches: bool
    new_hash: str | None = None
    unusable: str | None = None


class PasswordHasher:
    """Hashes passwords, at most ``max_parallel`` at a time.

    ``max_waiting`` more may wait; any other is refused with ``ServerBusyError``. A password is
    brought into Unicode form NFKC first (NIST SP 800-63B, 5.1.1.2), so that the same keys pressed
    on another system make the same password.

    >>> cheap = PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1)
    >>> hasher = PasswordHasher(cheap)
    >>> stored = hasher.hash("correct horse")
    >>> hasher.verify(stored, "correct horse").matches
    True
    >>> hasher.verify(stored, "correct house").matches
    False
    """

    __slots__ = (
        "__weakref__",
        "_argon2",
        "_config",
        "_decoy",
        "_decoy_hash",
        "_other_work",
        "_patience_ms",
        "_places",
        "_queue",
        "watch",
    )

    def __init__(self, config: PasswordConfig, *, patience_ms: int = 5000) -> None:
        """``patience_ms``: how long a password waits to be hashed, where no request says it."""
        self._config = config
        self._patience_ms = patience_ms
        self.watch: Callable[[float, float | None], object] | None = None
        """Is told how long each password waited, and was hashed; None if it was refused."""
        self._argon2 = argon2.PasswordHasher(
            time_cost=config.time_cost,
            memory_cost=config.memory_cost_kib,
            parallelism=config.parallelism,
            hash_len=config.hash_length,
            salt_len=config.salt_length,
        )
        self._decoy_hash = _decoy_hash(config)
        self._decoy = check_argon2(self._decoy_hash)
        self._other_work: Check | None = None
        self.renew_locks()
        renew_locks_in_child(self)

    def renew_locks(self) -> None:
        """Replace both semaphores by free ones: in a forked child nobody is hashing."""
        count = self._config.max_parallel or os.cpu_count() or 1
        self._places = threading.BoundedSemaphore(count)
        self._queue = threading.BoundedSemaphore(count + self._config.max_waiting)

    def check_text(self, password: object) -> None:
        """Raise ``InvalidValueError`` for a password that is not text."""
        _check_text(password)

    def normalize(self, password: object) -> tuple[str, int]:
        """Return a password in NFKC, and how many characters it has.

        A character is a code point, as typed or in NFKC, whichever are fewer: so neither a letter
        typed with its accents apart, nor a sign that NFKC spells out, is counted as several.
        Raises ``InvalidValueError``, or ``PasswordTooLongError`` before any work on a long text.
        """
        text = _check_text(password)
        length, most = len(text), self._config.max_length
        if length <= min(most * _MAX_COMPOSED_CHARACTERS, most + _MAX_EXTRA_CHARACTERS):
            text = unicodedata.normalize("NFKC", text)
            length = min(length, len(text))
        if length > most:
            raise PasswordTooLongError(most)
        return text, length

    def hash(self, password: object) -> str:
        """Return the encoded argon2id hash of a password, with a salt of its own.

        Raises ``PasswordTooLongError``, ``InvalidValueError`` or ``ServerBusyError``.
        """
        secret = self.normalize(password)[0].encode()
        with self._place():
            return self._argon2.hash(secret)

    def verify(self, password_hash: str | None, password: str) -> Verdict:
        """Compare a password with a hash: ours, or one that ``foreign_hashes`` can read.

        The time that a wrong one takes says nothing. Without a hash (nobody has this e-mail
        address), or with one that can't be compared, the work of one of ours is done. For a hash
        that is made in another way its work is added, and from then on to any other failure.
        A password longer than ``password.max_length`` matches no hash, and costs no work. Raises
        ``InvalidValueError`` or ``ServerBusyError``.
        """
        try:
            text, _ = self.normalize(password)
        except PasswordTooLongError:
            return Verdict(False)
        # Others hash what was typed.
        secrets = tuple(dict.fromkeys((text.encode(), password.encode())))
        if not password_hash or password_hash.startswith(_NO_PASSWORD):
            password_hash = self._decoy_hash
        is_ours = self._is_ours(password_hash)
        check, unusable = self._read(password_hash, is_ours=is_ours)
        works = (check, self._other_work) if is_ours else (check or self._other_work, self._decoy)
        if check is not None and not is_ours:
            self._other_work = check
        with self._place():
            for work in filter(None, works):
                for secret in secrets:
                    if work(secret) and work is check:
                        is_due = not is_ours or secret != secrets[0]
                        return Verdict(True, self._argon2.hash(secrets[0]) if is_due else None)
        return Verdict(False, unusable=unusable)

    def _read(self, password_hash: str, *, is_ours: bool) -> tuple[Check | None, str | None]:
        """Return what compares passwords with a hash, or why nothing can."""
        if is_ours:
            return check_argon2(password_hash), None
        try:
            return read_hash(password_hash), None
        except UnusableHashError as error:
            return None, error.why

    def _is_ours(self, password_hash: str) -> bool:
        """Return whether a hash has the parameters that a new one would have."""
        parameters = self._decoy_hash.rpartition("$")[0].rpartition("$")[0] + "$"
        is_as_long = len(password_hash) == len(self._decoy_hash)
        return is_as_long and password_hash.startswith(parameters)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Wait until fewer than ``max_parallel`` are hashing, if the queue is not full.

        No longer than the request may still wait for the database: it is one wait to the client.
        """
        notice_fork()
        places, queue, patience_ms = self._places, self._queue, left_ms()
        if patience_ms is None:
            patience_ms = self._patience_ms
        began = monotonic_seconds()
        if not queue.acquire(blocking=False):
            self._tell(began, None)
            raise ServerBusyError
        try:
            if not places.acquire(timeout=patience_ms / 1000):
                self._tell(began, None)
                raise ServerBusyError
            its_turn = monotonic_seconds()
            try:
                yield
            finally:
                places.release()
                self._tell(began, its_turn)
        finally:
            queue.release()

    def _tell(self, began: float, its_turn: float | None) -> None:
        if self.watch is not None:
            now = monotonic_seconds()
            if its_turn is None:
                self.watch(now - began, None)
            else:
                self.watch(its_turn - began, now - its_turn)

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
