"""Which Peewee database is meant: by a URL, behind a proxy, or itself.

Must not connect to it.
"""

from __future__ import annotations

import sqlite3
from inspect import signature
from typing import Any
from urllib.parse import urlsplit

import peewee

from ..errors import ConfigurationError

__all__ = ["DEFAULT_TIMEOUT_MS", "find_database", "open_url"]

DEFAULT_TIMEOUT_MS = 5000
"""How long whoever needs the database waits for it, unless told otherwise."""

_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "foreign_keys": 1,
    "synchronous": "normal",
}
_CONNECT_SECONDS = 5
_KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SCHEMES = {
    "sqlite": "sqlite",
    "postgres": "psycopg3",
    "postgresql": "psycopg3",
    "psycopg3": "psycopg3",
    "mysql": "mysql",
    "mariadb": "mysql",
}


def find_database(given: object) -> peewee.Database | None:
    """Return the database behind any proxies; None for a proxy that was not initialised yet.

    Raises ``ConfigurationError`` for what is no database.
    """
    found: Any = given
    while isinstance(found, peewee.Proxy):
        found = found.obj
        if found is None:
            return None
    if any(kind.__name__ == "SqliteQueueDatabase" for kind in type(found).__mro__):
        raise ConfigurationError(
            "the database is a SqliteQueueDatabase, which has no transactions and answers before "
            "it has written; give its file as a URL (sqlite:///file.db), or a SqliteDatabase"
        )
    if isinstance(found, peewee.Database):
        return found
    raise ConfigurationError(
        f"the database is a {type(given).__name__}; give a URL as text "
        "(sqlite:///file.db), a peewee.Database, or a DatabaseProxy that was initialised"
    )


def open_url(url: str) -> peewee.Database:
    """Return a database of our own for a URL; what it names is not looked at yet.

    Raises ``ConfigurationError``, which never shows what the URL holds of user and password.
    """
    scheme, colon, rest = url.partition(":")
    # Without a colon, or with anything but a word before it, there is none to be shown.
    scheme = scheme.lower() if colon and scheme.replace("+", "").isalnum() else ""
    known = _SCHEMES.get(scheme)
    if known is None:
        raise ConfigurationError(
            f"the database URL has the scheme {scheme!r}; use sqlite:///file.db, "
            "postgresql://user@host/name or mysql://user@host/name"
        )
    if known == "sqlite":
        return _open_sqlite(rest)
    try:
        database = _open_server(known, rest)
    except ImportError as error:
        extra = "postgres" if known == "psycopg3" else "mysql"
        raise ConfigurationError(
            f"the driver for {scheme} databases is missing; "
            f'install it with: pip install "wsgi-sessions[{extra}]"'
        ) from error
    except (RuntimeError, ValueError):
        # What the parser says holds pieces of the URL.
        raise ConfigurationError(
            f"the {scheme} URL can't be read; give it as {scheme}://user@host:port/name, "
            "with %40 for @, %2F for / and %3A for : in user and password"
        ) from None
    for name in database.connect_params.keys() - _options_of_driver(known):
        raise ConfigurationError(
            f"the database URL has the option {name!r}, which its driver does not know; write "
            "it as the driver's documentation does, or leave it out"
        )
    return database


def _open_server(known: str, rest: str) -> peewee.Database:
    from playhouse.db_url import connect as database_from_url  # it loads every driver

    options: dict[str, Any] = {"unquote_user": True, "unquote_password": True}
    if known == "psycopg3":
        import psycopg  # noqa: F401
    else:
        import pymysql  # noqa: F401

        options["charset"] = "utf8mb4"
    if "@" in urlsplit(f"{known}:{rest}").path:
        raise ValueError("a slash in the password has cut the URL in two")
    database: peewee.Database = database_from_url(f"{known}:{rest}", **options)
    if "passwd" in database.connect_params:
        # The older name of it, which PyMySQL warns of.
        database.connect_params["password"] = database.connect_params.pop("passwd")
    for name, value in _network_defaults(known).items():
        database.connect_params.setdefault(name, value)
    return database


def _options_of_driver(known: str) -> set[str]:
    """Return what a driver's ``connect`` takes; psycopg hands on what libpq knows."""
    if known == "mysql":
        import pymysql

        return set(signature(pymysql.connections.Connection.__init__).parameters)
    import psycopg

    of_libpq = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    return of_libpq | set(signature(psycopg.connect).parameters)


def _network_defaults(known: str) -> dict[str, Any]:
    """Return what a URL says of the network where it says nothing else."""
    if known == "mysql":
        return {"connect_timeout": _CONNECT_SECONDS}
    return {"connect_timeout": _CONNECT_SECONDS, **_KEEPALIVES}


def _open_sqlite(rest: str) -> peewee.Database:
    """Open what follows ``sqlite:``; a file's name is taken as it is, ``#`` and ``?`` too."""
    if rest not in ("", "//") and not rest.startswith("///"):
        raise ConfigurationError(
            f"the database URL sqlite:{rest} can't be read; give a file as sqlite:///file.db, "
            "or sqlite:////folder/file.db from the root"
        )
    name = rest[3:] or ":memory:"
    if "\0" in name:
        raise ConfigurationError("the database URL has a zero byte in the name of its file")
    is_memory = name == ":memory:"
    return (SqliteDatabase if is_memory else peewee.SqliteDatabase)(
        name,
        pragmas=_SQLITE_PRAGMAS,
        check_same_thread=False,
        timeout=DEFAULT_TIMEOUT_MS / 1000,
    )


class SqliteDatabase(peewee.SqliteDatabase):  # shown by its name, as one of a file is
    """One database in memory, which every thread gets the one connection to."""

    _only: Any = None

    def _connect(self) -> Any:
        if self._only is None or _is_closed(self._only):
            self._only = super()._connect()  # type: ignore[misc]
        return self._only

    def take_connection(self) -> Any:
        """Return the connection; the next one leads to an empty database."""
        connection, self._only = self._only, None
        return connection

    def _close(self, conn: Any) -> None:
        """Leave it open: others have it, too."""


def _is_closed(connection: sqlite3.Connection) -> bool:
    try:
        connection.total_changes  # noqa: B018
    except sqlite3.ProgrammingError:
        return True
    return False
