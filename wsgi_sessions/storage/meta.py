"""What the database keeps under a name for all processes: the table ``meta``."""

from __future__ import annotations

from .models import Models
from .runner import Runner
from .statements import Statement, computed_once, slot

DATABASE_SECRET = "database_secret"  # noqa: S105 - the name of one
"""The name of a part of the key of cached copies: all are void once it is replaced."""


class MetaStore:
    """Texts of at most 512 characters, each under a name."""

    def __init__(self, runner: Runner, models: Models) -> None:
        self._runner = runner
        self._meta = models.meta
        self._values = {self._meta.name: slot("name"), self._meta.value: slot("value")}
        self._by_name = self._meta.select(self._meta.value).where(self._meta.name == slot("name"))

    def read(self, name: str) -> str | None:
        """Return the value kept under a name, or None: one SELECT."""
        row = self._runner.read_row(self._read, name=name)
        return None if row is None else str(row[0])

    def write_once(self, name: str, value: str) -> str:
        """Keep a value under a name unless there is one; return what is kept there.

        However many processes do it at once, all get the same value. Within the
        application's transaction it is undone with that.
        """
        stored = self.read(name)
        if stored is not None:
            return stored

        def write() -> str:
            self._runner.write(self._insert, name=name, value=value)
            # Locked: within a transaction MariaDB could show what was there before the insert.
            row = self._runner.read_row(self._lock, name=name)
            return value if row is None else str(row[0])

        return self._runner.atomically(write)

    def replace(self, name: str, value: str) -> None:
        """Keep a value under a name, whatever was there."""
        self._runner.write(self._replace, name=name, value=value)

    @computed_once
    def _read(self) -> Statement:
        return self._runner.compile(self._by_name)

    @computed_once
    def _lock(self) -> Statement:
        return self._runner.compile(self._runner.dialect.for_update(self._by_name))

    @computed_once
    def _insert(self) -> Statement:
        return self._runner.compile(self._meta.insert(self._values).on_conflict_ignore())

    @computed_once
    def _replace(self) -> Statement:
        meta, dialect = self._meta, self._runner.dialect
        insert = meta.insert(self._values)
        return self._runner.compile(
            dialect.replace_on_conflict(insert, key=meta.name, column=meta.value)
        )
