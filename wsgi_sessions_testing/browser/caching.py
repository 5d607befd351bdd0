"""Whether caches between browser and app may store an answer (RFC 9111, section 3; RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webob import Response  # type: ignore[import-untyped, unused-ignore]

_CACHEABLE_BY_DEFAULT = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""Heuristically cacheable status codes (RFC 9110, section 15.1)."""
_DIRECTIVE = re.compile(r'\s*([^\s=,"]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?\s*(?:,|$)')
_TARGETED = ("cdn-cache-control", "surrogate-control")
"""How fields end that caches of one kind obey in place of Cache-Control; vendors prefix them."""


def reasons_to_store(response: Response) -> list[str]:
    """Return why shared caches may store a response, in words; an empty list means they may not.

    To store (section 3) is not to reuse: ``no-cache`` and ``Vary: *`` only make a cache
    validate what it has stored, and ``Vary: Cookie`` makes it store one for each Cookie header.
    """
    method = "GET" if response.request is None else response.request.method
    is_authorized = response.request is not None and "Authorization" in response.request.headers
    reasons = []
    for name in ("Cache-Control", *_targeted_names(response)):
        why = _why_stored(
            response,
            name,
            method=method,
            is_authorized=is_authorized,
            has_expires=name == "Cache-Control" and "Expires" in response.headers,
        )
        if why is not None:
            reasons.append(why)
    if reasons and not varies_by_cookie(response):
        reasons.append("Vary does not name Cookie")
    return reasons


def varies_by_cookie(response: Response) -> bool:
    """Return whether caches keep the answers to different Cookie headers apart."""
    fields = ",".join(response.headers.getall("Vary")).split(",")
    return bool({field.strip().lower() for field in fields} & {"cookie", "*"})


def _why_stored(
    response: Response, name: str, *, method: str, is_authorized: bool, has_expires: bool
) -> str | None:
    """Return what in one field lets a shared cache store a response, or None."""
    directives = _parse(response, name)
    # A cache that understands the status code goes by the other directives (section 5.2.2.3).
    if "no-store" in directives and "must-understand" not in directives:
        return None
    if "private" in directives and directives["private"] is None:
        return None
    allowing = [word for word in ("public", "s-maxage") if word in directives]
    if is_authorized and not (allowing or "must-revalidate" in directives):
        return None
    explicit = allowing + (["max-age"] if "max-age" in directives else [])
    if has_expires:
        explicit.append("Expires")
    if method not in ("GET", "HEAD"):
        fresh = [word for word in explicit if word != "public"]
        is_about_page = "Content-Location" in response.headers
        if method != "POST" or not fresh or not is_about_page:
            return None
    if explicit:
        return f"{explicit[-1] if explicit == ['Expires'] else name} lets shared caches keep it"
    if response.status_int not in _CACHEABLE_BY_DEFAULT:
        return None
    if response.headers.getall("Set-Cookie"):
        return "it sets a cookie and is neither private nor no-store"
    return f"{name} does not forbid shared caches to keep a {response.status_int}"


def _targeted_names(response: Response) -> Iterator[str]:
    """Yield the names of the fields for caches of one kind that hold directives."""
    names = dict.fromkeys(name.lower() for name in response.headers)
    for name in names:
        if name.endswith(_TARGETED) and _parse(response, name):
            yield name.title().replace("Cdn", "CDN")


def _parse(response: Response, name: str) -> dict[str, str | None]:
    """Parse directives; one without an argument has None (``private=…`` is not ``private``)."""
    text = ", ".join(response.headers.getall(name))
    found: dict[str, str | None] = {}
    for match in _DIRECTIVE.finditer(text):
        found[match[1].lower()] = match[2]
    return found
