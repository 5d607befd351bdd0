"""``judge`` at the very edges of its rules: a group for each rule, a row of a table for each edge."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.contract.databases import BRANCH, DAY, NOW, make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import (
    Change,
    Decision,
    EndReason,
    Offer,
    Outcome,
    PresentedToken,
    SessionRecord,
)
from wsgi_sessions.sessions.policy import (
    cached_copy_end_ms,
    cookie_lifetime_ms,
    first_expiry_ms,
    is_bound_elsewhere,
    is_live,
    judge,
    put_clock_right,
)

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
        config=SessionConfig(secret="x" * 32, **settings),
        **(options or {}),
    )


def changed(decision: Decision) -> Change:
    assert decision.change is not None
    return decision.change


def written(record: SessionRecord, decision: Decision) -> SessionRecord:
    """Return what is stored once a decision was carried out."""
    return record if decision.change is None else decision.change.applied_to(record)


# What is over, or of another address


def test_no_row_is_unknown() -> None:
    config = SessionConfig(secret="x" * 32)

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

    assert is_live(record, now_ms=NOW + at, config=SessionConfig(secret="x" * 32)) is expected


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
    config = SessionConfig(secret="x" * 32, **settings)

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


# Confirm: a later generation than the stored one


@pytest.mark.parametrize("generation", [6, 7, 999_999_999])
@pytest.mark.parametrize("branch", [OWN, SIBLING, CATCH_UP])
@pytest.mark.parametrize("row", [{}, UNSETTLED, CAUGHT_UP])
@pytest.mark.parametrize("at", [-GRACE, 0, WINDOW, DAY])
@pytest.mark.parametrize("options", [{}, LONG])
def test_later_generation_confirms_whatever_is_stored(
    generation: int, branch: str, row: dict[str, Any], at: int, options: dict[str, Any]
) -> None:
    decision = decide(generation, branch, row=row, at=at, options=options)

    assert decision.outcome is Outcome.CONFIRM
    assert (changed(decision).generation, changed(decision).branch) == (generation, branch)


@pytest.mark.parametrize("row", [{}, UNSETTLED, CAUGHT_UP, {"branch_before": None}])
@pytest.mark.parametrize("generation", [6, 7])
def test_confirm_stores_what_was_presented_and_leaves_the_window_open(
    row: dict[str, Any], generation: int
) -> None:
    decision = decide(generation, SIBLING, at=SECOND, row=row)
    is_known = generation == 6 and row.get("is_settled", True)

    assert decision == Decision(
        Outcome.CONFIRM,
        True,
        Change(
            generation=generation,
            branch=SIBLING,
            branch_before=OWN if is_known else None,
            is_settled=False,
            caught_up=False,
            confirmed_at_ms=NOW + SECOND,
            updated_at_ms=NOW + SECOND,
            last_seen_at_ms=NOW + SECOND,
            expires_at_ms=NOW + WEEK,
            may_fail=False,
            authenticated_at_ms=NOW,
        ),
    )


def test_confirm_refreshes_in_the_same_write_and_sends_its_own_token_again() -> None:
    decision = decide(6, SIBLING, at=SECOND, row=REFRESH_DUE)

    assert changed(decision).expires_at_ms == NOW + SECOND + WEEK
    assert not changed(decision).may_fail
    assert decision.offer == Offer(6, SIBLING)


def test_confirm_under_an_older_secret_is_sent_its_own_token_again() -> None:
    assert decide(6, SIBLING, is_signed_by_newest=False).offer == Offer(6, SIBLING)


@pytest.mark.parametrize("at", [DAY - 2 * GRACE, DAY - GRACE, DAY, 3 * DAY])
def test_confirm_never_offers_the_next_token(at: int) -> None:
    """It is the stored generation whose time is up; that of the one presented begins now."""
    assert decide(6, SIBLING, at=at, row={"expires_at_ms": NOW + at + WEEK}).offer is None
    assert decide(6, SIBLING, at=at).offer in (None, Offer(6, SIBLING))


def test_confirm_does_not_prolong_a_session_that_is_not_remembered() -> None:
    row = {**REFRESH_DUE, "remember": False}

    decision = decide(6, SIBLING, at=HOUR, row=row)

    assert changed(decision).expires_at_ms == row["expires_at_ms"]
    assert decision.offer is None


# Current: the token that counts


@pytest.mark.parametrize("at", [-GRACE, 0, GRACE, WINDOW, UPLOAD, DAY, WEEK - 1])
@pytest.mark.parametrize("options", [{}, LONG])
def test_settled_token_is_current_at_any_time(at: int, options: dict[str, Any]) -> None:
    assert decide(at=at, options=options).outcome is Outcome.CURRENT


def test_current_token_with_nothing_due_does_nothing() -> None:
    assert decide(at=TOUCH - 1) == Decision(Outcome.CURRENT, is_accepted=True)


@pytest.mark.parametrize("row", [UNSETTLED, CAUGHT_UP])
@pytest.mark.parametrize("is_signed_by_newest", [True, False])
def test_until_it_is_settled_a_token_is_neither_refreshed_nor_sent_again(
    row: dict[str, Any], is_signed_by_newest: bool
) -> None:
    decision = decide(
        at=WINDOW - 1, row={**REFRESH_DUE, **row}, is_signed_by_newest=is_signed_by_newest
    )

    assert decision == Decision(Outcome.CURRENT, is_accepted=True)


# Settle: the first after the window tells which sibling the browser kept


@pytest.mark.parametrize("row", [UNSETTLED, CAUGHT_UP])
@pytest.mark.parametrize(
    ("options", "at", "own", "sibling"),
    [
        ({}, 0, Outcome.CURRENT, Outcome.GRACE),
        ({}, WINDOW - 1, Outcome.CURRENT, Outcome.GRACE),
        ({}, WINDOW, Outcome.SETTLE, Outcome.SETTLE),
        ({}, WEEK - 1, Outcome.SETTLE, Outcome.SETTLE),
        (LONG, 0, Outcome.CURRENT, Outcome.GRACE),
        (LONG, WINDOW - 1, Outcome.CURRENT, Outcome.GRACE),
        (LONG, WINDOW, Outcome.CURRENT, Outcome.LATE),
        (LONG, UPLOAD - 1, Outcome.CURRENT, Outcome.LATE),
        (LONG, UPLOAD, Outcome.SETTLE, Outcome.SETTLE),
    ],
)
def test_window_is_over_at_three_graces_and_for_a_long_body_at_the_upload_grace(
    row: dict[str, Any], options: dict[str, Any], at: int, own: Outcome, sibling: Outcome
) -> None:
    assert decide(at=at, row=row, options=options).outcome is own
    assert decide(5, SIBLING, at=at, row=row, options=options).outcome is sibling


@pytest.mark.parametrize(
    ("branch", "may_fail"), [(OWN, True), (SIBLING, False)], ids=["own", "sibling"]
)
@pytest.mark.parametrize("caught_up", [False, True])
def test_settling_is_one_write_that_touches_too(
    branch: str, may_fail: bool, caught_up: bool
) -> None:
    """Where the write fails, a token that is stored is as good as before; a sibling is not."""
    decision = decide(5, branch, at=WINDOW, row={**UNSETTLED, "caught_up": caught_up})

    assert decision == Decision(
        Outcome.SETTLE,
        True,
        Change(
            generation=5,
            branch=branch,
            branch_before=BEFORE,
            is_settled=True,
            caught_up=caught_up,
            confirmed_at_ms=NOW,
            updated_at_ms=NOW,
            last_seen_at_ms=NOW + WINDOW,
            expires_at_ms=NOW + WEEK,
            may_fail=may_fail,
            authenticated_at_ms=NOW,
        ),
    )


@pytest.mark.parametrize(
    ("branch", "may_fail"), [(OWN, True), (SIBLING, False)], ids=["own", "sibling"]
)
def test_request_that_settles_goes_on_as_settled(branch: str, may_fail: bool) -> None:
    refreshed = decide(5, branch, at=WINDOW, row={**REFRESH_DUE, **UNSETTLED})
    assert (changed(refreshed).is_settled, changed(refreshed).may_fail) == (True, may_fail)
    assert changed(refreshed).expires_at_ms == NOW + WINDOW + WEEK
    assert refreshed.offer == Offer(5, branch)

    resigned = decide(5, branch, at=WINDOW, row=UNSETTLED, is_signed_by_newest=False)
    assert resigned.offer == Offer(5, branch)

    rotated = decide(5, branch, at=DAY, row=UNSETTLED)
    assert (changed(rotated).is_settled, rotated.offer) == (True, Offer(6))
    assert changed(rotated).expires_at_ms == NOW + DAY + WEEK


# Take-over: what a browser was given to catch up has arrived


@pytest.mark.parametrize("at", [-GRACE, 0, GRACE, WINDOW - 1, WINDOW, UPLOAD, DAY])
@pytest.mark.parametrize("options", [{}, LONG])
def test_catch_up_takes_over_whenever_it_comes(at: int, options: dict[str, Any]) -> None:
    row = {**REFRESH_DUE, **UNSETTLED}

    decision = decide(5, CATCH_UP, at=at, row=row, options=options)

    assert decision == Decision(
        Outcome.TAKE_OVER,
        True,
        Change(
            generation=5,
            branch=CATCH_UP,
            branch_before=BEFORE,
            is_settled=False,
            caught_up=True,
            confirmed_at_ms=NOW + at,
            updated_at_ms=NOW,
            last_seen_at_ms=NOW + max(at, 0),
            expires_at_ms=row["expires_at_ms"],
            may_fail=False,
            authenticated_at_ms=NOW,
        ),
    )


@pytest.mark.parametrize("at", [-GRACE, 0, WINDOW - 1, WINDOW, DAY])
def test_sibling_without_the_mark_never_takes_over(at: int) -> None:
    """Whatever the clocks say: a token's age is not looked at."""
    assert decide(5, SIBLING, at=at, row=UNSETTLED).outcome in (Outcome.GRACE, Outcome.SETTLE)


