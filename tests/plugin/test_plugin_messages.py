"""Claims about what the plugin says when it is used wrongly: each message in full."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.plugin.project import APP, BARE, Project, need

pytest_plugins = ["pytester"]


def say(project: Project, tests: str, *options: str, app: str = BARE) -> str:
    project.write(APP, app, tests=f"import pytest\n{dedent(tests)}")
    return project.told(*options)


@pytest.mark.parametrize(
    "fixture", ["browser", "session_app", "workers", "schedules", "live_server"]
)
def test_a_missing_application_says_what_to_write(project: Project, fixture: str) -> None:
    assert say(project, f"def test_it({fixture}): pass", app="") == dedent(
        """\
        Failed: These tests need your application. Write into conftest.py:

            @pytest.fixture
            def wsgi_app():
                return my_project.create_app()

        Any WSGI app will do, wrapped in SessionMiddleware or not."""
    )


# The marker


def test_a_setting_without_a_name_is_given_one(project: Project) -> None:
    said = say(project, "@pytest.mark.sessions(3600)\ndef test_it(browser): pass")
    assert said == (
        "pytest.UsageError: @pytest.mark.sessions takes settings by name; "
        "write @pytest.mark.sessions(idle_timeout=3600), say"
    )


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("expire_in=3600", "expire_in is no setting; the nearest is expires_in"),
        (
            "cookie_cache={'max_ages': 3}",
            "cookie_cache.max_ages is no setting; the nearest is cookie_cache.max_age",
        ),
        ("expires_in=0.5", "expires_in is 0.5; give a timedelta or whole seconds, such as 3600"),
        ("expires_in='1h'", "expires_in is '1h'; give whole seconds, such as 3600"),
        (
            "on_replay='ignore'",
            "on_replay is 'ignore'; give one of 'revoke', 'reject'",
        ),
        (
            "expires_in=60",
            (
                "update_age is 1 day but sessions live 60 s, so none would ever be "
                "refreshed; lower update_age or raise expires_in"
            ),
        ),
        (
            "cookie_cache='maybe'",
            "cookie_cache is text; give a CookieCacheConfig or a mapping of its fields",
        ),
    ],
)
@pytest.mark.parametrize("fixture", ["browser", "schedules"])
def test_a_wrong_setting_says_which_and_what_is_right(
    project: Project, written: str, said: str, fixture: str
) -> None:
    tests = f"@pytest.mark.sessions({written})\ndef test_it({fixture}): pass"
    assert say(project, tests) == f"wsgi_sessions.errors.ConfigurationError: {said}"


# The clock


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "advance(5)",
            "TypeError: advance(5) does not say 5 of what; write advance(seconds=5) or a timedelta",
        ),
        ("advance()", "TypeError: advance() moves nothing; write advance(seconds=1), say"),
        (
            "advance('1d')",
            (
                "TypeError: advance('1d') is no length of time; write advance(seconds=30, hours=1) "
                "or a timedelta"
            ),
        ),
        (
            "advance(days='1')",
            "TypeError: advance(days='1') takes a number; give days as one",
        ),
        (
            "travel_to('2031-01-01')",
            (
                "TypeError: travel_to('2031-01-01') needs a datetime; "
                "write travel_to(datetime(2030, 12, 31, tzinfo=timezone.utc)), say"
            ),
        ),
        (
            "travel_to(datetime(2031, 1, 1))",
            (
                "ValueError: travel_to(datetime.datetime(2031, 1, 1, 0, 0)) has no time zone, "
                "so it could be any of a day's instants; add tzinfo=timezone.utc"
            ),
        ),
    ],
)
def test_an_unclear_time_says_how_to_be_clear(project: Project, written: str, said: str) -> None:
    tests = f"from datetime import datetime\ndef test_it(clock): clock.{written}"
    assert say(project, tests) == said


# Schedules


def test_too_many_orders_say_how_to_have_fewer(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(schedules):
            def story(bench):
                browser = bench.new_browser()
                yield [lambda: browser.get("/a"), lambda: browser.get("/b")]

            schedules.walk(story, at_most=1)
        """,
    )
    assert said == (
        "wsgi_sessions_testing.schedules.TooManySchedules: there are about 6 orders, and at_most "
        "is 1; run fewer requests in parallel, or say how many you have time for: "
        "walk(story, at_most=12)"
    )


