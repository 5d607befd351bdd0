"""Returns whether a host or a pattern covers names that anybody can register.

The list is read when a setting that needs it is checked, not at a request. It is that of
publicsuffix.org, kept by the package ``publicsuffixlist``; its private section (``github.io``)
counts as much as that of the registries (``co.uk``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

Labels = tuple[str, ...]
"""The labels of a name, the last one first."""


def covers_public_suffix(pattern: str) -> bool:
    """Return whether a ``*`` in a host stands where anybody could register a name that it matches.

    ``*`` stands for a part of one label. A host without one covers nothing but itself.

    >>> covers_public_suffix("*.github.io"), covers_public_suffix("*.ada.github.io")
    (True, False)
    >>> covers_public_suffix("app-*.co.uk"), covers_public_suffix("*.*.amazonaws.com")
    (True, True)
    """
    labels = _reversed(pattern.lower())
    wild = next((at for at, label in enumerate(labels) if "*" in label), None)
    if wild is None:
        return False
    # A name of one label is a suffix by default, and of two somebody's; a number ends an address.
    if wild < 2 or labels[0].isdigit():
        return True
    rules, exceptions = _read_list()
    return any(
        wild <= len(rule) and _may_match(labels, rule) and labels[: len(rule)] not in exceptions
        for rule in rules.get(labels[0], ())
    )


def is_public_suffix(host: str) -> bool:
    """Return whether anybody can register a name right below this one, by the list.

    A name of one label that is not in it, such as ``localhost``, is somebody's own.

    >>> is_public_suffix("co.uk"), is_public_suffix("GitHub.io"), is_public_suffix("any.ck")
    (True, True, True)
    >>> is_public_suffix("example.co.uk"), is_public_suffix("www.ck"), is_public_suffix("localhost")
    (False, False, False)
    """
    labels = _reversed(host.lower())
    rules, exceptions = _read_list()
    return labels not in exceptions and any(
        len(rule) == len(labels) and _may_match(labels, rule) for rule in rules.get(labels[0], ())
    )


def is_same_site(host: str, other: str) -> bool:
    """Return whether two hosts are one, or lie in one domain that somebody has registered.

    >>> is_same_site("id.example.co.uk", "keys.example.co.uk")
    True
    >>> is_same_site("a.co.uk", "b.co.uk"), is_same_site("10.0.0.1", "10.1.0.1")
    (False, False)
    """
    return host == other or (
        not host.rpartition(".")[2].isdigit() and _site_of(host) == _site_of(other)
    )


def _site_of(host: str) -> str:
    """Return the shortest end of a host, of two labels at least, that is no public suffix."""
    labels = host.lower().split(".")
    ends = (".".join(labels[start:]) for start in range(len(labels) - 2, -1, -1))
    return next((end for end in ends if not is_public_suffix(end)), host)


def _may_match(labels: Labels, rule: Labels) -> bool:
    """Return whether some name of a pattern ends in what a rule of the list names."""
    if len(rule) > len(labels):
        return False
    return all(
        named in ("*", label) or ("*" in label and _stands_for(label, named))
        for label, named in zip(labels, rule, strict=False)
    )


def _stands_for(label: str, named: str) -> bool:
    return re.fullmatch(re.escape(label).replace(r"\*", ".*"), named) is not None


@lru_cache(maxsize=1)
def _read_list() -> tuple[Mapping[str, tuple[Labels, ...]], frozenset[Labels]]:
    """Return the rules by their last label, and the exceptions to those with a wildcard.

    Names are as browsers send them, in ASCII. ``*.ck`` makes ``ck`` a suffix, too.
    """
    from importlib.resources import files

    text = files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8")
    rules: dict[str, dict[Labels, None]] = {}
    exceptions: set[Labels] = set()
    for line in text.splitlines():
        rule = line.partition(" ")[0].strip().lower()
        if not rule or rule.startswith("//"):
            continue
        labels = _reversed(rule.removeprefix("!").encode("idna").decode("ascii"))
        if rule.startswith("!"):
            exceptions.add(labels)
            continue
        found = rules.setdefault(labels[0], {})
        found[labels] = None
        if labels[-1] == "*" and len(labels) > 1:
            found[labels[:-1]] = None
    return {last: tuple(found) for last, found in rules.items()}, frozenset(exceptions)


def _reversed(name: str) -> Labels:
    return tuple(reversed(name.split(".")))
