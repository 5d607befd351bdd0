"""Networks of trusted proxies, in their normal form."""

from __future__ import annotations

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAPPED_PREFIX = 96
"""Bits; an IPv6 network with a longer prefix can lie within ``::ffff:0:0/96``, which is IPv4."""


def normal_network(network: Network) -> Network:
    """Return the IPv4 network that a mapped IPv6 one means, and any other as it is.

    >>> normal_network(ipaddress.ip_network("::ffff:10.0.0.0/104"))
    IPv4Network('10.0.0.0/8')
    """
    if not isinstance(network, ipaddress.IPv6Network) or network.prefixlen < MAPPED_PREFIX:
        return network
    mapped = network.network_address.ipv4_mapped
    if mapped is None:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED_PREFIX))
