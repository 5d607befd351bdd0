"""The Bottle example, by WebTest."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("bottle")
pytest.importorskip("webtest")

from bottle import Bottle

from wsgi_sessions import SessionManager
from wsgi_sessions.adapters.bottle import current_session, install, next_url

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
