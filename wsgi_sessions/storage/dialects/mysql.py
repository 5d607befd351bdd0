"""MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import peewee

from ...errors import StoreUnavailableError
from ..driver_errors import Meaning, driver_error
from . import pymysql_driver
from .dialect import Dialect, execute, is_readable, watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..connections import Connections
    from ..pool import Execute


class MySQL(Dialect):
    """MariaDB and MySQL, over PyMySQL; an application's database may use other drivers."""

    peewee_class = peewee.MySQLDatabase
    drivers = ("pymysql", "MySQLdb", "mysql.connector", "mariadb")
    codes: ClassVar[Mapping[Meaning, tuple[int | str, ...]]] = {
        Meaning.OVERTAKEN: (1213, 1020),  # deadlock, a row that changed since the snapshot
        # lock_wait_timeout, max_statement_time, max_execution_time
        Meaning.TIMED_OUT: (1205, 1969, 3024),
        Meaning.TOO_MANY_CONNECTIONS: (1040, 1203, 1226),  # of all, and of this user
        # The last one: a node of Galera without the majority.
        Meaning.CONNECTION_LOST: (2006, 2013, 2055, 4031, 1047),
        Meaning.READ_ONLY: (1290, 1792),  # --read-only, a transaction that only reads
        Meaning.DUPLICATE: (1062,),
        Meaning.REFUSED_ROW: (1364, 3819, 4025),  # a column without a default, a CHECK
        Meaning.WRONG_COLUMN: (1054, 1906),  # not there, filled by the server alone
        Meaning.MISSING_TABLE: (1146,),
    }
    # By way of UTC: a time in the server's zone is ambiguous for an hour each year.
    now_sql = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000"
    keeps_first_snapshot = True
    may_lag = True
    may_fold_text = True
    lowers_every_letter = True
    long_text_type = "MEDIUMTEXT"
    exact_text = ("COLLATE utf8mb4_bin",)
    table_settings = ("ENGINE=InnoDB", "DEFAULT CHARSET=utf8mb4")

    def use_time_limits(self, database: Any) -> None:
        database._connect = lambda: pymysql_driver.connect(database)

    def limited(self, connection: Any) -> AbstractContextManager[None]:
        return pymysql_driver.limited(connection)

    def quick_execute(self, connection: Any, timeout_ms: int) -> Execute | None:
        return pymysql_driver.quick_execute(connection, timeout_ms)

    def watch(self, connection: Any) -> Callable[[int], Any] | None:
        return watch(connection._sock.fileno())

    def limit_lock_waits(self, connection: Any, lock_ms: int) -> None:
        # Of rows, and of whole tables; in seconds.
        seconds = max(1, -(-lock_ms // 1000))
        execute(
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

    def is_lagging(self, connection: Any) -> bool:
        # Not @@wsrep_on, which MySQL does not know.
        with closing(connection.cursor()) as cursor:
            cursor.execute("SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_provider')")
            found = {str(name): str(value).lower() for name, value in cursor.fetchall()}
        return found.get("wsrep_on") == "on" and found.get("wsrep_provider") not in ("", "none")

    def synchronised(self, sql: str) -> str:
        return f"SET STATEMENT wsrep_sync_wait = 1 FOR {sql}"

    def _has_unread(self, connection: Any) -> bool:
        return is_readable(connection._sock.fileno())

    def is_equal_text(self, column: Any, other: Any) -> Any:
        # Collations pass over spaces at the end, even the binary ones.
        length = peewee.fn.CHAR_LENGTH
        return (column == other) & (length(column) == length(other))

    def replace_on_conflict(self, insert: Any, *, key: Any, column: Any) -> Any:  # noqa: ARG002  it takes no key
        return insert.on_conflict(preserve=[column])

    @contextmanager
    def changing_tables(self, database: Any, *, max_wait_s: int) -> Iterator[None]:
        # IF NOT EXISTS alone lets two processes collide over an index.
        name = "wsgi_sessions.tables"
        [(is_ours,)] = database.execute_sql(f"SELECT GET_LOCK('{name}', {max_wait_s})").fetchall()
        if not is_ours:
            raise StoreUnavailableError(
                f"another process is still changing the tables after {max_wait_s} s; try again"
            )
        try:
            yield
        finally:
            database.execute_sql(f"SELECT RELEASE_LOCK('{name}')")

    def is_there_already(self, error: BaseException) -> bool:
        return driver_error(error).args[:1] in ((1060,), (1061,))  # a column, an index

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
