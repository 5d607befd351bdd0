"""A provider's published keys: fetched when needed, kept, and fetched again for a new key.

Anybody can send a token that names an unknown key, so fetches are limited in time and size, and
to one in ``PAUSE_MS``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ...clock import Clock
from ...config.providers import SocialProvider, is_safe_url
from ...config.public_suffixes import is_same_site
from ...errors import IdTokenNotSupportedError, ProviderUnavailableError
from ...events import Events
from ...fork_safety import notice_fork, renew_locks_in_child
from ...light_dataclasses import dataclass

FRESH_MS = 3_600_000
"""Keys younger than this are used without fetching them again."""

KEPT_MS = 86_400_000
"""Keys up to this age are used while the provider can't be reached."""

PAUSE_MS = 30_000
MAX_FETCH_MS = 10_000
"""For the discovery document and the keys together."""

_MAX_KEY_COUNT = 100
_MIN_RSA_BITS = 2048
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_SUFFIX = "/.well-known/openid-configuration"


class KeysElsewhereError(ValueError):
    """The keys are not at the issuer's own site; give ``jwks_url`` if they are right there."""


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """The issuers a provider's tokens may name, and keys that one may be signed with."""

    issuers: tuple[str, ...] = ()
    keys: tuple[Mapping[str, Any], ...] = ()

    def named(self, key_id: str | None) -> KnownKeys:
        """Return those with an id; all, for None."""
        if key_id is None:
            return self
        return KnownKeys(self.issuers, tuple(key for key in self.keys if key.get("kid") == key_id))

    def for_algorithm(self, algorithm: str) -> Any:
        """Return the one key for signatures of an algorithm, or None if there is no such one."""
        fitting = [key for key in self.keys if _fits(key, algorithm)]
        return _load(fitting[0], algorithm) if len(fitting) == 1 else None


class _Outcome(Enum):
    """The result of the last fetch from a provider."""

    NEVER_ASKED = auto()
    FETCHED = auto()
    HAS_NO_KEYS = auto()
    DID_NOT_ANSWER = auto()


class _State(NamedTuple):
    """What is known of a provider; replaced as a whole, so it is read without a lock."""

    known: KnownKeys = KnownKeys()
    fetched_at_ms: int | None = None
    asked_at_ms: int | None = None
    outcome: _Outcome = _Outcome.NEVER_ASKED

    def is_stale(self, now_ms: int) -> bool:
        return self.fetched_at_ms is None or not 0 <= now_ms - self.fetched_at_ms < FRESH_MS


