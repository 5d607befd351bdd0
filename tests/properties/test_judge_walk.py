"""The invariants around the real ``judge`` in every state, and each rule shown to be needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wsgi_sessions.policy import judge
from wsgi_sessions.records import Decision, EndReason, Outcome, SessionRecord

from .walk import EXPIRES_IN, GRACE, UNIT_MS, Bounds, Judge, Row, Walk, landing_by_store

# Run millions of times here, and covered by other tests: tracing would cost minutes.
pytestmark = pytest.mark.no_cover

PARALLEL = Bounds(horizon=18, flight_count=2)
FAILOVER = Bounds(horizon=15, flight_count=2, has_failover=True)
REVOKED = Bounds(horizon=11, flight_count=2, has_revocation=True)
THIEF = Bounds(horizon=12, flight_count=2, has_thief=True)
THREE = Bounds(horizon=12, flight_count=3)


@pytest.mark.parametrize(
    "bounds",
    [PARALLEL, FAILOVER, REVOKED, THIEF, THREE],
    ids=["parallel", "fail-over", "revoked", "thief", "three"],
)
def test_invariants_hold_in_every_state(bounds: Bounds) -> None:
    walk = Walk(judge, bounds)

    found = walk.find_violation()

    assert found is None, "\n".join(found)
    assert walk.state_count > 1000, "the walk went nowhere"


REPLAY = Decision(Outcome.REPLAY, False, end_reason=EndReason.REPLAYED, must_end=True)


def without_grace(decision: Decision, **_: Any) -> Decision:
    return REPLAY if decision.outcome is Outcome.GRACE else decision


def with_endless_grace(
    decision: Decision, *, record: SessionRecord, presented: int, **_: Any
) -> Decision:
    if decision.outcome is Outcome.REPLAY and presented == record.generation - 1:
        return Decision(Outcome.GRACE, True)
    return decision


def with_longer_grace(
    decision: Decision, *, record: SessionRecord, presented: int, now_ms: int, **_: Any
) -> Decision:
    is_late = now_ms == record.confirmed_at_ms + GRACE * UNIT_MS
    if decision.outcome is Outcome.REPLAY and presented == record.generation - 1 and is_late:
        return Decision(Outcome.GRACE, True)
    return decision


def with_replays_left_alone(decision: Decision, **_: Any) -> Decision:
    return decision._replace(must_end=False) if decision.outcome is Outcome.REPLAY else decision


def without_rotation(decision: Decision, *, record: SessionRecord, **_: Any) -> Decision:
    return decision._replace(offer=None) if decision.offer else decision


def without_refresh(decision: Decision, *, record: SessionRecord, **_: Any) -> Decision:
    change = decision.change
    if change is None or change.generation != record.generation:
        return decision
    return decision._replace(change=None)


def with_rotation_unconfirmed(
    decision: Decision, *, record: SessionRecord, now_ms: int, **_: Any
) -> Decision:
    if decision.change is None or decision.offer != record.generation + 1:
        return decision
    change = decision.change._replace(generation=decision.offer, confirmed_at_ms=now_ms)
    return decision._replace(change=change)


def with_refresh_each_time(
    decision: Decision, *, record: SessionRecord, now_ms: int, **_: Any
) -> Decision:
    if decision.change is None or now_ms + EXPIRES_IN * UNIT_MS == record.expires_at_ms:
        return decision
    return decision._replace(
        change=decision.change._replace(expires_at_ms=now_ms + EXPIRES_IN * UNIT_MS)
    )


def with_late_expiry(decision: Decision, *, record: SessionRecord, **_: Any) -> Decision:
    return Decision(Outcome.CURRENT, True) if decision.outcome is Outcome.EXPIRED else decision


def with_ended_alive(decision: Decision, **_: Any) -> Decision:
    return Decision(Outcome.CURRENT, True) if decision.outcome is Outcome.ENDED else decision


FAULTS: list[tuple[Callable[..., Decision], Bounds, str]] = [
    (without_grace, PARALLEL, "I1"),
    (with_endless_grace, THIEF, "I2"),
    (with_longer_grace, THIEF, "I2"),
    (with_replays_left_alone, THIEF, "I2"),
    (without_rotation, PARALLEL, "I2"),
    (without_refresh, PARALLEL, "I1"),
    (with_rotation_unconfirmed, PARALLEL, "I4"),
    (with_refresh_each_time, PARALLEL, "I4"),
    (with_late_expiry, PARALLEL, "I3"),
    (with_ended_alive, REVOKED, "I3"),
]


def broken(fault: Callable[..., Decision]) -> Judge:
    def broken_judge(record: SessionRecord, presented: int, **options: Any) -> Decision:
        decision = judge(record, presented, **options)
        return fault(decision, record=record, presented=presented, now_ms=options["now_ms"])

    return broken_judge


@pytest.mark.parametrize(
    ("fault", "bounds", "invariant"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS]
)
def test_broken_rule_is_found(
    fault: Callable[..., Decision], bounds: Bounds, invariant: str
) -> None:
    found = Walk(broken(fault), bounds).find_violation()

    assert found is not None, f"{fault.__name__} broke nothing"
    assert found[-1].startswith(invariant), "\n".join(found)


def test_token_of_a_lost_confirmation_must_be_taken() -> None:
    def refuse_what_is_ahead(decision: Decision, **_: Any) -> Decision:
        return REPLAY if decision.outcome is Outcome.CONFIRM else decision

    found = Walk(broken(refuse_what_is_ahead), FAILOVER).find_violation()

    assert found is not None
    assert found[-1].startswith("I1"), "\n".join(found)


def landing_whatever_was_judged(row: Row, judged: Row) -> bool:
    return row.end_reason is None


def landing_after_the_end(row: Row, judged: Row) -> bool:
    return landing_by_store(row._replace(end_reason=None), judged)


def test_write_must_be_compared_with_what_was_judged() -> None:
    found = Walk(judge, PARALLEL, lands=landing_whatever_was_judged).find_violation()

    assert found is not None
    assert found[-1].startswith(("I1", "I2", "I4")), "\n".join(found)


def test_write_must_meet_a_live_session() -> None:
    found = Walk(judge, REVOKED, lands=landing_after_the_end).find_violation()

    assert found is not None
    assert found[-1].startswith("I3"), "\n".join(found)
