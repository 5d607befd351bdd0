"""The Flask example, by Flask's own test client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

flask = pytest.importorskip("flask")

from wsgi_sessions import ConfigurationError, SessionManager, SessionNotFreshError  # noqa: E402
from wsgi_sessions.adapters.flask import (  # noqa: E402
    FlaskSessions,
    check_form,
    current_session,
    current_user,
    fresh_login_required,
    login_required,
    next_url,
    session_request,
)
from wsgi_sessions_testing import FakeClock  # noqa: E402

from .story import CREDENTIALS, Story  # noqa: E402


@dataclass
class Said:
    status: int
    text: str
    location: str | None
    cookies: list[str]
    retry_after: str | None


class FlaskSite:
    name = "Flask"
    redirects_visitors = False

    def __init__(self, app: Any) -> None:
        self.client = app.test_client()

    def get(self, path: str) -> Said:
        return self._said(self.client.get(path))

    def post(
        self, path: str, form: dict[str, str], *, origin: str | None = "http://localhost"
    ) -> Said:
        headers = {} if origin is None else {"Origin": origin}
        return self._said(self.client.post(path, data=form, headers=headers))

    @staticmethod
    def _said(answer: Any) -> Said:
        return Said(
            answer.status_code,
            answer.text,
            answer.headers.get("Location"),
            answer.headers.getlist("Set-Cookie"),
            answer.headers.get("Retry-After"),
        )


class TestFlask(Story):
    @pytest.fixture
    def site(self, manager: SessionManager) -> FlaskSite:
        from flask_app import create_app  # type: ignore[import-not-found, unused-ignore]

        return FlaskSite(create_app(manager))


def test_an_app_factory_takes_its_settings_from_the_config() -> None:
    sessions = FlaskSessions()
    app = flask.Flask("example")
    app.config["WSGI_SESSIONS"] = {
        "database": "sqlite:///:memory:",
        "secret": "s0123456789abcdef" * 2,
    }
    sessions.init_app(app)
    assert app.extensions["wsgi_sessions"] is sessions
    with app.app_context():
        assert sessions.manager is not None


def test_apps_of_one_factory_have_a_manager_each(tmp_path: Path) -> None:
    sessions = FlaskSessions()
    apps = []
    for name in ("one", "two"):
        app = flask.Flask(name)
        database = f"sqlite:///{tmp_path / name}.db"
        app.config["WSGI_SESSIONS"] = {"database": database, "secret": "s0123456789abcdef" * 2}
        sessions.init_app(app)
        apps.append(app)
    one, two = apps
    assert one.wsgi_app.manager is not two.wsgi_app.manager
    for app in apps:
        with app.app_context():
            assert sessions.manager is app.wsgi_app.manager


def test_an_app_has_sessions_once(manager: SessionManager) -> None:
    app = flask.Flask("example")
    sessions = FlaskSessions(app, manager)
    with pytest.raises(ConfigurationError, match="has sessions already"):
        sessions.init_app(app)


def test_a_missing_manager_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"give one, or set app.config\['WSGI_SESSIONS'\]"):
        FlaskSessions(flask.Flask("example"))


def test_visitors_are_sent_to_the_login_view_and_back(manager: SessionManager) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager, login_view="login")

    @app.route("/login")
    def login() -> Any:
        return next_url("/home")

    @app.route("/account")
    @login_required
    def account() -> Any:
        return "account"

    client = app.test_client()
    answer = client.get("/account?a=b&c=d")
    assert answer.status_code == 302
    location = answer.headers["Location"]
    assert location == "/login?next=/account?a%3Db%26c%3Dd"
    assert client.get(location).text == "/account?a=b&c=d"
    for evil in (
        "//evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\\evil.example",
    ):
        assert client.get("/login", query_string={"next": evil}).text == "/home"


@pytest.mark.parametrize(
    "url", ["/gr%C3%BC%C3%9Fe", "/a%20b", "/a%3Fb?c=d%26e", "/a%25b", "/a?b=%C3%BC&c"]
)
@pytest.mark.parametrize("root", ["", "/caf%C3%A9"])
def test_no_letter_of_next_is_lost(manager: SessionManager, url: str, root: str) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager, login_view="login")
    app.add_url_rule("/login", "login", lambda: next_url("/home"))
    app.add_url_rule("/<path:_>", "page", login_required(lambda _: "page"))
    client = app.test_client()
    base_url = f"http://localhost{root}"
    location = client.get(url, base_url=base_url).headers["Location"]
    assert client.get(location.removeprefix(root), base_url=base_url).text == root + url


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/json, text/plain, */*"},
        {"Accept": "*/*", "X-Requested-With": "XMLHttpRequest"},
    ],
)
def test_a_program_is_told_rather_than_sent_to_sign_in(
    manager: SessionManager, headers: dict[str, str]
) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager, login_view="login")
    app.add_url_rule("/login", "login", lambda: "login")
    app.add_url_rule("/account", "account", login_required(lambda: "account"))
    client = app.test_client()
    assert client.get("/account", headers=headers).status_code == 401
    assert client.get("/account", headers={"Accept": "*/*"}).status_code == 302


def test_guards_take_asynchronous_views(manager: SessionManager) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager)

    async def view() -> str:
        return current_user.name or ""

    app.add_url_rule("/account", "account", login_required(view))
    app.add_url_rule("/secrets", "secrets", fresh_login_required(view))
    client = app.test_client()
    assert client.get("/account").status_code == client.get("/secrets").status_code == 401
    client.post("/api/auth/sign-up/email", json={"name": "Ada", **CREDENTIALS})
    assert client.get("/account").text == client.get("/secrets").text == "Ada"


def test_templates_know_the_user(manager: SessionManager) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager)
    template = "{{ current_user.name if current_user else 'nobody' }}"
    app.add_url_rule("/", "show", lambda: flask.render_template_string(template))
    client = app.test_client()
    assert client.get("/").text == "nobody"
    client.post("/api/auth/sign-up/email", json={"name": "Ada", **CREDENTIALS})
    assert client.get("/").text == "Ada"


def test_a_request_context_of_a_test_is_a_visitors(manager: SessionManager) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager)
    with app.test_request_context("/"):
        assert not current_user
        assert not current_session


def test_a_fresh_view_sends_visitors_to_the_login_view(manager: SessionManager) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager, login_view="login")
    app.add_url_rule("/login", "login", lambda: "login")
    app.add_url_rule("/secrets", "secrets", fresh_login_required(lambda: "secrets"))
    client = app.test_client()
    assert client.get("/secrets").headers["Location"] == "/login?next=/secrets"
    client.post("/api/auth/sign-up/email", json={"name": "Ada", **CREDENTIALS})
    assert client.get("/secrets").text == "secrets"


def test_an_error_handler_sends_people_to_where_they_prove_who_they_are(
    manager: SessionManager, clock: FakeClock
) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager)
    app.register_error_handler(SessionNotFreshError, lambda _: flask.redirect("/confirm"))
    app.add_url_rule("/secrets", "secrets", fresh_login_required(lambda: "secrets"))
    client = app.test_client()
    client.post("/api/auth/sign-up/email", json={"name": "Ada", **CREDENTIALS})
    clock.advance(days=1)
    assert client.get("/secrets").headers["Location"] == "/confirm"


def test_the_proxies_show_this_request(manager: SessionManager) -> None:
    app = flask.Flask("example")
    FlaskSessions(app, manager)

    @app.route("/")
    def show() -> Any:
        return f"{bool(current_user)} {bool(current_session)}"

    client = app.test_client()
    assert client.get("/").text == "False False"
    client.post("/api/auth/sign-up/email", json={"name": "Ada", **CREDENTIALS})
    assert client.get("/").text == "True True"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: current_user.id,
        lambda: session_request.sign_out(),
        check_form,
        next_url,
    ],
)
def test_an_app_that_is_not_wrapped_is_told_so(ask: Callable[[], object]) -> None:
    app = flask.Flask("example")
    told = r"call FlaskSessions\(app, manager\), and see that exempt_paths"
    with app.test_request_context("/"), pytest.raises(LookupError, match=told):
        ask()
