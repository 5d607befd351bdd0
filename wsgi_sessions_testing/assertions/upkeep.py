"""Assertions about freshness, clean-up, new secrets, and several cookies of one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsgi_sessions.sessions.tokens import TokenSigner

from ..bench import Bench, config_for_tests
from ..browser.browser import Browser
from ..fakes.managers import sibling
from .steps import (
    advance,
    fail,
    page_for,
    plant_token,
    require_session,
    session_seen_by_app,
    visit,
    wait_in_use,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_NEWEST, _UNKNOWN = "the-newest-secret-of-all-" * 2, "a-secret-that-nobody-knows-" * 2


def assert_freshness_ends(browser: Browser) -> None:
    """Assert that a session is fresh for ``fresh_age`` after the sign-in, however it is used.

    Time passes, with visits. Where the session can't live as long as that, it is only asserted
    that it is fresh at first.
    """

    def is_fresh() -> bool:
        return bool(
            browser._with_handle("look", lambda handle: handle.session and handle.session.is_fresh)
        )

    session = require_session(browser)
    config = browser.manager.config
    begun_ms = session.record.authenticated_at_ms
    left_ms = begun_ms + config.fresh_age_ms - browser.manager.clock.now_ms()
    if session.user is None or left_ms <= 1:
        fail("sign in anew: the session is a visitor's, or not fresh any more", browser)
    if not is_fresh():
        fail("a session is not fresh right after the sign-in", browser)
    life_ms = config.expires_in_ms if session.is_remembered else config.short_expires_in_ms
    step_ms = max(1, min((left_ms - 1) // 2, config.expires_in_ms // 2))
    limit_ms = config.absolute_timeout_ms
    lasts_ms = life_ms if not session.is_remembered else limit_ms or 1 << 60
    if lasts_ms <= config.fresh_age_ms or left_ms // step_ms > 100:
        return
    rest_ms = left_ms - 1
    while rest_ms > 0:
        passing_ms = min(step_ms, rest_ms)
        wait_in_use(browser, passing_ms, is_fresh)
        rest_ms -= passing_ms
        if not is_fresh():
            fail("a session stopped to be fresh before fresh_age was over", browser)
    advance(browser.clock, 1)
    if is_fresh():
        fail("a session is fresh after fresh_age is over", browser)


def assert_purge_is_safe(browser: Browser) -> None:
    """Assert that a clean-up deletes nothing that is still needed.

    That is a live session, the record of one that ended less than ``keep_ended`` ago, and the
    revocations that other processes have yet to read. The browser's session has ended
    afterwards.
    """
    manager = browser.manager
    config, page = manager.config, page_for(browser, None)
    session = require_session(browser)
    wait_in_use(browser, min(3600_000, config.expires_in_ms // 4), lambda: browser.get(page))
    visit(browser, page)
    if session_seen_by_app(browser) is None:
        fail("the browser was signed out before the purge", browser)
    _purge(manager)
    if browser.session is None:
        fail("a purge took a live session", browser)
    copy = browser.fork()
    copy_ms = min(1000, config.cookie_cache.max_age_ms // 2)
    sibling(manager).revoke_session(session.id)
    advance(browser.clock, copy_ms)
    _purge(manager)
    advance(browser.clock, config.revocation_lag_ms)
    if session_seen_by_app(copy) is not None:
        fail("after a purge a copy of a session that had ended was taken", copy)
    row = manager.parts.models.session
    if config.keep_ended_ms > copy_ms + config.revocation_lag_ms:
        found: list[Any] = []
        manager.parts.connections.run(
            lambda: found.extend(row.select(row.id).where(row.id == session.id).tuples())
        )
        if not found:
            fail("a purge took the record of a session that had just ended", browser)


def _purge(manager: Any) -> None:
    for _ in range(100):
        if not manager.purge():
            return


def assert_older_secrets_are_good(app: WSGIApplication) -> None:
    """Assert that a newer secret signs nobody out, and that a token of an unknown one is refused.

    On a bench of its own, with a secret that is newer than those of the app.
    """
    before = config_for_tests(app)
    older = [before.secret] if isinstance(before.secret, str) else before.secret
    with Bench(app, config=before, secret=[_NEWEST, *older]) as bench:
        browser = bench.new_browser()
        browser.sign_in("owner@example.org")
        page, newest = page_for(browser, None), TokenSigner([_NEWEST])
        for secret in older:
            _resign(browser, secret)
            visit(browser, page)
            if session_seen_by_app(browser) is None:
                fail("a token under an older secret is refused", browser)
            if newest.read(browser.session_token or "") is None:
                fail("a token under an older secret was not replaced by the next answer", browser)
            advance(bench.clock, 1000)
        _resign(browser, _UNKNOWN)
        if session_seen_by_app(browser) is not None:
            fail("a token under an unknown secret is let in", browser)


def _resign(browser: Browser, secret: str) -> None:
    """Sign the browser's token with another secret."""
    held = browser.manager.parts.signer.read(browser.session_token or "")
    if held is None:
        fail("the browser has no token of ours", browser)
    text = TokenSigner([secret]).write(held.secret, held.generation, held.branch)
    plant_token(browser, text, max_age_s=3600)
    browser.cookies.discard(browser.manager.parts.cookies.cache_name(is_secure=browser._is_secure))


def assert_doubled_cookies_do_no_harm(app: WSGIApplication) -> None:
    """Assert that a jar with several cookies of one name keeps its session.

    The others are rubbish, the token of the generation before, a sibling of the current one, or
    that of a session that has ended, as a jar may hold them under another path or domain. It
    holds only one cookie with ``__Host-`` of each name, so the last is not tried there.
    """
    with Bench(app) as bench:
        browser = bench.new_browser()
        browser.sign_in("owner@example.org")
        page = page_for(browser, None)
        name = browser.manager.parts.cookies.token_name(is_secure=browser._is_secure)
        older = browser.session_token
        config = bench.manager.config
        has_room = not name.startswith("__Host-")
        rotated_ms = config.rotation_interval_ms + config.rotation_window_ms
        lasts = (config.absolute_timeout_ms or rotated_ms + 1) > rotated_ms
        if config.rotate_tokens and lasts:
            wait_in_use(browser, config.rotation_interval_ms, lambda: browser.get(page))
            visit(browser, page)
            visit(browser, page)
            wait_in_use(browser, config.rotation_window_ms, lambda: browser.get(page))
            visit(browser, page)
        token = browser.session_token
        held = None if token is None else bench.manager.parts.signer.read(token)
        if token is None or held is None:
            fail("the browser was signed out by its own rotation", browser)
        sibling = bench.factories.token_of(token, generation=held.generation)
        others = ["rubbish", "v1.a.0.b.c", sibling]
        if has_room:
            others.append(_token_of_ended(bench.new_browser()))
        if older is not None and older != token:
            others.append(older)
        for other in others:
            for values in ([other, token], [token, other]):
                line = "; ".join(f"{name}={value}" for value in values)
                if session_seen_by_app(browser.fork(), {"Cookie": line}) is None:
                    fail(f"{other[:8]}… beside the session's cookie signs the browser out", browser)
        if browser.session is None:
            fail("a doubled cookie ended the session", browser)


def _token_of_ended(browser: Browser) -> str:
    browser.sign_in("another@example.org")
    token = browser.session_token
    if token is None:
        fail("the sign-in brought no session cookie", browser)
    browser.sign_out()
    return token
