"""Brings the tables of an earlier release to the version that this one needs.

Each migration is done by one process while the others wait, and is written down in ``meta`` with
what it did: in one transaction where the engine can, else after it, so that whoever comes after a
process that was killed goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import peewee

from ..clock import monotonic_ms
from ..errors import ConfigurationError
from ..light_dataclasses import dataclass
from .connections import Connections
from .driver_errors import Meaning
from .meta import SCHEMA_VERSION, MetaStore
from .migrations import FIRST, MIGRATIONS, Migration, SchemaVersion
from .migrations.steps import Found
from .models import Models

_RETRY_SECONDS = 0.5


@dataclass(eq=False)
class Schema:
    """The version of one manager's tables, as the database says it, and the way to ours."""

    _connections: Connections
    _models: Models
    _meta: MetaStore

    @property
    def needed(self) -> SchemaVersion:
        version = FIRST
        for migration in MIGRATIONS:
            version = version.after(migration)
        return version

    def read(self, text: str | None) -> SchemaVersion:
        """Return the version that tables have which are there.

        Raises ``ConfigurationError`` for one that this release can't work with.
        """
        if text is None:
            return FIRST
        version, table = SchemaVersion.read(text), self._models.meta._meta.table_name
        if version is None:
            raise ConfigurationError(
                f"the row {SCHEMA_VERSION!r} of {table} is {text!r}, which is no version; put "
                f"back what was there, such as '{self.needed}'"
            )
        if version.works_with > self.needed.number:
            raise ConfigurationError(
                f"the tables beside {table} have version {version.number}, and this release of "
                f"wsgi-sessions knows {self.needed.number}: a newer one has changed them. Install "
                f"a release whose tables have version {version.works_with} or later"
            )
        return version

    def pending_after(self, version: SchemaVersion) -> list[Migration]:
        return [each for each in MIGRATIONS if each.number > version.number]

    def refuse_old(self, version: SchemaVersion) -> NoReturn:
        """Raise ``ConfigurationError`` for tables that have to be migrated first."""
        raise ConfigurationError(
            f"the tables beside {self._models.meta._meta.table_name} have version "
            f"{version.number}, and this release of wsgi-sessions needs "
            f"{self.needed.number}; run 'wsgi-sessions migrate' or call manager.migrate(), or "
            "set auto_migrate=True"
        )

    def migrate(
        self,
        pending: Sequence[Migration],
        find_columns: Callable[[], Found],
        *,
        max_wait_s: int,
        report: Callable[[Migration], None],
    ) -> None:
        """Do what others have not done meanwhile, and report it.

        Raises an error of the driver where others are in the way for longer than ``max_wait_s``.
        """
        give_up_ms = monotonic_ms() + max_wait_s * 1000
        for migration in pending:
            while True:
                try:
                    if self._do(migration, find_columns, max_wait_s=max_wait_s):
                        report(migration)
                    break
                except self._connections.source.errors as error:
                    # Others use the table, and must not be held up: let them, and try again.
                    meaning = self._connections.dialect.meaning_of(error)
                    is_held_up = meaning is Meaning.TIMED_OUT or meaning.is_conflict
                    if not is_held_up or monotonic_ms() > give_up_ms:
                        raise
                    time.sleep(_RETRY_SECONDS)

    def _do(
        self, migration: Migration, find_columns: Callable[[], Found], *, max_wait_s: int
    ) -> bool:
        database, dialect = self._connections.database, self._connections.dialect
        with dialect.changing_tables(database, max_wait_s=max_wait_s):
            # Locked, so now: another process may have been here meanwhile.
            version = self.read(self._meta.read(SCHEMA_VERSION, is_locking=True))
            if version.number >= migration.number:
                return False
            self._execute(self.statements(migration, find_columns()))
            self._meta.replace(SCHEMA_VERSION, str(version.after(migration)))
        return True

    def statements(self, migration: Migration, found: Found) -> list[str]:
        """Return the SQL of what is still to be done of a migration."""
        notes = _Notes(self._connections.database)
        migrator = self._connections.dialect.migrator(self._connections.database)
        migrator.database = notes
        for step in migration.steps:
            step.write(migrator, self._models, found)
        return notes.statements

    def create(self, models: Sequence[Any]) -> None:
        """Create the tables of some models, and their indexes."""
        self._execute(self.creation(models))

    def creation(self, models: Sequence[Any]) -> list[str]:
        """Return the SQL that does so."""
        notes = _Notes(self._connections.database)
        for model in models:
            peewee.SchemaManager(model, notes).create_all(safe=True)  # type: ignore[arg-type]
        return notes.statements

    def _execute(self, statements: Sequence[str]) -> None:
        """Run statements that add something, which others may add at this moment.

        On the other servers of a cluster, which know nothing of our lock.
        """
        for sql in statements:
            try:
                self._connections.database.execute_sql(sql)
            except self._connections.source.errors as error:
                if not self._connections.dialect.is_there_already(error):
                    raise

    def version_statement(self, *, is_there: bool) -> str:
        """Return the SQL that writes down our version, in place of the one that is there."""
        before, after = self._connections.database.quote
        table, name, value = (
            f"{before}{each}{after}"
            for each in (self._models.meta._meta.table_name, "name", "value")
        )
        if is_there:
            return f"UPDATE {table} SET {value} = '{self.needed}' WHERE {name} = '{SCHEMA_VERSION}'"  # noqa: S608
        return f"INSERT INTO {table} ({name}, {value}) VALUES ('{SCHEMA_VERSION}', '{self.needed}')"  # noqa: S608

    def columns_to_come(self, pending: Sequence[Migration], model: Any) -> set[str]:
        """Return the columns, in lower case, that a model's table gets by some migrations."""
        steps = [step for migration in pending for step in migration.steps]
        return {name for step in steps for name in step.added_columns(self._models, model)}


class _Notes:
    """Stands for a database, and notes what it is given to execute."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.statements: list[str] = []

    def execute(self, query: Any, **_: Any) -> None:
        sql, parameters = query.query()
        assert not parameters, "a statement that alters a table takes no parameters"
        self.statements.append(sql)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)
