"""Falcon: the session in ``req.context``, guards for ``falcon.before``, refusals as HTTPError."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import falcon

from ..errors import AnswerableError, NotSignedInError
from ..manager import SessionManager
from ..middleware import SessionMiddleware
from ..transport.environ import REQUEST_KEY, get_request, get_user
from ..wsgi.arguments import check_app, check_manager
from ..wsgi.refusals import Refusal, refusal_of

if TYPE_CHECKING:
    from falcon import Request, Response


def install(app: Any, manager: SessionManager) -> SessionMiddleware:
    """Add middleware and error handlers; return the wrapped application, to be served instead.

    >>> manager = SessionManager("sqlite:///:memory:", secret="s" * 32)
    >>> type(install(falcon.App(), manager)).__name__
    'SessionMiddleware'
    """
    check_app(app, call="install(app, manager)")
    check_manager(manager, call="install(app, manager)")
    app.add_middleware(SessionsMiddleware())
    app.add_error_handler(AnswerableError, _raise_refusal)
    return SessionMiddleware(app, manager)


class SessionsMiddleware:
    """Gives resources ``req.context.sessions``, ``.session`` and ``.user``.

    ``sessions`` is the handle to sign in and out with; ``session`` and ``user`` follow it.
    """

    def process_request(self, req: Request, resp: Response) -> None:
        """Put the session where resources look for it (Falcon's middleware interface)."""
        context: Any = req.context
        kind: Any = type(context)
        context.__class__ = _following(kind)
        if REQUEST_KEY in req.env:
            context.sessions = get_request(req.env)
        else:  # an exempt path: to ask for the session raises
            context.sessions_environ = req.env


class _Missing:
    """The handle of a request that has none."""

    def __get__(self, context: Any, owner: type) -> Any:
        return get_request(context.sessions_environ)


class _FromHandle:
    """An attribute of the handle, until the app sets one of the same name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, context: Any, owner: type) -> Any:
        return getattr(context.sessions, self._name)


class _Following:
    sessions = _Missing()
    session = _FromHandle()
    user = _FromHandle()


@cache
def _following(kind: type) -> type:
    return type(kind.__name__, (_Following, kind), {})


def login_required(req: Request, resp: Response, resource: Any, params: Any) -> None:
    """Let signed-in users pass: ``@falcon.before(login_required)``; 401 if not."""
    if get_user(req.env) is None:
        refusal = refusal_of(NotSignedInError("sign in first"))
        raise falcon.HTTPUnauthorized(title="Unauthorized", **_details(refusal))


def fresh_login_required(req: Request, resp: Response, resource: Any, params: Any) -> None:
    """Let users pass who authenticated less than ``fresh_age`` ago; 403 if not."""
    login_required(req, resp, resource, params)
    get_request(req.env).require_fresh()


def _raise_refusal(req: Request, resp: Response, error: Any, params: Any) -> None:
    refusal = refusal_of(error)
    raise falcon.HTTPError(falcon.code_to_http_status(refusal.status), **_details(refusal))


def _details(refusal: Refusal) -> dict[str, Any]:
    """Return what Falcon's errors say beside the status; its serializers take any ``code``."""
    return {"description": refusal.text, "headers": refusal.headers, "code": refusal.code}
