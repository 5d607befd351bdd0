"""Many at once: sign-ins, refreshes, data, writers of one file, and workers killed under load."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import peewee
import psycopg
import pytest

from tests.contract.databases import fresh_server_database
from tests.support import IS_FULL, in_parallel
from wsgi_sessions import SessionLimitReached, SessionManager, SessionMiddleware
from wsgi_sessions.records import SessionRecord
from wsgi_sessions.storage.models import Models, build_models
from wsgi_sessions_testing import Browser, FakeClock

from .server_app import CHEAP_PASSWORDS
from .servers import (
    DATABASES,
    PASSWORD,
    PATIENCE_SECONDS,
    SECRET,
    Answer,
    Server,
    Visitor,
    fresh_database,
    serving,
)

ADA = "ada@example.org"
MAXIMUM_SESSIONS = 5
KILL_SECONDS = 60.0 if IS_FULL else 10.0
SECONDS_BETWEEN_KILLS = 0.4
ROTATIONS = max(1, int(KILL_SECONDS / 6) - 2)


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh_database(request.param, tmp_path) as url:
        yield url


@contextmanager
def managing(database: str, **settings: Any) -> Iterator[SessionManager]:
    manager = SessionManager(
        database, secret=SECRET, password=CHEAP_PASSWORDS, throttle=None, **settings
    )
    manager.create_tables()
    with closing(manager):
        yield manager


def sign_up(manager: SessionManager, email: str = ADA) -> Any:
    return manager.sign_up_email(name="Ada", email=email, password=PASSWORD).user.id


@contextmanager
def tables(database: str) -> Iterator[Models]:
    """Read the tables past everything that is under test but their names."""
    with managing(database) as manager:
        yield build_models(manager.database)


def count_by_end_reason(database: str) -> dict[str | None, int]:
    with tables(database) as models:
        return dict(Counter(row.end_reason for row in models.session.select()))


class TestTablesMadeAtOnce:
    def test_second_process_waits_for_the_first_and_finds_them(self) -> None:
        with (
            fresh_server_database("postgres") as database,
            closing(SessionManager(database, secret=SECRET)) as first,
            closing(SessionManager(database, secret=SECRET)) as second,
        ):
            with first.database.atomic():
                first.create_tables()
                waiting = Outcome(second.create_tables)
                wait_until_blocked(database)
            waiting.wait()

            assert waiting.error is None

    @pytest.mark.parametrize("kind", DATABASES)
    def test_eight_processes_make_them_together(self, kind: str, tmp_path: Path) -> None:
        with fresh_database(kind, tmp_path) as database:
            script = (
                "import sys\n"
                "from wsgi_sessions import SessionManager\n"
                f"manager = SessionManager({database!r}, secret={SECRET!r})\n"
                "print('ready', flush=True)\n"
                "sys.stdin.readline()\n"
                "manager.list_sessions('nobody')\n"
                "manager.close()\n"
            )
            together = [
                subprocess.Popen(
                    [sys.executable, "-c", script],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for _ in range(8)
            ]
            for process in together:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in together:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            said = [process.communicate(timeout=PATIENCE_SECONDS)[1] for process in together]

        assert said == [""] * 8


class Outcome:
    """What comes of work in a thread of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error


def wait_until_blocked(database: str) -> None:
    """Return once a connection to a PostgreSQL database waits for another's lock."""
    blocked = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(database, autocommit=True) as watching:
        while time.monotonic() < deadline:
            row = watching.execute(blocked).fetchone()
            if row is not None and row[0]:
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits")


class TestFiftySignIns:
    def test_by_threads_leave_exactly_the_maximum(self, database: str) -> None:
        with managing(database) as manager:
            user_id = sign_up(manager)

            in_parallel(lambda _: manager.sign_in(user_id), 50)

            assert len(manager.list_sessions(user_id)) == MAXIMUM_SESSIONS
        assert count_by_end_reason(database) == {None: 5, "evicted": 46}

    def test_by_threads_are_admitted_up_to_the_maximum(self, database: str) -> None:
        with managing(database, multi_session={"on_limit": "reject"}) as manager:
            user_id = sign_up(manager)

            def is_admitted(_: int) -> bool:
                try:
                    manager.sign_in(user_id)
                except SessionLimitReached:
                    return False
                return True

            admitted = in_parallel(is_admitted, 50)

        assert Counter(admitted) == {True: MAXIMUM_SESSIONS - 1, False: 46}
        assert count_by_end_reason(database) == {None: MAXIMUM_SESSIONS}

    def test_by_processes_leave_exactly_the_maximum(self, database: str, tmp_path: Path) -> None:
        with managing(database) as manager:
            sign_up(manager)
        with serving("gthread", database, tmp_path, workers=4) as server:
            worker_count = len(server.workers())

            answers = in_parallel(lambda _: server.visitor().sign_in(ADA).status, 50)

        assert worker_count == 4
        assert Counter(answers) == {200: 50}
        assert count_by_end_reason(database) == {None: 5, "evicted": 46}


