"""The client's address, scheme and host, as the server or trusted proxies give them.

Nothing that a client sends makes this fail.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, zip_longest
from typing import Any, NamedTuple

from ..config.checks import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 1918, RFC 4193, RFC 6598, loopback and link-local: where proxies are.
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
        *("169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128"),
    )
)
_MAX_HOPS = 32
_MAX_ADDRESS_CHARACTERS = 100
_MAX_ELEMENT_CHARACTERS = 1024
_IS_HTTPS = {"https": True, "wss": True, "http": False, "ws": False}
"""By scheme; any other says nothing."""

_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
# Some programs cut a bracket off; in Forwarded, which has a grammar, that is malformed.
_WITH_PORT = rf"\[([^\[\]]*:[^\[\]]*)(?:\]{_PORT})?|([0-9.]+){_PORT}"

# Forwarded: RFC 7239, sections 4 and 6, with RFC 9110, sections 5.6.2 and 5.6.4.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = (
    rf"[ \t]*({_WORD})=(?:({_WORD})"
    r'|"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)")[ \t]*'
)
# Any pair may be left out.
_ELEMENT = rf"(?:{_PAIR})?(?:;(?:{_PAIR})?)*"
_QUOTE = r'(?s)\\.|(")'
_ESCAPED = r"(?s)\\(.)"
_NODE_ADDRESS = rf"(?:[0-9.]+|\[[0-9A-Fa-f:.]+\]){_PORT}"
_NODE_WITHOUT_ADDRESS = rf"(?i)(?:unknown|_[A-Za-z0-9._-]+){_PORT}"


class Client(NamedTuple):
    """Who sent a request; ``host`` is what a trusted proxy was asked for, or None."""

    address: str | None
    is_https: bool
    host: str | None = None


class Hop(NamedTuple):
    """What one proxy says of who connected to it; None for what it leaves out or hides."""

    address: str | None = None
    is_https: bool | None = None
    host: str | None = None


def read_client(environ: Mapping[str, Any], trusted_proxies: Sequence[Network]) -> Client:
    """Return who sent a request, by what trusted proxies say.

    ``X-Forwarded-For``, ``-Proto`` and ``-Host`` are read from the right: a hop that is a
    trusted proxy is believed about the one to its left, and the first that is not is the client.
    A malformed hop ends the reading. ``Forwarded`` (RFC 7239) is read in their place, never
    beside them: it is ignored where ``-For`` or ``-Proto`` is there.
    """
    address = normal_address(environ.get("REMOTE_ADDR") or "")
    is_https = environ.get("wsgi.url_scheme") in ("https", "wss")
    host: str | None = None
    # A unix socket has no address; whoever lists proxies and listens on one has only proxies.
    if not trusted_proxies or (address is not None and not _is_within(address, trusted_proxies)):
        return Client(address, is_https)
    for hop in _hops(environ):
        address, host = hop.address, hop.host or host
        is_https = is_https if hop.is_https is None else hop.is_https
        if address is None or not _is_within(address, trusted_proxies):
            break
    return Client(address, is_https, host)


def find_unknown_proxy(
    environ: Mapping[str, Any], trusted_proxies: Sequence[Network]
) -> str | None:
    """Return the private address that forwards for others and is not a trusted proxy, or None.

    "unix" stands for a socket without an address. All who come through it look like one client.

    >>> forwarded = {"REMOTE_ADDR": "10.0.0.5", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}
    >>> find_unknown_proxy(forwarded, ())
    '10.0.0.5'
    >>> find_unknown_proxy({**forwarded, "REMOTE_ADDR": "198.51.100.1"}, ()) is None
    True
    """
    if not (environ.get("HTTP_X_FORWARDED_FOR") or environ.get("HTTP_FORWARDED")):
        return None
    address = normal_address(environ.get("REMOTE_ADDR") or "")
    for hop in _hops(environ):
        if address is None:
            # With trusted proxies, whatever has no address is one.
            if not trusted_proxies:
                return "unix"
        elif not _is_within(address, trusted_proxies):
            return address if _is_within(address, _PRIVATE) else None
        address = hop.address
        if address is None:
            return None
    return None


def is_same_network(first: str, second: str, *, prefix_v4: int, prefix_v6: int) -> bool:
    """Return whether two addresses share a network of the prefix length of their family.

    >>> is_same_network("192.0.2.1", "192.0.2.200", prefix_v4=24, prefix_v6=64)
    True
    >>> is_same_network("192.0.2.1", "2001:db8::1", prefix_v4=24, prefix_v6=64)
    False
    """
    return network_of(first, prefix_v4=prefix_v4, prefix_v6=prefix_v6) == network_of(
        second, prefix_v4=prefix_v4, prefix_v6=prefix_v6
    )


def network_of(address: str, *, prefix_v4: int, prefix_v6: int) -> str:
    """Return the network of an address; what is no address stands for itself.

    >>> network_of("192.0.2.1", prefix_v4=24, prefix_v6=64)
    '192.0.2.0/24'
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    prefix = prefix_v4 if parsed.version == 4 else prefix_v6
    return str(ipaddress.ip_network((parsed.packed, prefix), strict=False))


