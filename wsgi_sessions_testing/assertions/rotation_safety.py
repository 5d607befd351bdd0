"""``assert_rotation_safe``: what rotation does to a browser, to others like it, and to thieves.

It uses what a user or an attacker could: cookies, answers, and the product's view of a session.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

from wsgi_sessions.config.fields import in_words
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.sessions.policy import absolute_end_ms
from wsgi_sessions.sessions.session import Session

from ..browser.browser import Browser
from ..fakes.clock import fake_clock
from .honest_browsers import check_honest_browsers
from .rotation_scenario import (
    WINDOW_IN_GRACES,
    RotationScenario,
    is_given_cookie,
    rotation_interval_ms,
    time_left_ms,
)
from .sessions import assert_rotated, assert_signed_in, assert_signed_out
from .steps import fail, live_session, page_for, session_seen_by_app, visit, wait_in_use
from .thieves import check_thieves

_MOMENT_MS = 1000


def assert_rotation_safe(
    browser: Browser, *, page: str | None = None, thief_may_stay: bool = False
) -> None:
    """Assert that rotation signs no honest browser out, and does sign a thief out.

    First the browser's own session is used: an offer is lost, a request is under way, and a
    stolen jar comes back at the end. Then, each with a session of its own whose token is just
    due: parallel answers, either of which is kept; a crash up to 30 seconds after an answer;
    uploads and answers that take minutes; a database that can't be written to; and thieves who
    keep every cookie that they get, and send requests just before and just after the browser's.
    Until the browser sends a request after the rotation's window it stays signed in; from then
    on no thief is let in.

    The browser's session has ended afterwards, by the thief's replay. ``page`` is one that
    session cookies are sent to; no other page of the app is opened.
    ``thief_may_stay``: needed with ``on_replay="reject"``, where whoever is first after the
    window keeps the session; then it is only asserted that the two are not both let in.
    Fails with an explanation where the settings, or the session's lifetime, leave nothing to
    show.
    """
    page = page_for(browser, page)
    session = _settle(browser, page, thief_may_stay=thief_may_stay)
    _check_own_session(browser, page, session)
    scenario = RotationScenario(browser, session)
    check_honest_browsers(scenario)
    check_thieves(scenario)
    scenario.clear()


# Whether there is anything to show


def _settle(browser: Browser, page: str, *, thief_may_stay: bool) -> Session:
    """Use the browser's session until its rotation is settled and none is due; return it."""
    clock, config = fake_clock(browser.clock), browser.manager.config
    session = live_session(browser)
    _check_settings(browser, session, config, thief_may_stay=thief_may_stay)
    interval_ms = rotation_interval_ms(session, config) or 0
    for _ in range(3):
        held = browser.manager.parts.signer.read(browser.session_token or "")
        due_ms = session.record.confirmed_at_ms + interval_ms
        is_known = held is not None and held.generation == session.generation
        if is_known and session.record.is_settled and due_ms > clock.now_ms():
            break
        # An offer is due, or not yet confirmed or settled: that has to be over first.
        visit(browser, page)
        visit(browser, page)
        window_ms = WINDOW_IN_GRACES * config.rotation_grace_ms
        wait_in_use(browser, window_ms, lambda: browser.get(page))
        session = session_seen_by_app(browser)
        if session is None:
            fail("the browser was signed out by its own rotation", browser)
    else:
        fail("the browser's token is still not settled after three windows in use", browser)
    return session


