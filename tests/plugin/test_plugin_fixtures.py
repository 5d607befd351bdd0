"""Claims about each fixture of the plugin, by a downstream project that uses it."""

from __future__ import annotations

import pytest

from tests.plugin.project import APP, BARE, EXAMPLES, WRAPPED, Project

pytest_plugins = ["pytester"]

BOTH = pytest.mark.parametrize("app", [BARE, WRAPPED], ids=["bare", "wrapped"])


@BOTH
def test_the_app_and_the_manager_are_those_of_the_test(project: Project, app: str) -> None:
    project.write(
        APP,
        app,
        tests="""
        from wsgi_sessions import SessionMiddleware
        from wsgi_sessions_testing import find_session_middleware

        def test_it(session_app, session_manager, clock):
            middleware = find_session_middleware(session_app)
            assert isinstance(middleware, SessionMiddleware)
            assert middleware.manager is session_manager
            assert session_manager.clock is clock
            assert session_manager.list_sessions("nobody") == []
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_a_wsgi_client_of_ones_own_can_call_the_app(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        from webob import Request

        def test_it(session_app, session_manager, make_session):
            token = make_session("ada@example.org").token
            name = session_manager.parts.cookies.token_name(is_secure=True)
            request = Request.blank("/account", base_url="https://localhost")
            assert request.get_response(session_app).status_int == 401
            request.headers["Cookie"] = f"{name}={token}"
            assert request.get_response(session_app).status_int == 200
        """,
    )
    project.run().assert_outcomes(passed=1)


@BOTH
def test_the_database_can_be_away_locked_or_slow(project: Project, app: str) -> None:
    project.write(
        APP,
        app,
        tests="""
        import pytest
        from wsgi_sessions.errors import StoreUnavailableError

        @pytest.fixture
        def signed_in(browser):
            browser.sign_in("ada@example.org")
            return browser

        def test_away(faults, signed_in):
            with faults.database_down():
                assert signed_in.get("/account").status_int == 503
            assert signed_in.get("/account").status_int == 200

        def test_away_for_a_moment(faults, signed_in):
            with faults.database_down(1):
                assert signed_in.get("/account").status_int == 503
                assert signed_in.get("/account").status_int == 200

        def test_locked(faults, signed_in, new_browser):
            with faults.database_locked():
                assert signed_in.get("/account").status_int == 200
                with pytest.raises(StoreUnavailableError):
                    new_browser().sign_in("ada@example.org")

        def test_slow(faults, signed_in, clock):
            before_ms = clock.now_ms()
            with faults.database_slow(by=2):
                assert signed_in.get("/account").status_int == 200
            assert clock.now_ms() - before_ms == 2000

        def test_the_log_of_events_has_it(faults, signed_in, session_events):
            with faults.database_down():
                signed_in.get("/account")
            assert "database_error" in [event.name for event in session_events]
        """,
    )
    project.run().assert_outcomes(passed=5)


def test_a_worker_can_die_before_or_after_its_write(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        import pytest
        from wsgi_sessions_testing import LostResponse

        @pytest.mark.parametrize("when", [{"before": "write"}, {"after": "write"}, {"after": "read"}])
        def test_nobody_is_signed_out_by_it(faults, browser, clock, when):
            browser.sign_in("ada@example.org")
            before = browser.session_token
            clock.advance(days=1)
            with faults.worker_killed(**when):
                answer = browser.get("/")
            assert isinstance(answer, LostResponse) and answer.status_int == 0
            assert browser.session_token == before
            assert browser.get("/account").status_int == 200
            assert browser.session_token != before

        def test_what_was_written_stays(faults, browser, session_manager):
            session = browser.sign_in("ada@example.org")
            page = browser.manager.config.api_path + "/sign-out"
            with faults.worker_killed(after="write"):
                assert browser.post_json(page).status_int == 0
            assert session_manager.list_sessions(session.user.id) == []

        def test_what_was_not_written_is_not_there(faults, browser, session_manager):
            session = browser.sign_in("ada@example.org")
            page = browser.manager.config.api_path + "/sign-out"
            with faults.worker_killed(before="write"):
                assert browser.post_json(page).status_int == 0
            assert [s.id for s in session_manager.list_sessions(session.user.id)] == [session.id]
        """,
    )
    project.run().assert_outcomes(passed=5)


def test_a_fail_over_loses_the_last_write_alone(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        def test_it(faults, new_browser):
            laptop, phone = new_browser(), new_browser("Safari on iPhone")
            laptop.sign_in("ada@example.org")
            phone.sign_in("ada@example.org")
            faults.fail_over()
            assert laptop.get("/account").status_int == 200
            assert phone.get("/account").status_int == 401
        """,
    )
    project.run().assert_outcomes(passed=1)


