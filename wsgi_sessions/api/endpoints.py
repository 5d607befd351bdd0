"""The endpoints of the JSON API; each calls one use case of the request.

The first line of a docstring is the endpoint's title in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..accounts.one_time_tokens import with_query
from ..accounts.service import normalize_email
from ..errors import (
    EmailCanNotBeUpdatedError,
    FieldNotAllowedError,
    InvalidValueError,
    RefusedError,
)
from ..light_dataclasses import dataclass
from ..records import UNSET
from ..request_errors import EmailAlreadyVerifiedError, EmailMismatchError
from ..sessions.session import Session, SignIn
from ..sessions.tokens import is_session_id, new_id
from ..wsgi.request import SessionRequest
from .guard import check_mailed_url
from .wire import session_fields, user_fields

_TYPES: Mapping[str, set[Any]] = {"string": {str}, "number": {int, float}, "boolean": {bool}}


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler is given: the handle, the decoded body (empty for a GET) and the query.

    ``mount_path`` is that of the application, "" at the root.
    """

    handle: SessionRequest
    body: Mapping[str, Any]
    query: Mapping[str, str]
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

    def mailed_url(self, name: str) -> str | None:
        """Return the URL to which a link in a mail is to lead, if it may."""
        url = self.optional_text(name)
        check_mailed_url(url, self.handle.manager.config)
        return url

    def flag(self, name: str) -> bool:
        """Return a boolean field, which is true when it is absent or null."""
        value = self.body.get(name)
        if not isinstance(value, bool | None):
            raise InvalidValueError(f"{name} is true or false, not {type(value).__name__}")
        return value is not False


def sign_up_email(call: Call) -> object:
    """Create a user with an e-mail address and a password, and sign in."""
    config = call.handle.manager.config
    made = call.handle.sign_up_email(
        name=call.text("name"),
        email=call.text("email"),
        password=call.text("password"),
        image=call.optional_text("image"),
        remember_me=call.flag("rememberMe"),
        callback_url=call.mailed_url("callbackURL") if config.require_verified_email else None,
    )
    answer = _token_and_user(made)
    if made.session is None and config.user_model is not None:
        # For an address that is taken, no key of the application's could be made up.
        answer["user"]["id"] = new_id()
    return answer


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


def make_nonce(call: Call) -> object:
    """Make a nonce for an ID token, which is good in this browser alone."""
    return {"nonce": call.handle.make_nonce(call.text("provider"))}


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


def verify_password(call: Call) -> object:
    """Check the user's password, after which the session is fresh again."""
    call.handle.reauthenticate(password=call.text("password"))
    return {"status": True}


def reauthenticate(call: Call) -> object:
    """Prove again who is there, by password or ID token; then the session is fresh again."""
    password = call.optional_text("password")
    if (password is None) == (call.body.get("idToken") is None):
        raise InvalidValueError("send password, or provider and idToken")
    if password is not None:
        call.handle.reauthenticate(password=password)
        return {"status": True}
    provider, token = call.text("provider"), call.part("idToken")
    call.handle.reauthenticate(
        provider=provider,
        id_token=token.text("token"),
        nonce=token.optional_text("nonce"),
        access_token=token.optional_text("accessToken"),
    )
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


def request_password_reset(call: Call) -> object:
    """Mail a link with which a password can be set.

    The answer is the same for an address that nobody has.
    """
    call.handle.manager.request_password_reset(
        email=call.text("email"),
        redirect_to=call.mailed_url("redirectTo"),
        facts=call.handle.facts,
    )
    return {"status": True, "message": "If somebody here has this address, a mail is on its way"}


def reset_password(call: Call) -> object:
    """Set a password by the token of a mailed link, and end all sessions of the user."""
    token = call.optional_text("token") or call.query.get("token", "")
    call.handle.reset_password(token=token, new_password=call.text("newPassword"))
    return {"status": True}


def send_verification_email(call: Call) -> object:
    """Mail a link that verifies an e-mail address.

    The answer is the same for an address that nobody has, or that is verified; but for the
    signed-in user, who may ask for their own.
    """
    email, user = call.text("email"), call.handle.user
    if user is not None and user.email is not None:
        if user.email.lower() != normalize_email(email):
            raise EmailMismatchError
        if user.email_verified:
            raise EmailAlreadyVerifiedError
    call.handle.manager.send_verification_email(
        email=email, callback_url=call.mailed_url("callbackURL"), facts=call.handle.facts
    )
    return {"status": True}


def verify_email(call: Call) -> object:
    """Verify an e-mail address, or change to it, by the token of a mailed link.

    With ``callbackURL`` the browser is sent there, with ``error=`` and a code after a refusal.
    """
    url = call.query.get("callbackURL")
    try:
        user = call.handle.verify_email(token=call.query.get("token", ""))
    except RefusedError as error:
        if not url:
            raise
        return {"redirect": True, "url": with_query(url, error=error.code)}
    if url:
        return {"redirect": True, "url": url}
    # A mail may have been passed on: the user is shown to nobody but themselves.
    is_own = call.handle.user is not None and call.handle.user.id == user.id
    return {"status": True, "user": user_fields(user) if is_own else None}


def change_email(call: Call) -> object:
    """Mail a link to a new e-mail address, with which it becomes the user's."""
    call.handle.change_email(
        new_email=call.text("newEmail"), callback_url=call.mailed_url("callbackURL")
    )
    return {"status": True}


def update_user(call: Call) -> object:
    """Change the user's name or image."""
    if "email" in call.body:
        raise EmailCanNotBeUpdatedError
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
            raise FieldNotAllowedError(name[:64])
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
