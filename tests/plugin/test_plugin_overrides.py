"""Claims about fixtures that a project overrides: each part of a test goes by them, or says why not."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.plugin.project import APP, BARE, WRAPPED, Project

pytest_plugins = ["pytester"]

BOTH = pytest.mark.parametrize("app", [BARE, WRAPPED], ids=["bare", "wrapped"])

MEMBER = """
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
        return SessionMiddleware(account_app, manager)

    @pytest.fixture(autouse=True, scope="session")
    def closed_in_the_end():
        yield
        theirs.close()
"""


def override(fixture: str, returned: str) -> str:
    return f"\n@pytest.fixture\ndef {fixture}():\n    {returned}\n"


# What was forgotten, or is of another kind


@BOTH
@pytest.mark.parametrize("fixture", ["browser", "schedules"])
@pytest.mark.parametrize("forgotten", ["session_database", "session_config"])
def test_a_fixture_that_returns_nothing_says_so_and_touches_nothing(
    project: Project, app: str, fixture: str, forgotten: str
) -> None:
    project.write(
        APP, app, override(forgotten, "'…'"), tests=f"def test_it({fixture}): {fixture}.nothing"
    )
    assert project.told() == (
        f"Failed: The fixture {forgotten} returned None; does it end in return …?"
    )
    assert not (project.pytester.path / "theirs.db").exists()


@BOTH
def test_a_path_is_no_database(project: Project, app: str) -> None:
    returned = "import pathlib; return pathlib.PurePosixPath('own.db')"
    project.write(APP, app, override("session_database", returned), tests="def test_it(browser): 1")
    assert project.told() == (
        "wsgi_sessions.errors.ConfigurationError: the database is a PurePosixPath; give a URL as "
        "text (sqlite:///file.db), a peewee.Database, or a DatabaseProxy that was initialised"
    )


@pytest.mark.parametrize("fixture", ["browser", "schedules", "live_server"])
def test_settings_in_a_mapping_say_what_to_give(project: Project, fixture: str) -> None:
    project.write(
        APP,
        BARE,
        override("session_config", "return {'expires_in': 3600}"),
        tests=f"def test_it({fixture}): pass",
    )
    assert project.told() == (
        "Failed: The fixture session_config: the settings are a dict; give a SessionConfig, such "
        "as settings_for_tests(expires_in=3600, update_age=600)"
    )


@pytest.mark.parametrize("fixture", ["browser", "session_manager", "schedules", "live_server"])
@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("return 'shop:app'", "'shop:app' is no WSGI app; give the application itself"),
        (
            "return create_app",
            (
                "create_app(debug=False) does not take (environ, start_response), so it is no "
                "WSGI app; if it makes one, write create_app()"
            ),
        ),
    ],
)
def test_what_is_no_application_says_what_would_be_one(
    project: Project, fixture: str, returned: str, said: str
) -> None:
    factory = "def create_app(debug=False): return account_app"
    project.write(
        APP, factory, override("wsgi_app", returned), tests=f"def test_it({fixture}): pass"
    )
    assert project.told() == f"Failed: The fixture wsgi_app: {said}"


# Settings


def test_passwords_are_cheap_with_settings_of_ones_own_too(project: Project) -> None:
    project.write(
        APP,
        BARE,
        "from wsgi_sessions import SessionConfig",
        override("session_config", "return SessionConfig(secret='s0123456789abcdef' * 2)"),
        tests="""
        import pytest

        def test_cheap(session_manager):
            assert session_manager.config.password.memory_cost_kib == 8

        @pytest.mark.sessions(password={"memory_cost_kib": 64})
        def test_but_the_marker_has_the_last_word(session_manager):
            assert session_manager.config.password.memory_cost_kib == 64
            assert session_manager.config.password.time_cost == 1
        """,
    )
    project.run().assert_outcomes(passed=2)


def test_markers_add_up_to_the_fields_of_a_part(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        import pytest

        @pytest.mark.sessions(cookie_cache=True, expires_in=3600)
        class TestCached:
            @pytest.mark.sessions(cookie_cache={"max_age": 10}, update_age=600)
            def test_still(self, session_manager):
                assert session_manager.config.cookie_cache.enabled
                assert session_manager.config.cookie_cache.max_age_ms == 10_000

            @pytest.mark.sessions(cookie_cache=False, update_age=600)
            def test_not_here(self, session_manager):
                assert not session_manager.config.cookie_cache.enabled
        """,
    )
    project.run().assert_outcomes(passed=2)


# Events