@BOTH
def test_workers_have_caches_and_clocks_of_their_own(project: Project, app: str) -> None:
    project.write(
        APP,
        app,
        tests="""
        import pytest

        @pytest.mark.sessions(cookie_cache=True)
        def test_caches(workers, browser, clock, session_manager):
            session = browser.sign_in("ada@example.org")
            here, there = (browser.through(worker) for worker in workers(2))
            for seat in (here, there):
                assert seat.get("/account").status_int == 200
            here.manager.revoke_session(session.id)
            assert here.get("/account").status_int == 401
            there.cookies.receive(
                browser.history[0].received, url="https://localhost/"
            )
            assert there.get("/account").status_int == 200
            clock.advance(milliseconds=session_manager.config.revocation_lag_ms)
            assert there.get("/account").status_int == 401

        def test_clocks(workers, browser, clock):
            punctual, early = workers(2, skew=3600)
            assert early.clock.now_ms() - punctual.clock.now_ms() == 3_600_000
            browser.sign_in("ada@example.org")
            clock.advance(days=6, hours=23)
            assert browser.through(punctual).session is not None
            assert browser.through(early).session is None

        def test_trouble_meets_them_too(workers, faults, browser):
            (worker,) = workers(1)
            browser.sign_in("ada@example.org")
            with faults.database_down():
                assert browser.through(worker).get("/account").status_int == 503

        def test_their_events_are_heard(workers, browser, session_events):
            session = browser.sign_in("ada@example.org")
            workers.start().manager.revoke_session(session.id)
            assert [event.name for event in session_events] == ["session_created", "session_ended"]
        """,
    )
    project.run().assert_outcomes(passed=4)


@BOTH
def test_parallel_requests_run_in_a_chosen_order_or_in_all(project: Project, app: str) -> None:
    project.write(
        APP,
        app,
        tests="""
        import pytest

        def story(bench):
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            first, second = yield [lambda: browser.get("/account"), lambda: browser.get("/account")]
            assert (first.status_int, second.status_int) == (200, 200), browser.story()
            assert browser.session is not None

        def test_all_the_same_each_time(schedules):
            assert schedules.walk(story) == schedules.walk(story) > 2

        def test_chosen(schedules, browser, clock):
            browser.sign_in("ada@example.org")
            clock.advance(days=1)
            done = []

            def visit(page):
                done.append(browser.get(page).status_int and page)

            schedules.run(lambda: visit("/a"), lambda: visit("/b"), order=[1] * 20)
            assert done == ["/b", "/a"]

        @pytest.mark.sessions(expires_in=3600, update_age=600)
        def test_the_marker_counts(schedules):
            def story(bench):
                assert bench.manager.config.expires_in_ms == 3_600_000
                yield [lambda: None]

            assert schedules.walk(story) == 1
        """,
    )
    project.run().assert_outcomes(passed=3)


def test_events_are_those_of_this_test(project: Project) -> None:
    project.write(
        APP,
        WRAPPED,
        tests="""
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(session_events, browser, clock, turn):
            session = browser.sign_in("ada@example.org")
            clock.advance(hours=1)
            browser.sign_out()
            created, ended = session_events
            assert (created.name, created.session_id) == ("session_created", session.id)
            assert (ended.name, ended.reason) == ("session_ended", "signed_out")
            assert ended.at == clock.now()

        def test_nobody_listens_afterwards(session_manager, session_events):
            (listener,) = session_manager.events._listeners
            assert listener == session_events.append
        """,
    )
    project.run().assert_outcomes(passed=3)


