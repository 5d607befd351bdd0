"""Django: a middleware that puts the session on the request, guards, and refusals as pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial, wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from asgiref.sync import iscoroutinefunction
from django import conf
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.urls import get_resolver, get_urlconf
from django.utils.module_loading import import_string
from django.views.defaults import bad_request

from ..errors import AnswerableError, NotSignedInError
from ..manager import SessionManager
from ..middleware import SessionMiddleware
from ..transport.environ import get_request, get_session, get_user
from ..wsgi.refusals import Refusal, refusal_of
from ..wsgi.served import is_served, share_session
from .views import is_program, safe_next

if TYPE_CHECKING:
    from datetime import timedelta

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..sessions.session import Session, User
    from ..wsgi.request import SessionRequest

_BRIDGE_KEY = "wsgi_sessions.django"
_NOT_COPIED = frozenset({"set-cookie", "content-length"})


@cache
def get_manager() -> SessionManager:
    """Return the project's manager, made once in a process.

    ``WSGI_SESSIONS_MANAGER`` is the dotted path of one; else ``WSGI_SESSIONS`` is a mapping of
    ``DATABASE`` (a URL) and settings, in capitals or not. Raises ``ImproperlyConfigured``.
    """
    path = getattr(conf.settings, "WSGI_SESSIONS_MANAGER", None)
    if path is not None:
        manager = import_string(path)
        if not isinstance(manager, SessionManager):
            raise ImproperlyConfigured(f"WSGI_SESSIONS_MANAGER: {path} is no SessionManager")
        return manager
    given: Mapping[str, Any] | None = getattr(conf.settings, "WSGI_SESSIONS", None)
    named = {name.lower(): value for name, value in (given or {}).items()}
    if "database" not in named:
        raise ImproperlyConfigured(
            "set WSGI_SESSIONS = {'DATABASE': 'sqlite:///app.db', 'SECRET': …}, or "
            "WSGI_SESSIONS_MANAGER = 'mysite.sessions.manager'"
        )
    return SessionManager(**named)


class SessionsMiddleware:
    """For ``MIDDLEWARE``, first but for Django's ``SecurityMiddleware``.

    Gives views ``request.wsgi_session`` and ``request.wsgi_user``, and in
    ``request.wsgi_sessions`` the handle to sign in and out with. The JSON API and the sessions
    page are answered here too. If ``wsgi.py`` already wraps the application in
    ``SessionMiddleware``, this only adds the names.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._middleware: SessionMiddleware | None = None

    def __call__(self, request: HttpRequest) -> Any:
        """Answer a request."""
        environ = getattr(request, "environ", None)
        if environ is None:
            raise ImproperlyConfigured("SessionsMiddleware needs WSGI; this request is ASGI's")
        if is_served(environ, get_manager()):
            return self._get_response(_with_names(request))
        request.get_host()  # ALLOWED_HOSTS are for the JSON API, too
        if self._middleware is None:
            self._middleware = SessionMiddleware(self._pass_on, get_manager())
        bridge = environ[_BRIDGE_KEY] = _Bridge(request)
        return bridge.answer(self._middleware(environ, bridge.start_response))

    def _pass_on(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        bridge: _Bridge = environ.pop(_BRIDGE_KEY)
        # Of an HttpRequest the types of Django know no environ; a WSGIRequest has one.
        kept: WSGIEnvironment = bridge.request.environ  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
        share_session(environ, kept)
        bridge.response = response = self._get_response(_with_names(bridge.request))
        headers = [(name, value) for name, value in response.items() if value.isascii()]
        start_response(f"{response.status_code} {response.reason_phrase}", headers)
        bridge.has_begun = True
        return iter(response) if _runs_code(response) else []  # Django sends the others itself

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        """Answer what a view let through: by the project's own pages, or plainly."""
        return _show(exception, request) if isinstance(exception, AnswerableError) else None


@dataclass(eq=False, slots=True)
class _Bridge:
    """One request between ``SessionMiddleware``, which is WSGI, and Django's own responses."""

    request: HttpRequest
    response: Any = None
    has_begun: bool = False
    _started: tuple[str, list[tuple[str, str]]] | None = None
    _is_answered: bool = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Any:
        if self._is_answered:
            raise exc_info[1]  # too late for another answer
        self._started = status, headers
        return _refuse_write

    def answer(self, iterable: Iterable[bytes]) -> Any:
        """Return Django's response, or the middleware's where that took its place."""
        assert self._started is not None
        self._is_answered = True
        status, headers = self._started
        response, close = self.response, getattr(iterable, "close", None)
        if not self.has_begun:
            answer: Any = HttpResponse(b"".join(iterable), status=int(status[:3]))
            del answer.headers["Content-Type"]
            answer._resource_closers += [] if response is None else response._resource_closers
        else:
            answer = response
        if self.has_begun and _runs_code(response):
            answer.streaming_content = iterable
        elif close is not None:
            answer._resource_closers.append(close)  # as Django's own handler does
        _copy_headers(headers, answer)
        return answer


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Send visitors to ``LOGIN_URL`` with ``next``; programs get 401."""
    return _guarded(view, needs_fresh=False)


def fresh_login_required(
    view: Callable[..., Any] | None = None, *, within: timedelta | int | None = None
) -> Callable[..., Any]:
    """Let in who has just proven who they are; 403 by the project's page if not.

    That is less than ``fresh_age`` ago, or ``@fresh_login_required(within=600)``.
    """
    if view is None:
        return partial(fresh_login_required, within=within)
    return _guarded(view, needs_fresh=True, within=within)


def next_url(request: HttpRequest, default: str = "/") -> str:
    """Return the ``next`` of a sign-in page's query, if it leads to this site."""
    url: Any = request.GET.get("next")
    return safe_next(request, url, default=default)


class _Names:
    """What requests have besides Django's own; properties, as a view may sign in or out."""

    @property
    def wsgi_session(self) -> Session | None:
        return get_session(self)

    @property
    def wsgi_user(self) -> User | None:
        return get_user(self)

    @property
    def wsgi_sessions(self) -> SessionRequest:
        return get_request(self)


@cache
def _named(kind: type) -> type:
    return type(kind.__name__, (_Names, kind), {})


def _with_names(request: HttpRequest) -> HttpRequest:
    kind: Any = type(request)
    if not isinstance(request, _Names):
        request.__class__ = _named(kind)
    return request


def _guarded(
    view: Callable[..., Any], *, needs_fresh: bool, within: timedelta | int | None = None
) -> Callable[..., Any]:
    def refuse(request: HttpRequest) -> Any:
        if _user_of(request) is None:
            return _show(NotSignedInError(), request)
        if needs_fresh:
            get_request(request).require_fresh(within=within)
        return None

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        refused = refuse(request)
        return view(request, *args, **kwargs) if refused is None else refused

    @wraps(view)
    async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        refused = refuse(request)
        return await view(request, *args, **kwargs) if refused is None else refused

    return guarded_async if iscoroutinefunction(view) else guarded


def _user_of(request: Any) -> User | None:
    """Return a request's user; a test may set ``wsgi_user``, as it may set ``user``."""
    if hasattr(request, "wsgi_user"):
        user: User | None = request.wsgi_user
        return user
    try:
        return get_user(request)
    except LookupError:
        raise ImproperlyConfigured(
            "no SessionsMiddleware has seen this request; add it to MIDDLEWARE, or set "
            "request.wsgi_user yourself in a test with RequestFactory"
        ) from None


def _show(error: AnswerableError, request: HttpRequest) -> Any:
    """Answer a refusal: a program by JSON, a visitor by the way to sign in, others by a page."""
    refusal = refusal_of(error, request)
    if is_program(request):
        response: Any = _plain(refusal, is_program=True)
    elif isinstance(error, NotSignedInError) and conf.settings.LOGIN_URL:
        # Not the redirect of contrib.auth, which needs its models installed.
        url = resolve_url(conf.settings.LOGIN_URL)
        joint = "&" if "?" in url else "?"
        return redirect(f"{url}{joint}next={quote(request.get_full_path(), safe='')}")
    else:
        response = _page(error, request, refusal)
    for name, value in refusal.headers:
        response.headers[name] = value
    return response


def _page(error: AnswerableError, request: HttpRequest, refusal: Refusal) -> Any:
    """Return the project's page for a refusal, or plain text where it has none with words."""
    status = 403 if refusal.status == 403 else 400
    handler: Any = get_resolver(get_urlconf()).resolve_error_handler(status)
    if refusal.status < 500 and (refusal.status == status or handler is not bad_request):
        response = handler(request, exception=error)
        response.status_code = refusal.status
        return response
    return _plain(refusal, is_program=False)


def _plain(refusal: Refusal, *, is_program: bool) -> HttpResponse:
    headers, body = refusal.answer(is_program=is_program)
    return HttpResponse(body, headers=dict(headers), status=refusal.status)


def _runs_code(response: Any) -> bool:
    """Return whether a body can still touch the session; a file is left to the server as it is."""
    return response.streaming and getattr(response, "file_to_stream", None) is None


def _refuse_write(_chunk: bytes) -> None:
    raise AssertionError("unreachable")


def _copy_headers(headers: list[tuple[str, str]], response: Any) -> None:
    """Copy to Django's response what the middleware has added or changed."""
    for name, value in headers:
        if name.lower() == "set-cookie":
            _copy_cookie(value, response)
        elif name.lower() not in _NOT_COPIED:
            response.headers[name] = value


def _copy_cookie(line: str, response: Any) -> None:
    pair, *attributes = line.split("; ")
    name, _, value = pair.partition("=")
    response.cookies[name] = value
    morsel = response.cookies[name]
    # Unquoted: Django would put quotes around some characters.
    morsel.set(name, value, value)
    for attribute in attributes:
        key, _, text = attribute.partition("=")
        # Python before 3.14 knows no Partitioned; it renders what it has a name for.
        morsel._reserved.setdefault(key.lower(), key)
        if not text:
            morsel._flags.add(key.lower())
        morsel[key.lower()] = text or True
