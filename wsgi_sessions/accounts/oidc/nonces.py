"""Nonces that bind an ID token to the browser that asked for it (OpenID Connect Core, 15.5.2).

A cookie holds a random key of the browser, and each nonce is signed over it. A token with such
a nonce is good in this browser alone; nothing is kept here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...clock import has_passed
from ...sessions.signing import KeyRing
from ...sessions.tokens import new_id

LIFETIME_MS = 3_600_000
"""As long as somebody may take to sign in at the provider, from the nonce to the token."""

_PREFIX = "wsn1."
_NONCE = r"(wsn1\.[A-Za-z0-9_-]{24}\.([1-9][0-9]{0,11}))\.([A-Za-z0-9_-]{32})"
_KEY = r"[A-Za-z0-9_-]{24}"


class Nonces:
    """
    >>> nonces = Nonces(["s" * 32])
    >>> key, nonce = nonces.make("corp", (), now_ms=1_700_000_000_000)
    >>> nonces.is_of_browser(nonce, "corp", (key,), now_ms=1_700_000_000_000)
    True
    >>> nonces.is_of_browser(nonce, "corp", ("A" * 24,), now_ms=1_700_000_000_000)
    False
    """

    __slots__ = ("_ring",)

    def __init__(self, server_secrets: Sequence[str]) -> None:
        self._ring = KeyRing(server_secrets, "ID token nonce v1")

    def make(
        self, provider_name: str, browser_keys: Sequence[str], *, now_ms: int
    ) -> tuple[str, str]:
        """Return the browser's key, the one that it has or a new one, and a nonce for it."""
        key = next((key for key in browser_keys if re.fullmatch(_KEY, key)), None) or new_id()
        start = f"{_PREFIX}{new_id()}.{now_ms // 1000}"
        return key, f"{start}.{self._ring.sign_as_text(_signed(start, provider_name, key))}"

    def is_of_browser(
        self, nonce: str, provider_name: str, browser_keys: Sequence[str], *, now_ms: int
    ) -> bool:
        """Return whether a nonce was made for a browser with one of some keys, lately."""
        found = re.fullmatch(_NONCE, nonce)
        if found is None or has_passed(int(found[2]) * 1000 + LIFETIME_MS, now_ms):
            return False
        return any(
            self._ring.has_signed(_signed(found[1], provider_name, key), found[3])
            for key in browser_keys
            if re.fullmatch(_KEY, key)
        )


def is_from_a_server_of_ours(nonce: str) -> bool:
    """Return whether a nonce has the form of those made here; it may be forged or over."""
    return nonce.startswith(_PREFIX)


def _signed(start: str, provider_name: str, key: str) -> bytes:
    return f"{start}.{provider_name}.{key}".encode()
