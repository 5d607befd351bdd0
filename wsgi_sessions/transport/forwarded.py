"""Reads the ``Forwarded`` header (RFC 7239), from the right, where the nearest proxy wrote.

Must not decide whom to believe. What a client has written stands to the left, and however
broken it is, it changes nothing of what stands to the right of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["ForwardedElement", "read_elements"]

_MAX_ELEMENT_CHARACTERS = 1024

# RFC 9110, sections 5.6.2 and 5.6.4.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(
    rf"[ \t]*(?P<name>{_WORD})=(?:(?P<token>{_WORD})"
    r'|"(?P<quoted>(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)")[ \t]*'
)
_QUOTE = re.compile(r'\\.|(")', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_ADDRESS = re.compile(rf"(?:[0-9.]+|\[[0-9A-Fa-f:.]+\]){_PORT}")
_NO_ADDRESS = re.compile(rf"(?:unknown|_[A-Za-z0-9._-]+){_PORT}", re.IGNORECASE)


class ForwardedElement(NamedTuple):
    """What one proxy says of the request that reached it; None for what it does not tell.

    ``node`` is an address, perhaps with a port; None too where it is hidden or unknown.
    ``scheme`` is in lower case.
    """

    node: str | None
    scheme: str | None
    host: str | None


def read_elements(header: str, *, at_most: int) -> Iterator[ForwardedElement | None]:
    """Yield the elements of a header, the last one first; None, and no more, for a malformed one.

    >>> header = 'for=192.0.2.1, for="[2001:db8::1]:47011";proto=https'
    >>> [element.node for element in read_elements(header, at_most=8) if element is not None]
    ['[2001:db8::1]:47011', '192.0.2.1']
    >>> list(read_elements('for=192.0.2.1, for="[2001:db8::1', at_most=8))
    [None]
    """
    end = len(header)
    for _ in range(at_most):
        start = _find_start(header, end)
        element = None if start is None else _parse(header[start:end])
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


def _parse(text: str) -> ForwardedElement | None:
    """Return what an element says, or None where it breaks the grammar of RFC 7239, section 4."""
    said: dict[str, str] = {}
    position = 0
    while position < len(text):
        if text[position] == ";":  # a pair may be left out
            position += 1
            continue
        pair = _PAIR.match(text, position)
        if pair is None:
            return None
        name, quoted = pair["name"].lower(), pair["quoted"]
        if name in said:
            return None
        said[name] = pair["token"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        position = pair.end()
        if position < len(text) and text[position] != ";":
            return None
    node = said.get("for")
    if node is not None and _ADDRESS.fullmatch(node) is None:
        if _NO_ADDRESS.fullmatch(node) is None:
            return None
        node = None
    if not said:
        return None
    scheme = said.get("proto")
    return ForwardedElement(node, None if scheme is None else scheme.lower(), said.get("host"))
