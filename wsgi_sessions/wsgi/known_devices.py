"""What a request tells of its browser to who checks a sign-in: device, session, keys of nonces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..accounts.service import name_to_count_by
from ..records import RequestFacts, UserRecord
from ..transport.client_address import find_unknown_proxy

if TYPE_CHECKING:
    from .exchange import Exchange


def facts_of_visitor(exchange: Exchange) -> RequestFacts:
    """Return the facts of who is about to sign in, with the device cookie that they sent."""
    proxy = find_unknown_proxy(exchange.received, exchange.parts.config.trusted_proxies)
    if proxy is not None:
        # With a unix socket any network does: whatever has no address is then believed.
        network = "127.0.0.1" if proxy == "unix" else proxy
        exchange.parts.events.emit_once(
            "proxy_not_trusted",
            address=proxy,
            details={"remedy": f"if that is your proxy, set trusted_proxies=[{network!r}]"},
        )
    return exchange.facts._replace(
        device_cookies=_sent_by(exchange), nonce_keys=_nonce_keys(exchange)
    )


def facts_of_user(exchange: Exchange) -> RequestFacts:
    """Return the facts of the signed-in user, who is asked for their password."""
    assert exchange.session is not None
    return exchange.facts._replace(session_id=exchange.session.id, nonce_keys=_nonce_keys(exchange))


def know_device(exchange: Exchange, user: UserRecord) -> None:
    """Send the cookie by which this browser is known again for its user, unless that is off.

    It ends with the browser where the session's does, on a computer that others use, and where
    nobody is signed in, after a reset of the password.
    """
    parts, session = exchange.parts, exchange.session
    throttle = parts.config.throttle
    if throttle is None:
        return
    text = parts.devices.remember(
        _sent_by(exchange), name_to_count_by(user.id, user), now_ms=parts.clock.now_ms()
    )
    is_lasting = session is not None and session.record.remember
    max_age_s = throttle.device_lifetime_ms // 1000 if is_lasting else None
    exchange.cookies_to_send().add_device(
        parts.cookies.set_device(text, is_secure=exchange.is_secure, max_age_s=max_age_s)
    )


def make_nonce(exchange: Exchange, provider: str) -> str:
    """Return a nonce for an ID token of a provider, and set the cookie that it is bound to.

    Raises ``ProviderNotFoundError``.
    """
    exchange.require_unsent("make a nonce")
    key, nonce = exchange.parts.social.make_nonce(
        provider, _nonce_keys(exchange), exchange.parts.clock.now_ms()
    )
    exchange.cookies_to_send().add_nonce_key(key)
    return nonce


def _nonce_keys(exchange: Exchange) -> tuple[str, ...]:
    """Return the keys with which the browser shows that a nonce is its own."""
    cookies = exchange.parts.cookies
    return cookies.read_nonce_keys(exchange.cookie_header, is_secure=exchange.is_secure)


def _sent_by(exchange: Exchange) -> tuple[str, ...]:
    cookies = exchange.parts.cookies
    return cookies.read_devices(exchange.cookie_header, is_secure=exchange.is_secure)
