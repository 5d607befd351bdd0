"""Which hosts, paths and sites match for cookies (RFC 6265bis, section 5.1).

There is no list of public suffixes: every top-level label is one, and a site is the last two
labels of a host.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from .set_cookie import SetCookie, UnreadableCookieError

PREFIXES = ("__Host-Http-", "__Http-", "__Host-", "__Secure-")
"""Prefixes of cookie names that demand attributes; a prefix of another one comes after it."""


def is_trustworthy(url: str) -> bool:
    """Return whether a browser takes Secure cookies from a URL, and sends them there.

    It does over TLS, and on the same machine (Secure Contexts, section 3.1).

    >>> is_trustworthy("http://app.localhost:8000/"), is_trustworthy("http://localhost.example/")
    (True, False)
    """
    scheme, host, _ = split_url(url)
    if scheme in ("https", "wss"):
        return True
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same_site(first_url: str, second_url: str) -> bool:
    """Return whether two URLs belong to one site: same scheme, same registrable domain.

    The registrable domain is taken to be the last two labels, since a test needs no list of
    public suffixes.

    >>> is_same_site("https://a.example.org", "https://example.org/x")
    True
    >>> is_same_site("https://example.org", "http://example.org")
    False
    """
    first_scheme, first_host, _ = split_url(first_url)
    second_scheme, second_host, _ = split_url(second_url)
    return first_scheme == second_scheme and site_of(first_host) == site_of(second_host)


def site_of(host: str) -> str:
    """Return the registrable domain of a host, taken as in ``is_same_site``."""
    return host if _is_address(host) else ".".join(host.split(".")[-2:])


def split_url(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    if not parts.scheme or parts.hostname is None:
        raise ValueError(f"{url!r} is not an absolute URL; write https://localhost/… instead")
    return parts.scheme.lower(), parts.hostname.lower(), parts.path or "/"


def cookie_domain(parsed: SetCookie, host: str) -> str | None:
    """Return the domain a cookie is for, or None when it is for its host alone."""
    domain = parsed.domain
    if not domain:
        return None
    if "." not in domain or _is_address(domain):
        # Every top-level label counts as a public suffix here, localhost among them.
        if domain == host:
            return None
        raise UnreadableCookieError(f"Domain={domain} is a public suffix or an address")
    if not matches_domain(host, domain):
        raise UnreadableCookieError(f"Domain={domain} does not cover the host {host}")
    return domain


def default_path(path: str) -> str:
    head = path.rpartition("/")[0]
    return head if head.startswith("/") else "/"


def matches_domain(host: str, domain: str) -> bool:
    return host == domain or (host.endswith("." + domain) and not _is_address(host))


def matches_path(path: str, cookie_path: str) -> bool:
    if not path.startswith(cookie_path):
        return False
    return cookie_path.endswith("/") or path[len(cookie_path) :][:1] in ("", "/")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
