"""When a session is refreshed, rotated and touched, and its cookie sent again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support import DAY, NOW, make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import (
    Decision,
    Offer,
    Outcome,
)
from wsgi_sessions.sessions.policy import (
    cached_copy_end_ms,
    cookie_lifetime_ms,
    judge,
)

from .decisions import (
    GRACE,
    HOUR,
    OWN,
    PRESENTATIONS,
    SECOND,
    SIBLING,
    TOUCH,
    UNSETTLED,
    UPLOAD,
    WEEK,
    WINDOW,
    changed,
    decide,
    present,
    put_right,
    token_of,
    written,
)

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
    config = SessionConfig(secret="x0123456789abcdef" * 2, **settings)
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
    config = SessionConfig(secret="x0123456789abcdef" * 2, **settings)

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
    config = SessionConfig(secret="x0123456789abcdef" * 2, **settings)

    found = cached_copy_end_ms(make_session(**row), now_ms=NOW, config=config)

    assert found - NOW == end


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
