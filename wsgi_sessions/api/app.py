"""JSON under ``api_path``, in the wire format of Better Auth's client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

from .. import errors, request_errors
from ..manager import SessionManager
from ..records import EndReason, ReadOptions
from ..transport.environ import get_request, mount_path
from ..transport.response_headers import protections
from ..wsgi.refusals import answerable, refusal_of
from ..wsgi.request import SessionRequest
from . import backchannel
from .bodies import discarding_body, read_json
from .endpoints import Call
from .guard import END_REASON_HEADER, check_callback_url, check_origin, cors_headers
from .responses import Response, json_response
from .routes import OPENAPI_PATH, ROUTES, Route
from .wire import decode_object

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_MAX_QUERY_FIELDS = 50


class JsonApi:
    path_setting: ClassVar[str] = "api_path"

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    def read_options(self, environ: WSGIEnvironment) -> ReadOptions:
        """Return how to read the session: past the cookie cache for every change."""
        route = self._find_route(environ)
        if not (route and route.needs_database and route.accepts(environ["REQUEST_METHOD"])):
            return ReadOptions(allow_refresh=False)
        query = _query_of(environ) if route.method == "GET" else {}
        flags = {name for name, text in query.items() if text in ("true", "1")}
        return ReadOptions(
            authoritative=route.is_authoritative or "disableCookieCache" in flags,
            allow_refresh=not (route.replaces_session or "disableRefresh" in flags),
            is_change=route.replaces_session,
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        handle = get_request(environ)
        # Before the answer, which may end a session itself: why the one that was brought is over.
        reason = handle.end_reason
        try:
            response = self._answer(environ, handle)
        except Exception as error:
            response = _refusal(answerable(error, handle), environ, reason)
        headers = response.headers
        if reason is not None and handle.session is None:
            headers[END_REASON_HEADER] = reason.value
        headers["Cache-Control"] = "no-store"
        headers.update(protections())
        headers.update(cors_headers(environ, self._manager.config))
        # Not by WebOb, which makes a Location absolute with the client's Host header.
        start_response(response.status, response.headerlist)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    def _answer(self, environ: WSGIEnvironment, handle: SessionRequest) -> Response:
        method = environ["REQUEST_METHOD"]
        path = self._path(environ)
        if path.startswith(backchannel.PREFIX):
            provider = path.removeprefix(backchannel.PREFIX)
            return backchannel.answer_provider(environ, handle, provider)
        with discarding_body(environ):
            route = self._find_route(environ)
            if route is None:
                raise request_errors.PathNotFoundError
            if method == "OPTIONS":
                return _preflight(route)
            if not route.accepts(method):
                raise request_errors.MethodNotAllowedError(route.allow)
        body = self._read_body(environ) if route.method == "POST" else {}
        query = _query_of(environ)
        if not route.is_safe:
            check_callback_url(environ, query.get("callbackURL"), self._manager.config)
        if handle.is_database_away and route.needs_database:
            raise errors.StoreUnavailableError
        if route.needs_user:
            handle.require_user()
        value = route.answer(Call(handle, body, query, mount_path(environ)))
        response = json_response(value)
        if isinstance(value, dict) and value.get("redirect"):
            if route.method == "GET":
                response.status = 302
            if route.method == "GET" or not _redirects_by_itself(environ):
                response.headers["Location"] = value["url"]
        return response

    def _read_body(self, environ: WSGIEnvironment) -> Mapping[str, Any]:
        """Return the body of a request that may change something, or refuse it."""
        config = self._manager.config
        with discarding_body(environ):
            check_origin(environ, config)
        with discarding_body(environ, request_errors.BodyTooLargeError):
            sent = read_json(environ)
        body = decode_object(sent)
        check_callback_url(environ, body.get("callbackURL"), config)
        return body

    def _find_route(self, environ: WSGIEnvironment) -> Route | None:
        path = self._path(environ)
        is_closed = path == OPENAPI_PATH and not self._manager.config.openapi
        return None if is_closed else ROUTES.get(path)

    def _path(self, environ: WSGIEnvironment) -> str:
        path: str = environ.get("PATH_INFO", "")
        return path.removeprefix(self._manager.config.api_path or "")


def _redirects_by_itself(environ: WSGIEnvironment) -> bool:
    """Return whether the server takes 200 with a ``Location`` for a redirect of its own.

    CGI does (RFC 3875, section 6.2.2), and so do SCGI and mod_wsgi's daemons; the client would
    get that page in place of the answer.
    """
    return bool(
        environ.get("wsgi.run_once") or environ.get("SCGI") or environ.get("mod_wsgi.process_group")
    )


def _query_of(environ: WSGIEnvironment) -> Mapping[str, str]:
    """Return the fields of the query, the last of each name; none of a query that is too long."""
    # WebOb's own reading raises on bytes that are not UTF-8.
    try:
        pairs = parse_qsl(
            environ.get("QUERY_STRING", ""), errors="replace", max_num_fields=_MAX_QUERY_FIELDS
        )
    except ValueError:
        return {}
    return dict(pairs)


def _preflight(route: Route) -> Response:
    response = Response(status=204)
    response.headers["Allow"] = route.allow
    response.headers["Access-Control-Allow-Methods"] = route.allow
    response.headers["Access-Control-Allow-Headers"] = "Content-Type"
    response.headers["Access-Control-Max-Age"] = "600"  # seconds
    return response


def _refusal(
    error: errors.AnswerableError, environ: WSGIEnvironment, end_reason: EndReason | None
) -> Response:
    refusal = refusal_of(error, environ)
    if isinstance(error, errors.NotSignedInError) and end_reason is not None:
        refusal = replace(refusal, details={"endReason": end_reason.value})
    headers, body = refusal.answer(is_program=True)
    response = Response(status=refusal.status_line, body=body)
    response.headers.update(headers)
    if "Retry-After" in response.headers:
        # The header that Better Auth's client reads.
        response.headers["X-Retry-After"] = response.headers["Retry-After"]
    return response
