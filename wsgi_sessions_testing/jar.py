"""``CookieJar``: keeps and sends cookies as a browser does (RFC 6265bis), under a test's clock.

Must not know sessions, and must not ask the machine for the time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from wsgi_sessions.clock import Clock, has_passed

from .set_cookie import SetCookie, UnreadableCookieError, parse_set_cookie

__all__ = ["Cookie", "CookieJar", "RefusedCookie", "is_same_site"]

_LONGEST_LIFE_S = 400 * 24 * 3600
_LONG_AGO_MS = -1
_SECURE_SCHEMES = frozenset({"https", "wss"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie in a jar; instants are epoch milliseconds, UTC.

    ``expires_at_ms`` is None for a cookie that ends with the browser. ``is_host_only``: it had
    no Domain, so ``domain`` is exactly the host that set it. ``same_site`` is None when the
    server did not say, which browsers treat as Lax.
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

    def is_expired(self, now_ms: int) -> bool:
        return self.expires_at_ms is not None and has_passed(self.expires_at_ms, now_ms)


@dataclass(frozen=True, slots=True)
class RefusedCookie:
    """A Set-Cookie line the jar did not take, and why."""

    line: str
    url: str
    why: str


class CookieJar(Mapping[str, str]):
    """The cookies of one browser: a mapping of the live ones' names to their values.

    Of several with one name the one a browser would send first is read. ``refused`` lists the
    lines that were not taken.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cookies: dict[tuple[str, str, bool, str], Cookie] = {}
        self.refused: list[RefusedCookie] = []

    def receive(
        self,
        lines: Iterable[str],
        *,
        url: str,
        is_cross_site: bool = False,
        is_navigation: bool = True,
    ) -> None:
        """Take the values of a response's Set-Cookie headers; what breaks a rule is refused."""
        for line in lines:
            self._take(line, url=url, is_third_party=is_cross_site and not is_navigation)

    def header_for(
        self,
        url: str,
        *,
        method: str = "GET",
        is_cross_site: bool = False,
        is_navigation: bool = True,
    ) -> str | None:
        """Return the Cookie header for a request, or None when there is nothing to send.

        ``is_cross_site``: another site made the browser send it; ``is_navigation``: by a link
        or form that opens the page, rather than by a script, image or frame.
        """
        sent = [
            cookie
            for cookie in self.find_all(url)
            if not is_cross_site or _goes_cross_site(cookie, method, is_navigation=is_navigation)
        ]
        return "; ".join(_pair(cookie) for cookie in sent) if sent else None

    def script_view(self, url: str) -> str:
        """Return what ``document.cookie`` shows to a script of the page: no HttpOnly ones."""
        return "; ".join(_pair(cookie) for cookie in self.find_all(url) if not cookie.is_http_only)

    def find_all(self, url: str | None = None) -> tuple[Cookie, ...]:
        """Return the live cookies, or those that go to a URL, in the order they are sent."""
        now_ms = self._clock.now_ms()
        live = [cookie for cookie in self._cookies.values() if not cookie.is_expired(now_ms)]
        if url is not None:
            scheme, host, path = _parts(url)
            live = [
                cookie
                for cookie in live
                if _matches_host(cookie, host)
                and _matches_path(path, cookie.path)
                and (scheme in _SECURE_SCHEMES or not cookie.is_secure)
            ]
        return tuple(sorted(live, key=lambda cookie: (-len(cookie.path), cookie.created_at_ms)))

    def find(self, name: str) -> Cookie | None:
        """Return the live cookie of a name with all its attributes, or None."""
        return next((cookie for cookie in self.find_all() if cookie.name == name), None)

    def discard(self, name: str) -> None:
        """Forget every cookie of a name, as a person can in the browser's settings."""
        self._cookies = {key: c for key, c in self._cookies.items() if c.name != name}

    def clear(self) -> None:
        """Forget every cookie."""
        self._cookies = {}

    def restart(self) -> None:
        """Close and open the browser: cookies without Max-Age or Expires are gone."""
        self._cookies = {key: c for key, c in self._cookies.items() if c.expires_at_ms is not None}

    def copy(self, *, clock: Clock | None = None) -> CookieJar:
        """Return another jar with the same cookies: a backup, or a thief's."""
        twin = CookieJar(clock if clock is not None else self._clock)
        twin._cookies = dict(self._cookies)
        return twin

    def __getitem__(self, name: str) -> str:
        cookie = self.find(name)
        if cookie is None:
            raise KeyError(name)
        return cookie.value

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(cookie.name for cookie in self.find_all()))

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def __repr__(self) -> str:
        return f"CookieJar({', '.join(self)})"

    def _take(self, line: str, *, url: str, is_third_party: bool) -> None:
        try:
            parsed = parse_set_cookie(line)
            cookie = self._accept(parsed, url=url, is_third_party=is_third_party)
        except UnreadableCookieError as refusal:
            self.refused.append(RefusedCookie(line, url, str(refusal)))
        else:
            self._store(cookie)

    def _accept(self, parsed: SetCookie, *, url: str, is_third_party: bool) -> Cookie:
        """Apply section 5.7; raises ``UnreadableCookieError`` with the rule that is broken."""
        scheme, host, path = _parts(url)
        is_secure_origin = scheme in _SECURE_SCHEMES
        domain = _cookie_domain(parsed, host)
        is_host_only = domain is None
        has_path = parsed.path is not None and parsed.path.startswith("/")
        cookie = Cookie(
            name=parsed.name,
            value=parsed.value,
            domain=host if domain is None else domain,
            path=parsed.path if parsed.path and has_path else _default_path(path),
            is_host_only=is_host_only,
            is_secure=parsed.is_secure,
            is_http_only=parsed.is_http_only,
            same_site=parsed.same_site,
            expires_at_ms=self._expires_at_ms(parsed),
            created_at_ms=self._clock.now_ms(),
        )
        if cookie.is_secure and not is_secure_origin:
            raise UnreadableCookieError(f"it is Secure but came over {scheme}")
        if not cookie.is_secure and not is_secure_origin and self._would_shadow(cookie):
            raise UnreadableCookieError("it came over http and would shadow a Secure cookie")
        if is_third_party and cookie.same_site != "None":
            raise UnreadableCookieError(
                f"it is SameSite={cookie.same_site or 'Lax (by default)'} "
                "but came with a cross-site request"
            )
        if cookie.same_site == "None" and not cookie.is_secure:
            raise UnreadableCookieError("SameSite=None needs Secure")
        _check_prefix(cookie, has_path=has_path)
        return cookie

    def _store(self, cookie: Cookie) -> None:
        key = (cookie.name, cookie.domain, cookie.is_host_only, cookie.path)
        old = self._cookies.get(key)
        now_ms = self._clock.now_ms()
        if old is not None and not old.is_expired(now_ms):
            cookie = replace(cookie, created_at_ms=old.created_at_ms)
        else:
            self._cookies.pop(key, None)
        if cookie.is_expired(now_ms):
            self._cookies.pop(key, None)
        else:
            self._cookies[key] = cookie

    def _expires_at_ms(self, parsed: SetCookie) -> int | None:
        now_ms = self._clock.now_ms()
        latest_ms = now_ms + _LONGEST_LIFE_S * 1000
        if parsed.max_age_s is not None:  # Max-Age counts before Expires
            if parsed.max_age_s <= 0:
                return _LONG_AGO_MS
            return now_ms + min(parsed.max_age_s, _LONGEST_LIFE_S) * 1000
        if parsed.expires_at_ms is not None:
            return min(parsed.expires_at_ms, latest_ms)
        return None

    def _would_shadow(self, cookie: Cookie) -> bool:
        now_ms = self._clock.now_ms()
        return any(
            old.is_secure
            and old.name == cookie.name
            and not old.is_expired(now_ms)
            and (
                _matches_domain(old.domain, cookie.domain)
                or _matches_domain(cookie.domain, old.domain)
            )
            and _matches_path(cookie.path, old.path)
            for old in self._cookies.values()
        )


