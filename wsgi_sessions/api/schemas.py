"""Request bodies and answers as JSON Schema (2020-12) for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from ..accounts.profile import MAX_IMAGE_LENGTH, MAX_NAME_LENGTH
from ..accounts.service import MAX_EMAIL_LENGTH
from ..config.settings import SessionConfig
from ..records import EndReason

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": "boolean"}
_TRUE: Schema = {"const": True}
END_REASON: Schema = {
    **_TEXT,
    "enum": [reason.value for reason in EndReason],
    "description": "Why the session is over whose cookie the request brought.",
}
_TRUE_BY_DEFAULT: Schema = {"type": ["boolean", "null"], "default": True}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def flag_in_query(description: str) -> Schema:
    return {"description": description, "schema": {**_FLAG, "default": False}}


def text_in_query(description: str, *, required: bool = False) -> Schema:
    return {"description": description, "schema": _TEXT, "required": required}


def body_schemas(config: SessionConfig) -> dict[str, Schema]:
    least, most = config.password.min_length, config.password.max_length
    new_password = {**_TEXT, "minLength": least, "maxLength": most}
    password = {**_TEXT, "maxLength": most}
    name = {
        **_TEXT,
        "maxLength": MAX_NAME_LENGTH,
        "description": "A line, without control characters.",
    }
    image = {
        **_TEXT_OR_NULL,
        "maxLength": MAX_IMAGE_LENGTH,
        "description": "An http or https URL.",
    }
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
        "MakeNonce": _object({"provider": {**_TEXT, "examples": providers}}),
        "RevokeSession": {
            **_object({}, token=_TEXT_OR_NULL, sessionId=_TEXT_OR_NULL, id=_TEXT_OR_NULL),
            "description": "The id of the session to end, under one of three names.",
        },
        "VerifyPassword": _object({"password": password}),
        "Reauthenticate": {
            **_object(
                {},
                password={**password, "type": ["string", "null"]},
                provider={**_TEXT_OR_NULL, "examples": providers},
                idToken={**id_token, "type": ["object", "null"]},
            ),
            "description": "A password; or a provider and its ID token.",
        },
        "ChangePassword": _object(
            {"currentPassword": password, "newPassword": new_password},
            revokeOtherSessions=_TRUE_BY_DEFAULT,
        ),
        "RequestPasswordReset": _object({"email": email}, redirectTo=callback),
        "ResetPassword": _object({"newPassword": new_password}, token=_TEXT_OR_NULL),
        "SendVerificationEmail": _object({"email": email}, callbackURL=callback),
        "ChangeEmail": _object({"newEmail": email}, callbackURL=callback),
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
            lastIpAddress={**_TEXT_OR_NULL, "description": "Where it is used from."},
            lastUserAgent=_TEXT_OR_NULL,
            lastDevice=_TEXT,
            method={**_TEXT_OR_NULL, "description": "How the user signed in."},
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
        "StatusAndMessage": _closed(status=_TRUE, message=_TEXT),
        "StatusAndUser": _closed(
            status=_TRUE,
            user={
                "oneOf": [ref("User"), {"type": "null"}],
                "description": "Null unless this browser is signed in as them.",
            },
        ),
        "Redirect": _closed(redirect=_TRUE, url=_TEXT),
        "Success": _closed(success=_TRUE),
        "Deleted": _closed(success=_TRUE, message=_TEXT),
        "Ok": _closed(ok=_TRUE),
        "Nonce": _closed(nonce=_TEXT),
        "Document": {"type": "object"},
        "Refusal": {
            **_object(
                {"code": _TEXT, "message": _TEXT},
                maxAge={
                    "type": "integer",
                    "description": "For how many seconds a proof of who is there would be good.",
                },
                isElsewhere={
                    **_FLAG,
                    "description": "It does not count in another network and browser.",
                },
                endReason=END_REASON,
            ),
            "additionalProperties": False,
        },
    }


def _additional(config: SessionConfig) -> dict[str, Schema]:
    return {name: {"type": [kind, "null"]} for name, kind in config.session_fields.items()}


def _object(required: dict[str, Schema], /, **optional: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": {**required, **optional}}
    return {**found, "required": list(required)} if required else found


def _closed(**properties: Schema) -> Schema:
    """Return an object in which every property is there, and no other."""
    return {**_object(properties), "additionalProperties": False}
