"""``CookieJar``: keeps and sends cookies as a browser does (RFC 6265bis), under a test's clock.

Must not know sessions, and must not ask the machine for the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from wsgi_sessions.clock import Clock, has_passed

from .cookie_rules import (
    PREFIXES,
    cookie_domain,
    default_path,
    is_same_site,
    is_trustworthy,
    matches_domain,
    matches_path,
    site_of,
    split_url,
)
from .set_cookie import SetCookie, UnreadableCookieError, parse_set_cookie

__all__ = ["Cookie", "CookieJar", "RefusedCookie", "is_same_site"]

_MAX_LIFE_S = 400 * 24 * 3600
_LONG_AGO_MS = -1
_MAX_OF_A_DOMAIN = 180
"""As in Chromium; RFC 6265bis asks for 50 at least (section 6.1)."""

_EVICTION_ROUNDS = {
    ("Low", False): 0,
    ("Low", True): 1,
    ("Medium", False): 2,
    ("High", False): 3,
    ("Medium", True): 4,
    ("High", True): 5,
}
"""Which cookies go first, by priority and Secure, as in Chromium's ``CookieMonster``."""

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

    def is_expired(self, now_ms: int) -> bool:
        return self.expires_at_ms is not None and has_passed(self.expires_at_ms, now_ms)


@dataclass(frozen=True, slots=True)
class RefusedCookie:
    """A Set-Cookie line the jar did not take, and why."""

    line: str
    url: str
    why: str


_Key = tuple[str, str, bool, str]
"""Name, domain, whether it is for the host alone, and path."""


class _Change(NamedTuple):
    """What the place of a cookie held before it was set or removed."""

    at_ms: int
    key: _Key
    before: Cookie | None


