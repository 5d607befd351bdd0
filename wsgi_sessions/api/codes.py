"""The words of the JSON API for what is refused, and the HTTP status of each.

Must not decide anything: others raise, this room knows the number.
"""

from __future__ import annotations

from typing import Final

from ..errors import RefusedError

__all__ = [
    "STATUSES",
    "BodyTooLargeError",
    "CrossSiteNavigationError",
    "InvalidCallbackUrlError",
    "InvalidOriginError",
    "MethodNotAllowedError",
    "MissingOriginError",
    "PathNotFoundError",
    "UnsupportedMediaTypeError",
    "status_of",
]

STATUSES: Final = {
    "VALIDATION_ERROR": 400,
    "INVALID_EMAIL": 400,
    "INVALID_PASSWORD": 400,
    "PASSWORD_TOO_SHORT": 400,
    "PASSWORD_TOO_LONG": 400,
    "EMAIL_CAN_NOT_BE_UPDATED": 400,
    "FIELD_NOT_ALLOWED": 400,
    "UNAUTHORIZED": 401,
    "INVALID_EMAIL_OR_PASSWORD": 401,
    "INVALID_TOKEN": 401,
    "OAUTH_LINK_ERROR": 401,
    "USER_EMAIL_NOT_FOUND": 401,
    "SESSION_NOT_FRESH": 403,
    "EMAIL_NOT_VERIFIED": 403,
    "INVALID_ORIGIN": 403,
    "MISSING_OR_NULL_ORIGIN": 403,
    "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED": 403,
    "INVALID_CALLBACK_URL": 403,
    "ID_TOKEN_NOT_SUPPORTED": 404,
    "NOT_FOUND": 404,
    "PROVIDER_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "SESSION_DATA_LOST": 409,
    "SESSION_LIMIT_REACHED": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL": 422,
    "TOO_MANY_REQUESTS": 429,
    "PROVIDER_UNAVAILABLE": 503,
    "SERVER_BUSY": 503,
    "SERVICE_UNAVAILABLE": 503,
}


def status_of(code: str) -> int:
    """Return the HTTP status of an error code; 400 for one that an app made up.

    >>> status_of("UNAUTHORIZED"), status_of("NO_TEA_LEFT")
    (401, 400)
    """
    return STATUSES.get(code, 400)


class PathNotFoundError(RefusedError):
    """Nothing answers under this path."""

    code = "NOT_FOUND"


class MethodNotAllowedError(RefusedError):
    """The path answers to other methods; ``allow`` is the value of the header that says which."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, allow: str) -> None:
        super().__init__(f"this path answers to {allow}")
        self.allow = allow


class UnsupportedMediaTypeError(RefusedError):
    """The body is not JSON; send ``Content-Type: application/json``."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class BodyTooLargeError(RefusedError):
    """The body is larger than the API takes."""

    code = "PAYLOAD_TOO_LARGE"


class InvalidOriginError(RefusedError):
    """The page that sent this is not of a trusted origin; add it to ``trusted_origins``."""

    code = "INVALID_ORIGIN"


class MissingOriginError(RefusedError):
    """A request with cookies does not say which page sent it."""

    code = "MISSING_OR_NULL_ORIGIN"


class CrossSiteNavigationError(RefusedError):
    """A form on another site tries to sign the browser in."""

    code = "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED"


class InvalidCallbackUrlError(RefusedError):
    """The callback URL leads away from the trusted origins."""

    code = "INVALID_CALLBACK_URL"
