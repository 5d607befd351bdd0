"""Finds the person that a USER on the command line means: an id or an e-mail address."""

from __future__ import annotations

from ..manager import SessionManager
from ..records import UserRecord
from .failures import Exit, Failure


def find_user(manager: SessionManager, text: str) -> UserRecord:
    """Return the user with an id or an e-mail address; ``Failure`` where there is not just one."""
    users = manager.parts.store.users
    by_id = users.find(text)
    if by_id is not None:
        return by_id
    found = users.list_by_email(text.lower()) if "@" in text else []
    if len(found) > 1:
        ids = ", ".join(str(user.id) for user in found[:10])
        raise Failure(
            f"{len(found)} users have the address {text}; give the id of one: {ids}",
            Exit.WRONG_USE,
        )
    if not found:
        raise Failure(f"there is no user with the id or e-mail address {text}")
    return found[0]