@pytest.mark.parametrize(
    ("row", "at", "outcome"),
    [
        (CAUGHT_UP, WINDOW - 1, Outcome.GRACE),
        (CAUGHT_UP, WINDOW, Outcome.SETTLE),
        ({}, WINDOW - 1, Outcome.GRACE),
        ({}, WINDOW, Outcome.REPLAY),
        ({"caught_up": True}, WINDOW, Outcome.REPLAY),
    ],
)
def test_one_catch_up_takes_over_in_a_generation_and_none_once_it_is_settled(
    row: dict[str, Any], at: int, outcome: Outcome
) -> None:
    assert decide(5, CATCH_UP, at=at, row=row).outcome is outcome


def test_window_grace_upload_grace_and_rotation_count_from_the_take_over() -> None:
    record = make_session(**STORED, **UNSETTLED, expires_at_ms=NOW + DAY + WEEK)
    config = SessionConfig(secret="x" * 32)
    overtaken_at = NOW + HOUR

    def judged(generation: int, branch: str, since: int, **options: Any) -> Decision:
        now_ms = overtaken_at + since
        token = token_of(generation, branch)
        return judge(record, token, now_ms=now_ms, address=None, config=config, **options)

    record = written(record, judged(5, CATCH_UP, 0))
    assert judged(5, OWN, WINDOW - 1).outcome is Outcome.GRACE, "who was overtaken"
    assert judged(5, OWN, UPLOAD - 1, **LONG).outcome is Outcome.LATE
    assert judged(4, BEFORE, GRACE - 1).outcome is Outcome.GRACE
    assert judged(4, BEFORE, UPLOAD - 1, **LONG).outcome is Outcome.LATE
    assert judged(4, BEFORE, GRACE).outcome is Outcome.REPLAY, "nobody catches up twice"
    assert judged(5, CATCH_UP, WINDOW - 1).outcome is Outcome.CURRENT
    settled = judged(5, CATCH_UP, WINDOW)
    assert (settled.outcome, settled.offer) == (Outcome.SETTLE, None)

    record = written(record, settled)
    assert judged(5, CATCH_UP, DAY - 1).offer is None
    assert judged(5, CATCH_UP, DAY).offer == Offer(6)


