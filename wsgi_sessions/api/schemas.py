"""Request bodies and answers as JSON Schema (2020-12) for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from ..config.settings import SessionConfig

Schema = dict[str, Any]

_ID: Schema = {"type": "string"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_TRUE_BY_DEFAULT: Schema = {"type": ["boolean", "null"], "default": True}


def ref(name: str) -> Schema:
    """Return a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def body_schemas(config: SessionConfig) -> dict[str, Schema]:
    """Return the schemas of request bodies, by the names that routes use."""
    new_password = {
        "type": "string",
        "minLength": config.password.min_length,
        "maxLength": config.password.max_length,
    }
    password = {"type": "string", "maxLength": config.password.max_length}
    name = {"type": "string", "maxLength": 255}
    image = {"type": ["string", "null"], "maxLength": 2048}
    email = {"type": "string", "format": "email", "maxLength": 254}
    callback = {
        "type": ["string", "null"],
        "description": "A path here, or a URL of a trusted origin.",
    }
    return {
        "SignUpEmail": _object(
            {
                "name": name,
                "email": email,
                "password": new_password,
                "image": image,
                "callbackURL": callback,
                "rememberMe": _TRUE_BY_DEFAULT,
            },
            required=["name", "email", "password"],
        ),
        "SignInEmail": _object(
            {
                "email": email,
                "password": password,
                "callbackURL": callback,
                "rememberMe": _TRUE_BY_DEFAULT,
            },
            required=["email", "password"],
        ),
        "SignInSocial": _object(
            {
                "provider": {
                    "type": "string",
                    "examples": [provider.name for provider in config.social_providers],
                },
                "idToken": _object(
                    {
                        "token": {"type": "string", "description": "A signed JWT."},
                        "nonce": _TEXT_OR_NULL,
                        "accessToken": _TEXT_OR_NULL,
                        "user": {
                            "type": ["object", "null"],
                            "description": "What Apple sends beside the token, once.",
                        },
                    },
                    required=["token"],
                ),
                "callbackURL": callback,
            },
            required=["provider", "idToken"],
        ),
        "RevokeSession": {
            "type": "object",
            "properties": dict.fromkeys(("token", "sessionId", "id"), _TEXT_OR_NULL),
            "description": "The id of the session to end, under one of three names.",
        },
        "ChangePassword": _object(
            {
                "currentPassword": password,
                "newPassword": new_password,
                "revokeOtherSessions": _TRUE_BY_DEFAULT,
            },
            required=["currentPassword", "newPassword"],
        ),
        "UpdateUser": {**_object({"name": name, "image": image}, required=[]), "minProperties": 1},
        "UpdateSession": {
            **_object(_additional(config), required=[]),
            "additionalProperties": False,
            "minProperties": 1,
        },
        "DeleteUser": _object({"password": {"type": ["string", "null"]}}, required=[]),
        "Nothing": {"type": "object"},
    }


def answer_schemas(config: SessionConfig) -> dict[str, Schema]:
    """Return the schemas of answers, by the names that routes use."""
    user = _closed(
        {
            "id": _ID,
            "name": _TEXT_OR_NULL,
            "email": _TEXT_OR_NULL,
            "emailVerified": {"type": "boolean"},
            "image": _TEXT_OR_NULL,
            "createdAt": _INSTANT,
            "updatedAt": _INSTANT,
        }
    )
    session = _closed(
        {
            "id": _ID,
            "token": {**_ID, "description": "The id again: it names a session, and opens none."},
            "userId": _TEXT_OR_NULL,
            "expiresAt": _INSTANT,
            "createdAt": _INSTANT,
            "updatedAt": _INSTANT,
            "ipAddress": _TEXT_OR_NULL,
            "userAgent": _TEXT_OR_NULL,
            "device": {"type": "string", "description": "The user agent in words."},
            **_additional(config),
        }
    )
    token = {**_TEXT_OR_NULL, "description": "The id of the session, null if none began."}
    return {
        "User": user,
        "Session": session,
        "TokenAndUser": _closed({"token": token, "user": ref("User")}),
        "SignedIn": _object(
            {
                "redirect": {"type": "boolean"},
                "token": token,
                "url": {"type": "string"},
                "user": ref("User"),
            },
            required=["redirect", "token", "user"],
        ),
        "SessionAndUser": {
            "oneOf": [_closed({"session": ref("Session"), "user": ref("User")}), {"type": "null"}]
        },
        "Sessions": {"type": "array", "items": ref("Session")},
        "UpdatedSession": _closed({"session": ref("Session")}),
        "Status": _closed({"status": {"const": True}}),
        "Success": _closed({"success": {"const": True}}),
        "Deleted": _closed({"success": {"const": True}, "message": {"type": "string"}}),
        "Ok": _closed({"ok": {"const": True}}),
        "Document": {"type": "object"},
        "Refusal": _closed({"code": {"type": "string"}, "message": {"type": "string"}}),
    }


def _additional(config: SessionConfig) -> dict[str, Schema]:
    return {name: {"type": [kind, "null"]} for name, kind in config.session_fields.items()}


def _object(properties: dict[str, Any], *, required: list[str]) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return {**found, "required": required} if required else found


def _closed(properties: dict[str, Any]) -> Schema:
    """Return an object in which every property is there, and no other."""
    return {**_object(properties, required=list(properties)), "additionalProperties": False}
