"""What is measured, each metric by what happens; and that it costs nothing where it is not."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from webob import Request

from tests.hot_paths.counting import count_calls
from tests.hot_paths.paths import environ_with
from wsgi_sessions import (
    ConfigurationError,
    EndReason,
    InvalidCredentialsError,
    ServerBusyError,
    SessionManager,
    SessionMiddleware,
    StoreUnavailableError,
    TooManyTriesError,
)
from wsgi_sessions.events import EVENT_KINDS
from wsgi_sessions.monitoring import recording
from wsgi_sessions.monitoring.catalog import METRICS
from wsgi_sessions.monitoring.recording import MeasuredApp
from wsgi_sessions.storage.time_budget import left_ms
from wsgi_sessions_testing import CHEAP_PASSWORDS, Bench, FakeClock

from .recorded import Noted, recorded

SECRET = "s0123456789abcdef" * 2
ADA: dict[str, Any] = {"email": "ada@example.org", "password": "correct horse"}


def page(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


def signing_out(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi_sessions.request"].sign_out()
    return page(environ, start_response)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(tmp_path: Path, clock: FakeClock) -> Iterator[SessionManager]:
    manager = SessionManager(
        f"sqlite:///{tmp_path}/app.db",
        secret=SECRET,
        clock=clock,
        password={**CHEAP_PASSWORDS, "max_parallel": 1, "max_waiting": 0},
        cookie_cache=True,
    )
    manager.create_tables()
    yield manager
    manager.close()


def signed_in(manager: SessionManager) -> Any:
    user = manager.create_user(name="Ada", email="ada@example.org")
    return manager.sign_in(user.id)


def get(app: Any, cookies: str | None = None) -> Any:
    headers = {"Cookie": cookies} if cookies else {}
    return Request.blank("/", headers=headers).get_response(app)


def guess_until_throttled(manager: SessionManager) -> None:
    for _ in range(300):
        try:
            manager.sign_in_email(email="ada@example.org", password="wrong horse")
        except InvalidCredentialsError:
            continue
        except TooManyTriesError:
            return
    raise AssertionError("nobody was throttled")


def fail(*_: object) -> None:
    raise RuntimeError


class TestRequests:
    @pytest.fixture
    def noted(self, manager: SessionManager) -> Iterator[Noted]:
        with recorded(manager) as (recorder, noted):
            self.app = MeasuredApp(SessionMiddleware(page, manager), recorder)
            self.leaving = MeasuredApp(SessionMiddleware(signing_out, manager), recorder)
            yield noted

    def test_are_told_apart_by_where_their_session_came_from(
        self, manager: SessionManager, noted: Noted, clock: FakeClock
    ) -> None:
        cookie = f"session_token={signed_in(manager).token}"
        answer = get(self.app, cookie)
        copy = next(
            line.partition(";")[0]
            for line in answer.headers.getall("Set-Cookie")
            if "session_data" in line
        )
        get(self.app, f"{cookie}; {copy}")
        get(self.app)
        get(self.leaving, cookie)
        get(self.app, cookie)

        assert noted.of("requests") == {
            ("database",): 1,
            ("cached",): 1,
            ("none",): 1,
            ("ended",): 2,
        }

    def test_while_the_database_is_away(self) -> None:
        away = SessionManager("postgresql://ada@127.0.0.1:1/measured", secret=SECRET)
        token = SessionManager("sqlite:///:memory:", secret=SECRET)
        cookie = f"session_token={signed_in(token).token}"
        with recorded(away) as (recorder, noted):
            app = MeasuredApp(SessionMiddleware(page, away), recorder)
            statuses = [get(app, cookie).status_int for _ in range(2)]

        assert statuses == [503, 503]
        assert noted.of("requests") == {("away",): 2}
        # The first try, before the application was wrapped, is the same outage.
        assert noted.of("database_outages") == {(): 1}
        assert noted.of("events") == {("database_error",): 3}
        assert ("read", "unavailable") in noted.observed_of("database_duration")

    def test_of_others_are_not_counted(self, manager: SessionManager, noted: Noted) -> None:
        exempt = manager.config.replace(exempt_paths=["/static/"])
        with_exempt = SessionManager("sqlite:///:memory:", config=exempt)
        with recorded(with_exempt) as (recorder, of_that):
            app = MeasuredApp(SessionMiddleware(page, with_exempt), recorder)
            Request.blank("/static/app.css").get_response(app)

        assert of_that.of("requests") == {}

    def test_an_application_that_fails_is_counted(self, manager: SessionManager) -> None:
        def failing(environ: Any, start_response: Any) -> list[bytes]:
            raise RuntimeError

        with recorded(manager) as (recorder, noted):
            app = MeasuredApp(SessionMiddleware(failing, manager), recorder)
            with pytest.raises(RuntimeError):
                get(app)

        assert noted.of("requests") == {("none",): 1}


def test_what_can_be_counted_is_there_from_the_start_at_zero(manager: SessionManager) -> None:
    with recorded(manager) as (_, noted):
        counts = dict(noted.counts)

    assert set(counts.values()) == {0}
    assert {key[1] for key in counts if key[0] == "events"} == set(EVENT_KINDS)
    assert {key[1] for key in counts if key[0] == "sessions_ended"} == {
        reason.value for reason in EndReason
    }
    sources = METRICS["requests"].labels["session"]
    assert {key[1] for key in counts if key[0] == "requests"} == set(
        re.findall(r"`(\w+)`", sources)
    )


class TestEvents:
    def test_sign_ins_by_method_and_outcome(self, manager: SessionManager) -> None:
        with recorded(manager) as (_, noted):
            user = manager.sign_up_email(name="Ada", **ADA).user
            manager.sign_in_email(**ADA)
            manager.sign_in(user.id, method="passkey")
            manager.sign_in(user.id)
            for email in ("ada@example.org", "bob@example.org"):
                with pytest.raises(InvalidCredentialsError):
                    manager.sign_in_email(email=email, password="wrong horse")

        assert noted.of("sign_ins") == {
            ("password", "success"): 2,
            ("passkey", "success"): 1,
            ("unknown", "success"): 1,
            ("password", "wrong_password"): 1,
            ("password", "unknown_user"): 1,
        }

    def test_ended_sessions_by_reason(self, manager: SessionManager) -> None:
        with recorded(manager) as (_, noted):
            made = signed_in(manager)
            others = [manager.sign_in(made.user.id).session for _ in range(3)]
            manager.sign_out(made.session.id)
            manager.revoke_session(others[0].id if others[0] else "")
            assert manager.revoke_everything() == 2

        assert noted.of("sessions_ended") == {("signed_out",): 1, ("revoked",): 3}

    def test_throttled_refused_and_purged(self) -> None:
        with (
            Bench(page, keep_ended=0, purge_interval=0) as bench,
            recorded(bench.manager) as (_, noted),
        ):
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            browser.post_json("/api/auth/sign-out", from_origin="https://evil.example")
            browser.sign_out()
            bench.clock.advance(days=1)
            browser.get("/")
            guess_until_throttled(bench.manager)

        assert noted.of("requests_refused") == {("CROSS_SITE_NAVIGATION_LOGIN_BLOCKED",): 1}
        assert noted.of("events")["throttled",] == 1
        assert noted.of("purged_rows")[()] >= 1

    def test_refreshes_rotations_and_replays(self) -> None:
        with Bench(page) as bench, recorded(bench.manager) as (_, noted):
            owner = bench.new_browser()
            owner.sign_in("ada@example.org")
            thief = owner.fork()
            for _ in range(3):
                bench.clock.advance(days=1)
                owner.get("/")
                owner.get("/")
            thief.get("/")

        events = noted.of("events")
        assert events["session_replayed",] == 1
        assert min(events["session_rotated",], events["session_refreshed",]) >= 2
        assert noted.of("sessions_ended") == {("replayed",): 1}

    def test_words_of_the_application_are_bounded(self, manager: SessionManager) -> None:
        user = manager.create_user(name="Ada", email="ada@example.org")
        with recorded(manager) as (_, noted):
            for number in range(50):
                manager.sign_in(user.id, method=f"method{number}")

        counted = noted.of("sign_ins")
        assert len(counted) == 41
        assert counted["other", "success"] == 10


class TestPasswords:
    def test_hashing_and_its_queue_are_timed(self, manager: SessionManager) -> None:
        with recorded(manager) as (_, noted):
            manager.sign_up_email(name="Ada", **ADA)
            with manager.parts.accounts.hasher._place(), pytest.raises(ServerBusyError):
                manager.sign_in_email(**ADA)

        assert noted.observed_of("password_hash_duration") == [(), ()]
        assert noted.observed_of("password_wait_duration") == [
            ("hashed",),
            ("refused",),
            ("hashed",),
        ]
        assert all(seconds >= 0 for _, seconds in noted.observed)


class TestDatabase:
    def test_a_look_up_is_one_read(self, manager: SessionManager) -> None:
        made = signed_in(manager)
        with recorded(manager) as (_, noted):
            assert manager.is_live(made.session.id)

        assert noted.observed_of("database_duration") == [("read", "ok")]

    def test_a_look_up_over_a_new_connection_is_one_read_too(self, manager: SessionManager) -> None:
        made = signed_in(manager)
        manager.close()
        with recorded(manager) as (_, noted):
            assert manager.is_live(made.session.id)

        assert noted.observed_of("database_duration") == [("read", "ok")]

    def test_a_transaction_is_timed_with_what_is_in_it(self, manager: SessionManager) -> None:
        user = manager.create_user(name="Ada", email="ada@example.org")
        with recorded(manager) as (_, noted):
            manager.sign_in(user.id)

        found = noted.observed_of("database_duration")
        assert found.count(("transaction", "ok")) == 1
        assert ("write", "ok") in found

    def test_connections_in_use_idle_and_waited_for(self, tmp_path: Path) -> None:
        manager = SessionManager(
            f"sqlite:///{tmp_path}/app.db", secret=SECRET, max_connections=1, database_patience=20
        )
        manager.create_tables()
        with recorded(manager) as (recorder, noted):

            def shown() -> dict[tuple[str, ...], float]:
                return {
                    (each.name, *each.labels): each.value
                    for each in recorder.readings()
                    if each.name.startswith("connection")
                }

            at_rest = shown()
            waiting = threading.Thread(target=manager.find_user, kwargs={"email": "a@b.example"})
            with manager.parts.connections.connection():
                waiting.start()
                pool = manager.parts.connections.source.pool
                for _ in range(2000):
                    if pool.waiters:
                        break
                    waiting.join(0.01)
                while_held = shown()
            waiting.join()
        manager.close()

        of_which = (
            ("connections", "in_use"),
            ("connections", "idle"),
            ("connections_limit",),
            ("connection_waiters",),
        )
        assert at_rest == dict(zip(of_which, (0, 1, 1, 0), strict=True))
        assert while_held == dict(zip(of_which, (1, 0, 1, 1), strict=True))
        assert noted.observed_of("connection_wait_duration") == [("served",)]

    def test_a_wait_that_was_in_vain_is_told(self, tmp_path: Path) -> None:
        manager = SessionManager(
            f"sqlite:///{tmp_path}/app.db", secret=SECRET, max_connections=1, database_patience=1
        )
        manager.create_tables()
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                manager.find_user(email="a@b.example")
            except StoreUnavailableError as error:
                failed.append(error)

        with recorded(manager) as (_, noted):
            waiting = threading.Thread(target=ask)
            with manager.parts.connections.connection():
                waiting.start()
                waiting.join()
        manager.close()

        assert len(failed) == 1
        assert noted.observed_of("connection_wait_duration")[0] == ("refused",)

    def test_the_feed_grows_old_until_it_is_read_again(
        self, manager: SessionManager, clock: FakeClock
    ) -> None:
        with recorded(manager) as (recorder, _):

            def age() -> list[float]:
                return [each.value for each in recorder.readings() if each.name == "feed_age"]

            before = age()
            manager.parts.feed.current()
            clock.advance(seconds=3)
            grown = age()
            manager.parts.feed.current()

            assert (before, grown, age()) == ([], [3.0], [0.0])

    def test_whether_the_database_is_away(self, manager: SessionManager) -> None:
        outages = manager.parts.events.outages
        assert outages is not None
        with recorded(manager) as (recorder, noted):

            def away() -> list[float]:
                return [each.value for each in recorder.readings() if each.name == "database_away"]

            at_first = away()
            for _ in range(2):
                error = StoreUnavailableError("gone")
                manager.events.emit("database_error", details={"error": error})
                manager.events.emit("database_error", details={"error": error})
                while_away = away()
                outages.end()

            assert (at_first, while_away, away()) == ([0], [1], [0])
        assert noted.of("database_outages") == {(): 2}


class TestLiveSessions:
    @pytest.fixture
    def time_ms(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        now = [1_000_000]
        monkeypatch.setattr(recording, "monotonic_ms", lambda: now[0])
        return now

    def test_are_counted_when_asked_and_due(
        self, manager: SessionManager, time_ms: list[int]
    ) -> None:
        made = signed_in(manager)
        with recorded(manager, live_sessions_every=30) as (recorder, _):
            counts = [recorder.live_sessions()]
            manager.sign_in(made.user.id)
            time_ms[0] += 29_999
            counts.append(recorder.live_sessions())
            time_ms[0] += 1
            counts.append(recorder.live_sessions())
            manager.revoke_everything()
            time_ms[0] += 30_000
            counts.append(recorder.live_sessions())

        assert counts == [1, 1, 2, 0]

    def test_that_have_expired_do_not_count(
        self, manager: SessionManager, clock: FakeClock
    ) -> None:
        signed_in(manager)
        clock.advance(days=8)

        with recorded(manager, live_sessions_every=1) as (recorder, _):
            assert recorder.live_sessions() == 0

    def test_are_not_counted_unless_that_is_wanted(self, manager: SessionManager) -> None:
        with recorded(manager) as (recorder, noted):
            assert recorder.live_sessions() is None
        assert noted.observed == []

    def test_a_failure_is_not_repeated_before_it_is_due(self, time_ms: list[int]) -> None:
        with Bench(page) as bench:
            signed_in(bench.manager)
            with recorded(bench.manager, live_sessions_every=30) as (recorder, _):
                with bench.faults.database_down():
                    assert recorder.live_sessions() is None
                assert recorder.live_sessions() is None
                time_ms[0] += 30_000
                assert recorder.live_sessions() == 1

    def test_counting_may_take_two_seconds(
        self, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left: list[int | None] = []

        def count(_: int) -> int:
            left.append(left_ms())
            return 0

        monkeypatch.setattr(manager.parts.store.sessions, "count_live", count)
        with recorded(manager, live_sessions_every=1) as (recorder, _):
            recorder.live_sessions()

        assert left == [2000]

    def test_less_than_a_second_is_refused(self, manager: SessionManager) -> None:
        with (
            pytest.raises(ConfigurationError, match="give at least a second"),
            recorded(manager, live_sessions_every=0),
        ):
            pass


def test_no_label_is_a_user_a_session_or_an_address() -> None:
    with Bench(page) as bench, recorded(bench.manager) as (_, noted):
        browser = bench.new_browser()
        browser.address = "203.0.113.66"
        session = browser.sign_in("ada@example.org")
        browser.get("/")
        user_id = str(session.user.id) if session.user else ""
        browser.sign_out()

    values = {value for key in noted.counts for value in key[1:]}
    values |= {value for key, _ in noted.observed for value in key[1:]}
    assert values
    assert values.isdisjoint({user_id, session.id, "203.0.113.66", "ada@example.org"})
    assert not [value for value in values if "@" in value or "." in value]


def test_every_metric_is_told_or_shown() -> None:
    source = Path(recording.__file__).read_text()

    assert [name for name in METRICS if f'"{name}"' not in source and name != "live_sessions"] == []


class TestWithout:
    """A manager that is not measured, or not any more, does what it did before."""

    def test_the_calls_of_a_request_are_the_same(self, manager: SessionManager) -> None:
        app = SessionMiddleware(page, manager)
        environ = environ_with(f"session_token={signed_in(manager).token}")
        environ["wsgi.url_scheme"] = "http"
        count_calls(app, dict(environ))  # the first request does more
        before = count_calls(app, dict(environ))
        with recorded(manager):
            during = count_calls(app, dict(environ))
        after = count_calls(app, dict(environ))

        assert before == after
        assert sum(during.values()) > sum(before.values())

    def test_nothing_is_left_behind(self, manager: SessionManager) -> None:
        parts = manager.parts
        before = dict(vars(parts.connections))
        with recorded(manager):
            assert vars(parts.connections) != before

        assert vars(parts.connections) == before
        assert (parts.connections.source.pool.watch, parts.accounts.hasher.watch) == (None, None)
        assert parts.events._listeners == ()

    def test_a_manager_is_measured_once(self, manager: SessionManager) -> None:
        with (
            recorded(manager),
            pytest.raises(ConfigurationError, match="measured already"),
            recorded(manager),
        ):
            pass
        with recorded(manager) as (_, noted):
            signed_in(manager)
        assert noted.of("sign_ins") == {("unknown", "success"): 1}


def test_a_library_that_fails_fails_no_request_and_is_logged_once(
    manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    with recorded(manager) as (recorder, noted):
        for call in ("add", "observe"):
            setattr(noted, call, fail)
        app = MeasuredApp(SessionMiddleware(page, manager), recorder)
        made = signed_in(manager)
        answer = get(app, f"session_token={made.token}")

    assert answer.status_int == 200
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in failures] == ["the library for metrics failed"]
