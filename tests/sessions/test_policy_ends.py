"""Sessions that are over, or held from another address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import DAY, NOW, make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import (
    Decision,
    EndReason,
    Outcome,
)
from wsgi_sessions.sessions.places import is_bound_elsewhere
from wsgi_sessions.sessions.policy import (
    first_expiry_ms,
    is_live,
    judge,
)

from .decisions import HOUR, OWN, SECOND, SIBLING, WEEK, decide, token_of


def test_no_row_is_unknown() -> None:
    config = SessionConfig(secret="x0123456789abcdef" * 2)

    decision = judge(None, token_of(0), now_ms=NOW, address=None, config=config)

    assert decision == Decision(Outcome.UNKNOWN, is_accepted=False)


@pytest.mark.parametrize(
    ("stored", "told"),
    [("evicted", EndReason.EVICTED), ("from a later release", EndReason.REVOKED)],
)
def test_ended_row_tells_why(stored: str, told: EndReason) -> None:
    decision = decide(6, row={"ended_at_ms": NOW, "end_reason": stored})

    assert decision == Decision(Outcome.ENDED, False, end_reason=told)


def test_user_that_is_gone_ends_the_session() -> None:
    decision = decide(options={"is_user_missing": True})

    assert (decision.end_reason, decision.must_end) == (EndReason.USER_DELETED, True)


@pytest.mark.parametrize(
    ("at", "settings", "reason"),
    [
        (WEEK - 1, {}, None),
        (WEEK, {}, EndReason.EXPIRED),
        (600 * SECOND - 1, {"idle_timeout": 600}, None),
        (600 * SECOND, {"idle_timeout": 600}, EndReason.IDLE),
        (HOUR - 1, {"absolute_timeout": 3600}, None),
        (HOUR, {"absolute_timeout": 3600}, EndReason.ABSOLUTE),
        (WEEK, {"absolute_timeout": WEEK // 1000, "idle_timeout": 600}, EndReason.ABSOLUTE),
    ],
)
@pytest.mark.parametrize(("generation", "branch"), [(5, OWN), (6, SIBLING), (3, OWN)])
def test_limit_counts_from_its_very_instant(
    generation: int, branch: str, at: int, settings: dict[str, Any], reason: EndReason | None
) -> None:
    decision = decide(generation, branch, at=at, **settings)

    limit = decision.end_reason if decision.outcome is not Outcome.REPLAY else None
    assert limit is reason
    assert (decision.outcome is Outcome.EXPIRED) is (reason is not None)
    assert decision.must_end or reason is None


@pytest.mark.parametrize(
    ("row", "at", "expected"),
    [
        ({}, 0, True),
        ({}, DAY - 1, True),
        ({}, DAY, False),
        ({"ended_at_ms": NOW, "end_reason": "revoked"}, 0, False),
    ],
)
def test_session_is_live_until_it_ends_or_a_limit_is_over(
    row: dict[str, Any], at: int, expected: bool
) -> None:
    record = make_session(**{"expires_at_ms": NOW + DAY, **row})

    assert (
        is_live(record, now_ms=NOW + at, config=SessionConfig(secret="x0123456789abcdef" * 2))
        is expected
    )


@pytest.mark.parametrize(
    ("remember", "settings", "lifetime"),
    [
        (True, {}, WEEK),
        (False, {}, DAY),
        (True, {"absolute_timeout": 2 * 86400}, 2 * DAY),
        (False, {"absolute_timeout": 2 * 86400}, DAY),
        (True, {"absolute_timeout": 30 * 86400}, WEEK),
    ],
)
def test_session_made_now_expires_after_its_lifetime_or_the_absolute_limit(
    remember: bool, settings: dict[str, Any], lifetime: int
) -> None:
    config = SessionConfig(secret="x0123456789abcdef" * 2, **settings)

    assert first_expiry_ms(now_ms=NOW, remember=remember, config=config) == NOW + lifetime


@pytest.mark.parametrize(
    ("binding", "address", "is_elsewhere"),
    [
        ("off", "203.0.113.9", False),
        ("exact", "192.0.2.1", False),
        ("exact", "192.0.2.2", True),
        ("subnet", "192.0.2.2", False),
        ("subnet", "192.0.3.1", True),
        ("subnet", None, True),
    ],
)
def test_binding_holds_a_session_to_its_address(
    binding: str, address: str | None, is_elsewhere: bool
) -> None:
    assert decide(address=address, ip_binding=binding).is_accepted is not is_elsewhere
    config = SessionConfig(secret="x0123456789abcdef" * 2, ip_binding=binding)  # type: ignore[arg-type]
    found = is_bound_elsewhere(make_session(), address=address, config=config)
    assert found is is_elsewhere


@pytest.mark.parametrize("ip_binding", ["exact", "subnet"])
def test_address_that_nobody_told_ends_nothing(ip_binding: str) -> None:
    """Bare headers have none: a background check must not end an honest browser's session."""
    row = {"ip_address": "192.0.2.1"}

    decision = decide(address=None, row=row, ip_binding=ip_binding, on_ip_mismatch="revoke")

    assert decision == Decision(Outcome.IP_MISMATCH, False)


def test_session_made_without_an_address_is_bound_to_none() -> None:
    assert decide(address="192.0.2.9", row={"ip_address": None}, ip_binding="exact").is_accepted
