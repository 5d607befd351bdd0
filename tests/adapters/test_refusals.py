"""Every error of ours is the same answer in a plain app, the API, the pages and each framework."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any
from wsgiref.headers import Headers
from wsgiref.util import setup_testing_defaults

import pytest

from wsgi_sessions import (
    InvalidValueError,
    RefusedError,
    SessionManager,
    SessionMiddleware,
    StoreUnavailableError,
)
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions.errors import AnswerableError
from wsgi_sessions.pages.app import SessionsPage
from wsgi_sessions.request_errors import MethodNotAllowedError

from ..refusals import PROTECTIONS, error_classes, make_error

ERRORS = [make_error(kind) for kind in error_classes()]
API_CALL = "/api/auth/get-session"
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


class NoTeaLeft(RefusedError):
    """A refusal of an application's own."""

    code = "NO_TEA_LEFT"


class NotPaid(RefusedError):
    """One with a status that few frameworks have a class for."""

    code = "NOT_PAID"
    status = 402
    retry_after_seconds = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client reads of a refusal."""

    status: int
    code: str | None
    retry_after: str | None
    allow: str | None
    cache_control: str


def headers_of(app: Any, path: str, *, accept: str) -> Headers:
    """Ask a WSGI application; return the headers of its answer."""
    said: list[Any] = []
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_ACCEPT": accept}
    setup_testing_defaults(environ)
    environ["HTTP_HOST"] = "localhost"
    for _ in app(environ, lambda status, headers, exc_info=None: said.append(headers)):
        pass
    return Headers(said[-1])


def get(app: Any, path: str, *, accept: str) -> tuple[Answer, str]:
    """Ask a WSGI application; return its answer and the text of the body."""
    said: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        said[:] = [status, Headers(headers)]

    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_ACCEPT": accept}
    setup_testing_defaults(environ)
    environ["HTTP_HOST"] = "localhost"
    iterable = app(environ, start_response)
    text = b"".join(iterable).decode()
    if hasattr(iterable, "close"):
        iterable.close()
    status, headers = said
    code = json.loads(text)["code"] if "json" in headers["Content-Type"] else None
    answer = Answer(
        int(status[:3]),
        code,
        headers.get("Retry-After"),
        headers.get("Allow"),
        headers["Cache-Control"],
    )
    return answer, text


def expected(error: AnswerableError) -> Answer:
    seconds = error.retry_after_seconds
    return Answer(
        error.status,
        error.code,
        None if seconds is None else str(seconds),
        "GET, HEAD" if isinstance(error, MethodNotAllowedError) else None,
        "no-store",
    )


def plain(manager: SessionManager, view: Callable[[], Any]) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        return view()

    return SessionMiddleware(app, manager)


def flask(manager: SessionManager, view: Callable[[], Any]) -> Any:
    flask = pytest.importorskip("flask")
    from wsgi_sessions.adapters.flask import FlaskSessions

    app = flask.Flask("example")
    FlaskSessions(app, manager)
    app.add_url_rule("/", view_func=view, endpoint="view")
    return app


def django(manager: SessionManager, view: Callable[[], Any]) -> Any:
    pytest.importorskip("django")
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import clear_url_caches, path

    urls: Any = ModuleType("refusing_urls")
    urls.urlpatterns = [path("", lambda request: view())]
    sys.modules["refusing_urls"] = urls
    clear_url_caches()
    return WSGIHandler()


def pyramid(manager: SessionManager, view: Callable[[], Any]) -> Any:
    config_of = pytest.importorskip("pyramid.config")
    with config_of.Configurator() as config:
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        config.add_route("view", "/")
        config.add_view(lambda request: view(), route_name="view")
        return config.make_wsgi_app()


def bottle(manager: SessionManager, view: Callable[[], Any]) -> Any:
    bottle = pytest.importorskip("bottle")
    from wsgi_sessions.adapters.bottle import install

    app = bottle.Bottle()
    app.route("/", callback=view)
    return install(app, manager)


def falcon(manager: SessionManager, view: Callable[[], Any]) -> Any:
    falcon = pytest.importorskip("falcon")
    from wsgi_sessions.adapters.falcon import install

    class Resource:
        def on_get(self, _req: Any, _resp: Any) -> None:
            view()

    app = falcon.App()
    app.add_route("/", Resource())
    return install(app, manager)


FRAMEWORKS = [plain, flask, django, pyramid, bottle, falcon]


@pytest.fixture(params=FRAMEWORKS, ids=lambda make: make.__name__)
def make_app(
    request: pytest.FixtureRequest, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> Callable[[AnswerableError], Any]:
    """Return what makes an application with one view, which raises an error."""
    if request.param is django:
        project = request.getfixturevalue("project")
        monkeypatch.delattr(project, "handler400", raising=False)
        from django import conf

        monkeypatch.setattr(conf.settings, "ROOT_URLCONF", "refusing_urls")
        monkeypatch.setattr(conf.settings, "LOGIN_URL", None)

    def make(error: AnswerableError) -> Any:
        def view() -> Any:
            raise error

        return request.param(manager, view)

    return make


@pytest.mark.parametrize("error", [*ERRORS, NoTeaLeft("none"), NotPaid("pay")], ids=repr)
class TestEveryError:
    def test_program_gets_status_code_and_headers(self, make_app: Any, error: Any) -> None:
        answer, _ = get(make_app(error), "/", accept="application/json")
        assert answer == expected(error)

    def test_person_gets_the_same_status_and_headers(self, make_app: Any, error: Any) -> None:
        answer, _ = get(make_app(error), "/", accept=BROWSER)
        assert replace(answer, code=error.code) == expected(error)

    def test_api_agrees(
        self, manager: SessionManager, monkeypatch: pytest.MonkeyPatch, error: Any
    ) -> None:
        def refuse(_call: Any) -> Any:
            raise error

        route = replace(ROUTES["/get-session"], answer=refuse)
        monkeypatch.setitem(ROUTES, "/get-session", route)
        app = plain(manager, list)
        answer, _ = get(app, API_CALL, accept="*/*")
        assert answer == expected(error)

    def test_page_agrees(self, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
        def refuse(*_: Any) -> Any:
            raise error

        monkeypatch.setattr(SessionsPage, "_answer", refuse)
        manager = SessionManager(
            "sqlite:///:memory:", secret="s0123456789abcdef" * 2, pages_path="/sessions"
        )
        answer, _ = get(plain(manager, list), "/sessions", accept=BROWSER)
        assert replace(answer, code=error.code) == expected(error)
        manager.close()


def test_what_a_program_gets_is_protected(make_app: Any) -> None:
    headers = headers_of(make_app(NoTeaLeft("none")), "/", accept="application/json")
    assert {name: headers[name] for name in PROTECTIONS} == PROTECTIONS


def test_a_page_of_the_frameworks_own_keeps_its_own_policy(make_app: Any) -> None:
    """Ours would take its styles away. Plain answers have no page, and Falcon's are data."""
    app = make_app(InvalidValueError("wrong"))
    headers = headers_of(app, "/", accept=BROWSER)
    is_ours = str(headers["Content-Type"]).startswith(("text/plain", "application/json"))
    assert ("Content-Security-Policy" in headers) is is_ours


def test_what_the_driver_says_is_for_the_log_alone(make_app: Any) -> None:
    error = StoreUnavailableError("no route to db-17 as admin")
    for accept in ("application/json", BROWSER):
        _, text = get(make_app(error), "/", accept=accept)
        assert "db-17" not in text
