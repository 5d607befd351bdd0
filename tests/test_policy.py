"""``judge`` at the very edges of its rules, one row of a table each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.contract.databases import DAY, NOW, make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.policy import cached_copy_end_ms, is_bound_elsewhere, judge, put_clock_right
from wsgi_sessions.records import Decision, EndReason, Outcome

SECOND = 1000
GRACE = 60 * SECOND
WEEK = 7 * DAY


def decide(
    *,
    presented: int = 5,
    at: int = 0,
    address: str | None = "192.0.2.1",
    row: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> Decision:
    """Judge a session confirmed and refreshed at ``NOW``, ``at`` milliseconds later."""
    record = make_session(generation=5, **(row or {}))
    config = SessionConfig(secret="x" * 32, **settings)
    return judge(
        record, presented, now_ms=NOW + at, address=address, config=config, **(options or {})
    )


def test_no_row_is_unknown() -> None:
    config = SessionConfig(secret="x" * 32)

    decision = judge(None, 0, now_ms=NOW, address=None, config=config)

    assert (decision.outcome, decision.is_accepted) == (Outcome.UNKNOWN, False)


@pytest.mark.parametrize(
    ("stored", "told"),
    [("evicted", EndReason.EVICTED), ("from a later release", EndReason.REVOKED)],
)
def test_ended_row_tells_why(stored: str, told: EndReason) -> None:
    decision = decide(row={"ended_at_ms": NOW, "end_reason": stored})

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
        (3600 * SECOND - 1, {"absolute_timeout": 3600}, None),
        (3600 * SECOND, {"absolute_timeout": 3600}, EndReason.ABSOLUTE),
        (WEEK, {"absolute_timeout": WEEK // 1000, "idle_timeout": 600}, EndReason.ABSOLUTE),
    ],
)
def test_limit_counts_from_its_very_instant(
    at: int, settings: dict[str, Any], reason: EndReason | None
) -> None:
    decision = decide(at=at, **settings)

    assert decision.end_reason is reason
    assert decision.is_accepted is (reason is None)
    assert decision.must_end is (reason is not None)


@pytest.mark.parametrize(
    ("presented", "at", "outcome"),
    [
        (5, 0, Outcome.CURRENT),
        (6, 0, Outcome.CONFIRM),
        (9, 0, Outcome.CONFIRM),
        (4, GRACE - 1, Outcome.GRACE),
        (4, GRACE, Outcome.REPLAY),
        (3, 0, Outcome.REPLAY),
    ],
)
def test_generation_decides(presented: int, at: int, outcome: Outcome) -> None:
    assert decide(presented=presented, at=at).outcome is outcome


def test_confirm_stores_what_was_presented() -> None:
    change = decide(presented=7, at=SECOND).change

    assert change is not None
    assert (change.generation, change.confirmed_at_ms) == (7, NOW + SECOND)
    assert not change.is_touch_only


@pytest.mark.parametrize(("on_replay", "ends"), [("revoke", True), ("reject", False)])
def test_replay_ends_the_session_or_is_refused_alone(on_replay: str, ends: bool) -> None:
    decision = decide(presented=3, on_replay=on_replay)

    assert (decision.is_accepted, decision.must_end) == (False, ends)


@pytest.mark.parametrize(
    ("at", "refreshes", "offer"),
    [
        (DAY - 1, False, None),
        (DAY, True, 6),
    ],
)
def test_refresh_and_offer_come_at_update_age(at: int, refreshes: bool, offer: int | None) -> None:
    decision = decide(at=at)

    moved = decision.change is not None and decision.change.expires_at_ms == NOW + at + WEEK
    assert (moved, decision.offer) == (refreshes, offer)


def test_offer_alone_writes_nothing() -> None:
    row = {"expires_at_ms": NOW + DAY + WEEK, "last_seen_at_ms": NOW + DAY}

    decision = decide(at=DAY, row=row)

    assert (decision.change, decision.offer) == (None, 6)


def test_grace_sets_no_cookie_and_refreshes_nothing() -> None:
    row = {"expires_at_ms": NOW + WEEK - DAY}

    decision = decide(presented=4, at=SECOND, row=row)

    assert (decision.outcome, decision.offer, decision.change) == (Outcome.GRACE, None, None)


@pytest.mark.parametrize(
    ("before_due", "is_refreshed", "offer"),
    [
        (2 * GRACE + 1, True, 5),
        (2 * GRACE, False, None),
        (GRACE + 1, False, None),
        (GRACE, True, 6),
    ],
)
def test_between_old_and_new_token_lies_a_grace_without_cookies(
    before_due: int, is_refreshed: bool, offer: int | None
) -> None:
    # Refresh is due, and the rotation is so far away.
    row = {"expires_at_ms": NOW + WEEK - 4 * GRACE}

    decision = decide(at=DAY - before_due, row=row)

    moved = decision.change is not None and not decision.change.is_touch_only
    assert (moved, decision.offer) == (is_refreshed, offer)


def test_session_about_to_expire_does_not_wait() -> None:
    decision = decide(
        at=5 * SECOND,
        row={"expires_at_ms": NOW + 6 * SECOND},
        expires_in=11,
        update_age=10,
        rotation_grace=4,
    )

    assert decision.change is not None
    assert decision.change.expires_at_ms == NOW + 16 * SECOND


@pytest.mark.parametrize(("at", "offer"), [(0, 5), (DAY - 2 * GRACE, None), (DAY - GRACE, 6)])
def test_token_under_an_older_secret_is_offered_anew(at: int, offer: int | None) -> None:
    assert decide(at=at, options={"must_reissue": True}).offer == offer


def test_without_rotation_a_refresh_sends_the_same_token() -> None:
    decision = decide(at=DAY, rotate_tokens=False)

    assert decision.offer == 5


def test_shortest_time_to_repeat_a_cookie_in_divides_nothing_by_zero() -> None:
    row = {"updated_at_ms": NOW + 1, "expires_at_ms": NOW + 2 * DAY}
    settings: dict[str, Any] = {
        "expires_in": timedelta(seconds=2),
        "update_age": timedelta(seconds=1.999),
    }

    decision = decide(at=DAY, row=row, rotate_tokens=False, **settings)

    assert decision.is_accepted


def test_session_that_is_not_remembered_is_not_refreshed() -> None:
    decision = decide(at=DAY, row={"remember": False})

    assert decision.change is not None and decision.change.is_touch_only
    assert decision.change.expires_at_ms == NOW + WEEK


def test_refresh_stops_at_the_absolute_limit() -> None:
    decision = decide(at=DAY, absolute_timeout=7 * 86400 + 60)

    assert decision.change is not None
    assert decision.change.expires_at_ms == NOW + WEEK + 60 * SECOND


def test_session_at_its_cap_is_not_refreshed() -> None:
    decision = decide(at=2 * DAY, absolute_timeout=7 * 86400)

    assert decision.change is not None and decision.change.is_touch_only


def test_clock_behind_never_shortens_a_session() -> None:
    row = {"expires_at_ms": NOW + WEEK, "last_seen_at_ms": NOW + 2 * DAY}

    decision = decide(at=DAY, row=row)

    assert decision.change is not None
    assert decision.change.last_seen_at_ms == NOW + 2 * DAY


@pytest.mark.parametrize(("at", "touches"), [(300 * SECOND - 1, False), (300 * SECOND, True)])
def test_touch_comes_at_its_interval(at: int, touches: bool) -> None:
    change = decide(at=at).change

    assert (change is not None and change.is_touch_only) is touches


def test_reading_only_does_nothing() -> None:
    decision = decide(presented=6, at=DAY, options={"allow_refresh": False})

    assert decision == Decision(Outcome.CONFIRM, is_accepted=True)


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
    config = SessionConfig(secret="x" * 32, ip_binding=binding)  # type: ignore[arg-type]
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


@pytest.mark.parametrize(
    ("settings", "row", "end"),
    [
        ({}, {}, 300 * SECOND),
        ({"cookie_cache": {"max_age": 10 * 86400}}, {"remember": False}, DAY - GRACE),
        (
            {"cookie_cache": {"max_age": 10 * 86400}, "rotate_tokens": False},
            {"remember": False},
            WEEK,
        ),
        ({"cookie_cache": {"max_age": 10 * 86400}, "rotate_tokens": False}, {}, DAY),
        ({"absolute_timeout": 200}, {}, 200 * SECOND),
        ({"idle_timeout": 600}, {}, 60 * SECOND),
    ],
)
def test_copy_ends_before_anything_is_due(
    settings: dict[str, Any], row: dict[str, Any], end: int
) -> None:
    config = SessionConfig(secret="x" * 32, **settings)

    found = cached_copy_end_ms(make_session(**row), now_ms=NOW, config=config)

    assert found - NOW == end


# What a clock that was ahead has written


def put_right(settings: dict[str, Any] | None = None, **row: Any) -> dict[str, Any]:
    """Return what changes of a session when a clock that is right sees it at ``NOW``."""
    record = make_session(**row)
    config = SessionConfig(secret="x" * 32, **(settings or {}))
    judged = put_clock_right(record, now_ms=NOW, config=config)
    if judged == record:
        assert judged is record
    return {
        name: value for name, value in judged._asdict().items() if value != getattr(record, name)
    }


@pytest.mark.parametrize("name", ["last_seen_at_ms", "confirmed_at_ms", "authenticated_at_ms"])
@pytest.mark.parametrize(
    ("settings", "allowed_ms"),
    [({}, GRACE), ({"rotate_tokens": False, "rotation_grace": 0, "clock_difference": 7}, 7000)],
)
def test_instant_further_ahead_than_clocks_differ_counts_from_now(
    name: str, settings: dict[str, Any], allowed_ms: int
) -> None:
    assert put_right(settings, **{name: NOW + allowed_ms}) == {}
    assert put_right(settings, **{name: NOW + allowed_ms + 1}) == {name: NOW}


def test_session_that_would_live_too_long_is_to_be_refreshed() -> None:
    assert put_right(expires_at_ms=NOW + WEEK + GRACE) == {}
    assert put_right(expires_at_ms=NOW + WEEK + GRACE + 1) == {"expires_at_ms": NOW + WEEK - DAY}


def test_session_that_ends_with_the_browser_lives_no_longer_than_it_may() -> None:
    latest_ms = NOW + DAY + GRACE
    assert put_right(remember=False, expires_at_ms=latest_ms) == {}
    assert put_right(remember=False, expires_at_ms=latest_ms + 1) == {"expires_at_ms": NOW + DAY}


def test_what_was_put_right_is_written_though_nothing_is_due() -> None:
    decision = decide(options={"must_write": True}, row={"authenticated_at_ms": NOW - 5})
    assert decision.change is not None
    assert decision.change.is_touch_only
    assert decision.change.authenticated_at_ms == NOW - 5
    assert decide(options={"must_write": True, "allow_refresh": False}).change is None
