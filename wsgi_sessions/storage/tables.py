"""Creates the tables, once, however many processes start at the same moment, and checks them."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from .connections import Connections
from .meta import MetaStore
from .models import Models
from .table_checks import FoundTables

_USER_MODEL = "user_model"
"""The name in ``meta`` under which is kept whose sessions these are."""

_MAX_WAIT_SECONDS = 60
"""Others may be making them all at the same moment."""


class Tables:
    """The tables of one manager: made where they are missing, and refused where not ours."""

    def __init__(self, connections: Connections, models: Models, meta: MetaStore) -> None:
        self._connections = connections
        self._models = models
        self._meta = meta
        self.name = (models.meta._meta.table_name, models.whose)
        """Which tables these are, and whose."""
        self.is_marked = False
        """Whether the database was seen to say whose they are."""

    def create(self) -> bool:
        """Create the tables that are missing; return True.

        Raises ``ConfigurationError`` for one that is somebody else's, or belongs to another user
        model, and ``StoreUnavailableError`` when the database does not answer.
        """
        self._refuse_others()
        connections = self._connections
        connections.run(
            lambda: connections.dialect.create_tables(
                connections.database, self._models.created_here, max_wait_s=_MAX_WAIT_SECONDS
            ),
            timeout_ms=_MAX_WAIT_SECONDS * 1000,
        )
        return self._mark()

    def look(self) -> bool:
        """Raise as ``create`` does, but write nothing; return False: that is still to be done."""
        self._refuse_others()
        return False

    def check(self) -> bool:
        """Raise as ``create`` does, but create none; return False if one is missing."""
        if self._refuse_others():
            return False
        return self._mark()

    def _mark(self) -> bool:
        """Write whose tables these are, unless it is there; return whether it will stay there.

        Also within the application's transaction, or what is written in it could be read by
        another user model; but then it may be undone, with all that was written.
        """
        if not self.is_marked:
            self._refuse_other_users(self._meta.write_once(_USER_MODEL, self._models.whose))
            if self._connections.is_within_app_transaction:
                return False
        self._connections.first_use.is_ready_for = self.name
        return True

    def _refuse_others(self) -> list[Any]:
        """Refuse what is not ours; return the models that have no table."""
        models = self._models
        ours = models.created_here
        found = FoundTables(self._connections, {**dict.fromkeys(ours), models.user: None})
        missing = found.missing
        self.is_marked = False
        found.check_ours(models.meta)
        if models.meta not in missing:
            # First: another user model's key is of another kind, as a rule.
            whose = self._meta.read(_USER_MODEL)
            self._refuse_other_users(whose)
            self.is_marked = whose is not None
        for model in ours:
            found.check_ours(model)
        if models.has_own_user:
            named = [field for field in models.user_fields.values() if field is not None]
            found.check_theirs(models.user, [models.user._meta.primary_key, *named])
        return missing

    def _refuse_other_users(self, whose: str | None) -> None:
        if whose is not None:
            refuse_other_users(
                self._models,
                whose=whose,
                else_="If the same people have moved there with their ids, delete the row "
                f"{_USER_MODEL!r} of {self.name[0]}",
            )


def refuse_other_users(models: Models, *, whose: str, else_: str) -> None:
    """Raise ``ConfigurationError`` where the users of some models are others than those named."""
    if whose == models.whose:
        return
    raise ConfigurationError(
        f"the tables beside {models.meta._meta.table_name} hold the sessions of {whose}, and "
        f"here the users are {models.whose}; give each user model a table_prefix of its own. "
        f"{else_}"
    )
