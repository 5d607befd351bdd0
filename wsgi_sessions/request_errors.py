"""The refusals of requests that are wrong whoever sends them: their path, body or origin."""

from __future__ import annotations

from .errors import RefusedError


class PathNotFoundError(RefusedError):
    """Nothing answers under this path."""

    code = "NOT_FOUND"
    status = 404
    message = "Not found"


class MethodNotAllowedError(RefusedError):
    """The path answers to other methods; ``allow`` is the value of the header that says which."""

    code = "METHOD_NOT_ALLOWED"
    status = 405
    message = "Method not allowed. Use {allow}."

    def __init__(self, allow: str) -> None:
        super().__init__(allow)
        self.allow = allow


class UnsupportedMediaTypeError(RefusedError):
    """The body is not what is taken here, JSON or, on the sessions page, a form."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415
    message = "Unsupported media type. Send {takes}."

    def __init__(self, takes: str) -> None:
        super().__init__(takes)
        self.takes = takes


class BodyTooLargeError(RefusedError):
    """The body is larger than the API takes."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413
    message = "Payload too large. Send {max_bytes} or fewer bytes."

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.max_bytes = max_bytes


class InvalidOriginError(RefusedError):
    """The page that sent this is not of a trusted origin; add it to ``trusted_origins``."""

    code = "INVALID_ORIGIN"
    status = 403
    message = "Invalid origin. It has to be this site's own or one of its trusted_origins."


class MissingOriginError(RefusedError):
    """A request with cookies does not say which page sent it."""

    code = "MISSING_OR_NULL_ORIGIN"
    status = 403
    message = "Missing or null Origin. Send the header Origin or Referer."


class FormOutdatedError(RefusedError):
    """A form of the sessions page was sent that is not of the session as it is now."""

    code = "FORM_OUTDATED"
    status = 403
    message = "This form is out of date. Go back, reload the page and try again."


class CrossSiteNavigationError(RefusedError):
    """A form on another site tries to sign the browser in."""

    code = "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED"
    status = 403
    message = "Cross-site navigation login blocked. Sign in on a page of this site."


class InvalidCallbackUrlError(RefusedError):
    """The callback URL leads away from the trusted origins."""

    code = "INVALID_CALLBACK_URL"
    status = 403
    message = "Invalid callbackURL. Give a path of this site or the URL of a trusted origin."


class EmailAlreadyVerifiedError(RefusedError):
    """The signed-in user's e-mail address is verified, so there is nothing to send."""

    code = "EMAIL_ALREADY_VERIFIED"
    message = "Email is already verified"


class EmailMismatchError(RefusedError):
    """A verification is asked for another e-mail address than that of the signed-in user."""

    code = "EMAIL_MISMATCH"
    message = "Email mismatch"
