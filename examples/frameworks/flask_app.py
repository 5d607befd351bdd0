"""Flask: ``python examples/frameworks/flask_app.py``, then open http://127.0.0.1:8000."""

from __future__ import annotations

from typing import Any

import pages
from flask import Flask, Response, redirect, request

from wsgi_sessions import SessionManager
from wsgi_sessions.adapters.flask import (
    FlaskSessions,
    check_form,
    current_session,
    current_user,
    fresh_login_required,
    login_required,
    session_request,
)


def create_app(manager: SessionManager) -> Flask:
    """Make the application."""
    app = Flask(__name__)
    FlaskSessions(app, manager)
    app.before_request(check_forms)

    @app.get("/")
    def entrance() -> Any:
        return redirect("/account") if current_user else pages.entrance()

    @app.post("/sign-up")
    def sign_up() -> Any:
        form = request.form
        session_request.sign_up_email(
            name=form["name"], email=form["email"], password=form["password"]
        )
        return redirect("/account", 303)

    @app.post("/sign-in")
    def sign_in() -> Any:
        session_request.sign_in_email(
            email=request.form["email"], password=request.form["password"]
        )
        return redirect("/account", 303)

    @app.post("/sign-out")
    def sign_out() -> Any:
        session_request.sign_out()
        return redirect("/", 303)

    @app.get("/account")
    @login_required
    def account() -> Any:
        return pages.account(current_user.name or "")

    @app.get("/secrets")
    @fresh_login_required
    def secrets() -> Any:
        return "the secrets"

    @app.get("/visits")
    @login_required
    def visits() -> Any:
        return pages.count_visit(current_session.data)

    @app.get("/stream")
    @login_required
    def stream() -> Any:
        data = current_session.data
        data["sent"] = []
        return Response(pages.stream(data))

    @app.errorhandler(400)
    @app.errorhandler(401)
    @app.errorhandler(403)
    @app.errorhandler(422)
    @app.errorhandler(429)
    @app.errorhandler(503)
    def show_error(error: Any) -> Any:
        return pages.error(f"{error.code} from Flask", error.description), error.code

    return app


def check_forms() -> None:
    """Take forms from the application's own pages alone."""
    if request.method == "POST":
        check_form()


if __name__ == "__main__":
    from serving import make_manager

    create_app(make_manager()).run(port=8000)