def test_an_order_names_requests_that_there_are(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(schedules, browser):
            schedules.run(lambda: browser.get("/a"), lambda: browser.get("/b"), order=[0, 1, 2])
        """,
    )
    assert said == "ValueError: order has 2, but the 2 requests are numbered 0 to 1"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("pass", "a story yields its parallel requests: yield [lambda: browser.get('/'), …]"),
        ("yield []; yield []", "a story yields once; what comes after are its checks"),
    ],
)
def test_a_story_says_what_to_yield_and_how_often(
    project: Project, written: str, said: str
) -> None:
    tests = f"""
        def test_it(schedules):
            def story(bench):
                {written}

            schedules.walk(story)
        """
    assert say(project, tests) == f"AssertionError: {said}\nin the order []"


def test_a_failed_story_says_in_which_order(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(schedules):
            def story(bench):
                done = []
                yield [lambda: done.append("a"), lambda: done.append("b")]
                if done != ["a", "b"]:
                    raise RuntimeError(f"done were {done}")

            schedules.walk(story)
        """,
    )
    assert said == "AssertionError: done were ['b', 'a']\nin the order [1, 0]"


def test_a_mistake_in_a_story_is_shown_as_itself(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(schedules):
            def story(bench):
                bench.clock.advance(5)
                yield [lambda: None]

            schedules.walk(story)
        """,
    )
    assert said == (
        "AssertionError: advance(5) does not say 5 of what; write advance(seconds=5) or a timedelta"
        "\nin the order []"
    )


@pytest.mark.parametrize("yielded", ["browser.get('/')", "lambda: browser.get('/')"])
def test_a_story_that_yields_something_else_says_what_to_yield(
    project: Project, yielded: str
) -> None:
    said = say(
        project,
        f"""
        def test_it(schedules):
            def story(bench):
                browser = bench.new_browser()
                yield {yielded}

            schedules.walk(story)
        """,
    )
    assert said == (
        "AssertionError: a story yields its parallel requests: yield [lambda: browser.get('/'), …]"
        "\nin the order []"
    )


# Faults


@pytest.mark.parametrize("trouble", ["database_down", "database_locked"])
@pytest.mark.parametrize("count", [0, -1, True])
def test_no_number_of_failures_is_refused(project: Project, trouble: str, count: object) -> None:
    said = say(
        project,
        f"""
        def test_it(faults):
            with faults.{trouble}({count!r}):
                pass
        """,
    )
    assert said == f"ValueError: {count!r} is no number of failures; give 1 or more, or nothing"


def test_faults_that_are_never_met_fail_the_test(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(faults, browser):
            browser.sign_in("ada@example.org")
            with faults.database_down(5):
                browser.get("/")
        """,
    )
    assert said == (
        "AssertionError: the database was to fail 5 times, but was asked 4 times too few "
        "within the block, so the test shows nothing"
    )


def test_what_the_block_raises_comes_before_faults_never_met(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(faults):
            with faults.database_down(5):
                raise RuntimeError("the test's own trouble")
        """,
    )
    assert said == "RuntimeError: the test's own trouble"


@pytest.mark.parametrize(
    "given", ["", "before='write', after='write'", "after='respond'", "after=None"]
)
def test_a_worker_dies_at_one_point(project: Project, given: str) -> None:
    said = say(
        project,
        f"""
        def test_it(faults):
            with faults.worker_killed({given}):
                pass
        """,
    )
    assert said == 'ValueError: give one point: after="write", before="write", after="read" …'


def test_a_worker_that_was_never_killed_is_called_a_worker(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(faults, browser):
            with faults.worker_killed(after="write"):
                browser.get("/")
        """,
    )
    assert said == (
        "AssertionError: a worker was to be killed at a write, but none came to one within the "
        "block, so the test shows nothing"
    )


def test_a_fail_over_needs_something_written(project: Project) -> None:
    said = say(project, "def test_it(faults): faults.fail_over()")
    assert said == "LookupError: nothing has been written yet, so there is no last write to lose"


def test_faults_need_a_manager_they_can_break(project: Project) -> None:
    said = say(
        project,
        """
        from wsgi_sessions_testing import Faults
        from wsgi_sessions_testing.fakes.managers import sibling

        def test_it(session_manager, clock):
            Faults(sibling(session_manager), clock)
        """,
    )
    assert said == (
        "TypeError: this manager's store can't be broken; use a manager of Bench or of the "
        "session_manager fixture"
    )


