"""The endpoints: what each call takes, does and answers.

Must not hold rules of sessions or accounts; every handler calls one use case of the handle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import EmailCanNotBeUpdatedError, FieldNotAllowedError, InvalidValueError
from ..manager import SignIn
from ..sessions.session import Session
from ..sessions.tokens import is_session_id
from ..wsgi.request import SessionRequest
from .wire import session_fields, user_fields

__all__ = ["ROUTES", "Call", "Route"]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler is given: the handle and the decoded body (empty for a GET).

    ``mount_path`` is that of the application, "" at the root.
    """

    handle: SessionRequest
    body: Mapping[str, Any]
    mount_path: str = ""

    @property
    def declared_fields(self) -> Mapping[str, str]:
        """The additional session fields of the configuration, with the type of each."""
        return self.handle.manager.config.session_fields

    def show(self, session: Session) -> dict[str, Any]:
        """Return a session as every answer shows it."""
        return session_fields(session, self.declared_fields)

    def part(self, name: str) -> Call:
        """Return the same call with an object that must be in the body as its body."""
        value = self.body.get(name)
        if not isinstance(value, dict):
            raise InvalidValueError(f"{name} is missing, or is no object")
        return replace(self, body=value)

    def text(self, name: str) -> str:
        """Return a text field that must be there."""
        value = self.optional_text(name)
        if value is None:
            raise InvalidValueError(f"{name} is missing")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text field, or None when it is absent or null."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidValueError(f"{name} is text, not {type(value).__name__}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean field, or the default when it is absent or null."""
        value = self.body.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidValueError(f"{name} is true or false, not {type(value).__name__}")
        return value


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint.

    ``is_authoritative``: its session is read past the cookie cache. ``allows_refresh``: False
    where the session is replaced or ended anyway, so that a refresh would be one write in
    vain. ``needs_database``: False for what can be answered while the database is away.
    ``takes`` and ``gives`` name schemas of the OpenAPI document, ``refuses`` the codes that
    this endpoint may answer beyond those that every POST may.
    """

    method: Literal["GET", "POST"]
    answer: Callable[[Call], object]
    takes: str | None
    gives: str
    refuses: tuple[str, ...] = ()
    is_authoritative: bool = True
    allows_refresh: bool = True
    needs_database: bool = True

    def accepts(self, method: str) -> bool:
        """Tell whether the endpoint answers to a method; HEAD is a GET without the body."""
        return method == self.method or (method == "HEAD" and self.method == "GET")

    @property
    def allow(self) -> str:
        """The methods the endpoint answers to, as the ``Allow`` header lists them."""
        return "GET, HEAD, OPTIONS" if self.method == "GET" else "POST, OPTIONS"


def sign_up_email(call: Call) -> object:
    """Make a user and sign the browser in."""
    made = call.handle.sign_up_email(
        name=call.text("name"),
        email=call.text("email"),
        password=call.text("password"),
        image=call.optional_text("image"),
        remember_me=call.flag("rememberMe", default=True),
    )
    return _token_and_user(made)


def sign_in_email(call: Call) -> object:
    """Sign the browser in; a callback URL, checked before, is handed back for the client."""
    made = call.handle.sign_in_email(
        email=call.text("email"),
        password=call.text("password"),
        remember_me=call.flag("rememberMe", default=True),
    )
    url = call.optional_text("callbackURL")
    return {"redirect": bool(url), **({"url": url} if url else {}), **_token_and_user(made)}


def sign_in_social(call: Call) -> object:
    """Sign the browser in by a provider's ID token; nobody is sent to the provider."""
    provider = call.text("provider")
    # First, as no token would help where there is no such provider.
    call.handle.manager.social.find_provider(provider)
    token = call.part("idToken")
    made = call.handle.sign_in_social(
        provider=provider,
        id_token=token.text("token"),
        nonce=token.optional_text("nonce"),
        access_token=token.optional_text("accessToken"),
        name=_name_beside(token),
    )
    return {"redirect": False, **_token_and_user(made)}