class TestGuesses:
    def test_by_processes_are_looked_at_up_to_the_limit(
        self, database: str, tmp_path: Path
    ) -> None:
        with managing(database) as manager:
            sign_up(manager)
        settings = {"throttle": {"window": 3600}}
        with serving("gthread", database, tmp_path, workers=4, settings=settings) as server:

            def status_of(password: str) -> int:
                return server.visitor().sign_in(ADA, password).status

            assert len(server.workers()) == 4
            # Right ones leave nothing behind, not even those that waited for others.
            assert set(in_parallel(lambda _: status_of(PASSWORD), 40)) <= {200, 429}
            with tables(database) as models:
                assert models.attempt.select().count() == 0
            at_once = Counter(in_parallel(lambda _: status_of("wrong horse"), 40))
            # Of those at one moment all may have been refused; now there is one at a time.
            at_last = Counter(status_of("wrong horse") for _ in range(11))
            assert (at_once + at_last) == {401: 10, 429: 41}
            assert status_of(PASSWORD) == 429
            assert server.visitor().sign_up("bob@example.org").status == 200


class Site:
    """An app, a browser that is signed in, and what the database itself noted of its writes."""

    def __init__(self, manager: SessionManager, clock: FakeClock) -> None:
        app = SessionMiddleware(show_user, manager)
        self.manager, self.clock = manager, clock
        self.browser = Browser(app, clock=clock, manager=manager)
        self.browser.get(f"/sign-in?{sign_up(manager)}")
        log_writes(manager.database)

    @property
    def record(self) -> SessionRecord:
        """The session as it is stored."""
        token = self.manager.parts.signer.read(self.browser.session_token or "")
        found = None if token is None else self.manager.parts.store.sessions.find(token.session_id)
        assert found is not None
        return found[0]

    @property
    def writes(self) -> list[tuple[int, bool]]:
        """The generation that each write so far has left in the row, and whether it is settled."""
        database: Any = self.manager.database
        noted = database.execute_sql("SELECT generation, is_settled FROM written ORDER BY id")
        return [(generation, bool(is_settled)) for generation, is_settled in noted]

    def ask_at_once(self, browsers: list[Browser]) -> list[Browser]:
        """Have many browsers ask in parallel; all of them are Ada's. Return them."""
        seen = in_parallel(lambda number: browsers[number].get("/").text, len(browsers))
        assert Counter(seen) == {ADA: len(browsers)}, "nobody is signed out"
        return browsers

    def fork(self, browser: Browser, count: int = 100) -> list[Browser]:
        return [browser.fork() for _ in range(count)]

    def siblings(self, browsers: list[Browser]) -> list[Browser]:
        """Return those whose token is not the one that is stored."""
        read, stored = self.manager.parts.signer.read, self.record.branch
        tokens = [read(browser.session_token or "") for browser in browsers]
        return [
            browser
            for browser, token in zip(browsers, tokens, strict=True)
            if token is not None and token.branch != stored
        ]


@pytest.fixture
def site(database: str) -> Iterator[Site]:
    clock = FakeClock()
    with managing(database, clock=clock) as manager:
        yield Site(manager, clock)


