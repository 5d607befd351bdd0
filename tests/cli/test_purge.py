"""``purge``: batch after batch, broken off and gone on with."""

from __future__ import annotations

import pytest

from wsgi_sessions import SessionManager, SystemClock
from wsgi_sessions_testing.factories import Factories

from .sites import DAY, SECRET, Line


@pytest.fixture
def line(url: str) -> Line:
    """Give a database with 25 sessions that have had their time, one that ended, and one live."""
    # A server's clock is the machine's, and a clock that differs from it purges nothing.
    manager = SessionManager(url, secret=SECRET, clock=SystemClock())
    factories = Factories(manager)
    ada = factories.make_user("ada@example.org")
    for _ in range(25):
        factories.make_session(ada, age=40 * DAY)
    factories.make_session(ada, ended="revoked")
    factories.make_session(ada)
    return Line(manager)


def test_all_that_has_had_its_time_goes_and_nothing_else(line: Line) -> None:
    purged = line.document("purge", "--batch-rows", "10", "--pause", "0")

    assert purged == {"due": 25, "deleted": 25}
    assert line.document("stats")["sessions"]["all"] == 2


def test_a_dry_run_counts_and_deletes_nothing(line: Line) -> None:
    assert line.document("purge", "--dry-run") == {"due": 25, "deleted": 0}
    assert line.document("stats")["sessions"]["all"] == 27


def test_what_was_deleted_before_ctrl_c_stays_deleted_and_the_next_run_goes_on(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("wsgi_sessions.cli.purge.time.sleep", rest)
        stopped = line("purge", "--batch-rows", "10")

    assert stopped.exit_code == 130
    assert "20 rows deleted, 5 left; run it again to go on" in stopped.stderr
    assert line.document("purge", "--pause", "0") == {"due": 5, "deleted": 5}


def test_it_rests_as_long_as_it_is_told(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    instants = iter(range(0, 100_000, 7))
    rests: list[float] = []
    monkeypatch.setattr("wsgi_sessions.cli.purge.monotonic_ms", lambda: next(instants))
    monkeypatch.setattr("wsgi_sessions.cli.purge.time.sleep", rests.append)

    line("purge", "--batch-rows", "10", "--pause", "2")

    assert rests == [0.014] * 3


def test_a_wrong_clock_deletes_nothing_and_says_so(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line.manager.parts.purger._store, "purge", lambda *_, **__: 0)

    refused = line("purge")

    assert refused.exit_code == 1
    assert "clocks of this machine and of the database differ" in refused.stderr
