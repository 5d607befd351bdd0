"""Assertions about sessions whose failures tell the story of what was sent and answered.

Must not look where a user or an attacker could not: cookies, answers, and what the product
says of a session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from wsgi_sessions.manager import SessionManager
from wsgi_sessions.records import EndReason

from .browser import Browser
from .clock import FakeClock
from .peeking import peek_at_session
from .reasons import end_reason, find_standing, why_out
from .set_cookie import parse_set_cookie

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from webob import Response  # type: ignore[import-untyped, unused-ignore]

    from .bench import Bench

__all__ = [
    "assert_bound_to_address",
    "assert_cookie_flags",
    "assert_forged_token_refused",
    "assert_no_session_fixation",
    "assert_not_shared_cacheable",
    "assert_rotated",
    "assert_rotation_safe",
    "assert_session_data_is_kept",
    "assert_signed_in",
    "assert_signed_out",
    "fail",
]


def assert_signed_in(browser: Browser, *, as_: str | None = None) -> None:
    """Assert that the browser's next request has a live session, of an e-mail address if given."""
    session = browser.session
    if session is None:
        fail(f"the browser is signed out ({why_out(browser)})", browser)
    email = None if session.user is None else session.user.email
    if as_ is not None and email != as_:
        fail(f"the browser is signed in as {email}, not as {as_}", browser)


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


def assert_cookie_flags(
    browser: Browser,
    *,
    secure: bool = True,
    same_site: str = "Lax",
    path: str = "/",
    domain: str | None = None,
) -> None:
    """Assert that every session cookie sent so far had the attributes it should have.

    HttpOnly always, and the prefix that goes with the others (RFC 6265bis, section 4.1.3).
    """
    cookies = browser.manager.config.cookie
    prefix = ""
    if secure:
        prefix = "__Host-" if path == "/" and domain is None else "__Secure-"
    seen = 0
    for exchange in browser.history:
        for line in exchange.received:
            cookie = parse_set_cookie(line)
            name = cookie.name.removeprefix("__Host-").removeprefix("__Secure-")
            if name not in (cookies.name, cookies.cache_name):
                continue
            seen += 1
            attributes = {part.strip().lower() for part in line.split(";")[1:]}
            wanted = {"httponly", f"samesite={same_site}".lower(), f"path={path}".lower()}
            if secure:
                wanted.add("secure")
            if domain is not None:
                wanted.add(f"domain={domain}".lower())
            missing = sorted(wanted - attributes)
            if missing:
                fail(f"a session cookie came without {', '.join(missing)}", browser)
            if secure != ("secure" in attributes):
                fail("a session cookie is Secure, and should not be", browser)
            if domain is None and any(part.startswith("domain=") for part in attributes):
                fail("a session cookie goes to other hosts of a domain, too", browser)
            if not cookie.name.startswith(prefix):
                fail(f"a session cookie's name lacks the prefix {prefix}", browser)
    if not seen:
        fail("no session cookie was sent yet; sign in or open a page first", browser)


def assert_no_session_fixation(
    app: WSGIApplication,
    *,
    sign_in: Callable[[Browser], Any],
    clock: FakeClock | None = None,
    manager: SessionManager | None = None,
) -> None:
    """Assert that a cookie planted by an attacker gives them no share in a sign-in.

    ``sign_in(browser)`` signs a victim in, through the app's own form best of all. The attacker
    plants a session of their own, signed in or anonymous, in the victim's jar beforehand.
    """
    from .bench import Bench, config_for_tests

    config = config_for_tests(app) if manager is None else manager.config
    for is_anonymous in (False, True):
        with Bench(app, clock=clock, config=config) as bench:
            _assert_planted_is_worthless(bench, sign_in, is_anonymous=is_anonymous)


def _assert_planted_is_worthless(
    bench: Bench, sign_in: Callable[[Browser], Any], *, is_anonymous: bool
) -> None:
    attacker = bench.new_browser("Firefox on Linux", address="203.0.113.66")
    if is_anonymous:
        attacker._with_handle("start an anonymous session", start_anonymous)
    else:
        attacker.sign_in("attacker@example.org")
    planted = attacker.session_token
    if planted is None:
        fail("no session could be made for the attacker", attacker)
    victim = attacker.fork()
    sign_in(victim)
    session = victim.session
    if session is None or session.user is None or session.user.email is None:
        fail("sign_in(browser) signed nobody in", victim)
    if session.user.email == "attacker@example.org":
        fail("sign_in(browser) left the victim with the attacker's session", victim)
    if _secret_of(victim.session_token) == _secret_of(planted):
        fail("the sign-in kept the token that was there before", victim)
    known = attacker.session
    if known is not None and known.user == session.user:
        fail("the attacker's cookie is signed in as the victim", attacker)
    if known is not None and known.id == session.id:
        fail("the sign-in kept the session id that was there before", victim)


def assert_rotation_safe(browser: Browser, *, page: str = "/") -> None:
    """Assert that rotation signs no honest browser out, and catches a thief.

    Plays a lost offer, two requests in parallel, a slow one in grace and a stolen jar after
    it. The browser's session has ended afterwards, by the thief's replay.
    """
    clock, config = fake_clock(browser.clock), browser.manager.config
    if browser.session is None:
        fail("the browser was not signed in before", browser)
    before = browser.session_token
    thief = browser.fork()
    clock.advance(milliseconds=config.update_age_ms)
    with browser.network.losing_responses(1):
        browser.get(page)
    if browser.session_token != before:
        fail("a lost response changed the browser's token", browser)
    parallel = browser.fork()
    browser.get(page)
    assert_rotated(browser, before)
    browser.get(page)
    assert_signed_in(browser)
    parallel.get(page)
    if session_seen_by_app(parallel) is None:
        fail("a request under way while the token was confirmed was signed out", parallel)
    clock.advance(milliseconds=config.rotation_grace_ms)
    if browser.session is None or session_seen_by_app(browser) is None:
        fail("the browser was signed out by its own rotation", browser)
    if session_seen_by_app(thief) is not None:
        fail("a stolen token is still taken after the grace", thief)
    if config.on_replay == "revoke":
        assert_signed_out(browser, reason="replayed")


