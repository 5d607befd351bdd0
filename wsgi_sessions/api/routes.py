"""The routes of the JSON API: method, endpoint, and what its OpenAPI description needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Literal

from .. import errors
from ..light_dataclasses import dataclass
from ..request_errors import (
    EmailAlreadyVerifiedError,
    EmailMismatchError,
    InvalidCallbackUrlError,
)
from . import endpoints
from .endpoints import Call
from .openapi import describe
from .schemas import Schema, flag_in_query, text_in_query

OPENAPI_PATH = "/openapi.json"


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: the function that answers, and how it is called and described.

    Name and docstring of the function are its name and title in the OpenAPI document. ``gives``
    names the schema of its answer there, ``refuses`` its refusals beyond those of every POST.
    ``has_fields``: False where nothing in a body is read. ``is_authoritative``: its session is
    read past the cookie cache. ``replaces_session``: the session is replaced or ended, so that
    a refresh would be one write in vain. ``needs_database``: False for what can be answered
    while the database is away. ``is_safe``: False for a GET that changes something, which HEAD
    must not do: mail scanners send it. ``query`` has the schemas of the fields of its query.
    """

    answer: Callable[[Call], object]
    gives: str
    refuses: tuple[type[errors.RefusedError], ...] = ()
    method: Literal["GET", "POST"] = "POST"
    has_fields: bool = True
    needs_user: bool = False
    is_authoritative: bool = True
    replaces_session: bool = False
    needs_database: bool = True
    is_safe: bool = True
    query: Mapping[str, Schema] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``SignUpEmail`` for ``sign_up_email``."""
        return self.answer.__name__.title().replace("_", "")

    @property
    def summary(self) -> str:
        return (self.answer.__doc__ or "").partition("\n")[0].removesuffix(".")

    @property
    def takes(self) -> str | None:
        """The name of the schema of its body; None for a GET."""
        if self.method == "GET":
            return None
        return self.name if self.has_fields else "Nothing"

    def accepts(self, method: str) -> bool:
        """Return whether the endpoint answers to a method; HEAD is a GET without the body."""
        return method == self.method or (method == "HEAD" and self.answers_head)

    @property
    def answers_head(self) -> bool:
        return self.method == "GET" and self.is_safe

    @property
    def allow(self) -> str:
        """The methods the endpoint answers to, as the ``Allow`` header lists them."""
        return f"{self.method}, {'HEAD, ' if self.answers_head else ''}OPTIONS"


def get_open_api(call: Call) -> object:
    """Return this document."""
    manager = call.handle.manager
    return describe(
        ROUTES,
        manager.config,
        mount_path=call.mount_path,
        cookie_name=manager.parts.cookies.token_name(is_secure=call.handle.is_secure),
    )


_SIGN_IN = (errors.EmailNotVerifiedError, errors.SessionLimitReached)
_PASSWORD = (errors.TooManyTriesError, errors.ServerBusyError)
_NEW_PASSWORD = (
    errors.PasswordTooShortError,
    errors.PasswordTooLongError,
    errors.PasswordTooCommonError,
    errors.PasswordTooSimilarError,
    errors.PasswordCompromisedError,
    *_PASSWORD,
)
_ID_TOKEN = (
    errors.InvalidIdTokenError,
    errors.AccountNotLinkedError,
    errors.ProviderNotFoundError,
    errors.IdTokenNotSupportedError,
    errors.ProviderUnavailableError,
)
_SOCIAL = (
    *_ID_TOKEN,
    errors.EmailMissingError,
    errors.SignUpDisabledError,
    errors.SignUpRefusedError,
    errors.TooManyTriesError,
)
_MAIL = (errors.InvalidEmailError, errors.TooManyTriesError)

ROUTES: Mapping[str, Route] = {
    "/sign-up/email": Route(
        endpoints.sign_up_email,
        "TokenAndUser",
        (
            errors.InvalidEmailError,
            *_NEW_PASSWORD,
            errors.UserAlreadyExistsError,
            errors.EmailSignUpDisabledError,
            errors.SignUpRefusedError,
        ),
        replaces_session=True,
    ),
    "/sign-in/email": Route(
        endpoints.sign_in_email,
        "SignedIn",
        (errors.InvalidEmailError, errors.InvalidCredentialsError, *_SIGN_IN, *_PASSWORD),
        replaces_session=True,
    ),
    "/sign-in/social": Route(
        endpoints.sign_in_social, "SignedIn", (*_SOCIAL, *_SIGN_IN), replaces_session=True
    ),
    "/make-nonce": Route(endpoints.make_nonce, "Nonce", (errors.ProviderNotFoundError,)),
    "/sign-out": Route(endpoints.sign_out, "Success", has_fields=False, replaces_session=True),
    "/get-session": Route(
        endpoints.get_session,
        "SessionAndUser",
        method="GET",
        is_authoritative=False,
        query={
            "disableCookieCache": flag_in_query("Ask the database, past the cookie cache."),
            "disableRefresh": flag_in_query("Neither refresh nor rotate the session."),
        },
    ),
    "/list-sessions": Route(endpoints.list_sessions, "Sessions", method="GET", needs_user=True),
    "/revoke-session": Route(endpoints.revoke_session, "Status", needs_user=True),
    "/revoke-other-sessions": Route(
        endpoints.revoke_other_sessions, "Status", has_fields=False, needs_user=True
    ),
    "/revoke-sessions": Route(
        endpoints.revoke_sessions,
        "Status",
        has_fields=False,
        needs_user=True,
        replaces_session=True,
    ),
    "/verify-password": Route(
        endpoints.verify_password,
        "Status",
        (errors.InvalidPasswordError, *_PASSWORD),
        needs_user=True,
    ),
    "/reauthenticate": Route(
        endpoints.reauthenticate,
        "Status",
        (
            errors.InvalidPasswordError,
            *_PASSWORD,
            *_ID_TOKEN,
            errors.SessionNotFreshError,
        ),
        needs_user=True,
    ),
    "/change-password": Route(
        endpoints.change_password,
        "TokenAndUser",
        (errors.InvalidPasswordError, *_NEW_PASSWORD, errors.SessionLimitReached),
        needs_user=True,
        replaces_session=True,
    ),
    "/request-password-reset": Route(
        endpoints.request_password_reset,
        "StatusAndMessage",
        (errors.ResetPasswordDisabledError, *_MAIL),
    ),
    "/reset-password": Route(
        endpoints.reset_password,
        "Status",
        (errors.InvalidOneTimeTokenError, *_NEW_PASSWORD),
        replaces_session=True,
        query={"token": text_in_query("That of the link, if it is not in the body.")},
    ),
    "/send-verification-email": Route(
        endpoints.send_verification_email,
        "Status",
        (
            errors.VerificationDisabledError,
            EmailMismatchError,
            EmailAlreadyVerifiedError,
            *_MAIL,
        ),
    ),
    "/verify-email": Route(
        endpoints.verify_email,
        "StatusAndUser",
        (
            errors.InvalidVerificationError,
            errors.UserAlreadyExistsError,
            errors.TooManyTriesError,
            InvalidCallbackUrlError,
        ),
        method="GET",
        is_safe=False,
        query={
            "token": text_in_query("That of the link.", required=True),
            "callbackURL": text_in_query("Where the browser is sent: 302."),
        },
    ),
    "/change-email": Route(
        endpoints.change_email,
        "Status",
        (errors.VerificationDisabledError, errors.SessionNotFreshError, *_MAIL),
        needs_user=True,
    ),
    "/update-user": Route(
        endpoints.update_user, "Status", (errors.EmailCanNotBeUpdatedError,), needs_user=True
    ),
    "/update-session": Route(
        endpoints.update_session,
        "UpdatedSession",
        (errors.FieldNotAllowedError, errors.SessionDataLostError),
        needs_user=True,
    ),
    "/delete-user": Route(
        endpoints.delete_user,
        "Deleted",
        (errors.SessionNotFreshError, errors.InvalidPasswordError, *_PASSWORD),
        needs_user=True,
        replaces_session=True,
    ),
    "/ok": Route(endpoints.get_ok, "Ok", method="GET", needs_database=False),
    OPENAPI_PATH: Route(get_open_api, "Document", method="GET", needs_database=False),
}
