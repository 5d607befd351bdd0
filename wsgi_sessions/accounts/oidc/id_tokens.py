"""Verifies ID tokens: the signature by the provider's published keys, then every claim.

The rules are those of OpenID Connect Core 1.0, section 3.1.3.7, and of RFC 8725.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...clock import has_passed
from ...config.providers import SocialProvider
from ...errors import InvalidIdTokenError
from .provider_keys import KeyStore

LEEWAY_MS = 60_000
"""How far the clocks of a provider and of this server may differ."""

_MAX_TOKEN_CHARACTERS = 16 * 1024
_MAX_CLAIM_CHARACTERS = 255
_MAX_IMAGE_CHARACTERS = 2048
_MAX_NONCE_CHARACTERS = 1024
_TENANT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class IdentityClaims(NamedTuple):
    """Whom an ID token is about; ``subject`` alone is theirs for good at this provider.

    ``is_email_verified`` is False for a provider that is not trusted to verify addresses.
    """

    subject: str
    email: str | None
    is_email_verified: bool
    name: str | None
    image: str | None


def verify_id_token(
    provider: SocialProvider,
    id_token: str,
    *,
    keys: KeyStore,
    nonce: str | None,
    access_token: str | None,
    now_ms: int,
) -> IdentityClaims:
    """Return what a valid ID token says.

    A token with a nonce needs the same ``nonce`` beside it, and the other way round; an
    ``access_token`` must be the one that the token was issued with. Raises
    ``InvalidIdTokenError`` (its message says only what a client may know),
    ``IdTokenNotSupportedError`` or ``ProviderUnavailableError``.
    """
    _check_arguments(nonce, access_token)
    header = _read_header(id_token)
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in provider.algorithms:
        raise InvalidIdTokenError("algorithm")
    if "crit" in header or str(header.get("typ", "JWT")).upper() != "JWT":
        raise InvalidIdTokenError("token_type")
    if key_id is not None and not isinstance(key_id, str):
        raise InvalidIdTokenError("key_id")
    known = keys.find(key_id, now_ms=now_ms)
    try:
        claims = _read_signed(id_token, known.for_algorithm(algorithm), algorithm)
    except InvalidIdTokenError as error:
        other = keys.find_other(key_id, known, now_ms=now_ms) if error.why == "signature" else None
        if other is None:
            raise
        claims = _read_signed(id_token, other.for_algorithm(algorithm), algorithm)
    _check_claims(claims, provider, known.issuers, nonce=nonce, now_ms=now_ms)
    _check_access_token(claims, access_token, algorithm)
    return _identity(claims, provider)


def _check_arguments(nonce: object, access_token: object) -> None:
    if nonce is not None and (not isinstance(nonce, str) or len(nonce) > _MAX_NONCE_CHARACTERS):
        raise InvalidIdTokenError("nonce")
    if access_token is not None and (
        not isinstance(access_token, str) or len(access_token) > _MAX_TOKEN_CHARACTERS
    ):
        raise InvalidIdTokenError("at_hash")


def _read_header(id_token: object) -> Mapping[str, Any]:
    # Slow to import and only needed where there are providers.
    from jwt import PyJWTError, get_unverified_header

    if not isinstance(id_token, str):
        raise InvalidIdTokenError("form")
    if len(id_token) > _MAX_TOKEN_CHARACTERS or not id_token.isascii():
        raise InvalidIdTokenError("form")
    try:
        return get_unverified_header(id_token)
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise InvalidIdTokenError("form") from None


def _read_signed(id_token: str, key: Any, algorithm: str) -> Mapping[str, Any]:
    from jwt import PyJWS, PyJWTError

    if key is None:
        raise InvalidIdTokenError("unknown_key")
    try:
        payload = PyJWS().decode_complete(id_token, key, algorithms=[algorithm])["payload"]
    except (PyJWTError, ValueError, TypeError, binascii.Error):
        raise InvalidIdTokenError("signature") from None
    try:
        claims = json.loads(payload, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidIdTokenError("form") from None
    if not isinstance(claims, dict):
        raise InvalidIdTokenError("form")
    return claims


def _check_claims(
    claims: Mapping[str, Any],
    provider: SocialProvider,
    issuers: tuple[str, ...],
    *,
    nonce: str | None,
    now_ms: int,
) -> None:
    if claims.get("iss") not in _issuers_of(claims, issuers):
        raise InvalidIdTokenError("iss")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not audiences:
        raise InvalidIdTokenError("aud")
    # Every one: another audience of the token could replay it here.
    if not all(name in provider.client_ids for name in audiences):
        raise InvalidIdTokenError("aud")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") not in provider.client_ids:
        raise InvalidIdTokenError("azp")
    expires_at_ms = _instant_ms(claims, "exp")
    if has_passed(expires_at_ms + LEEWAY_MS, now_ms):
        raise InvalidIdTokenError("exp")
    if _instant_ms(claims, "iat") > now_ms + LEEWAY_MS:
        raise InvalidIdTokenError("iat")
    if "nbf" in claims and _instant_ms(claims, "nbf") > now_ms + LEEWAY_MS:
        raise InvalidIdTokenError("nbf")
    said = claims.get("nonce")
    if said is None and nonce is None:
        return
    if not isinstance(said, str) or nonce is None or not _is_same(said, nonce):
        raise InvalidIdTokenError("nonce")


def _issuers_of(claims: Mapping[str, Any], issuers: tuple[str, ...]) -> list[str]:
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not _TENANT_ID.fullmatch(tenant):
        return [issuer for issuer in issuers if "{tenantid}" not in issuer]
    return [issuer.replace("{tenantid}", tenant) for issuer in issuers]


def _check_access_token(
    claims: Mapping[str, Any], access_token: str | None, algorithm: str
) -> None:
    """Compare ``at_hash`` (OpenID Connect Core, section 3.1.3.8), where there is one."""
    said = claims.get("at_hash")
    if access_token is None or said is None:
        return
    bits = algorithm[2:] if algorithm != "EdDSA" else "512"
    digest = hashlib.new(f"sha{bits}", access_token.encode("utf-8", "replace")).digest()
    expected = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not isinstance(said, str) or not _is_same(said, expected):
        raise InvalidIdTokenError("at_hash")


def _identity(claims: Mapping[str, Any], provider: SocialProvider) -> IdentityClaims:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.isascii() or not subject.isprintable():
        raise InvalidIdTokenError("sub")
    if not 0 < len(subject) <= _MAX_CLAIM_CHARACTERS:
        raise InvalidIdTokenError("sub")
    # Apple says "true" where others say true.
    is_verified = claims.get("email_verified") in (True, "true")
    image = clean_text(claims.get("picture"), max_characters=_MAX_IMAGE_CHARACTERS)
    return IdentityClaims(
        subject,
        clean_text(claims.get("email")),
        is_verified and provider.vouches_for_email,
        clean_text(claims.get("name")),
        image if image is not None and image.startswith("https://") else None,
    )


def clean_text(value: object, *, max_characters: int = _MAX_CLAIM_CHARACTERS) -> str | None:
    """Return a claim as text that every database can store, or None."""
    if not isinstance(value, str) or not value.strip() or len(value) > max_characters:
        return None
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return None
    return value.strip()


def _instant_ms(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    # Compared before it is converted: an integer of JSON may be larger than any float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        raise InvalidIdTokenError(name)
    return int(value * 1000)


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
