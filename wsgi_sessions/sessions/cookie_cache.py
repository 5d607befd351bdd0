"""Seals and opens the signed, short-lived copy of session and user: the cookie cache.

Must not decide whether a copy is still allowed: limits are the policy's, revocations the
feed's. Session data is not in it, so what a request reads of that is never stale.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from ..clock import has_passed
from ..records import CachedCopy, SessionRecord, UserRecord
from .signing import KeyRing

__all__ = ["CookieCache"]

_MAX_TEXT = 4096


class CookieCache:
    """Writes and reads the text of the ``session_data`` cookie: ``<payload>.<signature>``.

    The key is derived from the server secret and a secret that the database keeps: a copy is
    good for one database only, and neither secret alone is enough to make one.
    """

    __slots__ = (
        "_clock_difference_ms",
        "_known_ring",
        "_max_age_ms",
        "_server_secrets",
        "_version",
    )

    def __init__(
        self,
        server_secrets: Sequence[str],
        *,
        version: str,
        max_age_ms: int,
        clock_difference_ms: int,
    ) -> None:
        self._server_secrets = tuple(server_secrets)
        self._version = version
        self._max_age_ms = max_age_ms
        self._clock_difference_ms = clock_difference_ms
        self._known_ring: tuple[str, KeyRing] | None = None

    def seal(
        self,
        session: SessionRecord,
        user: UserRecord | None,
        *,
        database_secret: str,
        token_text: str,
        issued_at_ms: int,
        ends_at_ms: int,
    ) -> str | None:
        """Return the copy that is good beside this token alone, or None if it can't be written.

        What can't be written is a user id that is no int, str or UUID, and an attribute of the
        application's own user model that JSON does not know.
        """
        user_id = _plain_id(session.user_id)
        if user_id is None and session.user_id is not None:
            return None
        payload = {
            "v": self._version,
            "t": _digest(token_text),
            "i": issued_at_ms,
            "e": ends_at_ms,
            "s": [session.id, user_id, *session[2:16]],
            "u": None if user is None else [user_id, *user[1:]],
        }
        try:
            text = urlsafe_b64encode(json.dumps(payload, separators=(",", ":")).encode())
        except (TypeError, ValueError):
            return None
        signature = urlsafe_b64encode(self._ring_for(database_secret).sign(text))
        return f"{text.decode()}.{signature.decode()}"

    def open(
        self, text: str, *, database_secret: str, token_text: str, now_ms: int
    ) -> CachedCopy | None:
        """Return what a copy says if we signed it for this token and it has not ended.

        Under the newest server secret: a token that an older one has signed is to be offered
        anew at once, which only a validated request does. A copy that would live for longer than
        ``max_age``, or was issued later than clocks differ, is void: no server whose clock is
        right has made it.
        """
        if len(text) > _MAX_TEXT or not text.isascii():
            return None
        payload_text, _, signature_text = text.encode().partition(b".")
        try:
            signature = urlsafe_b64decode(signature_text)
        except (binascii.Error, ValueError):
            return None
        if self._ring_for(database_secret).verify(payload_text, signature) != 0:
            return None
        # From here on the text is our own, though perhaps that of another release.
        try:
            payload = json.loads(urlsafe_b64decode(payload_text))
            if payload["v"] != self._version or payload["t"] != _digest(token_text):
                return None
            if has_passed(payload["e"], now_ms):
                return None
            if payload["e"] - payload["i"] > self._max_age_ms:
                return None
            if payload["i"] - now_ms > self._clock_difference_ms:
                return None
            session_id, user_id, *rest = payload["s"]
            session = SessionRecord._make(
                (session_id, _native_id(user_id), *rest, "", 0, None, None)
            )
            user = None
            if payload["u"] is not None:
                user = UserRecord(session.user_id, *payload["u"][1:])
            return CachedCopy(session, user, payload["i"], payload["e"])
        except (KeyError, TypeError, ValueError):
            return None

    def _ring_for(self, database_secret: str) -> KeyRing:
        known = self._known_ring
        if known is None or known[0] != database_secret:
            ring = KeyRing(self._server_secrets, "cookie cache v1", mixed_in=database_secret)
            self._known_ring = known = (database_secret, ring)
        return known[1]

    def __repr__(self) -> str:
        return f"CookieCache(version={self._version!r})"


def _digest(token_text: str) -> str:
    return urlsafe_b64encode(sha256(token_text.encode()).digest()[:18]).decode()


def _plain_id(user_id: Any) -> Any:
    if isinstance(user_id, UUID):
        return {"uuid": str(user_id)}
    return user_id if isinstance(user_id, (int, str)) else None


def _native_id(plain: Any) -> Any:
    return UUID(plain["uuid"]) if isinstance(plain, dict) else plain
