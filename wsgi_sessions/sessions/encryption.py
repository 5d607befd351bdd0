"""Encrypts what a browser keeps for us: AES-256-GCM, with a key of its own for each text."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from .signing import derive_key
from .tokens import SALT_BYTES, new_salt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = bytes(12)
"""No key is used twice, so the nonce may be the same (NIST SP 800-38D, section 8.2)."""


class Cipher:
    """Encrypts under a key derived from one secret; needs the package ``cryptography``.

    >>> cipher = Cipher("n" * 32, "example")
    >>> cipher.decrypt(cipher.encrypt(b"message"))
    b'message'
    """

    __slots__ = ("_key",)

    def __init__(self, secret: str, purpose: str, *, mixed_in: str = "") -> None:
        self._key = derive_key(secret, purpose, mixed_in=mixed_in)

    def encrypt(self, plain: bytes) -> bytes:
        salt = new_salt()
        return salt + self._with_key_for(salt).encrypt(_NONCE, plain, None)

    def decrypt(self, sealed: bytes) -> bytes:
        """Return the plain text. Raises ``ValueError`` for what was not encrypted with this key."""
        from cryptography.exceptions import InvalidTag

        salt, text = sealed[:SALT_BYTES], sealed[SALT_BYTES:]
        try:
            return self._with_key_for(salt).decrypt(_NONCE, text, None)
        except InvalidTag:
            raise ValueError("this was not encrypted with this key") from None

    def _with_key_for(self, salt: bytes) -> AESGCM:
        # Slow to import, and only needed where copies are encrypted.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self._key, salt, "sha256"))
