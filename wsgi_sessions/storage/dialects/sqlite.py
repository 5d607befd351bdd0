"""SQLite."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import peewee

from ...errors import StoreUnavailableError
from ..driver_errors import Meaning
from ..time_budget import left_ms
from .dialect import Dialect, execute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..connections import Connections
    from ..pool import Execute


class SQLite(Dialect):
    """SQLite: a file of this machine, which is locked as a whole."""

    peewee_class: ClassVar[type[peewee.Database]] = peewee.SqliteDatabase
    drivers = ("sqlite3",)
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
    counter_field = peewee.AutoField
    has_widths = False

    def is_in_memory(self, database: Any) -> bool:
        name = str(database.database)
        return name in ("", ":memory:") or (
            name.startswith("file:") and (":memory:" in name or "mode=memory" in name)
        )

    def file_of(self, database: Any) -> str | None:
        name = str(database.database)
        return None if name.startswith("file:") or self.is_in_memory(database) else name

    def is_missing(self, database: Any) -> bool:
        from pathlib import Path

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
                if left_ms() == 0 or not self.meaning_of(error).is_conflict:
                    raise
            time.sleep(0.01)

    def quick_execute(self, connection: Any, timeout_ms: int) -> Execute | None:  # noqa: ARG002  the engine's own
        # A kept cursor would be no faster, and could hold the file's snapshot.
        execute: Execute = connection.execute
        return execute

    def limit_lock_waits(self, connection: Any, lock_ms: int) -> None:
        execute(connection, f"PRAGMA busy_timeout = {lock_ms}")

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

    def for_update(self, query: Any) -> Any:
        return query  # the file is locked when a transaction begins

    def is_like(self, column: Any, pattern: Any) -> Any:
        return peewee.fn.LIKE(pattern, column, "\\")

    def modulo(self, number: Any, divisor: Any) -> Any:
        return peewee.Expression(number, "%", divisor)

    def changing_tables(self, database: Any, *, max_wait_s: int) -> AbstractContextManager[Any]:  # noqa: ARG002  as long as for any lock
        kind = () if database.in_transaction() else self.transaction_kind
        transaction: AbstractContextManager[Any] = database.atomic(*kind)
        return transaction

    def migrator(self, database: Any) -> Any:
        from playhouse.migrate import SqliteMigrator

        return SqliteMigrator(database)

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