class KeyStore:
    def __init__(self, provider: SocialProvider, clock: Clock, events: Events) -> None:
        self._provider = provider
        self._clock = clock
        self._events = events
        self.renew_locks()
        renew_locks_in_child(self)
        self._state = _State()

    def renew_locks(self) -> None:
        """Replace the lock by a free one: in a forked child nobody is fetching."""
        self._lock = threading.Lock()

    def find(self, key_id: str | None, *, now_ms: int) -> KnownKeys:
        """Return the keys of this id (all, for None); none if the provider has no such key.

        Raises ``ProviderUnavailableError`` if the provider must be asked and does not answer, or
        was asked less than ``PAUSE_MS`` ago; ``IdTokenNotSupportedError`` if it has no keys.
        """
        notice_fork()
        state = self._state
        if not state.known.named(key_id).keys:
            with self._lock:
                state = self._state
                if not state.known.named(key_id).keys:
                    state = self._ask_unless_just_asked(now_ms)
        elif state.is_stale(now_ms) and self._lock.acquire(blocking=False):
            # One thread asks; the others go on with what is known.
            try:
                state = self._ask_unless_just_asked(now_ms)
            finally:
                self._lock.release()
        return self._found(state, key_id, now_ms)

    def find_other(self, key_id: str | None, than: KnownKeys, *, now_ms: int) -> KnownKeys | None:
        """Return the keys of this id if the provider has changed them meanwhile, or None.

        For providers that name no key ids, or use one twice.
        """
        notice_fork()
        with self._lock:
            state = self._ask_unless_just_asked(now_ms)
        other = state.known.named(key_id)
        return None if state.fetched_at_ms is None or other.keys == than.keys else other

    def _found(self, state: _State, key_id: str | None, now_ms: int) -> KnownKeys:
        name, found = self._provider.name, state.known.named(key_id)
        if state.outcome is _Outcome.HAS_NO_KEYS:
            raise IdTokenNotSupportedError(f"{name} publishes no keys to check ID tokens with")
        is_away = not found.keys and state.outcome is _Outcome.DID_NOT_ANSWER
        fetched_at_ms = state.fetched_at_ms
        if fetched_at_ms is None or is_away or abs(now_ms - fetched_at_ms) >= KEPT_MS:
            raise ProviderUnavailableError(
                f"{name} does not answer, so its ID tokens can't be checked; try again in a moment"
            )
        if not found.keys and (state.asked_at_ms is None or state.asked_at_ms < now_ms):
            # Not 401: the key may be a new one. Anybody who names an unknown key begins the
            # pause in which it is not fetched.
            raise ProviderUnavailableError(
                f"{name} was asked for its keys a moment ago, and the key of this ID token was "
                "not among them; try again in a moment"
            )
        return found

    def _ask_unless_just_asked(self, now_ms: int) -> _State:
        before = self._state
        # Absolute: a thread that waited for another's fetch has an earlier instant than that.
        if before.asked_at_ms is not None and abs(now_ms - before.asked_at_ms) < PAUSE_MS:
            return before
        try:
            self._state = _State(self._fetch(), now_ms, now_ms, _Outcome.FETCHED)
        except IdTokenNotSupportedError:
            self._state = _State(asked_at_ms=now_ms, outcome=_Outcome.HAS_NO_KEYS)
        except (OSError, ValueError) as error:
            self._state = before._replace(asked_at_ms=now_ms, outcome=_Outcome.DID_NOT_ANSWER)
            self._events.emit(
                "provider_error",
                details={
                    "provider": self._provider.name,
                    "error": type(error).__name__,
                    # In quotes and escaped, as some of it is the provider's.
                    "why": repr(str(error)[:200]),
                },
            )
        return self._state

    def _fetch(self) -> KnownKeys:
        from .fetching import Deadline, fetch_json

        deadline = Deadline(self._clock, self._clock.now_ms() + MAX_FETCH_MS, MAX_FETCH_MS)
        provider = self._provider
        issuers, jwks_url = provider.issuers, provider.jwks_url
        if provider.discovery_url is not None:
            found = fetch_json(provider.discovery_url, deadline)
            issuer, said_url = found.get("issuer"), found.get("jwks_uri")
            # OpenID Connect Discovery 1.0, section 4.3.
            if not isinstance(issuer, str) or provider.discovery_url not in (
                issuer + _SUFFIX,
                issuer.removesuffix("/") + _SUFFIX,
            ):
                raise ValueError("the discovery document is of another issuer")
            issuers = issuers or (issuer,)
            jwks_url = jwks_url or said_url
            if said_url is None and provider.jwks_url is None:
                raise IdTokenNotSupportedError("the discovery document names no keys")
            is_downgrade = provider.discovery_url.startswith("https:") and not str(
                jwks_url
            ).startswith("https:")
            if not is_safe_url(jwks_url) or is_downgrade:
                raise ValueError("the discovery document leads to an unsafe place")
            if not (provider.jwks_url or _is_of_one_site(provider.discovery_url, str(said_url))):
                raise KeysElsewhereError("the discovery document names keys of another site")
        assert jwks_url is not None
        keys = fetch_json(jwks_url, deadline).get("keys")
        if not isinstance(keys, list):
            raise ValueError("what lies there is no JWK set")
        usable = tuple(key for key in keys[:_MAX_KEY_COUNT] if isinstance(key, dict))
        return KnownKeys(issuers, usable)


def _is_of_one_site(*urls: str) -> bool:
    host, other = (urlsplit(url).hostname or "" for url in urls)
    return is_same_site(host, other)


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Return whether a key is meant for signatures of an algorithm (RFC 7517, section 4)."""
    operations = key.get("key_ops")
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    if isinstance(operations, list) and "verify" not in operations:
        return False
    kind = key.get("kty")
    if algorithm[:2] in ("RS", "PS"):
        return kind == "RSA"
    if algorithm in _CURVES:
        return kind == "EC" and key.get("crv") == _CURVES[algorithm]
    return kind == "OKP" and key.get("crv") in ("Ed25519", "Ed448")


def _load(key: Mapping[str, Any], algorithm: str) -> Any:
    from jwt import PyJWK, PyJWTError

    try:
        public = {name: value for name, value in key.items() if name not in ("d", "p", "q")}
        loaded = PyJWK(public, algorithm=algorithm).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if algorithm[:2] in ("RS", "PS") and loaded.key_size < _MIN_RSA_BITS:
        return None
    return loaded
