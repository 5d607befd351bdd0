"""Makes the tables, once, however many processes start at the same moment, and checks them.

Must not know what is in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import ConfigurationError
from .connections import Connections
from .meta import MetaStore
from .models import Models
from .table_checks import FoundTables

__all__ = ["Tables", "refuse_other_users"]

_USER_MODEL = "user_model"
"""The name in ``meta`` under which is kept whose sessions these are."""

_MAX_WAIT_SECONDS = 60
_LOCK = int.from_bytes(b"wsgi_ses", "big")


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
        _create_missing_tables(self._connections, self._models.created_here)
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


def _create_missing_tables(connections: Connections, models: Iterable[Any]) -> None:
    """Create the tables of models that are missing; safe when several processes do it at once."""
    database = connections.database
    wanted = list(models)

    def is_there(model: Any) -> bool:
        """Tell whether PostgreSQL finds a model's table, wherever it looks for it."""
        name = ".".join(
            f'"{part}"' for part in (model._meta.schema, model._meta.table_name) if part
        )
        return database.execute_sql("SELECT to_regclass(%s)", (name,)).fetchone()[0] is not None

    def create() -> None:
        database.create_tables(wanted, safe=True)

    def create_in_turn() -> None:
        # IF NOT EXISTS alone lets two processes collide: in the catalogue of PostgreSQL
        # (whose lock ends with the transaction), and over an index of MariaDB.
        if connections.is_mysql:
            database.execute_sql(f"SELECT GET_LOCK('wsgi_sessions.tables', {_MAX_WAIT_SECONDS})")
            try:
                create()
            finally:
                database.execute_sql("SELECT RELEASE_LOCK('wsgi_sessions.tables')")
            return
        # Where all are there nothing is locked: a worker that starts anew must not get into
        # the way of those at work.
        if all(map(is_there, wanted)):
            return
        with database.atomic():
            # As long as on MariaDB: others may be making them all.
            database.execute_sql(f"SET LOCAL lock_timeout = {_MAX_WAIT_SECONDS * 1000}")
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if not all(map(is_there, wanted)):
                create()

    connections.run(
        create if connections.is_sqlite else create_in_turn,
        timeout_ms=_MAX_WAIT_SECONDS * 1000,
    )
