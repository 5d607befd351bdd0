"""Pyramid: request properties, view options, a security policy, and refusals as error views."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from pyramid.authorization import ACLHelper
from pyramid.httpexceptions import HTTPClientError, HTTPException, HTTPNotFound, status_map
from pyramid.interfaces import PHASE3_CONFIG, ITweens
from pyramid.response import Response
from pyramid.tweens import INGRESS

from ..errors import AnswerableError, ConfigurationError, NotSignedInError
from ..manager import SessionManager
from ..middleware import SessionMiddleware
from ..transport.environ import get_request, get_session, get_user
from ..wsgi.arguments import check_manager
from ..wsgi.refusals import refusal_of
from ..wsgi.served import is_served, share_session
from .views import ask, is_program, read_fresh_option

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_PREFIX = "wsgi_sessions."
_BRIDGE_KEY = "wsgi_sessions.pyramid"
_TWEEN = "wsgi_sessions.adapters.pyramid.sessions_tween"


def includeme(config: Any) -> None:
    """``config.include("wsgi_sessions.adapters.pyramid")``: everything, in one line.

    With ``wsgi_sessions.database`` among the settings (and ``wsgi_sessions.secret`` and so on,
    as text) the manager is made from them; else call ``config.add_wsgi_sessions(manager)``.
    """
    config.add_directive("add_wsgi_sessions", add_wsgi_sessions)
    settings = (config.get_settings() or {}).items()
    named = {name[len(_PREFIX) :]: value for name, value in settings if name.startswith(_PREFIX)}
    if not named:
        return
    if "database" not in named:
        raise ConfigurationError(
            "the settings have wsgi_sessions.… but no wsgi_sessions.database; give its URL"
        )
    add_wsgi_sessions(config, SessionManager(**named))


def add_wsgi_sessions(config: Any, manager: SessionManager) -> None:
    """Send every request through a manager's ``SessionMiddleware``, as the outermost tween.

    That is, of those of one commit; an explicit ``pyramid.tweens`` decides instead.
    """
    check_manager(manager, call="config.add_wsgi_sessions(manager)")
    config.registry["wsgi_sessions"] = manager
    config.add_tween(_TWEEN, under=INGRESS)
    # Among tweens that say no more than "under INGRESS" the last one added is the outermost.
    config.action(None, _put_outside_of_others, args=(config.registry,), order=PHASE3_CONFIG + 1)
    for name, get in (
        ("wsgi_session", get_session),
        ("wsgi_user", get_user),
        ("wsgi_sessions", get_request),
    ):
        config.add_request_method(partial(_shown, get=get), name, property=True)
    config.add_view_deriver(_guarded_view, name="wsgi_sessions")
    config.add_exception_view(_show_refusal, context=AnswerableError)


def sessions_tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Make the tween: the middleware around the rest of the application."""

    def pass_on(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = environ.pop(_BRIDGE_KEY)
        share_session(environ, request.environ)
        answer: Iterable[bytes] = handler(request)(environ, start_response)
        return answer

    middleware = SessionMiddleware(pass_on, registry["wsgi_sessions"])

    def tween(request: Any) -> Any:
        if is_served(request.environ, middleware.manager):
            return handler(request)
        request.environ[_BRIDGE_KEY] = request
        status, headers, body = request.call_application(middleware)
        return request.ResponseClass(status=status, headerlist=list(headers), app_iter=body)

    return tween


class SessionSecurityPolicy:
    """Who is signed in, as Pyramid's security policy; permissions by the context's ``__acl__``.

    Principals are ``system.Everyone``, and for users ``system.Authenticated`` and their id.
    """

    def identity(self, request: Any) -> Any:
        """Return the signed-in user, or None."""
        return _shown(request, get_user)

    def authenticated_userid(self, request: Any) -> str | None:
        """Return the user's id as text, or None."""
        user = _shown(request, get_user)
        return None if user is None else str(user.id)

    def permits(self, request: Any, context: Any, permission: str) -> Any:
        """Return whether the context's ACL grants a permission."""
        user_id = self.authenticated_userid(request)
        principals = ["system.Everyone"]
        if user_id is not None:
            principals += ["system.Authenticated", user_id]
        return ACLHelper().permits(context, principals, permission)

    def remember(self, request: Any, userid: Any, **_: Any) -> list[tuple[str, str]]:
        """Sign the browser in; its cookie goes out with the response, so no headers are needed."""
        _shown(request, get_request).sign_in(userid)
        return []

    def forget(self, request: Any, **_: Any) -> list[tuple[str, str]]:
        """Sign the browser out."""
        _shown(request, get_request).sign_out()
        return []


def _put_outside_of_others(registry: Any) -> None:
    registry.getUtility(ITweens).add_implicit(_TWEEN, sessions_tween, under=INGRESS)


def _shown(request: Any, get: Callable[[Any], Any]) -> Any:
    where = f"put {_TWEEN} before the tween that asks for it in pyramid.tweens"
    if "wsgi_sessions" not in request.registry:
        where = 'call config.include("wsgi_sessions.adapters.pyramid")'
    return ask(get, request, setup=where)


def _guarded_view(view: Callable[[Any, Any], Any], info: Any) -> Callable[[Any, Any], Any]:
    """Derive a view: ``login_required=True``, ``fresh_login_required=True`` in ``view_config``.

    In place of the latter True a time may stand, as ``within`` of ``require_fresh``.
    """
    needs_fresh, within = read_fresh_option(info.options.get("fresh_login_required"))
    if not (needs_fresh or info.options.get("login_required")):
        return view

    def guarded(context: Any, request: Any) -> Any:
        if _shown(request, get_user) is None:
            raise NotSignedInError
        if needs_fresh:
            get_request(request).require_fresh(within=within)
        return view(context, request)

    return guarded


_guarded_view.options = ("login_required", "fresh_login_required")  # type: ignore[attr-defined]


def _show_refusal(error: Any, request: Any) -> Any:
    """Answer by the app's own view for the HTTP error, if it has one; if not, a program by JSON."""
    refusal = refusal_of(error, request)
    plain: Any = status_map.get(refusal.status, HTTPClientError)(detail=refusal.text)
    plain.status = refusal.status_line
    try:
        raise plain
    except HTTPException:
        try:
            response = request.invoke_exception_view(exc_info=sys.exc_info())
        except HTTPNotFound:
            response = plain
    if response is plain and is_program(request):
        headers, body = refusal.answer(is_program=True)
        response = Response(body, refusal.status_line, headers)
    response.headers.update(refusal.headers)
    return response
