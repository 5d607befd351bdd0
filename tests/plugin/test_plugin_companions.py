"""Claims about other ways of use: beside other plugins, other runners, and none."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.plugin.project import APP, BARE, EXAMPLES, WRAPPED, Project, need

pytest_plugins = ["pytester"]

# pytest-xdist


@pytest.mark.parametrize("app", [BARE, WRAPPED], ids=["bare", "wrapped"])
def test_processes_of_xdist_do_not_meet(project: Project, app: str) -> None:
    need("xdist")
    project.write(
        APP,
        app,
        tests=EXAMPLES
        + """
    import pytest

    @pytest.mark.parametrize("turn", range(6))
    def test_each_has_its_own_database(session_manager, browser, turn, worker_id):
        assert worker_id in ("gw0", "gw1")
        assert session_manager.parts.store.users.find_by_email("ada@example.org") is None
        browser.sign_in("ada@example.org")
        assert browser.get("/account").status_int == 200
    """,
    )
    project.run_apart("-p", "xdist", "-n", "2").assert_outcomes(passed=10)


def test_xdist_runs_live_servers_side_by_side(project: Project) -> None:
    need("xdist")
    need("gunicorn")
    project.write(
        APP,
        BARE,
        tests="""
        from urllib.request import urlopen

        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(live_server, turn):
            with urlopen(live_server.url, timeout=20) as response:
                assert response.read() == b"account"
        """,
    )
    project.run_apart("-p", "xdist", "-n", "2").assert_outcomes(passed=2)


def test_a_broken_marker_is_told_by_xdist_too(project: Project) -> None:
    need("xdist")
    project.write(
        APP,
        BARE,
        tests="""
        import pytest

        @pytest.mark.sessions(expire_in=3600)
        def test_it(browser): pass
        """,
    )
    result = project.run_apart("-p", "xdist", "-n", "2")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expire_in is no setting; the nearest is expires_in"])


# Plugins with fixtures of the same name


@pytest.mark.parametrize(
    ("fixture", "plugin"),
    [
        ("browser", "pytest_playwright.pytest_playwright"),
        ("browser", "pytest_splinter.plugin"),
        ("live_server", "pytest_django.plugin"),
        ("live_server", "pytest_flask.plugin"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_name_that_others_build_on_is_left_to_them(
    project: Project, fixture: str, plugin: str, is_first: bool
) -> None:
    package, _, module = plugin.partition(".")
    ours = "app_browser" if fixture == "browser" else f"session_{fixture}"
    project.pytester.mkpydir(package).joinpath(f"{module}.py").write_text(
        f"import pytest\n@pytest.fixture(scope='session')\ndef {fixture}(): return 'theirs'\n"
    )
    project.write(
        APP,
        BARE,
        tests=f"""
        def test_theirs({fixture}):
            assert {fixture} == "theirs"

        def test_ours({ours}):
            assert type({ours}).__module__.startswith("wsgi_sessions_testing.")
        """,
    )
    project.options[0 if is_first else 2 : 0 if is_first else 2] = ["-p", plugin]
    project.run_apart().assert_outcomes(passed=2)


SPLINTER = """
    import pytest

    @pytest.fixture
    def browser_instance_getter():
        return lambda request, parent: "theirs"

    @pytest.fixture
    def browser(request, browser_instance_getter):
        return browser_instance_getter(request, browser)

    @pytest.fixture(scope="session")
    def session_browser():
        return "theirs for long"
"""


@pytest.mark.parametrize("is_real", [False, True], ids=["stand-in", "real"])
def test_both_browsers_of_splinter_are_left_to_it(project: Project, is_real: bool) -> None:
    if is_real:
        need("pytest_splinter")
    else:
        folder = project.pytester.mkpydir("pytest_splinter")
        folder.joinpath("plugin.py").write_text(dedent(SPLINTER))
    project.write(
        APP,
        BARE,
        """
        @pytest.fixture(scope="session")
        def browser_instance_getter():
            return lambda request, parent: "theirs"
        """,
        tests="""
        def test_theirs(browser, session_browser):
            assert browser == "theirs" and session_browser.startswith("theirs")

        def test_ours(app_browser, new_browser, clock):
            app_browser.sign_in("ada@example.org")
            assert app_browser.get("/account").status_int == 200
            assert new_browser().get("/account").status_int == 401
        """,
    )
    project.options[:0] = ["-p", "pytest_splinter.plugin"]
    project.run_apart().assert_outcomes(passed=2)


DJANGO = """
    import django
    import pytest
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        ROOT_URLCONF="conftest",
        SECRET_KEY="of-a-project-under-test",
        USE_TZ=True,
    )
    django.setup()

    from django.contrib.auth.models import User
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path
    from wsgi_sessions import SessionManager, SessionMiddleware

    def account(request):
        user = request.environ["wsgi_sessions.user"]
        return HttpResponse("nobody" if user is None else user.email)

    def count(request):
        return HttpResponse(str(User.objects.count()))

    urlpatterns = [path("account", account), path("count", count)]

    @pytest.fixture
    def wsgi_app():
        return get_wsgi_application()
