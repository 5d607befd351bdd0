"""The endpoints of the JSON API; each calls one use case of the request.

The first line of a docstring is the endpoint's title in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import EmailCanNotBeUpdatedError, FieldNotAllowedError, InvalidValueError
from ..records import UNSET
from ..sessions.session import Session, SignIn
from ..sessions.tokens import is_session_id
from ..wsgi.request import SessionRequest
from .wire import session_fields, user_fields

_TYPES: Mapping[str, set[Any]] = {"string": {str}, "number": {int, float}, "boolean": {bool}}


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler is given: the handle and the decoded body (empty for a GET).

    ``mount_path`` is that of the application, "" at the root.
    """

    handle: SessionRequest
    body: Mapping[str, Any]
    mount_path: str = ""

    def session_fields(self, session: Session) -> dict[str, Any]:
        return session_fields(session, self.handle.manager.config.session_fields)

    def part(self, name: str) -> Call:
        """Return the same call with an object that must be in the body as its body."""
        value = self.body.get(name)
        if not isinstance(value, dict):
            raise InvalidValueError(f"{name} is missing, or is no object")
        return replace(self, body=value)

    def text(self, name: str) -> str:
        value = self.optional_text(name)
        if value is None:
            raise InvalidValueError(f"{name} is missing")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text field, or None when it is absent or null."""
        value = self.body.get(name)
        if not isinstance(value, str | None):
            raise InvalidValueError(f"{name} is text, not {type(value).__name__}")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean field, which is true when it is absent or null."""
        value = self.body.get(name)
        if not isinstance(value, bool | None):
            raise InvalidValueError(f"{name} is true or false, not {type(value).__name__}")
        return value is not False


def sign_up_email(call: Call) -> object:
    """Create a user with an e-mail address and a password, and sign in."""
    return _token_and_user(
        call.handle.sign_up_email(
            name=call.text("name"),
            email=call.text("email"),
            password=call.text("password"),
            image=call.optional_text("image"),
            remember_me=call.flag("rememberMe"),
        )
    )


def sign_in_email(call: Call) -> object:
    """Sign in with an e-mail address and a password."""
    made = call.handle.sign_in_email(
        email=call.text("email"),
        password=call.text("password"),
        remember_me=call.flag("rememberMe"),
    )
    # It was checked before; the client follows it by itself.
    url = call.optional_text("callbackURL")
    return {"redirect": bool(url), **({"url": url} if url else {}), **_token_and_user(made)}


def sign_in_social(call: Call) -> object:
    """Sign in with a provider's ID token."""
    provider = call.text("provider")
    # First: without such a provider no token helps.
    call.handle.manager.parts.social.find_provider(provider)
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
    """End the current session.

    The answer is the same without one.
    """
    call.handle.sign_out()
    return {"success": True}


def get_session(call: Call) -> object:
    """Return the current session and user.

    Null for a visitor, also with an anonymous session.
    """
    session = call.handle.session
    if session is None or session.user is None:
        return None
    return {"session": call.session_fields(session), "user": user_fields(session.user)}


def list_sessions(call: Call) -> object:
    """Return the user's live sessions."""
    call.handle.require_fresh()
    return [call.session_fields(session) for session in call.handle.list_sessions()]


def revoke_session(call: Call) -> object:
    """End one of the user's sessions.

    The answer is the same for an id that is not theirs.
    """
    given = (call.optional_text(name) for name in ("token", "sessionId", "id"))
    session_id = next((text for text in given if text is not None), None)
    if session_id is None:
        raise InvalidValueError("token is missing: the id of the session to end")
    if is_session_id(session_id):
        call.handle.revoke_session(session_id)
    return {"status": True}


def revoke_other_sessions(call: Call) -> object:
    """End the user's other sessions."""
    call.handle.revoke_other_sessions()
    return {"status": True}


def revoke_sessions(call: Call) -> object:
    """End all of the user's sessions."""
    call.handle.revoke_all_sessions()
    return {"status": True}


def change_password(call: Call) -> object:
    """Change the password."""
    return _token_and_user(
        call.handle.change_password(
            current_password=call.text("currentPassword"),
            new_password=call.text("newPassword"),
            revoke_other_sessions=call.flag("revokeOtherSessions"),
        )
    )


def update_user(call: Call) -> object:
    """Change the user's name or image."""
    if "email" in call.body:
        raise EmailCanNotBeUpdatedError("the e-mail address can't be changed here")
    name = call.optional_text("name")
    image = call.optional_text("image") if "image" in call.body else UNSET
    if name is None and image is UNSET:
        raise InvalidValueError("there is nothing to update; send name or image")
    call.handle.update_user(name=UNSET if name is None else name, image=image)
    return {"status": True}


def update_session(call: Call) -> object:
    """Set additional fields of the session."""
    declared = call.handle.manager.config.session_fields
    for name, value in call.body.items():
        if name not in declared:
            raise FieldNotAllowedError(f"{name[:64]} is not among session_fields")
        if value is not None and type(value) not in _TYPES[declared[name]]:
            raise InvalidValueError(f"{name} is a {declared[name]}, not {type(value).__name__}")
    if not call.body:
        raise InvalidValueError("there is nothing to update; send a field of session_fields")
    session = call.handle.session
    assert session is not None
    for name, value in call.body.items():
        if value is None:
            session.data.pop(name, None)
        else:
            session.data[name] = value
    call.handle.save_data()
    return {"session": call.session_fields(session)}


def delete_user(call: Call) -> object:
    """Delete the user."""
    call.handle.delete_user(password=call.optional_text("password"))
    return {"success": True, "message": "User deleted"}


def get_ok(_call: Call) -> object:
    """Check that the server answers."""
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
    # Not made.token, which is the content of the cookie.
    token = None if made.session is None else made.session.id
    return {"token": token, "user": user_fields(made.user)}
