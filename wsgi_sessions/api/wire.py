"""Encodes and decodes the JSON of the API, as Better Auth's client reads and writes it.

``token`` of a session is its id, which names it and gives no access.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ..clock import ms_from_datetime
from ..errors import InvalidValueError
from ..sessions.session import Session, User

JsonObject = dict[str, Any]


def encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def user_fields(user: User) -> JsonObject:
    return {
        "id": str(user.id),
        "name": user.name,
        "email": user.email,
        "emailVerified": user.email_verified,
        "image": user.image,
        "createdAt": _instant(user.created_at),
        "updatedAt": _instant(user.updated_at),
    }


def session_fields(session: Session, declared: Iterable[str] = ()) -> JsonObject:
    """Return a session as the API shows it, with the additional fields that are declared.

    Those are kept in ``session.data`` under their own names; one never set is null.
    """
    return {
        "id": session.id,
        "token": session.id,
        "userId": None if session.user_id is None else str(session.user_id),
        "expiresAt": _instant(session.expires_at),
        "createdAt": _instant(session.created_at),
        "updatedAt": _instant(session.updated_at),
        "ipAddress": session.ip_address,
        "userAgent": session.user_agent,
        "device": session.device,
        "lastIpAddress": session.last_ip_address,
        "lastUserAgent": session.last_user_agent,
        "lastDevice": session.last_device,
        "method": session.method,
        **{name: session.data.get(name) for name in declared},
    }


def decode_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a request body; an empty body is an empty object.

    Raises ``InvalidValueError`` for what RFC 8259 does not call interoperable: other encodings
    than UTF-8, a name twice, NaN, numbers out of range, half of a surrogate pair, nesting deeper
    than Python parses; and for what is not an object.
    """
    if not body:
        return {}
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_without_repetition,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        # Not chained: what was sent may hold a password.
        raise InvalidValueError("the body is not sound JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise InvalidValueError(f"the body is a JSON object, not {type(value).__name__}")
    return value


def _instant(instant: datetime) -> str:
    """Return an instant the way JavaScript writes dates.

    >>> _instant(datetime(2026, 1, 2, 3, 4, 5, 6_789, tzinfo=timezone.utc))
    '2026-01-02T03:04:05.006Z'
    """
    milliseconds = ms_from_datetime(instant) % 1000
    return f"{instant.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond what a number can hold")
    return number


def _whole(text: str) -> int:
    # The same bound for all numbers, as JavaScript knows one kind alone.
    _finite(text)
    return int(text)


def _without_repetition(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice in an object")
    return found
