"""``CookieJar``: keeps and sends cookies as a browser does (RFC 6265bis), under a test's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from wsgi_sessions.clock import Clock

from .cookie import Cookie, CookieKey, RefusedCookie, check_prefix
from .cookie_rules import (
    cookie_domain,
    default_path,
    is_trustworthy,
    matches_domain,
    matches_path,
    site_of,
    split_url,
)
from .set_cookie import SetCookie, UnreadableCookieError, parse_set_cookie

_MAX_LIFE_S = 400 * 24 * 3600
_LONG_AGO_MS = -1
_MAX_OF_A_SITE = 180
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


class _Change(NamedTuple):
    """What the jar held under a key before a cookie was set or removed."""

    at_ms: int
    key: CookieKey
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
        self._cookies: dict[CookieKey, Cookie] = {}
        # Counted, since all uses may be at one instant of a clock that stands still.
        self._last_used: dict[CookieKey, int] = {}
        self._use_count = 0
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
            if not is_cross_site or cookie.is_sent_cross_site(method, is_navigation=is_navigation)
        ]
        self._drop_expired()
        self._use(sent)
        return "; ".join(cookie.pair for cookie in sent) if sent else None

    def script_view(self, url: str) -> str:
        """Return what ``document.cookie`` shows to a script of the page: no HttpOnly ones."""
        shown = [cookie for cookie in self.find_all(url) if not cookie.is_http_only]
        self._drop_expired()
        self._use(shown)
        return "; ".join(cookie.pair for cookie in shown)

    def find_all(self, url: str | None = None) -> tuple[Cookie, ...]:
        """Return the live cookies, or those that go to a URL, in the order they are sent."""
        now_ms = self._clock.now_ms()
        if url is not None:
            split_url(url)  # raises ValueError for a relative one, also if the jar is empty
        live = [
            cookie
            for cookie in self._cookies.values()
            if not cookie.is_expired(now_ms) and (url is None or cookie.is_sent_to(url))
        ]
        return tuple(sorted(live, key=lambda cookie: (-len(cookie.path), cookie.created_at_ms)))

    def find(self, name: str) -> Cookie | None:
        """Return the live cookie of a name with all its attributes, or None."""
        return next((cookie for cookie in self.find_all() if cookie.name == name), None)

    @property
    def gone(self) -> tuple[Cookie, ...]:
        """The cookies that the jar no longer holds, the latest gone last.

        They expired, were evicted, or were deleted by the server or the user; a cookie that got
        another value is not among them.
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
        """Write everything to disk now, as a browser does when it is closed."""
        self._changes.clear()

    def crash(
        self, unsaved_ms: int, *, keeps_session_cookies: bool
    ) -> list[tuple[Cookie | None, Cookie | None]]:
        """Go back to what was on disk; return the cookies that changed: before, and now.

        What was set or removed less than ``unsaved_ms`` ago is undone. Where the clock went
        back, a change at a later instant than now counts as saved, and so do those before it.
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
        copied = CookieJar(clock if clock is not None else self._clock)
        copied._cookies = dict(self._cookies)
        if ignores_max_age:
            now_ms = self._clock.now_ms()
            live = [cookie for cookie in copied._cookies.values() if not cookie.is_expired(now_ms)]
            copied._cookies = {one.key: replace(one, expires_at_ms=None) for one in live}
        copied._last_used, copied._use_count = dict(self._last_used), self._use_count
        copied._gone = list(self._gone)
        copied._changes = list(self._changes)
        return copied

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
        check_prefix(cookie, has_path=has_path)
        return cookie

    def _store(self, cookie: Cookie) -> None:
        old = self._cookies.get(cookie.key)
        if cookie.is_expired(self._clock.now_ms()):
            self._drop(lambda known: known is old)
            return
        if old is not None:
            cookie = replace(cookie, created_at_ms=old.created_at_ms)
        self._changes.append(_Change(self._clock.now_ms(), cookie.key, old))
        self._cookies[cookie.key] = cookie
        self._use([cookie])
        self._evict_surplus(cookie.domain)

    def _use(self, cookies: Iterable[Cookie]) -> None:
        self._use_count += 1
        self._last_used.update((cookie.key, self._use_count) for cookie in cookies)

    def _evict_surplus(self, domain: str) -> None:
        """Apply the end of section 5.7: which cookies of a site are evicted, and in which order.

        Browsers count by site: the cookies of a sub-domain can evict those of another one.
        """
        site = site_of(domain)
        rivals = [cookie for cookie in self._cookies.values() if site_of(cookie.domain) == site]
        rivals.sort(
            key=lambda cookie: (
                _EVICTION_ROUNDS[cookie.priority, cookie.is_secure],
                self._last_used[cookie.key],
            )
        )
        for evicted in rivals[: max(0, len(rivals) - _MAX_OF_A_SITE)]:
            self._drop(lambda cookie, evicted=evicted: cookie is evicted)  # type: ignore[misc]

    def _drop_expired(self) -> None:
        now_ms = self._clock.now_ms()
        self._drop(lambda cookie: cookie.is_expired(now_ms))

    def _drop(self, is_dropped: Callable[[Cookie], bool]) -> None:
        now_ms = self._clock.now_ms()
        for key in [key for key, cookie in self._cookies.items() if is_dropped(cookie)]:
            cookie = self._cookies.pop(key)
            if not cookie.is_expired(now_ms):  # an expired one does not come back from disk
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
