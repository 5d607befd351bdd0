"""Where a session is used: the network and the browser, compared with those it began in."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..config.settings import SessionConfig
from ..records import RequestFacts, SessionRecord
from ..transport.client_address import is_same_network, network_of
from ..transport.devices import UNKNOWN_DEVICE, device_in_words


class Place(NamedTuple):
    """A network, and a browser with its system in words; "" where it is not known.

    In words, because the version that a browser names changes with every update.
    """

    network: str
    browser: str

    @classmethod
    def of(cls, address: str | None, user_agent: str | None, *, config: SessionConfig) -> Place:
        """Return a place; a program without a name in words goes by the one it gives itself."""
        network = (
            ""
            if address is None
            else network_of(address, prefix_v4=config.ip_prefix_v4, prefix_v6=config.ip_prefix_v6)
        )
        browser = device_in_words(user_agent)
        if browser == UNKNOWN_DEVICE:
            browser = (user_agent or "").partition("/")[0]
        return cls(network, browser)

    def is_elsewhere_than(self, home: Place) -> bool:
        """Return whether network and browser are others.

        One alone changes in honest hands, as a phone goes from one network to the next.
        """
        return _is_other(self.network, home.network) and _is_other(self.browser, home.browser)


def _is_other(now: str, was: str) -> bool:
    """Return whether a network or browser is another one; none is, where it was not known."""
    return was not in ("", now)


def place_of(facts: RequestFacts, *, config: SessionConfig) -> Place:
    return Place.of(facts.address, facts.user_agent, config=config)


def home_of(record: SessionRecord, *, config: SessionConfig) -> Place:
    """Return where a session began."""
    return Place.of(record.ip_address, record.user_agent, config=config)


def last_place_of(record: SessionRecord, *, config: SessionConfig) -> Place:
    """Return where a session was touched last; where it began, before the first touch."""
    return Place.of(*last_used_from(record), config=config)


def last_used_from(record: SessionRecord) -> tuple[str | None, str | None]:
    """Return address and user agent of the last touch; those it began with, before the first."""
    if record.last_ip_address is None and record.last_user_agent is None:
        return record.ip_address, record.user_agent
    return record.last_ip_address, record.last_user_agent


def find_move(
    before: SessionRecord, after: SessionRecord, *, config: SessionConfig
) -> dict[str, Any] | None:
    """Return what the event of a move tells, if a touch shows another network or browser."""
    if last_used_from(before) == last_used_from(after):
        return None
    was, now = last_place_of(before, config=config), last_place_of(after, config=config)
    has_other_network = _is_other(now.network, was.network)
    has_other_browser = _is_other(now.browser, was.browser)
    if not has_other_network and not has_other_browser:
        return None
    return {
        "has_other_network": has_other_network,
        "has_other_browser": has_other_browser,
        "is_elsewhere": now.is_elsewhere_than(home_of(after, config=config)),
        "device": device_in_words(after.last_user_agent),
    }


def is_bound_elsewhere(
    record: SessionRecord, *, address: str | None, config: SessionConfig
) -> bool:
    """Return whether ``ip_binding`` forbids this session at a client address.

    A session made without an address (as over a unix socket) is bound to none.
    """
    bound_to = record.ip_address
    if config.ip_binding == "off" or bound_to is None or bound_to == address:
        return False
    if config.ip_binding == "exact" or address is None:
        return True
    return not is_same_network(
        bound_to, address, prefix_v4=config.ip_prefix_v4, prefix_v6=config.ip_prefix_v6
    )
