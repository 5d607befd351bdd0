"""The Bottle example, by WebTest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("bottle")
pytest.importorskip("webtest")

from bottle import Bottle, request

from wsgi_sessions import SessionManager
from wsgi_sessions.adapters.bottle import (
    SessionsPlugin,
    check_form,
    current_session,
    current_user,
    install,
    next_url,
    session_request,
)

from .story import CREDENTIALS, Story
from .webtest_site import WebTestSite


class TestBottle(Story):
    @pytest.fixture
    def site(self, manager: SessionManager) -> WebTestSite:
        from bottle_app import create_app  # type: ignore[import-not-found, unused-ignore]

        return WebTestSite(create_app(manager), "Bottle")


def test_functions_show_this_request(manager: SessionManager) -> None:
    app = Bottle()

    @app.get("/")
    def show() -> Any:
        session = current_session()
        return f"{'nobody' if session is None else session.generation} {next_url('/home')}"

    site = WebTestSite(install(app, manager), "Bottle")
    assert site.get("/?next=//evil.example").text == "nobody /home"
    site.app.post_json("/api/auth/sign-up/email", {"name": "Ada", **CREDENTIALS})
    assert site.get("/?next=/account").text == "0 /account"


def test_a_fresh_view_turns_visitors_away(manager: SessionManager) -> None:
    app = Bottle()
    app.route("/secrets", callback=lambda: "secrets", fresh_login_required=True)
    assert WebTestSite(install(app, manager), "Bottle").get("/secrets").status == 401


def secrets_app() -> Bottle:
    """Return an app of its own whose secrets only its own routes guard."""
    app = Bottle()
    app.route("/secrets", callback=lambda: "secrets", login_required=True)
    return app


def merge(app: Bottle, other: Bottle) -> None:
    app.merge(other)


def merge_routes(app: Bottle, other: Bottle) -> None:
    app.merge(other.routes)


def mount(app: Bottle, other: Bottle) -> None:
    app.mount("/sub/", other)


def mount_as_wsgi(app: Bottle, other: Bottle) -> None:
    app.mount("/sub/", other, name="sub")


def mount_deep(app: Bottle, other: Bottle) -> None:
    between = Bottle()
    between.merge(other)
    app.mount("/sub/", between)


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("add", [merge, merge_routes, mount, mount_as_wsgi, mount_deep])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_guard_holds_in_an_app_that_is_merged_or_mounted(
    manager: SessionManager, add: Callable[[Bottle, Bottle], None], is_late: bool
) -> None:
    app = Bottle()
    if not is_late:
        add(app, secrets_app())
    site = WebTestSite(install(app, manager), "Bottle")
    if is_late:
        add(app, secrets_app())
    path = "/sub/secrets" if "mount" in add.__name__ else "/secrets"
    assert site.get(path).status == 401
    site.app.post_json("/api/auth/sign-up/email", {"name": "Ada", **CREDENTIALS})
    assert site.get(path).text == "secrets"


def test_apps_that_share_routes_may_each_have_the_plugin(manager: SessionManager) -> None:
    app, other = secrets_app(), Bottle()
    other.install(SessionsPlugin())
    other.merge(app)
    app.merge(other)
    assert WebTestSite(install(app, manager), "Bottle").get("/secrets").status == 401


@pytest.mark.parametrize("ask", [current_session, current_user, session_request, check_form])
def test_an_app_that_is_not_wrapped_is_told_so(ask: Callable[[], object]) -> None:
    request.bind({"PATH_INFO": "/"})
    with pytest.raises(LookupError, match=r"serve what install\(app, manager\) returned"):
        ask()
