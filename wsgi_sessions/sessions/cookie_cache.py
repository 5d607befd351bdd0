"""The cookie cache: writes and reads the signed, short-lived copy of session and user.

Session data is not in it, so a request never reads stale data.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from ..config.settings import SessionConfig
from ..light_dataclasses import dataclass
from ..memo import Memo
from ..records import CachedCopy, SessionRecord, UserRecord
from .encryption import Cipher
from .policy import first_limit_ms
from .signing import KeyRing

_MAX_COPY_CHARACTERS = 4096
_MAX_OPENED_COPIES = 1024
"""Of each manager in each process; they take some 3 MB, and 8 MB at most."""
_NOT_COPIED = {"id", "user_id", "data", "data_version", "ended_at_ms", "end_reason"} | {
    "provider_sid",
    "last_ip_address",
    "last_user_agent",
}
_SESSION_FIELDS = [name for name in SessionRecord._fields if name not in _NOT_COPIED]
_USER_FIELDS = [name for name in UserRecord._fields if name not in _NOT_COPIED]
"""In the order of the copy, after the ids. A copy is kept short, so it holds no names."""

_session_values = attrgetter(*_SESSION_FIELDS)
_user_values = attrgetter(*_USER_FIELDS)


@dataclass(slots=True, eq=False, repr=False)
class _Opened:
    """A copy of ours, and the digest of the token that it is for; its text, once one was."""

    copy: CachedCopy
    token_digest: str
    token_text: str | None = None


class _Keys(NamedTuple):
    """The keys for one database; ``cipher`` is None where copies are signed alone.

    ``opened`` are the copies that were opened with them: a browser sends the same one with every
    request. Whether one has ended, and is revoked, is asked each time.
    """

    database_secret: str
    ring: KeyRing
    cipher: Cipher | None
    opened: Memo[str, _Opened]


class CookieCache:
    """Writes and reads the text of the ``session_data`` cookie: ``<payload>.<signature>``.

    With ``cookie_cache.encrypt`` the payload is encrypted. The keys are derived from the server
    secret and a secret kept in the database: a copy is valid for one database only, and neither
    secret alone is enough to make one.
    """

    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        self._known_keys: _Keys | None = None

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
        """Return a copy that is valid beside this token alone, or None if it can't be written.

        What can't be written is a user id that is no int, str or UUID, and an attribute of the
        application's own user model that JSON can't hold.
        """
        user_id = _plain_id(session.user_id)
        if user_id is None and session.user_id is not None:
            return None
        payload = {
            "v": self._config.cookie_cache.version,
            "t": _digest(token_text),
            "i": issued_at_ms,
            "e": ends_at_ms,
            "s": [session.id, user_id, *_session_values(session)],
            "u": None if user is None else [user_id, *_user_values(user)],
        }
        keys = self._keys_for(database_secret)
        try:
            plain = json.dumps(payload, separators=(",", ":")).encode()
        except (TypeError, ValueError):
            return None
        text = urlsafe_b64encode(plain if keys.cipher is None else keys.cipher.encrypt(plain))
        return f"{text.decode()}.{keys.ring.sign_as_text(text)}"

    def open(
        self, text: str, *, database_secret: str, token_text: str, now_ms: int
    ) -> CachedCopy | None:
        """Return what a copy says if we signed it for this token and it has not ended.

        Only the newest server secret counts: a token signed with an older one must be sent anew
        at once, which only a validated request does. A copy that would live for longer than
        ``max_age``, or was issued later than clocks may differ, is void: it was made by a server
        whose clock was wrong.
        """
        keys = self._known_keys
        if keys is None or keys.database_secret != database_secret:
            keys = self._keys_for(database_secret)
        opened = keys.opened.get(text)
        if opened is None:
            opened = self._read(text, keys)
            if opened is None:
                return None
            # Only what is ours is kept, so nothing else drives it out.
            keys.opened.keep(text, opened)
        copy = opened.copy
        if opened.token_text != token_text:
            if opened.token_digest != _digest(token_text):
                return None
            opened.token_text = token_text
        earliest_ms = copy.issued_at_ms - self._config.clock_difference_ms
        return copy if earliest_ms <= now_ms < copy.ends_at_ms else None

    def _read(self, text: str, keys: _Keys) -> _Opened | None:
        """Return what a copy of ours says, though it may be of another release."""
        payload_text, signed_by = self._verify(text, keys)
        if signed_by != 0:
            return None
        settings = self._config.cookie_cache
        try:
            plain = urlsafe_b64decode(payload_text)
            payload = json.loads(plain if keys.cipher is None else keys.cipher.decrypt(plain))
            if (
                payload["v"] != settings.version
                or payload["e"] - payload["i"] > settings.max_age_ms
            ):
                return None
            session_id, plain_id, *values = payload["s"]
            user_id = _native_id(plain_id)
            session = SessionRecord(
                id=session_id,
                user_id=user_id,
                data="",
                data_version=0,
                ended_at_ms=None,
                end_reason=None,
                **dict(zip(_SESSION_FIELDS, values, strict=True)),
            )
            user = None
            if payload["u"] is not None:
                _, *values = payload["u"]
                user = UserRecord(user_id, **dict(zip(_USER_FIELDS, values, strict=True)))
            # Not beyond what the settings allow now, should they have changed since.
            ends_at_ms = min(payload["e"], first_limit_ms(session, config=self._config))
            copy = CachedCopy(session, user, payload["i"], ends_at_ms)
            return _Opened(copy, payload["t"])
        except (KeyError, TypeError, ValueError):
            return None

    def is_signed(self, text: str, *, database_secret: str) -> bool:
        """Return whether a copy was signed here, by whichever secret and however long ago."""
        return self._verify(text, self._keys_for(database_secret))[1] is not None

    def _verify(self, text: str, keys: _Keys) -> tuple[bytes, int | None]:
        """Return a copy's payload, and the position of the secret that signed it, if one did."""
        if len(text) > _MAX_COPY_CHARACTERS or not text.isascii():
            return b"", None
        payload_text, _, signature_text = text.encode().partition(b".")
        try:
            signature = urlsafe_b64decode(signature_text)
        except (binascii.Error, ValueError):
            return b"", None
        return payload_text, keys.ring.verify(payload_text, signature)

    def _keys_for(self, database_secret: str) -> _Keys:
        known = self._known_keys
        if known is None or known.database_secret != database_secret:
            secrets, is_encrypted = self._config.secret, self._config.cookie_cache.encrypt
            # Under another name, so that no copy of the other kind is taken.
            purpose = "encrypted cookie cache v1" if is_encrypted else "cookie cache v1"
            ring = KeyRing(secrets, purpose, mixed_in=database_secret)
            cipher = None
            if is_encrypted:
                cipher = Cipher(secrets[0], "cookie cache key v1", mixed_in=database_secret)
            self._known_keys = known = _Keys(
                database_secret, ring, cipher, Memo(_MAX_OPENED_COPIES)
            )
        return known


def _digest(token_text: str) -> str:
    return urlsafe_b64encode(sha256(token_text.encode()).digest()[:18]).decode()


def _plain_id(user_id: Any) -> Any:
    if isinstance(user_id, UUID):
        return {"uuid": str(user_id)}
    return user_id if isinstance(user_id, (int, str)) else None


def _native_id(plain: Any) -> Any:
    return UUID(plain["uuid"]) if isinstance(plain, dict) else plain
