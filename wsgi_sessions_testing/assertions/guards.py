"""Assertions about guarded calls, limits of sessions, the throttle, and trusted proxies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.errors import (
    InvalidCredentialsError,
    InvalidPasswordError,
    SessionLimitReached,
    SessionNotFreshError,
    TooManyTriesError,
)
from wsgi_sessions.records import RequestFacts

from ..bench import Bench, config_for_tests, default_base_url
from ..browser.browser import Browser
from .attacks import ELSEWHERE, addresses_of_proxies
from .responses import CookieFlags, find_cookie_faults
from .steps import advance, fail, passwords_for, session_seen_by_app, start_anonymous, wait_in_use

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_MAX_VISITS = 200
_MAX_TRIES = 20
"""How many times ``throttle.tries`` wrong passwords are tried before one must be refused."""


def assert_sensitive_calls_are_guarded(app: WSGIApplication) -> None:
    """Assert that deleting a user and changing a password need the password.

    A wrong one does neither. A session that is no longer fresh needs it too; that is left out
    where the settings end every session before ``fresh_age`` is over.
    """
    with Bench(app, throttle=None) as bench:
        right, wrong, new = passwords_for(bench.manager.config, 3)
        browser = bench.new_browser()
        user = bench.factories.make_user(password=right, email_verified=True)
        browser.sign_in(user)
        _expect_refusal(
            browser,
            "a user was deleted by a wrong password",
            lambda handle: handle.delete_user(password=wrong),
            InvalidPasswordError,
        )
        _expect_refusal(
            browser,
            "a password was changed by whoever did not know it",
            lambda handle: handle.change_password(current_password=wrong, new_password=new),
            InvalidPasswordError,
        )
        if not _use_until_not_fresh(browser):
            return
        _expect_refusal(
            browser,
            "a user was deleted by a session that is not fresh any more",
            lambda handle: handle.delete_user(),
            SessionNotFreshError,
        )


def _expect_refusal(
    browser: Browser, what: str, act: Callable[[Any], Any], refusal: type[Exception]
) -> None:
    try:
        browser._with_handle("try what is guarded", act)
    except refusal:
        if browser.session is None:
            fail("a refused call ended the session", browser)
        return
    fail(what, browser)


def _use_until_not_fresh(browser: Browser) -> bool:
    """Use a new session until it is not fresh any more; return False if it ends before."""
    config = browser.manager.config
    limit_ms = config.absolute_timeout_ms
    step_ms = min(config.fresh_age_ms, _longest_pause_ms(config))
    if (limit_ms is not None and limit_ms <= config.fresh_age_ms) or step_ms <= 0:
        return False
    if config.fresh_age_ms // step_ms > _MAX_VISITS:
        return False
    wait_in_use(browser, config.fresh_age_ms, longest_step_ms=step_ms)
    if session_seen_by_app(browser) is None:
        fail("a browser in use all the time was signed out", browser)
    return True


def assert_limits_are_kept(app: WSGIApplication) -> None:
    """Assert that sessions end at their limits, to the millisecond, and not before.

    ``idle_timeout`` counts from the last use, and ``absolute_timeout`` from the sign-in. A
    session that is not remembered ends after ``short_expires_in``, even in use; one that is
    remembered, without an absolute limit, lasts while it is used. A limit that takes more than
    200 visits to reach is left out.
    """
    with Bench(app) as bench:
        config = bench.manager.config
        _assert_idle_counts_from_use(bench)
        if config.absolute_timeout_ms is None:
            _assert_goes_on_in_use(bench)
        else:
            _assert_ends_after(bench, config.absolute_timeout_ms, "absolute_timeout", True)
        lasts_ms = config.short_expires_in_ms
        if config.absolute_timeout_ms is None or lasts_ms < config.absolute_timeout_ms:
            _assert_ends_after(bench, lasts_ms, "short_expires_in", False)


def _assert_idle_counts_from_use(bench: Bench) -> None:
    config = bench.manager.config
    idle_ms = config.idle_timeout_ms
    if idle_ms is None or idle_ms < 10:
        return
    # The most that last_seen_at may be behind, by the settings' own rule.
    used_ms = idle_ms // 10
    ends_ms = min(config.expires_in_ms, config.absolute_timeout_ms or config.expires_in_ms)
    if used_ms + 2 * idle_ms >= min(ends_ms, config.update_age_ms):
        return  # which may end or refresh it in between
    browser = bench.new_browser()
    user_id = browser.sign_in("idle@example.org").user_id
    advance(bench.clock, used_ms)
    session_seen_by_app(browser)
    advance(bench.clock, idle_ms - 1)
    if session_seen_by_app(browser) is None:
        fail("a browser was signed out as idle less than idle_timeout after its use", browser)
    advance(bench.clock, idle_ms)
    if bench.manager.list_sessions(user_id):
        fail("a session that has been idle for idle_timeout is listed", browser)
    if session_seen_by_app(browser) is not None:
        fail("a session was let in that had been idle for idle_timeout", browser)


def _assert_goes_on_in_use(bench: Bench) -> None:
    config = bench.manager.config
    step_ms = _longest_pause_ms(config)
    if step_ms <= 0 or 2 * config.expires_in_ms // step_ms > _MAX_VISITS:
        return
    browser = bench.new_browser()
    browser.sign_in("always@example.org")
    wait_in_use(browser, 2 * config.expires_in_ms, longest_step_ms=step_ms)
    if session_seen_by_app(browser) is None:
        fail("a session that is used all the time expired", browser)
    advance(bench.clock, config.expires_in_ms)
    if session_seen_by_app(browser) is not None:
        fail("a session was let in that had not been used for expires_in", browser)


def _assert_ends_after(bench: Bench, limit_ms: int, name: str, is_remembered: bool) -> None:
    config = bench.manager.config
    step_ms = _longest_pause_ms(config)
    if not is_remembered:
        step_ms = limit_ms if config.idle_timeout_ms is None else config.idle_timeout_ms // 2
    if step_ms <= 0 or limit_ms // step_ms > _MAX_VISITS:
        return
    browser = bench.new_browser()
    browser.sign_in("limited@example.org", remember_me=is_remembered)
    wait_in_use(browser, limit_ms - 1, longest_step_ms=step_ms)
    if session_seen_by_app(browser) is None:
        fail(f"a session in use ended before {name} was over", browser)
    advance(bench.clock, 1)
    if session_seen_by_app(browser) is not None:
        fail(f"a session was let in after {name} was over", browser)


def _longest_pause_ms(config: SessionConfig) -> int:
    """Return how long a browser can stay away between two visits without being signed out.

    Then at least one visit falls between the time at which a refresh is due and the expiry, and
    not within the pause before a rotation. Returns 0 if there is no such time.
    """
    pause_ms = (config.expires_in_ms - config.update_age_ms) // 2
    if pause_ms <= 2 * config.rotation_grace_ms:
        return 0
    idle_ms = config.idle_timeout_ms
    return pause_ms if idle_ms is None else min(pause_ms, idle_ms // 2)


def assert_throttle_opens_again(app: WSGIApplication) -> None:
    """Assert that many wrong passwords in a row are stopped, and the owner gets in after a wait.

    Needs ``throttle``. The wait is that of ``Retry-After``. Right passwords do not count, a
    browser that is known for the account need not wait, one that is known for another must, and
    a network is stopped whatever the accounts.
    """
    config = config_for_tests(app)
    if config.throttle is None:
        raise AssertionError("throttle is None, so passwords can be tried for ever")
    right, wrong = passwords_for(config, 2)
    facts = RequestFacts("192.0.2.77", None, is_https=True, method="POST", path="/")
    with Bench(app, config=config) as bench:
        user = bench.factories.make_user(password=right, email_verified=True)

        def sign_in(password: str, email: str = str(user.email), known_for: str = "") -> float:
            """Return for how many seconds to wait; 0 if the password was looked at."""
            cookie = bench.manager.parts.devices.remember(
                (), known_for, now_ms=bench.clock.now_ms()
            )
            try:
                bench.manager.sign_in_email(
                    email=email,
                    password=password,
                    facts=facts._replace(device_cookies=(cookie,) if known_for else ()),
                )
            except TooManyTriesError as error:
                return error.retry_after_seconds
            except (InvalidCredentialsError, SessionLimitReached):
                pass
            return 0

        tries = config.throttle.tries * _MAX_TRIES
        if any(sign_in(right) for _ in range(config.throttle.tries + 1)):
            raise AssertionError("right passwords count as tries")
        accounts = [
            f"nobody{number}@example.org" for number in range(config.throttle.network_tries)
        ]
        if not any(sign_in(wrong, email) for email in (*accounts, "another@example.org")):
            raise AssertionError("a network can try passwords for ever, at one account each")
        bench.clock.advance(seconds=config.throttle.window_ms // 1000 + 1)
        wait_s = next((wait_s for _ in range(tries) if (wait_s := sign_in(wrong))), 0)
        if not wait_s:
            raise AssertionError(f"{tries} wrong passwords in a row were looked at")
        if not sign_in(right, known_for="another@example.org"):
            raise AssertionError("a browser that is known for another account need not wait")
        if sign_in(right, known_for=str(user.email)):
            raise AssertionError("a browser that is known for the account must wait for strangers")
        bench.clock.advance(seconds=wait_s)
        if sign_in(right):
            raise AssertionError(
                f"too many wrong passwords: the owner was told to wait for {wait_s} s, did, and "
                "was refused again"
            )


def assert_trusted_proxies_are_believed(app: WSGIApplication) -> None:
    """Assert that the client address and scheme that a trusted proxy reports are used.

    Needs ``trusted_proxies``. A browser comes by https to a proxy, and that by http to the app:
    its cookies are those of https.
    """
    config = config_for_tests(app)
    if not config.trusted_proxies:
        raise AssertionError(
            "trusted_proxies is empty, so no proxy is believed; write "
            '@pytest.mark.sessions(trusted_proxies=["192.0.2.0/24"])'
        )
    client = ELSEWHERE[0]
    base_url = default_base_url(config).replace("https:", "http:", 1)
    with Bench(app, config=config) as bench:
        for proxy in addresses_of_proxies(config):
            for headers in (
                {"X-Forwarded-For": client, "X-Forwarded-Proto": "https"},
                {"Forwarded": f"for={client};proto=https"},
            ):
                browser = bench.new_browser(address=proxy, base_url=base_url)
                facts = browser._with_handle("look", lambda handle: handle.facts, headers=headers)
                names = ", ".join(headers)
                if facts.address != client:
                    fail(f"the address by {names} of a trusted proxy is not believed", browser)
                if not facts.is_https:
                    fail(f"the scheme by {names} of a trusted proxy is not believed", browser)
                browser._with_handle("start a session", start_anonymous, headers=headers)
                flags = CookieFlags.of(config.cookie, is_https=True)
                for fault in find_cookie_faults(browser.history[-1], flags, config.cookie):
                    fail(f"behind a proxy that speaks https {fault}", browser)
