"""Assertions about sign-ins by an identity provider, and sessions that the provider ends."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wsgi_sessions.errors import InvalidIdTokenError, InvalidLogoutTokenError

from ..bench import Bench
from ..browser.browser import Browser
from ..fakes.openid_issuer import LocalIssuer
from .steps import fail, session_seen_by_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_PROVIDER = "provider-of-assertions"


def assert_providers_are_held_to_their_word(app: WSGIApplication) -> None:
    """Assert that ID tokens are good once, in their browser, and that logout tokens end sessions.

    With an issuer of its own on this machine, in place of your ``social_providers``. Needs the
    extra ``social``.
    """
    with LocalIssuer() as issuer:
        provider = issuer.provider(_PROVIDER, is_trusted=True)
        # Who may sign up is another question, and their users are new.
        is_open: Any = {"allow_sign_up": True, "check_sign_up": None, "throttle": None}
        with Bench(app, social_providers=[provider], **is_open) as bench:
            issuer.clock = bench.clock
            _check_id_tokens(bench, issuer)
            _check_logout(bench, issuer)


def _check_id_tokens(bench: Bench, issuer: LocalIssuer) -> None:
    owner, thief = bench.new_browser(), bench.new_browser()
    token = _id_token(issuer)
    if not _enters(owner, token):
        fail("a sound ID token was refused", owner)
    if _enters(thief, token):
        fail("an ID token signed in a second time", thief)
    nonce = owner._with_handle("ask for a nonce", lambda handle: handle.make_nonce(_PROVIDER))
    if _enters(thief, _id_token(issuer, nonce=nonce), nonce=nonce):
        fail("an ID token signed in another browser than the one it was made for", thief)
    if _enters(thief, issuer.logout_token("ada", headers={"typ": "JWT"})):
        fail("a logout token was taken for an ID token", thief)


def _check_logout(bench: Bench, issuer: LocalIssuer) -> None:
    browser = bench.new_browser()
    _enters(browser, _id_token(issuer, "bob", sid="session-of-the-provider"))
    if session_seen_by_app(browser) is None:
        fail("a sound ID token signed nobody in", browser)
    for sent in (
        issuer.logout_token("bob", aud="another-client"),
        issuer.logout_token(sid="another-session"),
        issuer.id_token("bob"),
    ):
        with suppress(InvalidLogoutTokenError):
            bench.manager.backchannel_logout(_PROVIDER, sent)
        if session_seen_by_app(browser) is None:
            fail("a logout token that is not for this session ended it", browser)
    seats = [browser.through(worker) for worker in bench.workers(2)]
    for seat in seats:
        if session_seen_by_app(seat) is None:
            fail("the browser was not let in before the logout", seat)
    bench.manager.backchannel_logout(_PROVIDER, issuer.logout_token(sid="session-of-the-provider"))
    bench.clock.advance(milliseconds=bench.manager.config.revocation_lag_ms)
    for seat in seats:
        if session_seen_by_app(seat) is not None:
            fail("a session goes on whose session at the provider is over", seat)


def _id_token(issuer: LocalIssuer, subject: str = "ada", **claims: Any) -> str:
    email = f"{subject}@provider.example"
    return issuer.id_token(subject, email=email, email_verified=True, **claims)


def _enters(browser: Browser, token: str, *, nonce: str | None = None) -> bool:
    """Sign in with an ID token; tell whether it was taken."""
    try:
        browser._with_handle(
            "sign in by a provider",
            lambda handle: handle.sign_in_social(provider=_PROVIDER, id_token=token, nonce=nonce),
        )
    except InvalidIdTokenError:
        return False
    return True