def sign_out(call: Call) -> object:
    """End the browser's session and clear its cookies; a visitor is told the same."""
    call.handle.sign_out()
    return {"success": True}


def get_session(call: Call) -> object:
    """Show session and user; null for a visitor, an anonymous session's included."""
    session = call.handle.session
    if session is None or session.user is None:
        return None
    return {"session": call.show(session), "user": user_fields(session.user)}


def list_sessions(call: Call) -> object:
    """Show the user's live sessions to somebody who signed in of late."""
    call.handle.require_fresh()
    return [call.show(session) for session in call.handle.list_sessions()]


def revoke_session(call: Call) -> object:
    """End one of the user's sessions; what is not theirs is left, and nothing is told."""
    call.handle.require_user()
    given = (call.optional_text(name) for name in ("token", "sessionId", "id"))
    session_id = next((text for text in given if text is not None), None)
    if session_id is None:
        raise InvalidValueError("token is missing: the id of the session to end")
    if is_session_id(session_id):
        call.handle.revoke_session(session_id)
    return {"status": True}


def revoke_other_sessions(call: Call) -> object:
    """End all the user's sessions but this one."""
    call.handle.require_user()
    call.handle.revoke_other_sessions()
    return {"status": True}


def revoke_sessions(call: Call) -> object:
    """End all the user's sessions."""
    call.handle.require_user()
    call.handle.revoke_all_sessions()
    return {"status": True}


def change_password(call: Call) -> object:
    """Set a new password; the session is replaced, the others end unless asked otherwise."""
    call.handle.require_user()
    made = call.handle.change_password(
        current_password=call.text("currentPassword"),
        new_password=call.text("newPassword"),
        revoke_other_sessions=call.flag("revokeOtherSessions", default=True),
    )
    return _token_and_user(made)


def update_user(call: Call) -> object:
    """Change the user's name or image; null takes the image away."""
    call.handle.require_user()
    if "email" in call.body:
        raise EmailCanNotBeUpdatedError("the e-mail address can't be changed here")
    changes = {name: call.optional_text(name) for name in ("name", "image") if name in call.body}
    if changes.get("name", "") is None:
        del changes["name"]
    if not changes:
        raise InvalidValueError("there is nothing to update; send name or image")
    call.handle.update_user(**changes)
    return {"status": True}


def update_session(call: Call) -> object:
    """Set additional fields of the session; null takes one away."""
    call.handle.require_user()
    declared = call.declared_fields
    for name, value in call.body.items():
        if name not in declared:
            raise FieldNotAllowedError(f"{name[:64]} is not among session_fields")
        if value is not None and not isinstance(value, _TYPES[declared[name]]):
            raise InvalidValueError(f"{name} is a {declared[name]}, not {type(value).__name__}")
        if declared[name] == "number" and isinstance(value, bool):
            raise InvalidValueError(f"{name} is a number, not bool")
    if not call.body:
        raise InvalidValueError("there is nothing to update; send a field of session_fields")
    session = call.handle.session
    assert session is not None
    for name, value in call.body.items():
        if value is not None:
            session.data[name] = value
        else:
            session.data.pop(name, None)
    call.handle.save_data()
    return {"session": call.show(session)}


def delete_user(call: Call) -> object:
    """Delete the user, who gives the password or has signed in of late."""
    call.handle.require_user()
    call.handle.delete_user(password=call.optional_text("password"))
    return {"success": True, "message": "User deleted"}


def tell_ok(_call: Call) -> object:
    """Tell that the process answers; the database is not asked."""
    return {"ok": True}


def _name_beside(token: Call) -> str | None:
    """Return the name that Apple gives once, beside its token and not in it."""
    user = token.body.get("user")
    names = user.get("name") if isinstance(user, dict) else None
    if not isinstance(names, dict):
        return None
    parts = [names.get("firstName"), names.get("lastName")]
    name = " ".join(part.strip() for part in parts if isinstance(part, str)).strip()
    return name or None


def _token_and_user(made: SignIn) -> dict[str, Any]:
    # Not made.token: that is what the cookie carries.
    token = None if made.session is None else made.session.id
    return {"token": token, "user": user_fields(made.user)}