def test_users_are_made_as_a_test_needs_them(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        import pytest
        from wsgi_sessions.errors import UserAlreadyExistsError

        def test_each_is_another_one(make_user):
            assert make_user().email != make_user().email

        def test_as_told(make_user, session_manager):
            user = make_user(
                "Ada@Example.org", name="Ada Lovelace", email_verified=True, image="https://example.org/ada.png"
            )
            found = session_manager.parts.store.users.find_by_email("ada@example.org")
            assert (found.id, found.name) == (user.id, "Ada Lovelace")
            assert (found.email_verified, found.image) == (True, "https://example.org/ada.png")

        def test_with_a_password(make_user, browser):
            make_user("ada@example.org", password="correct horse")
            browser.sign_in("ada@example.org", "correct horse")
            assert browser.get("/account").status_int == 200

        def test_an_address_is_one_persons(make_user):
            make_user("ada@example.org")
            with pytest.raises(UserAlreadyExistsError):
                make_user("ada@example.org")
        """,
    )
    project.run().assert_outcomes(passed=4)


def test_sessions_are_made_of_any_age_generation_or_end(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        from datetime import timedelta

        def status_of(made, browser):
            browser.adopt(made)
            return browser.get("/account").status_int

        def test_a_new_one(make_session, browser):
            assert status_of(make_session("ada@example.org"), browser) == 200

        def test_an_old_one(make_session, browser, clock):
            made = make_session(age=timedelta(days=7) - timedelta(seconds=1))
            assert made.session.created_at == clock.now() - timedelta(days=7, seconds=-1)
            browser.adopt(made)
            assert browser.session is not None
            clock.advance(seconds=1)
            assert browser.session is None

        def test_one_that_is_too_old(make_session, browser):
            assert status_of(make_session(age=7 * 86400), browser) == 401

        def test_one_that_ended(make_session, browser):
            assert status_of(make_session(ended="revoked"), browser) == 401

        def test_one_that_rotated(make_session, browser):
            made = make_session(generation=3)
            assert made.token.split(".")[2] == "3"
            assert status_of(made, browser) == 200

        def test_one_in_the_middle_of_a_rotation(make_session, browser):
            made = make_session(generation=1, age=86400, confirmed=10, is_settled=False)
            assert not made.session.record.is_settled
            assert status_of(made, browser) == 200

        def test_one_with_data(make_session):
            assert dict(make_session(data={"cart": ["tea"]}).session.data) == {"cart": ["tea"]}

        def test_of_someone(make_user, make_session):
            user = make_user()
            assert make_session(user).session.user == user
        """,
    )
    project.run().assert_outcomes(passed=8)


def test_responses_are_delayed_and_repeated(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        import pytest

        @pytest.fixture
        def due(browser, clock):
            browser.sign_in("ada@example.org")
            clock.advance(days=1)
            return browser

        def test_delayed(due, network):
            before = due.session_token
            with network.delaying_responses(1):
                assert due.get("/account").status_int == 200
            assert due.session_token == before and len(network.held) == 1
            assert network.deliver() == 1
            assert due.session_token != before and network.held == ()

        def test_the_order_is_the_tests(due, network):
            with network.delaying_responses(2):
                due.get("/a"), due.get("/b")
            first, second = network.held
            assert "/a" in first.about and "/b" in second.about
            assert network.deliver(second) == 1 and network.held == (first,)

        def test_repeated(due, network, clock):
            with network.repeating_responses(1):
                due.get("/")
            rotated = due.session_token
            due.get("/")
            clock.advance(days=1)
            due.get("/")
            assert due.session_token != rotated
            assert network.deliver() == 1
            assert due.session_token == rotated

        def test_lost(due, network):
            before = due.session_token
            with network.losing_responses():
                answers = [due.get("/"), due.get("/")]
            assert [answer.status_int for answer in answers] == [0, 0]
            assert answers[0].unseen.status_int == 200
            assert due.session_token == before
        """,
    )
    project.run().assert_outcomes(passed=4)


def test_a_repeated_request_reaches_the_app_twice(project: Project) -> None:
    project.write(
        """
        import pytest

        @pytest.fixture
        def visits():
            return []

        @pytest.fixture
        def wsgi_app(visits):
            def app(environ, start_response):
                visits.append(environ["PATH_INFO"])
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [str(len(visits)).encode()]

            return app
        """,
        tests="""
        def test_it(browser, network, visits):
            with network.repeating_requests(1):
                assert browser.get("/a").text == "2"
            browser.get("/b")
            assert visits == ["/a", "/a", "/b"]
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_the_fixtures_warn_of_nothing(project: Project) -> None:
    project.write(APP, WRAPPED, tests=EXAMPLES)
    ignored = "ignore:'cgi' is deprecated:DeprecationWarning"
    result = project.run_apart("-W", "error", "-W", ignored)
    result.assert_outcomes(passed=4, warnings=0)


def test_a_test_that_asks_for_nothing_gets_nothing(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        def test_it(request):
            assert request.fixturenames == ["request"]
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_a_test_that_asks_for_nothing_imports_the_plugin_alone(project: Project) -> None:
    project.write(
        "",
        tests="""
        import sys

        def test_it():
            names = {name for name in sys.modules if name.startswith("wsgi_sessions")}
            ours = {"plugin", "plugin_hooks", "fixture_values"}
            assert names == {"wsgi_sessions_testing", *(f"wsgi_sessions_testing.{n}" for n in ours)}
        """,
    )
    project.run_apart().assert_outcomes(passed=1)
