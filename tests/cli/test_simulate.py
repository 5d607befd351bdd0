"""``simulate``: what other settings would end, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import make_session
from wsgi_sessions import SessionManager
from wsgi_sessions.cli.durations import parse_duration
from wsgi_sessions.cli.main import main
from wsgi_sessions.sessions.tokens import new_secret

HOUR = 3_600_000


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SessionManager:
    """A manager whose database the command finds in the environment."""
    url, secret = f"sqlite:///{tmp_path}/app.db", new_secret()
    monkeypatch.setenv("WSGI_SESSIONS_DATABASE_URL", url)
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", secret)
    manager = SessionManager(url, secret=secret)
    manager.create_tables()
    return manager


def insert(manager: SessionManager, session_id: str, *, hours_ago: int, **changes: Any) -> None:
    """Insert a session that was begun, and last seen, so long ago."""
    then = manager.clock.now_ms() - hours_ago * HOUR
    record = make_session(
        session_id,
        authenticated_at_ms=then,
        created_at_ms=then,
        updated_at_ms=then,
        confirmed_at_ms=then,
        last_seen_at_ms=then,
        expires_at_ms=then + 7 * 24 * HOUR,
    )
    manager.parts.store.sessions.insert(record._replace(**changes))


def simulated(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["simulate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_counts_sessions_and_people_and_changes_nothing(
    manager: SessionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    insert(manager, "a-1", hours_ago=1, user_id="user-a")
    insert(manager, "a-2", hours_ago=0, user_id="user-a")
    insert(manager, "b-1", hours_ago=13, user_id="user-b")
    insert(manager, "c-1", hours_ago=0, last_ip_address="198.51.100.1")

    document = simulated(
        capsys,
        "--idle",
        "30m",
        "--absolute",
        "12h",
        "--max-sessions",
        "1",
        "--ip-binding",
        "subnet",
    )

    assert document["live"] == {"sessions": 4, "people": 2}
    changed = document["changed"]
    assert changed["sessions_ended_now"] == 3
    assert changed["reasons_now"] == {"absolute": 1, "idle": 1, "ip_mismatch": 1}
    assert changed["sessions_ended_by_day"] == [1, 0, 0, 0, 0, 0, 0]
    assert (changed["people_ended_now"], changed["people_left_without_now"]) == (2, 1)
    assert changed["settings"]["idle_timeout"] == "1800 s"
    assert document["today"]["sessions_ended_now"] == 0
    assert len(manager.list_sessions("user-a")) == 2


def test_sessions_beyond_the_limit_are_told_apart(
    manager: SessionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        insert(manager, f"session-{number}", hours_ago=number, user_id="user-1")

    document = simulated(capsys, "--max-sessions", "3")

    assert document["changed"]["sessions_ended_now"] == 0
    assert document["changed"]["sessions_over_limit"] == 1
    assert document["today"]["sessions_over_limit"] == 0


def test_a_limit_is_taken_away(
    manager: SessionManager,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WSGI_SESSIONS_IDLE_TIMEOUT", "86400")
    insert(manager, "session-1", hours_ago=1)

    document = simulated(capsys, "--idle", "none", "--max-sessions", "none")

    assert document["today"]["sessions_ended_by_day"][0] == 1
    assert document["changed"]["sessions_ended_by_day"][0] == 0
    assert document["changed"]["settings"]["maximum_sessions"] is None


def test_people_are_told_what_was_assumed(
    manager: SessionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    insert(manager, "session-1", hours_ago=1)

    assert main(["simulate", "--expires-in", "3d", "--ip-binding", "subnet"]) == 0

    text = capsys.readouterr().out
    assert "1 live session of 0 people" in text
    assert "Assumed: nobody uses a session again" in text
    assert "expires_in counts from a session's next refresh on" in text
    assert "lives on where it began" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one option at least"),
        (["--idle", "30x"], "a whole number and a unit: 90s, 30m, 12h, 7d or 2w, or none"),
        (["--idle", "-1h"], "is no duration"),
        (["--idle", "0s"], "idle_timeout is 0 s but must be more than 0"),
        (["--absolute", "1.5h"], "is no duration"),
        (["--expires-in", "none"], "is no duration"),
        (["--expires-in", "1h"], "lower update_age or raise expires_in"),
        (["--max-sessions", "many"], "give one such as 3, or none"),
        (["--max-sessions", "0"], "between 1 and 1000000"),
        (["--ip-binding", "city"], "'off', 'subnet', 'exact'"),
    ],
)
def test_wrong_values_are_told_what_is_allowed(
    arguments: list[str],
    said: str,
    manager: SessionManager,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["simulate", *arguments]) == 2

    assert said in capsys.readouterr().err


def test_durations_have_units() -> None:
    given = ("45", "90s", "30m", "12h", "7d", "2w")

    assert [parse_duration(text).total_seconds() for text in given] == [
        *(45, 90, 1800, 43_200, 604_800, 1_209_600)
    ]