class CookieJar(Mapping[str, str]):
    """The cookies of one browser: a mapping of the live ones' names to their values.

    Of several with one name the one a browser would send first is read. ``refused`` lists the
    lines that were not taken. A cookie that was over when the jar was used is gone for good, even
    if the clock goes back; looking changes nothing. Of more than 180 of one site, sub-domains
    included, the least recently used is evicted, one with ``Priority=High`` and Secure last.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cookies: dict[_Key, Cookie] = {}
        # Turns, not instants: a clock that stands still would not tell which was used last.
        self._last_used: dict[_Key, int] = {}
        self._turn = 0
        self._gone: list[Cookie] = []
        self._changes: list[_Change] = []
        self.crash_count = 0
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
        self._drop_expired()
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
        self._drop_expired()
        self._use(sent)
        return "; ".join(_pair(cookie) for cookie in sent) if sent else None

    def script_view(self, url: str) -> str:
        """Return what ``document.cookie`` shows to a script of the page: no HttpOnly ones."""
        shown = [cookie for cookie in self.find_all(url) if not cookie.is_http_only]
        self._drop_expired()
        self._use(shown)
        return "; ".join(_pair(cookie) for cookie in shown)

    def find_all(self, url: str | None = None) -> tuple[Cookie, ...]:
        """Return the live cookies, or those that go to a URL, in the order they are sent."""
        now_ms = self._clock.now_ms()
        live = [cookie for cookie in self._cookies.values() if not cookie.is_expired(now_ms)]
        if url is not None:
            _, host, path = split_url(url)
            may_be_secure = is_trustworthy(url)
            live = [
                cookie
                for cookie in live
                if _matches_host(cookie, host)
                and matches_path(path, cookie.path)
                and (may_be_secure or not cookie.is_secure)
            ]
        return tuple(sorted(live, key=lambda cookie: (-len(cookie.path), cookie.created_at_ms)))

    def find(self, name: str) -> Cookie | None:
        """Return the live cookie of a name with all its attributes, or None."""
        return next((cookie for cookie in self.find_all() if cookie.name == name), None)

    @property
    def gone(self) -> tuple[Cookie, ...]:
        """The cookies that the jar no longer holds, the latest gone last.

        They expired, were evicted, taken away by the server or forgotten; a cookie whose place
        another value took is not among them.
        """
        now_ms = self._clock.now_ms()
        expired = [cookie for cookie in self._cookies.values() if cookie.is_expired(now_ms)]
        return (*self._gone, *expired)

    def discard(self, name: str) -> None:
        """Forget every cookie of a name, as a person can in the browser's settings."""
        self._drop(lambda cookie: cookie.name == name)

    def clear(self) -> None:
        """Forget every cookie."""
        self._drop(lambda _: True)

    def restart(self) -> None:
        """Close and open the browser: cookies without Max-Age or Expires are gone."""
        self._drop_expired()
        self._drop(lambda cookie: cookie.expires_at_ms is None)
        self.save()

    def save(self) -> None:
        """Write everything to disk now, as a browser does that is closed."""
        self._changes.clear()

    def crash(
        self, unsaved_ms: int, *, keeps_session_cookies: bool
    ) -> list[tuple[Cookie | None, Cookie | None]]:
        """Go back to what was on disk; return what each place held, and what it holds now.

        Undone is what was set or removed less than ``unsaved_ms`` ago. What happened at a later
        instant than now, as the clock went back, counts as saved, and so does what came before.
        """
        self._drop_expired()
        now_ms = self._clock.now_ms()
        saved = len(self._changes)
        while saved and now_ms - unsaved_ms < self._changes[saved - 1].at_ms <= now_ms:
            saved -= 1
        were, gone_before = dict(self._cookies), len(self._gone)
        for change in reversed(self._changes[saved:]):
            if change.before is None or change.before.is_expired(now_ms):
                self._cookies.pop(change.key, None)
            else:
                self._cookies[change.key] = change.before
        if not keeps_session_cookies:
            self._drop(lambda cookie: cookie.expires_at_ms is None)
        del self._changes[saved:]
        del self._gone[gone_before:]
        self.crash_count += 1
        places = dict.fromkeys((*were, *self._cookies))
        changed = [(were.get(key), self._cookies.get(key)) for key in places]
        changed = [(was, now) for was, now in changed if was is not now]
        back = {id(now) for _, now in changed}
        self._gone = [cookie for cookie in self._gone if id(cookie) not in back]
        self._gone += [was for was, now in changed if was is not None and now is None]
        return changed

    def copy(self, *, clock: Clock | None = None, ignores_max_age: bool = False) -> CookieJar:
        """Return another jar with the same cookies: a backup, or a thief's.

        ``ignores_max_age``: as if somebody had written down their values, to send them for ever.
        """
        twin = CookieJar(clock if clock is not None else self._clock)
        twin._cookies = dict(self._cookies)
        if ignores_max_age:
            now_ms = self._clock.now_ms()
            live = {k: c for k, c in twin._cookies.items() if not c.is_expired(now_ms)}
            twin._cookies = {k: replace(cookie, expires_at_ms=None) for k, cookie in live.items()}
        twin._last_used, twin._turn = dict(self._last_used), self._turn
        twin._gone = list(self._gone)
        twin._changes = list(self._changes)
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
        scheme, host, path = split_url(url)
        is_secure_origin = is_trustworthy(url)
        domain = cookie_domain(parsed, host)
        is_host_only = domain is None
        has_path = parsed.path is not None and parsed.path.startswith("/")
        cookie = Cookie(
            name=parsed.name,
            value=parsed.value,
            domain=host if domain is None else domain,
            path=parsed.path if parsed.path and has_path else default_path(path),
            is_host_only=is_host_only,
            is_secure=parsed.is_secure,
            is_http_only=parsed.is_http_only,
            same_site=parsed.same_site,
            expires_at_ms=self._expires_at_ms(parsed),
            created_at_ms=self._clock.now_ms(),
            priority=parsed.priority,
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
        key = _key_of(cookie)
        old = self._cookies.get(key)
        if cookie.is_expired(self._clock.now_ms()):
            self._drop(lambda known: known is old)
            return
        if old is not None:
            cookie = replace(cookie, created_at_ms=old.created_at_ms)
        self._changes.append(_Change(self._clock.now_ms(), key, old))
        self._cookies[key] = cookie
        self._use([cookie])
        self._evict_surplus(cookie.domain)

    def _use(self, cookies: Iterable[Cookie]) -> None:
        self._turn += 1
        self._last_used.update((_key_of(cookie), self._turn) for cookie in cookies)

    def _evict_surplus(self, domain: str) -> None:
        """Apply the end of section 5.7: who of a site has to go, and in which order.

        A site is what browsers count by: the cookies of a sub-domain drive out those of others.
        """
        site = site_of(domain)
        rivals = [cookie for cookie in self._cookies.values() if site_of(cookie.domain) == site]
        rivals.sort(
            key=lambda cookie: (
                _EVICTION_ROUNDS[cookie.priority, cookie.is_secure],
                self._last_used[_key_of(cookie)],
            )
        )
        for evicted in rivals[: max(0, len(rivals) - _MAX_OF_A_DOMAIN)]:
            self._drop(lambda cookie, evicted=evicted: cookie is evicted)  # type: ignore[misc]

    def _drop_expired(self) -> None:
        now_ms = self._clock.now_ms()
        self._drop(lambda cookie: cookie.is_expired(now_ms))

    def _drop(self, is_going: Callable[[Cookie], bool]) -> None:
        now_ms = self._clock.now_ms()
        going = [key for key, cookie in self._cookies.items() if is_going(cookie)]
        for key in going:
            cookie = self._cookies.pop(key)
            if not cookie.is_expired(now_ms):  # the disk knows by itself when one is over
                self._changes.append(_Change(now_ms, key, cookie))
            self._gone.append(cookie)

    def _expires_at_ms(self, parsed: SetCookie) -> int | None:
        now_ms = self._clock.now_ms()
        latest_ms = now_ms + _MAX_LIFE_S * 1000
        if parsed.max_age_s is not None:  # Max-Age counts before Expires
            if parsed.max_age_s <= 0:
                return _LONG_AGO_MS
            return now_ms + min(parsed.max_age_s, _MAX_LIFE_S) * 1000
        if parsed.expires_at_ms is not None:
            return min(parsed.expires_at_ms, latest_ms)
        return None

    def _would_shadow(self, cookie: Cookie) -> bool:
        return any(
            old.is_secure
            and old.name == cookie.name
            and (
                matches_domain(old.domain, cookie.domain)
                or matches_domain(cookie.domain, old.domain)
            )
            and matches_path(cookie.path, old.path)
            for old in self._cookies.values()
        )


def _key_of(cookie: Cookie) -> _Key:
    return cookie.name, cookie.domain, cookie.is_host_only, cookie.path


def _pair(cookie: Cookie) -> str:
    return f"{cookie.name}={cookie.value}" if cookie.name else cookie.value


def _goes_cross_site(cookie: Cookie, method: str, *, is_navigation: bool) -> bool:
    if cookie.same_site == "None":
        return True
    if cookie.same_site == "Strict":
        return False
    return is_navigation and method.upper() in _SAFE_METHODS


def _check_prefix(cookie: Cookie, *, has_path: bool) -> None:
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


def _matches_host(cookie: Cookie, host: str) -> bool:
    return cookie.domain == host if cookie.is_host_only else matches_domain(host, cookie.domain)
