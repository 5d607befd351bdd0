"""The routes of the JSON API: method, endpoint, and what its OpenAPI description needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import (
    AccountNotLinkedError,
    EmailCanNotBeUpdatedError,
    EmailMissingError,
    EmailNotVerifiedError,
    FieldNotAllowedError,
    IdTokenNotSupportedError,
    InvalidCredentialsError,
    InvalidEmailError,
    InvalidIdTokenError,
    InvalidPasswordError,
    NotSignedInError,
    PasswordTooLongError,
    PasswordTooShortError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    RefusedError,
    ServerBusyError,
    SessionDataLostError,
    SessionLimitReached,
    SessionNotFreshError,
    TooManyTriesError,
    UserAlreadyExistsError,
)
from . import endpoints
from .endpoints import Call
from .openapi import describe


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint; ``operation_id`` and ``summary`` are its name and title in the document.

    ``is_authoritative``: its session is read past the cookie cache. ``allows_refresh``: False
    where the session is replaced or ended anyway, so that a refresh would be one write in
    vain. ``needs_database``: False for what can be answered while the database is away.
    ``takes`` and ``gives`` name schemas of the OpenAPI document, ``refuses`` the refusals
    of this endpoint beyond those of every POST.
    """

    method: Literal["GET", "POST"]
    operation_id: str
    summary: str
    answer: Callable[[Call], object]
    takes: str | None
    gives: str
    refuses: tuple[type[RefusedError], ...] = ()
    is_authoritative: bool = True
    allows_refresh: bool = True
    needs_database: bool = True

    def accepts(self, method: str) -> bool:
        """Return whether the endpoint answers to a method; HEAD is a GET without the body."""
        return method == self.method or (method == "HEAD" and self.method == "GET")

    @property
    def allow(self) -> str:
        """The methods the endpoint answers to, as the ``Allow`` header lists them."""
        return "GET, HEAD, OPTIONS" if self.method == "GET" else "POST, OPTIONS"


def _get_openapi(call: Call) -> object:
    manager = call.handle.manager
    return describe(
        ROUTES,
        manager.config,
        mount_path=call.mount_path,
        cookie_name=manager.parts.cookies.token_name(is_secure=call.handle.is_secure),
    )


_SIGN_IN = (EmailNotVerifiedError, SessionLimitReached)
_PASSWORD = (TooManyTriesError, ServerBusyError)
_NEW_PASSWORD = (PasswordTooShortError, PasswordTooLongError, *_PASSWORD)

ROUTES: Mapping[str, Route] = {
    "/sign-up/email": Route(
        "POST",
        "signUpEmail",
        "Create a user with an e-mail address and a password, and sign in",
        endpoints.sign_up_email,
        "SignUpEmail",
        "TokenAndUser",
        (InvalidEmailError, *_NEW_PASSWORD, UserAlreadyExistsError),
        allows_refresh=False,
    ),
    "/sign-in/email": Route(
        "POST",
        "signInEmail",
        "Sign in with an e-mail address and a password",
        endpoints.sign_in_email,
        "SignInEmail",
        "SignedIn",
        (InvalidEmailError, InvalidCredentialsError, *_SIGN_IN, *_PASSWORD),
        allows_refresh=False,
    ),
    "/sign-in/social": Route(
        "POST",
        "signInSocial",
        "Sign in with a provider's ID token",
        endpoints.sign_in_social,
        "SignInSocial",
        "SignedIn",
        (
            InvalidIdTokenError,
            AccountNotLinkedError,
            EmailMissingError,
            ProviderNotFoundError,
            IdTokenNotSupportedError,
            ProviderUnavailableError,
            *_SIGN_IN,
        ),
        allows_refresh=False,
    ),
    "/sign-out": Route(
        "POST",
        "signOut",
        "End the current session",
        endpoints.sign_out,
        "Nothing",
        "Success",
        allows_refresh=False,
    ),
    "/get-session": Route(
        "GET",
        "getSession",
        "Return the current session and user",
        endpoints.get_session,
        None,
        "SessionAndUser",
        is_authoritative=False,
    ),
    "/list-sessions": Route(
        "GET",
        "listSessions",
        "Return the user's live sessions",
        endpoints.list_sessions,
        None,
        "Sessions",
        (NotSignedInError, SessionNotFreshError),
    ),
    "/revoke-session": Route(
        "POST",
        "revokeSession",
        "End one of the user's sessions",
        endpoints.revoke_session,
        "RevokeSession",
        "Status",
        (NotSignedInError,),
    ),
    "/revoke-other-sessions": Route(
        "POST",
        "revokeOtherSessions",
        "End the user's other sessions",
        endpoints.revoke_other_sessions,
        "Nothing",
        "Status",
        (NotSignedInError,),
    ),
    "/revoke-sessions": Route(
        "POST",
        "revokeSessions",
        "End all of the user's sessions",
        endpoints.revoke_sessions,
        "Nothing",
        "Status",
        (NotSignedInError,),
        allows_refresh=False,
    ),
    "/change-password": Route(
        "POST",
        "changePassword",
        "Change the password",
        endpoints.change_password,
        "ChangePassword",
        "TokenAndUser",
        (NotSignedInError, InvalidPasswordError, *_NEW_PASSWORD, SessionLimitReached),
        allows_refresh=False,
    ),
    "/update-user": Route(
        "POST",
        "updateUser",
        "Change the user's name or image",
        endpoints.update_user,
        "UpdateUser",
        "Status",
        (NotSignedInError, EmailCanNotBeUpdatedError),
    ),
    "/update-session": Route(
        "POST",
        "updateSession",
        "Set additional fields of the session",
        endpoints.update_session,
        "UpdateSession",
        "UpdatedSession",
        (NotSignedInError, FieldNotAllowedError, SessionDataLostError),
    ),
    "/delete-user": Route(
        "POST",
        "deleteUser",
        "Delete the user",
        endpoints.delete_user,
        "DeleteUser",
        "Deleted",
        (NotSignedInError, SessionNotFreshError, InvalidPasswordError, *_PASSWORD),
        allows_refresh=False,
    ),
    "/ok": Route(
        "GET",
        "getOk",
        "Check that the server answers",
        endpoints.get_ok,
        None,
        "Ok",
        is_authoritative=False,
        allows_refresh=False,
        needs_database=False,
    ),
    "/openapi.json": Route(
        "GET",
        "getOpenApi",
        "Return this document",
        _get_openapi,
        None,
        "Document",
        is_authoritative=False,
        allows_refresh=False,
        needs_database=False,
    ),
}
