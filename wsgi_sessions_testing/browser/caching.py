"""What caches between browser and app may keep of an answer (RFC 9111, section 3; RFC 9213).

Must not know sessions: these are the lines that any cache reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webob import Response  # type: ignore[import-untyped, unused-ignore]

__all__ = ["find_keepers", "varies_by_cookie"]

_KEPT_BY_DEFAULT = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""Heuristically cacheable status codes (RFC 9110, section 15.1)."""
_DIRECTIVE = re.compile(r'\s*([^\s=,"]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?\s*(?:,|$)')
_TARGETED = ("cdn-cache-control", "surrogate-control")
"""What a cache of one kind obeys in place of Cache-Control; vendors put words of theirs before."""


def find_keepers(response: Response) -> list[str]:
    """Return why shared caches may keep a response, in words; none may if the list is empty.

    To keep is to store (section 3), whether or not it is asked for again: ``no-cache`` and
    ``Vary: *`` have a cache validate what it has stored. So has ``Vary: Cookie``, which only
    keeps those apart who bring other cookies.
    """
    method = "GET" if response.request is None else response.request.method
    is_authorized = response.request is not None and "Authorization" in response.request.headers
    reasons = []
    for name in ("Cache-Control", *_targeted_names(response)):
        why = _why_kept(
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
    """Tell whether caches keep an answer for each Cookie header apart."""
    fields = ",".join(response.headers.getall("Vary")).split(",")
    return bool({field.strip().lower() for field in fields} & {"cookie", "*"})


def _why_kept(
    response: Response,
    name: str,
    *,
    method: str,
    is_authorized: bool,
    has_expires: bool,
) -> str | None:
    """Return by what a shared cache may store a response, going by one field, or None."""
    directives = _read(response, name)
    # Whoever understands the status code is told to go by the rest (section 5.2.2.3).
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
    if response.status_int not in _KEPT_BY_DEFAULT:
        return None
    if response.headers.getall("Set-Cookie"):
        return "it sets a cookie and is neither private nor no-store"
    return f"{name} does not forbid shared caches to keep a {response.status_int}"


def _targeted_names(response: Response) -> Iterator[str]:
    """Go through the fields that speak to caches of one kind, and say something to them."""
    names = dict.fromkeys(name.lower() for name in response.headers)
    for name in names:
        if name.endswith(_TARGETED) and _read(response, name):
            yield name.title().replace("Cdn", "CDN")


def _read(response: Response, name: str) -> dict[str, str | None]:
    """Read directives; one without an argument has None (``private`` with one is another)."""
    text = ", ".join(response.headers.getall(name))
    found: dict[str, str | None] = {}
    for match in _DIRECTIVE.finditer(text):
        found[match[1].lower()] = match[2]
    return found
