"""Which tokens are taken: confirmed, current, settled, late or replayed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import DAY, NOW, make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import (
    Change,
    Decision,
    EndReason,
    Offer,
    Outcome,
)
from wsgi_sessions.sessions.policy import (
    judge,
)

from .decisions import (
    ACCEPTED,
    BEFORE,
    CATCH_UP,
    CAUGHT_UP,
    GRACE,
    HOUR,
    LONG,
    OWN,
    PRESENTATIONS,
    REFRESH_DUE,
    SECOND,
    SIBLING,
    STORED,
    TOUCH,
    UNSETTLED,
    UPLOAD,
    WEEK,
    WINDOW,
    changed,
    decide,
    present,
    token_of,
    written,
)

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
            last_ip_address="192.0.2.1",
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
            last_ip_address="192.0.2.1",
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
            last_ip_address="192.0.2.1",
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
    config = SessionConfig(secret="x0123456789abcdef" * 2)
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


def test_every_way_to_be_accepted_is_among_these() -> None:
    assert {outcome for outcome, _ in PRESENTATIONS} == ACCEPTED


@pytest.mark.parametrize(("outcome", "how"), PRESENTATIONS)
def test_whoever_is_accepted_touches(outcome: Outcome, how: dict[str, Any]) -> None:
    """An idle limit must not end a browser whose requests are all siblings' or late."""
    now = NOW + how.get("at", 0)

    decision = present(how, last_seen_at_ms=now - TOUCH)
    assert (decision.outcome, changed(decision).last_seen_at_ms) == (outcome, now)

    if outcome not in (Outcome.CONFIRM, Outcome.SETTLE, Outcome.TAKE_OVER):
        assert changed(decision).may_fail
        last = {"last_seen_at_ms": now, "last_ip_address": "192.0.2.1"}
        stored = make_session(**{**STORED, **how.get("row", {}), **last})
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
