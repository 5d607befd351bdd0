"""Ways to step up, searched: which sign honest browsers out, and which leave a thief fresh.

One session and one browser, in a smaller world than that of ``honest``: a token is a generation,
and in the grace after a confirmation whatever is not older than the generation before is taken.
No way is held to more than it needs. A step-up is a request that proves who sends it; *fresh* is
what shows its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from .search import Step

Way = Literal["cookie", "rotated", "due", "jump", "mark"]
"""What the answer to a step-up brings.

``cookie``: a second cookie, and the token is left alone. ``rotated``: the next generation, which
is stored at once. ``due``: the next generation, which everybody is offered from then on. ``jump``:
a generation that no other answer carries. ``mark``: the generation that is due, with a mark.
"""

GRACE, INTERVAL, LAST, JUMP = 2, 5, 2, 10
_ALL = -1
"""Every token is fresh: what a row says that can't tell tokens apart."""


class StepUpBounds(NamedTuple):
    """How far a search goes."""

    way: Way = "cookie"
    flights: int = 3
    step_ups: int = 1
    has_thief: bool = False


class Token(NamedTuple):
    generation: int
    is_marked: bool = False


class Row(NamedTuple):
    generation: int = 0
    since: int = INTERVAL - 2
    """Units since the generation was confirmed."""
    oldest: int = 0
    """The oldest generation that the grace takes."""
    is_due: bool = False
    """Whether a step-up has made a rotation due."""
    fresh_from: int | None = None
    """From which generation on tokens are fresh; None: the row says nothing of it."""
    is_over: bool = False


class Answer(NamedTuple):
    token: Token | None = None
    has_cookie: bool = False


class Flight(NamedTuple):
    token: Token
    has_cookie: bool
    is_step_up: bool
    age: int = 0
    answer: Answer = Answer()
    is_judged: bool = False


class State(NamedTuple):
    row: Row = Row()
    token: Token = Token(0)
    has_cookie: bool = False
    flights: tuple[Flight, ...] = ()
    step_ups: int = 0
    """How many were made; none before the thief has copied the jar."""
    loot: tuple[Token, ...] = ()
    has_thief_acted: bool = False


class Judged(NamedTuple):
    row: Row
    is_fresh: bool = False
    answer: Answer = Answer()


class StepUpWorld:
    """Every order of requests, answers, losses and step-ups within the bounds."""

    start = State()

    def __init__(self, bounds: StepUpBounds) -> None:
        self.bounds = bounds

    def steps(self, state: State) -> Iterator[Step]:
        if state.row.is_over:
            return
        if all(flight.age + 1 < GRACE for flight in state.flights):
            yield Step("time passes", self._later(state))
        yield from self._sends(state)
        for flight in state.flights:
            without = state._replace(flights=_without(state.flights, flight))
            yield Step("a request or answer is lost", without)
            if flight.is_judged:
                yield self._arrives(without, flight)
            else:
                yield self._is_judged(without, flight)
        if self.bounds.has_thief:
            yield from self._steals(state)

    def _later(self, state: State) -> State:
        row = state.row._replace(since=min(state.row.since + 1, INTERVAL))
        flights = tuple(flight._replace(age=flight.age + 1) for flight in state.flights)
        return state._replace(row=row, flights=_ordered(flights))

    def _sends(self, state: State) -> Iterator[Step]:
        if len(state.flights) >= self.bounds.flights:
            return
        for is_step_up in (False, True):
            if is_step_up and state.step_ups == self.bounds.step_ups:
                continue
            flight = Flight(state.token, state.has_cookie, is_step_up)
            following = state._replace(
                flights=_ordered((*state.flights, flight)), step_ups=state.step_ups + is_step_up
            )
            yield Step(f"the browser sends {_name(flight)}", following)

    def _is_judged(self, without: State, flight: Flight) -> Step:
        judged = self._judge(without.row, flight)
        following = without._replace(row=judged.row)
        if judged.row.is_over:
            is_honest = not without.has_thief_acted
            violation = "I1: an honest browser is signed out" if is_honest else None
            return Step(f"{_name(flight)} is a replay", following, violation)
        if judged.answer != Answer():
            answered = flight._replace(answer=judged.answer, is_judged=True)
            following = following._replace(flights=_ordered((*without.flights, answered)))
        return Step(f"{_name(flight)} is accepted", following)

    def _arrives(self, without: State, flight: Flight) -> Step:
        answer = flight.answer
        token = without.token if answer.token is None else answer.token
        has_cookie = without.has_cookie or answer.has_cookie
        label = f"the answer to {_name(flight)} arrives"
        return Step(label, without._replace(token=token, has_cookie=has_cookie))

    def _steals(self, state: State) -> Iterator[Step]:
        if not state.loot:
            if not state.step_ups:
                yield Step("a thief copies the jar", state._replace(loot=(state.token,)))
            return
        for token in state.loot:
            judged = self._judge(state.row, Flight(token, has_cookie=False, is_step_up=False))
            offered = judged.answer.token
            loot = state.loot if offered is None else tuple(sorted({*state.loot, offered}))
            following = state._replace(row=judged.row, loot=loot, has_thief_acted=True)
            violation = "a thief from before a step-up is fresh" if judged.is_fresh else None
            yield Step(f"the thief comes with generation {token.generation}", following, violation)

    def _judge(self, row: Row, flight: Flight) -> Judged:
        token, way = flight.token, self.bounds.way
        if token.generation < row.generation:
            if row.since >= GRACE or token.generation < row.oldest:
                return Judged(row._replace(is_over=True))
            return Judged(row, self._is_fresh(row, flight))
        if token.generation > row.generation:
            oldest = row.generation if token.generation == row.generation + 1 else row.oldest
            row = Row(token.generation, 0, oldest, fresh_from=row.fresh_from)
        following = Token(row.generation + 1, token.is_marked)
        is_due = (row.since >= INTERVAL or row.is_due) and row.generation % JUMP < LAST
        offer = following if is_due else None
        if not flight.is_step_up:
            return Judged(row, self._is_fresh(row, flight), Answer(offer))
        if way == "cookie":
            return Judged(row, True, Answer(offer, has_cookie=True))
        if way == "rotated":
            stored = Row(following.generation, 0, row.generation, fresh_from=_ALL)
            return Judged(stored, True, Answer(following))
        if way == "due":
            return Judged(row._replace(is_due=True, fresh_from=_ALL), True, Answer(following))
        if way == "jump":
            own = row.generation + JUMP
            return Judged(row._replace(fresh_from=own), True, Answer(Token(own)))
        marked = Token(row.generation + 1 if is_due else row.generation, is_marked=True)
        return Judged(row, True, Answer(marked))

    def _is_fresh(self, row: Row, flight: Flight) -> bool:
        if self.bounds.way == "cookie":
            return flight.has_cookie
        if self.bounds.way == "mark":
            return flight.token.is_marked
        return row.fresh_from is not None and flight.token.generation >= row.fresh_from


def _name(flight: Flight) -> str:
    what = "the step-up" if flight.is_step_up else "a request"
    return f"{what} with generation {flight.token.generation}"


def _without(flights: tuple[Flight, ...], one: Flight) -> tuple[Flight, ...]:
    position = flights.index(one)
    return flights[:position] + flights[position + 1 :]


def _ordered(flights: tuple[Flight, ...]) -> tuple[Flight, ...]:
    return tuple(sorted(flights, key=repr))
