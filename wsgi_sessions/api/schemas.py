"""Request bodies and answers as JSON Schema (2020-12) for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from ..accounts.service import MAX_EMAIL_LENGTH, MAX_IMAGE_LENGTH, MAX_NAME_LENGTH
from ..config.settings import SessionConfig

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": "boolean"}
_TRUE: Schema = {"const": True}
_TRUE_BY_DEFAULT: Schema = {"type": ["boolean", "null"], "default": True}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def body_schemas(config: SessionConfig) -> dict[str, Schema]:
    least, most = config.password.min_length, config.password.max_length
    new_password = {**_TEXT, "minLength": least, "maxLength": most}
    password = {**_TEXT, "maxLength": most}
    name = {**_TEXT, "maxLength": MAX_NAME_LENGTH}
    image = {**_TEXT_OR_NULL, "maxLength": MAX_IMAGE_LENGTH}
    email = {**_TEXT, "format": "email", "maxLength": MAX_EMAIL_LENGTH}
    callback = {**_TEXT_OR_NULL, "description": "A path here, or a URL of a trusted origin."}
    providers = [provider.name for provider in config.social_providers]
    apple_user = "What Apple sends beside the token, once."
    id_token = _object(
        {"token": {**_TEXT, "description": "A signed JWT."}},
        nonce=_TEXT_OR_NULL,
        accessToken=_TEXT_OR_NULL,
        user={"type": ["object", "null"], "description": apple_user},
    )
    return {
        "SignUpEmail": _object(
            {"name": name, "email": email, "password": new_password},
            image=image,
            callbackURL=callback,
            rememberMe=_TRUE_BY_DEFAULT,
        ),
        "SignInEmail": _object(
            {"email": email, "password": password},
            callbackURL=callback,
            rememberMe=_TRUE_BY_DEFAULT,
        ),
        "SignInSocial": _object(
            {"provider": {**_TEXT, "examples": providers}, "idToken": id_token},
            callbackURL=callback,
        ),
        "RevokeSession": {
            **_object({}, token=_TEXT_OR_NULL, sessionId=_TEXT_OR_NULL, id=_TEXT_OR_NULL),
            "description": "The id of the session to end, under one of three names.",
        },
        "ChangePassword": _object(
            {"currentPassword": password, "newPassword": new_password},
            revokeOtherSessions=_TRUE_BY_DEFAULT,
        ),
        "UpdateUser": {**_object({}, name=name, image=image), "minProperties": 1},
        "UpdateSession": {
            **_object({}, **_additional(config)),
            "additionalProperties": False,
            "minProperties": 1,
        },
        "DeleteUser": _object({}, password=_TEXT_OR_NULL),
        "Nothing": {"type": "object"},
    }


def answer_schemas(config: SessionConfig) -> dict[str, Schema]:
    token = {**_TEXT_OR_NULL, "description": "The id of the session, null if none began."}
    return {
        "User": _closed(
            id=_TEXT,
            name=_TEXT_OR_NULL,
            email=_TEXT_OR_NULL,
            emailVerified=_FLAG,
            image=_TEXT_OR_NULL,
            createdAt=_INSTANT,
            updatedAt=_INSTANT,
        ),
        "Session": _closed(
            id=_TEXT,
            token={**_TEXT, "description": "The id again: it names a session, and opens none."},
            userId=_TEXT_OR_NULL,
            expiresAt=_INSTANT,
            createdAt=_INSTANT,
            updatedAt=_INSTANT,
            ipAddress=_TEXT_OR_NULL,
            userAgent=_TEXT_OR_NULL,
            device={**_TEXT, "description": "The user agent in words."},
            **_additional(config),
        ),
        "TokenAndUser": _closed(token=token, user=ref("User")),
        "SignedIn": {
            **_object({"redirect": _FLAG, "token": token, "url": _TEXT, "user": ref("User")}),
            "required": ["redirect", "token", "user"],
        },
        "SessionAndUser": {
            "oneOf": [_closed(session=ref("Session"), user=ref("User")), {"type": "null"}]
        },
        "Sessions": {"type": "array", "items": ref("Session")},
        "UpdatedSession": _closed(session=ref("Session")),
        "Status": _closed(status=_TRUE),
        "Success": _closed(success=_TRUE),
        "Deleted": _closed(success=_TRUE, message=_TEXT),
        "Ok": _closed(ok=_TRUE),
        "Document": {"type": "object"},
        "Refusal": _closed(code=_TEXT, message=_TEXT),
    }


def _additional(config: SessionConfig) -> dict[str, Schema]:
    return {name: {"type": [kind, "null"]} for name, kind in config.session_fields.items()}


def _object(required: dict[str, Schema], /, **optional: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": {**required, **optional}}
    return {**found, "required": list(required)} if required else found


def _closed(**properties: Schema) -> Schema:
    """Return an object in which every property is there, and no other."""
    return {**_object(properties), "additionalProperties": False}
