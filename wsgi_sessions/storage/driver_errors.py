"""What the error of a database driver means, and which error of ours stands for it."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import peewee

from ..errors import ConfigurationError, InvalidValueError, StoreUnavailableError


class Meaning(Enum):
    """What went wrong, whatever number or text an engine has for it."""

    OVERTAKEN = auto()
    """Undone because another transaction came first; sent again, it meets what that one left."""
    LOCKED = auto()
    """Not done because another transaction was under way."""
    TIMED_OUT = auto()
    TOO_MANY_CONNECTIONS = auto()
    CONNECTION_LOST = auto()
    READ_ONLY = auto()
    """Not done because the server takes no writes: a standby, or one that became one."""
    REFUSED_ROW = auto()
    DUPLICATE = auto()
    INVALID_VALUE = auto()
    WRONG_COLUMN = auto()
    MISSING_TABLE = auto()
    FAILED_TRANSACTION = auto()
    POOL_IS_FULL = auto()
    NOT_PREPARED = auto()
    """Not done because a pooler sent it over a connection where it had not been prepared."""
    UNKNOWN = auto()

    @property
    def is_conflict(self) -> bool:
        """Whether it went wrong only because others use the database, too."""
        return self in (Meaning.OVERTAKEN, Meaning.LOCKED, Meaning.NOT_PREPARED)


BY_CLASS = {
    "IntegrityError": Meaning.REFUSED_ROW,
    "DataError": Meaning.INVALID_VALUE,
    # A lone surrogate fits in no database, an integer of more than 64 bits not in SQLite.
    "UnicodeEncodeError": Meaning.INVALID_VALUE,
    "OverflowError": Meaning.INVALID_VALUE,
    "MaxConnectionsExceeded": Meaning.POOL_IS_FULL,
}
_UNAVAILABLE = {
    Meaning.MISSING_TABLE: "a table is missing; call manager.create_tables() once, before serving",
    Meaning.READ_ONLY: (
        "the server takes no writes, as a standby does; give all hosts in the URL, or that of the "
        "primary"
    ),
    Meaning.POOL_IS_FULL: (
        "the application's connection pool has no connection left; raise its "
        "max_connections, or give it a timeout to wait for one"
    ),
    Meaning.FAILED_TRANSACTION: (
        "the application's connection is in a transaction that failed and was not rolled "
        "back; roll it back, or close the connection"
    ),
}


class IntegrityConflict(Exception):  # noqa: N818  named after the driver's error, never shown
    """A table refused a row; the text names the column or the constraint, never a value.

    ``is_duplicate``: a value that must be unique is there already.
    """

    def __init__(self, text: str, *, is_duplicate: bool) -> None:
        super().__init__(text)
        self.is_duplicate = is_duplicate


def translate(error: BaseException, meaning: Meaning) -> Exception:
    """Return the error of ours that a driver's stands for.

    No value of a row is in it: what a driver says of a refused row may hold the row.
    """
    if meaning in (Meaning.REFUSED_ROW, Meaning.DUPLICATE):
        return IntegrityConflict(_refusal(error), is_duplicate=meaning is Meaning.DUPLICATE)
    if meaning is Meaning.INVALID_VALUE:
        return InvalidValueError("a value is too long, or not of a kind the database stores")
    if meaning is Meaning.WRONG_COLUMN:
        return ConfigurationError(
            f"a table of the sessions is not as it was made ({_refusal(error)}); "
            "bring it up to date, or set another table_prefix"
        )
    unknown = f"the database did not answer ({type(error).__name__})"
    return StoreUnavailableError(_UNAVAILABLE.get(meaning, unknown))


def _refusal(error: BaseException) -> str:
    """Return what a driver says of a refused row, without the row."""
    error = driver_error(error)
    message = getattr(getattr(error, "diag", None), "message_primary", None)
    if message:  # PostgreSQL: the row is in the detail
        return str(message)
    text = str(error.args[-1]) if error.args else type(error).__name__
    # MariaDB puts the value before the name of the key.
    _, is_duplicate, key = text.rpartition(" for key ")
    return f"duplicate entry for key {key}" if is_duplicate else text


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error where Peewee has put one of its own before it."""
    while isinstance(error, peewee.PeeweeException):
        inner: Any = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error
