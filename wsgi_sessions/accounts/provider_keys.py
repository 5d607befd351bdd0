"""A provider's published keys: fetched when needed, kept, and fetched anew for a new key.

Must not judge a token. What a token names can make it fetch, so that is bounded: by time, by
size, and to one fetch in ``PAUSE_MS``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..clock import Clock
from ..errors import IdTokenNotSupportedError, ProviderUnavailableError
from ..events import Events
from ..providers import SocialProvider, is_safe_url

__all__ = ["KeyStore", "KnownKeys"]

FRESH_MS = 3_600_000
"""Keys younger than this are used without asking again."""

KEPT_MS = 86_400_000
"""Keys up to this age are used while the provider can't be reached."""

PAUSE_MS = 30_000
TIMEOUT_SECONDS = 5
LONGEST_FETCH_MS = 10_000
LARGEST_ANSWER_BYTES = 256 * 1024

_MOST_KEYS = 100
_SMALLEST_RSA_BITS = 2048
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_SUFFIX = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """The issuers a provider's tokens may name, and the keys one token may be signed with."""

    issuers: tuple[str, ...]
    keys: Sequence[Mapping[str, Any]]

    def for_algorithm(self, algorithm: str) -> Any:
        """Return the one key for signatures of an algorithm, or None if there is no such one."""
        fitting = [key for key in self.keys if _fits(key, algorithm)]
        return _load(fitting[0], algorithm) if len(fitting) == 1 else None


@dataclass(frozen=True, slots=True)
class _Fetched:
    issuers: tuple[str, ...]
    keys: tuple[Mapping[str, Any], ...]
    fetched_at_ms: int

    def named(self, key_id: str | None) -> list[Mapping[str, Any]]:
        if key_id is None:
            return list(self.keys)
        return [key for key in self.keys if key.get("kid") == key_id]


class KeyStore:
    """The keys of one provider, for every thread of this process."""

    def __init__(self, provider: SocialProvider, clock: Clock, events: Events) -> None:
        self._provider = provider
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._fetched: _Fetched | None = None
        self._tried_at_ms: int | None = None
        self._has_failed = False

    def find(self, key_id: str | None, *, now_ms: int) -> KnownKeys:
        """Return the keys of this id (all, for None); none if the provider has no such key.

        Raises ``ProviderUnavailableError`` when the provider must be asked and does not
        answer, ``IdTokenNotSupportedError`` if it publishes no keys.
        """
        known = self._fetched
        if known is None or not known.named(key_id):
            with self._lock:
                known = self._fetched
                if known is None or not known.named(key_id):
                    known = self._fetch_unless_just_tried(now_ms)
        elif not 0 <= now_ms - known.fetched_at_ms < FRESH_MS and self._lock.acquire(
            blocking=False
        ):
            # One thread asks; the others go on with what is known.
            try:
                known = self._fetch_unless_just_tried(now_ms)
            finally:
                self._lock.release()
        keys = () if known is None else known.named(key_id)
        is_too_old = known is not None and now_ms - known.fetched_at_ms >= KEPT_MS
        if known is None or is_too_old or (not keys and self._has_failed):
            raise ProviderUnavailableError(
                f"{self._provider.name} does not answer, so its ID tokens can't be checked; "
                "try again in a moment"
            )
        return KnownKeys(known.issuers, keys)

    def find_other(self, key_id: str | None, than: KnownKeys, *, now_ms: int) -> KnownKeys | None:
        """Return the keys of this id if the provider has changed them meanwhile, or None.

        For providers that name no key ids, or that use one again.
        """
        with self._lock:
            known = self._fetch_unless_just_tried(now_ms)
        keys = [] if known is None else known.named(key_id)
        if known is None or list(keys) == list(than.keys):
            return None
        return KnownKeys(known.issuers, keys)

    def _fetch_unless_just_tried(self, now_ms: int) -> _Fetched | None:
        tried = self._tried_at_ms
        if tried is not None and 0 <= now_ms - tried < PAUSE_MS:
            return self._fetched
        self._tried_at_ms = now_ms
        try:
            self._fetched = self._fetch(now_ms)
            self._has_failed = False
        except (OSError, ValueError) as error:
            self._has_failed = True
            self._events.emit(
                "provider_error",
                details={"provider": self._provider.name, "error": type(error).__name__},
            )
        return self._fetched

    def _fetch(self, now_ms: int) -> _Fetched:
        provider = self._provider
        issuers, jwks_url = provider.issuers, provider.jwks_url
        if provider.discovery_url is not None:
            found = _fetch_json(provider.discovery_url, self._clock)
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
                raise IdTokenNotSupportedError(
                    f"{provider.name} publishes no keys to check ID tokens with"
                )
            is_downgrade = provider.discovery_url.startswith("https:") and not str(
                jwks_url
            ).startswith("https:")
            if not is_safe_url(jwks_url) or is_downgrade:
                raise ValueError("the discovery document leads to an unsafe place")
        assert jwks_url is not None
        keys = _fetch_json(jwks_url, self._clock).get("keys")
        if not isinstance(keys, list):
            raise ValueError("what lies there is no JWK set")
        usable = tuple(key for key in keys[:_MOST_KEYS] if isinstance(key, dict))
        return _Fetched(issuers, usable, now_ms)


def _fetch_json(url: str, clock: Clock) -> Mapping[str, Any]:
    """Return the JSON object at a URL; ``OSError`` or ``ValueError`` if there is none in time.

    A redirect is not followed: it is an answer other than the expected one.
    """
    # Costly to import and only needed where there are providers.
    from http.client import HTTPException
    from urllib import request as urls

    opener = urls.OpenerDirector()
    for handler in (
        urls.ProxyHandler,
        urls.HTTPHandler,
        urls.HTTPSHandler,
        urls.HTTPDefaultErrorHandler,
        urls.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    asked = urls.Request(url, headers={"Accept": "application/json"})  # noqa: S310  is_safe_url
    deadline_ms = clock.now_ms() + LONGEST_FETCH_MS
    body = b""
    try:
        with opener.open(asked, timeout=TIMEOUT_SECONDS) as response:
            while chunk := response.read1(65536):
                body += chunk
                if len(body) > LARGEST_ANSWER_BYTES:
                    raise OSError("the answer is too large")
                if clock.now_ms() > deadline_ms:
                    raise OSError("the answer takes too long")
        found = json.loads(body)
    except HTTPException as error:
        raise OSError("the answer is no HTTP") from error
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("what lies there is no JSON object")
    return found


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Tell whether a key is there to check signatures of an algorithm (RFC 7517, section 4)."""
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
    if algorithm[:2] in ("RS", "PS") and loaded.key_size < _SMALLEST_RSA_BITS:
        return None
    return loaded
