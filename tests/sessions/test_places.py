"""Where a session is used, and what of it is another place."""

from __future__ import annotations

import pytest

from tests.support import make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.sessions.places import Place, find_move, home_of, last_place_of
from wsgi_sessions_testing import TEST_SECRET
from wsgi_sessions_testing.browser.user_agents import find_user_agent

CONFIG = SessionConfig(secret=TEST_SECRET)
FIREFOX, SAFARI = find_user_agent("Firefox on Linux"), find_user_agent("Safari on iPhone")
HOME = Place.of("192.0.2.1", FIREFOX, config=CONFIG)


@pytest.mark.parametrize(
    ("address", "agent", "is_elsewhere"),
    [
        ("192.0.2.1", FIREFOX, False),
        ("192.0.2.200", SAFARI, False),
        ("198.51.100.7", FIREFOX, False),
        ("198.51.100.7", FIREFOX.replace("143", "150"), False),
        ("198.51.100.7", SAFARI, True),
        ("2001:db8::1", SAFARI, True),
        ("198.51.100.7", None, True),
        (None, SAFARI, True),
        (None, FIREFOX, False),
    ],
)
def test_another_network_and_another_browser_are_elsewhere(
    address: str | None, agent: str | None, is_elsewhere: bool
) -> None:
    place = Place.of(address, agent, config=CONFIG)

    assert place.is_elsewhere_than(HOME) is is_elsewhere


@pytest.mark.parametrize(("address", "agent"), [(None, FIREFOX), ("192.0.2.1", None), (None, None)])
def test_where_home_is_not_known_nothing_is_elsewhere(
    address: str | None, agent: str | None
) -> None:
    home = Place.of(address, agent, config=CONFIG)

    assert not Place.of("198.51.100.7", SAFARI, config=CONFIG).is_elsewhere_than(home)


def test_programs_without_a_name_in_words_go_by_their_own() -> None:
    first, update, other = (
        Place.of("192.0.2.1", agent, config=CONFIG) for agent in ("App/1.0", "App/1.1", "Bot/1.0")
    )

    assert first == update != other


def test_how_long_a_network_is_is_a_setting() -> None:
    config = SessionConfig(secret=TEST_SECRET, ip_prefix_v4=16, ip_prefix_v6=48)

    assert Place.of("192.0.2.1", None, config=config).network == "192.0.0.0/16"
    assert Place.of("2001:db8::1", None, config=config).network == "2001:db8::/48"


def test_the_last_place_is_that_of_the_last_touch() -> None:
    untouched = make_session(user_agent=FIREFOX)
    touched = untouched._replace(last_ip_address="198.51.100.7", last_user_agent=None)

    assert last_place_of(untouched, config=CONFIG) == home_of(untouched, config=CONFIG) == HOME
    assert last_place_of(touched, config=CONFIG) == Place("198.51.100.0/24", "")


def test_a_move_tells_what_has_changed_since_the_touch_before() -> None:
    begun = make_session(user_agent=FIREFOX)
    same = begun._replace(last_ip_address="192.0.2.9", last_user_agent=FIREFOX)
    moved = same._replace(last_ip_address="198.51.100.7")
    stolen = moved._replace(last_user_agent=SAFARI)

    assert find_move(begun, begun, config=CONFIG) is None
    assert find_move(begun, same, config=CONFIG) is None
    assert find_move(same, moved, config=CONFIG) == {
        "has_other_network": True,
        "has_other_browser": False,
        "is_elsewhere": False,
        "device": "Firefox on Linux",
    }
    assert find_move(moved, stolen, config=CONFIG) == {
        "has_other_network": False,
        "has_other_browser": True,
        "is_elsewhere": True,
        "device": "Safari on iPhone",
    }


def test_what_was_not_known_before_is_no_move() -> None:
    unknown = make_session(ip_address=None, user_agent=None)
    known = unknown._replace(last_ip_address="192.0.2.9", last_user_agent=FIREFOX)

    assert find_move(unknown, known, config=CONFIG) is None
    hidden = known._replace(last_user_agent="")
    assert find_move(known, hidden, config=CONFIG) is not None