class TestHundredRequestsOfARotation:
    """Each step is taken by a hundred requests at once, and costs one write between them."""

    @pytest.mark.parametrize("kept", ["the confirmed token", "a sibling"])
    def test_cost_three_writes_and_sign_nobody_out(self, site: Site, kept: str) -> None:
        site.clock.advance(days=1)
        late_tabs = site.fork(site.browser, 50)
        tabs = site.ask_at_once(site.fork(site.browser))
        assert site.writes == [(0, True)], "one refresh, of generation 0"
        assert len({tab.session_token for tab in tabs}) == 100, "no two offers are alike"

        # Half of them never got the answers: they come with the old token, among the new.
        site.ask_at_once(tabs[:50] + late_tabs)
        assert site.writes == [(0, True), (1, False)], "and one confirm"

        siblings = site.siblings(tabs[:50])
        jar = siblings[0] if kept == "a sibling" else (set(tabs[:50]) - set(siblings)).pop()
        site.clock.advance(minutes=3)
        site.ask_at_once(site.fork(jar))
        assert site.writes == [(0, True), (1, False), (1, True)], "and one that settles"

        site.ask_at_once(site.fork(jar))
        site.clock.advance(minutes=4, seconds=59)
        site.ask_at_once(site.fork(jar))
        assert len(site.writes) == 3, "which was the touch, too"

    def test_settle_with_the_next_refresh_where_the_browser_was_away(self, site: Site) -> None:
        site.clock.advance(days=1)
        for _ in range(2):
            site.browser.get("/")
        site.clock.advance(days=1)
        before = site.browser.session_token

        tabs = site.ask_at_once(site.fork(site.browser))

        assert site.writes == [(0, True), (1, False), (1, True)]
        assert site.record.expires_at_ms == site.clock.now_ms() + 7 * 86_400_000
        # Whoever met a lock settles another time, and is offered nothing before.
        offers = [token for tab in tabs if (token := tab.session_token) != before]
        assert 1 <= len(offers) == len(set(offers))

    def test_cost_one_more_where_the_jar_went_back(self, site: Site) -> None:
        site.clock.advance(days=1)
        crashed = site.browser.fork()
        for _ in range(2):
            site.browser.get("/")
        site.clock.advance(minutes=1)

        offered = site.ask_at_once(site.fork(crashed))
        assert site.writes == [(0, True), (1, False)], "an offer writes nothing"
        assert len({tab.session_token for tab in offered}) == 100

        site.ask_at_once(site.fork(offered[0]))
        assert site.writes == [(0, True), (1, False), (1, False)], "one take-over"
        assert (site.record.caught_up, site.siblings(offered[:1])) == (True, [])

        site.clock.advance(minutes=3)
        site.ask_at_once(site.fork(offered[0]))
        assert site.writes[3:] == [(1, True)]


class TestTwoSiblingsAtOnce:
    def test_one_settles_and_the_other_ends_the_session(self, site: Site) -> None:
        """Whoever comes second finds another branch settled, and is judged again."""
        site.clock.advance(days=1)
        tabs = site.ask_at_once(site.fork(site.browser, 4))
        site.ask_at_once(tabs)
        ended: list[str] = []
        site.manager.events.subscribe(lambda event: ended.append(event.name))
        site.clock.advance(minutes=3)

        two = site.siblings(tabs)[:2]
        seen = in_parallel(lambda number: two[number].get("/").text, 2)

        assert sorted(seen) == [ADA, "nobody"]
        assert (site.record.is_settled, site.record.end_reason) == (True, "replayed")
        assert ended == ["session_replayed", "session_ended"]
        assert [tab.get("/").text for tab in tabs] == ["nobody"] * 4


