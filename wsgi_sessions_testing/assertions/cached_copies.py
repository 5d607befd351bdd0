"""``assert_cached_copy_is_bounded``: until when, and beside which token, a cached copy is used."""

from __future__ import annotations

from typing import Any

from wsgi_sessions.sessions.cookie_cache import CookieCache

from ..browser.browser import Browser
from ..fakes.instrumentation import SessionReads
from ..fakes.managers import sibling
from .steps import advance, fail, page_for, plant_copy, session_seen_by_app, start_anonymous, visit


def assert_cached_copy_is_bounded(browser: Browser, *, page: str | None = None) -> None:
    """Assert that a cached copy is not used beside another token, nor beyond any limit.

    Nor is a copy of another ``cookie_cache.version``; and one whose session was revoked
    elsewhere is refused for as long as it would last, after a clean-up too.

    Needs ``cookie_cache``. The browser's session has ended afterwards.
    """
    config = browser.manager.config
    if not config.cookie_cache.enabled:
        fail("the cookie cache is off; write @pytest.mark.sessions(cookie_cache=True)", browser)
    page = page_for(browser, page)
    session = browser.session
    if session is None or session.user is None:
        fail("the browser was not signed in before", browser)
    _assert_refused_beside_other_token(browser, page)
    browser.sign_in(session.user)
    visit(browser, page)
    _assert_refused_of_other_version(browser)
    _assert_refused_once_revoked(browser, page)
    browser.sign_in(session.user)
    visit(browser, page)
    advance(browser.clock, config.cookie_cache.max_age_ms)
    if browser.session_token is not None and not _asks_the_database(browser):
        fail("a cached copy was taken after max_age", browser)
    if config.idle_timeout_ms is not None:
        browser.sign_in(session.user)
        _assert_ends_when_idle(browser, config.idle_timeout_ms, page)
    browser.sign_in(session.user, remember_me=False)
    _assert_never_outlives(browser, page)


def _assert_refused_beside_other_token(browser: Browser, page: str) -> None:
    manager, user = browser.manager, browser.session.user if browser.session else None
    visit(browser, page)
    copied = browser.cookies.find(manager.parts.cookies.cache_name(is_secure=browser._is_secure))
    if copied is None:
        fail(f"the browser was given no cached copy by {page}", browser)
    stranger = browser.fork()
    stranger.cookies.clear()
    stranger._with_handle("start an anonymous session", start_anonymous)
    is_planted = plant_copy(stranger, copied.value)
    assert is_planted, "it was set once, so it is not too large"
    seen = session_seen_by_app(stranger)
    if seen is not None and seen.user == user:
        fail("a cached copy was taken beside another session's token", stranger)


def _assert_refused_of_other_version(browser: Browser) -> None:
    """Seal a copy as a process with another version does; it must not be used."""
    manager, session, token = browser.manager, browser.session, browser.session_token
    config, reading = manager.config, manager.parts.feed.current()
    if session is None or session.user is None or token is None:
        fail("the browser is signed out right after a sign-in", browser)
    if reading is None:
        return  # the clock is wrong or the database down, so no copies are sealed
    version = f"{config.cookie_cache.version}, the one before"
    cache = CookieCache(config.replace(cookie_cache={"version": version}))
    now_ms = manager.clock.now_ms()
    text = cache.seal(
        session.record,
        session.user.record,
        database_secret=reading.database_secret,
        token_text=token,
        issued_at_ms=now_ms,
        ends_at_ms=now_ms + config.cookie_cache.max_age_ms,
    )
    holder = browser.fork()
    if text is None or not plant_copy(holder, text):
        return  # larger than what a browser keeps
    if not _asks_the_database(holder):
        fail("a cached copy of another cookie_cache.version was taken", holder)


def _assert_refused_once_revoked(browser: Browser, page: str) -> None:
    """Revoke a session by another process; its copy must be refused for as long as it lasts."""
    manager, session = browser.manager, browser.session
    config = manager.config
    if session is None:
        fail("the browser is signed out right after a sign-in", browser)
    visit(browser, page)
    copy = browser.fork()
    sibling(manager).revoke_session(session.id)
    left_ms = max(config.cookie_cache.max_age_ms - 1, config.revocation_lag_ms)
    for passing_ms in (config.revocation_lag_ms, left_ms - config.revocation_lag_ms):
        advance(browser.clock, passing_ms)
        manager.purge()
        if session_seen_by_app(copy) is not None:
            fail("a cached copy was taken whose session had been revoked", copy)


def _assert_ends_when_idle(browser: Browser, idle_ms: int, page: str) -> None:
    for _ in range(24):
        session = browser.session
        left_ms = 0 if session is None else session.record.expires_at_ms - browser.clock.now_ms()
        if 0 < left_ms <= idle_ms // 10:
            break  # it would expire before it is idle
        advance(browser.clock, idle_ms // 10)
        browser.get(page)
        if session_seen_by_app(browser) is None:
            fail("a browser in use all the time was signed out as idle", browser)
    advance(browser.clock, idle_ms)
    if session_seen_by_app(browser) is not None:
        fail("a cached copy was taken after the idle timeout", browser)


def _assert_never_outlives(browser: Browser, page: str) -> None:
    """Use the session until a second before it expires; a second later it is refused."""
    session = browser.session
    if session is None:
        fail("the browser is signed out right after a sign-in", browser)
    config, clock = browser.manager.config, browser.clock
    last_ms = round(session.expires_at.timestamp() * 1000) - 1000
    step_ms = min(3_600_000, (config.idle_timeout_ms or 1 << 40) // 2)
    while clock.now_ms() < last_ms:
        advance(clock, min(step_ms, last_ms - clock.now_ms()))
        browser.get(page)
    if session_seen_by_app(browser) is None:
        fail("the session ended before it expired", browser)
    advance(clock, 1000)
    if session_seen_by_app(browser) is not None:
        fail("a cached copy was taken after its session expired", browser)


def _asks_the_database(browser: Browser) -> bool:
    store: Any = browser.manager.parts.store
    with store.watched_by(SessionReads()) as reads:
        session_seen_by_app(browser)
    return bool(reads.count)
