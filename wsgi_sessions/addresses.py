"""The client's address and scheme behind trusted proxies, and the same-network test.

Must not trust a header that no trusted proxy vouches for; nothing a client sends makes it fail.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

__all__ = ["Network", "is_same_network", "read_address_and_scheme"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MOST_HOPS = 32


def read_address_and_scheme(
    environ: Mapping[str, Any], trusted_proxies: Sequence[Network]
) -> tuple[str | None, bool]:
    """Return the client's address in normal form (None if unknown), and whether it used https.

    Without trusted proxies these are the server's own word. With them, ``X-Forwarded-For`` and
    ``-Proto``, or else ``Forwarded`` (RFC 7239), are walked from the right: every hop that
    is a trusted proxy vouches for the one to its left, and the first that is not is the client.
    """
    address = normal_address(environ.get("REMOTE_ADDR") or "")
    is_https = environ.get("wsgi.url_scheme") == "https"
    if not trusted_proxies:
        return address, is_https
    # A unix socket has no address; whoever lists proxies and listens on one has only proxies.
    if address is not None and not _is_within(address, trusted_proxies):
        return address, is_https
    hops, schemes = _read_hops(environ)
    for position in range(len(hops) - 1, -1, -1):
        address = normal_address(hops[position])
        if position < len(schemes) and schemes[position] is not None:
            is_https = schemes[position] == "https"
        if address is None or not _is_within(address, trusted_proxies):
            break
    return address, is_https


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
    """
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped if mapped is not None else address)


def _read_hops(environ: Mapping[str, Any]) -> tuple[list[str], list[str | None]]:
    """Return the addresses and schemes that proxies wrote down, the client's side first."""
    forwarded = environ.get("HTTP_FORWARDED")
    # Most proxies write X-Forwarded-For and hand on what else a client sends.
    if forwarded and "HTTP_X_FORWARDED_FOR" not in environ:
        elements = [_read_element(element) for element in forwarded.split(",")[-_MOST_HOPS:]]
        return [hop for hop, _ in elements], [scheme for _, scheme in elements]
    hops = _split(environ.get("HTTP_X_FORWARDED_FOR"))
    schemes: list[str | None] = list(_split(environ.get("HTTP_X_FORWARDED_PROTO")))
    if not hops:
        # A proxy that only tells the scheme: the client is the hop the server saw.
        hops = [environ.get("REMOTE_ADDR") or ""] if schemes else []
        return hops, schemes[-1:]
    # One word for many hops is the word of the proxy next to us, for the whole way.
    if len(schemes) != len(hops):
        schemes = [schemes[-1] if schemes else None] * len(hops)
    return hops, schemes


def _read_element(element: str) -> tuple[str, str | None]:
    hop, scheme = "", None
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        name = name.strip().lower()
        if name == "for":
            hop = value.strip()
        elif name == "proto":
            scheme = value.strip().strip('"').lower()
    return hop, scheme


def _split(header: str | None) -> list[str]:
    if not header:
        return []
    return [part.strip().lower() for part in header.split(",")[-_MOST_HOPS:]]


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    return any(ipaddress.ip_address(address) in network for network in networks)
