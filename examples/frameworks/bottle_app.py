"""Bottle: ``python examples/frameworks/bottle_app.py``, then open http://127.0.0.1:8000."""

from __future__ import annotations

from typing import Any

import pages
from bottle import Bottle, redirect, request

from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.adapters.bottle import (
    check_form,
    current_session,
    current_user,
    install,
    session_request,
)


def create_app(manager: SessionManager) -> SessionMiddleware:
    """Make the application; what is returned is to be served."""
    app = Bottle()

    @app.get("/")
    def entrance() -> Any:
        return redirect("/account") if current_user() else pages.entrance()

    @app.post("/sign-up")
    def sign_up() -> Any:
        check_form()
        form: Any = request.forms
        session_request().sign_up_email(name=form.name, email=form.email, password=form.password)
        redirect("/account", 303)

    @app.post("/sign-in")
    def sign_in() -> Any:
        check_form()
        form: Any = request.forms
        session_request().sign_in_email(email=form.email, password=form.password)
        redirect("/account", 303)

    @app.post("/sign-out")
    def sign_out() -> Any:
        check_form()
        session_request().sign_out()
        redirect("/", 303)

    @app.get("/account", login_required=True)
    def account() -> Any:
        user = current_user()
        return pages.account("" if user is None else user.name or "")

    @app.get("/secrets", fresh_login_required=True)
    def secrets() -> Any:
        return "the secrets"

    @app.get("/visits", login_required=True)
    def visits() -> Any:
        session: Any = current_session()
        return pages.count_visit(session.data)

    @app.get("/stream", login_required=True)
    def stream() -> Any:
        session: Any = current_session()
        session.data["sent"] = []
        return pages.stream(session.data)

    @app.error(400)
    @app.error(401)
    @app.error(403)
    @app.error(422)
    @app.error(429)
    @app.error(503)
    def show_error(error: Any) -> Any:
        return pages.error(f"{error.status_code} from Bottle", str(error.body))

    return install(app, manager)


if __name__ == "__main__":
    from serving import make_manager, serve

    serve(create_app(make_manager()))
