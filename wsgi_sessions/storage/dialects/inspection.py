"""What each engine is asked about itself: indexes, settings, limits, and who is connected.

Only what looks into a database needs this, and nothing that serves requests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..connections import Connections
from .cockroach import Cockroach
from .dialect import Dialect
from .mysql import MySQL
from .postgres import Postgres
from .sqlite import SQLite


class EngineInspection(ABC):
    """Reads; it never writes. ``connections`` is within a block of one connection."""

    name: ClassVar[str]

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connections.read_catalogue(sql, parameters)

    @abstractmethod
    def indexes_of(self, table: str) -> list[tuple[bool, tuple[str, ...]]]:
        """Return of each index on whole columns whether it is unique, and its columns."""

    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """Return some of the engine's settings, by its own names, in lower case."""

    def max_connections(self) -> int | None:
        """Return how many connections this account may have, as far as the server tells."""
        return None

    def connection_count(self) -> int | None:
        """Return how many connections clients have now, with this one."""
        return None

    def is_behind_pooler(self, connection: Any) -> bool:
        """Return whether a pooler stands between, so that its own limits count."""
        return False

    def is_encrypted(self) -> bool | None:
        return None

    def engine_of(self, table: str) -> str | None:
        """Return the storage engine of a table, None where there is one kind."""
        return None

    def is_broken(self, index: str) -> bool:
        """Return whether an index is there and of no use, as its building has failed."""
        return False

    def folding_columns(self, table: str) -> list[str]:
        """Return the columns whose texts are not compared byte by byte, where that is a choice."""
        return []

    def may_count(self, table: str, column: str) -> bool:
        """Return whether this account may take the next number of a counter."""
        return True

    def may_make_tables(self) -> bool:
        """Return whether this account may make tables, as far as the server tells."""
        return True


class SQLiteInspection(EngineInspection):
    name = "SQLite"

    def indexes_of(self, table: str) -> list[tuple[bool, tuple[str, ...]]]:
        keys = "SELECT 'primary', 1, 0, name FROM pragma_table_info(?) WHERE pk > 0"
        others = """
            SELECT list.name, list."unique", info.seqno, info.name
            FROM pragma_index_list(?) AS list, pragma_index_info(list.name) AS info
            WHERE NOT list.partial ORDER BY 1, 3
        """
        return _grouped(self.rows(keys, table)) + _grouped(self.rows(others, table))

    def settings(self) -> Mapping[str, str]:
        names = ("journal_mode", "synchronous", "query_only")
        found = {name: self.rows(f"PRAGMA {name}") for name in names}
        return {name: str(rows[0][0]).lower() for name, rows in found.items() if rows}


