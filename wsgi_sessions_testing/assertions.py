"""Assertions about sessions whose failures tell the story of what was sent and answered.

Must not look where a user or an attacker could not: cookies, answers, and what the product
says of a session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsgi_sessions.records import EndReason

from .answers import is_session_cookie
from .browser import Browser
from .network import Fate
from .reasons import end_reason, find_standing, tokens_held, why_out
from .staging import (
    fail,
    fake_clock,
    page_for,
    require_session,
    session_seen_by_app,
    visit,
    wait_in_use,
)

__all__ = [
    "assert_rotated",
    "assert_rotation_safe",
    "assert_session_data_is_kept",
    "assert_signed_in",
    "assert_signed_out",
]

_ITEMS, _COUNT = "assert_session_data_is_kept: items", "assert_session_data_is_kept: count"
_FIRST, _SECOND = "assert_session_data_is_kept: first", "assert_session_data_is_kept: second"
_TURNS = (_FIRST, _SECOND)


def assert_signed_in(browser: Browser, *, as_: str | None = None) -> None:
    """Assert that the browser's next request has a live session, of an e-mail address if given."""
    session = browser.session
    if session is None:
        fail(f"the browser is signed out ({why_out(browser)})", browser)
    email = None if session.user is None else session.user.email
    if as_ is not None and email != as_:
        fail(f"the browser is signed in as {email}, not as {as_}", browser)
    seen = browser._seen_through_layers()
    if seen is None or seen.id != session.id:
        fail(
            "the browser has the cookies of a live session, but the layers around "
            "SessionMiddleware do not let it come to that",
            browser,
        )


def assert_signed_out(browser: Browser, *, reason: str | EndReason | None = None) -> None:
    """Assert that the browser's next request has no live session, ended for a reason if given.

    ``reason`` is that of the last session whose cookie the browser had: ``"revoked"``, say. A
    session that is past a limit counts as ended before any request has met that, and a token
    that is refused while its session lives on (``on_ip_mismatch="reject"``) as refused for it.
    """
    wanted = None if reason is None else end_reason(reason)
    session = browser.session
    if session is not None:
        fail(f"the browser is still signed in: {session!r}", browser)
    if _lost_every_sign_in(browser):
        fail(
            "the browser signed in, but was never given a session cookie, so it shows nothing "
            "that it is signed out",
            browser,
        )
    if wanted is None:
        return
    found = find_standing(browser)
    if found is None:
        fail(f"the browser has had no session that could have ended as {wanted}", browser)
    if found.reason is None:
        fail(f"nothing ended as {wanted}: {why_out(browser)}", browser)
    if found.reason is not wanted:
        verb = "ended" if found.is_over else "is refused"
        fail(f"the session {verb} as {found.reason}, not as {wanted}", browser)


def _lost_every_sign_in(browser: Browser) -> bool:
    """Tell whether sign-ins were answered, and no answer brought a session cookie."""
    arrived = [
        exchange
        for exchange in browser.history
        if exchange.action == "sign in" and exchange.fate is Fate.ARRIVES and exchange.is_success
    ]
    return bool(arrived) and next(tokens_held(browser), None) is None


def assert_rotated(browser: Browser, before: str | None) -> None:
    """Assert that the token is another one than ``before``, of a later generation.

    ``before`` is what ``browser.session_token`` was earlier.
    """
    if before is None:
        fail("there was no token before, so nothing could be rotated", browser)
    signer = browser.manager.signer
    old, new = signer.read(before), signer.read(browser.session_token or "")
    if old is None or new is None:
        fail("the browser has no token of ours now, or had none before", browser)
    if old.session_id != new.session_id:
        fail("the browser has another session now, which is no rotation", browser)
    if new.generation <= old.generation:
        fail(f"the token is still that of generation {new.generation}", browser)


def assert_rotation_safe(browser: Browser, *, page: str | None = None) -> None:
    """Assert that rotation signs no honest browser out, and catches a thief.

    Plays a lost offer, two requests in parallel, a slow one in grace (if there is any) and a
    stolen jar after it; then, signed in anew, one that is two generations behind in the grace.
    The browser's session has ended afterwards, by the thief's replay.
    ``page`` is one that session cookies are sent to.
    """
    clock, config = fake_clock(browser.clock), browser.manager.config
    page = page_for(browser, page)

    def lose_a_visit() -> None:
        with browser.network.losing_responses(1):
            browser.get(page)

    due_ms = _when_rotation_is_due(browser)
    user = browser.session.user if browser.session is not None else None
    before = browser.session_token
    thief = browser.fork()
    wait_in_use(browser, due_ms - clock.now_ms(), lose_a_visit)
    lose_a_visit()
    if browser.session_token != before:
        fail("a lost response changed the browser's token", browser)
    parallel = browser.fork()
    visit(browser, page)
    assert_rotated(browser, before)
    visit(browser, page)
    assert_signed_in(browser)
    if config.rotation_grace_ms:
        parallel.get(page)
        if any(is_session_cookie(line, config.cookie) for line in parallel.history[-1].received):
            fail("a request in grace was given a cookie, or a copy, for its old token", parallel)
        if session_seen_by_app(parallel) is None:
            fail("a request under way while the token was confirmed was signed out", parallel)
    wait_in_use(browser, config.rotation_grace_ms, lambda: browser.get(page))
    if browser.session is None or session_seen_by_app(browser) is None:
        fail("the browser was signed out by its own rotation", browser)
    if session_seen_by_app(thief) is not None:
        fail("a stolen token is still taken after the grace", thief)
    if config.on_replay == "revoke":
        assert_signed_out(browser, reason="replayed")
    if user is not None and config.rotation_grace_ms and config.absolute_timeout_ms is None:
        browser.sign_in(user)
        _assert_two_behind_is_refused(browser, page)