# The token before: grace, late, catch-up, and replay


@pytest.mark.parametrize(
    ("at", "settled", "unsettled", "caught_up"),
    [
        (-GRACE, Outcome.GRACE, Outcome.GRACE, Outcome.GRACE),
        (0, Outcome.GRACE, Outcome.GRACE, Outcome.GRACE),
        (GRACE - 1, Outcome.GRACE, Outcome.GRACE, Outcome.GRACE),
        (GRACE, Outcome.REPLAY, Outcome.CATCH_UP, Outcome.REPLAY),
        (WINDOW, Outcome.REPLAY, Outcome.CATCH_UP, Outcome.REPLAY),
        (WEEK - 1, Outcome.REPLAY, Outcome.CATCH_UP, Outcome.REPLAY),
    ],
)
def test_token_before_is_taken_for_a_grace_and_then_catches_up_once(
    at: int, settled: Outcome, unsettled: Outcome, caught_up: Outcome
) -> None:
    assert decide(4, BEFORE, at=at).outcome is settled
    assert decide(4, BEFORE, at=at, row=UNSETTLED).outcome is unsettled
    assert decide(4, BEFORE, at=at, row=CAUGHT_UP).outcome is caught_up


@pytest.mark.parametrize(
    ("at", "settled", "unsettled"),
    [
        (GRACE - 1, Outcome.GRACE, Outcome.GRACE),
        (GRACE, Outcome.LATE, Outcome.LATE),
        (UPLOAD - 1, Outcome.LATE, Outcome.LATE),
        (UPLOAD, Outcome.REPLAY, Outcome.CATCH_UP),
    ],
)
def test_long_body_may_bring_the_token_before_until_the_upload_grace_is_over(
    at: int, settled: Outcome, unsettled: Outcome
) -> None:
    assert decide(4, BEFORE, at=at, options=LONG).outcome is settled
    assert decide(4, BEFORE, at=at, options=LONG, row=UNSETTLED).outcome is unsettled


