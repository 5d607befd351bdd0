"""Assertions about step-ups, and about sessions that are used from another place."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wsgi_sessions.sessions.session import User

from ..bench import Bench
from ..browser.browser import Browser
from .attacks import ELSEWHERE
from .steps import advance, fail, live_session, plant, session_seen_by_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_FRESH_AGE = timedelta(minutes=1)
_FRESH_AGE_MS = 60_000
_HOME, _DEVICE, _OTHER_DEVICE = "127.0.0.1", "Firefox on Linux", "Safari on iPhone"


def assert_step_up_keeps_session(app: WSGIApplication) -> None:
    """Assert that a step-up makes a session fresh in its browser alone, and changes nothing else.

    The session keeps its id, token and data. A jar that was copied before is not fresh, the
    cookie is void beside another session, and after ``fresh_age``, which is a minute here. A
    sign-in by a provider is as old as its ``auth_time``, and a session that is used from another
    network and browser is not fresh, and keeps that place (unless ``fresh_elsewhere``).
    """
    with Bench(app, fresh_age=_FRESH_AGE, touch_interval=0) as bench:
        user = bench.factories.make_user()
        _assert_session_is_kept(bench, user)
        _assert_void_beside_another(bench, user)
        _assert_login_counts(bench, user)
        _assert_place_counts(bench, user)


def _assert_session_is_kept(bench: Bench, user: User) -> None:
    browser = _signed_in(bench, user, age=_FRESH_AGE)
    if _is_fresh(browser):
        fail("a session is fresh though its sign-in is as old as fresh_age", browser)
    thief, before, token = browser.fork(), live_session(browser), browser.session_token
    browser.reauthenticate()
    after = session_seen_by_app(browser)
    if after is None or (after.id, after.data) != (before.id, before.data):
        fail("a step-up took the session or its data away", browser)
    if browser.session_token != token:
        fail("a step-up changed the session token", browser)
    if not after.is_fresh:
        fail("a session is not fresh after a step-up", browser)
    if _is_fresh(thief):
        fail("a jar that was copied before a step-up is fresh after it", browser)
    text = _step_up_in(browser)
    advance(bench.clock, _FRESH_AGE_MS)
    _plant_step_up(browser, text)
    if _is_fresh(browser):
        fail("a step-up is good for longer than fresh_age", browser)


def _assert_void_beside_another(bench: Bench, user: User) -> None:
    browser, other = (_signed_in(bench, user, age=_FRESH_AGE) for _ in range(2))
    browser.reauthenticate()
    _plant_step_up(other, _step_up_in(browser))
    if _is_fresh(other):
        fail("the step-up of another session makes a session fresh", other)


def _assert_login_counts(bench: Bench, user: User) -> None:
    browser = _signed_in(bench, user, method="provider", auth_time=_FRESH_AGE)
    if _is_fresh(browser):
        fail("a session is fresh though the login at its provider is as old as fresh_age", browser)


def _assert_place_counts(bench: Bench, user: User) -> None:
    config = bench.manager.config
    browser = _signed_in(bench, user)
    thief = browser.fork()
    thief.address, thief.user_agent = ELSEWHERE[0], bench.new_browser(_OTHER_DEVICE).user_agent
    seen = session_seen_by_app(thief)
    if seen is None or config.fresh_elsewhere:
        return
    if seen.is_fresh:
        fail("a session is fresh in another network and browser than it began in", thief)
    listed = {one.id: one for one in bench.manager.list_sessions(user.id)}
    if listed[seen.id].last_ip_address != thief.address:
        fail("the list does not show where a session was used last", thief)


def _signed_in(bench: Bench, user: User, **about: Any) -> Browser:
    browser = bench.new_browser(_DEVICE, address=_HOME)
    browser.adopt(bench.factories.make_session(user, address=_HOME, user_agent=_DEVICE, **about))
    return browser


def _is_fresh(browser: Browser) -> bool:
    session = session_seen_by_app(browser)
    return session is not None and bool(session.is_fresh)


def _step_up_in(browser: Browser) -> str:
    cookie = browser.cookies.find(_name_in(browser))
    if cookie is None:
        fail("a step-up brought no cookie", browser)
    return cookie.value


def _plant_step_up(browser: Browser, text: str) -> None:
    cookies, is_secure = browser.manager.parts.cookies, browser._is_secure
    _, line = cookies.set_step_up(text, is_secure=is_secure, max_age_s=3600)
    plant(browser, _name_in(browser), line)


def _name_in(browser: Browser) -> str:
    return browser.manager.parts.cookies.step_up_name(is_secure=browser._is_secure)
