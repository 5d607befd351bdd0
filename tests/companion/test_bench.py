"""Claims about ``Bench``, which every fixture is made of: the app on the parts of a test."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from wsgi_sessions import SessionEvent, SessionManager, SessionMiddleware
from wsgi_sessions_testing import (
    Bench,
    FakeClock,
    Schedules,
    TooManySchedules,
    assert_limit_holds,
    assert_signed_in,
)
from wsgi_sessions_testing.bench import assembled_manager

SECRET = "the-secret-of-a-project-under-test"


def account_app(environ: Any, start_response: Any) -> list[bytes]:
    status = "401 Unauthorized" if environ["wsgi_sessions.user"] is None else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [b"account"]


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return SessionManager(f"sqlite:///{tmp_path}/theirs.db", secret=SECRET)


class TestListeners:
    """The application's own listeners."""

    def test_they_hear_what_happens_in_a_test(self, manager: SessionManager) -> None:
        received: list[SessionEvent] = []
        manager.events.subscribe(received.append)

        with Bench(SessionMiddleware(account_app, manager)) as bench:
            bench.new_browser().sign_in("ada@example.org")

        assert [event.name for event in received] == ["session_created"]

    def test_they_hear_what_workers_do_once(self, manager: SessionManager) -> None:
        received: list[SessionEvent] = []
        manager.events.subscribe(received.append)

        with Bench(SessionMiddleware(account_app, manager)) as bench:
            session = bench.new_browser().sign_in("ada@example.org")
            bench.workers.start().manager.revoke_session(session.id)

        assert [event.name for event in received] == ["session_created", "session_ended"]

    def test_those_of_a_test_are_gone_with_it(self, manager: SessionManager) -> None:
        with Bench(SessionMiddleware(account_app, manager)) as bench:
            bench.new_browser().sign_in("ada@example.org")
        received = list(bench.events)

        with Bench(SessionMiddleware(account_app, manager)) as later:
            later.new_browser().sign_in("ada@example.org")

        assert bench.events == received


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(account_app, cookie_cache=True) as bench:
        yield bench


class TestTroublesThatAreNotMet:
    """A block in which nothing met the trouble shows nothing, and fails."""

    @pytest.mark.parametrize("trouble", ["database_down", "database_locked"])
    def test_of_the_database(self, bench: Bench, trouble: str) -> None:
        with (
            pytest.raises(AssertionError, match="was not asked within the block, so the test sh"),
            getattr(bench.faults, trouble)(),
        ):
            pass

    def test_of_a_slow_one(self, bench: Bench) -> None:
        with (
            pytest.raises(AssertionError, match="was not asked within the block, so the test sh"),
            bench.faults.database_slow(2),
        ):
            pass

    @pytest.mark.parametrize(
        ("trouble", "said"),
        [
            ("losing_responses", "lost"),
            ("delaying_responses", "delayed"),
            ("repeating_responses", "repeated"),
            ("repeating_requests", "sent twice"),
        ],
    )
    def test_of_the_network(self, bench: Bench, trouble: str, said: str) -> None:
        with (
            pytest.raises(AssertionError, match=f"was to be {said}, but no request was made"),
            getattr(bench.network, trouble)(),
        ):
            pass

    def test_what_the_block_raises_comes_first(self, bench: Bench) -> None:
        with (
            pytest.raises(RuntimeError, match="the test's own"),
            bench.faults.database_down(),
            bench.network.losing_responses(),
        ):
            raise RuntimeError("the test's own trouble")


class TestADatabaseThatIsNotAsked:
    """What the cookie cache has is not asked for."""

    def test_it_passes(self, bench: Bench) -> None:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        browser.get("/account")
        with bench.faults.database_unasked():
            assert browser.get("/account").status_int == 200

    def test_who_asks_fails(self, bench: Bench) -> None:
        browser = bench.new_browser()
        with (
            pytest.raises(AssertionError, match="was asked within the block: read, write"),
            bench.faults.database_unasked(),
        ):
            browser.sign_in("ada@example.org")


