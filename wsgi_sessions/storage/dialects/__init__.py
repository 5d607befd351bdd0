"""What differs between database engines, one class for each; nothing of it stands elsewhere.

The class of the Peewee database tells which one is meant. URL schemes are listed in ``urls``.
"""

from __future__ import annotations

import peewee

from ...errors import ConfigurationError
from .cockroach import Cockroach
from .dialect import Dialect
from .mysql import MySQL
from .postgres import Postgres
from .sqlite import SQLite

DIALECTS: tuple[Dialect, ...] = (SQLite(), Cockroach(), Postgres(), MySQL())
"""One that is like another stands before it."""


def find_dialect(database: peewee.Database) -> Dialect:
    """Return the dialect of a database's engine.

    Raises ``ConfigurationError`` for an engine that is not one of these.
    """
    for dialect in DIALECTS:
        if dialect.is_for(database):
            return dialect
    known = ", ".join(dialect.peewee_name or dialect.peewee_class.__name__ for dialect in DIALECTS)
    raise ConfigurationError(
        f"the database is a {type(database).__name__}; give one of these or a subclass: {known}"
    )
