"""Assertions about endings: a session that is over is over everywhere, and in every order.

Must not look where a user or an attacker could not, but for whether the database was asked.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsgi_sessions.errors import InvalidCredentialsError, SessionLimitReached
from wsgi_sessions.manager import SignIn
from wsgi_sessions.sessions.cookie_cache import CookieCache

from ..browser.browser import Browser
from ..fakes.instrumentation import SessionReads
from .sessions import assert_signed_out
from .steps import (
    advance,
    fail,
    fake_clock,
    page_for,
    plant,
    session_seen_by_app,
    start_anonymous,
    visit,
    wait_in_use,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from ..bench import Bench
    from ..fakes.workers import Worker

__all__ = [
    "assert_cached_copy_is_bounded",
    "assert_limit_holds",
    "assert_logout_is_final",
    "assert_password_change_is_final",
    "assert_revocation_is_final",
    "assert_revocation_within",
]

ROUNDS = 10

MAX_STEPS = 8
"""A request has fewer points than this at which another may overtake it."""


def assert_logout_is_final(
    browser: Browser, *, sign_out: Callable[[Browser], Any] | None = None, page: str | None = None
) -> None:
    """Assert that after a sign-out nothing that was copied before it is worth anything.

    ``sign_out(browser)`` uses the app's own button; without it, the product's. Waits for
    ``revocation_lag`` on the clock.
    """
    page = page_for(browser, page)
    visit(browser, page)
    copy = browser.fork()
    before = browser.session
    if before is None:
        fail("the browser was not signed in before", browser)
    (sign_out or Browser.sign_out)(browser)
    if browser.session is not None:
        fail("the browser is still signed in after the sign-out", browser)
    if browser.session_token is not None:
        fail("the sign-out left the cookie in the browser", browser)
    if browser.cookies.find(browser.manager.cookies.cache_name(is_secure=browser._is_secure)):
        fail("the sign-out left the cached copy in the browser", browser)
    advance(browser.clock, browser.manager.config.revocation_lag_ms)
    if copy.session is not None:
        fail("a copy of the cookies from before the sign-out is still signed in", browser)
    seen = session_seen_by_app(copy)
    if seen is not None:
        fail("a copy of the cookies from before the sign-out is still let in", copy)
    visit(copy, page)


def assert_revocation_within(
    browser: Browser,
    seconds: float,
    *,
    workers: Iterable[Worker] = (),
    page: str | None = None,
) -> None:
    """Assert that a session revoked elsewhere is refused by each worker within so many seconds.

    The browser's session has ended afterwards.
    """
    clock = browser.clock
    page = page_for(browser, page)
    seats = [browser.through(worker) for worker in workers] or [browser]
    session = browser.session
    if session is None:
        fail("the browser was not signed in before", browser)
    for seat in seats:
        for _ in range(2):
            visit(seat, page)
            if session_seen_by_app(seat) is None:
                fail("the browser was not let in before the revocation", seat)
    # By another process, or this one would know at once; its clock is behind, so that its row
    # in the feed looks older than what has been read already.
    config = browser.manager.config
    behind_ms = min(config.rotation_grace_ms // 2, 10_000)
    clock_behind = fake_clock(clock).skewed(timedelta(milliseconds=-behind_ms))
    browser.manager.sibling(clock=clock_behind).revoke_session(session.id)
    for seat in seats:
        if seat.manager.get_session(seat._look(), authoritative=True) is not None:
            fail("the end of a session is not known to who asks past the cache", seat)
    advance(clock, round(seconds * 1000))
    for seat in seats:
        if session_seen_by_app(seat) is not None:
            fail(f"the session is still let in {seconds} s after it was revoked", seat)
        visit(seat, page)


def assert_revocation_is_final(browser: Browser) -> None:
    """Assert that a session revoked while a refresh is under way stays revoked.

    Lets the revocation overtake the request at each of its steps; the user signs in anew for
    each, and is signed out afterwards.
    """
    from ..schedules import Schedules

    session = browser.session
    if session is None or session.user is None:
        fail("the browser was not signed in before", browser)
    user = session.user
    revoker = browser.manager.sibling()
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

    Lets the change overtake the sign-in at each of its steps, on a bench of its own.
    """
    from ..bench import Bench, config_for_tests
    from ..schedules import Schedules

    config = config_for_tests(app).replace(throttle=None)
    passwords = [f"{number:0{config.password.min_length}}" for number in range(MAX_STEPS + 1)]
    with Bench(app, config=config) as bench:
        manager, changer = bench.manager, bench.manager.sibling()
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
    """Let time pass until a refresh is due, or if there never is, until shortly before the end."""
    session = browser.session
    if session is not None:
        left_ms = session.record.expires_at_ms - browser.manager.clock.now_ms() - 1
        wait_ms = min(browser.manager.config.update_age_ms, max(0, left_ms))
        wait_in_use(browser, wait_ms, lambda: session_seen_by_app(browser))