class TestABenchAndItsBlock:
    """What a bench has, it has within its block."""

    @pytest.mark.parametrize("name", ["manager", "app", "factories", "faults", "workers"])
    def test_nothing_is_there_before_or_after(self, name: str) -> None:
        bench = Bench(account_app)
        with pytest.raises(AttributeError, match=f"has {name} within its block alone; write with"):
            getattr(bench, name)
        with bench:
            assert getattr(bench, name) is not None
        with pytest.raises(AttributeError, match=f"has {name} within its block alone; write with"):
            getattr(bench, name)

    def test_a_browser_needs_the_block(self) -> None:
        with pytest.raises(AttributeError, match="write with Bench"):
            Bench(account_app).new_browser()

    def test_what_it_never_has_is_named(self) -> None:
        with pytest.raises(AttributeError, match="a bench has no browsers"):
            Bench(account_app).browsers  # type: ignore[attr-defined]  # noqa: B018

    def test_the_next_block_has_its_own_troubles_and_events(self) -> None:
        bench = Bench(account_app)
        with bench:
            assert bench.faults is bench.faults
            bench.new_browser().sign_in("ada@example.org")
        with bench:
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            with bench.faults.database_down():
                assert browser.get("/account").status_int == 503
            assert [event.name for event in bench.events].count("session_created") == 1

    def test_workers_that_were_there_before_meet_faults_too(self) -> None:
        with Bench(account_app) as bench:
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            (worker,) = bench.workers(1)
            with bench.faults.database_down():
                assert browser.through(worker).get("/account").status_int == 503

    def test_an_app_that_is_none_is_told_at_the_first_request(self) -> None:
        with Bench(None) as bench, pytest.raises(LookupError, match="there is no app here"):
            bench.new_browser().get("/")

    def test_no_database_is_not_the_apps_own(self, manager: SessionManager, tmp_path: Path) -> None:
        nothing: Any = None
        unfit = assembled_manager(
            SessionMiddleware(account_app, manager),
            database=nothing,
            config=manager.config,
            clock=FakeClock(),
        )
        with pytest.raises(TypeError, match="the database of a test is None"), unfit:
            pass
        assert not (tmp_path / "theirs.db").exists()


class TestOrders:
    """The orders that ``Schedules`` walks."""

    @staticmethod
    def of_two_cached_pages(*, is_feed_due: bool) -> int:
        def story(bench: Bench) -> Generator[Any, Any, None]:
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            browser.get("/account")
            bench.clock.advance(seconds=1 if is_feed_due else 0)
            yield [lambda: browser.get("/account"), lambda: browser.get("/account")]
            assert browser.session is not None

        return Schedules(account_app, cookie_cache=True).walk(story)

    def test_reading_the_feed_is_a_step(self) -> None:
        without_a_step = 6
        assert self.of_two_cached_pages(is_feed_due=False) == without_a_step
        assert self.of_two_cached_pages(is_feed_due=True) > without_a_step

    def test_too_many_are_refused_after_the_first(self) -> None:
        plays: list[Bench] = []

        def story(bench: Bench) -> Generator[Any, Any, None]:
            plays.append(bench)
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            bench.clock.advance(days=1)
            yield [lambda: browser.get("/account")] * 3

        with pytest.raises(TooManySchedules, match="about 27720 orders, and at_most is 5000; run"):
            Schedules(account_app).walk(story)
        assert len(plays) == 1

    def test_a_clock_that_was_given_goes_back_before_each(self) -> None:
        clock, began = FakeClock(), []

        def story(bench: Bench) -> Generator[Any, Any, None]:
            began.append(bench.clock.now())
            clock.advance(days=1)
            yield [lambda: None, lambda: None]

        assert Schedules(account_app, clock=clock).walk(story) == 2
        assert [*began, clock.now()] == [FakeClock().now()] * 3


class TestAUserModelOfTheAppsOwn:
    """It lives in a database of its own, to which sessions go along."""

    @pytest.fixture
    def app(self, tmp_path: Path) -> Iterator[SessionMiddleware]:
        database = peewee.SqliteDatabase(
            str(tmp_path / "members.db"), pragmas={"journal_mode": "wal"}
        )

        class Member(peewee.Model):
            email = peewee.CharField(unique=True)

        Member.bind(database)
        Member.create_table()
        yield SessionMiddleware(
            account_app, SessionManager(database, secret=SECRET, user_model=Member)
        )
        database.close()

    def test_the_limit_holds_there(self, app: SessionMiddleware, tmp_path: Path) -> None:
        assert_limit_holds(app, folder=tmp_path)
        assert not (tmp_path / "limit.db").exists()

    def test_rows_that_a_block_added_are_gone_after_it(self, app: SessionMiddleware) -> None:
        for _ in range(2):
            with Bench(app) as bench:
                session = bench.new_browser().sign_in("ada@example.org")
                assert len(bench.manager.list_sessions(session.user_id)) == 1


@pytest.mark.parametrize("is_cached", [False, True])
def test_a_bench_serves_several_tests_and_is_emptied_between(is_cached: bool) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"a page"]

    with Bench(app, cookie_cache=is_cached) as bench:
        for _ in range(2):
            with bench.emptied_afterwards() as emptied:
                assert emptied is bench
                assert bench.events == []
                assert bench.manager.parts.store.users.find_by_email("ada@example.org") is None
                browser = bench.new_browser()
                browser.sign_in("ada@example.org")
                assert bench.events != []
                for worker in bench.workers(2):
                    assert browser.through(worker).get("/").status_int == 200
                    assert_signed_in(browser, as_="ada@example.org")
                assert bench.manager.parts.store.users.find_by_email("ada@example.org") is not None
