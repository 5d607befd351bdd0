"""One cookie in a jar: when it is expired, and which requests it is sent with (RFC 6265bis)."""

from __future__ import annotations

from dataclasses import dataclass

from wsgi_sessions.clock import has_passed

from .cookie_rules import PREFIXES, is_trustworthy, matches_domain, matches_path, split_url
from .set_cookie import UnreadableCookieError

CookieKey = tuple[str, str, bool, str]
"""Name, domain, whether it is for the host alone, and path: a jar holds one cookie of each."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie in a jar; instants are epoch milliseconds, UTC.

    ``expires_at_ms`` is None for a cookie that ends with the browser. ``is_host_only``: it had
    no Domain, so ``domain`` is exactly the host that set it. ``same_site`` is None when the
    server did not say, which browsers treat as Lax. ``priority`` is ``"Low"``, ``"Medium"`` or
    ``"High"``, by which Chromium chooses what it drops first.
    """

    name: str
    value: str
    domain: str
    path: str
    is_host_only: bool
    is_secure: bool
    is_http_only: bool
    same_site: str | None
    expires_at_ms: int | None
    created_at_ms: int
    priority: str = "Medium"

    @property
    def key(self) -> CookieKey:
        return self.name, self.domain, self.is_host_only, self.path

    @property
    def pair(self) -> str:
        """The cookie as a Cookie header has it."""
        return f"{self.name}={self.value}" if self.name else self.value

    def is_expired(self, now_ms: int) -> bool:
        return self.expires_at_ms is not None and has_passed(self.expires_at_ms, now_ms)

    def is_sent_to(self, url: str) -> bool:
        """Return whether a request of the cookie's own site to a URL brings it."""
        _, host, path = split_url(url)
        is_domain = self.domain == host if self.is_host_only else matches_domain(host, self.domain)
        is_path = matches_path(path, self.path)
        return is_domain and is_path and (is_trustworthy(url) or not self.is_secure)

    def is_sent_cross_site(self, method: str, *, is_navigation: bool) -> bool:
        """Return whether a request that another site makes a browser send brings it."""
        if self.same_site in ("None", "Strict"):
            return self.same_site == "None"
        return is_navigation and method.upper() in _SAFE_METHODS


@dataclass(frozen=True, slots=True)
class RefusedCookie:
    """A Set-Cookie line the jar did not take, and why."""

    line: str
    url: str
    why: str


def check_prefix(cookie: Cookie, *, has_path: bool) -> None:
    """Raise ``UnreadableCookieError`` for what the prefix of a cookie's name does not allow."""
    name = (cookie.name or cookie.value).lower()
    if not name.startswith(tuple(prefix.lower() for prefix in PREFIXES)):
        return
    if not cookie.name:
        raise UnreadableCookieError("it has no name and a value that looks like a prefixed one")
    if not cookie.is_secure:
        raise UnreadableCookieError(f"{cookie.name} needs Secure")
    if name.startswith(("__http-", "__host-http-")) and not cookie.is_http_only:
        raise UnreadableCookieError(f"{cookie.name} needs HttpOnly")
    if name.startswith("__host-"):
        if not cookie.is_host_only:
            raise UnreadableCookieError(f"{cookie.name} must not have a Domain")
        if not has_path or cookie.path != "/":
            raise UnreadableCookieError(f"{cookie.name} needs Path=/")