"""

AFTER_THE_DATABASE = """
    import pytest
    from django.contrib.auth.models import User
    from django.db import close_old_connections
    from django.core.signals import request_finished, request_started

    @pytest.mark.django_db
    def test_first_with_the_database(browser):
        User.objects.create(username="ada")
        assert browser.get("/count").text == "1"
        assert User.objects.count() == 1

    def test_without_the_mark(browser, clock):
        browser.sign_in("ada@example.org")
        assert browser.get("/account").text == "ada@example.org"
        clock.advance(days=8)
        assert browser.get("/account").text == "nobody"

    @pytest.mark.django_db(transaction=True)
    def test_in_transactions_of_its_own(browser):
        User.objects.create(username="bob")
        assert browser.get("/count").text == "1"

    def test_without_the_mark_again(browser, schedules):
        browser.get("/account")

        def story(bench):
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            yield [lambda: browser.get("/account"), lambda: browser.get("/account")]

        assert schedules.walk(story) > 5
        for signal in (request_started, request_finished):
            assert signal.disconnect(close_old_connections)
            signal.connect(close_old_connections)

    def test_the_database_is_still_forbidden(browser):
        assert browser.get("/count").status_int == 500
"""


def test_pytest_django_lets_us_work_without_its_mark(project: Project) -> None:
    need("pytest_django")
    project.write(DJANGO, tests=AFTER_THE_DATABASE)
    project.options[:0] = ["-p", "pytest_django.plugin"]
    project.run_apart("-p", "no:randomly").assert_outcomes(passed=5)


# A project's own fixtures by the names of ours


def test_short_names_may_mean_something_else(project: Project) -> None:
    project.write(
        APP,
        BARE,
        """
        @pytest.fixture
        def clock(): return "on the wall"

        @pytest.fixture
        def network(): return "of friends"

        @pytest.fixture
        def workers(): return "of the world"

        @pytest.fixture
        def faults(): return "of mine"
        """,
        tests="""
        def test_theirs(clock, network, workers, faults, browser, session_clock):
            assert (clock, network, workers, faults) == (
                "on the wall", "of friends", "of the world", "of mine"
            )
            browser.sign_in("ada@example.org")
            session_clock.advance(days=7)
            assert browser.get("/account").status_int == 401

        def test_ours(browser, session_clock, session_network, session_faults, session_workers):
            browser.sign_in("ada@example.org")
            with session_faults.database_down(), session_network.losing_responses(1):
                browser.get("/account")
            first, second = session_workers(2)
            assert browser.through(second).get("/account").status_int == 200

        def test_schedules(schedules, session_clock):
            def story(bench):
                assert bench.clock.now() == session_clock.now()
                yield [lambda: None]

            schedules.walk(story)
        """,
    )
    project.run().assert_outcomes(passed=3)


# Without pytest

WITHOUT_PYTEST = """
    import sys

    sys.modules["pytest"] = sys.modules["_pytest"] = None  # importing it is an ImportError now
"""

UNITTEST = """
    import unittest

    from wsgi_sessions_testing import Bench, Browser, FakeClock, assert_signed_out

    def account_app(environ, start_response):
        status = "200 OK" if environ["wsgi_sessions.user"] else "401 Unauthorized"
        start_response(status, [("Content-Type", "text/plain")])
        return [b"account"]

    class SessionsTest(unittest.TestCase):
        def setUp(self):
            self.bench = Bench(account_app)
            self.bench.__enter__()
            self.addCleanup(self.bench.__exit__, None, None, None)
            self.browser = self.bench.new_browser()

        def test_session_ends_after_a_week_of_silence(self):
            self.browser.sign_in("ada@example.org")
            self.assertEqual(self.browser.get("/account").status_int, 200)
            self.bench.clock.advance(days=7)
            self.assertEqual(self.browser.get("/account").status_int, 401)
            assert_signed_out(self.browser, reason=None)

        def test_trouble_is_at_hand(self):
            self.browser.sign_in("ada@example.org")
            with self.bench.faults.database_down(), self.bench.network.losing_responses(1):
                self.assertEqual(self.browser.get("/account").unseen.status_int, 503)

        def test_factories_and_events(self):
            made = self.bench.factories.make_session("ada@example.org", age=3600)
            self.browser.adopt(made)
            self.browser.sign_out()
            self.assertEqual([event.name for event in self.bench.events], ["session_ended"])

    class ClockTest(unittest.TestCase):
        def test_a_browser_of_ones_own(self):
            clock = FakeClock()
            with Bench(account_app, clock=clock, expires_in=3600, update_age=600) as bench:
                browser = Browser(bench.app, clock=clock)
                browser.sign_in("ada@example.org")
                clock.advance(hours=1)
                self.assertIsNone(browser.session)

        def test_a_failure_tells_the_story(self):
            with Bench(account_app) as bench:
                browser = bench.new_browser()
                browser.get("/account")
                browser.sign_in("ada@example.org")
                with self.assertRaisesRegex(AssertionError, "GET https://localhost/account -> 401"):
                    assert_signed_out(browser)
