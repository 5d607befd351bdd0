"""Session tokens: made, signed and parsed. All randomness of the product is drawn here."""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

from ..memo import Memo
from ..records import PresentedToken
from .signing import KeyRing

_SECRET_BYTES = 24
_ID_BYTES = 18
_BRANCH_BYTES = 6
SALT_BYTES = 24
_FIRST_BIT = 0x80
_MAX_KNOWN_TOKENS = 4096
"""Of each manager in each process; they take some 3 MB."""

# 24 bytes are exactly 32 base64url characters, and 6 are 8, so no two texts decode to the same
# bytes. A generation has at most nine digits: a rotation a minute for nineteen centuries.
_TOKEN = re.compile(
    r"(v1\.([A-Za-z0-9_-]{32})\.(0|[1-9][0-9]{0,8})\.([A-Za-z0-9_-]{8}))\.([A-Za-z0-9_-]{32})"
)

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{24}")


def mint_secret() -> bytes:
    """Draw the 24 random bytes of a new session."""
    return secrets.token_bytes(_SECRET_BYTES)


def new_branch(*, is_catch_up: bool = False) -> str:
    """Draw what tells one offer from every other: 8 characters, 47 bits.

    The first bit says whether it was made for a browser that came with the token before.
    """
    drawn = bytearray(secrets.token_bytes(_BRANCH_BYTES))
    drawn[0] = drawn[0] | _FIRST_BIT if is_catch_up else drawn[0] & ~_FIRST_BIT
    return urlsafe_b64encode(drawn).decode()


def new_salt() -> bytes:
    """Draw what makes a key that is used for one text."""
    return secrets.token_bytes(SALT_BYTES)


def new_id() -> str:
    """Draw a public id of 24 characters (144 bits), for users and accounts."""
    return urlsafe_b64encode(secrets.token_bytes(_ID_BYTES)).decode()


def new_secret() -> str:
    """Draw a secret of a server, or of a database: 43 characters, 256 bits."""
    return secrets.token_urlsafe(32)


def session_id_from(secret: bytes) -> str:
    """Derive the public session id: 24 characters from which the secret can't be found.

    >>> session_id_from(bytes(24))
    'nZCOz7ayVt74tJp8UE5siJxL'
    """
    return urlsafe_b64encode(sha256(secret).digest()[:_ID_BYTES]).decode()


def is_session_id(value: object) -> bool:
    """Return whether a value can be the id of a session; anything may be given.

    What cannot be one must not reach the database: MariaDB compares 0 equal to most texts.

    >>> is_session_id("nZCOz7ayVt74tJp8UE5siJxL"), is_session_id(0), is_session_id("A" * 25)
    (True, False, False)
    """
    return isinstance(value, str) and _SESSION_ID.fullmatch(value) is not None


class TokenSigner:
    """Writes and reads session tokens: ``v1.<secret>.<generation>.<branch>.<signature>``.

    >>> signer = TokenSigner(["s" * 32])
    >>> text = signer.write(bytes(24), 7, "YnJhbmNo")
    >>> signer.read(text)
    PresentedToken(session_id='nZCOz7ayVt74tJp8UE5siJxL', generation=7)
    >>> signer.read(text.replace(".7.", ".8.")) is None
    True
    """

    __slots__ = ("_known", "_ring")

    def __init__(self, server_secrets: Sequence[str]) -> None:
        self._ring = KeyRing(server_secrets, "session token v1")
        self._known: Memo[str, PresentedToken] = Memo(_MAX_KNOWN_TOKENS)
        """Tokens that were verified: a browser sends the same one with every request."""

    def write(self, secret: bytes, generation: int, branch: str) -> str:
        """Return one token of a generation of a session, signed under the newest key."""
        signed = f"v1.{urlsafe_b64encode(secret).decode()}.{generation}.{branch}"
        signature = self._ring.sign_as_text(signed.encode())
        return f"{signed}.{signature}"

    def read(self, text: str) -> PresentedToken | None:
        """Return what a token says if we signed it, else None; any text may be given."""
        return self._known.get(text) or self._verify(text)

    def _verify(self, text: str) -> PresentedToken | None:
        match = _TOKEN.fullmatch(text)
        if match is None:
            return None
        signed, encoded_secret, digits, branch, encoded_signature = match.groups()
        key_position = self._ring.verify(signed.encode(), urlsafe_b64decode(encoded_signature))
        if key_position is None:
            return None
        secret = urlsafe_b64decode(encoded_secret)
        token = PresentedToken(
            session_id_from(secret), int(digits), branch, secret, text, key_position == 0
        )
        # What nobody signed is not kept, so it drives nothing out.
        self._known.keep(text, token)
        return token
