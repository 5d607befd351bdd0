"""Applications of frameworks are measured from outside, as the page on monitoring says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry

from tests.docs.pages import text_of
from tests.hot_paths.counting import count_calls, serve
from tests.hot_paths.paths import OTHER_COOKIES, environ_with
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.adapters.flask import FlaskSessions, current_user
from wsgi_sessions.monitoring.prometheus import PrometheusMetrics

from .test_recording import page, signed_in


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SessionManager]:
    manager = SessionManager(f"sqlite:///{tmp_path}/app.db", secret="s0123456789abcdef" * 2)
    manager.create_tables()
    yield manager
    manager.close()


@pytest.fixture
def metrics(manager: SessionManager, registry: CollectorRegistry) -> Iterator[PrometheusMetrics]:
    metrics = PrometheusMetrics(manager, registry=registry)
    yield metrics
    metrics.close()


def test_flask(
    manager: SessionManager, metrics: PrometheusMetrics, registry: CollectorRegistry
) -> None:
    assert "`app.wsgi_app = metrics.measure(app.wsgi_app)`" in text_of("docs/how-to/monitoring.md")
    app = Flask(__name__)
    FlaskSessions(app, manager)
    app.wsgi_app = metrics.measure(app.wsgi_app)  # type: ignore[method-assign]
    app.add_url_rule("/", view_func=lambda: str(current_user.name) if current_user else "visitor")
    browser = app.test_client()

    visitor = browser.get("/").text
    browser.set_cookie("session_token", signed_in(manager).token)
    user = browser.get("/").text

    assert (visitor, user) == ("visitor", "Ada")
    counts = [
        registry.get_sample_value("wsgi_sessions_requests_total", {"session": source})
        for source in ("none", "database", "cached")
    ]
    assert counts == [1, 1, 0]


def test_a_measured_request_costs_what_the_page_says(
    manager: SessionManager, metrics: PrometheusMetrics
) -> None:
    assert "about fifteen Python functions" in text_of("docs/how-to/monitoring.md")
    bare = SessionMiddleware(page, manager)
    measured = metrics.measure(bare)
    environ = environ_with(OTHER_COOKIES)
    serve(measured, dict(environ))  # the first request does more

    calls = [sum(count_calls(app, dict(environ)).values()) for app in (bare, measured)]

    assert 5 <= calls[1] - calls[0] <= 20