"""


def test_unittest_needs_no_pytest(project: Project) -> None:
    project.pytester.makepyfile(test_sessions=WITHOUT_PYTEST + UNITTEST)
    result = project.run_python("-m", "unittest")
    assert result.ret == 0, result.stderr.str()
    result.stderr.fnmatch_lines(["Ran 5 tests in *", "OK"])


def test_pytest_runs_the_same_test_cases(project: Project) -> None:
    project.pytester.makepyfile(test_sessions=UNITTEST)
    project.run().assert_outcomes(passed=5)


def test_a_script_needs_no_test_runner(project: Project) -> None:
    project.pytester.makepyfile(
        script=WITHOUT_PYTEST
        + """
    from wsgi_sessions import SessionManager, SessionMiddleware
    from wsgi_sessions_testing import Bench, assert_rotation_safe, assert_signed_in

    def account_app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"account"]

    manager = SessionManager("sqlite:///theirs.db", secret="s0123456789abcdef" * 2)
    with Bench(SessionMiddleware(account_app, manager)) as bench:
        browser = bench.new_browser("Safari on iPhone")
        browser.sign_in("ada@example.org")
        assert_signed_in(browser, as_="ada@example.org")
        assert_rotation_safe(browser)
        print(browser.story())
    assert "wsgi_sessions_testing.plugin" not in sys.modules
    """
    )
    result = project.run_python("script.py")
    assert result.ret == 0, result.stderr.str()
    result.stdout.fnmatch_lines(["2030-01-01T12:00:00.000+00:00 sign in -> 200 OK; set __Host-*"])
    assert not (project.pytester.path / "theirs.db").exists()


# Others that move the time

FREEZEGUN = """
    from datetime import datetime, timedelta, timezone

    import pytest
    from freezegun import freeze_time

    @pytest.fixture(autouse=True)
    def theirs():
        with freeze_time("2012-01-14 03:21:34") as frozen:
            yield frozen.tick
"""

TIME_MACHINE = """
    from datetime import datetime, timedelta, timezone

    import pytest
    import time_machine

    @pytest.fixture(autouse=True)
    def theirs():
        start = datetime(2012, 1, 14, 3, 21, 34, tzinfo=timezone.utc)
        with time_machine.travel(start, tick=False) as traveller:
            yield traveller.shift
"""

TWO_CLOCKS = """
    from datetime import datetime, timedelta, timezone

    def test_ours_moves_alone(browser, clock):
        browser.sign_in("ada@example.org")
        clock.advance(days=7)
        assert browser.get("/account").status_int == 401
        assert clock.now() == datetime(2030, 1, 8, 12, tzinfo=timezone.utc)
        assert datetime.now(timezone.utc).date().isoformat() == "2012-01-14"

    def test_theirs_moves_alone(browser, clock, theirs):
        browser.sign_in("ada@example.org")
        theirs(timedelta(days=30))
        assert datetime.now(timezone.utc).date().isoformat() == "2012-02-13"
        assert clock.now() == datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
        assert browser.get("/account").status_int == 200
        clock.advance(days=7)
        assert browser.get("/account").status_int == 401

    def test_rows_and_cookies_obey_ours(browser, clock, session_events):
        session = browser.sign_in("ada@example.org")
        assert session.created_at == clock.now()
        assert session_events[0].at == clock.now()
        clock.advance(days=1)
        before = browser.session_token
        browser.get("/")
        assert browser.session_token != before

    def test_ours_can_follow_theirs(browser, clock, theirs):
        browser.sign_in("ada@example.org")
        theirs(timedelta(days=7))
        clock.travel_to(clock.now() + timedelta(days=7))
        assert browser.session is None
"""


@pytest.mark.parametrize("app", [BARE, WRAPPED], ids=["bare", "wrapped"])
@pytest.mark.parametrize(
    ("package", "theirs"), [("freezegun", FREEZEGUN), ("time_machine", TIME_MACHINE)]
)
def test_who_moves_the_time_of_python_does_not_move_ours(
    project: Project, package: str, theirs: str, app: str
) -> None:
    need(package)
    project.write(APP, app, theirs, tests=TWO_CLOCKS)
    project.run_apart().assert_outcomes(passed=4)


def test_faking_the_time_imports_nothing_of_ours(project: Project) -> None:
    need("freezegun")
    project.write(
        APP,
        BARE,
        FREEZEGUN,
        tests="""
        import sys

        def test_it(clock):
            assert "wsgi_sessions_testing.fakes.clock" in sys.modules
            assert not {"wsgi_sessions_testing.properties.state_machine", "hypothesis"} & set(sys.modules)
        """,
    )
    project.run_apart().assert_outcomes(passed=1)
