"""Claims about ``live_server``: the project's application under real gunicorn."""

from __future__ import annotations

import sys

import pytest

from tests.plugin.project import APP, BARE, WRAPPED, Project, need

pytest_plugins = ["pytester"]

LIVE = """
    import json
    from http.cookiejar import CookieJar
    from urllib.error import HTTPError
    from urllib.request import HTTPCookieProcessor, Request, build_opener

    import pytest

    @pytest.fixture
    def visit(live_server):
        opener = build_opener(HTTPCookieProcessor(CookieJar()))

        def visit(path, body=None):
            request = Request(live_server.url + path, headers={"Origin": live_server.url})
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            try:
                with opener.open(request, timeout=20) as response:
                    return response.status
            except HTTPError as refusal:
                with refusal:
                    return refusal.code

        return visit

    def test_people_sign_in_over_http(visit):
        ada = {"name": "Ada", "email": "ada@example.org", "password": "correct horse"}
        assert visit("/account") == 401
        assert visit("/api/auth/sign-up/email", ada) == 200
        assert visit("/account") == 200
        assert visit("/api/auth/sign-out", {}) == 200
        assert visit("/account") == 401

    @pytest.mark.sessions(api_path=None)
    def test_the_marker_counts(visit):
        assert visit("/api/auth/sign-up/email", {}) == 200
"""


MEMBER = """
    import peewee
    from wsgi_sessions import SessionManager, SessionMiddleware

    class Member(peewee.Model):
        email = peewee.CharField(unique=True)

    @pytest.fixture
    def wsgi_app(place):
        database = peewee.SqliteDatabase(place)
        database.bind([Member])
        database.create_tables([Member])
        yield SessionMiddleware(
            account_app, SessionManager(database, secret="s0123456789abcdef" * 2, user_model=Member)
        )
        database.close()
"""

BOTH = pytest.mark.parametrize("app", [BARE, WRAPPED], ids=["bare", "wrapped"])


@BOTH
def test_a_live_server_is_real_gunicorn(project: Project, app: str) -> None:
    need("gunicorn")
    project.write(APP, app, tests=LIVE)
    project.run_apart().assert_outcomes(passed=2)


@BOTH
def test_users_and_sessions_are_made_on_the_servers_database(project: Project, app: str) -> None:
    need("gunicorn")
    project.write(
        APP,
        app,
        tests=LIVE
        + """
    def test_a_user(visit, live_server):
        user = live_server.make_user("ada@example.org", password="correct horse")
        ada = {"email": "ada@example.org", "password": "correct horse"}
        assert visit("/api/auth/sign-in/email", ada) == 200
        assert len(live_server.manager.list_sessions(user.id)) == 1

    def test_a_session(live_server):
        name = live_server.manager.parts.cookies.token_name(is_secure=False)
        token = live_server.make_session("ada@example.org").token
        request = Request(live_server.url + "/account", headers={"Cookie": f"{name}={token}"})
        with build_opener().open(request, timeout=20) as response:
            assert response.status == 200
""",
    )
    project.run_apart().assert_outcomes(passed=4)


@BOTH
@pytest.mark.parametrize("fixtures", ["browser, clock, live_server", "live_server, browser, clock"])
def test_a_live_server_leaves_the_other_fixtures_alone(
    project: Project, app: str, fixtures: str
) -> None:
    need("gunicorn")
    project.write(
        APP,
        app,
        tests=f"""
        from urllib.request import urlopen

        def test_it({fixtures}, session_manager, make_user):
            assert session_manager.clock is clock
            browser.sign_in(make_user("ada@example.org"))
            clock.advance(days=8)
            assert browser.get("/account").status_int == 401
            assert live_server.manager is not session_manager
            assert live_server.manager.parts.store.users.find_by_email("ada@example.org") is None
            with urlopen(live_server.url, timeout=20) as response:
                assert response.status == 200
            assert session_manager.clock is clock
        """,
    )
    project.run_apart().assert_outcomes(passed=1)


def test_a_user_model_in_a_file_is_shared_with_the_server(project: Project) -> None:
    need("gunicorn")
    project.write(
        APP,
        MEMBER,
        """
        @pytest.fixture
        def place(tmp_path):
            return str(tmp_path / "members.db")
        """,
        tests=LIVE
        + """
    def test_a_member(visit, live_server):
        from conftest import Member
        member = Member.create(email="ada@example.org")
        assert visit("/account") == 401
        live_server.manager.sign_in(member.id)
        assert len(live_server.manager.list_sessions(member.id)) == 1
""",
    )
    project.run_apart("-k", "member").assert_outcomes(passed=1)


def test_a_user_model_in_memory_is_told_to_move(project: Project) -> None:
    need("gunicorn")
    project.write(
        APP,
        MEMBER,
        """
        @pytest.fixture
        def place():
            return ":memory:"
        """,
        tests="def test_it(live_server): pass",
    )
    assert project.told() == (
        "LookupError: the user model Member lives in memory, where the processes of a live server "
        "can't see it; give it an SQLite file for this test"
    )


def test_a_server_without_a_manager_says_how_to_give_it_one(project: Project) -> None:
    project.write(
        APP,
        BARE,
        tests="""
        from wsgi_sessions_testing import LiveServer

        def test_it(wsgi_app):
            LiveServer(wsgi_app).make_user()
        """,
    )
    assert project.told() == (
        "LookupError: <function account_app at 0x7f> is not wrapped in SessionMiddleware as far as "
        "can be seen; write LiveServer(app, manager=manager)"
    )


def test_a_live_server_is_gone_after_its_test(project: Project) -> None:
    need("gunicorn")
    project.write(
        APP,
        BARE,
        tests="""
        import socket
        from urllib.parse import urlsplit

        seen = []

        def test_during(live_server):
            seen.append(urlsplit(live_server.url).port)
            socket.create_connection(("127.0.0.1", seen[0]), timeout=20).close()

        def test_after():
            with socket.socket() as client:
                assert client.connect_ex(("127.0.0.1", seen[0])) != 0
        """,
    )
    project.run_apart().assert_outcomes(passed=2)


def test_a_live_server_says_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gunicorn.app.base", None)
    project.write(APP, BARE, tests="def test_it(live_server): pass")
    assert project.told() == (
        "ModuleNotFoundError: the live server needs gunicorn, which can't be imported (import of "
        "gunicorn.app.base halted; None in sys.modules); install it with: pip install "
        '"wsgi-sessions[testing,demo]"'
    )