def is_same_site(first_url: str, second_url: str) -> bool:
    """Tell whether two URLs belong to one site: same scheme, same registrable domain.

    The registrable domain is taken to be the last two labels, since a test needs no list of
    public suffixes.

    >>> is_same_site("https://a.example.org", "https://example.org/x")
    True
    >>> is_same_site("https://example.org", "http://example.org")
    False
    """
    first_scheme, first_host, _ = _parts(first_url)
    second_scheme, second_host, _ = _parts(second_url)
    return first_scheme == second_scheme and _site(first_host) == _site(second_host)


def _site(host: str) -> str:
    return host if _is_address(host) else ".".join(host.split(".")[-2:])


def _parts(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    if not parts.scheme or parts.hostname is None:
        raise ValueError(f"{url!r} is not an absolute URL; write https://localhost/… instead")
    return parts.scheme.lower(), parts.hostname.lower(), parts.path or "/"


def _pair(cookie: Cookie) -> str:
    return f"{cookie.name}={cookie.value}" if cookie.name else cookie.value


def _goes_cross_site(cookie: Cookie, method: str, *, is_navigation: bool) -> bool:
    if cookie.same_site == "None":
        return True
    if cookie.same_site == "Strict":
        return False
    return is_navigation and method.upper() in _SAFE_METHODS


def _cookie_domain(parsed: SetCookie, host: str) -> str | None:
    """Return the domain a cookie is for, or None when it is for its host alone."""
    domain = parsed.domain
    if not domain:
        return None
    if "." not in domain or _is_address(domain):
        # Every top-level label counts as a public suffix here, localhost among them.
        if domain == host:
            return None
        raise UnreadableCookieError(f"Domain={domain} is a public suffix or an address")
    if not _matches_domain(host, domain):
        raise UnreadableCookieError(f"Domain={domain} does not cover the host {host}")
    return domain


def _check_prefix(cookie: Cookie, *, has_path: bool) -> None:
    name = (cookie.name or cookie.value).lower()
    if not name.startswith(("__secure-", "__host-")):
        return
    if not cookie.name:
        raise UnreadableCookieError("it has no name and a value that looks like a prefixed one")
    if not cookie.is_secure:
        raise UnreadableCookieError(f"{cookie.name} needs Secure")
    if name.startswith("__host-"):
        if not cookie.is_host_only:
            raise UnreadableCookieError(f"{cookie.name} must not have a Domain")
        if not has_path or cookie.path != "/":
            raise UnreadableCookieError(f"{cookie.name} needs Path=/")


def _default_path(path: str) -> str:
    head = path.rpartition("/")[0]
    return head if head.startswith("/") else "/"


def _matches_host(cookie: Cookie, host: str) -> bool:
    return cookie.domain == host if cookie.is_host_only else _matches_domain(host, cookie.domain)


def _matches_domain(host: str, domain: str) -> bool:
    return host == domain or (host.endswith("." + domain) and not _is_address(host))


def _matches_path(path: str, cookie_path: str) -> bool:
    if not path.startswith(cookie_path):
        return False
    return cookie_path.endswith("/") or path[len(cookie_path) :][:1] in ("", "/")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