# The network


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("losing_responses", "lost"),
        ("delaying_responses", "delayed"),
        ("repeating_responses", "repeated"),
        ("repeating_requests", "sent twice"),
    ],
)
def test_trouble_on_the_line_that_is_never_met_fails_the_test(
    project: Project, trouble: str, said: str
) -> None:
    tests = f"""
        def test_it(network, browser):
            with network.{trouble}(2):
                browser.get("/")
        """
    assert say(project, tests) == (
        f"AssertionError: 2 were to be {said}, but only 1 requests were made within the block"
    )


def test_no_number_of_responses_is_refused(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(network):
            with network.losing_responses(0):
                pass
        """,
    )
    assert said == "ValueError: 0 is no number of responses; give 1 or more, or nothing"


def test_a_response_arrives_once(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(network, browser):
            with network.delaying_responses(1):
                browser.get("/")
            (held,) = network.held
            network.deliver(held)
            network.deliver(held)
        """,
    )
    assert said == (
        "LookupError: 2030-01-01T12:00:00.000+00:00 GET https://localhost/ -> 200 OK (delayed) "
        "is not on its way; see network.held"
    )


# The application and the database


def test_a_browser_without_a_manager_says_how_to_give_it_one(project: Project) -> None:
    said = say(
        project,
        """
        from wsgi_sessions_testing import Browser

        def test_it(clock, wsgi_app):
            Browser(wsgi_app, clock=clock).sign_in("ada@example.org")
        """,
    )
    assert said == (
        "LookupError: <function account_app at 0x7f> is not wrapped in SessionMiddleware as far as "
        "can be seen; write Browser(app, clock=clock, manager=manager)"
    )


def test_an_application_that_is_none_is_said_to_be_none(project: Project) -> None:
    forgetful = BARE.replace("return account_app", "account_app")
    said = say(project, "def test_it(browser): browser.get('/')", app=forgetful)
    assert said == "Failed: The fixture wsgi_app returned None; does it end in return …?"


@pytest.mark.parametrize(
    ("url", "scheme"), [("oracle://db.example/x", "'oracle'"), ("nonsense", "''"), ("", "''")]
)
def test_an_unknown_database_names_those_that_are_known(
    project: Project, url: str, scheme: str
) -> None:
    said = say(project, "def test_it(browser): pass", f"--sessions-database={url}")
    assert said == (
        f"Failed: --sessions-database: the database URL has the scheme {scheme}; use "
        "sqlite:///file.db, postgresql://user@host/name or mysql://user@host/name"
    )


def test_a_server_that_is_away_is_told_without_its_password(project: Project) -> None:
    need("psycopg")
    project.write(APP, BARE, tests="def test_it(browser): pass")
    result = project.run_apart("--sessions-database=postgresql://me:hush@127.0.0.1:1/test")
    result.stdout.fnmatch_lines(["--sessions-database: the database did not answer*"])
    assert "hush" not in result.stdout.str() + result.stderr.str()


def test_the_header_shows_no_password_of_a_query(project: Project) -> None:
    project.write("", tests="def test_it(): pass")
    result = project.run("--sessions-database=postgresql://db.example/test?password=hush")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*hush*")


def test_the_header_names_a_server_without_an_account(project: Project) -> None:
    project.write("", tests="def test_it(): pass")
    result = project.run("--sessions-database=postgresql://db.example/test")
    result.stdout.fnmatch_lines(["*; database: postgresql at db.example/test"])


HIDDEN = """
    from wsgi_sessions import SessionManager, SessionMiddleware

    application = SessionMiddleware(account_app, SessionManager("sqlite:///theirs.db", secret="s0123456789abcdef" * 2))

    @pytest.fixture
    def wsgi_app():
        def outer(environ, start_response):
            return application(environ, start_response)

        return outer
"""


def test_a_middleware_that_cannot_be_seen_is_told_so(project: Project) -> None:
    said = say(
        project,
        """
        def test_it(browser):
            browser.sign_in("ada@example.org")
            assert browser.get("/account").status_int == 200
        """,
        app=HIDDEN,
    )
    assert said == (
        "LookupError: the app has a SessionMiddleware of its own that can't be seen from outside, "
        "so it works on its own database and clock; make it with the test's manager: "
        "def wsgi_app(session_manager): return create_app(session_manager)"
    )