def show_user(environ: Any, start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/sign-in":
        environ["wsgi_sessions.request"].sign_in(environ["QUERY_STRING"])
    user = environ["wsgi_sessions.user"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"nobody" if user is None else user.email.encode()]


def log_writes(database: Any) -> None:
    """Have the database itself note every write to a row of the session table."""
    counter = "INTEGER PRIMARY KEY"
    note = "INSERT INTO written (generation, is_settled) VALUES (NEW.generation, NEW.is_settled);"
    trigger = (
        f"CREATE TRIGGER noted AFTER UPDATE ON wsgi_sessions_session FOR EACH ROW BEGIN {note} END"
    )
    statements = [trigger]
    if isinstance(database, peewee.MySQLDatabase):
        counter = "BIGINT AUTO_INCREMENT PRIMARY KEY"
    elif isinstance(database, peewee.PostgresqlDatabase):
        counter = "BIGSERIAL PRIMARY KEY"
        statements = [
            (
                f"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql "
                f"AS $$ BEGIN {note} RETURN NEW; END $$"
            ),
            "CREATE TRIGGER noted AFTER UPDATE ON wsgi_sessions_session FOR EACH ROW EXECUTE FUNCTION note()",
        ]
    columns = f"id {counter}, generation INTEGER, is_settled BOOLEAN"
    for statement in (f"CREATE TABLE written ({columns})", *statements):
        database.execute_sql(statement)


class TestSessionData:
    def test_keys_set_by_parallel_threads_are_all_kept(self, database: str) -> None:
        clock = FakeClock()
        with managing(database, clock=clock) as manager:
            browser = Browser(SessionMiddleware(set_key, manager), clock=clock, manager=manager)
            browser.get(f"/sign-in?{sign_up(manager)}")
            tabs = [browser.fork() for _ in range(24)]

            in_parallel(lambda number: tabs[number].get(f"/set?key{number}"), 24)

            kept = set(json.loads(browser.get("/").text))
        assert kept == {f"key{number}" for number in range(24)}

    def test_keys_set_in_parallel_processes_are_all_kept(
        self, database: str, tmp_path: Path
    ) -> None:
        with serving("gthread", database, tmp_path, workers=3) as server:
            visitor = server.visitor()
            visitor.sign_up(ADA)

            def set_one(number: int) -> int:
                tab = Visitor(server.port, visitor.cookies)
                return tab.post(f"/data/key{number}?{number}").status

            statuses = in_parallel(set_one, 24)

            kept = visitor.get("/data/").json
        assert Counter(statuses) == {200: 24}
        assert kept == {
            f"key{number}{ending}": str(number)
            for number in range(24)
            for ending in ("", "-double")
        }


def set_key(environ: Any, start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/sign-in":
        environ["wsgi_sessions.request"].sign_in(environ["QUERY_STRING"])
    session = environ["wsgi_sessions.session"]
    if environ["PATH_INFO"] == "/set":
        session.data[environ["QUERY_STRING"]] = True
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(sorted(session.data)).encode()]


class TestEightProcessesOnOneSqliteFile:
    def test_no_locked_database_reaches_a_client(self, tmp_path: Path) -> None:
        with (
            fresh_database("sqlite", tmp_path) as database,
            serving("sync", database, tmp_path, workers=8) as server,
        ):

            def live(number: int) -> list[tuple[int, float]]:
                visitor, email = server.visitor(), f"user{number}@example.org"
                asks: list[Callable[[], Answer]] = [lambda: visitor.sign_up(email)]
                for turn in range(6):
                    asks.append(partial(visitor.post, f"/data/{turn}"))
                    asks.append(lambda: visitor.sign_in(email))
                return [timed(ask) for ask in asks]

            answers = [answer for seen in in_parallel(live, 16) for answer in seen]
            statuses, slowest = [one[0] for one in answers], max(one[1] for one in answers)
            worker_count = len(server.workers())
            said = server.log.read_text()

        print(Counter(statuses), f"slowest {slowest:.2f} s")
        assert worker_count == 8
        assert Counter(statuses) == {200: 16 * 13}
        assert "locked" not in said


def timed(ask: Callable[[], Answer]) -> tuple[int, float]:
    """Return the status of an answer, and how many seconds it took."""
    began = time.monotonic()
    return ask().status, time.monotonic() - began


class TestKilledWorkers:
    @pytest.mark.parametrize("kind", ["gthread", "uwsgi"])
    def test_sign_nobody_out_and_leave_no_row_half_written(
        self, kind: str, database: str, tmp_path: Path
    ) -> None:
        with managing(database):
            pass
        # As often as tokens can rotate, so that workers die in the midst of it.
        settings = {
            "update_age": 3,
            "rotation_interval": 6,
            "rotation_grace": 1,
            "touch_interval": 0,
        }
        with serving(kind, database, tmp_path, workers=3, settings=settings) as server:
            load = Load(server, staying_count=4)

            killed = load.run(KILL_SECONDS)
            answered = load.answered
            # A busy machine answers so seldom that a token is offered, but not yet presented.
            while (rotated := load.least_generation(database)) < ROTATIONS and load.runs < 6:
                load.run(KILL_SECONDS)

            users_afterwards = [visitor.user() for visitor in load.staying]

        print(f"killed {killed} in {KILL_SECONDS} s, {answered} answers, {rotated} rotations")
        assert not load.wrong, "anything but an answer, or none, is a fault of a living worker"
        assert users_afterwards == load.emails, "nobody is signed out"
        assert killed >= KILL_SECONDS / SECONDS_BETWEEN_KILLS / 3, "workers did die"
        assert answered >= 10 * KILL_SECONDS, "under load"
        assert find_half_written(database) == []
        assert rotated >= ROTATIONS, "tokens were rotated"


class Load:
    """Visitors that stay signed in and write, and newcomers that sign up, in and out."""

    def __init__(self, server: Server, *, staying_count: int) -> None:
        self.server = server
        self.emails = [f"staying{number}@example.org" for number in range(staying_count)]
        self.staying = [server.visitor() for _ in self.emails]
        self.wrong: list[str] = []
        self.answered = 0
        self.runs = 0
        self._lock = threading.Lock()
        for email, visitor in zip(self.emails, self.staying, strict=True):
            assert visitor.sign_up(email).status == 200
        self.staying_ids = {visitor.get("/me").json["session"] for visitor in self.staying}

    def run(self, seconds: float) -> int:
        """Kill workers while all of them ask; return how many were killed."""
        self.runs += 1
        end = time.monotonic() + seconds
        pairs = zip(self.emails, self.staying, strict=True)
        works = [
            *(threading.Thread(target=self._stay, args=(*pair, end)) for pair in pairs),
            *(threading.Thread(target=self._come_and_go, args=(n, end)) for n in range(2)),
        ]
        for work in works:
            work.start()
        killed = self._kill_until(end)
        for work in works:
            work.join()
        return killed

    def least_generation(self, database: str) -> int:
        """Return how often the token of the slowest of those who stay was confirmed."""
        with tables(database) as models:
            rows = [row for row in models.session.select() if row.id in self.staying_ids]
        return min(int(row.generation) for row in rows)

    def _stay(self, email: str, visitor: Visitor, end: float) -> None:
        turn = 0
        while time.monotonic() < end:
            turn += 1
            seen = self._ask(lambda: visitor.get("/me"))
            if seen is not None and seen.json["user"] != email:
                self._blame(f"{email} is signed out: {seen.json['reason']}")
            written = self._ask(partial(visitor.post, f"/data/turn?{turn}"))
            if written is not None and written.json != {
                "turn": str(turn),
                "turn-double": str(turn),
            }:
                self._blame(f"{email} wrote {turn} and was told {written.body!r}")

    def _come_and_go(self, number: int, end: float) -> None:
        turn = 0
        while time.monotonic() < end:
            turn += 1
            email = f"newcomer{number}-{turn}@example.org"
            visitor = self.server.visitor()
            # One that was killed after the commit has signed up, but could not say so.
            self._ask(lambda: visitor.sign_up(email), also_right=422)  # noqa: B023
            for _ in range(MAXIMUM_SESSIONS + 2):
                self._ask(lambda: visitor.sign_in(email), also_right=401)  # noqa: B023
            self._ask(visitor.sign_out)

    def _ask(self, ask: Callable[[], Answer], *, also_right: int = 200) -> Answer | None:
        """Return the answer, or None when the worker died over it."""
        try:
            answer = ask()
        except (OSError, HTTPException):
            return None
        if answer.status not in (200, also_right):
            self._blame(f"{answer.status} {answer.body!r}")
            return None
        with self._lock:
            self.answered += 1
        return answer

    def _blame(self, what: str) -> None:
        with self._lock:
            self.wrong.append(what)

    def _kill_until(self, end: float) -> int:
        chance = random.Random(1)
        killed = 0
        while time.monotonic() + SECONDS_BETWEEN_KILLS < end:
            time.sleep(SECONDS_BETWEEN_KILLS)
            # uWSGI takes its time before it starts one anew that died young.
            for pid in chance.sample(
                workers := sorted(self.server.workers()), min(1, len(workers))
            ):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        return killed


def find_half_written(database: str) -> list[str]:
    """Tell which rows were left behind without what belongs to the same transaction."""
    found = []
    with tables(database) as models:
        users = {row.id for row in models.user.select()}
        accounts = Counter(row.user_id for row in models.account.select())
        fed = Counter(row.session_id for row in models.revocation.select())
        sessions = list(models.session.select())
        if isinstance(models.session._meta.database, peewee.SqliteDatabase):
            checked = models.session._meta.database.execute_sql(  # type: ignore[no-untyped-call, unused-ignore]
                "PRAGMA integrity_check"
            )
            found += [row[0] for row in checked if row[0] != "ok"]
    found += [f"user {user_id} has no account" for user_id in users - set(accounts)]
    found += [f"account of nobody: {user_id}" for user_id in set(accounts) - users]
    live = Counter(row.user_id for row in sessions if row.ended_at is None)
    found += [f"{user_id} has {count}" for user_id, count in live.items() if count > 5]
    for row in sessions:
        data = json.loads(row.data)
        if data.get("turn") != data.get("turn-double"):
            found.append(f"{row.id} holds {data}")
        if (row.ended_at is None) != (row.end_reason is None):
            found.append(f"{row.id} ended at {row.ended_at} for {row.end_reason}")
        if fed[row.id] != (row.ended_at is not None):
            found.append(f"{row.id} is {fed[row.id]} times in the feed; {row.end_reason}")
        if row.user_id not in users:
            found.append(f"{row.id} belongs to nobody")
    return found
