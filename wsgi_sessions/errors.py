"""The exceptions of the product, sorted by what the caller can do about them.

Must not know requests, databases or sessions: it only names what went wrong.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AccountNotLinkedError",
    "ConfigurationError",
    "EmailCanNotBeUpdatedError",
    "EmailMissingError",
    "EmailNotVerifiedError",
    "FieldNotAllowedError",
    "IdTokenNotSupportedError",
    "InvalidCredentialsError",
    "InvalidEmailError",
    "InvalidIdTokenError",
    "InvalidPasswordError",
    "InvalidValueError",
    "NotSignedInError",
    "PasswordTooLongError",
    "PasswordTooShortError",
    "ProviderNotFoundError",
    "ProviderUnavailableError",
    "RefusedError",
    "ResponseStartedError",
    "ServerBusyError",
    "SessionDataLostError",
    "SessionLimitReached",
    "SessionNotFreshError",
    "StoreUnavailableError",
    "TooManyTriesError",
    "UserAlreadyExistsError",
    "WsgiSessionsError",
]


class WsgiSessionsError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigurationError(WsgiSessionsError, ValueError):
    """A setting is wrong; mend the configuration and start again.

    The message names the setting, what was given (never a secret), the bound and the remedy.
    """


class StoreUnavailableError(WsgiSessionsError):
    """The database did not answer; nothing is known and nothing was changed, so try later."""


class ResponseStartedError(WsgiSessionsError, RuntimeError):
    """A cookie would be needed after the headers went out; act before ``start_response``."""


class RefusedError(WsgiSessionsError):
    """What a client asked for is refused; ``code`` is the word the JSON API uses for it."""

    code: ClassVar[str] = "REFUSED"


class NotSignedInError(RefusedError):
    """The action needs a signed-in user; sign in first."""

    code = "UNAUTHORIZED"


class SessionNotFreshError(RefusedError):
    """The action needs a recent authentication (``fresh_age``); sign in again."""

    code = "SESSION_NOT_FRESH"


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


class InvalidCredentialsError(RefusedError):
    """E-mail and password do not belong together; which of the two is wrong is not told."""

    code = "INVALID_EMAIL_OR_PASSWORD"


class InvalidPasswordError(RefusedError):
    """The current password is not the one given."""

    code = "INVALID_PASSWORD"


class EmailNotVerifiedError(RefusedError):
    """The configuration asks for a verified e-mail address and this one is not."""

    code = "EMAIL_NOT_VERIFIED"


class EmailCanNotBeUpdatedError(RefusedError):
    """The e-mail address is who someone is here, and is not changed like a name."""

    code = "EMAIL_CAN_NOT_BE_UPDATED"


class FieldNotAllowedError(RefusedError):
    """The field is none of ``session_fields``; declare it there or leave it out."""

    code = "FIELD_NOT_ALLOWED"


class ProviderNotFoundError(RefusedError):
    """No such provider is among ``social_providers``."""

    code = "PROVIDER_NOT_FOUND"


class IdTokenNotSupportedError(RefusedError):
    """The provider publishes no keys that an ID token could be checked with."""

    code = "ID_TOKEN_NOT_SUPPORTED"


class InvalidIdTokenError(RefusedError):
    """The ID token is not sound, not for us, or over.

    ``why`` is one word for the log (``exp``, ``signature``); a client is not told.
    """

    code = "INVALID_TOKEN"

    def __init__(self, why: str) -> None:
        super().__init__("the ID token is not valid; get a new one from the provider")
        self.why = why


class EmailMissingError(RefusedError):
    """The provider gave no e-mail address to make a user with; ask it for the scope ``email``."""

    code = "USER_EMAIL_NOT_FOUND"


class AccountNotLinkedError(RefusedError):
    """A user with this e-mail address exists and has never signed in by this provider."""

    code = "OAUTH_LINK_ERROR"


class ProviderUnavailableError(RefusedError):
    """The provider's keys could not be fetched; try again after ``retry_after_seconds``."""

    code = "PROVIDER_UNAVAILABLE"
    retry_after_seconds = 30


class SessionLimitReached(RefusedError):  # noqa: N818  the name sessions.md gives
    """The user has ``maximum_sessions`` live sessions and ``on_limit`` is ``"reject"``."""

    code = "SESSION_LIMIT_REACHED"


class ServerBusyError(RefusedError):
    """As many passwords wait to be hashed as may; try again after ``retry_after_seconds``."""

    code = "SERVER_BUSY"
    retry_after_seconds = 5


class SessionDataLostError(RefusedError):
    """What was set in ``session.data`` can't be kept, as the session is over; do it again.

    Raised with ``on_lost_data="conflict"`` alone.
    """

    code = "SESSION_DATA_LOST"


class TooManyTriesError(RefusedError):
    """The throttle is closed; wait ``retry_after_seconds`` (whole, at least 1) and try again."""

    code = "TOO_MANY_REQUESTS"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many tries; try again in {retry_after_seconds} seconds")
        self.retry_after_seconds = retry_after_seconds
