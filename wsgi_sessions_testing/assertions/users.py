"""Assertions about several users: what one of them has or does must not affect another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wsgi_sessions.errors import SessionLimitReached

from ..bench import Bench
from ..browser.browser import Browser
from ..browser.cookie_rules import matches_path
from ..fakes.managers import sibling
from .steps import advance, fail, page_for, passwords_for, session_seen_by_app, visit

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

OWNER, STRANGER = "owner@example.org", "stranger@example.org"
_KEPT = "assert_data_follows_its_owner"


def assert_data_follows_its_owner(
    app: WSGIApplication, *, sign_in: Callable[[Browser, str], Any] | None = None
) -> None:
    """Assert that a visitor's data is kept by their sign-in, and nobody gets another's.

    A visitor who only reads is given no session cookie.
    ``sign_in(browser, email)`` uses the app's own form; without it, the product's.
    """
    enter = sign_in or (lambda browser, email: browser.sign_in(email))
    with Bench(app) as bench:
        browser = bench.new_browser()
        browser._with_handle(
            "read data", lambda handle: dict(handle.start_anonymous_session().data)
        )
        if browser.session_token is not None:
            fail("a visitor who wrote nothing was given a session cookie", browser)
        _put(browser, "a visitor's")
        if _read(browser) != "a visitor's":
            fail("the first data of a visitor was lost", browser)
        enter(browser, OWNER)
        if _read(browser) != "a visitor's":
            fail("a sign-in lost the data of the visitor before it", browser)
        _put(browser, "the owner's")
        enter(browser, OWNER)
        if _read(browser) != "the owner's":
            fail("a sign-in of the same user lost their data", browser)
        enter(browser, STRANGER)
        seen = browser.session
        if seen is None or seen.user is None or seen.user.email != STRANGER:
            fail(f"sign_in(browser, email) did not sign {STRANGER} in", browser)
        if _read(browser) is not None:
            fail("a sign-in was given the data of the user before it", browser)


def _put(browser: Browser, value: str) -> None:
    def act(handle: Any) -> None:
        handle.start_anonymous_session().data[_KEPT] = value

    browser._with_handle("put data", act)


def _read(browser: Browser) -> Any:
    def act(handle: Any) -> Any:
        return None if handle.session is None else handle.session.data.get(_KEPT)

    return browser._with_handle("read data", act)


def assert_remembered_as_asked(app: WSGIApplication) -> None:
    """Assert that closing the browser ends the sessions that are not remembered, and no others.

    Also that a remembered session's cookie lasts as long as the session, and that all this stays
    so after a change of the password.
    """
    with Bench(app, throttle=None) as bench:
        for remember_me in (True, False):
            browser = bench.new_browser()
            browser.sign_in(OWNER if remember_me else STRANGER, remember_me=remember_me)
            session, copy = browser.session, browser.fork()
            if session is None:
                fail("the sign-in brought no session cookie", browser)
            name = next(
                cookie.name
                for cookie in browser.cookies.find_all(browser._cookie_url)
                if cookie.value == browser.session_token
            )
            cookie = browser.cookies.find(name)
            browser.restart()
            if not remember_me:
                if browser.session_token is not None:
                    fail("a session that was not remembered outlived the browser", browser)
                continue
            if browser.session is None:
                fail("a remembered session ended with the browser", browser)
            ends_at_ms = (
                0 if cookie is None or cookie.expires_at_ms is None else cookie.expires_at_ms
            )
            if ends_at_ms < session.record.expires_at_ms - 1000:
                fail("the cookie of a remembered session ends before the session", copy)
        for remember_me in (True, False):
            _assert_remembered_after_change(bench, remember_me=remember_me)


def _assert_remembered_after_change(bench: Bench, *, remember_me: bool) -> None:
    old, new = passwords_for(bench.manager.config, 2)
    browser = bench.new_browser()
    browser.sign_in(bench.factories.make_user(password=old), remember_me=remember_me)
    browser._with_handle(
        "change the password",
        lambda handle: handle.change_password(current_password=old, new_password=new),
    )
    browser.restart()
    if remember_me and browser.session is None:
        fail("after a change of password a remembered session ended with the browser", browser)
    if not remember_me and browser.session_token is not None:
        fail("after a change of password one not to be remembered outlived the browser", browser)


def assert_ends_reach_whom_they_should(app: WSGIApplication) -> None:
    """Assert that each way to end sessions ends those that it should, and no others.

    One user tries to end another's session; signs out elsewhere, then everywhere; is deleted by
    the product, then by the app alone; and at last every session ends. With the cookie cache
    on, cached copies are refused after ``revocation_lag``.
    """
    with Bench(app) as bench:
        users = _Users(bench)
        victim = users.sign_in(STRANGER)
        owner = users.sign_in(OWNER)
        stranger_id = victim.session.id if victim.session else ""
        if owner.revoke_session(stranger_id):
            fail("somebody ended the session of another user", owner)
        users.post(owner, "revoke-session", {"token": stranger_id})
        users.check("one user named the session of another", live=[victim, owner])

        others = users.sign_in_elsewhere(OWNER)
        owner._with_handle("sign out elsewhere", lambda handle: handle.revoke_other_sessions())
        users.check("one signed out elsewhere", live=[victim, owner], over=others)

        others = users.sign_in_elsewhere(OWNER)
        owner._with_handle("sign out everywhere", lambda handle: handle.revoke_all_sessions())
        users.check("one signed out everywhere", live=[victim], over=[owner, *others])

        owner = users.sign_in(OWNER)
        user = owner.session.user if owner.session else None
        assert user is not None
        bench.manager.delete_user(user.id)
        users.check("a user was deleted", live=[victim], over=[owner])
        if bench.manager.config.user_model is None:
            users.check_without_row(live=[victim])

        others = [users.sign_in("another@example.org"), victim]
        sibling(bench.manager).revoke_everything()
        users.check("every session was ended", live=[], over=others)


class _Users:
    """Several users of one bench, each with browsers."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._lag_ms = bench.manager.config.revocation_lag_ms

    def sign_in(self, email: str) -> Browser:
        browser = self._bench.new_browser()
        browser.sign_in(email)
        page = page_for(browser, None)
        visit(browser, page)  # which brings a cached copy, where the settings have them
        return browser

    def sign_in_elsewhere(self, email: str) -> list[Browser]:
        """Sign in on as many devices as there may be beside the first, three at the most."""
        multi = self._bench.manager.config.multi_session
        most = multi.maximum_sessions or 4
        with suppress(SessionLimitReached):
            return [self.sign_in(email) for _ in range(min(3, most - 1) * multi.enabled)]
        return []

    def post(self, browser: Browser, path: str, value: Any) -> None:
        config = self._bench.manager.config
        if config.api_path is not None and matches_path(config.api_path, config.cookie.path):
            browser.post_json(f"{config.api_path}/{path}", value, is_navigation=False)

    def check(self, when: str, *, live: list[Browser], over: list[Browser] | None = None) -> None:
        advance(self._bench.clock, self._lag_ms)
        for browser in live:
            if session_seen_by_app(browser) is None:
                fail(f"when {when}, a session ended that should not", browser)
        for browser in over or ():
            if session_seen_by_app(browser) is not None:
                fail(f"when {when}, a session stayed that should have ended", browser)

    def check_without_row(self, *, live: list[Browser]) -> None:
        """Delete a user as an app may, without the product: copies last for max_age at most."""
        browser = self.sign_in("gone@example.org")
        manager = self._bench.manager
        user, session = manager.parts.models.user, browser.session
        assert session is not None
        manager.parts.connections.run(user.delete().where(user.id == session.user_id).execute)
        config = manager.config
        longest_ms = min(
            config.cookie_cache.max_age_ms, config.update_age_ms, config.idle_timeout_ms or 1 << 60
        )
        advance(self._bench.clock, longest_ms // 2 if config.cookie_cache.enabled else 0)
        for one in live:
            session_seen_by_app(one)  # so that it is not idle
        advance(self._bench.clock, longest_ms // 2 + 1 if config.cookie_cache.enabled else 0)
        if session_seen_by_app(browser) is not None:
            fail("when the row of a user was deleted, their session stayed", browser)
        self.check("the row of a user was deleted", live=live)
