"""A few notes behind a sign-in."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import Flask, abort, redirect, render_template, request, url_for

from wsgi_sessions import (
    RefusedError,
    SessionConfig,
    SessionManager,
    SessionMiddleware,
    get_request,
    get_session,
    get_user,
)
from wsgi_sessions.adapters import check_form_origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Response as FlaskResponse
    from werkzeug.wrappers import Response


def create_app(database: str = "sqlite:///notes.db", config: SessionConfig | None = None) -> Flask:
    """Return the application; the secret comes from the environment unless a config is given."""
    app = Flask(__name__)
    manager = SessionManager(database, config=config or SessionConfig.from_env())
    app.wsgi_app = SessionMiddleware(app.wsgi_app, manager)  # type: ignore[method-assign]

    @app.before_request
    def refuse_forms_of_other_sites() -> None:
        if request.method == "POST":
            try:
                check_form_origin(request)
            except RefusedError:
                abort(403)

    @app.after_request
    def keep_out_of_shared_caches(response: FlaskResponse) -> FlaskResponse:
        response.cache_control.private = True
        return response

    @app.get("/")
    def welcome() -> str:
        return render_template("welcome.html", user=get_user(request))

    @app.post("/sign-up")
    def sign_up() -> str | Response | tuple[str, int]:
        form = request.form
        return entered(
            lambda: get_request(request).sign_up_email(
                name=form.get("name", ""),
                email=form.get("email", ""),
                password=form.get("password", ""),
            )
        )

    @app.post("/sign-in")
    def sign_in() -> str | Response | tuple[str, int]:
        form = request.form
        return entered(
            lambda: get_request(request).sign_in_email(
                email=form.get("email", ""),
                password=form.get("password", ""),
                remember_me="remember" in form,
            )
        )

    @app.post("/sign-out")
    def sign_out() -> Response:
        get_request(request).sign_out()
        return redirect(url_for("welcome"), 303)

    @app.get("/notes")
    @signed_in_only
    def notes() -> str:
        session = get_session(request)
        assert session is not None
        return render_template("notes.html", user=session.user, notes=session.data.get("notes", []))

    @app.post("/notes")
    @signed_in_only
    def add_note() -> Response:
        session = get_session(request)
        assert session is not None
        session.data.setdefault("notes", []).append(request.form["text"])
        return redirect(url_for("notes"), 303)

    return app


def entered(enter: Callable[[], Any]) -> str | Response | tuple[str, int]:
    """Sign somebody up or in, and show the notes, or what was wrong."""
    try:
        enter()
    except RefusedError as error:
        return render_template("welcome.html", user=None, problem=str(error)), 401
    return redirect(url_for("notes"), 303)


def signed_in_only(view: Callable[[], Any]) -> Callable[[], Any]:
    """Send visitors who are not signed in to the welcome page."""

    @wraps(view)
    def guarded() -> Any:
        if get_user(request) is None:
            return redirect(url_for("welcome"), 303)
        return view()

    return guarded
