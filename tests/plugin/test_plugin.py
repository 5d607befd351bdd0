"""Claims about the pytest plugin, each shown by running pytest in a project of its own."""

from __future__ import annotations

import pytest

from tests.plugin.project import APP, BARE, EXAMPLES, WRAPPED, Project

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("app", [BARE, WRAPPED], ids=["bare", "wrapped"])
def test_the_examples_of_the_docs_pass(project: Project, app: str) -> None:
    project.write(APP, app, tests=EXAMPLES)
    project.run().assert_outcomes(passed=4)


def test_a_missing_application_says_what_to_write(project: Project) -> None:
    project.write("", tests="def test_it(browser): pass")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*def wsgi_app():*", "*return my_project.create_app()*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_sessions_alone_need_no_application(project: Project) -> None:
    project.write(
        "",
        tests="""
        def test_it(session_manager, make_user, make_session, clock):
            user = make_user("ada@example.org")
            made = make_session(user, age=3600)
            assert session_manager.list_sessions(user.id)[0].id == made.session.id
            assert session_manager.clock is clock
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_the_apps_own_manager_works_on_the_parts_of_the_test(project: Project) -> None:
    project.write(
        APP,
        WRAPPED,
        tests="""
        from pathlib import Path
        from datetime import timedelta
        from conftest import application, manager, SECRET

        def test_during(session_app, wsgi_app, session_manager, clock, browser):
            assert session_app is wsgi_app
            assert session_manager is manager
            assert manager.clock is clock
            assert manager.config.secret == (SECRET,)
            assert manager.config.password.memory_cost_kib == 8
            browser.sign_in("ada@example.org")

        def test_after(clock):
            assert manager.clock is not clock
            assert manager.config.password.memory_cost_kib == 65536
            assert not Path("theirs.db").exists()

        def test_each_test_starts_afresh(session_manager, session_events, browser):
            assert session_manager.parts.store.users.find_by_email("ada@example.org") is None
            browser.sign_in("ada@example.org")
            assert [event.name for event in session_events] == ["session_created"]
        """,
    )
    project.run().assert_outcomes(passed=3)


@pytest.mark.parametrize("app", [BARE, WRAPPED], ids=["bare", "wrapped"])
def test_the_marker_changes_the_settings_of_one_test(project: Project, app: str) -> None:
    project.write(
        APP,
        app,
        tests="""
        import pytest

        @pytest.mark.sessions(expires_in=3600, update_age=600, cookie_cache=True)
        def test_marked(browser, clock, session_config):
            assert session_config.cookie_cache.enabled
            browser.sign_in("ada@example.org")
            assert "__Host-session_data" in browser.cookies
            clock.advance(hours=1)
            assert browser.get("/account").status_int == 401

        def test_unmarked(browser, clock):
            browser.sign_in("ada@example.org")
            assert "__Host-session_data" not in browser.cookies
            clock.advance(hours=1)
            assert browser.get("/account").status_int == 200

        @pytest.mark.sessions(expires_in=3600, update_age=600, touch_interval=7)
        class TestNearest:
            @pytest.mark.sessions(expires_in=7200)
            def test_wins(self, session_config):
                assert session_config.expires_in_ms == 7_200_000
                assert session_config.update_age_ms == 600_000
                assert session_config.touch_interval_ms == 7_000
        """,
    )
    project.run("--strict-markers").assert_outcomes(passed=3)


def test_the_marker_takes_names_alone(project: Project) -> None:
    project.write(
        "",
        tests="""
        import pytest

        @pytest.mark.sessions(3600)
        def test_it(session_manager): pass
        """,
    )
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*write @pytest.mark.sessions(idle_timeout=3600), say*"])


def test_settings_of_ones_own_are_kept_and_the_marker_still_counts(project: Project) -> None:
    project.write(
        APP,
        WRAPPED,
        """
        from wsgi_sessions import SessionConfig

        @pytest.fixture
        def session_config():
            return SessionConfig(secret="another-secret-thirty-two-characters", on_replay="reject")
        """,
        tests="""
        import pytest

        @pytest.mark.sessions(keep_ended=60)
        def test_it(session_manager):
            assert session_manager.config.on_replay == "reject"
            assert session_manager.config.password.time_cost == 1
            assert session_manager.config.keep_ended_ms == 60_000
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_settings_can_build_on_those_of_the_app(project: Project) -> None:
    project.write(
        APP,
        BARE,
        """
        @pytest.fixture
        def session_config(session_config):
            return session_config.replace(on_replay="reject")
        """,
        tests="""
        def test_it(session_manager, browser):
            assert session_manager.config.on_replay == "reject"
            assert session_manager.config.password.time_cost == 1
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_an_application_can_be_made_with_the_tests_manager(project: Project) -> None:
    project.write(
        APP,
        """
        from wsgi_sessions import SessionMiddleware

        @pytest.fixture
        def wsgi_app(session_manager):
            return SessionMiddleware(account_app, session_manager)
        """,
        tests=EXAMPLES,
    )
    project.run().assert_outcomes(passed=4)


def test_an_application_can_be_shared_by_the_whole_run(project: Project) -> None:
    project.write(
        APP, WRAPPED.replace("@pytest.fixture", '@pytest.fixture(scope="session")'), tests=EXAMPLES
    )
    project.run().assert_outcomes(passed=4)


def test_a_database_of_ones_own_is_used(project: Project) -> None:
    project.write(
        APP,
        BARE,
        """
        import peewee

        @pytest.fixture
        def session_database(tmp_path):
            database = peewee.SqliteDatabase(str(tmp_path / "own.db"))
            yield database
            database.close()
        """,
        tests="""
        def test_it(browser, session_manager, session_database):
            browser.sign_in("ada@example.org")
            assert session_manager.database is session_database
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_a_user_model_of_ones_own_stays_in_its_database(project: Project) -> None:
    project.write(
        APP,
        """
        import peewee
        from wsgi_sessions import SessionManager, SessionMiddleware

        theirs = peewee.SqliteDatabase(":memory:")

        class Member(peewee.Model):
            email = peewee.CharField(unique=True)

            class Meta:
                database = theirs

        theirs.create_tables([Member])
        manager = SessionManager(theirs, secret="s0123456789abcdef" * 2, user_model=Member)

        @pytest.fixture
        def wsgi_app():
            yield SessionMiddleware(account_app, manager)
            theirs.close()
        """,
        tests="""
        from conftest import Member, theirs

        def test_it(browser, session_manager):
            assert session_manager.database is theirs
            browser.sign_in(Member.create(email="ada@example.org"))
            assert browser.get("/account").status_int == 200
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_a_server_of_ones_choice_gets_a_fresh_database_each_time(
    project: Project, request: pytest.FixtureRequest
) -> None:
    url = request.config.getoption("--sessions-database", None) or "sqlite://"
    kind = {"sqlite": "Sqlite", "mysql": "MySQL"}.get(url.partition(":")[0], "Psycopg3")
    project.write(
        APP,
        WRAPPED,
        tests=EXAMPLES
        + f"""
    def test_it_is_this_server(session_manager, browser):
        assert type(session_manager.database).__name__ == "{kind}Database"
        assert session_manager.parts.store.users.find_by_email("ada@example.org") is None
    """,
    )
    project.run(f"--sessions-database={url}").assert_outcomes(passed=5)


def test_a_fixture_that_fails_by_itself_is_not_taken_for_a_missing_one(project: Project) -> None:
    project.write(
        APP,
        """
        @pytest.fixture
        def wsgi_app():
            pytest.fail("start the search engine first")
        """,
        tests="def test_it(session_manager): pass",
    )
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*start the search engine first*"])


def test_a_failing_application_fails_as_itself(project: Project) -> None:
    project.write(
        APP,
        """
        @pytest.fixture
        def wsgi_app():
            raise RuntimeError("no configuration file")
        """,
        tests="def test_it(browser): pass",
    )
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*RuntimeError: no configuration file*"])


def test_the_header_says_what_is_different_in_tests(project: Project) -> None:
    project.write("", tests="def test_it(): pass")
    result = project.run()
    result.stdout.fnmatch_lines(["wsgi-sessions: argon2 runs at its cheapest parameters"])


def test_the_header_shows_no_password(project: Project) -> None:
    project.write("", tests="def test_it(): pass")
    result = project.run("--sessions-database=postgresql://me:hush@db.example/test")
    result.stdout.fnmatch_lines(["*; database: postgresql at db.example/test"])
    result.stdout.no_fnmatch_line("*hush*")


def test_nothing_is_imported_until_a_fixture_is_used(project: Project) -> None:
    project.write(
        "",
        tests="""
        import sys

        def test_it():
            heavy = {"wsgi_sessions", "peewee", "webob", "argon2", "wsgi_sessions_testing.browser.browser"}
            assert not heavy & set(sys.modules)
        """,
    )
    result = project.pytester.runpytest_subprocess(*project.options)
    result.assert_outcomes(passed=1)


def test_the_fixtures_are_listed_with_a_line_each(project: Project) -> None:
    result = project.run("--fixtures")
    for name in ("clock", "browser", "new_browser", "session_events", "make_session"):
        result.stdout.fnmatch_lines([f"{name} -- *"])
