"""Flask: ``current_session``, ``current_user``, guards, and refusals as the app's error pages.

Must not keep anything of its own: what the proxies show is in the request's environ.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import Flask, abort, current_app, redirect, request, url_for
from werkzeug.exceptions import default_exceptions
from werkzeug.local import LocalProxy

from ..environ import get_request, get_session, get_user
from ..errors import ConfigurationError, RefusedError, StoreUnavailableError
from ..manager import SessionManager
from ..middleware import SessionMiddleware
from .views import check_form_origin, refusal_of, safe_next

if TYPE_CHECKING:
    from ..request import SessionRequest
    from ..session import Session, User

__all__ = [
    "FlaskSessions",
    "check_form",
    "current_session",
    "current_user",
    "fresh_login_required",
    "login_required",
    "next_url",
    "session_request",
]

P = ParamSpec("P")
R = TypeVar("R")

current_session: Session = LocalProxy(lambda: get_session(request.environ))  # type: ignore[assignment]
"""This request's ``Session``; false for a visitor."""

current_user: User = LocalProxy(lambda: get_user(request.environ))  # type: ignore[assignment]
"""This request's ``User``; false for a visitor."""

session_request: SessionRequest = LocalProxy(lambda: get_request(request.environ))  # type: ignore[assignment]
"""The handle to sign in and out with: ``session_request.sign_in_email(email=…, password=…)``."""


class FlaskSessions:
    """The extension: wraps ``app.wsgi_app``, and turns refusals into HTTP errors.

    ``login_view`` names an endpoint that visitors are sent to by ``login_required``, with
    ``next``; without one they get the app's page for 401. The manager is given here, or made
    from ``app.config["WSGI_SESSIONS"]``: a mapping of ``database`` and settings.

    >>> from flask import Flask
    >>> app = Flask("example")
    >>> app.config["WSGI_SESSIONS"] = {"database": "sqlite:///:memory:", "secret": "s" * 32}
    >>> FlaskSessions(app).manager
    SessionManager(SqliteDatabase)
    """

    def __init__(
        self,
        app: Flask | None = None,
        manager: SessionManager | None = None,
        *,
        login_view: str | None = None,
    ) -> None:
        self.manager = manager
        self.login_view = login_view
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Wrap an app; raises ``ConfigurationError`` if it has neither manager nor settings."""
        manager = self.manager
        if manager is None:
            settings = app.config.get("WSGI_SESSIONS")
            if not settings or "database" not in settings:
                raise ConfigurationError(
                    "FlaskSessions has no manager; give one, or set app.config['WSGI_SESSIONS'] "
                    "= {'database': 'sqlite:///app.db', 'secret': …}"
                )
            manager = SessionManager(**settings)
            self.manager = manager
        app.extensions["wsgi_sessions"] = self
        app.wsgi_app = SessionMiddleware(app.wsgi_app, manager)  # type: ignore[method-assign]
        app.register_error_handler(RefusedError, _show_refusal)
        app.register_error_handler(StoreUnavailableError, _show_refusal)


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let a view be seen by signed-in users alone."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        if not current_user:
            return _send_away()
        return view(*args, **kwargs)

    return guarded


def fresh_login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let a view be seen by users who authenticated less than ``fresh_age`` ago (403 if not)."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        if not current_user:
            return _send_away()
        session_request.require_fresh()
        return view(*args, **kwargs)

    return guarded


def next_url(default: str = "/") -> str:
    """Return the ``next`` of a sign-in page's query, if it leads to this site."""
    return safe_next(request.environ, request.args.get("next"), default=default)


def check_form() -> None:
    """Refuse, with 403, a form that a page of another site sent."""
    check_form_origin(request.environ)


def _send_away() -> Any:
    login_view = current_app.extensions["wsgi_sessions"].login_view
    if login_view is None:
        abort(401)
    here = request.full_path if request.query_string else request.path
    return redirect(url_for(login_view, next=request.script_root + here))


def _show_refusal(error: RefusedError | StoreUnavailableError) -> Any:
    """Answer by the app's own page for the status, if it has one."""
    refusal = refusal_of(error)
    kind = default_exceptions.get(refusal.status, default_exceptions[400])
    response = current_app.make_response(current_app.handle_http_exception(kind(refusal.text)))
    for name, value in refusal.headers:
        response.headers[name] = value
    return response
