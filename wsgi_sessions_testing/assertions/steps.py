"""Steps of assertions: visit as the app sees it, let time pass, plant a cookie, fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import shake_128
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin

from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.sessions.session import Session

from ..browser.browser import Browser
from ..browser.cookie_rules import matches_path, split_url
from ..fakes.clock import fake_clock

if TYPE_CHECKING:
    from webob import Response  # type: ignore[import-untyped, unused-ignore]

MAX_VISITS = 5000
_CONSONANTS = "bcdfghjklmnpqrstvwxz"
_NOT_SIGNED_IN = "the browser was not signed in before"


def fail(what: str, browser: Browser) -> NoReturn:
    """Raise an ``AssertionError`` that says what is wrong, and what led there."""
    raise AssertionError(f"{what}\n{browser.story()}")


def require_session(browser: Browser) -> Session:
    """Return the live session that the browser has and the app is given; fail without one."""
    session = live_session(browser)
    if session_seen_by_app(browser) is None:
        fail(_NOT_SIGNED_IN, browser)
    return session


def live_session(browser: Browser) -> Session:
    """Return the browser's live session, without a request; fail if it has none."""
    session = browser.session
    if session is None:
        fail(_NOT_SIGNED_IN, browser)
    return session


def page_for(browser: Browser, page: str | None) -> str:
    """Return a page that session cookies are sent to: the given one, or that of their path.

    Raises ``ValueError`` for a page that they are not sent to.
    """
    cookie_path = browser.manager.config.cookie.path
    if page is None:
        return cookie_path
    _, _, path = split_url(urljoin(browser.base_url + "/", page))
    if not matches_path(path, cookie_path):
        raise ValueError(
            f"page is {page!r}, where no session cookie is sent, because cookie.path is "
            f"{cookie_path!r}; give a page below that, or none"
        )
    return page


def visit(browser: Browser, page: str) -> Response:
    """Open a page; fail if a layer around the ``SessionMiddleware`` answered by itself."""
    answer = browser.get(page)
    if not browser.history[-1].has_arrived:
        fail(
            f"{page} was answered by a layer around SessionMiddleware, which was not asked, so "
            "nothing is shown by it; give a page of the app's own",
            browser,
        )
    return answer


def session_seen_by_app(browser: Browser, headers: Mapping[str, str] | None = None) -> Any:
    """Return the session that the app gets for a request of this browser, cached or not."""
    return browser._with_handle("look", lambda handle: handle.session, headers=headers)


def start_anonymous(handle: Any) -> None:
    """Begin a session of a visitor, and store it."""
    handle.start_anonymous_session().data["planted"] = True


def plant(browser: Browser, name: str, line: str) -> None:
    """Replace a session cookie in a browser's jar; fail if the jar refuses it.

    ``line`` is a Set-Cookie line as the product would send it.
    """
    refused_before = len(browser.cookies.refused)
    browser.cookies.discard(name)
    browser.cookies.receive([line], url=browser._cookie_url)
    if len(browser.cookies.refused) > refused_before or browser.cookies.find(name) is None:
        fail(f"the browser took no {name}, so nothing is shown by it", browser)


def passwords_for(config: SessionConfig, count: int) -> list[str]:
    """Return different passwords that the settings accept."""
    length = min(max(config.password.min_length, 8), config.password.max_length)
    # Neither a word nor the same again, so that it is neither common nor made of a name.
    letters = "".join(_CONSONANTS[byte % 20] for byte in shake_128(b"letters").digest(length))
    return [f"{number}{letters}"[:length] for number in range(count)]


def advance(clock: Any, milliseconds: int) -> None:
    """Let time pass; none at all is fine."""
    if milliseconds:
        fake_clock(clock).advance(milliseconds=milliseconds)


def plant_token(browser: Browser, token: str, *, max_age_s: int | None = None) -> None:
    """Replace the session token in a browser's jar."""
    cookies, is_secure = browser.manager.parts.cookies, browser._is_secure
    _, line = cookies.set_token(token, is_secure=is_secure, max_age_s=max_age_s)
    plant(browser, cookies.token_name(is_secure=is_secure), line)


def plant_copy(browser: Browser, text: str) -> bool:
    """Replace the cached copy in a browser's jar; return False if it is too large for a cookie."""
    cookies, is_secure = browser.manager.parts.cookies, browser._is_secure
    made = cookies.set_cached_copy(text, is_secure=is_secure, max_age_s=3600)
    if made is not None:
        plant(browser, cookies.cache_name(is_secure=is_secure), made[1])
    return made is not None


def wait_in_use(
    browser: Browser,
    milliseconds: int,
    visit: Callable[[], Any] | None = None,
    *,
    longest_step_ms: int | None = None,
) -> None:
    """Let time pass, with visits that keep the session from expiring or being idle.

    Without ``visit`` the app is asked for the session. ``longest_step_ms``: visit more often.
    """
    config = browser.manager.config
    idle_ms = config.idle_timeout_ms
    # At least one visit falls between the time of a refresh and the expiry.
    step_ms = max(1, (config.expires_in_ms - config.update_age_ms) // 2)
    if idle_ms is not None:
        step_ms = min(step_ms, idle_ms // 2)
    if longest_step_ms is not None:
        step_ms = min(step_ms, longest_step_ms)
    visit_count = milliseconds // step_ms
    if visit_count > MAX_VISITS:
        if idle_ms is not None and step_ms == idle_ms // 2:
            why = f"idle_timeout is {config.idle_timeout}"
        else:
            why = f"sessions live {config.expires_in} and are refreshed after {config.update_age}"
        fail(
            f"{why}, so it takes {visit_count} visits to be in use for {milliseconds // 1000} s; "
            "raise it for this test, or write @pytest.mark.sessions(rotation_interval=…, "
            "update_age=…) with shorter ones",
            browser,
        )
    left_ms = milliseconds
    while left_ms > 0:
        advance(browser.clock, min(step_ms, left_ms))
        left_ms -= step_ms
        if left_ms > 0:
            visit() if visit is not None else session_seen_by_app(browser)
