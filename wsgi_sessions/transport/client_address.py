"""The client's address, scheme and host, as the server or trusted proxies give them.

Nothing that a client sends makes this fail.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..config.checks import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_HOPS = 32
_MAX_ADDRESS_CHARACTERS = 100
_MAX_ELEMENT_CHARACTERS = 1024
_IS_HTTPS = {"https": True, "wss": True, "http": False, "ws": False}
"""By scheme; any other says nothing."""

_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
# Some programs cut a bracket off; in Forwarded, which has a grammar, that is malformed.
_BRACKETED = re.compile(rf"\[([^\[\]]+)(?:\]{_PORT})?")
_WITH_PORT = re.compile(rf"([0-9.]+){_PORT}")

# Forwarded: RFC 7239, sections 4 and 6, with RFC 9110, sections 5.6.2 and 5.6.4.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(
    rf"[ \t]*(?P<name>{_WORD})=(?:(?P<token>{_WORD})"
    r'|"(?P<quoted>(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)")[ \t]*'
)
_QUOTE = re.compile(r'\\.|(")', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NODE_ADDRESS = re.compile(rf"(?:[0-9.]+|\[[0-9A-Fa-f:.]+\]){_PORT}")
_NODE_WITHOUT_ADDRESS = re.compile(rf"(?:unknown|_[A-Za-z0-9._-]+){_PORT}", re.IGNORECASE)


class Client(NamedTuple):
    """Who sent a request; ``host`` is what a trusted proxy was asked for, or None."""

    address: str | None
    is_https: bool
    host: str | None = None


class _Hop(NamedTuple):
    """What one proxy says of who connected to it; ``None`` for what it leaves out."""

    address: str | None
    is_https: bool | None
    host: str | None


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
        address = None if hop is None else hop.address
        if hop is not None:
            is_https = is_https if hop.is_https is None else hop.is_https
            host = hop.host or host
        if address is None or not _is_within(address, trusted_proxies):
            break
    return Client(address, is_https, host)


def is_same_network(first: str, second: str, *, prefix_v4: int, prefix_v6: int) -> bool:
    """Return whether two addresses share a network of the prefix length of their family.

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
    """Yield what proxies wrote, the nearest first; None for what is malformed."""
    addresses = environ.get("HTTP_X_FORWARDED_FOR")
    schemes = _split(environ.get("HTTP_X_FORWARDED_PROTO"))
    forwarded = environ.get("HTTP_FORWARDED")
    # A proxy that writes one of those two passes Forwarded on as the client sent it.
    if forwarded and not addresses and not schemes:
        for element in read_elements(forwarded, at_most=_MAX_HOPS):
            yield None if element is None else _hop_of(element)
        return
    hosts = _split(environ.get("HTTP_X_FORWARDED_HOST"))
    # A proxy that only gives the scheme: the client is the hop that the server saw.
    hops = _split(addresses) or [environ.get("REMOTE_ADDR") or ""]
    for position, text in enumerate(hops):
        # With fewer schemes than addresses, the last one holds for the rest.
        scheme = schemes[position].lower() if position < len(schemes) else ""
        host = hosts[position] if position < len(hosts) else None
        yield _Hop(_short_address(text), _IS_HTTPS.get(scheme), host)


def _hop_of(element: ForwardedElement) -> _Hop | None:
    address = None if element.node is None else _short_address(element.node)
    if element.node is not None and address is None:
        return None
    return _Hop(address, _IS_HTTPS.get(element.scheme or ""), element.host)


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
    return any(ipaddress.ip_address(address) in network for network in networks)


class ForwardedElement(NamedTuple):
    """What one proxy says of the request that reached it; None for what it leaves out.

    ``node`` is an address, perhaps with a port; None too where it is hidden or unknown.
    ``scheme`` is in lower case.
    """

    node: str | None
    scheme: str | None
    host: str | None


def read_elements(header: str, *, at_most: int) -> Iterator[ForwardedElement | None]:
    """Yield the elements of a ``Forwarded`` header, the last one first.

    Yields None for a malformed one, and ends there: what a client has written stands to the
    left, and changes nothing of what stands to the right of it.

    >>> header = 'for=192.0.2.1, for="[2001:db8::1]:47011";proto=https'
    >>> [element.node for element in read_elements(header, at_most=8) if element is not None]
    ['[2001:db8::1]:47011', '192.0.2.1']
    >>> list(read_elements('for=192.0.2.1, for="[2001:db8::1', at_most=8))
    [None]
    """
    end = len(header)
    for _ in range(at_most):
        start = _find_start(header, end)
        element = None if start is None else _parse_element(header[start:end])
        yield element
        if element is None or not start:
            return
        end = start - 1


def _find_start(header: str, end: int) -> int | None:
    """Return where the element begins that ends here; None if it is too long to be one.

    A comma within quotes has an odd number of them behind it, and one between elements an even.
    """
    first = max(0, end - _MAX_ELEMENT_CHARACTERS)
    is_quoted, cut = False, end
    while True:
        comma = header.rfind(",", first, cut)
        if comma < 0:
            return 0 if first == 0 else None
        if _QUOTE.findall(header, comma + 1, cut).count('"') % 2:
            is_quoted = not is_quoted
        if not is_quoted:
            return comma + 1
        cut = comma


def _parse_element(text: str) -> ForwardedElement | None:
    """Return what an element says, or None where it breaks the grammar of RFC 7239, section 4."""
    pairs: dict[str, str] = {}
    position = 0
    while position < len(text):
        if text[position] == ";":  # a pair may be left out
            position += 1
            continue
        pair = _PAIR.match(text, position)
        if pair is None:
            return None
        name, quoted = pair["name"].lower(), pair["quoted"]
        if name in pairs:
            return None
        pairs[name] = pair["token"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        position = pair.end()
        if position < len(text) and text[position] != ";":
            return None
    node = pairs.get("for")
    if node is not None and _NODE_ADDRESS.fullmatch(node) is None:
        if _NODE_WITHOUT_ADDRESS.fullmatch(node) is None:
            return None
        node = None
    if not pairs:
        return None
    scheme = pairs.get("proto")
    return ForwardedElement(node, None if scheme is None else scheme.lower(), pairs.get("host"))
