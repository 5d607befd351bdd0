"""Adds our cookies to an app's response headers, and says what every answer of ours carries."""

from __future__ import annotations

import re

HeaderLines = list[tuple[str, str]]

_VARIES = ("Vary", "Cookie")

CLOSED_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
"""The Content-Security-Policy of an answer that is data: it loads, frames and runs nothing."""

# A directive up to the next comma that stands outside of a quoted string (RFC 9110, 5.6.4).
_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+')


def protections(
    *, content_policy: str = CLOSED_POLICY, referrer_policy: str = "no-referrer"
) -> HeaderLines:
    """Return the headers with which every answer of ours keeps to what it is meant for.

    Cross-Origin-Resource-Policy keeps it out of other sites' images and scripts. It does not
    touch what a page of a trusted origin reads, as that is asked for with CORS (Fetch, 3.7).
    """
    return [
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", content_policy),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Referrer-Policy", referrer_policy),
        ("X-Frame-Options", "DENY"),
    ]


def with_our_headers(headers: HeaderLines, ours: HeaderLines) -> HeaderLines:
    """Return a copy of an app's headers with our cookies and what caches must know.

    Every response may depend on the session (nobody sees whether the app reads the environ), so
    it varies by Cookie (RFC 9110, section 12.5.5). One that sets a cookie of ours is private
    (RFC 9111, section 5.2.2.7), whatever the app allows shared caches.
    """
    if not ours:
        for name, _ in headers:
            if len(name) == 4 and name.lower() == "vary":  # few names are so short
                break
        else:
            return [*headers, _VARIES]
    answer: HeaderLines = []
    varies = False
    cache_control: list[str] = []
    for line in headers:
        name = line[0].lower()
        if name == "vary":
            varies = True
            fields = [field.strip().lower() for field in line[1].split(",")]
            if "*" not in fields and "cookie" not in fields:
                line = (line[0], f"{line[1]}, Cookie" if line[1].strip() else "Cookie")
        elif ours and name == "cache-control":
            cache_control.append(line[1])
            continue
        elif ours:
            line = _without_shared_caching(line, name)
        answer.append(line)
    if not varies:
        answer.append(_VARIES)
    if ours:
        answer.append(("Cache-Control", _for_this_browser(cache_control)))
        answer.extend(ours)
    return answer


def _without_shared_caching(line: tuple[str, str], name: str) -> tuple[str, str]:
    """Return a header as it is, or as a refusal if it is for shared caches alone.

    Whatever ends in -Cache-Control is: it is named after its caches (RFC 9213, section 2.1).
    """
    if name == "surrogate-control":
        # "content" says how to process the body (Edge Architecture, section 2.2): it stays.
        kept = [text for text in _directives(line[1]) if _name_of(text) == "content"]
        return line[0], ", ".join(["no-store", *kept])
    if name == "edge-control" or name.endswith("-cache-control"):
        return line[0], "no-store"
    return (line[0], "0") if name == "x-accel-expires" else line


def _for_this_browser(cache_control: list[str]) -> str:
    directives = [text for value in cache_control for text in _directives(value)]
    # A private that names fields keeps those alone from shared caches (RFC 9111, 5.2.2.7).
    kept = [
        text
        for text in directives
        if _name_of(text) not in ("public", "s-maxage")
        and not (_name_of(text) == "private" and "=" in text)
    ]
    names = {_name_of(text) for text in kept}
    # With must-understand a cache that knows the status ignores no-store (RFC 9111, 5.2.2.3).
    if "private" not in names and ("no-store" not in names or "must-understand" in names):
        kept.insert(0, "private")
    return ", ".join(kept)


def _directives(value: str) -> list[str]:
    """Separate directives, at commas outside of quoted strings.

    >>> _directives('max-age=5, no-cache="Set-Cookie, X", public')
    ['max-age=5', 'no-cache="Set-Cookie, X"', 'public']
    """
    return [text.strip() for text in _DIRECTIVE.findall(value) if text.strip()]


def _name_of(directive: str) -> str:
    return directive.partition("=")[0].strip().lower()
