"""What differs between database engines, one class for each; nothing of it stands elsewhere.

The class of the Peewee database tells which one is meant. URL schemes are listed in ``urls``.
"""

from __future__ import annotations

import select
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import peewee

from ..errors import ConfigurationError, StoreUnavailableError
from . import psycopg_driver, pymysql_driver
from .driver_errors import Meaning, is_timeout, meaning_of, translate
from .time_budget import left_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .connections import Connections

__all__ = ["DIALECTS", "Dialect", "MySQL", "Postgres", "SQLite", "find_dialect"]

_TABLES_LOCK = int.from_bytes(b"wsgi_ses", "big")
"""The number of the lock that who creates tables takes."""


class Dialect(ABC):
    """How one engine is spoken to. It has no state; the defaults are those of most servers."""

    peewee_class: ClassVar[type[peewee.Database]]
    drivers: ClassVar[tuple[str, ...]]
    """The modules whose ``Error`` may be raised, as far as they are installed."""
    codes: ClassVar[Mapping[int | str, Meaning]]
    """What SQLSTATEs and error numbers mean."""
    texts: ClassVar[Mapping[str, Meaning]] = {}
    """What an error without a code means by a part of its text."""
    transaction_kind: ClassVar[tuple[str, ...]] = ()
    """What Peewee's ``atomic()`` is given."""
    is_server: ClassVar[bool] = True
    """Whether connections go to another process, which may cut them or not answer."""
    keeps_first_snapshot: ClassVar[bool] = False
    """Whether a transaction's plain SELECTs show what was there at its first one."""

    # Databases

    def is_in_memory(self, database: Any) -> bool:  # noqa: ARG002  not all have to
        """Tell whether a database is in the memory of this process."""
        return False

    def file_of(self, database: Any) -> str | None:  # noqa: ARG002
        """Return the path of the file that a database is, None if it is none or in a URI."""
        return None

    def is_missing(self, database: Any) -> bool:  # noqa: ARG002
        """Tell whether there is no such database yet, and connecting to it would make it."""
        return False

    # Connections

    def use_time_limits(self, database: Any) -> None:  # noqa: B027  not all have to
        """Have a database of our own connect within the time that is left."""

    def limited(self, connection: Any) -> AbstractContextManager[None]:  # noqa: ARG002  as above
        """Have replies waited for no longer than the time that is left."""
        return nullcontext()

    def connect(self, database: Any) -> Any:
        """Open one more connection to a database of our own."""
        return database._connect()

    @abstractmethod
    def limit_lock_waits(self, connection: Any, lock_ms: int) -> None:
        """Have the engine itself give up a wait for a lock."""

    @abstractmethod
    def write_unless_locked(
        self, connections: Connections, sql: str, parameters: Sequence[Any]
    ) -> int:
        """Run one UPDATE that fails at once where it would have to wait for a lock."""

    @abstractmethod
    def is_idle(self, connection: Any) -> bool:
        """Tell whether a connection is open and within no transaction, as the driver knows it."""

    def is_closed(self, connection: Any) -> bool:
        """Tell whether the driver has found a connection to be closed, or broken."""
        is_open = getattr(connection, "open", True) and not getattr(connection, "closed", False)
        return not is_open

    def is_running_query(self, connection: Any) -> bool:  # noqa: ARG002  as above
        """Tell whether the driver is still reading what another query gives."""
        return False

    def has_unread(self, connection: Any) -> bool:
        """Tell whether a server has sent something that nobody asked for.

        On a connection at rest this is its end, or what is left of a query that was broken off.
        It costs no round trip.
        """
        try:
            return self._has_unread(connection)
        except Exception:
            # Closed already, found to be cut, or of a driver that does not tell.
            return self.is_closed(connection)

    def _has_unread(self, connection: Any) -> bool:  # noqa: ARG002  as above
        return False

    # Errors

    def driver_errors(self) -> tuple[type[Exception], ...]:
        """Return what the installed drivers raise when something is wrong."""
        errors: list[type[Exception]] = []
        for driver in self.drivers:
            with suppress(ImportError):
                errors.append(import_module(driver).Error)
        return tuple(errors)

    def meaning_of(self, error: BaseException | None) -> Meaning | None:
        """Return what an error of a driver means, or None for what is unknown."""
        return meaning_of(error, codes=self.codes, texts=self.texts)

    def translate(self, error: BaseException) -> Exception:
        """Return the error of ours that a driver's stands for."""
        return translate(error, self.meaning_of(error))

    def is_conflict(self, error: BaseException | None) -> bool:
        """Tell whether a transaction failed only because others were under way."""
        return self.meaning_of(error) in (Meaning.OVERTAKEN, Meaning.LOCKED)

    def is_overtaken(self, error: BaseException | None) -> bool:
        """Tell whether a server undid a statement because somebody else's came first.

        Who only waited in vain is not meant.
        """
        return self.meaning_of(error) is Meaning.OVERTAKEN

    def is_timeout(self, error: BaseException) -> bool:
        """Tell whether something was waited for until the time was over."""
        return is_timeout(error, self.meaning_of(error))

    def is_out_of_connections(self, error: BaseException) -> bool:
        """Tell whether a server refused a connection because it has too many."""
        return self.meaning_of(error) is Meaning.TOO_MANY_CONNECTIONS

    # Queries

    now_sql: ClassVar[str] = "NULL"
    """The server's clock in epoch milliseconds UTC, NULL where the process has the same one.

    Of the statement, not of the transaction, which may be an old one of the application's.
    """
    may_fold_text: ClassVar[bool] = False
    """Whether ``=`` may take two texts for one, whatever the collation is called."""
    lowers_every_letter: ClassVar[bool] = False
    """Whether LOWER() knows more letters than those of ASCII, whatever the locale is."""
    refuses_unseen: ClassVar[bool] = False
    """Whether a transaction may refuse to write what others have changed since it began."""

    def for_update(self, query: Any) -> Any:
        """Lock the rows of a query until the transaction is over."""
        return query.for_update()

    def is_equal_text(self, column: Any, other: Any) -> Any:
        """Compare texts to the last character."""
        return column == other

    def is_like(self, column: Any, pattern: Any) -> Any:
        """Compare a text with a pattern of LIKE, in which a backslash escapes."""
        return peewee.Expression(column, "LIKE", pattern)

    def replace_on_conflict(self, insert: Any, *, key: Any, column: Any) -> Any:
        """Have an INSERT replace a column of the row that has its key already."""
        return insert.on_conflict(conflict_target=[key], preserve=[column])

    # Tables

    counter_field: ClassVar[type[peewee.Field]] = peewee.BigAutoField
    long_text_type: ClassVar[str] = "TEXT"
    """A type for a million characters."""
    exact_text: ClassVar[tuple[str, ...]] = ()
    """What has a text column compared byte by byte."""
    table_settings: ClassVar[tuple[str, ...]] = ()
    has_widths: ClassVar[bool] = True
    """Whether a column holds no more than its type says."""
    own_kinds: ClassVar[tuple[str, ...]] = ()
    """How the types begin that others keep as numbers or as text."""

    @abstractmethod
    def create_tables(self, database: Any, models: Sequence[Any], *, max_wait_s: int) -> None:
        """Create those tables that are missing; safe when several processes do it at once."""

    @abstractmethod
    def columns_query(self, schema: str, tables: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        """Return SQL, and its parameters, for the columns of tables and views of these names.

        Of each: table, whether it is one, name, type, whether it has to be given. Where
        ``schema`` is empty, those that a statement without one finds.
        """


class SQLite(Dialect):
    """SQLite: a file of this machine, which is locked as a whole."""

    peewee_class = peewee.SqliteDatabase
    drivers = ("sqlite3",)
    codes: ClassVar[Mapping[int | str, Meaning]] = {}
    texts: ClassVar[Mapping[str, Meaning]] = {
        "UNIQUE constraint failed": Meaning.DUPLICATE,
        "no such column": Meaning.WRONG_COLUMN,
        "has no column named": Meaning.WRONG_COLUMN,
        "no such table": Meaning.MISSING_TABLE,
        "locked": Meaning.LOCKED,
        "busy": Meaning.LOCKED,
    }
    transaction_kind = ("IMMEDIATE",)
    is_server = False

    def is_in_memory(self, database: Any) -> bool:
        name = str(database.database)
        return name in ("", ":memory:") or (
            name.startswith("file:") and (":memory:" in name or "mode=memory" in name)
        )

    def file_of(self, database: Any) -> str | None:
        name = str(database.database)
        return None if name.startswith("file:") or self.is_in_memory(database) else name

    def is_missing(self, database: Any) -> bool:
        file = Path(str(database.database))
        if self.is_in_memory(database):
            return True
        if not file.parent.exists():
            raise StoreUnavailableError(
                f"there is no folder {file.parent} for the file of the database"
            )
        return not file.exists()

    def connect(self, database: Any) -> Any:
        while True:
            database._timeout = (left_ms() or 0) / 1000
            try:
                return database._connect()
            except Exception as error:
                # While others turn a new file to WAL, SQLite does not wait, whatever its
                # busy_timeout is.
                if left_ms() == 0 or not self.is_conflict(error):
                    raise
            time.sleep(0.01)

    def limit_lock_waits(self, connection: Any, lock_ms: int) -> None:
        _execute(connection, f"PRAGMA busy_timeout = {lock_ms}")

    def write_unless_locked(
        self, connections: Connections, sql: str, parameters: Sequence[Any]
    ) -> int:
        with connections.connection() as connection:
            if connections.is_owned:  # the time that is left has been set as its limit
                return connections.write(sql, parameters)
            before = connection.execute("PRAGMA busy_timeout").fetchone()[0]
            self.limit_lock_waits(connection, 0)
            try:
                return connections.write(sql, parameters)
            finally:
                self.limit_lock_waits(connection, before)

    def is_idle(self, connection: Any) -> bool:
        return not connection.in_transaction

    counter_field = peewee.AutoField
    has_widths = False

    def for_update(self, query: Any) -> Any:
        return query  # the file is locked when a transaction begins

    def is_like(self, column: Any, pattern: Any) -> Any:
        return peewee.fn.LIKE(pattern, column, "\\")

    def create_tables(self, database: Any, models: Sequence[Any], *, max_wait_s: int) -> None:  # noqa: ARG002  as long as for any lock
        database.create_tables(models, safe=True)

    def columns_query(self, schema: str, tables: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        schema = schema or "main"
        sql = self._columns_sql.format(schema=schema, marks=", ".join("?" * len(tables)))
        return sql, (schema, *(table.lower() for table in tables))

    _columns_sql = """
        SELECT m.name, m.type = 'table', c.name, c.type,
            c."notnull" AND c.dflt_value IS NULL AND NOT c.pk
        FROM "{schema}".sqlite_master AS m, pragma_table_info(m.name, ?) AS c
        WHERE m.type IN ('table', 'view') AND lower(m.name) IN ({marks})
    """


class Postgres(Dialect):
    """PostgreSQL, over psycopg 3; an application's database may use psycopg2."""

    peewee_class = peewee.PostgresqlDatabase
    drivers = ("psycopg", "psycopg2")
    codes: ClassVar[Mapping[int | str, Meaning]] = {
        "40001": Meaning.OVERTAKEN,  # serialization failure
        "40P01": Meaning.OVERTAKEN,  # deadlock
        "55P03": Meaning.TIMED_OUT,  # lock_timeout
        "57014": Meaning.TIMED_OUT,  # statement_timeout
        "53300": Meaning.TOO_MANY_CONNECTIONS,
        "23505": Meaning.DUPLICATE,
        "42703": Meaning.WRONG_COLUMN,  # it is not there
        "42804": Meaning.WRONG_COLUMN,  # it is of another type
        "42883": Meaning.WRONG_COLUMN,  # it can't be compared with a value of this type
        "428C9": Meaning.WRONG_COLUMN,  # only the server may fill it
        "42P01": Meaning.MISSING_TABLE,
        "25P02": Meaning.FAILED_TRANSACTION,
    }
    # While it connects, the driver gives the text alone.
    texts: ClassVar[Mapping[str, Meaning]] = {
        "too many c": Meaning.TOO_MANY_CONNECTIONS,
        "remaining connection slots": Meaning.TOO_MANY_CONNECTIONS,
    }
    # What is locked and then read has to be what is there now, whatever a role's default is.
    transaction_kind = ("READ COMMITTED",)

    def use_time_limits(self, database: Any) -> None:
        database._adapter.connect = lambda _, **params: psycopg_driver.connect(database, params)

    def limited(self, connection: Any) -> AbstractContextManager[None]:
        return psycopg_driver.limited(connection)

    def limit_lock_waits(self, connection: Any, lock_ms: int) -> None:
        _execute(connection, f"SET lock_timeout = {max(1, lock_ms)}")

    def write_unless_locked(
        self, connections: Connections, sql: str, parameters: Sequence[Any]
    ) -> int:
        def write() -> int:
            # Within the application's transaction it would hold for what comes after, too.
            [(before, _)] = connections.read_rows(
                "SELECT current_setting('lock_timeout'), set_config('lock_timeout', '1', true)", ()
            )
            changed = connections.write(sql, parameters)
            if not connections.has_begun_transaction:
                connections.read_rows("SELECT set_config('lock_timeout', %s, true)", (before,))
            return changed

        return connections.atomically(write)

    def is_idle(self, connection: Any) -> bool:
        return not connection.closed and int(connection.pgconn.transaction_status) == 0

    def is_running_query(self, connection: Any) -> bool:
        pgconn = getattr(connection, "pgconn", None)
        return pgconn is not None and int(pgconn.transaction_status) == 1

    def _has_unread(self, connection: Any) -> bool:
        for _ in range(3):
            if not _is_readable(connection.fileno()):
                return False
            # A notification is nothing bad: what the application listens to is kept for it.
            connection.pgconn.consume_input()
        return True

    now_sql = "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint)"
    refuses_unseen = True
    own_kinds = ("bool", "uuid")

    def create_tables(self, database: Any, models: Sequence[Any], *, max_wait_s: int) -> None:
        def is_there(model: Any) -> bool:
            """Tell whether the server finds a table, wherever it looks for it."""
            parts = (model._meta.schema, model._meta.table_name)
            name = ".".join(f'"{part}"' for part in parts if part)
            [(found,)] = database.execute_sql("SELECT to_regclass(%s)", (name,)).fetchall()
            return found is not None

        # Where all are there nothing is locked: a worker that starts anew must not get into
        # the way of those at work.
        if all(map(is_there, models)):
            return
        # IF NOT EXISTS alone lets two processes collide in the catalogue.
        with database.atomic():
            database.execute_sql(f"SET LOCAL lock_timeout = {max_wait_s * 1000}")
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (_TABLES_LOCK,))
            if not all(map(is_there, models)):
                database.create_tables(models, safe=True)

    def columns_query(self, schema: str, tables: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        before = f'"{schema}".' if schema else ""
        sql = self._columns_sql.format(marks=", ".join(["(%s)"] * len(tables)))
        return sql, tuple(f'{before}"{table}"' for table in tables)

    # As statements find it: along the search path, unless a schema is given.
    _columns_sql = """
        SELECT r.relname, r.relkind IN ('r', 'p', 'f'), c.attname,
            format_type(c.atttypid, c.atttypmod),
            c.attnotnull AND NOT c.atthasdef AND c.attidentity = ''
        FROM (VALUES {marks}) AS wanted (name)
        JOIN pg_class AS r ON r.oid = to_regclass(wanted.name)
        JOIN pg_attribute AS c ON c.attrelid = r.oid AND c.attnum > 0 AND NOT c.attisdropped
    """


class MySQL(Dialect):
    """MariaDB and MySQL, over PyMySQL; an application's database may use other drivers."""

    keeps_first_snapshot = True

    peewee_class = peewee.MySQLDatabase
    drivers = ("pymysql", "MySQLdb", "mysql.connector", "mariadb")
    codes: ClassVar[Mapping[int | str, Meaning]] = {
        1213: Meaning.OVERTAKEN,  # deadlock
        1020: Meaning.OVERTAKEN,  # the row has changed since the snapshot
        1205: Meaning.TIMED_OUT,  # lock_wait_timeout
        1969: Meaning.TIMED_OUT,  # max_statement_time
        3024: Meaning.TIMED_OUT,  # max_execution_time
        1040: Meaning.TOO_MANY_CONNECTIONS,
        1203: Meaning.TOO_MANY_CONNECTIONS,  # of this user
        1226: Meaning.TOO_MANY_CONNECTIONS,  # max_user_connections
        1062: Meaning.DUPLICATE,
        1364: Meaning.REFUSED_ROW,  # a column without a default
        3819: Meaning.REFUSED_ROW,  # a CHECK, on MySQL
        4025: Meaning.REFUSED_ROW,  # a CHECK, on MariaDB
        1054: Meaning.WRONG_COLUMN,  # it is not there
        1906: Meaning.WRONG_COLUMN,  # only the server may fill it
        1146: Meaning.MISSING_TABLE,
        2006: Meaning.CONNECTION_LOST,
        2013: Meaning.CONNECTION_LOST,
        2055: Meaning.CONNECTION_LOST,
        4031: Meaning.CONNECTION_LOST,
    }

    def use_time_limits(self, database: Any) -> None:
        database._connect = lambda: pymysql_driver.connect(database)

    def limited(self, connection: Any) -> AbstractContextManager[None]:
        return pymysql_driver.limited(connection)

    def limit_lock_waits(self, connection: Any, lock_ms: int) -> None:
        # Of rows, and of whole tables; in seconds.
        seconds = max(1, -(-lock_ms // 1000))
        _execute(
            connection,
            f"SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}",
        )

    def write_unless_locked(
        self, connections: Connections, sql: str, parameters: Sequence[Any]
    ) -> int:
        with connections.connection() as connection:
            version = str(getattr(connection, "server_version", ""))
            if "maria" in version.lower():  # MySQL has no such prefix, and waits
                sql = f"SET STATEMENT innodb_lock_wait_timeout = 0, lock_wait_timeout = 0 FOR {sql}"
            return connections.write(sql, parameters)

    def is_idle(self, connection: Any) -> bool:
        return bool(connection.open) and not connection.server_status & 1

    def _has_unread(self, connection: Any) -> bool:
        return _is_readable(connection._sock.fileno())

    # By way of UTC: a time in the server's zone is ambiguous for an hour each year.
    now_sql = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000"
    may_fold_text = True
    lowers_every_letter = True
    long_text_type = "MEDIUMTEXT"
    exact_text = ("COLLATE utf8mb4_bin",)
    table_settings = ("ENGINE=InnoDB", "DEFAULT CHARSET=utf8mb4")

    def is_equal_text(self, column: Any, other: Any) -> Any:
        # Collations pass over spaces at the end, even the binary ones.
        length = peewee.fn.CHAR_LENGTH
        return (column == other) & (length(column) == length(other))

    def replace_on_conflict(self, insert: Any, *, key: Any, column: Any) -> Any:  # noqa: ARG002  it takes no key
        return insert.on_conflict(preserve=[column])

    def create_tables(self, database: Any, models: Sequence[Any], *, max_wait_s: int) -> None:
        # IF NOT EXISTS alone lets two processes collide over an index.
        database.execute_sql(f"SELECT GET_LOCK('wsgi_sessions.tables', {max_wait_s})")
        try:
            database.create_tables(models, safe=True)
        finally:
            database.execute_sql("SELECT RELEASE_LOCK('wsgi_sessions.tables')")

    def columns_query(self, schema: str, tables: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        one = self._columns_sql.format(schema="%s" if schema else "DATABASE()")
        given = [(schema, table) if schema else (table,) for table in tables]
        values = tuple(value for each in given for value in (*each, *each))
        return " UNION ALL ".join([one] * len(tables)), values

    # Each table by its own name: for anything wider the server reads the definitions of all.
    _columns_sql = """
        SELECT t.table_name, t.table_type = 'BASE TABLE', c.column_name, c.column_type,
            c.is_nullable = 'NO' AND c.column_default IS NULL AND c.extra = ''
        FROM information_schema.tables AS t, information_schema.columns AS c
        WHERE t.table_schema = {schema} AND t.table_name = %s
            AND c.table_schema = {schema} AND c.table_name = %s
    """


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


def _execute(connection: Any, sql: str) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql)


def _is_readable(number: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([number], [], [], 0)[0])
