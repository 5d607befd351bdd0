"""Bottle: ``current_session()``, ``current_user()``, guards, and refusals as error pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from bottle import Bottle, HTTPError, HTTPResponse, request

from ..errors import AnswerableError, NotSignedInError
from ..manager import SessionManager
from ..middleware import SessionMiddleware
from ..transport.environ import get_request, get_session, get_user
from ..wsgi.arguments import check_app, check_manager
from ..wsgi.refusals import refusal_of
from .views import ask, check_form_origin, is_program, read_fresh_option, safe_next

if TYPE_CHECKING:
    from datetime import timedelta

    from ..sessions.session import Session, User
    from ..wsgi.request import SessionRequest

T = TypeVar("T")

_REACHED = "wsgi_sessions.is_reached"


def install(app: Any, manager: SessionManager) -> SessionMiddleware:
    """Install the plugin and return the wrapped application, to be served in place of the app.

    >>> import bottle
    >>> manager = SessionManager("sqlite:///:memory:", secret="0123456789abcdef" * 2)
    >>> type(install(bottle.Bottle(), manager)).__name__
    'SessionMiddleware'
    """
    check_app(app, call="install(app, manager)")
    check_manager(manager, call="install(app, manager)")
    app.install(SessionsPlugin())
    return SessionMiddleware(app, manager)


class SessionsPlugin:
    """Turns refusals into ``HTTPError``; a route may say ``login_required=True``.

    Or ``fresh_login_required=True``; in place of True a time, as ``within`` of the decorator.
    It holds for the routes of apps that are merged into this one or mounted on it, too, which
    Bottle would leave without.
    """

    name = "wsgi_sessions"
    api = 2

    def setup(self, app: Any) -> None:
        """Follow an app's routes to the apps they are of (Bottle's plugin interface)."""
        if app.config.get(_REACHED):
            return
        app.config[_REACHED] = True
        add_route = app.add_route

        def add_and_follow(route: Any) -> None:
            add_route(route)
            self._follow(route)

        app.add_route = add_and_follow
        for route in app.routes:
            self._follow(route)

    def _follow(self, route: Any) -> None:
        for app in (route.app, route.config.get("mountpoint.target")):
            if isinstance(app, Bottle) and not app.config.get(_REACHED):
                app.install(self)

    def apply(self, callback: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Wrap one route (Bottle's plugin interface, version 2)."""
        needs_fresh, within = read_fresh_option(route.config.get("fresh_login_required"))
        if needs_fresh:
            callback = fresh_login_required(callback, within=within)
        elif route.config.get("login_required"):
            callback = login_required(callback)

        @wraps(callback)
        def answer(*args: Any, **kwargs: Any) -> Any:
            try:
                return callback(*args, **kwargs)
            except AnswerableError as error:
                raise _answer(error) from error

        return answer


def current_session() -> Session | None:
    """Return this request's session, or None for a visitor."""
    return _ask(get_session)


def current_user() -> User | None:
    """Return the signed-in user, or None."""
    return _ask(get_user)


def session_request() -> SessionRequest:
    """Return the handle to sign in and out with."""
    return _ask(get_request)


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let a view be seen by signed-in users alone; the app's page for 401 if not."""
    return _guarded(view, needs_fresh=False)


def fresh_login_required(
    view: Callable[..., Any] | None = None, *, within: timedelta | int | None = None
) -> Callable[..., Any]:
    """Let a view be seen by users who have just proven who they are (403 if not).

    That is less than ``fresh_age`` ago, or ``@fresh_login_required(within=600)``.
    """
    if view is None:
        return partial(fresh_login_required, within=within)
    return _guarded(view, needs_fresh=True, within=within)


def next_url(default: str = "/") -> str:
    """Return the ``next`` of a sign-in page's query, if it leads to this site."""
    query: Any = request.query
    return _ask(lambda environ: safe_next(environ, query.get("next"), default=default))


def check_form() -> None:
    """Refuse, with 403, a form that a page of another site sent."""
    _ask(check_form_origin)


def _ask(get: Callable[[Any], T]) -> T:
    return ask(get, request.environ, setup="serve what install(app, manager) returned")


def _guarded(
    view: Callable[..., Any], *, needs_fresh: bool, within: timedelta | int | None = None
) -> Callable[..., Any]:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if current_user() is None:
            raise _answer(NotSignedInError())
        if needs_fresh:
            session_request().require_fresh(within=within)
        return view(*args, **kwargs)

    return guarded


def _answer(error: AnswerableError) -> HTTPResponse:
    """Return the app's page for the status; JSON for a program where the app has none."""
    app: Any = request.app
    refusal = refusal_of(error, request)
    if refusal.status in app.error_handler or not is_program(request):
        return HTTPError(refusal.status, refusal.text, error, headers=refusal.headers)
    headers, body = refusal.answer(is_program=True)
    return HTTPResponse(body.decode("ascii"), refusal.status, headers)
