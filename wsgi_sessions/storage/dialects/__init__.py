"""What differs between database engines, one class for each; nothing of it stands elsewhere.

The class of the Peewee database tells which one is meant. URL schemes are listed in ``urls``.
"""

from __future__ import annotations

import peewee

from ...errors import ConfigurationError
from .dialect import Dialect
from .mysql import MySQL
from .postgres import Postgres
from .sqlite import SQLite

DIALECTS: tuple[Dialect, ...] = (SQLite(), Postgres(), MySQL())


def find_dialect(database: peewee.Database) -> Dialect:
    """Return the dialect of a database's engine.

    Raises ``ConfigurationError`` for an engine that is not one of these.
    """
    for dialect in DIALECTS:
        if isinstance(database, dialect.peewee_class):
            return dialect
    known = ", ".join(dialect.peewee_class.__name__ for dialect in DIALECTS)
    raise ConfigurationError(
        f"the database is a {type(database).__name__}; give one of these or a subclass: {known}"
    )
