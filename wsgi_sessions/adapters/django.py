"""Django: a middleware that puts the session on the request, guards, and refusals as pages.

Must not keep a second session: a request that ``SessionMiddleware`` has seen is not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django import conf
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.urls import get_resolver
from django.utils.module_loading import import_string

from ..environ import REQUEST_KEY, get_request, get_session, get_user
from ..errors import RefusedError, StoreUnavailableError
from ..manager import SessionManager
from ..middleware import SessionMiddleware
from .views import refusal_of, safe_next

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..request import SessionRequest
    from ..session import Session, User

__all__ = [
    "SessionsMiddleware",
    "fresh_login_required",
    "get_manager",
    "login_required",
    "next_url",
]

_BRIDGE_KEY = "wsgi_sessions.django"
_HELD_BACK = frozenset({"set-cookie", "content-length"})


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
    """For ``MIDDLEWARE``, first of all: gives views ``request.wsgi_session`` and ``.wsgi_user``.

    ``request.wsgi_sessions`` is the handle to sign in and out with. The JSON API and the
    sessions page are answered here too. If ``wsgi.py`` wraps the application in
    ``SessionMiddleware``, that one has done the work, and this adds the names alone.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._door: SessionMiddleware | None = None

    def __call__(self, request: HttpRequest) -> Any:
        """Answer a request."""
        environ = getattr(request, "environ", None)
        if environ is None:
            raise ImproperlyConfigured("SessionsMiddleware needs WSGI; this request is ASGI's")
        if REQUEST_KEY in environ:
            return self._get_response(_with_names(request))
        if self._door is None:
            self._door = SessionMiddleware(self._pass_on, get_manager())
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: Any, _exc_info: Any = None) -> Any:
            said.append((status, headers))
            return _refuse_write

        held: list[Any] = []
        environ[_BRIDGE_KEY] = (request, held)
        iterable = self._door(environ, start_response)
        status, headers = said[-1]
        body = _read(iterable)
        if held:
            response = held[0]
        else:
            response = HttpResponse(body, status=int(status[:3]))
            del response.headers["Content-Type"]
        _copy_headers(headers, response)
        return response

    def _pass_on(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request, held = environ.pop(_BRIDGE_KEY)
        response = self._get_response(_with_names(request))
        held.append(response)
        headers = [(name, value) for name, value in response.items() if value.isascii()]
        start_response(f"{response.status_code} {response.reason_phrase}", headers)
        return []  # Django sends the body itself

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        """Answer what a view let through: by the project's pages for 400 and 403, or plainly."""
        if not isinstance(exception, (RefusedError, StoreUnavailableError)):
            return None
        refusal = refusal_of(exception)
        if refusal.status == 401 and conf.settings.LOGIN_URL:
            return _redirect_to_login(request)
        if refusal.status in (400, 403):
            handler = get_resolver().resolve_error_handler(refusal.status)
            return handler(request, exception=exception)
        response = HttpResponse(f"{refusal.text}\n".encode(), status=refusal.status)
        response.headers["Content-Type"] = "text/plain; charset=utf-8"
        for name, value in refusal.headers:
            response.headers[name] = value
        return response


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Send visitors to ``LOGIN_URL`` with ``next``."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if get_user(request) is None:
            return _redirect_to_login(request)
        return view(request, *args, **kwargs)

    return guarded


def fresh_login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let in who authenticated less than ``fresh_age`` ago; 403 by the project's page if not."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if get_user(request) is None:
            return _redirect_to_login(request)
        get_request(request).require_fresh()
        return view(request, *args, **kwargs)

    return guarded


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


def _redirect_to_login(request: HttpRequest) -> Any:
    # Not that of contrib.auth, which needs its models installed.
    url = resolve_url(conf.settings.LOGIN_URL)
    joint = "&" if "?" in url else "?"
    return redirect(f"{url}{joint}next={quote(request.get_full_path(), safe='')}")


def _read(iterable: Iterable[bytes]) -> bytes:
    try:
        return b"".join(iterable)
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


def _refuse_write(_chunk: bytes) -> None:
    raise AssertionError("unreachable")


def _copy_headers(headers: list[tuple[str, str]], response: Any) -> None:
    """Give Django's response what the door has added or changed."""
    for name, value in headers:
        if name.lower() == "set-cookie":
            _copy_cookie(value, response)
        elif name.lower() not in _HELD_BACK:
            response.headers[name] = value


def _copy_cookie(line: str, response: Any) -> None:
    pair, *attributes = line.split("; ")
    name, _, value = pair.partition("=")
    response.cookies[name] = value
    morsel = response.cookies[name]
    # As it is: Django would put quotes around some characters.
    morsel.set(name, value, value)
    for attribute in attributes:
        key, _, said = attribute.partition("=")
        # Python before 3.14 knows no Partitioned; it renders what it has a name for.
        morsel._reserved.setdefault(key.lower(), key)
        if not said:
            morsel._flags.add(key.lower())
        morsel[key.lower()] = said or True
