"""The invariants I1 to I6 of sessions.md hold in every interleaving, and can be seen to break."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import CachedInvariantMachine, InvariantMachine
from .mutations import mutated_judge

# Covered by other tests: tracing would cost minutes.
pytestmark = pytest.mark.no_cover

SETTINGS = settings(
    max_examples=120,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

ONCE = settings(SETTINGS, derandomize=True, phases=[Phase.generate], database=None)
"""To see something fail, the same in each run, and not to make it smaller."""


@pytest.mark.parametrize("machine", [InvariantMachine, CachedInvariantMachine])
def test_invariants_hold_in_every_interleaving(machine: type[InvariantMachine]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)


@pytest.mark.parametrize(
    ("mutation", "invariant"),
    [
        ("no catch-up", "I1"),
        ("siblings are replays after the window", "I1"),
        ("long bodies are no later than others", "I1"),
        ("any token of the generation before", "I2"),
    ],
)
def test_invariants_break_without_a_rule(
    mutation: str, invariant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsgi_sessions.sessions.validation.judge", mutated_judge(mutation))

    with pytest.raises(AssertionError, match=invariant):
        run_state_machine_as_test(InvariantMachine, settings=ONCE)


def test_invariants_break_where_outdated_cookies_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "wsgi_sessions.wsgi.response_cookies.ResponseCookies._good_until_ms", lambda *_: None
    )

    with pytest.raises(AssertionError, match="I1"):
        run_state_machine_as_test(InvariantMachine, settings=ONCE)
