"""``wsgi-sessions events --follow``: each event once, in whatever order it is committed."""

from __future__ import annotations

import json
import queue
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.contract.databases import connect_mariadb, fresh_url
from tests.support import WAIT_SECONDS
from wsgi_sessions import SessionManager
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.events import SessionEvent
from wsgi_sessions.storage import event_tail
from wsgi_sessions.storage.event_rows import Wanted
from wsgi_sessions.storage.event_tail import EventTail
from wsgi_sessions_testing import FakeClock
from wsgi_sessions_testing.settings import CHEAP_PASSWORDS

from .sites import SECRET, Line
from .test_terminal import command, variables

LATE_MS = 90_000


class Trail:
    """An event table, written to past the store: with any ids, in any order."""

    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.manager = SessionManager(url, secret=SECRET, clock=self.clock, audit=True)
        self.manager.create_tables()

    def put(self, row_id: int, *, age_ms: int = 0, name: str = "session_created") -> int:
        event = self.manager.parts.models.event
        at_ms = self.clock.now_ms() - age_ms
        query = event.insert(
            {event.id: row_id, event.at: at_ms, event.name: name, event.details: "{}"}
        )
        self._run(query)
        return row_id

    def remove(self, row_id: int) -> None:
        event = self.manager.parts.models.event
        self._run(event.delete().where(event.id == row_id))

    def _run(self, query: Any) -> None:
        self.manager.parts.connections.run(query.execute)

    def tail(self, wanted: Wanted | None = None, since_ms: int | None = None) -> EventTail:
        parts = self.manager.parts
        return EventTail(
            parts.connections,
            parts.models,
            parts.store.clock,
            wanted=wanted or Wanted(),
            late_ms=LATE_MS,
            since_ms=since_ms,
        )


@pytest.fixture
def trail(url: str) -> Iterator[Trail]:
    trail = Trail(url)
    yield trail
    trail.manager.close()


@pytest.fixture
def sqlite_trail(sqlite_url: str) -> Iterator[Trail]:
    trail = Trail(sqlite_url)
    yield trail
    trail.manager.close()


def ids(found: list[SessionEvent]) -> list[int | None]:
    return [event.id for event in found]


def read(tail: EventTail) -> list[int | None]:
    """Read until that is all for now."""
    found: list[int | None] = []
    while True:
        events, is_all = tail.read()
        found += ids(events)
        if is_all:
            return found


def test_what_was_there_before_is_not_told(trail: Trail) -> None:
    trail.put(5)
    tail = trail.tail()

    assert read(tail) == []
    trail.put(6)
    assert read(tail) == [6]
    assert read(tail) == []


def test_a_lower_id_that_comes_later_is_told_once(trail: Trail) -> None:
    tail = trail.tail()
    read(tail)
    trail.put(10)
    assert read(tail) == [10]
    trail.clock.advance(seconds=50)

    trail.put(7, age_ms=60_000)

    assert [read(tail), read(tail)] == [[7], []]


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_transaction_that_commits_after_a_later_one_is_told(kind: str, tmp_path: Path) -> None:
    with fresh_url(kind, tmp_path) as url:
        trail = Trail(url)
        tail = trail.tail()
        read(tail)
        with slow_transaction(kind, url, trail.clock.now_ms()) as commit:
            trail.put(1000)
            assert read(tail) == [1000]
            commit()
            assert len(read(tail)) == 1
        assert read(tail) == []
        trail.manager.close()


@contextmanager
def slow_transaction(kind: str, url: str, at_ms: int) -> Iterator[Any]:
    """Insert an event with the next id, and commit it when the test says so."""
    if kind == "postgres":
        import psycopg

        connection: Any = psycopg.connect(url)
    else:
        connection = connect_mariadb(urlsplit(url).path[1:])
        connection.autocommit(False)
    sql = "INSERT INTO wsgi_sessions_event (at, name, details) VALUES (%s, 'session_ended', '{}')"
    connection.cursor().execute(sql, (at_ms,))
    yield connection.commit
    connection.close()