def _check_settings(
    browser: Browser, session: Session, config: SessionConfig, *, thief_may_stay: bool
) -> None:
    def refuse(what: str) -> NoReturn:
        fail(what, browser)

    if not config.rotate_tokens:
        why = config.rotation_notes[0] if config.rotation_notes else "rotate_tokens is off"
        remedy = (
            "" if config.rotation_notes else "; write @pytest.mark.sessions(rotate_tokens=True)"
        )
        refuse(f"there is no rotation to be safe: {why}{remedy}")
    if rotation_interval_ms(session, config) is None:
        lifetime = in_words(timedelta(milliseconds=config.short_expires_in_ms))
        refuse(
            "there is no rotation to be safe: the session is not remembered, and "
            f"short_expires_in ({lifetime}) leaves no time to rotate its token; "
            "sign in with remember_me=True, or write @pytest.mark.sessions(short_expires_in=…), "
            "a longer one"
        )
    window_ms = WINDOW_IN_GRACES * config.rotation_grace_ms
    needed_ms = max(config.upload_grace_ms, 2 * window_ms) + _MOMENT_MS
    left_ms = time_left_ms(session, config)
    if left_ms <= needed_ms:
        names = "absolute_timeout, or a lower rotation_interval"
        if not session.is_remembered:
            names = "short_expires_in"
        elif config.absolute_timeout_ms is None:
            names = "expires_in"
        refuse(
            f"the session ends {max(left_ms, 0) / 1000:g} s after its token is due for rotation, "
            f"and it takes {needed_ms / 1000:g} s to see who keeps it (two windows, or "
            f"upload_grace); write @pytest.mark.sessions(…) with a longer {names}"
        )
    if config.on_replay == "reject" and not thief_may_stay:
        refuse(
            'on_replay is "reject", so a thief who is the first to ask after the window keeps the '
            'session, and can\'t be shown to be out; write @pytest.mark.sessions(on_replay="revoke"'
            "), or assert_rotation_safe(browser, thief_may_stay=True) for the rest"
        )


# The browser's own session


def _check_own_session(browser: Browser, page: str, session: Session) -> None:
    clock, config = fake_clock(browser.clock), browser.manager.config
    grace_ms, window_ms = config.rotation_grace_ms, WINDOW_IN_GRACES * config.rotation_grace_ms

    def visit_in_vain() -> None:
        with browser.network.losing_responses(1):
            browser.get(page)

    due_ms = session.record.confirmed_at_ms + (rotation_interval_ms(session, config) or 0)
    ends_ms = absolute_end_ms(session.record, config=config)
    if not session.is_remembered:
        ends_ms = min(session.record.expires_at_ms, ends_ms or session.record.expires_at_ms)
    if ends_ms is not None and due_ms + window_ms >= ends_ms:
        fail("the browser's session ends before its next rotation is over; sign in anew", browser)
    before = browser.session_token

    def visit_on_the_way() -> None:
        # From one grace before it is due, a request that needs a cookie gets the next token.
        if clock.now_ms() < due_ms - grace_ms:
            browser.get(page)
        else:
            visit_in_vain()

    wait_in_use(browser, due_ms - clock.now_ms(), visit_on_the_way)
    thief = browser.fork()
    visit_in_vain()
    if browser.session_token != before:
        fail("a lost response changed the browser's token", browser)
    under_way = browser.fork()
    visit(browser, page)
    assert_rotated(browser, before)
    visit(browser, page)
    assert_signed_in(browser)
    confirmed_ms = clock.now_ms()
    for wait_ms in (0, grace_ms - 1):
        wait_in_use(browser, wait_ms, lambda: browser.get(page))
        if session_seen_by_app(under_way) is None:
            fail("a request under way while the token was confirmed was signed out", under_way)
        if is_given_cookie(under_way):
            fail("a request in grace was given a cookie, or a copy, for its old token", under_way)
    left_ms = confirmed_ms + window_ms - clock.now_ms()
    wait_in_use(browser, left_ms, lambda: browser.get(page))
    visit(browser, page)
    if browser.session is None or session_seen_by_app(browser) is None:
        fail("the browser was signed out by its own rotation", browser)
    if session_seen_by_app(thief) is not None:
        fail("a stolen token is still taken after the window", thief)
    if config.on_replay == "revoke":
        assert_signed_out(browser, reason="replayed")
