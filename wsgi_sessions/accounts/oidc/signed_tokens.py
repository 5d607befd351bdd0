"""Signed tokens of a provider (JWT): the signature by its published keys, and common claims.

The rules are those of RFC 7519 and RFC 8725. A token that breaks one raises
``UnsoundTokenError``, which the module of each kind of token turns into its own refusal.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from ...clock import has_passed
from ...config.providers import SocialProvider
from ...records import is_name
from .provider_keys import KeyStore

LEEWAY_MS = 60_000
"""How far the clocks of a provider and of this server may differ."""
MAX_TOKEN_CHARACTERS = 16 * 1024

_MAX_SUBJECT_CHARACTERS = 255
_MAX_NAME_CHARACTERS = 2048
_TENANT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Claims = Mapping[str, Any]


class UnsoundTokenError(Exception):
    """``why`` is one word for the log: the check that failed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SignedToken(NamedTuple):
    """A token whose signature is right; ``issuers`` are those that it may name.

    ``digest`` is one of what was signed. Of the signature there are several spellings, and with
    elliptic curves several that are right, so it would make others of the same token.
    """

    claims: Claims
    issuers: tuple[str, ...]
    algorithm: str
    digest: str


class UnreadToken(NamedTuple):
    """A token whose signature nobody has checked: nothing of it may be believed."""

    text: str
    algorithm: str
    key_id: str | None
    type: str
    """The header's ``typ`` in lower case, "" without one."""


def parse_token(text: object, provider: SocialProvider) -> UnreadToken:
    # Slow to import and only needed where there are providers.
    from jwt import PyJWTError, get_unverified_header

    if not isinstance(text, str) or len(text) > MAX_TOKEN_CHARACTERS or not text.isascii():
        raise UnsoundTokenError("form")
    try:
        header = get_unverified_header(text)
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise UnsoundTokenError("form") from None
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
    if algorithm not in provider.algorithms:
        raise UnsoundTokenError("algorithm")
    if "crit" in header or not isinstance(kind, str):
        raise UnsoundTokenError("token_type")
    if key_id is not None and not isinstance(key_id, str):
        raise UnsoundTokenError("key_id")
    # RFC 7515, section 4.1.9: "application/" may be left out.
    return UnreadToken(text, algorithm, key_id, kind.lower().removeprefix("application/"))


def read_unverified(token: UnreadToken) -> Claims:
    """Return what a token says, before its signature is checked: for cheap refusals alone."""
    try:
        payload = token.text.split(".")[1].encode("ascii")
        return _read_claims(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error):
        raise UnsoundTokenError("form") from None


def verify_signature(token: UnreadToken, *, keys: KeyStore, now_ms: int) -> SignedToken:
    """Return what a token says, if one of the provider's keys has signed it.

    Raises ``IdTokenNotSupportedError`` and ``ProviderUnavailableError`` too.
    """
    algorithm, key_id = token.algorithm, token.key_id
    known = keys.find(key_id, now_ms=now_ms)
    try:
        claims = _read_signed(token, known.for_algorithm(algorithm))
    except UnsoundTokenError as error:
        other = keys.find_other(key_id, known, now_ms=now_ms) if error.why == "signature" else None
        if other is None:
            raise
        claims = _read_signed(token, other.for_algorithm(algorithm))
    signed, _, _ = token.text.rpartition(".")
    return SignedToken(claims, known.issuers, algorithm, sha256(signed.encode()).hexdigest())


def _read_signed(token: UnreadToken, key: Any) -> Claims:
    from jwt import PyJWS, PyJWTError

    if key is None:
        raise UnsoundTokenError("unknown_key")
    try:
        decoded = PyJWS().decode_complete(token.text, key, algorithms=[token.algorithm])
    except (PyJWTError, ValueError, TypeError, binascii.Error):
        raise UnsoundTokenError("signature") from None
    return _read_claims(decoded["payload"])


def _read_claims(payload: bytes) -> Claims:
    try:
        claims = json.loads(payload, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise UnsoundTokenError("form") from None
    if not isinstance(claims, dict):
        raise UnsoundTokenError("form")
    return claims


def check_issuer(claims: Claims, issuers: tuple[str, ...]) -> None:
    """Refuse other issuers; ``{tenantid}`` in one stands for the token's own ``tid``."""
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not _TENANT_ID.fullmatch(tenant):
        allowed = [issuer for issuer in issuers if "{tenantid}" not in issuer]
    else:
        allowed = [issuer.replace("{tenantid}", tenant) for issuer in issuers]
    if claims.get("iss") not in allowed:
        raise UnsoundTokenError("iss")


def check_audience(
    claims: Claims, provider: SocialProvider, *, may_name_others: bool = False
) -> tuple[str, ...]:
    """Refuse a token that is not for us, or not for us alone; return its audiences.

    Another audience of the token could send it on to us.
    """
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not audiences:
        raise UnsoundTokenError("aud")
    are_ours = [name in provider.client_ids for name in audiences]
    if not (any(are_ours) if may_name_others else all(are_ours)):
        raise UnsoundTokenError("aud")
    return tuple(audiences)


def check_instants(claims: Claims, *, max_age_ms: int, now_ms: int) -> int:
    """Refuse a token that is over, too old or from the future; return when it was issued."""
    if "exp" in claims and has_passed(instant_ms(claims, "exp") + LEEWAY_MS, now_ms):
        raise UnsoundTokenError("exp")
    issued_at_ms = instant_ms(claims, "iat")
    if issued_at_ms > now_ms + LEEWAY_MS:
        raise UnsoundTokenError("iat")
    if has_passed(issued_at_ms + max_age_ms + LEEWAY_MS, now_ms):
        raise UnsoundTokenError("too_old")
    if "nbf" in claims and instant_ms(claims, "nbf") > now_ms + LEEWAY_MS:
        raise UnsoundTokenError("nbf")
    return issued_at_ms


def read_subject(claims: Claims) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not is_name(subject, max_length=_MAX_SUBJECT_CHARACTERS):
        raise UnsoundTokenError("sub")
    return subject


def read_name(claims: Claims, name: str) -> str:
    """Return the id of a session, a token or the like, which is compared and not shown."""
    value = claims.get(name)
    if not isinstance(value, str) or not value.isprintable():
        raise UnsoundTokenError(name)
    if not 0 < len(value) <= _MAX_NAME_CHARACTERS:
        raise UnsoundTokenError(name)
    return value


def digest_of(provider: SocialProvider, kind: str, name: str) -> str:
    """Return what is kept of a provider's name for something: 64 characters."""
    return sha256(f"{provider.name}\n{kind}\n{name}".encode()).hexdigest()


def instant_ms(claims: Claims, name: str) -> int:
    value = claims.get(name)
    # Compared before it is converted: an integer of JSON may be larger than any float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        raise UnsoundTokenError(name)
    return int(value * 1000)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
