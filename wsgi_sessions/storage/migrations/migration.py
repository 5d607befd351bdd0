"""What a migration is, and which versions the tables have and need."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...light_dataclasses import dataclass
from .steps import Step

_WRITTEN = re.compile(r"(\d{1,9})(?: \(works with (\d{1,9})\))?")


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of the tables; it brings them to the version ``number``.

    ``works_with`` is the lowest version whose code can go on with the tables after it: what only
    adds works with all that was before. The release before has to be able to, or its workers
    would fail while a deployment is under way.
    """

    number: int
    what: str
    """In a few words, for who runs it."""
    steps: tuple[Step, ...]
    works_with: int = 1

    @property
    def in_words(self) -> str:
        return f"{self.number}: {self.what}"


class SchemaVersion(NamedTuple):
    """Which version the tables have, and the lowest whose code can work with them."""

    number: int
    works_with: int

    def __str__(self) -> str:
        return f"{self.number} (works with {self.works_with})"

    @classmethod
    def read(cls, text: str) -> SchemaVersion | None:
        """Return what is written in a database, None if it is no version.

        Without a lowest version, no other than its own can work with it.

        >>> SchemaVersion.read("3 (works with 1)")
        SchemaVersion(number=3, works_with=1)
        """
        found = _WRITTEN.fullmatch(text)
        if found is None:
            return None
        number = int(found[1])
        return cls(number, int(found[2] or number))

    def after(self, migration: Migration) -> SchemaVersion:
        """Return the version that tables of this one have after a migration."""
        return SchemaVersion(migration.number, max(self.works_with, migration.works_with))


class SchemaStatus(NamedTuple):
    """Which version the tables in a database have, and which this release needs."""

    version: int | None
    """None where there are no tables yet: they are created as they have to be."""
    needed: int
    pending: tuple[str, ...] = ()
    """What migrations would do, each in words after its number."""
    sql: tuple[str, ...] = ()
    """The statements by which that would be done, or the tables created, on this engine."""
