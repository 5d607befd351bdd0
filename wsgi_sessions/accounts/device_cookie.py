"""The device cookie: it tells a browser that has signed in here before (OWASP, "device cookies").

It gives no access. It spares its browser the limits that strangers can use up, each for the
accounts that signed in there, and has a limit of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..clock import has_passed
from ..sessions.signing import KeyRing
from ..sessions.tokens import new_id

MAX_ACCOUNTS = 5
"""How many accounts one browser is known for, those of the latest sign-ins."""

# The id, when it was made, and the signatures over both alone and together with the account.
_ENTRY = r"([A-Za-z0-9_-]{24})\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{32})\.([A-Za-z0-9_-]{32})"


class _Entry(NamedTuple):
    """One sign-in of one account, and its signatures."""

    id: str
    made_at_s: int
    text: str
    of_browser: str
    of_account: str

    def signed(self, account: str | None) -> bytes:
        return _signed(self.id, self.made_at_s, account)


class DeviceCookies:
    """Makes and reads the values of device cookies.

    The account is in a signature alone, so the value says nothing about who it is.

    >>> devices = DeviceCookies(["s" * 32], lifetime_ms=1000)
    >>> text = devices.remember((), "ada@example.org", now_ms=1_700_000_000_000)
    >>> devices.find([text], "ada@example.org", now_ms=1_700_000_000_999) == text[:24]
    True
    >>> devices.find([text], "eve@example.org", now_ms=1_700_000_000_999) is None
    True
    """

    __slots__ = ("_lifetime_ms", "_ring")

    def __init__(self, server_secrets: Sequence[str], *, lifetime_ms: int) -> None:
        self._ring = KeyRing(server_secrets, "device cookie v1")
        self._lifetime_ms = lifetime_ms

    def find(self, texts: Sequence[str], account: str | None, *, now_ms: int) -> str | None:
        """Return the id under which an account is known here; None if it is not.

        With None for the account: that of any account.
        """
        for entry in self._entries(texts, now_ms):
            signature = entry.of_browser if account is None else entry.of_account
            if self._ring.has_signed(entry.signed(account), signature):
                return entry.id
        return None

    def remember(self, texts: Sequence[str], account: str, *, now_ms: int) -> str:
        """Return the value that makes a browser known for an account, and those of before.

        Each sign-in gets an id of its own: what others have tried with a copy of the cookie is
        not held against it.
        """
        device_id, made_at_s = new_id(), now_ms // 1000
        signatures = [
            self._ring.sign_as_text(_signed(device_id, made_at_s, each)) for each in (None, account)
        ]
        own = ".".join([device_id, str(made_at_s), *signatures])
        others = [
            entry.text
            for entry in self._entries(texts, now_ms)
            if self._ring.has_signed(entry.signed(None), entry.of_browser)
            and not self._ring.has_signed(entry.signed(account), entry.of_account)
        ]
        return "~".join([own, *others][:MAX_ACCOUNTS])

    def _entries(self, texts: Sequence[str], now_ms: int) -> Iterator[_Entry]:
        for text in texts:
            for part in text.split("~", MAX_ACCOUNTS)[:MAX_ACCOUNTS]:
                found = re.fullmatch(_ENTRY, part)
                if found is None or has_passed(int(found[2]) * 1000 + self._lifetime_ms, now_ms):
                    continue
                yield _Entry(found[1], int(found[2]), part, found[3], found[4])


def _signed(device_id: str, made_at_s: int, account: str | None) -> bytes:
    text = f"{device_id}.{made_at_s}" if account is None else f"{device_id}.{made_at_s}.{account}"
    return text.encode("utf-8", "surrogatepass")
