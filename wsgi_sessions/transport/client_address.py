"""The client's address, scheme and host behind trusted proxies, and the same-network test.

Must not trust a header that no trusted proxy vouches for; nothing a client sends makes it fail.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..config.networks import Network
from .forwarded import read_elements

__all__ = [
    "Client",
    "is_same_network",
    "read_address_and_scheme",
    "read_client",
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_HOPS = 32
_MAX_ADDRESS_CHARACTERS = 100
_IS_HTTPS = {"https": True, "wss": True, "http": False, "ws": False}
"""By scheme; one that is none of these says nothing."""
_PORT = r"(?::[0-9]{1,5}|:_[A-Za-z0-9._-]+)?"
# Some programs cut a bracket off; in Forwarded, which has a grammar, it is malformed.
_BRACKETED = re.compile(rf"\[([^\[\]]+)(?:\]{_PORT})?")
_WITH_PORT = re.compile(rf"([0-9.]+){_PORT}")


class Client(NamedTuple):
    """Who asks, as far as trusted proxies tell; ``host`` is what they were asked for, or None."""

    address: str | None
    is_https: bool
    host: str | None = None


class _Hop(NamedTuple):
    """What one proxy says of who connected to it; ``None`` for what it does not tell."""

    address: str | None
    is_https: bool | None
    host: str | None


def read_address_and_scheme(
    environ: Mapping[str, Any], trusted_proxies: Sequence[Network]
) -> tuple[str | None, bool]:
    """Return the client's address in normal form (None if unknown), and whether it used https.

    Without trusted proxies these are the server's own word; with them see ``read_client``.
    """
    if not trusted_proxies:
        is_https = environ.get("wsgi.url_scheme") in ("https", "wss")
        return normal_address(environ.get("REMOTE_ADDR") or ""), is_https
    return read_client(environ, trusted_proxies)[:2]


def read_client(environ: Mapping[str, Any], trusted_proxies: Sequence[Network]) -> Client:
    """Return who asks, by what trusted proxies say.

    ``X-Forwarded-For``, ``-Proto`` and ``-Host`` are walked from the right: every hop that is a
    trusted proxy vouches for the one to its left, and the first that is not is the client. What
    is malformed vouches for nothing, and ends the walk. ``Forwarded`` (RFC 7239) is walked in
    their place, never beside them: where ``-For`` or ``-Proto`` is there, it says nothing.
    """
    address = normal_address(environ.get("REMOTE_ADDR") or "")
    is_https = environ.get("wsgi.url_scheme") in ("https", "wss")
    host: str | None = None
    # A unix socket has no address; whoever lists proxies and listens on one has only proxies.
    if not trusted_proxies or (address is not None and not _is_within(address, trusted_proxies)):
        return Client(address, is_https)
    for hop in _hops(environ):
        address = None if hop is None else hop.address
        if hop is not None:
            is_https = is_https if hop.is_https is None else hop.is_https
            host = hop.host or host
        if address is None or not _is_within(address, trusted_proxies):
            break
    return Client(address, is_https, host)


def is_same_network(first: str, second: str, *, prefix_v4: int, prefix_v6: int) -> bool:
    """Tell whether two addresses share a network of the prefix length of their family.

    >>> is_same_network("192.0.2.1", "192.0.2.200", prefix_v4=24, prefix_v6=64)
    True
    >>> is_same_network("192.0.2.1", "2001:db8::1", prefix_v4=24, prefix_v6=64)
    False
    """
    try:
        one, other = ipaddress.ip_address(first), ipaddress.ip_address(second)
    except ValueError:
        return first == second
    if one.version != other.version:
        return False
    prefix = prefix_v4 if one.version == 4 else prefix_v6
    shift = one.max_prefixlen - prefix
    return int(one) >> shift == int(other) >> shift


@lru_cache(maxsize=4096)
def normal_address(text: str) -> str | None:
    """Return an IP address without port, brackets and zone, or None if the text is none.

    >>> normal_address("::ffff:192.0.2.1"), normal_address("[2001:DB8::1]:443")
    ('192.0.2.1', '2001:db8::1')
    >>> normal_address("192.0.2.1:"), normal_address("[2001:db8::1]x"), normal_address("unknown")
    (None, None, None)
    """
    text = _unquoted(text.strip())
    if (found := _BRACKETED.fullmatch(text)) is not None:
        text = found[1] if ":" in found[1] else ""
    elif (found := _WITH_PORT.fullmatch(text)) is not None:
        text = found[1]
    host, percent, zone = text.partition("%")
    if percent and (":" not in host or not zone):
        return None
    try:
        address: Address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped if mapped is not None else address)


def _hops(environ: Mapping[str, Any]) -> Iterator[_Hop | None]:
    """Yield what proxies wrote down, the nearest first; None for what is malformed."""
    addresses = environ.get("HTTP_X_FORWARDED_FOR")
    schemes = _split(environ.get("HTTP_X_FORWARDED_PROTO"))
    forwarded = environ.get("HTTP_FORWARDED")
    # A proxy that writes one of those two hands Forwarded on as the client sent it.
    if forwarded and not addresses and not schemes:
        for element in read_elements(forwarded, at_most=_MAX_HOPS):
            yield None if element is None else _hop_of(*element)
        return
    hosts = _split(environ.get("HTTP_X_FORWARDED_HOST"))
    # A proxy that only tells the scheme: the client is the hop the server saw.
    hops = _split(addresses) or [environ.get("REMOTE_ADDR") or ""]
    for position, text in enumerate(hops):
        # Where fewer schemes than addresses are there, the last word holds for the rest.
        scheme = schemes[position].lower() if position < len(schemes) else ""
        host = hosts[position] if position < len(hosts) else None
        yield _Hop(_short_address(text), _IS_HTTPS.get(scheme), host)


def _hop_of(node: str | None, scheme: str | None, host: str | None) -> _Hop | None:
    address = None if node is None else _short_address(node)
    if node is not None and address is None:
        return None
    return _Hop(address, _IS_HTTPS.get(scheme or ""), host)


def _short_address(text: str) -> str | None:
    # Longer texts are no addresses, and are not to fill the memory of what was read before.
    return normal_address(text) if len(text) <= _MAX_ADDRESS_CHARACTERS else None


def _split(header: str | None) -> list[str]:
    """Return the members of a list, the last one first."""
    if not header:
        return []
    parts = header.rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]
    return [_unquoted(part.strip(" \t")) for part in reversed(parts)]


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    return any(ipaddress.ip_address(address) in network for network in networks)
