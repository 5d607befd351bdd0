"""Assertions about the links in mails: each is good once, in its time, and for its purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgi_sessions.errors import InvalidOneTimeTokenError

from ..bench import Bench, config_for_tests
from ..browser.browser import Browser
from ..settings import send_nowhere, with_changes
from .steps import advance, fail, passwords_for

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def assert_reset_is_safe(app: WSGIApplication) -> None:
    """Assert that a link for a forgotten password is good once, and ends what the old one opened.

    It is used twice, after its time, and with the token of a link that verifies an address, on a
    bench of its own; an app without ``on_send`` is given one there.
    """
    config = with_changes(config_for_tests(app), {"throttle": None})
    if config.on_send is None:
        config = config.replace(on_send=send_nowhere, site_url="https://localhost")
    with Bench(app, config=config) as bench:
        manager, mailbox = bench.manager, bench.mailbox
        old, new = passwords_for(config, 2)
        user = bench.factories.make_user(password=old)
        email, browser = str(user.email), bench.new_browser()

        def reset(token: str | None, wrong: str | None = None) -> None:
            try:
                manager.reset_password(token=str(token), new_password=new)
            except InvalidOneTimeTokenError:
                if wrong is None:
                    fail("a link for a new password, just mailed, is refused", browser)
            else:
                if wrong is not None:
                    fail(f"a password was set by a link {wrong}", browser)

        manager.send_verification_email(email=email)
        reset(mailbox.last("verify-email").token, "that verifies an address")
        manager.request_password_reset(email=email)
        advance(bench.clock, config.reset_expires_in_ms)
        reset(mailbox.last("reset-password").token, "over its time")
        _sign_in(browser, email)
        manager.request_password_reset(email=email)
        token = mailbox.last("reset-password").token
        reset(token)
        advance(bench.clock, config.revocation_lag_ms)
        if browser.session is not None:
            fail("a session from before the password was set anew is still signed in", browser)
        reset(token, "that was used before")


def _sign_in(browser: Browser, email: str) -> None:
    browser.sign_in(email)
    if browser.session is None:
        fail("the browser was not signed in before", browser)
