"""Assertions about attacks: a planted session, a forged token, a jar copied to another address.

They use what an attacker could, and the product's own view of a session.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.manager import SessionManager
from wsgi_sessions.sessions.session import User

from ..bench import Bench, config_for_tests
from ..browser.browser import Browser
from ..fakes.clock import FakeClock
from .steps import fail, plant_token, require_session, session_seen_by_app, start_anonymous

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ELSEWHERE = ("203.0.113.66", "198.51.100.66", "2001:db8:66::66")
"""Addresses that documentation may use (RFC 5737, RFC 3849)."""


def assert_no_session_fixation(
    app: WSGIApplication,
    *,
    sign_in: Callable[[Browser], Any],
    clock: FakeClock | None = None,
    manager: SessionManager | None = None,
) -> None:
    """Assert that a cookie planted by an attacker does not give them the victim's session.

    ``sign_in(browser)`` signs a victim in, through the app's own form best of all. The database
    is a new one, so it makes its user, too: by a sign-up, or ``browser.manager.create_user(…)``.
    The attacker plants a session of their own, signed in or anonymous, in the victim's jar
    beforehand.
    """
    config = config_for_tests(app) if manager is None else manager.config
    for is_anonymous in (False, True):
        with Bench(app, clock=clock, config=config) as bench:
            _assert_planted_session_is_left(bench, sign_in, is_anonymous=is_anonymous)


def _assert_planted_session_is_left(
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
        fail(
            "sign_in(browser) left the victim with the attacker's session; if the app refused it, "
            "have sign_in make its user first, as nobody else is in the database",
            victim,
        )
    if _secret_of(victim.session_token) == _secret_of(planted):
        fail("the sign-in kept the token that was there before", victim)
    known = attacker.session
    if known is not None and known.user == session.user:
        fail("the attacker's cookie is signed in as the victim", attacker)
    if known is not None and known.id == session.id:
        fail("the sign-in kept the session id that was there before", victim)


def _secret_of(token: str | None) -> str:
    return "" if token is None else token.split(".")[1]


def assert_forged_token_refused(browser: Browser) -> None:
    """Assert that no altered token is a session: other generations, bytes and signatures."""
    require_session(browser)
    token = browser.session_token
    assert token is not None
    version, secret, generation, branch, signature = token.split(".")
    for forged in (
        f"{version}.{secret}.{int(generation) + 1}.{branch}.{signature}",
        f"{version}.{secret}.{generation}.{branch[::-1]}.{signature}",
        f"{version}.{secret}.{generation}.{branch}.{signature[::-1]}",
        f"{version}.{secret}.{generation}.{branch}.{'A' * len(signature)}",
        f"{version}.{secret}.{generation}.{branch}.",
        f"{version}.{secret}.{generation}.{branch}",
        f"{version}.{secret}.{generation}.{signature}",
    ):
        forger = browser.fork()
        plant_token(forger, forged)
        if session_seen_by_app(forger) is not None:
            fail("a forged token is let in", forger)


def assert_bound_to_address(browser: Browser, *, elsewhere: str | None = None) -> None:
    """Assert that a copied jar is refused at another address, whatever headers come with it.

    Needs ``ip_binding``. ``elsewhere`` is the thief's address, of another network; without it
    a neighbour of the browser's address is tried, and one far away. With ``trusted_proxies``
    the thief also comes through one of them, which adds the thief's address to the headers.
    With ``on_ip_mismatch="revoke"`` the session has ended afterwards. Raises ``ValueError`` for
    an address at which the settings let the session in.
    """
    config = browser.manager.config
    if config.ip_binding == "off":
        fail(
            "ip_binding is off, so sessions are good everywhere; write "
            '@pytest.mark.sessions(ip_binding="subnet")',
            browser,
        )
    session = require_session(browser)
    home = session.record.ip_address
    if home is None or browser.address is None:
        fail(
            "the session was made without an address, so it is bound to none; give the browser "
            'one: new_browser(address="192.0.2.7")',
            browser,
        )
    why = None if elsewhere is None else _why_accepted(elsewhere, home, config)
    if why is not None:
        raise ValueError(f"elsewhere is {elsewhere}, {why}; give an address of another network")
    places = [elsewhere]
    if elsewhere is None:
        far = (place for place in ELSEWHERE if _why_accepted(place, home, config) is None)
        near = (place for place in _next_to(home, config) if not _why_accepted(place, home, config))
        places = [*near, next(far)]
    claims = {"X-Forwarded-For": home, "Forwarded": _forwarded(home), "X-Real-IP": home}
    for place in places:
        assert place is not None
        for headers in ({}, *({name: value} for name, value in claims.items()), claims):
            _assert_refused(browser, session.user, place, headers)
        for header in _through_proxies(home, place):
            for proxy in addresses_of_proxies(config):
                _assert_refused(browser, session.user, place, header, by=proxy)


def _assert_refused(
    browser: Browser,
    user: User | None,
    place: str,
    headers: dict[str, str],
    *,
    by: str | None = None,
) -> None:
    """Send a copy of the jar from an address, or through a proxy that reports that address."""
    if browser.session is None and user is not None:
        browser.sign_in(user)  # the one before was ended by the thief
    thief = browser.fork()
    thief.address = place if by is None else by
    if session_seen_by_app(thief, headers) is not None:
        way = "" if by is None else f", by the proxy {by}"
        fail(f"a copy of the cookies is let in from {place}{way}", thief)
    if not thief.history[-1].is_by_app:
        fail("the thief could not be sent through every layer of the app", thief)


def _next_to(home: str, config: SessionConfig) -> Iterator[str]:
    """Yield the address that differs in the last bit that the settings compare."""
    place = ipaddress.ip_address(home)
    prefix = config.ip_prefix_v4 if place.version == 4 else config.ip_prefix_v6
    if config.ip_binding == "exact":
        prefix = place.max_prefixlen
    if prefix:
        yield str(type(place)(int(place) ^ 1 << (place.max_prefixlen - prefix)))


def _through_proxies(home: str, place: str) -> Iterator[dict[str, str]]:
    """Yield what a proxy passes on that adds a thief's address to what the thief has claimed."""
    yield {"X-Forwarded-For": f"{home}, {place}"}
    yield {"Forwarded": f"{_forwarded(home)}, {_forwarded(place)}"}


def _forwarded(address: str) -> str:
    return f'for="[{address}]"' if ":" in address else f"for={address}"


def addresses_of_proxies(config: SessionConfig) -> Iterator[str]:
    for network in config.trusted_proxies[:2]:
        yield str(network[min(1, network.num_addresses - 1)])


def _why_accepted(address: str, home: str, config: SessionConfig) -> str | None:
    """Return why the settings accept a session at another address, in words, or None."""
    place = ipaddress.ip_address(address)
    if any(place in network for network in config.trusted_proxies):
        return "one of the trusted_proxies, which are believed whom they speak for"
    prefix = config.ip_prefix_v4 if place.version == 4 else config.ip_prefix_v6
    if config.ip_binding == "exact":
        prefix = place.max_prefixlen
    if ipaddress.ip_address(home) in ipaddress.ip_network(f"{address}/{prefix}", strict=False):
        return f"which ip_binding={config.ip_binding!r} takes for the same as {home}"
    return None