def _assert_two_behind_is_refused(browser: Browser, page: str) -> None:
    config, thief = browser.manager.config, browser.fork()
    for _ in range(2):
        wait_in_use(browser, config.update_age_ms, lambda: browser.get(page))
        visit(browser, page)
        visit(browser, page)
    held = browser.manager.signer.read(browser.session_token or "")
    if held is None or held.generation != 2:
        fail("the browser's token was not rotated twice in two turns", browser)
    if session_seen_by_app(thief) is not None:
        fail("a stolen token two generations behind is taken in grace", thief)
    if config.on_replay == "revoke":
        assert_signed_out(browser, reason="replayed")


def _when_rotation_is_due(browser: Browser) -> int:
    """Return the instant at which the browser's token has to be rotated.

    Fails with words if the settings, or the way the browser signed in, leave no rotation.
    """
    config = browser.manager.config
    if not config.rotate_tokens:
        fail(
            "rotate_tokens is off, so there is no rotation to be safe; write "
            "@pytest.mark.sessions(rotate_tokens=True)",
            browser,
        )
    session = browser.session
    if session is None:
        fail("the browser was not signed in before", browser)
    signer = browser.manager.signer
    for _ in range(2):
        held = signer.read(browser.session_token or "")
        due_ms = session.record.confirmed_at_ms + config.update_age_ms
        if held is not None and held.generation == session.generation and due_ms > _now_ms(browser):
            break
        # An offer is due or waits to be confirmed: let that be over first.
        session = session_seen_by_app(browser) or session
    due_ms = session.record.confirmed_at_ms + config.update_age_ms
    over_ms = due_ms + config.rotation_grace_ms
    absolute_ms = config.absolute_timeout_ms
    if absolute_ms is not None and session.record.authenticated_at_ms + absolute_ms <= over_ms:
        fail(
            f"absolute_timeout is {config.absolute_timeout}, so the session ends before its token "
            f"is rotated (update_age is {config.update_age}) and the grace is over; write "
            "@pytest.mark.sessions(…) with a shorter update_age or a longer absolute_timeout",
            browser,
        )
    if not session.is_remembered and session.record.expires_at_ms <= over_ms:
        fail(
            "the session is not remembered, so it expires before its token is rotated "
            f"(update_age is {config.update_age}) and the grace is over; sign in with "
            "remember_me=True, or write @pytest.mark.sessions(short_expires_in=…), a longer one",
            browser,
        )
    return due_ms


def _now_ms(browser: Browser) -> int:
    return browser.manager.clock.now_ms()


def assert_session_data_is_kept(browser: Browser) -> None:
    """Assert that session data survives: changes inside values, and of parallel requests.

    Keys of its own are added and taken away again; the app's stay as they are.
    """
    from .schedules import Schedules

    def change(act: Callable[[Any], Any]) -> Callable[[], Any]:
        def use(handle: Any) -> Any:
            return act(handle.session.data)

        return lambda: browser._with_handle("use data", use)

    def put(key: str) -> Callable[[], Any]:
        return change(lambda data: data.update({key: True}))

    require_session(browser)
    before = change(dict)()
    change(lambda data: data.update({_ITEMS: ["tea"], _COUNT: 1}))()
    change(lambda data: data[_ITEMS].append("milk"))()
    for order in ([], [0, 1] * 20, [0, 0, 1, 1] * 10, [1, 0, 0, 1] * 10):
        Schedules(browser.app).run(put(_FIRST), put(_SECOND), order=order)
        kept = change(dict)()
        lost = [key for key in (_FIRST, _SECOND) if key not in kept]
        if len(lost) == 1:
            fail("one of two parallel requests lost its data", browser)
        if lost or {**before, _ITEMS: ["tea", "milk"], _COUNT: 1} != _without(kept, _TURNS):
            fail(f"session data was lost: {sorted(kept)} are left", browser)
        change(lambda data: [data.pop(key) for key in _TURNS])()
    change(lambda data: [data.pop(key) for key in (_ITEMS, _COUNT)])()
    after = change(dict)()
    if after != before:
        fail(f"session data changed by itself: {sorted(before)} became {sorted(after)}", browser)


def _without(data: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}
