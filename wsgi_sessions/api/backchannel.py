"""The endpoint that providers call when a session there is over: ``/backchannel-logout/…``.

A logout token comes in a form and is answered as OpenID Connect Back-Channel Logout 1.0 says
(sections 2.5 and 2.8), a security event by itself and as RFC 8935 says (section 2). Neither
cookies nor the origin matter: what counts is the provider's signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..errors import InvalidLogoutTokenError
from ..request_errors import BodyTooLargeError, MethodNotAllowedError, UnsupportedMediaTypeError
from ..wsgi.request import SessionRequest
from .bodies import discarding_body, is_compressed, media_type, read_body
from .responses import Response, json_response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

PREFIX = "/backchannel-logout/"

_FORM = "application/x-www-form-urlencoded"
_SECURITY_EVENT = "application/secevent+jwt"
_MAX_FIELDS = 50
_CODES = {
    "aud": "invalid_audience",
    "iss": "invalid_issuer",
    "signature": "invalid_key",
    "unknown_key": "invalid_key",
    "algorithm": "invalid_key",
}
"""Of RFC 8935, section 2.4; everything else is ``invalid_request``."""


def answer_provider(environ: WSGIEnvironment, handle: SessionRequest, provider: str) -> Response:
    with discarding_body(environ):
        if environ["REQUEST_METHOD"] != "POST":
            raise MethodNotAllowedError("POST")
        kind = media_type(environ)
        if is_compressed(environ) or kind not in (_FORM, _SECURITY_EVENT):
            raise UnsupportedMediaTypeError(f"Content-Type: {_FORM}, or {_SECURITY_EVENT}")
        # Before the body is read: without such a provider no token helps.
        handle.manager.parts.social.find_provider(provider)
    with discarding_body(environ, BodyTooLargeError):
        body = read_body(environ).decode("latin-1")
    is_event = kind == _SECURITY_EVENT
    try:
        token = body.strip() if is_event else _token_of_form(body)
        handle.manager.backchannel_logout(provider, token, facts=handle.facts)
    except InvalidLogoutTokenError as error:
        # An event that comes again is answered as if it had not come before (RFC 8935, section 2).
        if not is_event or error.why != "replayed":
            return _refusal(error, is_event=is_event)
    if is_event:
        return Response(status=202, body=b"", content_type="text/plain")
    return json_response({"success": True})


def _token_of_form(body: str) -> str:
    try:
        fields = parse_qsl(body, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise InvalidLogoutTokenError("form") from None
    tokens = [value for name, value in fields if name == "logout_token"]
    if len(tokens) != 1:
        raise InvalidLogoutTokenError("form")
    return tokens[0]


def _refusal(error: InvalidLogoutTokenError, *, is_event: bool) -> Response:
    if is_event:
        code = _CODES.get(error.why, "invalid_request")
        response = json_response({"err": code, "description": error.message}, status=error.status)
        response.headers["Content-Language"] = "en"  # RFC 8935, section 2.3: it must be told
        return response
    said = {"error": "invalid_request", "error_description": error.message}
    return json_response(said, status=error.status)
