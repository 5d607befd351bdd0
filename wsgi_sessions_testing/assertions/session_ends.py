"""Assertions about ended sessions: they stay ended, everywhere and in every order of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wsgi_sessions.errors import InvalidCredentialsError, SessionLimitReached
from wsgi_sessions.sessions.session import SignIn

from ..bench import Bench
from ..browser.browser import Browser
from ..fakes.clock import fake_clock
from ..fakes.managers import sibling
from ..schedules import Schedules
from .sessions import assert_signed_out
from .steps import (
    advance,
    fail,
    live_session,
    page_for,
    passwords_for,
    session_seen_by_app,
    visit,
    wait_in_use,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from ..fakes.workers import Worker

MAX_STEPS = 8
"""A request has fewer points than this at which another can run before it goes on."""


def assert_logout_is_final(
    browser: Browser, *, sign_out: Callable[[Browser], Any] | None = None, page: str | None = None
) -> None:
    """Assert that after a sign-out a copy of the cookies from before it is refused.

    ``sign_out(browser)`` uses the app's own button; without it, the product's. Waits for
    ``revocation_lag`` on the clock.
    """
    page = page_for(browser, page)
    visit(browser, page)
    copy = browser.fork()
    live_session(browser)
    (sign_out or Browser.sign_out)(browser)
    if browser.session is not None:
        fail("the browser is still signed in after the sign-out", browser)
    if browser.session_token is not None:
        fail("the sign-out left the cookie in the browser", browser)
    if browser.cookies.find(browser.manager.parts.cookies.cache_name(is_secure=browser._is_secure)):
        fail("the sign-out left the cached copy in the browser", browser)
    advance(browser.clock, browser.manager.config.revocation_lag_ms)
    if copy.session is not None:
        fail("a copy of the cookies from before the sign-out is still signed in", browser)
    seen = session_seen_by_app(copy)
    if seen is not None:
        fail("a copy of the cookies from before the sign-out is still let in", copy)
    visit(copy, page)


def assert_revocation_within(
    browser: Browser, seconds: float, *, workers: Iterable[Worker] = (), page: str | None = None
) -> None:
    """Assert that a session revoked elsewhere is refused by each worker within so many seconds.

    The browser's session has ended afterwards.
    """
    clock = browser.clock
    page = page_for(browser, page)
    seats = [browser.through(worker) for worker in workers] or [browser]
    session = live_session(browser)
    for seat in seats:
        for _ in range(2):
            visit(seat, page)
            if session_seen_by_app(seat) is None:
                fail("the browser was not let in before the revocation", seat)
    # By another process, since this one would know at once. Its clock is behind, so that its
    # row in the feed looks older than the rows that were read already.
    config = browser.manager.config
    behind_ms = min(config.rotation_grace_ms // 2, 10_000)
    clock_behind = fake_clock(clock).skewed(timedelta(milliseconds=-behind_ms))
    sibling(browser.manager, clock=clock_behind).revoke_session(session.id)
    for seat in seats:
        if seat.manager.get_session(seat._environ(), authoritative=True) is not None:
            fail("the end of a session is not known to who asks past the cache", seat)
    advance(clock, round(seconds * 1000))
    for seat in seats:
        if session_seen_by_app(seat) is not None:
            fail(f"the session is still let in {seconds} s after it was revoked", seat)
        visit(seat, page)


def assert_revocation_is_final(browser: Browser) -> None:
    """Assert that a session revoked while a refresh is under way stays revoked.

    The revocation happens before each step of the request in turn, each time of a new session;
    the user is signed out afterwards.
    """
    session = browser.session
    if session is None or session.user is None:
        fail("the browser was not signed in before", browser)
    user = session.user
    revoker = sibling(browser.manager)
    for step in range(MAX_STEPS):
        if step:
            browser.sign_in(user)
        _wait_for_refresh(browser)
        held = browser.session
        if held is None:
            fail("the browser was signed out before its session was revoked", browser)
        session_id = held.id
        Schedules(browser.app).run(
            lambda: session_seen_by_app(browser),
            lambda session_id=session_id: revoker.revoke_session(session_id),  # type: ignore[misc]
            order=[*[0] * step, 1],
        )
        if browser.session is not None:
            fail(f"a request overtaken after {step} steps revived its session", browser)
        assert_signed_out(browser, reason="revoked")


def assert_password_change_is_final(app: WSGIApplication) -> None:
    """Assert that no sign-in with the old password outlives a change of it.

    The change happens before each step of the sign-in in turn, on a bench of its own.
    """
    with Bench(app, throttle=None) as bench:
        passwords = passwords_for(bench.manager.config, MAX_STEPS + 1)
        manager, changer = bench.manager, sibling(bench.manager)
        user = bench.factories.make_user(password=passwords[0], email_verified=True)
        for step, (old, new) in enumerate(pairwise(passwords)):
            begun: list[SignIn] = []

            def sign_in(old: str = old, begun: list[SignIn] = begun) -> None:
                with suppress(InvalidCredentialsError, SessionLimitReached):
                    begun.append(manager.sign_in_email(email=str(user.email), password=old))

            def change(old: str = old, new: str = new) -> None:
                changer.change_password(user.id, current_password=old, new_password=new)

            Schedules(app).run(sign_in, change, order=[*[0] * step, 1])
            live = {session.id for session in manager.list_sessions(user.id)}
            if any(made.session is not None and made.session.id in live for made in begun):
                raise AssertionError(
                    f"a sign-in with the old password that was overtaken by its change after "
                    f"{step} steps is still signed in"
                )


def _wait_for_refresh(browser: Browser) -> None:
    """Let time pass until a refresh is due, or where none is, until just before the expiry."""
    session = browser.session
    if session is not None:
        left_ms = session.record.expires_at_ms - browser.manager.clock.now_ms() - 1
        wait_ms = min(browser.manager.config.update_age_ms, max(0, left_ms))
        wait_in_use(browser, wait_ms)