def assert_cached_copy_is_bounded(browser: Browser, *, page: str | None = None) -> None:
    """Assert that a cached copy is worth nothing beside another token, nor beyond any limit.

    Nor is one of another ``cookie_cache.version``; and one whose session was revoked elsewhere
    is void up to its very end, after a clean-up too.

    Needs ``cookie_cache``. The browser's session has ended afterwards.
    """
    manager = browser.manager
    config = manager.config
    if not config.cookie_cache.enabled:
        fail("the cookie cache is off; write @pytest.mark.sessions(cookie_cache=True)", browser)
    page = page_for(browser, page)
    session = browser.session
    if session is None or session.user is None:
        fail("the browser was not signed in before", browser)
    _assert_bound_to_its_token(browser, page)
    browser.sign_in(session.user)
    visit(browser, page)
    _assert_of_its_version(browser)
    _assert_stays_void(browser, page)
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


def _assert_bound_to_its_token(browser: Browser, page: str) -> None:
    manager, user = browser.manager, browser.session.user if browser.session else None
    visit(browser, page)
    is_secure = browser._is_secure
    cache_name = manager.cookies.cache_name(is_secure=is_secure)
    copied = browser.cookies.find(cache_name)
    if copied is None:
        fail(f"the browser was given no cached copy by {page}", browser)
    stranger = browser.fork()
    stranger.cookies.clear()
    stranger._with_handle("start an anonymous session", start_anonymous)
    made = manager.cookies.set_cached_copy(copied.value, is_secure=is_secure, max_age_s=3600)
    assert made is not None, "it was set once, so it is not too large"
    plant(stranger, cache_name, made[1])
    seen = session_seen_by_app(stranger)
    if seen is not None and seen.user == user:
        fail("a cached copy was taken beside another session's token", stranger)


def _assert_of_its_version(browser: Browser) -> None:
    """Seal a copy as a process with another version does, and see that nobody takes it."""
    manager, session, token = browser.manager, browser.session, browser.session_token
    config, reading = manager.config, manager.feed.current()
    if session is None or session.user is None or token is None:
        fail("the browser is signed out right after a sign-in", browser)
    if reading is None:
        return  # the clock is off, or the database away: nobody seals anything
    cache = CookieCache(
        config.secret,
        version=f"{config.cookie_cache.version}, the one before",
        max_age_ms=config.cookie_cache.max_age_ms,
        clock_difference_ms=config.clock_difference_ms,
    )
    now_ms = manager.clock.now_ms()
    text = cache.seal(
        session.record,
        session.user.record,
        database_secret=reading.database_secret,
        token_text=token,
        issued_at_ms=now_ms,
        ends_at_ms=now_ms + config.cookie_cache.max_age_ms,
    )
    is_secure = browser._is_secure
    made = manager.cookies.set_cached_copy(text or "", is_secure=is_secure, max_age_s=3600)
    if text is None or made is None:
        return  # larger than what a browser keeps
    holder = browser.fork()
    plant(holder, manager.cookies.cache_name(is_secure=is_secure), made[1])
    if not _asks_the_database(holder):
        fail("a cached copy of another cookie_cache.version was taken", holder)