def assert_not_shared_cacheable(response: Response) -> None:
    """Assert that no shared cache may keep a response (RFC 9111): ask it of personal pages."""
    directives = {
        part.strip().lower() for part in response.headers.get("Cache-Control", "").split(",")
    }
    varies = {part.strip().lower() for part in response.headers.get("Vary", "").split(",")}
    problems = []
    if "public" in directives or any(part.startswith("s-maxage") for part in directives):
        problems.append("Cache-Control lets shared caches keep it")
    if response.headers.getall("Set-Cookie") and not directives & {"private", "no-store"}:
        problems.append("it sets a cookie and is neither private nor no-store")
    if not directives & {"private", "no-store"} and not varies & {"cookie", "*"}:
        problems.append("Vary does not name Cookie")
    if problems:
        raise AssertionError(
            f"{'; '.join(problems)}: Cache-Control: {response.headers.get('Cache-Control')}, "
            f"Vary: {response.headers.get('Vary')}"
        )


def assert_bound_to_address(browser: Browser, *, elsewhere: str = "203.0.113.66") -> None:
    """Assert that a copied jar is worth nothing elsewhere, whatever headers come with it.

    Needs ``ip_binding``. With ``on_ip_mismatch="revoke"`` the session has ended afterwards.
    """
    if browser.session is None or session_seen_by_app(browser) is None:
        fail("the browser was not signed in before", browser)
    claims = {
        "X-Forwarded-For": browser.address,
        "Forwarded": f"for={browser.address}",
        "X-Real-IP": browser.address,
    }
    for headers in ({}, claims):
        thief = browser.fork()
        thief.address = elsewhere
        request = thief._own_request("GET")
        request.headers.update({name: value for name, value in headers.items() if value})
        if peek_at_session(browser.manager, request.environ) is not None:
            fail(f"a copy of the cookies is let in from {elsewhere}", thief)


def assert_forged_token_refused(browser: Browser) -> None:
    """Assert that no altered token is a session: other generations, bytes and signatures."""
    token = browser.session_token
    if token is None or session_seen_by_app(browser) is None:
        fail("the browser was not signed in before", browser)
    version, secret, generation, signature = token.split(".")
    name = browser.manager.cookies.token_name(is_secure=browser._is_secure)
    for forged in (
        f"{version}.{secret}.{int(generation) + 1}.{signature}",
        f"{version}.{secret}.{generation}.{signature[::-1]}",
        f"{version}.{secret}.{generation}.{'A' * len(signature)}",
        f"{version}.{secret}.{generation}.",
        f"{version}.{secret}.{generation}",
    ):
        forger = browser.fork()
        forger.cookies.receive([f"{name}={forged}; Secure; Path=/"], url=browser._cookie_url)
        if session_seen_by_app(forger) is not None:
            fail("a forged token is let in", forger)


def assert_session_data_is_kept(browser: Browser) -> None:
    """Assert that session data survives: changes inside values, and of parallel requests."""
    from .schedules import Schedules

    def change(act: Callable[[Any], Any]) -> Callable[[], Any]:
        def use(handle: Any) -> Any:
            return act(handle.session.data)

        return lambda: browser._with_handle("use data", use)

    if session_seen_by_app(browser) is None:
        fail("the browser was not signed in before", browser)
    change(lambda data: data.update(cart=["tea"], seen=1))()
    change(lambda data: data["cart"].append("milk"))()
    for order in ([], [0, 1] * 20, [0, 0, 1, 1] * 10, [1, 0, 0, 1] * 10):
        first = change(lambda data: data.update(first=len(data)))
        second = change(lambda data: data.update(second=len(data)))
        Schedules(browser.app).run(first, second, order=order)
        kept = change(dict)()
        if kept.get("cart") != ["tea", "milk"] or kept.get("seen") != 1:
            fail(f"session data was lost: {kept}", browser)
        if "first" not in kept or "second" not in kept:
            fail(f"one of two parallel requests lost its data: {sorted(kept)}", browser)
        change(lambda data: (data.pop("first"), data.pop("second")))()


def fail(what: str, browser: Browser) -> NoReturn:
    """Raise an ``AssertionError`` that says what is wrong, and what led there."""
    raise AssertionError(f"{what}\n{browser.story()}")


def start_anonymous(handle: Any) -> None:
    handle.start_anonymous_session().data["planted"] = True


def session_seen_by_app(browser: Browser) -> Any:
    """Return the session that an app gets for a request of this browser, cookie cache and all."""
    return browser._with_handle("look", lambda handle: handle.session)


def advance(clock: Any, milliseconds: int) -> None:
    if milliseconds:
        fake_clock(clock).advance(milliseconds=milliseconds)


def fake_clock(clock: Any) -> FakeClock:
    if not isinstance(clock, FakeClock):
        raise TypeError(f"the browser's clock must be a FakeClock, not {clock!r}")
    return clock


def _secret_of(token: str | None) -> str:
    return "" if token is None else token.split(".")[1]
