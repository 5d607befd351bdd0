"""The invariants around the real ``judge`` in every state, and each rule shown to be needed.

``python -m tests.properties`` prints these searches with the shortest way to each violation.
"""

from __future__ import annotations

import pytest

from tests.support import IS_FULL
from wsgi_sessions.records import Outcome
from wsgi_sessions.sessions.policy import judge

from .mutations import MUTATIONS
from .relative import Bench, Row, Settings, Token
from .searches import ALTERNATIVES, LIMITS, RULES, Search

# Run millions of times here, and covered by other tests: tracing would cost minutes.
pytestmark = pytest.mark.no_cover

RUN_NOW = [given for given in (*RULES, *LIMITS, *ALTERNATIVES) if IS_FULL or not given.is_deep]


@pytest.mark.parametrize(
    "given",
    [pytest.param(given, id=given.name) for given in RUN_NOW if given.breaks is None],
)
def test_invariants_hold_in_every_state(given: Search) -> None:
    found, seen = given.run()

    assert found.violation is None, "\n".join((*found.way, found.violation or ""))
    assert found.is_complete, "not every state was seen"
    assert found.states >= given.least_states, "the search went nowhere"
    assert seen >= given.must_see, "the search never came to some outcomes"


@pytest.mark.parametrize(
    "given",
    [pytest.param(given, id=given.name) for given in RUN_NOW if given.breaks is not None],
)
def test_invariants_break_without_it(given: Search) -> None:
    assert given.breaks is not None
    found, _ = given.run()

    assert found.violation is not None, f"{given.name}: broke nothing"
    assert found.violation.startswith(given.breaks), "\n".join((*found.way, found.violation))


def test_every_mutation_is_searched() -> None:
    assert {given.mutation for given in ALTERNATIVES if given.mutation} == set(MUTATIONS)


def test_names_tell_the_searches_apart() -> None:
    names = [given.name for given in (*RULES, *LIMITS, *ALTERNATIVES)]

    assert len(set(names)) == len(names)


ROW = Row(0, 0, 1, is_settled=False, caught_up=False, confirmed=5, refreshed=3)
REFRESHED = Settings(update_age=11, expires_in=22)


@pytest.mark.parametrize(
    ("row", "token", "outcome"),
    [
        (ROW, Token(1, 7), Outcome.CONFIRM),
        (ROW, Token(0, 0), Outcome.CURRENT),
        (ROW._replace(confirmed=6), Token(0, 0), Outcome.SETTLE),
        (ROW._replace(confirmed=6), Token(0, 7), Outcome.SETTLE),
        (ROW._replace(confirmed=6, is_settled=True), Token(0, 7), Outcome.REPLAY),
        (ROW, Token(0, 7), Outcome.GRACE),
        (ROW, Token(0, 7, True), Outcome.TAKE_OVER),
        (ROW, Token(-1, 1), Outcome.CATCH_UP),
        (ROW, Token(-1, 7), Outcome.REPLAY),
        (ROW._replace(before=None), Token(-1, 7), Outcome.CATCH_UP),
        (ROW._replace(confirmed=1), Token(-1, 1), Outcome.GRACE),
        (ROW._replace(caught_up=True), Token(-1, 1), Outcome.REPLAY),
        (ROW._replace(refreshed=22), Token(0, 0), Outcome.EXPIRED),
        (ROW._replace(is_over=True), Token(0, 0), Outcome.ENDED),
    ],
)
def test_relative_state_is_judged_as_what_it_stands_for(
    row: Row, token: Token, outcome: Outcome
) -> None:
    assert Bench(judge, REFRESHED).rule(row, token).outcome is outcome


def test_writes_are_told_in_ages() -> None:
    bench = Bench(judge, REFRESHED)
    row = ROW._replace(is_settled=True, confirmed=11, refreshed=11)
    token = Token(1, 7)
    ruling = bench.rule(row, token, ahead=1)

    assert ruling.effect is not None
    assert bench.written(row, token, ruling.effect, ahead=1) == Row(
        1, 7, 0, is_settled=False, caught_up=False, confirmed=-1, refreshed=-1
    )
