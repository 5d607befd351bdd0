"""Assertions about single answers: the flags of session cookies, and what caches may store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wsgi_sessions.config.parts import CookieConfig

from ..browser.browser import Browser
from ..browser.caching import reasons_to_store, varies_by_cookie
from ..browser.cookie_rules import PREFIXES
from ..browser.history import Exchange
from ..fakes.network import LostResponse
from .steps import fail

if TYPE_CHECKING:
    from webob import Response  # type: ignore[import-untyped, unused-ignore]

AS_CONFIGURED = "as configured"


@dataclass(frozen=True, slots=True)
class CookieFlags:
    """The attributes that a session cookie must have, besides HttpOnly."""

    secure: bool
    same_site: str
    path: str
    domain: str | None
    partitioned: bool = False

    @classmethod
    def of(cls, cookie: CookieConfig, *, is_https: bool) -> CookieFlags:
        """Return what the settings ask for in an answer over http or https."""
        secure = is_https if cookie.secure == "auto" else bool(cookie.secure)
        # Browsers take SameSite=None and Partitioned from Secure cookies alone.
        same_site = "Lax" if cookie.same_site == "None" and not secure else cookie.same_site
        partitioned = cookie.partitioned and secure
        return cls(secure, same_site, cookie.path, cookie.domain, partitioned)

    def find_fault(self, line: str) -> str | None:
        """Return what is wrong with a Set-Cookie line, in words, or None."""
        pair, *parts = line.split(";")
        attributes = {part.strip().lower() for part in parts}
        wanted = {"httponly", f"samesite={self.same_site}".lower(), f"path={self.path}".lower()}
        if self.secure:
            wanted.add("secure")
        if self.partitioned:
            wanted.add("partitioned")
        if self.domain is not None:
            wanted.add(f"domain={self.domain}".lower())
        missing = sorted(wanted - attributes)
        if missing:
            return f"a session cookie came without {', '.join(missing)}"
        if not self.secure and "secure" in attributes:
            return "a session cookie is Secure, and should not be"
        if self.domain is None and any(part.startswith("domain=") for part in attributes):
            return "a session cookie goes to other hosts of a domain, too"
        if not pair.strip().startswith(self.prefix):
            return f"a session cookie's name lacks the prefix {self.prefix}"
        return None

    @property
    def prefix(self) -> str:
        """What the name begins with (RFC 6265bis, section 4.1.3)."""
        if not self.secure:
            return ""
        return "__Host-" if self.path == "/" and self.domain is None else "__Secure-"


def is_session_cookie(line: str, cookie: CookieConfig) -> bool:
    """Tell by its name whether a Set-Cookie line is that of a token, cached copy or step-up."""
    name = line.partition("=")[0].strip()
    for prefix in PREFIXES:
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    return name in (cookie.name, cookie.cache_name, cookie.fresh_name)


def find_cookie_faults(
    exchange: Exchange, flags: CookieFlags, cookie: CookieConfig
) -> Iterator[str]:
    """Yield what is wrong with the session cookies of an answer, in words."""
    for line in exchange.received:
        fault = flags.find_fault(line) if is_session_cookie(line, cookie) else None
        if fault is not None:
            yield fault


def assert_cookie_flags(
    browser: Browser,
    *,
    secure: bool | None = None,
    same_site: str | None = None,
    path: str | None = None,
    domain: str | None = AS_CONFIGURED,
) -> None:
    """Assert that every session cookie sent so far had the attributes it should have.

    They are checked as the outermost layer of the app sent them; there must be at least one.
    Each has HttpOnly, and the prefix that its other attributes ask for. What is not given is as
    the settings say (with ``cookie.secure="auto"`` by the scheme of the request);
    ``domain=None`` is no Domain at all.
    """
    cookie = browser.manager.config.cookie
    given: dict[str, Any] = {"secure": secure, "same_site": same_site, "path": path}
    changes = {name: value for name, value in given.items() if value is not None}
    if domain != AS_CONFIGURED:
        changes["domain"] = domain
    is_sent = False
    for exchange in browser.history:
        if not exchange.is_by_app:
            continue
        flags = CookieFlags.of(cookie, is_https=exchange.url.startswith("https:"))
        if changes.get("secure") is False:
            flags = replace(flags, partitioned=False)
        flags = replace(flags, **changes)
        for fault in find_cookie_faults(exchange, flags, cookie):
            fail(fault, browser)
        is_sent = is_sent or any(is_session_cookie(line, cookie) for line in exchange.received)
    if is_sent:
        return
    if any(not exchange.is_by_app for exchange in browser.history):
        fail(
            "no session cookie came through the whole app: the sign-in went past the layers "
            "around SessionMiddleware, which answer by themselves or can't be seen through; "
            "sign in by the app's own form",
            browser,
        )
    if any(exchange.action == "sign in" for exchange in browser.history):
        fail(
            "no session cookie got through the layers around SessionMiddleware, though the "
            "browser signed in",
            browser,
        )
    fail("no session cookie was sent yet; sign in or open a page first", browser)


def assert_not_shared_cacheable(response: Response) -> None:
    """Assert that no shared cache may store a response: for pages that show personal data.

    By RFC 9111, section 3, a cache may store what nothing forbids, a 200 without
    ``Cache-Control`` say; ``private`` and ``no-store`` forbid it. Some caches obey
    ``CDN-Cache-Control`` or ``Surrogate-Control`` instead (RFC 9213).
    """
    if isinstance(response, LostResponse):
        raise AssertionError("the response was lost on its way; what the app sent is its .unseen")
    reasons = reasons_to_store(response)
    if reasons:
        fields = {"Cache-Control": "None", "Vary": "None"}
        for name in response.headers:
            word = name.lower()
            if word.endswith(("cache-control", "surrogate-control")) or word in ("expires", "vary"):
                values = ", ".join(response.headers.getall(name))
                fields[name.title().replace("Cdn", "CDN")] = values
        lines = ", ".join(f"{name}: {value}" for name, value in fields.items())
        raise AssertionError(f"{'; '.join(reasons)}: {lines}")


def find_cache_fault(response: Response, cookie: CookieConfig) -> str | None:
    """Return what is wrong for caches with an answer of a wrapped app, in words, or None.

    A public page may be stored for requests with the same cookies, but not an answer that sets
    a session cookie.
    """
    if not varies_by_cookie(response):
        return "an answer does not vary by Cookie"
    lines = response.headers.getall("Set-Cookie")
    if any(is_session_cookie(line, cookie) for line in lines) and reasons_to_store(response):
        return "shared caches may keep an answer that sets a session cookie"
    return None
