"""Users and sessions as documents for programs, and in words for people.

Nothing here gives access: no token, no branch of one, no hash of a password.
"""

from __future__ import annotations

from typing import Any

from ..config.settings import SessionConfig
from ..records import Authentication, SessionRecord, UserRecord
from ..sessions.end_words import END_IN_WORDS, end_of
from ..sessions.places import last_used_from
from ..transport.devices import device_in_words
from .text import instant, instant_in_words


def user_document(user: UserRecord) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "email_verified": bool(user.email_verified),
        "name": user.name,
        "image": user.image,
        "created_at": instant(user.created_at_ms),
        "updated_at": instant(user.updated_at_ms),
    }


def session_document(
    record: SessionRecord, *, now_ms: int, config: SessionConfig
) -> dict[str, Any]:
    """Return a session without its data."""
    proof = Authentication.from_json(record.authentication)
    end = end_of(record, now_ms=now_ms, config=config)
    last_address, last_user_agent = last_used_from(record)
    return {
        "id": record.id,
        "user_id": record.user_id,
        "is_live": end is None,
        "end_reason": None if end is None else end[0].value,
        "ended_at": None if end is None else instant(end[1]),
        "created_at": instant(record.created_at_ms),
        "authenticated_at": instant(record.authenticated_at_ms),
        "last_seen_at": instant(record.last_seen_at_ms),
        "expires_at": instant(record.expires_at_ms),
        "method": proof.method,
        "amr": list(proof.amr),
        "device": device_in_words(record.user_agent),
        "user_agent": record.user_agent,
        "ip_address": record.ip_address,
        "last_device": device_in_words(last_user_agent),
        "last_user_agent": last_user_agent,
        "last_ip_address": last_address,
        "is_remembered": bool(record.remember),
        "generation": record.generation,
    }


SESSION_COLUMNS = ("session", "user", "device", "address", "signed in", "last seen", "state")


def session_row(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> tuple[object, ...]:
    end = end_of(record, now_ms=now_ms, config=config)
    return (
        record.id,
        "(nobody)" if record.user_id is None else record.user_id,
        device_in_words(record.user_agent),
        last_used_from(record)[0],
        instant_in_words(record.authenticated_at_ms),
        instant_in_words(record.last_seen_at_ms),
        "live" if end is None else end[0].value,
    )


def session_pairs(
    record: SessionRecord, *, now_ms: int, config: SessionConfig
) -> list[tuple[str, object]]:
    """Return all of a session, name by name, for people."""
    shown = session_document(record, now_ms=now_ms, config=config)
    end = end_of(record, now_ms=now_ms, config=config)
    state = "live"
    if end is not None:
        state = f"{end[0].value} at {instant_in_words(end[1])} UTC: {END_IN_WORDS[end[0]]}"
    is_moved = shown["last_ip_address"] != record.ip_address
    return [
        ("session", record.id),
        ("user", "(nobody)" if record.user_id is None else record.user_id),
        ("state", state),
        ("signed in", instant_in_words(record.authenticated_at_ms)),
        ("by", shown["method"]),
        ("last seen", instant_in_words(record.last_seen_at_ms)),
        ("expires", instant_in_words(record.expires_at_ms)),
        ("remembered", shown["is_remembered"]),
        ("device", shown["device"]),
        ("user agent", record.user_agent),
        ("address", record.ip_address),
        ("last address", shown["last_ip_address"] if is_moved else None),
        ("last device", shown["last_device"] if shown["last_device"] != shown["device"] else None),
        ("rotations", record.generation),
    ]
