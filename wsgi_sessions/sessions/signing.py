"""The key ring: the newest secret signs, each configured one verifies, each purpose has its key."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

SIGNATURE_BYTES = 24
"""HMAC-SHA-256 cut to 192 bits: RFC 2104 section 5 allows any cut of at least half."""


def derive_key(secret: str, purpose: str, *, mixed_in: str = "") -> bytes:
    """Return the 32-byte key of a configured secret for one purpose."""
    label = b"wsgi-sessions/" + purpose.encode()
    if mixed_in:
        label += b"\0" + mixed_in.encode()
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), label, "sha256")


class KeyRing:
    """Keys for one purpose, derived from the configured secrets.

    ``secrets`` is newest first, as in ``SessionConfig.secret``. Rings with different
    purposes never accept each other's signatures, nor do rings with different ``mixed_in``: it
    is part of the key, so the server secret alone is not enough to sign for such a ring.

    >>> ring = KeyRing(["n" * 32, "o" * 32], "example")
    >>> ring.verify(b"message", ring.sign(b"message"))
    0
    >>> ring.verify(b"message", KeyRing(["o" * 32], "example").sign(b"message"))
    1
    >>> ring.verify(b"another", ring.sign(b"message")) is None
    True
    """

    __slots__ = ("_keys",)

    def __init__(self, secrets: Sequence[str], purpose: str, *, mixed_in: str = "") -> None:
        # Each message gets a copy of the keyed HMAC, which takes a third of the time of a new one.
        self._keys = tuple(
            hmac.new(derive_key(secret, purpose, mixed_in=mixed_in), digestmod="sha256")
            for secret in secrets
        )

    def sign(self, message: bytes) -> bytes:
        """Return the 24-byte signature of a message under the newest key."""
        return _sign_with(self._keys[0], message)

    def verify(self, message: bytes, signature: bytes) -> int | None:
        """Return the position of the key that made the signature (0 is the newest), or None.

        Every comparison takes constant time.
        """
        for position, key in enumerate(self._keys):
            if hmac.compare_digest(_sign_with(key, message), signature):
                return position
        return None

    def sign_as_text(self, message: bytes) -> str:
        """Return the signature of a message under the newest key, as 32 characters of base64url."""
        return urlsafe_b64encode(self.sign(message)).decode()

    def has_signed(self, message: bytes, text: str) -> bool:
        """Return whether a text is the signature of a message, by whichever key."""
        try:
            signature = urlsafe_b64decode(text)
        except ValueError:
            return False
        return self.verify(message, signature) is not None

    def __repr__(self) -> str:
        return f"KeyRing(<{len(self._keys)} keys>)"


def _sign_with(key: hmac.HMAC, message: bytes) -> bytes:
    started = key.copy()
    started.update(message)
    return started.digest()[:SIGNATURE_BYTES]
