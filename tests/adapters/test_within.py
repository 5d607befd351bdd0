"""How recent a proof a view asks for is said in the same way as ``within`` in every framework."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from wsgi_sessions import SessionManager
from wsgi_sessions_testing import FakeClock

from .story import EMAIL, PASSWORD

FIVE_MINUTES = timedelta(minutes=5)


def flask(manager: SessionManager, within: Any) -> Any:
    flask = pytest.importorskip("flask")
    from wsgi_sessions.adapters.flask import FlaskSessions, fresh_login_required

    app = flask.Flask("example")
    FlaskSessions(app, manager)
    app.add_url_rule("/", view_func=fresh_login_required(within=within)(lambda: "in"))
    return app


def bottle(manager: SessionManager, within: Any) -> Any:
    bottle = pytest.importorskip("bottle")
    from wsgi_sessions.adapters.bottle import fresh_login_required, install

    app = bottle.Bottle()
    app.get("/", callback=fresh_login_required(within=within)(lambda: "in"))
    return install(app, manager)


def bottle_by_option(manager: SessionManager, within: Any) -> Any:
    bottle = pytest.importorskip("bottle")
    from wsgi_sessions.adapters.bottle import install

    app = bottle.Bottle()
    app.get("/", callback=lambda: "in", fresh_login_required=within)
    return install(app, manager)


def falcon(manager: SessionManager, within: Any) -> Any:
    falcon = pytest.importorskip("falcon")
    from wsgi_sessions.adapters.falcon import fresh_login_required, install

    class Page:
        @falcon.before(fresh_login_required, within=within)
        def on_get(self, req: Any, resp: Any) -> None:
            resp.text = "in"

    app = falcon.App()
    app.add_route("/", Page())
    return install(app, manager)


def pyramid_by_option(manager: SessionManager, within: Any) -> Any:
    pytest.importorskip("pyramid")
    from pyramid.config import Configurator
    from pyramid.response import Response

    with Configurator() as config:
        config.include("wsgi_sessions.adapters.pyramid")
        config.add_wsgi_sessions(manager)
        config.add_route("page", "/")
        config.add_view(
            lambda request: Response("in"), route_name="page", fresh_login_required=within
        )
        return config.make_wsgi_app()


def django(project: Any, monkeypatch: pytest.MonkeyPatch, within: Any) -> Any:
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    from wsgi_sessions.adapters.django import fresh_login_required

    view = fresh_login_required(within=within)(lambda request: HttpResponse("in"))
    monkeypatch.setattr(project, "urlpatterns", [path("", view)])
    return WSGIHandler()


def sign_up(manager: SessionManager) -> str | None:
    return manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD).token


BY_OPTION = (bottle_by_option, pyramid_by_option)


def answer_of(app: Any, token: str | None) -> tuple[str, bytes]:
    environ: dict[str, Any] = {
        "HTTP_COOKIE": f"session_token={token}",
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": "application/json",
    }
    setup_testing_defaults(environ)
    said: list[str] = []
    body = app(environ, lambda status, headers, exc_info=None: said.append(status))
    try:
        return said[-1][:3], b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def check(app: Any, manager: SessionManager, clock: FakeClock) -> None:
    token = sign_up(manager)
    clock.advance(minutes=5, milliseconds=-1)
    assert answer_of(app, token) == ("200", b"in")
    clock.advance(milliseconds=1)
    status, body = answer_of(app, token)
    assert status == "403"
    assert (json.loads(body)["maxAge"], json.loads(body)["isElsewhere"]) == (300, False)


@pytest.mark.parametrize("within", [FIVE_MINUTES, 300])
@pytest.mark.parametrize("guarded", [flask, bottle, falcon, *BY_OPTION])
def test_a_view_asks_for_a_proof_of_the_last_minutes(
    guarded: Callable[..., Any], within: Any, manager: SessionManager, clock: FakeClock
) -> None:
    check(guarded(manager, within), manager, clock)


@pytest.mark.parametrize("within", [FIVE_MINUTES, 300])
def test_a_view_of_django_does(
    within: Any,
    project: Any,
    manager: SessionManager,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from django.urls import clear_url_caches

    app = django(project, monkeypatch, within)
    clear_url_caches()
    check(app, manager, clock)
    clear_url_caches()


@pytest.mark.parametrize("guarded", BY_OPTION)
def test_an_option_of_no_time_at_all_opens_no_view(
    guarded: Callable[..., Any], manager: SessionManager
) -> None:
    """0 is as false as False, and no time that anything could be proven in."""
    app = guarded(manager, 0)
    token = sign_up(manager)
    with suppress(ValueError):  # Bottle answers 500; Pyramid leaves that to the server
        assert answer_of(app, token)[0] == "500"
    assert answer_of(guarded(manager, False), token) == ("200", b"in")
    assert answer_of(guarded(manager, None), None) == ("200", b"in")
