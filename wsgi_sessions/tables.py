"""Makes the tables, once, however many processes start at the same moment.

Must not know what is in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .connections import Connections

__all__ = ["create_missing_tables"]

_LONGEST_WAIT_SECONDS = 60
_LOCK = int.from_bytes(b"wsgi_ses", "big")


def create_missing_tables(connections: Connections, models: Iterable[Any]) -> None:
    """Create the tables of models that are missing; safe when several processes do it at once.

    Raises ``StoreUnavailableError`` when the database does not answer.
    """
    database = connections.database
    wanted = list(models)

    def is_there(model: Any) -> bool:
        """Tell whether PostgreSQL finds a model's table, wherever it looks for it."""
        name = ".".join(
            f'"{part}"' for part in (model._meta.schema, model._meta.table_name) if part
        )
        return database.execute_sql("SELECT to_regclass(%s)", (name,)).fetchone()[0] is not None

    def create() -> None:
        database.create_tables(wanted, safe=True)

    def create_in_turn() -> None:
        # IF NOT EXISTS alone lets two processes collide: in the catalogue of PostgreSQL
        # (whose lock ends with the transaction), and over an index of MariaDB.
        if connections.is_mysql:
            database.execute_sql(
                f"SELECT GET_LOCK('wsgi_sessions.tables', {_LONGEST_WAIT_SECONDS})"
            )
            try:
                create()
            finally:
                database.execute_sql("SELECT RELEASE_LOCK('wsgi_sessions.tables')")
            return
        # Where all are there nothing is locked: a worker that starts anew must not get into
        # the way of those at work.
        if all(map(is_there, wanted)):
            return
        with database.atomic():
            # As long as on MariaDB: others may be making them all.
            database.execute_sql(f"SET LOCAL lock_timeout = {_LONGEST_WAIT_SECONDS * 1000}")
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if not all(map(is_there, wanted)):
                create()

    connections.run(create if connections.is_sqlite else create_in_turn)