def test_events_are_all_there_whoever_asks_first(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        import pytest

        @pytest.fixture
        def signed_in(browser):
            browser.sign_in("ada@example.org")
            return browser

        def test_it(signed_in, session_events):
            assert [event.name for event in session_events] == ["session_created"]
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_events_of_a_manager_of_ones_own_are_heard(project: Project) -> None:
    project.write(
        APP,
        BARE,
        """
        from wsgi_sessions import SessionManager

        @pytest.fixture(scope="module")
        def session_manager():
            return SessionManager("sqlite:///:memory:", secret="s0123456789abcdef" * 2)
        """,
        tests="""
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(session_events, session_manager, turn):
            session_manager.revoke_all_sessions("nobody")
            session_manager.events.emit("purge_done")
            assert [event.name for event in session_events] == ["purge_done"]
            assert len(session_manager.events._listeners) == 1
        """,
    )
    project.run().assert_outcomes(passed=2)


# Parts that make a bench of their own


@BOTH
def test_schedules_go_by_the_database_and_the_clock(project: Project, app: str) -> None:
    project.write(
        APP,
        app,
        """
        from datetime import datetime, timezone
        from wsgi_sessions_testing import FakeClock

        @pytest.fixture
        def session_clock():
            return FakeClock(datetime(2000, 1, 1, tzinfo=timezone.utc))

        @pytest.fixture
        def session_database(tmp_path):
            return f"sqlite:///{tmp_path}/own.db"
        """,
        tests="""
        def test_it(schedules, clock, make_user, session_manager):
            known, began = make_user("bob@example.org"), clock.now()
            seen = []

            def story(bench):
                seen.append((bench.manager.database.database, bench.clock.now()))
                session = bench.new_browser().sign_in("ada@example.org")
                assert len(bench.manager.list_sessions(session.user.id)) == 1
                assert bench.manager.parts.store.users.find(known.id)
                clock.advance(days=1)
                yield [lambda: None, lambda: None]

            assert schedules.walk(story) == 2
            assert seen == [(session_manager.database.database, began)] * 2
            assert "own.db" in seen[0][0] and clock.now() == began
            assert session_manager.parts.store.users.find_by_email("ada@example.org") is None
            assert session_manager.parts.store.users.find(known.id)
        """,
    )
    project.run().assert_outcomes(passed=1)


def test_assertions_on_the_wrapped_app_go_by_the_marker(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        import pytest
        from wsgi_sessions_testing import assert_limit_holds, assert_no_session_fixation

        pytestmark = pytest.mark.sessions(multi_session={"maximum_sessions": 2})

        def test_fixation(session_app):
            seen = []

            def sign_in(browser):
                seen.append(browser.manager.config.multi_session.maximum_sessions)
                browser.sign_in("ada@example.org")

            assert_no_session_fixation(session_app, sign_in=sign_in)
            assert seen == [2, 2]

        def test_limit(session_app, tmp_path):
            assert_limit_holds(session_app, folder=tmp_path)
        """,
    )
    project.run().assert_outcomes(passed=2)


def test_a_user_model_of_ones_own_is_found_by_all(project: Project) -> None:
    project.write(
        APP,
        MEMBER,
        tests="""
        from conftest import Member, theirs
        from wsgi_sessions_testing import Bench, assert_no_session_fixation

        def sign_in(browser):
            browser.sign_in(Member.get_or_create(email="ada@example.org")[0])

        def test_bench(wsgi_app):
            with Bench(wsgi_app) as bench:
                sign_in(bench.new_browser())
                assert bench.manager.database is theirs

        def test_schedules(schedules):
            def story(bench):
                browser = bench.new_browser()
                sign_in(browser)
                assert len(bench.manager.list_sessions(browser.session.user.id)) == 1
                yield [lambda: browser.get("/"), lambda: browser.get("/")]

            assert schedules.walk(story) == 20

        def test_each_test_has_its_own_sessions(browser, session_manager):
            sign_in(browser)
            assert len(session_manager.list_sessions(browser.session.user.id)) == 1

        def test_fixation(wsgi_app):
            assert_no_session_fixation(wsgi_app, sign_in=sign_in)
        """,
    )
    project.run().assert_outcomes(passed=4)


# The option


def test_a_file_is_no_database_for_a_whole_run(project: Project) -> None:
    project.write(APP, BARE, tests="def test_it(browser): pass")
    result = project.run_apart("--sessions-database=sqlite:///own.db")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = (
        "ERROR: --sessions-database=sqlite:///own.db names a file, which tests would share and "
        "fill; without the option they run on SQLite in memory, and on a file if the fixture "
        "session_database returns its URL"
    )
    result.stderr.fnmatch_lines([said])


def test_a_user_model_stays_where_it_is(project: Project) -> None:
    project.write(APP, MEMBER, tests="def test_it(browser): pass")
    assert project.told("--sessions-database=postgresql://db.example/test") == (
        "Failed: --sessions-database can't move the user model Member from its own database: "
        "point that at the server, and leave the option out"
    )


def test_overrides_of_any_level_meet(project: Project) -> None:
    project.write(APP, BARE, tests="")
    project.pytester.makepyfile(
        test_levels=dedent(
            """
            import pytest

            pytestmark = pytest.mark.sessions(expires_in=7200, update_age=600)

            @pytest.fixture
            def session_config(session_config):
                return session_config.replace(touch_interval=7)

            class TestInside:
                @pytest.fixture
                def session_config(self, session_config):
                    return session_config.replace(api_path=None)

                @pytest.mark.sessions(expires_in=3600)
                def test_it(self, session_manager):
                    config = session_manager.config
                    assert (config.touch_interval_ms, config.api_path) == (7000, None)
                    assert (config.expires_in_ms, config.update_age_ms) == (3_600_000, 600_000)
            """
        )
    )
    project.run().assert_outcomes(passed=1)