@lru_cache(maxsize=4096)
def normal_address(text: str) -> str | None:
    """Return an IP address without port, brackets and zone, or None if the text is none.

    >>> normal_address("::ffff:192.0.2.1"), normal_address("[2001:DB8::1]:443")
    ('192.0.2.1', '2001:db8::1')
    >>> normal_address("192.0.2.1:"), normal_address("[2001:db8::1]x"), normal_address("unknown")
    (None, None, None)
    """
    text = _unquoted(text.strip())
    if (found := re.fullmatch(_WITH_PORT, text)) is not None:
        text = found[1] or found[2]
    host, percent, zone = text.partition("%")
    if percent and (":" not in host or not zone):
        return None
    try:
        address: Address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped if mapped is not None else address)


def _hops(environ: Mapping[str, Any]) -> Iterator[Hop]:
    """Yield what proxies wrote, the nearest first."""
    addresses = environ.get("HTTP_X_FORWARDED_FOR")
    schemes = _split(environ.get("HTTP_X_FORWARDED_PROTO"))
    forwarded = environ.get("HTTP_FORWARDED")
    # A proxy that writes one of those two passes Forwarded on as the client sent it.
    if forwarded and not addresses and not schemes:
        yield from read_elements(forwarded)
        return
    hosts = _split(environ.get("HTTP_X_FORWARDED_HOST"))
    # A proxy that only gives the scheme: the client is the hop that the server saw.
    hops = _split(addresses) or [environ.get("REMOTE_ADDR") or ""]
    # With fewer schemes than addresses, the last one holds for the rest.
    columns = zip_longest(hops, schemes, hosts, fillvalue="")
    for text, scheme, host in islice(columns, len(hops)):
        yield Hop(_short_address(text), _IS_HTTPS.get(scheme.lower()), host)


def _short_address(text: str) -> str | None:
    # Longer texts are no addresses, and must not fill the cache.
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
    parsed = _parsed(address)
    return any(parsed in network for network in networks)


# Of addresses in their normal form: a site has few proxies, and asks for them with each request.
_parsed = lru_cache(maxsize=4096)(ipaddress.ip_address)


def read_elements(header: str) -> Iterator[Hop]:
    """Yield what the elements of a ``Forwarded`` header say, the last one first.

    A malformed one says nothing, and ends the reading: what a client has written stands to the
    left, and changes nothing of what stands to the right of it.

    >>> header = 'for=192.0.2.1, for="[2001:db8::1]:47011";proto=https'
    >>> [hop.address for hop in read_elements(header)]
    ['2001:db8::1', '192.0.2.1']
    >>> list(read_elements('for=192.0.2.1, for="[2001:db8::1'))
    [Hop(address=None, is_https=None, host=None)]
    """
    end = len(header)
    for _ in range(_MAX_HOPS):
        start = _find_start(header, end)
        hop = None if start is None else _parse_element(header[start:end])
        yield hop or Hop()
        if hop is None or not start:
            return
        end = start - 1


def _find_start(header: str, end: int) -> int | None:
    """Return where the element begins that ends here; None if it is too long to be one.

    A comma within quotes has an odd number of them behind it, and one between elements an even.
    """
    first = max(0, end - _MAX_ELEMENT_CHARACTERS)
    is_quoted, cut = False, end
    while (comma := header.rfind(",", first, cut)) >= 0:
        is_quoted ^= re.findall(_QUOTE, header[comma + 1 : cut]).count('"') % 2 == 1
        if not is_quoted:
            return comma + 1
        cut = comma
    return 0 if first == 0 else None


def _parse_element(text: str) -> Hop | None:
    """Return what an element says, or None where it breaks the grammar of RFC 7239, section 4."""
    if re.fullmatch(_ELEMENT, text) is None:
        return None
    found = re.findall(_PAIR, text)
    pairs = {name.lower(): word or re.sub(_ESCAPED, r"\1", quoted) for name, word, quoted in found}
    if not pairs or len(pairs) < len(found):  # no pair may be there twice
        return None
    address, node = None, pairs.get("for", "unknown")
    if re.fullmatch(_NODE_WITHOUT_ADDRESS, node) is None:
        address = _short_address(node) if re.fullmatch(_NODE_ADDRESS, node) else None
        if address is None:
            return None
    return Hop(address, _IS_HTTPS.get(pairs.get("proto", "").lower()), pairs.get("host"))