def tell_openapi(call: Call) -> object:
    """Show this API as an OpenAPI 3.1 document."""
    # Above this room, as it is made from what is here.
    from .openapi import describe

    manager = call.handle.manager
    return describe(
        ROUTES,
        manager.config,
        mount_path=call.mount_path,
        cookie_name=manager.cookies.token_name(is_secure=call.handle.is_secure),
    )


_SIGN_IN = ("EMAIL_NOT_VERIFIED", "SESSION_LIMIT_REACHED")
_PASSWORD = ("TOO_MANY_REQUESTS", "SERVER_BUSY")
_NEW_PASSWORD = ("PASSWORD_TOO_SHORT", "PASSWORD_TOO_LONG", *_PASSWORD)

ROUTES: Mapping[str, Route] = {
    "/sign-up/email": Route(
        "POST",
        sign_up_email,
        "SignUpEmail",
        "TokenAndUser",
        ("INVALID_EMAIL", *_NEW_PASSWORD, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"),
        allows_refresh=False,
    ),
    "/sign-in/email": Route(
        "POST",
        sign_in_email,
        "SignInEmail",
        "SignedIn",
        ("INVALID_EMAIL", "INVALID_EMAIL_OR_PASSWORD", *_SIGN_IN, *_PASSWORD),
        allows_refresh=False,
    ),
    "/sign-in/social": Route(
        "POST",
        sign_in_social,
        "SignInSocial",
        "SignedIn",
        (
            "INVALID_TOKEN",
            "OAUTH_LINK_ERROR",
            "USER_EMAIL_NOT_FOUND",
            "PROVIDER_NOT_FOUND",
            "ID_TOKEN_NOT_SUPPORTED",
            "PROVIDER_UNAVAILABLE",
            *_SIGN_IN,
        ),
        allows_refresh=False,
    ),
    "/sign-out": Route("POST", sign_out, "Nothing", "Success", allows_refresh=False),
    "/get-session": Route("GET", get_session, None, "SessionAndUser", is_authoritative=False),
    "/list-sessions": Route(
        "GET", list_sessions, None, "Sessions", ("UNAUTHORIZED", "SESSION_NOT_FRESH")
    ),
    "/revoke-session": Route("POST", revoke_session, "RevokeSession", "Status", ("UNAUTHORIZED",)),
    "/revoke-other-sessions": Route(
        "POST", revoke_other_sessions, "Nothing", "Status", ("UNAUTHORIZED",)
    ),
    "/revoke-sessions": Route(
        "POST", revoke_sessions, "Nothing", "Status", ("UNAUTHORIZED",), allows_refresh=False
    ),
    "/change-password": Route(
        "POST",
        change_password,
        "ChangePassword",
        "TokenAndUser",
        ("UNAUTHORIZED", "INVALID_PASSWORD", *_NEW_PASSWORD, "SESSION_LIMIT_REACHED"),
        allows_refresh=False,
    ),
    "/update-user": Route(
        "POST", update_user, "UpdateUser", "Status", ("UNAUTHORIZED", "EMAIL_CAN_NOT_BE_UPDATED")
    ),
    "/update-session": Route(
        "POST",
        update_session,
        "UpdateSession",
        "UpdatedSession",
        ("UNAUTHORIZED", "FIELD_NOT_ALLOWED", "SESSION_DATA_LOST"),
    ),
    "/delete-user": Route(
        "POST",
        delete_user,
        "DeleteUser",
        "Deleted",
        ("UNAUTHORIZED", "SESSION_NOT_FRESH", "INVALID_PASSWORD", *_PASSWORD),
        allows_refresh=False,
    ),
    "/ok": Route(
        "GET",
        tell_ok,
        None,
        "Ok",
        is_authoritative=False,
        allows_refresh=False,
        needs_database=False,
    ),
    "/openapi.json": Route(
        "GET",
        tell_openapi,
        None,
        "Document",
        is_authoritative=False,
        allows_refresh=False,
        needs_database=False,
    ),
}
