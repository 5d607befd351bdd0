"""A sign-in by ID token and the provider's logout at once: in no order is a session left.

The sign-in looks whether the provider has ended what the token is of, begins a session, and looks
again; the logout notes what has ended, and then ends the sessions that it finds. Each step is a
transaction that the later ones see. Without one of the two rules a session is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

SIGN_IN = ("look", "begin", "look again")
LOGOUT = ("note", "end")


@dataclass
class World:
    is_noted: bool = False
    is_refused: bool = False
    is_live: bool = False

    def do(self, step: str) -> None:
        if step == "note":
            self.is_noted = True
        elif step == "end":
            self.is_live = False
        elif step == "begin":
            self.is_live = not self.is_refused
        elif self.is_noted:  # the sign-in looks, before it begins a session or after
            self.is_refused = True
            self.is_live = False


def find_orders_with_a_session_left(
    sign_in: tuple[str, ...], logout: tuple[str, ...]
) -> list[tuple[str, ...]]:
    """Return the orders of all steps after which there is a session, one after the other."""
    count = len(sign_in) + len(logout)
    found = []
    for places in combinations(range(count), len(logout)):
        signing_in, ending = iter(sign_in), iter(logout)
        order = tuple(next(ending if place in places else signing_in) for place in range(count))
        world = World()
        for step in order:
            world.do(step)
        if world.is_live:
            found.append(order)
    return found


def test_no_session_is_left_in_any_order() -> None:
    assert find_orders_with_a_session_left(SIGN_IN, LOGOUT) == []


def test_one_is_left_without_the_second_look() -> None:
    assert find_orders_with_a_session_left(("look", "begin"), LOGOUT) == [
        ("look", "note", "end", "begin")
    ]


def test_one_is_left_where_the_end_is_noted_last() -> None:
    found = find_orders_with_a_session_left(SIGN_IN, ("end", "note"))

    assert ("end", "look", "begin", "look again", "note") in found


def test_the_first_look_only_saves_the_session_that_would_end_at_once() -> None:
    assert find_orders_with_a_session_left(("begin", "look again"), LOGOUT) == []
