"""Claims about applications of every kind under the fixtures: five frameworks and plain WSGI."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project, need

pytest_plugins = ["pytester"]

FLASK = """
    import pytest
    from flask import Flask, request

    app = Flask(__name__)

    @app.get("/account")
    def account():
        user = request.environ["wsgi_sessions.user"]
        return ("sign in first", 401) if user is None else user.email

    @pytest.fixture
    def wsgi_app():
        return app
"""

FLASK_WRAPPED = """
    import pytest
    from flask import Flask, request
    from wsgi_sessions import SessionManager, SessionMiddleware

    app = Flask(__name__)
    manager = SessionManager("sqlite:///theirs.db", secret="s0123456789abcdef" * 2)
    app.wsgi_app = SessionMiddleware(app.wsgi_app, manager)

    @app.get("/account")
    def account():
        user = request.environ["wsgi_sessions.user"]
        return ("sign in first", 401) if user is None else user.email

    @pytest.fixture
    def wsgi_app():
        return app
"""

DJANGO = """
    import pytest
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="theirs", ALLOWED_HOSTS=["localhost"])

    def account(request):
        user = request.environ["wsgi_sessions.user"]
        if user is None:
            return HttpResponse("sign in first", status=401)
        return HttpResponse(user.email)

    urlpatterns = [path("account", account)]

    @pytest.fixture(scope="session")
    def wsgi_app():
        return get_wsgi_application()
"""

PYRAMID = """
    import pytest
    from pyramid.config import Configurator
    from pyramid.response import Response

    def account(request):
        user = request.environ["wsgi_sessions.user"]
        return Response("sign in first", status=401) if user is None else Response(user.email)

    @pytest.fixture
    def wsgi_app():
        with Configurator() as config:
            config.add_route("account", "/account")
            config.add_view(account, route_name="account")
            return config.make_wsgi_app()
"""

BOTTLE = """
    import pytest
    from bottle import Bottle, HTTPResponse, request

    app = Bottle()

    @app.get("/account")
    def account():
        user = request.environ["wsgi_sessions.user"]
        return HTTPResponse("sign in first", status=401) if user is None else user.email

    @pytest.fixture
    def wsgi_app():
        return app
"""

FALCON = """
    import falcon
    import pytest

    class Account:
        def on_get(self, request, response):
            user = request.env["wsgi_sessions.user"]
            response.status = falcon.HTTP_401 if user is None else falcon.HTTP_200
            response.text = "sign in first" if user is None else user.email

    @pytest.fixture
    def wsgi_app():
        app = falcon.App()
        app.add_route("/account", Account())
        return app
"""

PLAIN = """
    import pytest

    def account_app(environ, start_response):
        user = environ["wsgi_sessions.user"]
        start_response("401 Unauthorized" if user is None else "200 OK", [("Content-Type", "text/plain")])
        return [b"sign in first" if user is None else user.email.encode()]

    @pytest.fixture
    def wsgi_app():
        return account_app
"""

TESTS = """
    import pytest
    from wsgi_sessions_testing import assert_logout_is_final, assert_rotation_safe, assert_signed_out

    def test_strangers_are_asked_to_sign_in(browser):
        answer = browser.get("/account")
        assert (answer.status_int, answer.text) == (401, "sign in first")

    def test_users_are_known(browser):
        browser.sign_in("ada@example.org")
        answer = browser.get("/account")
        assert (answer.status_int, answer.text) == (200, "ada@example.org")

    def test_session_ends_after_a_week_of_silence(browser, clock):
        browser.sign_in("ada@example.org")
        clock.advance(days=7)
        assert browser.get("/account").status_int == 401

    def test_passwords_are_taken_by_the_api(browser, make_user):
        make_user("ada@example.org", password="correct horse")
        browser.sign_in("ada@example.org", "correct horse")
        assert browser.get("/account").text == "ada@example.org"

    def test_rotation_and_endings(new_browser):
        ada, grace = new_browser(), new_browser()
        ada.sign_in("ada@example.org")
        assert_rotation_safe(ada, page="/account")
        grace.sign_in("grace@example.org")
        assert_logout_is_final(grace, page="/account")

    def test_workers_and_faults(browser, workers, faults):
        browser.sign_in("ada@example.org")
        for worker in workers(2):
            assert browser.through(worker).get("/account").status_int == 200
        with faults.database_down():
            assert browser.get("/account").status_int == 503

    def test_parallel_requests(schedules):
        def story(bench):
            browser = bench.new_browser()
            browser.sign_in("ada@example.org")
            answers = yield [lambda: browser.get("/account"), lambda: browser.get("/account")]
            assert [answer.text for answer in answers] == ["ada@example.org"] * 2

        assert schedules.walk(story) > 2
"""


@pytest.mark.parametrize(
    ("package", "app"),
    [
        pytest.param("flask", FLASK, id="Flask"),
        pytest.param("flask", FLASK_WRAPPED, id="Flask with wsgi_app wrapped"),
        pytest.param("django", DJANGO, id="Django"),
        pytest.param("pyramid", PYRAMID, id="Pyramid"),
        pytest.param("bottle", BOTTLE, id="Bottle"),
        pytest.param("falcon", FALCON, id="Falcon"),
        pytest.param("wsgiref", PLAIN, id="plain WSGI"),
    ],
)
def test_an_application_of_any_kind_is_tested_the_same_way(
    project: Project, package: str, app: str
) -> None:
    need(package)
    project.write(app, tests=TESTS)
    project.run_apart().assert_outcomes(passed=7)
