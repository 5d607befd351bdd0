"""PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import peewee

from ...errors import ConfigurationError
from ..driver_errors import Meaning
from . import psycopg_driver
from .dialect import Dialect, execute, is_readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..connections import Connections
    from ..pool import Execute

_TABLES_LOCK = int.from_bytes(b"wsgi_ses", "big")
"""The number of the lock that who creates or alters tables takes."""
_TABLE_WAIT_MS = 2000
"""How long one try waits for others to let go of a table that is altered."""


class Postgres(Dialect):
    """PostgreSQL, over psycopg 3; an application's database may use psycopg2."""

    peewee_class = peewee.PostgresqlDatabase
    drivers = ("psycopg", "psycopg2")
    codes: ClassVar[Mapping[Meaning, tuple[int | str, ...]]] = {
        Meaning.OVERTAKEN: ("40001", "40P01"),  # serialization failure, deadlock
        Meaning.TIMED_OUT: ("55P03", "57014"),  # lock_timeout, statement_timeout
        Meaning.TOO_MANY_CONNECTIONS: ("53300",),
        Meaning.READ_ONLY: ("25006",),
        Meaning.DUPLICATE: ("23505",),
        # Not there, of another type, not comparable with our values, filled by the server alone.
        Meaning.WRONG_COLUMN: ("42703", "42804", "42883", "428C9"),
        Meaning.MISSING_TABLE: ("42P01",),
        Meaning.FAILED_TRANSACTION: ("25P02",),
        Meaning.NOT_PREPARED: psycopg_driver.NOT_PREPARED,
    }
    # While it connects, the driver gives the text alone.
    texts: ClassVar[Mapping[str, Meaning]] = {
        "too many c": Meaning.TOO_MANY_CONNECTIONS,
        "remaining connection slots": Meaning.TOO_MANY_CONNECTIONS,
    }
    # What is locked and then read has to be what is there now, whatever a role's default is.
    transaction_kind: ClassVar[tuple[str, ...]] = ("READ COMMITTED",)
    now_sql = "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint)"
    refuses_unseen = True
    own_kinds = ("bool", "uuid")

    def use_time_limits(self, database: Any) -> None:
        database._adapter.connect = lambda _, **params: psycopg_driver.connect(database, params)

    def limited(self, connection: Any) -> AbstractContextManager[None]:
        return psycopg_driver.limited(connection)

    def quick_execute(self, connection: Any, timeout_ms: int) -> Execute | None:
        return psycopg_driver.QuickCursor(connection, timeout_ms).execute

    def stop_preparing(self, connection: Any, error: BaseException) -> bool:
        return psycopg_driver.stop_preparing(connection, error)

    def limit_lock_waits(self, connection: Any, lock_ms: int) -> None:
        # A little less than what the client waits: so the server says why, before nobody listens.
        execute(connection, f"SET lock_timeout = {max(1, lock_ms - lock_ms // 10)}")

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
            if not is_readable(connection.fileno()):
                return False
            # A notification is nothing bad: what the application listens to is kept for it.
            connection.pgconn.consume_input()
        return True

    @contextmanager
    def changing_tables(self, database: Any, *, max_wait_s: int) -> Iterator[None]:
        _refuse_cockroach(database.connection())
        # IF NOT EXISTS alone lets two processes collide in the catalogue.
        with database.atomic():
            database.execute_sql(f"SET LOCAL lock_timeout = {max_wait_s * 1000}")
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (_TABLES_LOCK,))
            # Whoever waits for a table holds up all who come after, until it is given up.
            database.execute_sql(f"SET LOCAL lock_timeout = {_TABLE_WAIT_MS}")
            yield

    def columns_query(self, schema: str, tables: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        before = f'"{schema}".' if schema else ""
        sql = self._columns_sql.format(marks=", ".join(["(CAST(%s AS text))"] * len(tables)))
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


def _refuse_cockroach(connection: Any) -> None:
    """Refuse a server that would fail at the lock of the tables: it says its name in a setting."""
    info = getattr(connection, "info", None)
    if info is not None and info.parameter_status("crdb_version"):
        raise ConfigurationError(
            "the server is CockroachDB, and the database is one of PostgreSQL; give its URL as "
            "cockroachdb://user@host/name, or a CockroachDatabase of Peewee's"
        )
