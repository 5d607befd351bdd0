"""The exceptions of the product, and what each means over HTTP."""

from __future__ import annotations

import re
from typing import ClassVar

_FIELD = r"\{(\w+)\}"


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

    ``code`` is the word the JSON API uses for it, ``status`` the HTTP status, ``message`` what
    people read, ``retry_after_seconds`` when to try again (None where waiting alone helps
    nothing). ``str(error)`` is the message, with its fields filled in.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    message: str = "{detail}"
    """Said once for a code, in English; a name in braces stands for the error's attribute."""
    retry_after_seconds: int | None = None

    def __str__(self) -> str:
        return self.fill_in(self.message)

    @property
    def detail(self) -> str:
        """What it was raised with, or else its code in words; a client may not get to see it."""
        return super().__str__() or self.code.replace("_", " ").capitalize()

    def fill_in(self, text: str) -> str:
        """Return a text with this error's values in the place of the fields it names in braces."""
        return re.sub(_FIELD, lambda found: str(getattr(self, found[1], found[0])), text)


def fields_in(text: str) -> set[str]:
    """Return the names that stand in braces.

    >>> fields_in("Use {min_length} or more characters.")
    {'min_length'}
    """
    return set(re.findall(_FIELD, text))


class StoreUnavailableError(AnswerableError):
    """The database did not answer; try again later.

    What was to be written may be stored or not: when the answer to a COMMIT is lost, nobody
    knows. So look before you repeat it. ``str(error)`` is for the log, not for clients: it may
    name hosts and users.
    """

    code = "SERVICE_UNAVAILABLE"
    status = 503
    message = "The service is away for a moment. Please try again."
    retry_after_seconds = 5

    def __str__(self) -> str:
        return self.detail


class InternalError(AnswerableError):
    """The JSON API or the sessions page failed; the log has the traceback, the client gets none."""

    code = "INTERNAL_SERVER_ERROR"
    status = 500
    message = "Something went wrong on the server. Please try again later."


class RefusedError(AnswerableError):
    """What a client asked for is refused; a class of your own gives at least a ``code``.

    Without a ``message`` of its own a client reads what it was raised with.
    """

    code = "REFUSED"
    status = 400


class NotSignedInError(RefusedError):
    """The action needs a signed-in user; sign in first."""

    code = "UNAUTHORIZED"
    status = 401
    message = "Unauthorized. Sign in first."


class SessionNotFreshError(RefusedError):
    """The action needs a recent proof of who is there; ``reauthenticate``, or sign in again.

    ``max_age_seconds`` says how recent, if known. ``is_elsewhere``: the last one does not count,
    because the session is used from another network and browser.
    """

    code = "SESSION_NOT_FRESH"
    status = 403
    message = "Session is not fresh. Confirm that it is you."

    def __init__(
        self, *args: object, max_age_seconds: int | None = None, is_elsewhere: bool = False
    ) -> None:
        super().__init__(*args)
        self.max_age_seconds = max_age_seconds
        self.is_elsewhere = is_elsewhere
        if is_elsewhere:
            self.message = "Session is used from another place. Confirm that it is you."


class InvalidValueError(RefusedError):
    """A value has the wrong type or form; correct it and send it again.

    The message is the detail, for developers: which value, what it is, what to give.
    """

    code = "VALIDATION_ERROR"


class InvalidEmailError(RefusedError):
    """The text is not an e-mail address."""

    code = "INVALID_EMAIL"
    message = "Invalid email"


class PasswordTooShortError(RefusedError):
    """The password has fewer characters than ``password.min_length``."""

    code = "PASSWORD_TOO_SHORT"
    message = "Password too short. Use {min_length} or more characters."

    def __init__(self, min_length: int) -> None:
        super().__init__(min_length)
        self.min_length = min_length


class PasswordTooLongError(RefusedError):
    """The password has more characters than ``password.max_length``."""

    code = "PASSWORD_TOO_LONG"
    message = "Password too long. Use {max_length} or fewer characters."

    def __init__(self, max_length: int) -> None:
        super().__init__(max_length)
        self.max_length = max_length


class PasswordTooCommonError(RefusedError):
    """The password is one of those that are guessed first: choose another."""

    code = "PASSWORD_TOO_COMMON"
    message = "Password too common. Use several words that have nothing to do with each other."


class PasswordTooSimilarError(RefusedError):
    """The password is made of the name, the e-mail address or the site's name: choose another."""

    code = "PASSWORD_TOO_SIMILAR"
    message = (
        "Password too similar to your name, your email address or this site. Use several words"
        " that have nothing to do with them."
    )


class PasswordCompromisedError(RefusedError):
    """The password is known from a breach, as ``password.is_compromised`` says: choose another."""

    code = "PASSWORD_COMPROMISED"
    message = "Password known from a data breach. Use another one, here and elsewhere."


class UserAlreadyExistsError(RefusedError):
    """Someone has signed up with this e-mail address before."""

    code = "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"
    status = 422
    message = "User already exists. Use another email."


class SignUpDisabledError(RefusedError):
    """Nobody new may come, as ``allow_sign_up`` is False."""

    code = "SIGN_UP_DISABLED"
    status = 403
    message = "Sign up is not enabled"


class EmailSignUpDisabledError(SignUpDisabledError):
    """The same at a sign-up with an e-mail address and a password."""

    code = "EMAIL_PASSWORD_SIGN_UP_DISABLED"
    message = "Email and password sign up is not enabled"


