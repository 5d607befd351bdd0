"""Verifies what a provider says of sessions that are over: logout tokens and revocations.

A logout token is that of OpenID Connect Back-Channel Logout 1.0 (section 2.6). A revocation is a
security event token (RFC 8417) with the event ``session-revoked`` of CAEP 1.0.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ...config.providers import SocialProvider
from ...errors import InvalidLogoutTokenError
from .provider_keys import KeyStore
from .signed_tokens import (
    LEEWAY_MS,
    Claims,
    UnreadToken,
    UnsoundTokenError,
    check_audience,
    check_instants,
    check_issuer,
    digest_of,
    parse_token,
    read_name,
    read_subject,
    read_unverified,
    verify_signature,
)

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
REVOKED_EVENT = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"


class _Kind(Enum):
    LOGOUT = "logout+jwt"
    SECURITY_EVENT = "secevent+jwt"


_MAX_AGE_MS = {_Kind.LOGOUT: 600_000, _Kind.SECURITY_EVENT: 86_400_000}
"""A provider sends a security event again, for hours, while this server is away."""


class ProviderLogout(NamedTuple):
    """A session at the provider is over; without ``sid``, all of the subject's are.

    ``sid`` is a digest, as that of ``IdentityClaims``. ``digest`` is one of the token's id, to be
    kept until ``ends_at_ms``: it is good once.
    """

    subject: str | None
    sid: str | None
    issued_at_ms: int
    ends_at_ms: int
    digest: str


def verify_logout_token(
    provider: SocialProvider, logout_token: str, *, keys: KeyStore, now_ms: int
) -> ProviderLogout | None:
    """Return which sessions are over; None for a security event that says nothing of that.

    Raises ``InvalidLogoutTokenError``, ``IdTokenNotSupportedError`` or
    ``ProviderUnavailableError``.
    """
    try:
        unread = parse_token(logout_token, provider)
        kind = _kind_of(unread, provider)
        # Before the signature, as that may mean that the provider is asked for its keys.
        _check_claims(read_unverified(unread), kind, provider, now_ms)
        token = verify_signature(unread, keys=keys, now_ms=now_ms)
        claims = token.claims
        check_issuer(claims, token.issuers)
        issued_at_ms = _check_claims(claims, kind, provider, now_ms)
        if kind is _Kind.SECURITY_EVENT and REVOKED_EVENT not in claims["events"]:
            return None
        subject, sid = _read_subject(claims, kind, token.issuers)
    except UnsoundTokenError as error:
        raise InvalidLogoutTokenError(error.why) from None
    return ProviderLogout(
        subject,
        None if sid is None else digest_of(provider, "sid", sid),
        issued_at_ms,
        issued_at_ms + _MAX_AGE_MS[kind] + LEEWAY_MS,
        digest_of(provider, "jti", claims["jti"]),
    )


def _kind_of(token: UnreadToken, provider: SocialProvider) -> _Kind:
    """Return what the header says that it is, so that no other kind of token passes for one."""
    if token.type in ("", "jwt") and provider.has_untyped_logout_tokens:
        return _Kind.LOGOUT
    try:
        return _Kind(token.type)
    except ValueError:
        raise UnsoundTokenError("token_type") from None


def _check_claims(claims: Claims, kind: _Kind, provider: SocialProvider, now_ms: int) -> int:
    """Refuse a wrong claim; return when the token was issued."""
    is_event = kind is _Kind.SECURITY_EVENT
    # One stream of events may be meant for several receivers (RFC 8417, section 2.2).
    check_audience(claims, provider, may_name_others=is_event)
    events = claims.get("events")
    if not isinstance(events, dict) or not events:
        raise UnsoundTokenError("events")
    if not is_event and not isinstance(events.get(LOGOUT_EVENT), dict):
        raise UnsoundTokenError("events")
    if "nonce" in claims:
        raise UnsoundTokenError("nonce")
    read_name(claims, "jti")
    return check_instants(claims, max_age_ms=_MAX_AGE_MS[kind], now_ms=now_ms)


def _read_subject(
    claims: Claims, kind: _Kind, issuers: tuple[str, ...]
) -> tuple[str | None, str | None]:
    """Return the provider's id of a user, of their session there, or both."""
    if kind is _Kind.SECURITY_EVENT:
        return _read_subject_id(claims, issuers)
    sid = read_name(claims, "sid") if "sid" in claims else None
    subject = read_subject(claims) if "sub" in claims or sid is None else None
    return subject, sid


def _read_subject_id(claims: Claims, issuers: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Read a subject identifier (RFC 9493) of a session, a user or both.

    It stands beside the events, or in older drafts within the event. What it names beside them is
    passed over: with a device of a user's all their sessions end, as nobody here knows it.
    """
    event = claims["events"][REVOKED_EVENT]
    given = claims.get("sub_id") or (event.get("subject") if isinstance(event, dict) else None)
    if not isinstance(given, dict):
        raise UnsoundTokenError("sub_id")
    is_simple = "session" not in given and "user" not in given
    session = _if_format(given if is_simple else given.get("session"), "opaque")
    user = _if_format(given if is_simple else given.get("user"), "iss_sub", "iss-sub")
    if session is None and user is None:
        raise UnsoundTokenError("sub_id")
    sid = None if session is None else read_name(session, "id")
    if user is None:
        return None, sid
    check_issuer({"tid": claims.get("tid"), **user}, issuers)
    return read_subject(user), sid


def _if_format(part: object, *formats: str) -> Claims | None:
    """Return a subject identifier, if it is one of these formats."""
    if isinstance(part, dict) and part.get("format", part.get("subject_type")) in formats:
        return part
    return None
