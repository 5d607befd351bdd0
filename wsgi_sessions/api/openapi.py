"""The OpenAPI 3.1 document of the JSON API, made from the routes and the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .. import errors, request_errors
from ..config.settings import SessionConfig
from .guard import END_REASON_HEADER
from .schemas import END_REASON, answer_schemas, body_schemas, ref

if TYPE_CHECKING:
    from .routes import Route

_VERSION = "1"
"""Of the wire format, which changes less often than this package."""

_OF_EVERY_POST = (
    errors.InvalidValueError,
    request_errors.InvalidOriginError,
    request_errors.MissingOriginError,
    request_errors.CrossSiteNavigationError,
    request_errors.InvalidCallbackUrlError,
    request_errors.BodyTooLargeError,
    request_errors.UnsupportedMediaTypeError,
)
_REASONS = {
    400: "Something in the request is wrong; see the code.",
    401: "Nobody is signed in, or what should prove who is there was refused.",
    403: "From an untrusted origin, or without a recent sign-in.",
    404: "There is no such thing here.",
    409: "The user has as many sessions as they may have, or this one is over.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not JSON.",
    422: "A user with this e-mail address exists.",
    429: "Too many tries; wait for the time in Retry-After.",
    503: "Something behind the server is unavailable; wait for the time in Retry-After.",
}
_RETRY = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}


def describe(
    routes: Mapping[str, Route], config: SessionConfig, *, mount_path: str, cookie_name: str
) -> dict[str, Any]:
    """Return the document, as JSON values; ``mount_path`` is "" for an app at the root."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sessions",
            "version": _VERSION,
            "description": "Sign-up, sign-in and sessions, in the wire format of Better Auth's "
            "client. A change that names an origin, or comes with a cookie, must come from a "
            "trusted one.",
        },
        "servers": [{"url": mount_path + (config.api_path or "/")}],
        "paths": {path: _path(route) for path, route in routes.items()},
        "components": {
            "schemas": {**answer_schemas(config), **body_schemas(config)},
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": cookie_name}},
        },
    }


def _path(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name[0].lower() + route.name[1:],
        "summary": route.summary,
        "responses": {
            "200": _content("As asked.", ref(route.gives)),
            **{str(status): _refusal(status, codes) for status, codes in _refusals(route)},
        },
    }
    if route.needs_user or route.gives == "SessionAndUser":
        told = operation["responses"]["401" if route.needs_user else "200"]
        told["headers"] = {END_REASON_HEADER: {"schema": END_REASON}}
    if route.needs_user:
        operation["security"] = [{"session": []}]
    if route.takes is not None:
        operation["requestBody"] = {
            # An empty body is an empty object.
            "required": route.takes not in ("Nothing", "DeleteUser"),
            "content": {"application/json": {"schema": ref(route.takes)}},
        }
    if route.query:
        operation["parameters"] = [
            {"name": name, "in": "query", **described} for name, described in route.query.items()
        ]
    if not route.is_safe:
        operation["responses"]["302"] = _content("To the callbackURL.", ref("Redirect"))
    return {route.method.lower(): operation}


def _refusals(route: Route) -> Iterable[tuple[int, list[str]]]:
    kinds: list[type[errors.AnswerableError]] = [*route.refuses]
    if route.needs_user:
        kinds.insert(0, errors.NotSignedInError)
    if route.method == "POST":
        kinds += _OF_EVERY_POST
    if route.needs_database:
        kinds.append(errors.StoreUnavailableError)
    by_status: dict[int, list[str]] = {}
    for kind in dict.fromkeys(kinds):
        by_status.setdefault(kind.status, []).append(kind.code)
    return sorted(by_status.items())


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    schema = {"allOf": [ref("Refusal"), {"properties": {"code": {"enum": codes}}}]}
    answer = _content(_REASONS[status], schema)
    return {**answer, "headers": _RETRY} if status in (429, 503) else answer


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
