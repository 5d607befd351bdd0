"""Finds the person that a USER on the command line means: an id or an e-mail address."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..errors import InvalidValueError
from ..manager import SessionManager
from ..records import UserRecord
from ..storage.listings import Listings
from .failures import Exit, Failure


def find_user(manager: SessionManager, text: str) -> UserRecord:
    """Return the user with an id or an e-mail address; ``Failure`` where there is not just one."""
    found = _find(manager, text)
    if found is None:
        raise Failure(f"there is no user with the id or e-mail address {_shown(text)}")
    return found


def find_person(manager: SessionManager, text: str) -> Any:
    """Return the id of a user, also of one who is deleted and has left sessions.

    Raises ``Failure`` where there is neither.
    """
    found = _find(manager, text)
    if found is not None:
        return found.id
    parts = manager.parts
    left = []
    with suppress(InvalidValueError):  # no database has such an id
        left = Listings(parts.connections, parts.models).sessions_of(text, limit=1)
    if not left:
        raise Failure(
            f"there is no user with the id or e-mail address {_shown(text)}, and no session of "
            "one who had this id; of a deleted user only the id is known"
        )
    return left[0].user_id


def _find(manager: SessionManager, text: str) -> UserRecord | None:
    users = manager.parts.store.users
    by_id = users.find(text)
    if by_id is not None or "@" not in text:
        return by_id
    found = users.list_by_email(text.lower())
    if len(found) > 1:
        ids = ", ".join(str(user.id) for user in found[:10])
        raise Failure(
            f"{len(found)} users have the address {text}; give the id of one: {ids}",
            Exit.WRONG_USE,
        )
    return found[0] if found else None


def _shown(text: str) -> str:
    """Return what was typed, unless somebody has taken a session token for an id."""
    return "that was given, which is a token" if text.startswith("v1.") else text