@pytest.mark.parametrize("branch", [OWN, SIBLING, CATCH_UP, BEFORE.swapcase()])
@pytest.mark.parametrize("row", [{}, UNSETTLED, CAUGHT_UP])
@pytest.mark.parametrize("at", [-GRACE, 0, GRACE])
@pytest.mark.parametrize("options", [{}, LONG])
def test_token_before_with_another_branch_than_was_settled_is_a_replay(
    branch: str, row: dict[str, Any], at: int, options: dict[str, Any]
) -> None:
    assert decide(4, branch, at=at, row=row, options=options).outcome is Outcome.REPLAY


@pytest.mark.parametrize("branch", [OWN, SIBLING, CATCH_UP])
def test_token_before_may_have_any_branch_where_none_is_known(branch: str) -> None:
    """As after a fail-over that has lost the write that settled it."""
    row = {**UNSETTLED, "branch_before": None}

    assert decide(4, branch, row=row).outcome is Outcome.GRACE
    assert decide(4, branch, at=GRACE, row=row, options=LONG).outcome is Outcome.LATE
    assert decide(4, branch, at=GRACE, row=row).outcome is Outcome.CATCH_UP
    assert decide(4, branch, at=GRACE, row={"branch_before": None}).outcome is Outcome.REPLAY
    assert decide(3, branch, row=row).outcome is Outcome.REPLAY


@pytest.mark.parametrize(
    ("at", "options", "outcome"),
    [
        (WINDOW - 1, {}, Outcome.GRACE),
        (WINDOW, {}, Outcome.REPLAY),
        (WINDOW, LONG, Outcome.LATE),
        (UPLOAD - 1, LONG, Outcome.LATE),
        (UPLOAD, LONG, Outcome.REPLAY),
    ],
)
def test_sibling_of_a_settled_token_is_a_second_holders(
    at: int, options: dict[str, Any], outcome: Outcome
) -> None:
    assert decide(5, SIBLING, at=at, options=options).outcome is outcome


@pytest.mark.parametrize("generation", [0, 3])
@pytest.mark.parametrize("branch", [OWN, BEFORE, CATCH_UP])
@pytest.mark.parametrize("row", [{}, UNSETTLED, CAUGHT_UP])
@pytest.mark.parametrize("at", [-GRACE, 0, WINDOW])
@pytest.mark.parametrize("options", [{}, LONG])
def test_token_from_two_rotations_ago_is_a_replay(
    generation: int, branch: str, row: dict[str, Any], at: int, options: dict[str, Any]
) -> None:
    decision = decide(generation, branch, row=row, at=at, options=options)

    assert decision.outcome is Outcome.REPLAY


@pytest.mark.parametrize("options", [{}, {"allow_refresh": False}])
def test_replay_ends_the_session_or_is_refused_alone(options: dict[str, Any]) -> None:
    assert decide(3, options=options) == Decision(
        Outcome.REPLAY, False, end_reason=EndReason.REPLAYED, must_end=True
    )
    assert decide(3, options=options, on_replay="reject") == Decision(Outcome.REPLAY, False)


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


def test_every_way_to_be_accepted_is_among_these() -> None:
    assert {outcome for outcome, _ in PRESENTATIONS} == ACCEPTED


def present(how: dict[str, Any], **row: Any) -> Decision:
    return decide(**{**how, "row": {**how.get("row", {}), **row}})


