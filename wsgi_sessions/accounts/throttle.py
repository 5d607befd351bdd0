"""Limits how often passwords are tried, by address and by account, counted in the database.

Addresses and e-mail addresses are stored as SHA-256 alone.
"""

from __future__ import annotations

import hashlib
import ipaddress
import threading
from collections.abc import Sequence

from ..clock import has_passed
from ..config.parts import ThrottleConfig
from ..errors import TooManyTriesError
from ..fork_safety import notice_fork, renew_locks_in_child
from ..storage.store import Store

# An internet provider usually gives one customer a /64 or more (RFC 6177).
_IPV6_PREFIX = 64


class Throttle:
    """Allows ``tries`` attempts in any ``window``, over all processes.

    An attempt counted within the application's transaction is rolled back with it, as often
    happens after a wrong password. So there this process counts in memory as well.
    """

    __slots__ = ("__weakref__", "_clock_difference_ms", "_config", "_lock", "_noted", "_store")

    def __init__(
        self, store: Store, config: ThrottleConfig | None, *, clock_difference_ms: int = 30_000
    ) -> None:
        """``clock_difference_ms``: attempts further in the future are of a wrong clock."""
        self._store = store
        self._config = config
        self._clock_difference_ms = clock_difference_ms
        self._noted: dict[str, list[int]] = {}
        self.renew_locks()
        renew_locks_in_child(self)

    def renew_locks(self) -> None:
        """Replace the lock by a free one: in a forked child nobody is counting."""
        self._lock = threading.Lock()

    def check(self, address: str | None, account: str, *, now_ms: int) -> None:
        """Count an attempt, or raise ``TooManyTriesError`` when it is one too many.

        ``address`` None (a unix socket) is not counted. A refused attempt leaves no row, so
        repeating it neither grows the table nor prolongs the wait.
        """
        if self._config is None:
            return
        keys = throttle_keys(address, account)
        for key in keys:
            self._refuse_above(self._config.tries - 1, key, now_ms=now_ms)
        for key in keys:
            self._store.attempts.insert(key, now_ms)
        if self._store.is_within_app_transaction:
            self._note(keys, now_ms)
        # Attempts at the same moment were all below the limit; now each counts the others.
        for key in keys:
            self._refuse_above(self._config.tries, key, now_ms=now_ms)

    def _refuse_above(self, limit: int, key: str, *, now_ms: int) -> None:
        assert self._config is not None
        window_ms = self._config.window_ms
        # An attempt of exactly a window ago no longer counts, as with every deadline.
        count, oldest_ms = self._store.attempts.count(
            key, now_ms - window_ms, until_ms=now_ms + self._clock_difference_ms
        )
        noted = self._still_noted(key, now_ms)
        if len(noted) > count:
            count, oldest_ms = len(noted), min(noted)
        if count > limit:
            wait_ms = (now_ms if oldest_ms is None else oldest_ms) + window_ms - now_ms
            raise TooManyTriesError(max(1, -(-wait_ms // 1000)))

    def _note(self, keys: Sequence[str], now_ms: int) -> None:
        notice_fork()
        with self._lock:
            for key in list(self._noted):
                self._noted[key] = self._still_noted(key, now_ms)
                if not self._noted[key]:
                    del self._noted[key]
            for key in keys:
                self._noted.setdefault(key, []).append(now_ms)

    def _still_noted(self, key: str, now_ms: int) -> list[int]:
        assert self._config is not None
        window_ms = self._config.window_ms
        return [
            at_ms
            for at_ms in self._noted.get(key, ())
            if not has_passed(at_ms + window_ms, now_ms)
            and at_ms <= now_ms + self._clock_difference_ms
        ]


def throttle_keys(address: str | None, account: str) -> tuple[str, ...]:
    """Return the keys under which an attempt counts.

    All addresses of an IPv6 /64 share one.

    >>> throttle_keys("2001:db8::1", "a") == throttle_keys("2001:db8::2", "a")
    True
    >>> throttle_keys("192.0.2.1", "a") == throttle_keys("192.0.2.2", "a")
    False
    >>> len(throttle_keys(None, "a"))
    1
    """
    keys = (_digest(f"account:{account}"),)
    if address is None:
        return keys
    return (_digest(f"address:{_network_of(address)}"), *keys)


def _network_of(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed.packed, _IPV6_PREFIX), strict=False))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
