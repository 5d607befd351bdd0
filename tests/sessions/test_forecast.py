"""A forecast of a change of policy: it says what judging each session says, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import DAY, NOW, make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import EndReason, PresentedToken, SessionRecord
from wsgi_sessions.sessions.forecast import DAYS, Forecast, Outcome, SeenSession
from wsgi_sessions.sessions.places import last_used_from
from wsgi_sessions.sessions.policy import judge, put_clock_right

HOUR = 3_600_000
SECRET = "s0123456789abcdef" * 2
TODAY = SessionConfig(secret=SECRET)


def seen(record: SessionRecord) -> SeenSession:
    return SeenSession(
        record.id,
        record.user_id,
        record.authenticated_at_ms,
        record.last_seen_at_ms,
        record.expires_at_ms,
        record.ip_address,
        last_used_from(record)[0],
    )


def forecast(
    records: Sequence[SessionRecord], *, today: SessionConfig = TODAY, **changes: Any
) -> Forecast:
    found = Forecast(today, today.replace(**changes), now_ms=NOW)
    found.add(map(seen, records))
    return found


def refusal_by_judge(record: SessionRecord, config: SessionConfig) -> tuple[int, EndReason] | None:
    """Ask ``judge`` now, and once a day, as a request with the token that counts does."""
    token = PresentedToken(record.id, record.generation, record.branch, b"", "", True)
    for day in range(DAYS + 1):
        now_ms = NOW + day * DAY
        decision = judge(
            put_clock_right(record, now_ms=now_ms, config=config),
            token,
            now_ms=now_ms,
            address=last_used_from(record)[0],
            config=config,
            allow_refresh=False,
        )
        if not decision.is_accepted:
            return day, decision.end_reason or EndReason.IP_MISMATCH
    return None


def outcome_by_judge(
    records: Sequence[SessionRecord], config: SessionConfig, *, limit: int | None
) -> Outcome:
    refusals = {record.id: refusal_by_judge(record, config) for record in records}
    people = {record.user_id for record in records} - {None}
    theirs = {who: [each for each in records if each.user_id == who] for who in people}

    def ended(record: SessionRecord, *, by_day: int) -> bool:
        found = refusals[record.id]
        return found is not None and found[0] <= by_day

    def people_with(test: Any, *, by_day: int) -> int:
        return sum(test(ended(each, by_day=by_day) for each in theirs[who]) for who in people)

    found = [refusal for refusal in refusals.values() if refusal is not None]
    over = [
        count - limit
        for who in people
        if limit is not None
        and (count := sum(not ended(each, by_day=0) for each in theirs[who])) > limit
    ]
    return Outcome(
        tuple(sum(day == each for day, _ in found) for each in range(DAYS + 1)),
        dict(Counter(reason for day, reason in found if day == 0)),
        dict(Counter(reason for day, reason in found if day > 0)),
        (people_with(any, by_day=0), people_with(any, by_day=DAYS)),
        (people_with(all, by_day=0), people_with(all, by_day=DAYS)),
        (sum(over), len(over)),
    )


def near(*instants: int) -> st.SearchStrategy[int]:
    """Instants around those that decide, and any others."""
    edges = st.sampled_from(instants)
    around = st.builds(int.__add__, edges, st.sampled_from([-DAY, -1, 0, 1, 60_000, 60_001, HOUR]))
    return around | st.integers(NOW - 30 * DAY, NOW + 30 * DAY)


ADDRESSES = st.sampled_from([None, "192.0.2.1", "192.0.2.9", "198.51.100.1", "2001:db8::1"])
RECORDS = st.builds(
    make_session,
    user_id=st.sampled_from([None, "user-1", "user-2", "user-3"]),
    authenticated_at_ms=near(NOW, NOW - 12 * HOUR, NOW - 7 * DAY),
    last_seen_at_ms=near(NOW, NOW - HOUR // 2, NOW - 3 * DAY),
    expires_at_ms=near(NOW, NOW + DAY, NOW + 7 * DAY),
    remember=st.booleans(),
    ip_address=ADDRESSES,
    last_ip_address=ADDRESSES,
    last_user_agent=st.sampled_from([None, "Firefox"]),
)
CHANGES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "idle_timeout": st.sampled_from([None, 1800, 3 * 86_400, 10 * 86_400]),
        "absolute_timeout": st.sampled_from([None, 43_200, 7 * 86_400, 8 * 86_400]),
        "expires_in": st.sampled_from([2 * 86_400, 30 * 86_400]),
        "ip_binding": st.sampled_from(["off", "subnet", "exact"]),
        "on_ip_mismatch": st.sampled_from(["reject", "revoke"]),
    },
)
LIMITS = st.sampled_from([None, 1, 2])


@settings(max_examples=300)
@given(st.lists(RECORDS, max_size=12), CHANGES, CHANGES, LIMITS)
def test_it_says_what_judging_each_session_says(
    drawn: list[SessionRecord], before: dict[str, Any], after: dict[str, Any], limit: int | None
) -> None:
    records = [each._replace(id=f"session-{n}") for n, each in enumerate(drawn)]
    today = TODAY.replace(**before)
    changed = today.replace(**after, multi_session={"maximum_sessions": limit})

    found = Forecast(today, changed, now_ms=NOW)
    found.add(map(seen, records))

    live = []
    for record in records:
        refusal = refusal_by_judge(record, today)
        if refusal is None or refusal[0] > 0:
            live.append(record)
    assert found.live_count == len(live)
    assert found.people_count == len({each.user_id for each in live} - {None})
    assert found.changed == outcome_by_judge(live, changed, limit=limit)
    assert found.today == outcome_by_judge(live, today, limit=5)


@pytest.mark.parametrize(
    ("idle_minutes", "ended_now"), [(29, 0), (30, 1)], ids=["within it", "at its very end"]
)
def test_who_was_idle_for_too_long_ends_now(idle_minutes: int, ended_now: int) -> None:
    record = make_session(last_seen_at_ms=NOW - idle_minutes * 60_000)

    found = forecast([record], idle_timeout=1800)

    assert found.changed.ended_now == ended_now
    assert found.changed.ended_in_all == 1
    assert found.today.ended_by_day == (0, 0, 0, 0, 0, 0, 0, 1)


def test_the_reasons_are_told_apart() -> None:
    records = [
        make_session("old", authenticated_at_ms=NOW - 2 * DAY),
        make_session("idle", last_seen_at_ms=NOW - HOUR),
        make_session("elsewhere", last_ip_address="198.51.100.1"),
    ]

    found = forecast(records, idle_timeout=3000, absolute_timeout=86_400, ip_binding="subnet")

    assert found.changed.reasons_now == {
        EndReason.ABSOLUTE: 1,
        EndReason.IDLE: 1,
        EndReason.IP_MISMATCH: 1,
    }


OVER: dict[str, dict[str, Any]] = {
    "absolute": {"authenticated_at_ms": NOW - 2 * DAY},
    "expired": {"expires_at_ms": NOW + HOUR},
    "idle": {"last_seen_at_ms": NOW - DAY},
    "ip_mismatch": {"last_ip_address": "198.51.100.1"},
}


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        (["absolute", "idle", "ip_mismatch"], "absolute"),
        (["idle", "ip_mismatch"], "idle"),
        (["ip_mismatch"], "ip_mismatch"),
        (["expired", "ip_mismatch"], "ip_mismatch"),
    ],
)
def test_of_several_reasons_the_first_that_judge_tells_counts(over: list[str], reason: str) -> None:
    record = make_session(**{name: value for each in over for name, value in OVER[each].items()})

    found = forecast([record], idle_timeout=43_200, absolute_timeout=86_400, ip_binding="subnet")

    assert found.changed.reasons_now == {EndReason(reason): 1}


def test_on_one_day_the_expiry_is_told_before_idleness() -> None:
    found = forecast([make_session(expires_at_ms=NOW + 9 * HOUR)], idle_timeout=8 * 3600)

    assert found.changed.reasons_later == {EndReason.EXPIRED: 1}


def test_without_several_sessions_each_but_one_is_beyond_the_limit() -> None:
    records = [make_session(f"session-{n}", user_id="user-1") for n in range(3)]

    found = forecast(records, multi_session={"enabled": False})

    assert found.changed.over_limit == (2, 1)


def test_what_is_refused_today_already_is_left_out() -> None:
    records = [make_session("expired", expires_at_ms=NOW), make_session("live")]

    assert forecast(records, idle_timeout=1800).live_count == 1


def test_people_are_counted_once_and_those_without_any_other_session_apart() -> None:
    records = [
        make_session("a-1", user_id="user-a", last_seen_at_ms=NOW - DAY),
        make_session("a-2", user_id="user-a", last_seen_at_ms=NOW - DAY),
        make_session("b-1", user_id="user-b", last_seen_at_ms=NOW - DAY),
        make_session("b-2", user_id="user-b"),
        make_session("visitor", last_seen_at_ms=NOW - DAY),
    ]

    found = forecast(records, idle_timeout=43_200).changed

    assert found.ended_now == 4
    assert found.people_ended == (2, 2)
    assert found.people_left_without == (1, 2)


def test_sessions_beyond_the_limit_are_those_that_the_other_limits_leave() -> None:
    records = [make_session(f"session-{n}", user_id="user-1") for n in range(5)]
    records.append(make_session("idle", user_id="user-1", last_seen_at_ms=NOW - DAY))

    found = forecast(records, idle_timeout=43_200, multi_session={"maximum_sessions": 3})

    assert found.changed.over_limit == (2, 1)
    assert found.today.over_limit == (1, 1)


def test_a_shorter_life_leaves_what_sessions_were_given() -> None:
    """As in ``judge``: it counts from a session's next refresh on."""
    found = forecast([make_session()], expires_in=2 * 86_400)

    assert found.changed.ended_by_day == found.today.ended_by_day
