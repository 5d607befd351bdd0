"""Assertions about one browser's session: signed in or out, rotated, its data kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsgi_sessions.records import EndReason

from ..browser.browser import Browser
from ..browser.reasons import end_reason, find_standing, tokens_held, why_signed_out
from ..fakes.network import Fate
from ..schedules import Schedules
from .steps import fail, require_session

_ITEMS, _COUNT = "assert_session_data_is_kept: items", "assert_session_data_is_kept: count"
_FIRST, _SECOND = "assert_session_data_is_kept: first", "assert_session_data_is_kept: second"
_TURNS = (_FIRST, _SECOND)


def assert_signed_in(browser: Browser, *, as_: str | None = None) -> None:
    """Assert that the browser's next request has a live session, of an e-mail address if given."""
    session = browser.session
    if session is None:
        fail(f"the browser is signed out ({why_signed_out(browser)})", browser)
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
    session that is past a limit counts as ended, even if no request has noticed it yet; a token
    that is refused while its session goes on (``on_ip_mismatch="reject"``) counts by the reason
    of the refusal.
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
        fail(f"nothing ended as {wanted}: {why_signed_out(browser)}", browser)
    if found.reason is not wanted:
        verb = "ended" if found.is_over else "is refused"
        fail(f"the session {verb} as {found.reason}, not as {wanted}", browser)


def _lost_every_sign_in(browser: Browser) -> bool:
    """Return whether sign-ins were answered, and no answer brought a session cookie."""
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
    signer = browser.manager.parts.signer
    old, new = signer.read(before), signer.read(browser.session_token or "")
    if old is None or new is None:
        fail("the browser has no token of ours now, or had none before", browser)
    if old.session_id != new.session_id:
        fail("the browser has another session now, which is no rotation", browser)
    if new.generation <= old.generation:
        fail(f"the token is still that of generation {new.generation}", browser)


def assert_session_data_is_kept(browser: Browser) -> None:
    """Assert that session data is kept: changes within values, and those of parallel requests.

    Keys of its own are added and removed again; the app's stay as they are.
    """

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
