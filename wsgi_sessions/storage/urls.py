"""Finds the Peewee database that is meant: by a URL, behind a proxy, or itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from inspect import signature
from typing import Any
from urllib.parse import urlsplit

import peewee

from ..errors import ConfigurationError

DEFAULT_TIMEOUT_MS = 5000
"""How long a caller waits for the database by default."""

_CONNECT_SECONDS = 5
_POSTGRES_PORT = 5432
_COCKROACH_PORT = 26257
_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "foreign_keys": 1,
    "synchronous": "normal",
    # All that most builds of SQLite take. A session among millions is on pages that no cache of
    # a connection holds, and copying each takes as long as the search on it.
    "mmap_size": 0x7FFF0000,
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
    """Return a database of our own for a URL, without connecting to it.

    Raises ``ConfigurationError``, which never shows what the URL holds of user and password.
    """
    scheme, colon, rest = url.partition(":")
    # Without a colon, or with anything but a word before it, there is none to be shown.
    scheme = scheme.lower() if colon and scheme.replace("+", "").isalnum() else ""
    if scheme not in SCHEMES:
        raise ConfigurationError(
            f"the database URL has the scheme {scheme!r}; use sqlite:///file.db, "
            "postgresql://user@host/name or mysql://user@host/name"
        )
    return SCHEMES[scheme](scheme, rest)


# SQLite


def _open_sqlite(_: str, rest: str) -> peewee.Database:
    """Open what follows ``sqlite:``; a file's name is taken as it is, ``#`` and ``?`` too."""
    if rest not in ("", "//") and not rest.startswith("///"):
        raise ConfigurationError(
            f"the database URL sqlite:{rest} can't be read; give a file as sqlite:///file.db, "
            "or sqlite:////folder/file.db from the root"
        )
    name = rest[3:] or ":memory:"
    if "\0" in name:
        raise ConfigurationError("the database URL has a zero byte in the name of its file")
    kind = SqliteDatabase if name == ":memory:" else peewee.SqliteDatabase
    seconds = DEFAULT_TIMEOUT_MS / 1000
    return kind(name, pragmas=_SQLITE_PRAGMAS, check_same_thread=False, timeout=seconds)


class SqliteDatabase(peewee.SqliteDatabase):  # shown by its name, as one of a file is
    """One database in memory, over one connection that all threads share."""

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
        connection.total_changes  # noqa: B018  the cheapest use of it
    except sqlite3.ProgrammingError:
        return True
    return False


# Servers


def _open_postgres(scheme: str, rest: str) -> peewee.Database:
    return _open_by_psycopg(scheme, f"psycopg3:{rest}", port=_POSTGRES_PORT)


def _open_cockroach(scheme: str, rest: str) -> peewee.Database:
    return _open_by_psycopg(scheme, f"cockroachdb:{rest}", port=_COCKROACH_PORT)


def _open_by_psycopg(scheme: str, url: str, *, port: int) -> peewee.Database:
    with _refusing(scheme, extra="postgres"):
        import psycopg

        url, hosts = _take_hosts(url, port=port)
        database = _parse(url, prefer_psycopg3=True)
        database.connect_params.update(hosts)
    # What psycopg does not know itself it hands on to libpq.
    of_libpq = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    _check_options(database, of_libpq | signature(psycopg.connect).parameters.keys())
    database.connect_params = {
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        **database.connect_params,
    }
    return database


def _take_hosts(url: str, *, port: int) -> tuple[str, dict[str, Any]]:
    """Return a URL with one host, and libpq's options for several.

    ``postgresql://user@a:5432,b/name``: as in libpq's own URLs they are tried in their order, each
    at its port. The first that takes writes is used, unless ``target_session_attrs`` says
    otherwise.
    """
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    if "," not in hosts:
        return url, {}
    # Of an IPv6 address the colons stand within brackets.
    found = [urlsplit(f"//{each}") for each in hosts.split(",")]
    options = {
        "host": ",".join(each.hostname or "" for each in found),
        "port": ",".join(str(each.port or port) for each in found),
    }
    if "target_session_attrs=" not in path:
        options["target_session_attrs"] = "read-write"
    return f"{scheme}://{user}{at}{hosts.partition(',')[0]}{slash}{path}", options


def _open_mysql(scheme: str, rest: str) -> peewee.Database:
    with _refusing(scheme, extra="mysql"):
        import pymysql

        database = _parse(f"mysql:{rest}", charset="utf8mb4")
    _check_options(database, signature(pymysql.Connection.__init__).parameters.keys())
    return database


@contextmanager
def _refusing(scheme: str, *, extra: str) -> Iterator[None]:
    """Raise ``ConfigurationError`` where a driver is missing, or a URL is not as it has to be."""
    try:
        yield
    except ImportError as error:
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


def _parse(url: str, **options: Any) -> peewee.Database:
    from playhouse.db_url import connect as database_from_url  # it loads every driver

    if "@" in urlsplit(url).path:
        raise ValueError("a slash in the password has cut the URL in two")
    database: peewee.Database = database_from_url(
        url, unquote_user=True, unquote_password=True, **options
    )
    params = database.connect_params
    if "passwd" in params:
        # The older name of it, which PyMySQL warns of.
        params["password"] = params.pop("passwd")
    params.setdefault("connect_timeout", _CONNECT_SECONDS)
    return database


def _check_options(database: peewee.Database, known: Set[str]) -> None:
    for name in database.connect_params.keys() - known:
        raise ConfigurationError(
            f"the database URL has the option {name!r}, which its driver does not know; write "
            "it as the driver's documentation does, or leave it out"
        )


SCHEMES: dict[str, Callable[[str, str], peewee.Database]] = {
    "sqlite": _open_sqlite,
    **dict.fromkeys(("postgres", "postgresql", "psycopg3"), _open_postgres),
    **dict.fromkeys(("cockroachdb", "crdb"), _open_cockroach),
    **dict.fromkeys(("mysql", "mariadb"), _open_mysql),
}
"""What opens a database, by the scheme of its URL and what follows the colon."""
