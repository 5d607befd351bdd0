"""What the error of a database driver means.

Must not show a value: what a driver says about a refused row may hold the row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import peewee

from ..errors import ConfigurationError, InvalidValueError, StoreUnavailableError

__all__ = [
    "IntegrityConflict",
    "driver_errors",
    "is_conflict",
    "is_gone",
    "is_out_of_connections",
    "is_overtaken",
    "is_timeout",
    "translate",
]

# MariaDB: deadlock, a record that changed since the snapshot; PostgreSQL: serialization, deadlock.
_OVERTAKEN_CODES = frozenset({1213, 1020, "40001", "40P01"})
# A lock or a statement that was waited for in vain: lock_wait_timeout, lock_timeout and the like.
_TIMEOUT_CODES = frozenset({1205, 1969, 3024, "55P03", "57014"})
# Too many connections: of all, of this user; or only a superuser's places are left.
_FULL_CODES = frozenset({1040, 1203, 1226, "53300"})
# MariaDB and MySQL call these operational: a column without a default, a check that failed.
_REFUSED_CODES = frozenset({1364, 3819, 4025})
_DUPLICATE_CODES = frozenset({1062, "23505"})
# A column that is not there, of another kind, or one that only the server may fill.
_OTHER_COLUMN_CODES = frozenset({1054, 1906, "42703", "42804", "42883", "428C9"})
# MariaDB: the server has gone away, the connection was lost, the connection was killed.
_GONE_CODES = frozenset({2006, 2013, 2055, 4031})


class IntegrityConflict(Exception):  # noqa: N818  a word of these rooms, never shown
    """A table refused a row; the text names the column or the constraint, never a value.

    ``is_duplicate``: a value that must be unique is there already.
    """

    def __init__(self, text: str, *, is_duplicate: bool) -> None:
        super().__init__(text)
        self.is_duplicate = is_duplicate


def driver_errors(database: peewee.Database) -> tuple[type[Exception], ...]:
    """Return what a database of this kind raises when something is wrong."""
    errors: list[type[Exception]] = [peewee.PeeweeException]
    if hasattr(database, "_max_connections"):
        from playhouse.pool import MaxConnectionsExceeded  # it loads every driver

        errors.append(MaxConnectionsExceeded)
    if isinstance(database, peewee.SqliteDatabase):
        errors.append(sqlite3.Error)
    elif isinstance(database, peewee.PostgresqlDatabase):
        errors += _errors_of("psycopg", "psycopg2")
    elif isinstance(database, peewee.MySQLDatabase):
        errors += _errors_of("pymysql", "MySQLdb", "mysql.connector", "mariadb")
    # A lone surrogate fits in no database, an integer of more than 64 bits not in SQLite.
    return (*errors, OSError, UnicodeEncodeError, OverflowError)


def translate(error: BaseException) -> Exception:
    """Return the error of ours that a driver's stands for."""
    names = {kind.__name__ for kind in type(error).__mro__}
    codes = _codes(error)
    if "IntegrityError" in names or codes & _REFUSED_CODES:
        text = _what_was_refused(error)
        is_duplicate = bool(codes & _DUPLICATE_CODES) or text.startswith("UNIQUE ")
        return IntegrityConflict(text, is_duplicate=is_duplicate)
    if names & {"DataError", "UnicodeEncodeError", "OverflowError"}:
        return InvalidValueError("a value is too long, or not of a kind the database stores")
    text = str(error)
    if codes & _OTHER_COLUMN_CODES or "no such column" in text or "has no column named" in text:
        return ConfigurationError(
            f"a table of the sessions is not as it was made ({_what_was_refused(error)}); "
            "bring it up to date, or set another table_prefix"
        )
    if "no such table" in text or "UndefinedTable" in names or 1146 in codes:
        return StoreUnavailableError(
            "a table is missing; call manager.create_tables() once, before serving"
        )
    if "MaxConnectionsExceeded" in names:
        return StoreUnavailableError(
            "the application's connection pool has no connection left; raise its "
            "max_connections, or give it a timeout to wait for one"
        )
    if "25P02" in codes:
        return StoreUnavailableError(
            "the application's connection is in a transaction that failed and was not rolled "
            "back; roll it back, or close the connection"
        )
    return StoreUnavailableError(f"the database did not answer ({type(error).__name__})")


def is_conflict(error: BaseException | None) -> bool:
    """Tell whether a transaction failed only because others were under way."""
    if error is None:
        return False
    if isinstance(_driver_error(error), sqlite3.OperationalError):
        text = str(error)
        return "locked" in text or "busy" in text
    return bool(_codes(error) & _OVERTAKEN_CODES)


def is_overtaken(error: BaseException | None) -> bool:
    """Tell whether a server undid a statement because somebody else's came first.

    What is sent again then meets what they have left; who only waited in vain is not meant.
    """
    return error is not None and bool(_codes(error) & _OVERTAKEN_CODES)


def is_timeout(error: BaseException) -> bool:
    """Tell whether something was waited for until the time was over."""
    error = _driver_error(error)
    if _codes(error) & _TIMEOUT_CODES:
        return True
    # What the drivers make of a socket's time-out.
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def is_out_of_connections(error: BaseException) -> bool:
    """Tell whether a server refused a connection because it has too many."""
    if _codes(error) & _FULL_CODES:
        return True
    # While it connects, PostgreSQL's driver gives the text alone.
    text = str(_driver_error(error))
    return "too many c" in text or "remaining connection slots" in text


def is_gone(error: BaseException, connection: Any) -> bool:
    """Tell whether a connection to a server is of no more use."""
    if _codes(error) & _GONE_CODES:
        return True
    # What the drivers say of a connection they have found broken.
    return bool(getattr(connection, "closed", False)) or not getattr(connection, "open", True)


def _what_was_refused(error: BaseException) -> str:
    error = _driver_error(error)
    told_apart = getattr(getattr(error, "diag", None), "message_primary", None)
    if told_apart:  # PostgreSQL: the row is in the detail
        return str(told_apart)
    text = str(error.args[-1]) if error.args else type(error).__name__
    # MariaDB puts the value before the name of the key.
    _, is_duplicate, key = text.rpartition(" for key ")
    return f"duplicate entry for key {key}" if is_duplicate else text


def _driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error where Peewee has put one of its own before it."""
    while isinstance(error, peewee.PeeweeException):
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error


def _codes(error: BaseException) -> set[Any]:
    """Return the SQLSTATEs and error numbers that the driver gives."""
    error = _driver_error(error)
    codes: set[Any] = {getattr(error, "sqlstate", None)}
    if error.args and isinstance(error.args[0], int):
        codes.add(error.args[0])
    return codes


def _errors_of(*drivers: str) -> Iterator[type[Exception]]:
    """Give the errors of those drivers that are installed: which one it is, Peewee knows."""
    for driver in drivers:
        with suppress(ImportError):
            yield import_module(driver).Error
