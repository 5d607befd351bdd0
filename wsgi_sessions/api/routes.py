"""The routes of the JSON API: method, endpoint, and what its OpenAPI description needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from .. import errors
from . import endpoints
from .endpoints import Call
from .openapi import describe


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: the function that answers, and how it is called and described.

    Name and docstring of the function are its name and title in the OpenAPI document. ``gives``
    names the schema of its answer there, ``refuses`` its refusals beyond those of every POST.
    ``has_fields``: False where nothing in a body is read. ``is_authoritative``: its session is
    read past the cookie cache. ``replaces_session``: the session is replaced or ended, so that
    a refresh would be one write in vain. ``needs_database``: False for what can be answered
    while the database is away.
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
        return method == self.method or (method == "HEAD" and self.method == "GET")

    @property
    def allow(self) -> str:
        """The methods the endpoint answers to, as the ``Allow`` header lists them."""
        return "GET, HEAD, OPTIONS" if self.method == "GET" else "POST, OPTIONS"


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
_NEW_PASSWORD = (errors.PasswordTooShortError, errors.PasswordTooLongError, *_PASSWORD)
_SOCIAL = (
    errors.InvalidIdTokenError,
    errors.AccountNotLinkedError,
    errors.EmailMissingError,
    errors.ProviderNotFoundError,
    errors.IdTokenNotSupportedError,
    errors.ProviderUnavailableError,
)

ROUTES: Mapping[str, Route] = {
    "/sign-up/email": Route(
        endpoints.sign_up_email,
        "TokenAndUser",
        (errors.InvalidEmailError, *_NEW_PASSWORD, errors.UserAlreadyExistsError),
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
    "/sign-out": Route(endpoints.sign_out, "Success", has_fields=False, replaces_session=True),
    "/get-session": Route(
        endpoints.get_session, "SessionAndUser", method="GET", is_authoritative=False
    ),
    "/list-sessions": Route(
        endpoints.list_sessions,
        "Sessions",
        (errors.SessionNotFreshError,),
        method="GET",
        needs_user=True,
    ),
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
    "/change-password": Route(
        endpoints.change_password,
        "TokenAndUser",
        (errors.InvalidPasswordError, *_NEW_PASSWORD, errors.SessionLimitReached),
        needs_user=True,
        replaces_session=True,
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
    "/openapi.json": Route(get_open_api, "Document", method="GET", needs_database=False),
}
