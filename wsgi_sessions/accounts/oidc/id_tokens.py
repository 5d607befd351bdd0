"""Verifies ID tokens: the signature by the provider's published keys, then every claim.

The rules are those of OpenID Connect Core 1.0, section 3.1.3.7, and of RFC 8725.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import NamedTuple

from ...clock import has_passed
from ...config.providers import SocialProvider
from ...errors import InvalidIdTokenError
from ...records import MAX_METHOD_CHARACTERS, MAX_METHODS, Authentication, is_name
from ..profile import MAX_IMAGE_LENGTH, NO_TEXT, is_image_url, without_controls
from .nonces import is_from_a_server_of_ours
from .provider_keys import KeyStore
from .signed_tokens import (
    LEEWAY_MS,
    MAX_TOKEN_CHARACTERS,
    Claims,
    SignedToken,
    UnsoundTokenError,
    check_audience,
    check_instants,
    check_issuer,
    digest_of,
    instant_ms,
    parse_token,
    read_name,
    read_subject,
    verify_signature,
)

_MAX_CLAIM_CHARACTERS = 255
_MAX_NONCE_CHARACTERS = 1024
_OWN_TYPES = ("id", "id_token", "jwt")
"""What ``typ`` among the claims of an ID token is, where there is one; Keycloak says ``ID``."""
_MAX_CONTEXT_CHARACTERS = 128


class IdentityClaims(NamedTuple):
    """Whom an ID token is about; ``subject`` alone is theirs for good at this provider.

    ``is_email_verified`` is False for a provider that is not trusted to verify addresses.
    ``digest`` is one of the token, which may have been used before, and is good until
    ``ends_at_ms``. ``sid`` is one of the session at the provider, by which it may end ours.
    ``amr``, ``acr`` and ``auth_time_ms`` say how and when they proved to the provider who they
    are, where it tells.
    """

    subject: str
    email: str | None
    is_email_verified: bool
    name: str | None
    image: str | None
    issued_at_ms: int
    ends_at_ms: int
    digest: str
    sid: str | None = None
    amr: tuple[str, ...] = ()
    acr: str | None = None
    auth_time_ms: int | None = None

    def as_authentication(self, provider_name: str) -> Authentication:
        return Authentication(provider_name, self.amr, self.acr, self.auth_time_ms)

    @property
    def proven_at_ms(self) -> int:
        """When they proved who they are: where that is not told, when the token was issued."""
        return self.issued_at_ms if self.auth_time_ms is None else self.auth_time_ms


def verify_id_token(
    provider: SocialProvider,
    id_token: str,
    *,
    keys: KeyStore,
    nonce: str | None,
    access_token: str | None,
    now_ms: int,
    is_of_browser: Callable[[str], bool] = lambda _: False,
) -> IdentityClaims:
    """Return what a valid ID token says.

    A token with a nonce needs the same ``nonce`` beside it, and the other way round. A nonce that
    was made here has to be one of this browser's, as ``is_of_browser`` tells, and need not be
    given again. An ``access_token`` must be the one that the token was issued with. Raises
    ``InvalidIdTokenError`` (its message says only what a client may know),
    ``IdTokenNotSupportedError`` or ``ProviderUnavailableError``.
    """
    try:
        _check_arguments(nonce, access_token)
        unread = parse_token(id_token, provider)
        if unread.type not in ("", "jwt"):
            raise UnsoundTokenError("token_type")
        token = verify_signature(unread, keys=keys, now_ms=now_ms)
        _check_claims(token, provider, now_ms)
        _check_nonce(token.claims.get("nonce"), nonce, provider, is_of_browser)
        _check_access_token(token, access_token)
        return _identity(token, provider)
    except UnsoundTokenError as error:
        raise InvalidIdTokenError(error.why) from None


def _check_arguments(nonce: object, access_token: object) -> None:
    if nonce is not None and (not isinstance(nonce, str) or len(nonce) > _MAX_NONCE_CHARACTERS):
        raise UnsoundTokenError("nonce")
    if access_token is not None and (
        not isinstance(access_token, str) or len(access_token) > MAX_TOKEN_CHARACTERS
    ):
        raise UnsoundTokenError("at_hash")


def _check_claims(token: SignedToken, provider: SocialProvider, now_ms: int) -> None:
    claims = token.claims
    check_issuer(claims, token.issuers)
    audiences = check_audience(claims, provider)
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") not in provider.client_ids:
        raise UnsoundTokenError("azp")
    _check_is_id_token(claims)
    instant_ms(claims, "exp")
    check_instants(claims, max_age_ms=provider.max_age_ms, now_ms=now_ms)
    _check_age_of_sign_in(claims, provider, now_ms)


def _check_nonce(
    said: object,
    given: str | None,
    provider: SocialProvider,
    is_of_browser: Callable[[str], bool],
) -> None:
    if isinstance(said, str) and is_from_a_server_of_ours(said):
        if not is_of_browser(said):
            raise UnsoundTokenError("nonce_of_another_browser")
        given = said if given is None else given
    elif provider.needs_server_nonce:
        raise UnsoundTokenError("nonce_not_ours")
    if said is None and given is None:
        return
    if not isinstance(said, str) or given is None or not _is_same(said, given):
        raise UnsoundTokenError("nonce")


def _check_is_id_token(claims: Claims) -> None:
    """Refuse what the provider has signed with the same keys for another use.

    A logout token has ``events``, an access token of Microsoft's ``scp``, one of Cognito's
    ``token_use``, and what Keycloak signs says in ``typ`` what it is.
    """
    kind, use = claims.get("typ", "id"), claims.get("token_use", "id")
    if not isinstance(kind, str) or kind.lower() not in _OWN_TYPES or use != "id":
        raise UnsoundTokenError("token_type")
    if "events" in claims or "scp" in claims:
        raise UnsoundTokenError("token_type")


def _check_age_of_sign_in(claims: Claims, provider: SocialProvider, now_ms: int) -> None:
    """Refuse who signed in at the provider too long ago (OpenID Connect Core, section 2)."""
    max_age_ms = provider.max_auth_age_ms
    if max_age_ms is None and claims.get("auth_time") is None:
        return
    at_ms = instant_ms(claims, "auth_time")
    if at_ms > now_ms + LEEWAY_MS:
        raise UnsoundTokenError("auth_time")
    if max_age_ms is not None and has_passed(at_ms + max_age_ms + LEEWAY_MS, now_ms):
        raise UnsoundTokenError("auth_time")


def _check_access_token(token: SignedToken, access_token: str | None) -> None:
    """Compare ``at_hash`` (OpenID Connect Core, section 3.1.3.8), where there is one."""
    said = token.claims.get("at_hash")
    if access_token is None or said is None:
        return
    bits = token.algorithm[2:] if token.algorithm != "EdDSA" else "512"
    digest = hashlib.new(f"sha{bits}", access_token.encode("utf-8", "replace")).digest()
    expected = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not isinstance(said, str) or not _is_same(said, expected):
        raise UnsoundTokenError("at_hash")


def _identity(token: SignedToken, provider: SocialProvider) -> IdentityClaims:
    claims = token.claims
    subject = read_subject(claims)
    issued_at_ms = instant_ms(claims, "iat")
    ends_at_ms = min(instant_ms(claims, "exp"), issued_at_ms + provider.max_age_ms)
    # Apple says "true" where others say true.
    is_verified = claims.get("email_verified") in (True, "true")
    image = clean_text(claims.get("picture"), max_characters=MAX_IMAGE_LENGTH)
    return IdentityClaims(
        subject,
        clean_text(claims.get("email")),
        is_verified and provider.vouches_for_email,
        clean_name(claims.get("name")),
        image if image and image.startswith("https://") and is_image_url(image) else None,
        issued_at_ms,
        ends_at_ms + LEEWAY_MS,
        token.digest,
        _sid_of(claims, provider),
        _methods(claims.get("amr")),
        _name(claims.get("acr"), max_characters=_MAX_CONTEXT_CHARACTERS),
        None if claims.get("auth_time") is None else instant_ms(claims, "auth_time"),
    )


def _methods(value: object) -> tuple[str, ...]:
    """Return the names of authentication methods (RFC 8176) of a claim ``amr``."""
    given = value[:MAX_METHODS] if isinstance(value, list) else []
    names = (_name(text, max_characters=MAX_METHOD_CHARACTERS) for text in given)
    return tuple(name for name in names if name is not None)


def _name(value: object, *, max_characters: int) -> str | None:
    """Return a claim that is a registered name or a URI, or None."""
    text = clean_text(value, max_characters=max_characters)
    return text if is_name(text, max_length=max_characters) else None


def clean_name(value: object) -> str | None:
    """Return a name without control characters, or None."""
    name = clean_text(value)
    return None if name is None else without_controls(name) or None


def _sid_of(claims: Claims, provider: SocialProvider) -> str | None:
    try:
        return digest_of(provider, "sid", read_name(claims, "sid"))
    except UnsoundTokenError:
        return None


def clean_text(value: object, *, max_characters: int = _MAX_CLAIM_CHARACTERS) -> str | None:
    """Return a claim as text that every database can store, or None."""
    if not isinstance(value, str) or not value.strip() or len(value) > max_characters:
        return None
    return None if re.search(NO_TEXT, value) else value.strip()


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