@pytest.mark.parametrize(("outcome", "how"), PRESENTATIONS)
def test_whoever_is_accepted_touches(outcome: Outcome, how: dict[str, Any]) -> None:
    """An idle limit must not end a browser whose requests are all siblings' or late."""
    now = NOW + how.get("at", 0)

    decision = present(how, last_seen_at_ms=now - TOUCH)
    assert (decision.outcome, changed(decision).last_seen_at_ms) == (outcome, now)

    if outcome not in (Outcome.CONFIRM, Outcome.SETTLE, Outcome.TAKE_OVER):
        assert changed(decision).may_fail
        stored = make_session(**{**STORED, **how.get("row", {}), "last_seen_at_ms": now})
        assert written(stored, decision) == stored, "nothing else is written"
        assert present(how, last_seen_at_ms=now - TOUCH + 1).change is None


@pytest.mark.parametrize(("outcome", "how"), PRESENTATIONS)
def test_reading_only_does_nothing(outcome: Outcome, how: dict[str, Any]) -> None:
    options = {**how.get("options", {}), "allow_refresh": False, "must_write": True}

    decision = present({**how, "options": options, "is_signed_by_newest": False}, last_seen_at_ms=0)

    assert decision == Decision(outcome, is_accepted=True)


@pytest.mark.parametrize(
    "how",
    [how for outcome, how in PRESENTATIONS if outcome in (Outcome.GRACE, Outcome.LATE)],
)
def test_grace_and_late_get_no_cookie_and_refresh_nothing(how: dict[str, Any]) -> None:
    decision = present({**how, "is_signed_by_newest": False}, **REFRESH_DUE)

    assert (decision.change, decision.offer) == (None, None)


def test_catch_up_is_offered_the_same_generation_marked() -> None:
    decision = decide(
        4, BEFORE, at=GRACE, row={**UNSETTLED, **REFRESH_DUE}, is_signed_by_newest=False
    )

    assert decision == Decision(Outcome.CATCH_UP, True, offer=Offer(5, is_catch_up=True))


# Refresh and rotation


@pytest.mark.parametrize(
    ("at", "refreshes", "offer"), [(DAY - 1, False, None), (DAY, True, Offer(6))]
)
def test_refresh_and_offer_come_at_update_age(
    at: int, refreshes: bool, offer: Offer | None
) -> None:
    decision = decide(at=at)

    assert (changed(decision).expires_at_ms == NOW + at + WEEK) is refreshes
    assert changed(decision).may_fail is not refreshes
    assert decision.offer == offer