def test_an_event_that_comes_as_another_is_deleted_is_told_within_ten_seconds(
    trail: Trail,
) -> None:
    tail = trail.tail()
    read(tail)
    trail.put(10)
    assert read(tail) == [10]

    trail.remove(10)
    trail.put(7)
    told = read(tail)
    trail.clock.advance(seconds=10)
    told += read(tail)

    assert told == [7]
    assert read(tail) == []


def test_the_number_of_an_event_that_was_lost_may_be_another_s(trail: Trail) -> None:
    tail = trail.tail()
    read(tail)
    trail.put(10)
    assert read(tail) == [10]

    trail.remove(10)
    trail.clock.advance(seconds=11)
    trail.put(10)

    assert read(tail) == [10]


def test_what_fails_within_a_reading_is_told_by_the_next(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail = trail.tail()
    read(tail)
    trail.put(10)
    runner = tail._runner
    read_rows, calls = runner.read_rows, []

    def fail_at_the_second(*given: Any, **values: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            raise StoreUnavailableError("away")
        return read_rows(*given, **values)

    monkeypatch.setattr(runner, "read_rows", fail_at_the_second)
    with pytest.raises(StoreUnavailableError):
        tail.read()

    assert read(tail) == [10]
    assert read(tail) == []


def test_an_outage_longer_than_any_transaction_hides_nothing(trail: Trail) -> None:
    tail = trail.tail()
    read(tail)
    trail.clock.advance(seconds=5)
    trail.put(4, age_ms=80_000)
    trail.put(5)
    trail.clock.advance(days=1)
    trail.put(6)

    assert read(tail) == [4, 5, 6]


def test_since_an_instant_all_is_told_once_page_by_page(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_tail, "MAX_ROWS", 2)
    since_ms = trail.clock.now_ms() - 3_600_000
    for row_id, age_ms in (
        (1, 4_000_000),
        (2, 3_600_000),
        (3, 3_000_000),
        (4, 20),
        (5, 20),
        (6, 5),
    ):
        trail.put(row_id, age_ms=age_ms)
    tail = trail.tail(since_ms=since_ms)

    assert read(tail) == [2, 3, 4, 5, 6]
    for row_id in (9, 8, 7):
        trail.put(row_id)
    told = read(tail)
    assert sorted(told, key=int) == [7, 8, 9]  # type: ignore[arg-type]
    assert read(tail) == []


def test_of_some_names_alone(trail: Trail) -> None:
    tail = trail.tail(Wanted(names=("session_ended",)))
    read(tail)

    trail.put(1)
    trail.put(2, name="session_ended")

    assert read(tail) == [2]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_of_commits_each_is_told_once(sqlite_trail: Trail, seed: int) -> None:
    """Ids are given in one order and seen in another; clocks and transactions keep their limits."""
    rng = random.Random(seed)
    begun: list[tuple[int, int]] = []
    written: list[int] = []
    told: list[int | None] = []
    tail = sqlite_trail.tail()
    read(tail)
    for step in range(60):
        clock = sqlite_trail.clock
        clock.advance(seconds=rng.choice([0, 0, 0.5, 3, 12]))
        now_ms = clock.now_ms()
        begun.append((step + 1, now_ms - rng.randrange(0, 30_000)))
        due = [each for each in begun if now_ms - each[1] > LATE_MS - 20_000 or rng.random() < 0.3]
        for each in due:
            begun.remove(each)
            written.append(sqlite_trail.put(each[0], age_ms=now_ms - each[1]))
        if written and rng.random() < 0.1:
            sqlite_trail.remove(rng.choice(written))
        if rng.random() < 0.6:
            told += ids(tail.read()[0])
    removed = set(written) - set(told)
    sqlite_trail.clock.advance(seconds=10)
    told += read(tail)

    assert len(told) == len(set(told))
    event = sqlite_trail.manager.parts.models.event
    there = {row_id for (row_id,) in event.select(event.id).tuples()}
    assert there - set(told) == set(), f"seed {seed}; seen too late to be told: {removed}"


# The command


class Following:
    """The command in a process of its own, and what it prints, line by line."""

    def __init__(self, url: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command("events", "--follow", "--interval", "0.1", *arguments),
            env=variables(url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads: list[threading.Thread] = []
        self.out = self._lines(self.process.stdout)
        self.err = self._lines(self.process.stderr)

    def _lines(self, stream: Any) -> queue.Queue[str]:
        lines: queue.Queue[str] = queue.Queue()

        def read() -> None:
            with stream:
                for line in stream:
                    lines.put(line.rstrip("\n"))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        self._threads.append(thread)
        return lines

    def next(self) -> str:
        return self.out.get(timeout=WAIT_SECONDS)

    def next_error(self) -> str:
        return self.err.get(timeout=WAIT_SECONDS)

    def stop(self) -> int:
        """Press Ctrl-C; return the exit code, once all that was printed is read."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(WAIT_SECONDS)
        self.close()
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)


@contextmanager
def following(url: str, *arguments: str) -> Iterator[Following]:
    found = Following(url, *arguments)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def manager(url: str) -> Iterator[SessionManager]:
    manager = SessionManager(url, secret=SECRET, audit=True, password=CHEAP_PASSWORDS)
    manager.create_tables()
    yield manager
    manager.close()


def sign_up(manager: SessionManager, name: str) -> Any:
    return manager.create_user(name=name, email=f"{name}@example.org".lower()).id


@pytest.mark.usefixtures("interruptible")
def test_programs_get_an_object_a_line_and_ctrl_c_ends_it(
    manager: SessionManager, url: str
) -> None:
    ada = sign_up(manager, "Ada")
    with following(url, "--json", "--since", "1h") as found:
        first = json.loads(found.next())
        bob = sign_up(manager, "Bob")
        manager.sign_in(bob)
        second, third = json.loads(found.next()), json.loads(found.next())
        code = found.stop()

    assert (first["name"], first["user_id"]) == ("user_created", ada)
    assert (second["name"], second["user_id"]) == ("user_created", bob)
    assert (third["name"], third["user_id"]) == ("session_created", bob)
    assert (code, found.out.empty(), found.err.empty()) == (130, True, True)


@pytest.mark.usefixtures("interruptible")
def test_people_get_a_line_for_each_that_is_new(manager: SessionManager, url: str) -> None:
    ada = sign_up(manager, "Ada")
    with following(url, "--name", "session_created") as found:
        waiting = found.next_error()
        sign_up(manager, "Bob")
        manager.sign_in(ada)
        line = found.next()
        code = found.stop()

    assert waiting.startswith("Waiting for new events.")
    assert "session_created" in line and str(ada) in line
    assert (code, found.out.empty()) == (130, True)


@pytest.mark.usefixtures("interruptible")
def test_a_database_that_is_away_for_a_moment_is_waited_for(
    sqlite_url: str, tmp_path: Path
) -> None:
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    manager = SessionManager(sqlite_url, secret=SECRET, audit=True)
    sign_up(manager, "Ada")
    manager.close()
    with following(sqlite_url, "--json", "--since", "1h") as found:
        assert json.loads(found.next())["name"] == "user_created"
        file.rename(tmp_path / "elsewhere.db")
        told = json.loads(found.next_error())["error"]
        (tmp_path / "elsewhere.db").rename(file)
        manager = SessionManager(sqlite_url, secret=SECRET, audit=True)
        bob = sign_up(manager, "Bob")
        event = json.loads(found.next())
        code = found.stop()
        manager.close()

    assert told["code"] == "database_away"
    assert (event["user_id"], code, found.out.empty()) == (bob, 130, True)
    assert found.err.empty(), "it is told once"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--follow", "--limit", "3"], "--follow has neither --limit nor --after"),
        (["--follow", "--after", "1-1"], "--follow has neither --limit nor --after"),
        (["--interval", "3"], "--interval is of use with --follow alone"),
    ],
)
def test_wrong_use_says_so(sqlite_trail: Trail, arguments: list[str], said: str) -> None:
    result = Line(sqlite_trail.manager)("events", *arguments)

    assert (result.exit_code, said in result.output) == (2, True), result.output
