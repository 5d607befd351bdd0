"""Limits how often passwords are guessed and users made, counted in the database.

Networks, accounts and devices are stored as SHA-256 alone. Why each limit is there stands in
``docs/how-to/throttling.md``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from ..clock import has_passed
from ..config.settings import SessionConfig
from ..errors import (
    InvalidCredentialsError,
    InvalidIdTokenError,
    InvalidPasswordError,
    StoreUnavailableError,
    TooManyTriesError,
)
from ..events import Events
from ..fork_safety import notice_fork, renew_locks_in_child
from ..records import RequestFacts
from ..sessions.tokens import new_id
from ..storage.store import Store
from .device_cookie import DeviceCookies

_FAILURES = (InvalidCredentialsError, InvalidPasswordError, InvalidIdTokenError)
_MOMENT_SECONDS = 1

Limits = Mapping[str, int]
"""How many attempts may be noted under each key within the window."""


class Throttle:
    """Allows so many attempts in any ``throttle.window``, over all processes.

    An attempt is noted before it is made, or parallel ones would all pass before the first has
    failed. A refused one leaves no row, so repeating it neither grows the table nor prolongs the
    wait. One noted within the application's transaction is rolled back with it, as often happens
    after a wrong password: there this process counts in memory as well.
    """

    __slots__ = (
        "__weakref__",
        "_clock_difference_ms",
        "_config",
        "_devices",
        "_events",
        "_lock",
        "_noted",
        "_store",
    )

    def __init__(
        self, store: Store, config: SessionConfig, events: Events, devices: DeviceCookies
    ) -> None:
        self._store = store
        self._config = config.throttle
        # Attempts further in the future are of a wrong clock.
        self._clock_difference_ms = config.clock_difference_ms
        self._events = events
        self._devices = devices
        self._noted: dict[str, list[int]] = {}
        self.renew_locks()
        renew_locks_in_child(self)

    def renew_locks(self) -> None:
        """Replace the lock by a free one: in a forked child nobody is counting."""
        self._lock = threading.Lock()

    def count(
        self, kind: str, *, address: str | None, account: str | None = None, now_ms: int
    ) -> None:
        """Count an action, or raise ``TooManyTriesError`` and report it.

        For what is counted whether it succeeds or not: a sign-up, a mail that is asked for, a
        one-time token that is presented. Each ``kind``, a word, is counted by itself: by network
        (``throttle.sign_ups``), and with ``account``, the normal e-mail address that a mail goes
        to, by that as well, whoever asks (``throttle.mails_per_address``). ``address`` None (a
        unix socket, a script) is not counted.
        """
        if self._config is None:
            return
        limits: dict[str, int] = {}
        if address is not None:
            limits[_key(kind, "network", _networks_of(address)[-1])] = self._config.sign_ups
        if account is not None:
            limits[_key(kind, "account", account)] = self._config.mails_per_address
        if limits:
            self._note_attempt([limits], address=address, now_ms=now_ms)

    @contextmanager
    def counting_failures(
        self, account: str | None, *, facts: RequestFacts, now_ms: int
    ) -> Iterator[None]:
        """Count a try to prove who one is, if the block fails for a wrong password or ID token.

        Raises ``TooManyTriesError``, and reports it, before the block. Without ``account`` it is
        not known yet whose try it is. A session in ``facts`` is a live one of the account.
        """
        choices = self._limits_of_failures(account, facts=facts, now_ms=now_ms)
        if not choices:
            yield
            return
        take_back = self._note_attempt(choices, address=facts.address, now_ms=now_ms)
        try:
            yield
        except _FAILURES:
            raise
        except BaseException:
            take_back()
            raise
        take_back()

    def _limits_of_failures(
        self, account: str | None, *, facts: RequestFacts, now_ms: int
    ) -> Sequence[Limits]:
        """Return the limits of a known device, and then those of anybody; one of them is enough."""
        config = self._config
        if config is None:
            return ()
        if facts.session_id is not None:
            return ({_key("session", facts.session_id): config.tries},)
        of_device: dict[str, int] = {}
        device_id = self._devices.find(facts.device_cookies, account, now_ms=now_ms)
        if device_id is not None:
            of_device = {_key("device", device_id): config.tries}
            if account is not None:
                # Whoever knew the password once can hold as many cookies as they like.
                of_device[_key("devices", account)] = config.account_tries
        return tuple(filter(None, (of_device, self._limits_of_strangers(account, facts.address))))

    def _limits_of_strangers(self, account: str | None, address: str | None) -> Limits:
        config = self._config
        assert config is not None
        limits: dict[str, int] = {}
        networks = _networks_of(address)
        # Without an address, all would count as one network.
        if address is not None:
            kind = "ID tokens" if account is None else "passwords"
            most = (config.network_tries, config.wide_network_tries)
            limits |= {
                _key(kind, "network", network): count
                for network, count in zip(networks, most, strict=False)
            }
        if account is not None:
            limits[_key("account", account, networks[-1])] = config.tries
            limits[_key("account", account)] = config.account_tries
        return limits

    def _note_attempt(
        self, choices: Sequence[Limits], *, address: str | None, now_ms: int
    ) -> Callable[[], None]:
        """Note an attempt under the first limits that are open, and return what takes it back.

        If none are it is refused, and that reported.
        """
        waits_s: list[int] = []
        for limits in choices:
            wait_s = self._seconds_to_wait(limits, taken=1, now_ms=now_ms)
            if not wait_s:
                take_back = self._insert(limits, now_ms)
                # Attempts at the same moment were all below the limit; now each counts the
                # others, some of which may be taken back.
                if not self._seconds_to_wait(limits, taken=0, now_ms=now_ms):
                    return take_back
                take_back()
                wait_s = _MOMENT_SECONDS
            waits_s.append(wait_s)
        wait_s = min(waits_s)
        self._events.emit("throttled", address=address, details={"retry_after_seconds": wait_s})
        raise TooManyTriesError(wait_s)

    def _insert(self, limits: Limits, now_ms: int) -> Callable[[], None]:
        # In one order, so that no two attempts wait for each other.
        keys, attempt_id = sorted(limits), new_id()

        def take_back() -> None:
            self._forget(keys, now_ms)
            # The attempt itself is over: at worst it counts as a failure.
            with suppress(StoreUnavailableError):
                self._store.attempts.delete(attempt_id)

        self._store.attempts.insert(attempt_id, keys, now_ms=now_ms)
        if self._store.is_within_app_transaction:
            self._note(keys, now_ms)
        return take_back

    def _seconds_to_wait(self, limits: Limits, *, taken: int, now_ms: int) -> int:
        """Return how long the fullest limit is closed for ``taken`` more; 0 if none is."""
        assert self._config is not None
        window_ms = self._config.window_ms
        # An attempt of exactly a window ago no longer counts, as with every deadline.
        counted = self._store.attempts.count(
            list(limits),
            since_ms=now_ms - window_ms,
            until_ms=now_ms + self._clock_difference_ms,
        )
        wait_ms = 0
        for key, most in limits.items():
            count, oldest_ms = counted.get(key, (0, now_ms))
            noted = self._still_noted(key, now_ms)
            if len(noted) > count:
                count, oldest_ms = len(noted), min(noted)
            if count + taken > most:
                wait_ms = max(wait_ms, oldest_ms + window_ms - now_ms, 1)
        return -(-wait_ms // 1000)

    def _note(self, keys: list[str], now_ms: int) -> None:
        notice_fork()
        with self._lock:
            for key in list(self._noted):
                self._noted[key] = self._still_noted(key, now_ms)
                if not self._noted[key]:
                    del self._noted[key]
            for key in keys:
                self._noted.setdefault(key, []).append(now_ms)

    def _forget(self, keys: list[str], now_ms: int) -> None:
        if not self._noted:
            return
        notice_fork()
        with self._lock:
            for key in keys:
                # Those of one instant are alike.
                with suppress(KeyError, ValueError):
                    self._noted[key].remove(now_ms)

    def _still_noted(self, key: str, now_ms: int) -> list[int]:
        assert self._config is not None
        window_ms = self._config.window_ms
        return [
            at_ms
            for at_ms in tuple(self._noted.get(key, ()))
            if not has_passed(at_ms + window_ms, now_ms)
            and at_ms <= now_ms + self._clock_difference_ms
        ]


def _networks_of(address: str | None) -> tuple[str, ...]:
    """Return the networks that an address counts for, the widest last.

    Of IPv4 the /24. Of IPv6 the /56, which many providers give one customer, and the /48, which
    anybody gets for nothing from a tunnel broker (RFC 6177).

    >>> _networks_of("192.0.2.1"), _networks_of("2001:db8:0:fe01::1")
    (('192.0.2.0/24',), ('2001:db8:0:fe00::/56', '2001:db8::/48'))
    """
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return (address or "",)
    prefixes = (24,) if parsed.version == 4 else (56, 48)
    return tuple(
        str(ipaddress.ip_network((parsed.packed, prefix), strict=False)) for prefix in prefixes
    )


def _key(*parts: str) -> str:
    # No part holds the separator, or one could pass for two.
    text = "\0".join(part.replace("\0", "") for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
