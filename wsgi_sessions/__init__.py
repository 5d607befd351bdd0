"""Sessions for every WSGI application: validated, rotated and revocable, in your own database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .accounts.mail import print_mail
from .clock import Clock, SystemClock
from .config.parts import (
    AuditConfig,
    CookieCacheConfig,
    CookieConfig,
    MultiSessionConfig,
    PasswordConfig,
    ThrottleConfig,
)
from .config.providers import SocialProvider, apple, google, microsoft, oidc
from .config.settings import SessionConfig
from .errors import (
    AccountNotLinkedError,
    ConfigurationError,
    EmailCanNotBeUpdatedError,
    EmailMissingError,
    EmailNotVerifiedError,
    EmailSignUpDisabledError,
    FieldNotAllowedError,
    IdTokenNotSupportedError,
    InvalidCredentialsError,
    InvalidEmailError,
    InvalidIdTokenError,
    InvalidLogoutTokenError,
    InvalidOneTimeTokenError,
    InvalidPasswordError,
    InvalidValueError,
    InvalidVerificationError,
    NotSignedInError,
    PasswordCompromisedError,
    PasswordTooCommonError,
    PasswordTooLongError,
    PasswordTooShortError,
    PasswordTooSimilarError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    RefusedError,
    ResetPasswordDisabledError,
    ResponseStartedError,
    ServerBusyError,
    SessionDataLostError,
    SessionLimitReached,
    SessionNotFreshError,
    SignUpDisabledError,
    SignUpRefusedError,
    StoreUnavailableError,
    TooManyTriesError,
    UserAlreadyExistsError,
    VerificationDisabledError,
    WsgiSessionsError,
)
from .events import EventName, Events, SessionEvent
from .manager import SessionManager
from .middleware import SessionMiddleware
from .records import UNSET, EndReason, RequestFacts, Unset
from .sessions.creation import Replaced
from .sessions.data import SessionData
from .sessions.session import Session, SignIn, User
from .sessions.step_up import StepUp
from .storage.outages import Health
from .transport.environ import get_end_reason, get_request, get_session, get_user
from .wsgi.request import SessionRequest

if TYPE_CHECKING:
    from .config.keywords import SessionSettings

__all__ = [
    "UNSET",
    "AccountNotLinkedError",
    "AuditConfig",
    "Clock",
    "ConfigurationError",
    "CookieCacheConfig",
    "CookieConfig",
    "EmailCanNotBeUpdatedError",
    "EmailMissingError",
    "EmailNotVerifiedError",
    "EmailSignUpDisabledError",
    "EndReason",
    "EventName",
    "Events",
    "FieldNotAllowedError",
    "Health",
    "IdTokenNotSupportedError",
    "InvalidCredentialsError",
    "InvalidEmailError",
    "InvalidIdTokenError",
    "InvalidLogoutTokenError",
    "InvalidOneTimeTokenError",
    "InvalidPasswordError",
    "InvalidValueError",
    "InvalidVerificationError",
    "MultiSessionConfig",
    "NotSignedInError",
    "PasswordCompromisedError",
    "PasswordConfig",
    "PasswordTooCommonError",
    "PasswordTooLongError",
    "PasswordTooShortError",
    "PasswordTooSimilarError",
    "ProviderNotFoundError",
    "ProviderUnavailableError",
    "RefusedError",
    "Replaced",
    "RequestFacts",
    "ResetPasswordDisabledError",
    "ResponseStartedError",
    "ServerBusyError",
    "Session",
    "SessionConfig",
    "SessionData",
    "SessionDataLostError",
    "SessionEvent",
    "SessionLimitReached",
    "SessionManager",
    "SessionMiddleware",
    "SessionNotFreshError",
    "SessionRequest",
    "SessionSettings",
    "SignIn",
    "SignUpDisabledError",
    "SignUpRefusedError",
    "SocialProvider",
    "StepUp",
    "StoreUnavailableError",
    "SystemClock",
    "ThrottleConfig",
    "TooManyTriesError",
    "Unset",
    "User",
    "UserAlreadyExistsError",
    "VerificationDisabledError",
    "WsgiSessionsError",
    "apple",
    "get_end_reason",
    "get_request",
    "get_session",
    "get_user",
    "google",
    "microsoft",
    "oidc",
    "print_mail",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name != "SessionSettings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # For type checkers, which do not import it.
    from .config.keywords import SessionSettings

    return SessionSettings
