"""Sessions for every WSGI application: validated, rotated and revocable, in your own database."""

from __future__ import annotations

from .clock import Clock, SystemClock
from .config.keywords import SessionSettings
from .config.parts import (
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
    FieldNotAllowedError,
    IdTokenNotSupportedError,
    InvalidCredentialsError,
    InvalidEmailError,
    InvalidIdTokenError,
    InvalidPasswordError,
    InvalidValueError,
    NotSignedInError,
    PasswordTooLongError,
    PasswordTooShortError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    RefusedError,
    ResponseStartedError,
    ServerBusyError,
    SessionDataLostError,
    SessionLimitReached,
    SessionNotFreshError,
    StoreUnavailableError,
    TooManyTriesError,
    UserAlreadyExistsError,
    WsgiSessionsError,
)
from .events import EventName, Events, SessionEvent
from .manager import SessionManager
from .middleware import SessionMiddleware
from .records import UNSET, EndReason, RequestFacts, Unset
from .sessions.creation import Replaced
from .sessions.data import SessionData
from .sessions.session import Session, SignIn, User
from .transport.environ import get_end_reason, get_request, get_session, get_user
from .wsgi.request import SessionRequest

__all__ = [
    "UNSET",
    "AccountNotLinkedError",
    "Clock",
    "ConfigurationError",
    "CookieCacheConfig",
    "CookieConfig",
    "EmailCanNotBeUpdatedError",
    "EmailMissingError",
    "EmailNotVerifiedError",
    "EndReason",
    "EventName",
    "Events",
    "FieldNotAllowedError",
    "IdTokenNotSupportedError",
    "InvalidCredentialsError",
    "InvalidEmailError",
    "InvalidIdTokenError",
    "InvalidPasswordError",
    "InvalidValueError",
    "MultiSessionConfig",
    "NotSignedInError",
    "PasswordConfig",
    "PasswordTooLongError",
    "PasswordTooShortError",
    "ProviderNotFoundError",
    "ProviderUnavailableError",
    "RefusedError",
    "Replaced",
    "RequestFacts",
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
    "SocialProvider",
    "StoreUnavailableError",
    "SystemClock",
    "ThrottleConfig",
    "TooManyTriesError",
    "Unset",
    "User",
    "UserAlreadyExistsError",
    "WsgiSessionsError",
    "apple",
    "get_end_reason",
    "get_request",
    "get_session",
    "get_user",
    "google",
    "microsoft",
    "oidc",
]

__version__ = "0.1.0"
