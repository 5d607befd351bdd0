"""The numbered changes of the tables, from one release to the next.

A change that a release needs is added to the end of ``MIGRATIONS``, with the next number, and the
models in ``storage/models.py`` show what comes out. What was released is never edited.
"""

from __future__ import annotations

from .migration import Migration, SchemaStatus, SchemaVersion
from .steps import AddColumn, AddIndex, AddTable, Step

__all__ = ["FIRST", "MIGRATIONS", "AddColumn", "AddIndex", "AddTable", "Migration"]
__all__ += ["SchemaStatus", "SchemaVersion", "Step"]

FIRST = SchemaVersion(1, works_with=1)
"""The tables of the releases that kept no version."""

MIGRATIONS: tuple[Migration, ...] = (
    Migration(2, "a table for the events that the setting audit keeps", (AddTable("event"),)),
    Migration(3, "a row that counts the changes of a user", (AddTable("user_change"),)),
)
