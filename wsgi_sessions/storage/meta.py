"""What the database keeps under a name for all processes: the table ``meta``."""

from __future__ import annotations

from typing import Any

from ..light_dataclasses import dataclass
from .statements import Runner

DATABASE_SECRET = "database_secret"  # noqa: S105 - the name of one
"""The name of a part of the key of cached copies: all are void once it is replaced."""
SCHEMA_VERSION = "schema_version"
"""The name under which is kept which version the tables have."""


@dataclass(eq=False)
class MetaStore:
    """Texts of at most 512 characters, each under a name."""

    _runner: Runner
    _meta: Any

    def read(self, name: str, *, is_locking: bool = False) -> str | None:
        """Return the value kept under a name, or None: one SELECT."""
        query = self._meta.select(self._meta.value).where(self._meta.name == name)
        if is_locking:
            query = self._runner.dialect.for_update(query)
        row = self._runner.read_row(self._runner.compile(query))
        return None if row is None else str(row[0])

    def read_all(self, *names: str) -> dict[str, str]:
        """Return what is kept under each of some names that has a value, as it is: one SELECT."""
        meta = self._meta
        query = meta.select(meta.name, meta.value).where(meta.name.in_(names))
        return {
            str(name): str(value)
            for name, value in self._runner.read_rows_anew(self._runner.compile(query))
        }

    def write_once(self, name: str, value: str) -> str:
        """Keep a value under a name unless there is one; return what is kept there.

        However many processes do it at once, all get the same value. Within the
        application's transaction it is undone with that.
        """
        stored = self.read(name)
        if stored is not None:
            return stored
        insert = self._meta.insert(name=name, value=value).on_conflict_ignore()

        def write() -> str:
            self._runner.write(self._runner.compile(insert))
            # Locked: within a transaction MariaDB could show what was there before the insert.
            return self.read(name, is_locking=True) or value

        return self._runner.atomically(write)

    def replace(self, name: str, value: str) -> None:
        meta, dialect = self._meta, self._runner.dialect
        insert = meta.insert(name=name, value=value)
        replace = dialect.replace_on_conflict(insert, key=meta.name, column=meta.value)
        self._runner.write(self._runner.compile(replace))
