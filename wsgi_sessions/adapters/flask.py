"""Flask: ``current_session``, ``current_user``, guards, and refusals as the app's error pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from flask import Flask, Response, current_app, redirect, request, url_for
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.local import LocalProxy

from ..cli.program import Program
from ..config.exempt_paths import is_exempt
from ..errors import AnswerableError, ConfigurationError, NotSignedInError
from ..manager import SessionManager
from ..middleware import SessionMiddleware
from ..transport.environ import REQUEST_KEY, get_request, get_session, get_user
from ..wsgi.arguments import check_app, check_manager
from ..wsgi.refusals import refusal_of
from .views import ask, check_form_origin, is_program, path_and_query, safe_next

if TYPE_CHECKING:
    from datetime import timedelta

    from ..sessions.session import Session, User
    from ..wsgi.request import SessionRequest

P = ParamSpec("P")
R = TypeVar("R")

_MANAGER = "wsgi_sessions.manager"
_CALL = "FlaskSessions(app, manager)"

current_session: Session = LocalProxy(lambda: _shown(get_session))  # type: ignore[assignment]
"""This request's ``Session``; false for a visitor."""

current_user: User = LocalProxy(lambda: _shown(get_user))  # type: ignore[assignment]
"""This request's ``User``; false for a visitor. Templates know it by this name, too."""

session_request: SessionRequest = LocalProxy(lambda: _ask(get_request))  # type: ignore[assignment]
"""The handle to sign in and out with: ``session_request.sign_in_email(email=…, password=…)``."""


class FlaskSessions:
    """The extension: wraps ``app.wsgi_app``, and turns refusals into HTTP errors.

    ``login_view`` names an endpoint that visitors are sent to by ``login_required``, with
    ``next``; without one they get the app's page for 401, as programs do. The manager is given
    here, or made for each app from ``app.config["WSGI_SESSIONS"]``: a mapping of ``database``
    and settings.

    >>> from flask import Flask
    >>> app = Flask("example")
    >>> secret = "0123456789abcdef" * 2
    >>> app.config["WSGI_SESSIONS"] = {"database": "sqlite:///:memory:", "secret": secret}
    >>> sessions = FlaskSessions(app)
    >>> with app.app_context():
    ...     sessions.manager
    SessionManager(SqliteDatabase)
    """

    def __init__(
        self,
        app: Flask | None = None,
        manager: SessionManager | None = None,
        *,
        login_view: str | None = None,
    ) -> None:
        if app is not None:
            _check_flask(app)
        if manager is not None:
            check_manager(manager, call=_CALL)
        self._given = manager
        self.login_view = login_view
        if app is not None:
            self.init_app(app)

    @property
    def manager(self) -> SessionManager:
        """The manager that was given, or else the current app's own."""
        return self._given or current_app.extensions[_MANAGER]

    def init_app(self, app: Flask) -> None:
        """Wrap an app, once; ``ConfigurationError`` if it has neither manager nor settings."""
        _check_flask(app)
        if _MANAGER in app.extensions:
            raise ConfigurationError("this app has sessions already; call init_app once")
        manager = self._given
        if manager is None:
            settings = app.config.get("WSGI_SESSIONS")
            if not settings or "database" not in settings:
                raise ConfigurationError(
                    "FlaskSessions has no manager; give one, or set app.config['WSGI_SESSIONS'] "
                    "= {'database': 'sqlite:///app.db', 'secret': …}"
                )
            manager = SessionManager(**settings)
        app.extensions.update({"wsgi_sessions": self, _MANAGER: manager})
        app.context_processor(lambda: {"current_user": current_user})
        app.wsgi_app = SessionMiddleware(app.wsgi_app, manager)  # type: ignore[method-assign]
        app.register_error_handler(AnswerableError, _show_refusal)
        if "sessions" not in app.cli.commands:
            app.cli.add_command(Program("sessions", lambda _app: manager, around=app.app_context))


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let a view be seen by signed-in users alone."""
    return _guarded(view, needs_fresh=False)


@overload
def fresh_login_required(view: Callable[P, R]) -> Callable[P, R]: ...
@overload
def fresh_login_required(
    *, within: timedelta | int | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def fresh_login_required(view: Any = None, *, within: timedelta | int | None = None) -> Any:
    """Let a view be seen by users who have just proven who they are (403 if not).

    That is less than ``fresh_age`` ago, or ``@fresh_login_required(within=600)``.
    """
    if view is None:
        return partial(fresh_login_required, within=within)
    return _guarded(view, needs_fresh=True, within=within)


def next_url(default: str = "/") -> str:
    """Return the ``next`` of a sign-in page's query, if it leads to this site."""
    url = request.args.get("next")
    return _ask(lambda environ: safe_next(environ, url, default=default))


def check_form() -> None:
    """Refuse, with 403, a form that a page of another site sent."""
    _ask(check_form_origin)


def _check_flask(app: Any) -> None:
    check_app(app, call=_CALL)
    if not isinstance(app, Flask):
        raise ConfigurationError(
            f"app is a {type(app).__name__}, not a Flask application; write {_CALL}, or give "
            "SessionMiddleware(app, manager) to any other application"
        )


def _shown(get: Callable[[Any], R]) -> R | None:
    """Return a request's value; None in ``app.test_request_context()``, which ran no middleware."""
    if REQUEST_KEY not in request.environ and _MANAGER in current_app.extensions:
        return None
    return _ask(get)


def _ask(get: Callable[[Any], R]) -> R:
    return ask(get, request.environ, setup=f"call {_CALL}")


def _guarded(
    view: Callable[P, R], *, needs_fresh: bool, within: timedelta | int | None = None
) -> Callable[P, R]:
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        if not current_user:
            return _send_to_sign_in()
        if needs_fresh:
            try:
                session_request.require_fresh(within=within)
            except NotSignedInError:  # the session was a cached copy, and is not live
                return _send_to_sign_in()
        return current_app.ensure_sync(view)(*args, **kwargs)

    return guarded


def _send_to_sign_in() -> Any:
    manager: SessionManager = current_app.extensions[_MANAGER]
    if is_exempt(request.environ.get("PATH_INFO", ""), manager.config.exempt_paths):
        _ask(get_request)  # raises, and says that this path is exempt
    login_view = current_app.extensions["wsgi_sessions"].login_view
    if login_view is None or is_program(request):
        raise NotSignedInError
    return redirect(url_for(login_view, next=path_and_query(request)))


def _show_refusal(error: AnswerableError) -> Any:
    """Answer by the app's own page for the status, if it has one; if not, a program by JSON."""
    refusal = refusal_of(error, request)
    plain = default_exceptions.get(refusal.status, HTTPException)(refusal.text)
    plain.code = refusal.status
    shown: Any = current_app.handle_http_exception(plain)
    if shown is plain and is_program(request):
        headers, body = refusal.answer(is_program=True)
        shown = Response(body, refusal.status, headers)
    response = current_app.make_response(shown)
    response.headers.update(refusal.headers)
    return response
