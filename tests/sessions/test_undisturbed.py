"""What ``is_undisturbed`` says beside ``judge``, which has the rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.support import make_session
from wsgi_sessions import SessionConfig
from wsgi_sessions.records import Decision, Outcome, PresentedToken, SessionRecord
from wsgi_sessions.sessions.policy import judge, put_clock_right
from wsgi_sessions.sessions.undisturbed import is_undisturbed

NOW = 1_900_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
BRANCH, OTHER = "AAAAAAAA", "BBBBBBBB"
SETTINGS: list[dict[str, Any]] = [
    {},
    {"idle_timeout": 1800},
    {"absolute_timeout": 5 * DAY // 1000},
    {"rotate_tokens": False},
    {"rotation_interval": 7200},
    {"update_age": 60},
    {"ip_binding": "exact"},
]
CONFIGS = [SessionConfig(secret="x0123456789abcdef" * 2, **each) for each in SETTINGS]

INSTANTS = (
    "confirmed_at_ms",
    "authenticated_at_ms",
    "updated_at_ms",
    "last_seen_at_ms",
    "expires_at_ms",
)
instants = st.one_of(
    st.integers(-HOUR, HOUR),
    st.sampled_from([-8 * DAY, -7 * DAY, -6 * DAY, -DAY, DAY, 6 * DAY, 7 * DAY, 8 * DAY]),
).map(lambda offset: NOW + offset)


def token(generation: int = 5, branch: str = BRANCH, *, is_newest: bool = True) -> PresentedToken:
    return PresentedToken("s" * 24, generation, branch, bytes(24), "", is_newest)


def quiet_session(**values: Any) -> SessionRecord:
    """A session that was confirmed, refreshed and seen an hour ago, and seen again just now."""
    before = {
        "authenticated_at_ms": NOW - 2 * DAY,
        "confirmed_at_ms": NOW - HOUR,
        "updated_at_ms": NOW - HOUR,
        "last_seen_at_ms": NOW - 1000,
        "expires_at_ms": NOW - HOUR + 7 * DAY,
    }
    kept = {"generation": 5, "branch": BRANCH, "is_settled": True, **before}
    return make_session(**{**kept, **values})


def said_and_judged(
    record: SessionRecord,
    presented: PresentedToken,
    config: SessionConfig,
    *,
    has_long_body: bool = False,
    allow_refresh: bool = True,
) -> tuple[bool, bool]:
    """Return what is said of a request, and whether ``judge`` accepts it as it is."""
    right = put_clock_right(record, now_ms=NOW, config=config)
    decision = judge(
        right,
        presented,
        now_ms=NOW,
        address=None,
        user_agent="Mozilla/5.0",
        has_long_body=has_long_body,
        allow_refresh=allow_refresh,
        config=config,
        must_write=right is not record,
    )
    is_as_it_is = decision == Decision(Outcome.CURRENT, is_accepted=True)
    return is_undisturbed(record, presented, now_ms=NOW, config=config), is_as_it_is


@given(
    config=st.sampled_from(CONFIGS),
    presented=st.builds(
        token, st.integers(4, 6), st.sampled_from([BRANCH, OTHER]), is_newest=st.booleans()
    ),
    values=st.fixed_dictionaries(
        {},
        optional={
            "remember": st.booleans(),
            "is_settled": st.booleans(),
            "ended_at_ms": st.just(NOW - 1),
            **dict.fromkeys(INSTANTS, instants),
        },
    ),
    options=st.fixed_dictionaries(
        {"has_long_body": st.booleans(), "allow_refresh": st.booleans()},
    ),
)
def test_what_is_undisturbed_is_accepted_as_it_is(
    config: SessionConfig,
    presented: PresentedToken,
    values: dict[str, Any],
    options: dict[str, bool],
) -> None:
    said, is_as_it_is = said_and_judged(quiet_session(**values), presented, config, **options)
    event(f"undisturbed: {said}")

    assert is_as_it_is or not said


@pytest.mark.parametrize("config", CONFIGS[:5], ids=str(SETTINGS[:5]).split("}, {"))
def test_requests_of_a_quiet_session_are_undisturbed(config: SessionConfig) -> None:
    assert said_and_judged(quiet_session(), token(), config) == (True, True)
    assert said_and_judged(
        quiet_session(remember=False, expires_at_ms=NOW + HOUR), token(), config
    ) == (True, True)


EDGES = [
    (CONFIGS[0], "expires_at_ms", NOW + 7 * DAY - DAY),
    (CONFIGS[0], "last_seen_at_ms", NOW - CONFIGS[0].touch_interval_ms),
    (CONFIGS[1], "last_seen_at_ms", NOW - 180_000),
    (CONFIGS[0], "confirmed_at_ms", NOW - CONFIGS[0].rotation_interval_ms),
    (CONFIGS[2], "authenticated_at_ms", NOW - 5 * DAY),
]


@pytest.mark.parametrize(("config", "name", "due_ms"), EDGES, ids=[name for _, name, _ in EDGES])
def test_the_very_instant_at_which_something_is_due_disturbs(
    config: SessionConfig, name: str, due_ms: int
) -> None:
    before, due = quiet_session(**{name: due_ms + 1}), quiet_session(**{name: due_ms})

    assert said_and_judged(before, token(), config) == (True, True)
    assert said_and_judged(due, token(), config) == (False, False)