def _assert_stays_void(browser: Browser, page: str) -> None:
    """Revoke a session by another process, and see its copy refused for as long as it lasts."""
    manager, session = browser.manager, browser.session
    config = manager.config
    if session is None:
        fail("the browser is signed out right after a sign-in", browser)
    visit(browser, page)
    copy = browser.fork()
    manager.sibling().revoke_session(session.id)
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
    """In use up to a moment before the session expires, and on to that instant."""
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
    store: Any = browser.manager.store
    with store.watched_by(SessionReads()) as reads:
        session_seen_by_app(browser)
    return bool(reads.count)


def assert_limit_holds(
    app: WSGIApplication, *, folder: str | Path, sign_ins: int = 12, config: Any = None
) -> None:
    """Assert that sign-ins of one user leave ``maximum_sessions`` live, and the right ones.

    Signs in from threads, on an SQLite file in ``folder``, then from one device after another.
    With a user model of the app's own it is that model's database, which threads have to share.
    With ``on_limit="reject"`` sessions that are past a limit must not be in the way.
    """
    from ..bench import Bench, config_for_tests

    config = config_for_tests(app) if config is None else config
    database = f"sqlite:///{folder}/limit.db" if config.user_model is None else None
    with Bench(app, database=database, config=config) as bench:
        multi = bench.manager.config.multi_session
        most = multi.maximum_sessions if multi.enabled else 1
        if most is None:
            raise AssertionError("maximum_sessions is None, so there is no limit to hold")
        user = bench.factories.make_user()
        manager = bench.manager.sibling()
        for _ in range(ROUNDS):
            _sign_in_at_once(lambda: manager.sign_in(user.id), count=sign_ins)
            live = manager.list_sessions(user.id)
            if len(live) != most:
                raise AssertionError(
                    f"{sign_ins} parallel sign-ins of one user left {len(live)} sessions, where "
                    f"{most} is the maximum"
                )
        if multi.on_limit == "reject" and multi.enabled:
            _assert_past_limits_take_no_place(bench, user.id)
            return
        latest = []
        for _ in range(most + 1):
            bench.clock.advance(minutes=10)
            made = manager.sign_in(user.id)
            assert made.session is not None
            latest.append(made.session.id)
        kept = [session.id for session in manager.list_sessions(user.id)]
        if kept != latest[: -most - 1 : -1]:
            raise AssertionError(
                f"of {most + 1} devices that signed in one after another, the sessions of these "
                f"are live, the latest seen first: {[_turn(one, latest) for one in kept]}"
            )


def _assert_past_limits_take_no_place(bench: Bench, user_id: Any) -> None:
    """Let the first limit of all sessions pass; nobody is in the way of the next sign-in then."""
    config = bench.manager.config
    limits = (config.idle_timeout_ms, config.absolute_timeout_ms, config.expires_in_ms)
    advance(bench.clock, min(limit_ms for limit_ms in limits if limit_ms is not None))
    try:
        bench.manager.sign_in(user_id)
    except SessionLimitReached:
        raise AssertionError(
            "a sign-in was rejected for the sake of sessions that are past a limit"
        ) from None


def _sign_in_at_once(sign_in: Callable[[], Any], *, count: int) -> None:
    barrier = threading.Barrier(count)

    def work() -> None:
        barrier.wait(30)
        with suppress(SessionLimitReached):
            sign_in()

    threads = [threading.Thread(target=work) for _ in range(count)]
    interval = sys.getswitchinterval()
    # Threads take turns as often as they can, so that they meet between a read and a write.
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


def _turn(session_id: str, latest: list[str]) -> int | str:
    return latest.index(session_id) + 1 if session_id in latest else "an earlier one"
