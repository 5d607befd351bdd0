"""What the columns of the session table mean, and what a write to a live session is held to."""

from __future__ import annotations

from typing import Any

import peewee

from ..records import SessionRecord
from .models import Models
from .statements import slot
from .user_columns import UserColumns

_COMPARED = ("generation", "branch", "is_settled", "expires_at_ms", "last_seen_at_ms")
"""What a session has to have kept, beside its id, since it was judged."""


class SessionColumns:
    """Conditions on rows of the session table; each with a slot names what fills it."""

    def __init__(self, models: Models, users: UserColumns) -> None:
        self.session = models.session
        self.users = users
        self.fields = session_fields(models.session)

    @property
    def is_live(self) -> Any:
        """Not ended: written so that no planner takes the index of ``ended_at``.

        MariaDB would lock a gap of it, and the ends of other sessions, or the sign-ins and
        sign-ups of other users, would wait.
        """
        return peewee.fn.COALESCE(self.session.ended_at, 0) == 0

    def expires_after(self, instant: Any) -> Any:
        """Return what finds unexpired sessions; no planner takes the index of ``expires_at``."""
        return peewee.fn.COALESCE(self.session.expires_at, 0) > instant

    @property
    def is_of_user(self) -> Any:
        """Of one user: ``user_id``."""
        return self.users.is_of_user(self.session.user_id)

    @property
    def is_live_row(self) -> Any:
        """One session by its ``id``, unless it has ended."""
        return (self.session.id == slot("id")) & self.is_live

    @property
    def is_judged(self) -> Any:
        """A live session that still is what was judged: ``judged_values``."""
        is_judged = self.is_live_row
        for name in _COMPARED:
            is_judged &= self.fields[name] == slot(f"judged_{name}")
        return is_judged


def session_fields(model: Any) -> dict[str, Any]:
    """Return the fields of the session model by the names that ``SessionRecord`` gives them."""
    return {name: getattr(model, name.removesuffix("_ms")) for name in SessionRecord._fields}


def judged_values(judged: SessionRecord) -> dict[str, Any]:
    """Return what fills the slots of ``is_judged``."""
    compared = {f"judged_{name}": getattr(judged, name) for name in _COMPARED}
    return {**compared, "id": judged.id, "judged_is_settled": bool(judged.is_settled)}