class PostgresInspection(EngineInspection):
    name = "PostgreSQL"

    def indexes_of(self, table: str) -> list[tuple[bool, tuple[str, ...]]]:
        # An index whose building failed is there, and of no use: it is not valid.
        sql = """
            SELECT i.indexrelid, i.indisunique, k.position, a.attname
            FROM pg_index AS i
            CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            WHERE i.indrelid = to_regclass(%s) AND i.indisvalid AND i.indpred IS NULL
                AND i.indexprs IS NULL
            ORDER BY 1, 3
        """
        return _grouped(self.rows(sql, f'"{table}"'))

    def is_broken(self, index: str) -> bool:
        sql = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"
        return bool(self.rows(sql, f'"{index}"'))

    def settings(self) -> Mapping[str, str]:
        sql = """
            SELECT name, setting FROM pg_settings WHERE name IN
            ('fsync', 'synchronous_commit', 'full_page_writes', 'server_encoding',
             'transaction_read_only', 'server_version')
            UNION ALL SELECT 'in_recovery', CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END
        """
        return {name: str(value).lower() for name, value in self.rows(sql)}

    def max_connections(self) -> int | None:
        # Of the server without what it keeps for its own, of the database and of the role.
        sql = """
            SELECT
                (SELECT sum(CASE WHEN name = 'max_connections' THEN 1 ELSE -1 END * setting::int)
                 FROM pg_settings WHERE name IN ('max_connections',
                     'superuser_reserved_connections', 'reserved_connections')),
                (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
                (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)
        """
        return min(int(limit) for limit in self.rows(sql)[0] if limit is not None and limit >= 0)

    def connection_count(self) -> int | None:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return int(self.rows(sql)[0][0])

    def is_behind_pooler(self, connection: Any) -> bool:
        # What a pooler hands out for cancelling is no process id of the server's.
        told = getattr(getattr(connection, "pgconn", None), "backend_pid", None)
        return told is not None and told != self.rows("SELECT pg_backend_pid()")[0][0]

    def is_encrypted(self) -> bool | None:
        rows = self.rows("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return bool(rows[0][0]) if rows else None

    def may_count(self, table: str, column: str) -> bool:
        sql = """
            SELECT has_sequence_privilege(name, 'USAGE')
            FROM pg_get_serial_sequence(%s, %s) AS name WHERE name IS NOT NULL
        """
        return all(may for (may,) in self.rows(sql, f'"{table}"', column))

    def may_make_tables(self) -> bool:
        # There is none where the account may use no schema of its search path.
        return bool(self.rows("SELECT has_schema_privilege(current_schema(), 'CREATE')")[0][0])


class CockroachInspection(PostgresInspection):
    """Without what it tells in another way than PostgreSQL, or not at all."""

    name = "CockroachDB"

    def indexes_of(self, table: str) -> list[tuple[bool, tuple[str, ...]]]:
        sql = """
            SELECT index_name, non_unique = 'NO', seq_in_index, column_name
            FROM information_schema.statistics
            WHERE table_schema = current_schema() AND table_name = %s
                AND storing = 'NO' AND implicit = 'NO'
            ORDER BY 1, 3
        """
        return _grouped(self.rows(sql, table))

    is_broken = EngineInspection.is_broken
    max_connections = EngineInspection.max_connections
    connection_count = EngineInspection.connection_count
    is_behind_pooler = EngineInspection.is_behind_pooler


class MySQLInspection(EngineInspection):
    name = "MariaDB or MySQL"

    def indexes_of(self, table: str) -> list[tuple[bool, tuple[str, ...]]]:
        sql = """
            SELECT index_name, non_unique = 0, seq_in_index, column_name
            FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = %s AND sub_part IS NULL
            ORDER BY 1, 3
        """
        return _grouped(self.rows(sql, table))

    def settings(self) -> Mapping[str, str]:
        sql = """
            SHOW VARIABLES WHERE Variable_name IN
            ('sql_mode', 'innodb_flush_log_at_trx_commit', 'read_only', 'version',
             'wait_timeout', 'wsrep_on', 'wsrep_provider')
        """
        return {name.lower(): str(value).lower() for name, value in self.rows(sql)}

    def max_connections(self) -> int | None:
        # The second is that of the account, where it has one; 0 is none.
        sql = "SELECT @@max_connections, @@session.max_user_connections"
        return min(int(limit) for limit in self.rows(sql)[0] if limit)

    def connection_count(self) -> int | None:
        return int(self.rows("SHOW STATUS LIKE 'Threads_connected'")[0][1])

    def is_encrypted(self) -> bool | None:
        return bool(self.rows("SHOW STATUS LIKE 'Ssl_cipher'")[0][1])

    def engine_of(self, table: str) -> str | None:
        sql = """
            SELECT engine FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_name = %s
        """
        return next((str(engine) for (engine,) in self.rows(sql, table)), None)

    def folding_columns(self, table: str) -> list[str]:
        sql = r"""
            SELECT column_name FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = %s
                AND (collation_name NOT LIKE '%%\_bin' OR character_set_name <> 'utf8mb4')
        """
        return [str(name) for (name,) in self.rows(sql, table)]


_BY_DIALECT: dict[type[Dialect], type[EngineInspection]] = {
    SQLite: SQLiteInspection,
    Cockroach: CockroachInspection,
    Postgres: PostgresInspection,
    MySQL: MySQLInspection,
}


def inspection_of(connections: Connections) -> EngineInspection:
    found = next(
        kind for dialect, kind in _BY_DIALECT.items() if isinstance(connections.dialect, dialect)
    )
    return found(connections)


def _grouped(rows: Sequence[tuple[Any, ...]]) -> list[tuple[bool, tuple[str, ...]]]:
    """Return the columns of each index, from rows of its name, uniqueness, position and column."""
    columns: dict[Any, list[str]] = {}
    is_unique: dict[Any, bool] = {}
    for name, unique, _, column in rows:
        columns.setdefault(name, []).append(str(column))
        is_unique[name] = bool(unique)
    return [(is_unique[name], tuple(found)) for name, found in columns.items()]
