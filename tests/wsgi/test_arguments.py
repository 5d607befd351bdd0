"""What constructors say when they are given something else than an app and a manager."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import peewee
import pytest

from wsgi_sessions import ConfigurationError, SessionConfig, SessionManager, SessionMiddleware

SECRET = "for the tests of arguments alone"
URL = "postgresql://ada:pass-word@db.example/app"


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return []


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    manager = SessionManager("sqlite:///:memory:", secret=SECRET)
    yield manager
    manager.close()


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert "pass-word" not in str(caught.value)
    return str(caught.value)


def test_swapped_arguments_are_called_so(manager: Any) -> None:
    said = refused(lambda: SessionMiddleware(manager, app))  # type: ignore[arg-type]
    assert "swapped" in said and "SessionMiddleware(app, manager)" in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mysite:app", "the text 'mysite:app'"),
        (URL, "app is text"),
        (None, "app is a NoneType"),
        (object(), "no WSGI application"),
    ],
)
def test_what_is_no_app_is_refused_at_once(
    manager: SessionManager, given: Any, expected: str
) -> None:
    assert expected in refused(lambda: SessionMiddleware(given, manager))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (URL, "SessionManager(url, secret=…)"),
        (None, "manager is None"),
        (SessionManager, "the class SessionManager"),
        (SessionConfig(secret=SECRET), "SessionManager(database, config=config)"),
        (peewee.SqliteDatabase(":memory:"), "a SqliteDatabase"),
        (app, "a function"),
    ],
)
def test_what_is_no_manager_is_refused_at_once(given: Any, expected: str) -> None:
    assert expected in refused(lambda: SessionMiddleware(app, given))


@pytest.mark.parametrize("given", [{"secret": SECRET}, URL, SessionConfig])
def test_what_is_no_config_is_refused_by_its_type_alone(given: Any) -> None:
    said = refused(lambda: SessionManager("sqlite:///:memory:", config=given))
    assert said.startswith(
        f"config is of type {type(given).__name__}; give SessionConfig.from_env()"
    )
    assert SECRET not in said


def test_flask_says_what_was_meant(manager: Any) -> None:
    flask = pytest.importorskip("flask")
    from wsgi_sessions.adapters.flask import FlaskSessions

    site = flask.Flask("example")
    assert "swapped" in refused(lambda: FlaskSessions(manager, site))
    assert "FlaskSessions(app, manager)" in refused(lambda: FlaskSessions(site, URL))  # type: ignore[arg-type]
    assert "not a Flask application" in refused(lambda: FlaskSessions(app, manager))  # type: ignore[arg-type]
    assert "the text" in refused(lambda: FlaskSessions(manager=manager).init_app("site"))  # type: ignore[arg-type]
    assert "wsgi_sessions" not in site.extensions


def test_bottle_says_what_was_meant(manager: Any) -> None:
    bottle = pytest.importorskip("bottle")
    from wsgi_sessions.adapters.bottle import install

    site = bottle.Bottle()
    assert "swapped" in refused(lambda: install(manager, site))
    assert "SessionManager(url" in refused(lambda: install(site, URL))  # type: ignore[arg-type]


def test_falcon_says_what_was_meant(manager: Any) -> None:
    falcon = pytest.importorskip("falcon")
    from wsgi_sessions.adapters.falcon import install

    assert "swapped" in refused(lambda: install(manager, falcon.App()))
    assert "SessionManager(url" in refused(lambda: install(falcon.App(), URL))  # type: ignore[arg-type]


def test_pyramid_says_what_was_meant() -> None:
    config = pytest.importorskip("pyramid.config")
    from wsgi_sessions.adapters.pyramid import add_wsgi_sessions

    with config.Configurator() as configurator:
        said = refused(lambda: add_wsgi_sessions(configurator, URL))  # type: ignore[arg-type]
    assert "config.add_wsgi_sessions(manager)" in said
