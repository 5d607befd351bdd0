"""The exceptions of the product, and what each means over HTTP."""

from __future__ import annotations

from typing import ClassVar


class WsgiSessionsError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigurationError(WsgiSessionsError, ValueError):
    """A setting is wrong; mend the configuration and start again.

    The message names the setting, what was given (never a secret), the bound and the remedy.
    """


class ResponseStartedError(WsgiSessionsError, RuntimeError):
    """A cookie would be needed after the headers went out; act before ``start_response``."""


class AnswerableError(WsgiSessionsError):
    """An error that a client gets an answer for, wherever it is raised.

    ``code`` is the word the JSON API uses for it, ``status`` the HTTP status,
    ``retry_after_seconds`` when to try again (None where waiting alone helps nothing).
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retry_after_seconds: int | None = None


class StoreUnavailableError(AnswerableError):
    """The database did not answer; try again later.

    What was to be written may be stored or not: when the answer to a COMMIT is lost, nobody
    knows. So look before you repeat it. The error's own text is for the log, not for clients.
    """

    code = "SERVICE_UNAVAILABLE"
    status = 503
    retry_after_seconds = 5


class RefusedError(AnswerableError):
    """What a client asked for is refused; a class of your own gives at least a ``code``."""

    code = "REFUSED"
    status = 400


class NotSignedInError(RefusedError):
    """The action needs a signed-in user; sign in first."""

    code = "UNAUTHORIZED"
    status = 401


class SessionNotFreshError(RefusedError):
    """The action needs a recent authentication (``fresh_age``); sign in again."""

    code = "SESSION_NOT_FRESH"
    status = 403


class InvalidValueError(RefusedError):
    """A value has the wrong type or form; correct it and send it again."""

    code = "VALIDATION_ERROR"


class InvalidEmailError(RefusedError):
    """The text is not an e-mail address."""

    code = "INVALID_EMAIL"


class PasswordTooShortError(RefusedError):
    """The password has fewer characters than ``password.min_length``."""

    code = "PASSWORD_TOO_SHORT"


class PasswordTooLongError(RefusedError):
    """The password has more characters than ``password.max_length``."""

    code = "PASSWORD_TOO_LONG"


class UserAlreadyExistsError(RefusedError):
    """Someone has signed up with this e-mail address before."""

    code = "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"
    status = 422


class InvalidCredentialsError(RefusedError):
    """E-mail and password do not belong together; the answer does not say which is wrong."""

    code = "INVALID_EMAIL_OR_PASSWORD"
    status = 401


class InvalidPasswordError(RefusedError):
    """The current password is not the one given."""

    code = "INVALID_PASSWORD"


class EmailNotVerifiedError(RefusedError):
    """The configuration asks for a verified e-mail address and this one is not."""

    code = "EMAIL_NOT_VERIFIED"
    status = 403


class EmailCanNotBeUpdatedError(RefusedError):
    """The e-mail address is who someone is here, and is not changed like a name."""

    code = "EMAIL_CAN_NOT_BE_UPDATED"


class FieldNotAllowedError(RefusedError):
    """The field is none of ``session_fields``; declare it there or leave it out."""

    code = "FIELD_NOT_ALLOWED"


class ProviderNotFoundError(RefusedError):
    """No such provider is among ``social_providers``."""

    code = "PROVIDER_NOT_FOUND"
    status = 404


class IdTokenNotSupportedError(RefusedError):
    """The provider publishes no keys that an ID token could be checked with."""

    code = "ID_TOKEN_NOT_SUPPORTED"
    status = 404


class InvalidIdTokenError(RefusedError):
    """The ID token is not sound, not for us, or over.

    ``why`` is one word for the log (``exp``, ``signature``); a client does not get it.
    """

    code = "INVALID_TOKEN"
    status = 401

    def __init__(self, why: str) -> None:
        super().__init__("the ID token is not valid; get a new one from the provider")
        self.why = why


class EmailMissingError(RefusedError):
    """The provider gave no e-mail address to make a user with; ask it for the scope ``email``."""

    code = "USER_EMAIL_NOT_FOUND"
    status = 401


class AccountNotLinkedError(RefusedError):
    """A user with this e-mail address exists and has never signed in by this provider."""

    code = "OAUTH_LINK_ERROR"
    status = 401


class ProviderUnavailableError(RefusedError):
    """The provider's keys could not be fetched; try again after ``retry_after_seconds``."""

    code = "PROVIDER_UNAVAILABLE"
    status = 503
    retry_after_seconds = 30


class SessionLimitReached(RefusedError):  # noqa: N818  the name sessions.md gives
    """The user has ``maximum_sessions`` live sessions and ``on_limit`` is ``"reject"``."""

    code = "SESSION_LIMIT_REACHED"
    status = 409


class ServerBusyError(RefusedError):
    """As many passwords wait to be hashed as may; try again after ``retry_after_seconds``."""

    code = "SERVER_BUSY"
    status = 503
    retry_after_seconds = 5


class SessionDataLostError(RefusedError):
    """What was set in ``session.data`` can't be kept, as the session is over; do it again.

    Raised with ``on_lost_data="conflict"`` alone.
    """

    code = "SESSION_DATA_LOST"
    status = 409


class TooManyTriesError(RefusedError):
    """The throttle is closed; wait ``retry_after_seconds`` (whole, at least 1) and try again."""

    code = "TOO_MANY_REQUESTS"
    status = 429
    retry_after_seconds: int  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many tries; try again in {retry_after_seconds} seconds")
        self.retry_after_seconds = retry_after_seconds  # pyright: ignore[reportIncompatibleVariableOverride]


class PathNotFoundError(RefusedError):
    """Nothing answers under this path."""

    code = "NOT_FOUND"
    status = 404


class MethodNotAllowedError(RefusedError):
    """The path answers to other methods; ``allow`` is the value of the header that says which."""

    code = "METHOD_NOT_ALLOWED"
    status = 405

    def __init__(self, allow: str) -> None:
        super().__init__(f"this path answers to {allow}")
        self.allow = allow


class UnsupportedMediaTypeError(RefusedError):
    """The body is not JSON; send ``Content-Type: application/json``."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class BodyTooLargeError(RefusedError):
    """The body is larger than the API takes."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class InvalidOriginError(RefusedError):
    """The page that sent this is not of a trusted origin; add it to ``trusted_origins``."""

    code = "INVALID_ORIGIN"
    status = 403


class MissingOriginError(RefusedError):
    """A request with cookies does not say which page sent it."""

    code = "MISSING_OR_NULL_ORIGIN"
    status = 403


class CrossSiteNavigationError(RefusedError):
    """A form on another site tries to sign the browser in."""

    code = "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED"
    status = 403


class InvalidCallbackUrlError(RefusedError):
    """The callback URL leads away from the trusted origins."""

    code = "INVALID_CALLBACK_URL"
    status = 403