class SignUpRefusedError(RefusedError):
    """The application's ``check_sign_up`` does not let somebody sign up, and said why."""

    code = "SIGN_UP_REFUSED"
    status = 403


class InvalidCredentialsError(RefusedError):
    """E-mail and password do not belong together; the answer does not say which is wrong."""

    code = "INVALID_EMAIL_OR_PASSWORD"
    status = 401
    message = "Invalid email or password"


class InvalidPasswordError(RefusedError):
    """The current password is not the one given."""

    code = "INVALID_PASSWORD"
    message = "Invalid password"


class EmailNotVerifiedError(RefusedError):
    """The configuration asks for a verified e-mail address and this one is not."""

    code = "EMAIL_NOT_VERIFIED"
    status = 403
    message = "Email not verified"


class InvalidOneTimeTokenError(RefusedError):
    """The token of a link is unknown, used or over its time; the user asks for a new link."""

    code, message = "INVALID_TOKEN", "Invalid token. Ask for a new link."


class InvalidVerificationError(InvalidOneTimeTokenError):
    """The same of a link that verifies an e-mail address."""

    status = 401


class ResetPasswordDisabledError(RefusedError):
    """No mail can be sent, so no forgotten password can be replaced; set ``on_send``."""

    code = "RESET_PASSWORD_DISABLED"
    message = "Reset password isn't enabled"


class VerificationDisabledError(RefusedError):
    """No mail can be sent, so no e-mail address can be verified; set ``on_send``."""

    code = "VERIFICATION_EMAIL_NOT_ENABLED"
    message = "Verification email isn't enabled"


class EmailCanNotBeUpdatedError(RefusedError):
    """The e-mail address is who someone is here, and is not changed like a name."""

    code = "EMAIL_CAN_NOT_BE_UPDATED"
    message = "Email can not be updated"


class FieldNotAllowedError(RefusedError):
    """The field is none of ``session_fields``; declare it there or leave it out."""

    code = "FIELD_NOT_ALLOWED"
    message = "Field not allowed to be set: {field}"

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class ProviderNotFoundError(RefusedError):
    """No such provider is among ``social_providers``."""

    code = "PROVIDER_NOT_FOUND"
    status = 404
    message = "Provider not found"


class IdTokenNotSupportedError(RefusedError):
    """The provider publishes no keys that an ID token could be checked with."""

    code = "ID_TOKEN_NOT_SUPPORTED"
    status = 404
    message = "id_token not supported"


class InvalidIdTokenError(RefusedError):
    """The ID token is not sound, not for us, or over.

    ``why`` is one word for the log (``exp``, ``signature``); a client does not get it.
    """

    code = "INVALID_TOKEN"
    status = 401
    message = "Invalid token"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class InvalidLogoutTokenError(RefusedError):
    """What a provider's server sent is no sound logout token for us, or was sent before.

    ``why`` is one word for the log, as that of ``InvalidIdTokenError``.
    """

    code = "INVALID_LOGOUT_TOKEN"
    message = "Invalid logout token"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class EmailMissingError(RefusedError):
    """The provider gave no e-mail address to make a user with; ask it for the scope ``email``."""

    code = "USER_EMAIL_NOT_FOUND"
    status = 401
    message = "User email not found. Let the provider share your email address."


class AccountNotLinkedError(RefusedError):
    """A user with this e-mail address exists and has never signed in by this provider."""

    code = "OAUTH_LINK_ERROR"
    status = 401
    message = "Account not linked. Sign in the way you did before."


class ProviderUnavailableError(RefusedError):
    """The provider's keys could not be fetched; try again after ``retry_after_seconds``."""

    code = "PROVIDER_UNAVAILABLE"
    status = 503
    message = "The provider does not answer. Please try again in a moment."
    retry_after_seconds = 30


class SessionLimitReached(RefusedError):  # noqa: N818  the name sessions.md gives
    """The user has ``maximum_sessions`` live sessions and ``on_limit`` is ``"reject"``."""

    code = "SESSION_LIMIT_REACHED"
    status = 409
    message = (
        "You are signed in on as many devices as you may ({maximum_sessions}). "
        "Sign out on one of them first."
    )

    def __init__(self, maximum_sessions: int) -> None:
        super().__init__(maximum_sessions)
        self.maximum_sessions = maximum_sessions


class ServerBusyError(RefusedError):
    """As many passwords wait to be hashed as may; try again after ``retry_after_seconds``."""

    code = "SERVER_BUSY"
    status = 503
    message = "The server is busy. Please try again in a moment."
    retry_after_seconds = 5


class SessionDataLostError(RefusedError):
    """What was set in ``session.data`` can't be kept, as the session is over; do it again.

    Raised with ``on_lost_data="conflict"`` alone.
    """

    code = "SESSION_DATA_LOST"
    status = 409
    message = "Your last change was not kept. Please do it again."


class TooManyTriesError(RefusedError):
    """The throttle is closed; wait ``retry_after_seconds`` (whole, at least 1) and try again."""

    code = "TOO_MANY_REQUESTS"
    status = 429
    message = "Too many requests. Please try again in {retry_after_seconds} s."
    retry_after_seconds: int  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds  # pyright: ignore[reportIncompatibleVariableOverride]
