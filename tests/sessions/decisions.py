"""A stored session and a presented token, and what is decided about them."""

from __future__ import annotations

from typing import Any

from tests.support import BRANCH, DAY, NOW, make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import (
    Change,
    Decision,
    Outcome,
    PresentedToken,
    SessionRecord,
)
from wsgi_sessions.sessions.policy import judge, put_clock_right

SECOND = 1000
HOUR = 3600 * SECOND
GRACE = 60 * SECOND
WINDOW = 3 * GRACE
UPLOAD = 600 * SECOND
TOUCH = 300 * SECOND
WEEK = 7 * DAY

OWN, SIBLING, CATCH_UP = BRANCH, "Sibling-", "marked--"
"""The branch that is stored, another one, and one whose first bit says that it is a catch-up."""
BEFORE = "Before--"
"""The branch that was settled in the generation before the stored one."""

STORED: dict[str, Any] = {"generation": 5, "branch_before": BEFORE}
UNSETTLED: dict[str, Any] = {"is_settled": False}
CAUGHT_UP: dict[str, Any] = {"is_settled": False, "caught_up": True}
REFRESH_DUE: dict[str, Any] = {"expires_at_ms": NOW + WEEK - DAY}
LONG: dict[str, Any] = {"has_long_body": True}
ACCEPTED = frozenset(Outcome) - {
    *[Outcome.UNKNOWN, Outcome.ENDED, Outcome.EXPIRED, Outcome.IP_MISMATCH, Outcome.REPLAY]
}


def token_of(
    generation: int, branch: str = OWN, *, is_signed_by_newest: bool = True
) -> PresentedToken:
    return PresentedToken("session-1", generation, branch, b"", "", is_signed_by_newest)


def decide(
    generation: int = 5,
    branch: str = OWN,
    *,
    at: int = 0,
    row: dict[str, Any] | None = None,
    address: str | None = "192.0.2.1",
    is_signed_by_newest: bool = True,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> Decision:
    """Judge a session of generation 5, confirmed at ``NOW``, so many milliseconds later."""
    return judge(
        make_session(**{**STORED, **(row or {})}),
        token_of(generation, branch, is_signed_by_newest=is_signed_by_newest),
        now_ms=NOW + at,
        address=address,
        config=SessionConfig(secret="x0123456789abcdef" * 2, **settings),
        **(options or {}),
    )


def changed(decision: Decision) -> Change:
    assert decision.change is not None
    return decision.change


def written(record: SessionRecord, decision: Decision) -> SessionRecord:
    """Return what is stored once a decision was carried out."""
    return record if decision.change is None else decision.change.applied_to(record)


PRESENTATIONS: list[tuple[Outcome, dict[str, Any]]] = [
    (Outcome.CONFIRM, {"generation": 6, "branch": SIBLING}),
    (Outcome.CURRENT, {}),
    (Outcome.CURRENT, {"row": UNSETTLED, "at": WINDOW - 1}),
    (Outcome.SETTLE, {"row": UNSETTLED, "at": WINDOW}),
    (Outcome.SETTLE, {"row": UNSETTLED, "at": WINDOW, "branch": SIBLING}),
    (Outcome.TAKE_OVER, {"row": UNSETTLED, "branch": CATCH_UP}),
    (Outcome.GRACE, {"generation": 4, "branch": BEFORE, "at": SECOND}),
    (Outcome.GRACE, {"branch": SIBLING, "at": SECOND, "row": UNSETTLED}),
    (Outcome.LATE, {"generation": 4, "branch": BEFORE, "at": GRACE, "options": LONG}),
    (Outcome.LATE, {"branch": SIBLING, "at": WINDOW, "options": LONG}),
    (Outcome.CATCH_UP, {"generation": 4, "branch": BEFORE, "at": GRACE, "row": UNSETTLED}),
]
"""Every way to be accepted."""


def present(how: dict[str, Any], **row: Any) -> Decision:
    return decide(**{**how, "row": {**how.get("row", {}), **row}})


# What a clock that was ahead has written


def put_right(settings: dict[str, Any] | None = None, **row: Any) -> dict[str, Any]:
    """Return what changes of a session when a clock that is right sees it at ``NOW``."""
    record = make_session(**row)
    config = SessionConfig(secret="x0123456789abcdef" * 2, **(settings or {}))
    judged = put_clock_right(record, now_ms=NOW, config=config)
    if judged == record:
        assert judged is record
    return {
        name: value for name, value in judged._asdict().items() if value != getattr(record, name)
    }