@pytest.mark.parametrize(
    ("interval", "at", "offer"),
    [
        (HOUR, HOUR - 1, None),
        (HOUR, HOUR, Offer(6)),
        (3 * DAY, 3 * DAY - 1, None),
        (3 * DAY, 3 * DAY, Offer(6)),
    ],
)
def test_rotation_has_an_interval_of_its_own(interval: int, at: int, offer: Offer | None) -> None:
    row = {"expires_at_ms": NOW + at + WEEK, "last_seen_at_ms": NOW + at}

    decision = decide(at=at, row=row, rotation_interval=interval // 1000)

    assert decision == Decision(Outcome.CURRENT, True, offer=offer)


def test_offer_alone_writes_nothing_and_is_made_until_it_arrives() -> None:
    row = {"expires_at_ms": NOW + 5 * DAY + WEEK, "last_seen_at_ms": NOW + 5 * DAY}

    for at in (DAY, DAY + 1, 5 * DAY):
        assert decide(at=at, row=row) == Decision(Outcome.CURRENT, True, offer=Offer(6))


@pytest.mark.parametrize(
    ("before_due", "is_refreshed", "offer"),
    [
        (2 * GRACE + 1, True, Offer(5, OWN)),
        (2 * GRACE, False, None),
        (GRACE + 1, False, None),
        (GRACE, True, Offer(6)),
        (1, True, Offer(6)),
    ],
)
def test_between_old_and_new_token_lies_a_grace_without_cookies(
    before_due: int, is_refreshed: bool, offer: Offer | None
) -> None:
    row = {"expires_at_ms": NOW + WEEK - 4 * GRACE}

    refreshing = decide(at=DAY - before_due, row=row)
    assert changed(refreshing).may_fail is not is_refreshed
    assert (changed(refreshing).expires_at_ms != row["expires_at_ms"]) is is_refreshed
    assert refreshing.offer == offer

    resigned = decide(at=DAY - before_due, is_signed_by_newest=False)
    assert resigned.offer == offer


@pytest.mark.parametrize("at", [DAY - 2 * GRACE, DAY - GRACE, DAY, 5 * DAY])
@pytest.mark.parametrize("row", [{}, UNSETTLED])
def test_without_rotation_there_is_no_offer_and_no_pause(at: int, row: dict[str, Any]) -> None:
    row = {**row, "expires_at_ms": NOW + WEEK - 4 * GRACE}

    decision = decide(at=at, row=row, rotate_tokens=False)

    assert changed(decision).is_settled, "what was offered before is settled all the same"
    assert changed(decision).expires_at_ms == NOW + at + WEEK
    assert decision.offer == Offer(5, OWN)


@pytest.mark.parametrize(("outcome", "how"), PRESENTATIONS)
def test_without_rotation_what_was_offered_before_goes_on(
    outcome: Outcome, how: dict[str, Any]
) -> None:
    assert decide(**how, rotate_tokens=False).outcome is outcome


def test_refresh_stops_at_the_absolute_limit() -> None:
    decision = decide(at=DAY, absolute_timeout=7 * 86400 + 60)

    assert changed(decision).expires_at_ms == NOW + WEEK + 60 * SECOND


def test_session_at_its_cap_is_not_refreshed() -> None:
    decision = decide(at=2 * DAY, absolute_timeout=7 * 86400)

    assert changed(decision).may_fail
    assert changed(decision).expires_at_ms == NOW + WEEK


def test_session_that_is_not_remembered_is_not_refreshed() -> None:
    decision = decide(at=DAY, row={"remember": False})

    assert changed(decision).may_fail
    assert changed(decision).expires_at_ms == NOW + WEEK


@pytest.mark.parametrize(
    ("settings", "due"),
    [
        ({}, DAY // 2),
        ({"rotation_interval": 3600}, HOUR),
        ({"short_expires_in": 2 * 86400}, DAY),
        ({"short_expires_in": 1200}, UPLOAD),
        ({"short_expires_in": 300}, None),
        ({"rotate_tokens": False}, None),
    ],
)
def test_session_that_is_not_remembered_rotates_within_half_its_life(
    settings: dict[str, Any], due: int | None
) -> None:
    def offer(at: int) -> Offer | None:
        row = {"remember": False, "last_seen_at_ms": NOW + at}
        return decide(at=at, row=row, **settings).offer

    if due is None:
        assert [offer(at) for at in (HOUR, DAY, WEEK - 1)] == [None, None, None]
    else:
        assert (offer(due - 1), offer(due)) == (None, Offer(6))


@pytest.mark.parametrize(
    ("settings", "at", "touches"),
    [
        ({}, TOUCH - 1, False),
        ({}, TOUCH, True),
        ({"idle_timeout": 600}, 60 * SECOND - 1, False),
        ({"idle_timeout": 600}, 60 * SECOND, True),
        ({"idle_timeout": 3600}, TOUCH - 1, False),
    ],
)
def test_touch_comes_at_its_interval_or_a_tenth_of_the_idle_limit(
    settings: dict[str, Any], at: int, touches: bool
) -> None:
    change = decide(at=at, **settings).change

    assert (change is not None and change.may_fail) is touches


def test_clock_behind_never_shortens_a_session() -> None:
    row = {"expires_at_ms": NOW + WEEK, "last_seen_at_ms": NOW + 2 * DAY}

    decision = decide(at=DAY, row=row)

    assert changed(decision).last_seen_at_ms == NOW + 2 * DAY


REFRESHED: dict[str, Any] = {"updated_at_ms": NOW + 1, "last_seen_at_ms": NOW + 1}


@pytest.mark.parametrize(
    ("row", "settings", "at", "offer"),
    [
        (REFRESHED, {}, HOUR, None),
        (REFRESHED, {}, HOUR + 1, Offer(5, OWN)),
        ({**REFRESHED, "last_seen_at_ms": NOW + HOUR + 1}, {}, 2 * HOUR, None),
        ({**REFRESHED, "last_seen_at_ms": NOW + HOUR + 1}, {}, 2 * HOUR + 1, Offer(5, OWN)),
        ({"last_seen_at_ms": NOW + 1}, {}, HOUR + 1, None),
        ({**REFRESHED, "remember": False}, {}, HOUR + 1, None),
        (REFRESHED, {"rotation_interval": 86400}, HOUR + 1, None),
        (REFRESHED, {"rotate_tokens": False}, HOUR + 1, Offer(5, OWN)),
        (REFRESHED, {"absolute_timeout": 7 * 86400}, HOUR + 1, None),
        (REFRESHED, {"absolute_timeout": 7 * 86400 + 1}, HOUR + 1, Offer(5, OWN)),
        ({**REFRESHED, **UNSETTLED}, {}, HOUR + 1, Offer(5, OWN)),
        ({**REFRESHED, **UNSETTLED}, {}, WINDOW, None),
        (REFRESHED, {"rotation_interval": 86401}, DAY - 2 * GRACE + 999, Offer(5, OWN)),
        (REFRESHED, {"rotation_interval": 86401}, DAY - 2 * GRACE + 1000, None),
        (REFRESHED, {"rotation_interval": 86401}, DAY - GRACE + 1000, Offer(6)),
    ],
)
def test_cookie_that_may_be_lost_is_sent_again_with_the_first_touch_of_an_hour(
    row: dict[str, Any], settings: dict[str, Any], at: int, offer: Offer | None
) -> None:
    """Where tokens rotate less often than sessions are refreshed, or never."""
    row = {"expires_at_ms": NOW + WEEK, **row}
    settings = {"rotation_interval": 2 * 86400, **settings}

    assert decide(at=at, row=row, **settings).offer == offer


@pytest.mark.parametrize(
    ("at", "offer"), [(1200 * SECOND, None), (1200 * SECOND + 1, Offer(5, OWN))]
)
def test_cookie_of_a_brief_session_is_sent_again_after_half_of_what_it_can_be_refreshed_in(
    at: int, offer: Offer | None
) -> None:
    row = {**REFRESHED, "expires_at_ms": NOW + WEEK}

    decision = decide(at=at, row=row, expires_in=3000, update_age=600, rotate_tokens=False)

    assert decision.offer == offer


@pytest.mark.parametrize(("expires_in", "offer"), [(4 * 3600, None), (14398, Offer(5, OWN))])
def test_cookie_is_not_sent_again_where_the_next_offer_comes_before_it_ends(
    expires_in: int, offer: Offer | None
) -> None:
    """A refresh's cookie lasts beyond update_age, an interval, and the time to repeat it in."""
    half_hour_ago = NOW - HOUR // 2
    row = {
        "authenticated_at_ms": NOW - DAY,
        "updated_at_ms": half_hour_ago,
        "last_seen_at_ms": half_hour_ago,
        "expires_at_ms": half_hour_ago + expires_in * SECOND,
    }

    decision = decide(
        at=HOUR // 2, row=row, expires_in=expires_in, update_age=7200, rotation_interval=3600
    )

    assert decision.offer == offer


def test_shortest_time_to_repeat_a_cookie_in_divides_nothing_by_zero() -> None:
    row = {"updated_at_ms": NOW + 1, "expires_at_ms": NOW + 2 * DAY}
    settings: dict[str, Any] = {
        "expires_in": timedelta(seconds=2),
        "update_age": timedelta(seconds=1.999),
    }

    decision = decide(at=DAY, row=row, rotate_tokens=False, **settings)

    assert decision.is_accepted


@pytest.mark.parametrize(
    "settings",
    [
        {"expires_in": 12, "update_age": 5, "rotation_interval": 6, "rotation_grace": 1},
        {"expires_in": 8, "update_age": 1, "rotation_interval": 6, "rotation_grace": 1},
        {"expires_in": 20, "update_age": 6, "rotation_interval": 9, "rotation_grace": 1},
        {"expires_in": 600, "update_age": 60},
    ],
)
@pytest.mark.parametrize("step", [100, 700])
def test_session_in_use_never_expires_at_the_tightest_settings(
    settings: dict[str, Any], step: int
) -> None:
    """Nothing is refreshed within the window, nor in the pause before a rotation."""
    config = SessionConfig(secret="x" * 32, **settings)
    record = make_session(expires_at_ms=NOW + config.expires_in_ms)
    token, rotations = token_of(0), 0
    lasts_ms = 40 * config.rotation_interval_ms

    for now_ms in range(NOW, NOW + lasts_ms, step * config.rotation_grace_ms // 1000):
        decision = judge(record, token, now_ms=now_ms, address=None, config=config)
        assert decision.is_accepted, (now_ms - NOW, decision)
        record = written(record, decision)
        if decision.offer is not None:
            rotations += decision.offer.branch is None
            token = token_of(decision.offer.generation, decision.offer.branch or SIBLING)

    assert rotations > 20


# What follows from a session for its cookies


@pytest.mark.parametrize(
    ("row", "settings", "at", "lifetime"),
    [
        ({}, {}, 0, WEEK),
        ({}, {}, 3 * DAY, WEEK),
        ({"remember": False}, {}, 0, None),
        ({}, {"absolute_timeout": 86400}, 0, DAY),
        ({}, {"absolute_timeout": 30 * 86400}, 23 * DAY, WEEK),
        ({}, {"absolute_timeout": 30 * 86400}, 23 * DAY + 1, WEEK - 1),
        ({}, {"absolute_timeout": 86400}, DAY - SECOND - 1, SECOND + 1),
        ({}, {"absolute_timeout": 86400}, DAY - 1, SECOND),
        ({"remember": False}, {"absolute_timeout": 86400}, 0, None),
    ],
)
def test_cookie_lasts_as_long_as_a_refresh_now_would(
    row: dict[str, Any], settings: dict[str, Any], at: int, lifetime: int | None
) -> None:
    config = SessionConfig(secret="x" * 32, **settings)

    assert cookie_lifetime_ms(make_session(**row), now_ms=NOW + at, config=config) == lifetime


LONG_COPY = {"max_age": 10 * 86400}


@pytest.mark.parametrize(
    ("settings", "row", "end"),
    [
        ({}, {}, 300 * SECOND),
        ({"cookie_cache": LONG_COPY}, {}, DAY - GRACE),
        ({"cookie_cache": LONG_COPY, "rotation_interval": 3600}, {}, HOUR - GRACE),
        ({"cookie_cache": LONG_COPY, "rotation_interval": 3 * 86400}, {}, DAY),
        ({"cookie_cache": LONG_COPY}, {"remember": False}, DAY // 2 - GRACE),
        ({"cookie_cache": LONG_COPY, "short_expires_in": 300}, {"remember": False}, WEEK),
        ({"cookie_cache": LONG_COPY, "rotate_tokens": False}, {"remember": False}, WEEK),
        ({"cookie_cache": LONG_COPY, "rotate_tokens": False}, {}, DAY),
        ({"absolute_timeout": 200}, {}, 200 * SECOND),
        (
            {"cookie_cache": LONG_COPY, "rotate_tokens": False, "absolute_timeout": 2 * 86400},
            {"expires_at_ms": NOW + 2 * DAY},
            2 * DAY,
        ),
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


INSTANTS = ["last_seen_at_ms", "confirmed_at_ms", "authenticated_at_ms"]


@pytest.mark.parametrize("name", INSTANTS)
@pytest.mark.parametrize(
    ("settings", "allowed_ms"),
    [({}, GRACE), ({"rotate_tokens": False, "rotation_grace": 1, "clock_difference": 7}, 7000)],
)
def test_instant_further_ahead_than_clocks_differ_counts_from_now(
    name: str, settings: dict[str, Any], allowed_ms: int
) -> None:
    row = dict.fromkeys(INSTANTS, NOW + allowed_ms)
    assert put_right(settings, **row) == {}
    assert put_right(settings, **{**row, name: NOW + allowed_ms + 1}) == {name: NOW}


def test_session_that_would_live_too_long_is_to_be_refreshed() -> None:
    assert put_right(expires_at_ms=NOW + WEEK + GRACE) == {}
    assert put_right(expires_at_ms=NOW + WEEK + GRACE + 1) == {"expires_at_ms": NOW + WEEK - DAY}


def test_session_that_ends_with_the_browser_lives_no_longer_than_it_may() -> None:
    latest_ms = NOW + DAY + GRACE
    assert put_right(remember=False, expires_at_ms=latest_ms) == {}
    assert put_right(remember=False, expires_at_ms=latest_ms + 1) == {"expires_at_ms": NOW + DAY}


@pytest.mark.parametrize(("outcome", "how"), PRESENTATIONS)
def test_what_was_put_right_is_written_though_nothing_is_due(
    outcome: Outcome, how: dict[str, Any]
) -> None:
    now = NOW + how.get("at", 0)
    options = {**how.get("options", {}), "must_write": True}

    decision = present(
        {**how, "options": options}, authenticated_at_ms=NOW - 5, last_seen_at_ms=now
    )

    assert decision.outcome is outcome
    assert changed(decision).authenticated_at_ms == NOW - 5
