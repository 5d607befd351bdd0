"""Falcon: the session in ``req.context``, guards for ``falcon.before``, refusals as HTTPError."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import falcon

from ..errors import AnswerableError, NotSignedInError
from ..manager import SessionManager
from ..middleware import SessionMiddleware
from ..transport.environ import REQUEST_KEY, get_request, get_user
from ..transport.response_headers import protections
from ..wsgi.arguments import check_app, check_manager
from ..wsgi.refusals import Refusal, refusal_of
from .views import ask

if TYPE_CHECKING:
    from datetime import timedelta

    from falcon import Request, Response

T = TypeVar("T")


def install(app: Any, manager: SessionManager) -> SessionMiddleware:
    """Add middleware and error handlers; return the wrapped application, to be served instead.

    >>> manager = SessionManager("sqlite:///:memory:", secret="0123456789abcdef" * 2)
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


def _ask(get: Callable[[Any], T], environ: Any) -> T:
    return ask(get, environ, setup="serve what install(app, manager) returned")


class _Missing:
    """The handle of a request that has none."""

    def __get__(self, context: Any, owner: type) -> Any:
        return _ask(get_request, context.sessions_environ)


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
    if _ask(get_user, req.env) is None:
        refusal = refusal_of(NotSignedInError(), req)
        raise falcon.HTTPUnauthorized(title="Unauthorized", **_details(refusal))


def fresh_login_required(
    req: Request,
    resp: Response,
    resource: Any,
    params: Any,
    *,
    within: timedelta | int | None = None,
) -> None:
    """Let users pass who have just proven who they are; 403 if not.

    That is less than ``fresh_age`` ago, or ``@falcon.before(fresh_login_required, within=600)``.
    """
    login_required(req, resp, resource, params)
    get_request(req.env).require_fresh(within=within)


def _raise_refusal(req: Request, resp: Response, error: Any, params: Any) -> None:
    raise _Refused(refusal_of(error, req))


class _Refused(falcon.HTTPError):
    """Tells programs what a refusal has beside its code and text, as ``maxAge``."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(falcon.code_to_http_status(refusal.status), **_details(refusal))
        self._more = refusal.details

    def to_dict(self, obj_type: Any = dict) -> Any:
        """Return what is serialized (Falcon's interface)."""
        said: Any = super().to_dict(obj_type)
        said.update(self._more)
        return said


def _details(refusal: Refusal) -> dict[str, Any]:
    """Return what Falcon's errors say beside the status; its serializers take any ``code``."""
    headers = [*refusal.headers, *protections()]
    return {"description": refusal.text, "headers": headers, "code": refusal.code}
