"""Runs statements for the parts of a store, alone or in a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import StoreUnavailableError
from .connections import Connections, Row
from .driver_errors import Meaning
from .statements import Statement, compile_query

T = TypeVar("T")

_MAX_TRIES = 8


class Runner:
    """Compiles queries for one database and runs them there."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.dialect = connections.dialect

    def compile(self, query: Any) -> Statement:
        """Compile for this database, though the application's model may not be bound to it."""
        return compile_query(query.bind(self.connections.database))

    def atomically(self, work: Callable[[], T]) -> T:
        """Run statements all or none, again from the start after a conflict; nested calls join."""
        return self.connections.atomically(work)

    def read_row(self, statement: Statement, **values: Any) -> Row | None:
        """Return the first row, or None."""
        return self.connections.read_row(statement.sql, statement.fill(values))

    def read_rows(self, statement: Statement, **values: Any) -> list[Row]:
        """Return all rows."""
        return self.connections.read_rows(statement.sql, statement.fill(values))

    def write(self, statement: Statement, **values: Any) -> int:
        """Run a write and return how many rows it changed.

        Alone, it is sent again where somebody was faster: under repeatable read PostgreSQL
        refuses it then, instead of looking at the row once more.
        """
        parameters = statement.fill(values)
        for _ in range(_MAX_TRIES):
            try:
                return self.connections.write(statement.sql, parameters)
            except StoreUnavailableError as error:
                if not self.was_overtaken(error) or self.connections.database.in_transaction():
                    raise
        return self.connections.write(statement.sql, parameters)

    def write_compared(self, statement: Statement, **values: Any) -> int:
        """Run a compare-and-set as ``write`` does; 0 also where the application can't see why.

        Its transaction may be one that does not see what others have changed since it began;
        a savepoint keeps it usable.
        """
        if not (self.dialect.refuses_unseen and self.connections.is_within_app_transaction):
            return self.write(statement, **values)
        try:
            return self.atomically(lambda: self.write(statement, **values))
        except StoreUnavailableError as error:
            if not self.was_overtaken(error):
                raise
            return 0

    def was_overtaken(self, error: StoreUnavailableError) -> bool:
        """Return whether a write was refused because somebody else was faster."""
        return self.dialect.meaning_of(error.__cause__) is Meaning.OVERTAKEN

    def write_unless_locked(self, statement: Statement, **values: Any) -> int:
        """Run an UPDATE; raise ``StoreUnavailableError`` at once where it would wait for a lock."""
        return self.connections.write_unless_locked(statement.sql, statement.fill(values))

    def insert(self, statement: Statement) -> Any:
        """Run an INSERT; return the key of the row: what it returns, or the last one given."""
        return self.connections.insert(statement.sql, statement.fill({}))

    def delete_oldest(self, instant: Any, *, up_to_ms: int, row_count: int) -> int:
        """Delete so many rows at most whose instant, a field, has come; return how many."""
        model = instant.model
        # The same edge as has_passed: the very instant counts as over.
        oldest = model.select(model.id).where(instant <= up_to_ms).order_by(instant)
        rows = self.read_rows(self.compile(oldest.limit(row_count)))
        if not rows:
            return 0
        ids = [row_id for (row_id,) in rows]
        return self.write(self.compile(model.delete().where(model.id.in_(ids))))
