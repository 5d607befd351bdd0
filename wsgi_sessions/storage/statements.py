"""Queries written with Peewee: compiled once to SQL with named slots, and run for a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import peewee

from ..errors import StoreUnavailableError
from ..light_dataclasses import dataclass
from .connections import Connections, Row
from .driver_errors import Meaning

T = TypeVar("T")

_MAX_TRIES = 8
_MAX_BATCH_ROWS = 200


class _Slot(str):
    __slots__ = ()


def slot(name: str) -> Any:
    """Return a placeholder that ``Statement.fill`` replaces by the value of that name."""
    return peewee.Value(_Slot(name), converter=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text and the order in which it takes its parameters."""

    sql: str
    parameters: tuple[Any, ...]

    def fill(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the parameters in order; constants of the query stay what they are."""
        return tuple(
            values[parameter] if isinstance(parameter, _Slot) else parameter
            for parameter in self.parameters
        )


def batches(values: Sequence[T]) -> list[Sequence[T]]:
    """Return so many values at a time as one INSERT or one IN takes."""
    starts = range(0, len(values), _MAX_BATCH_ROWS)
    return [values[start : start + _MAX_BATCH_ROWS] for start in starts]


class compiled_once:  # noqa: N801  used as a decorator
    """The query that a method returns, compiled by the store's ``_runner`` when first read.

    Without a lock: ``functools.cached_property`` holds one for all instances before Python 3.12,
    and a child that is forked while another thread compiles would wait for it for ever.
    """

    def __init__(self, build: Callable[[Any], Any]) -> None:
        self._build = build

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Statement:
        statement: Statement = instance._runner.compile(self._build(instance))
        instance.__dict__[self._name] = statement
        return statement


class Runner:
    """Compiles queries for one database and runs them there, alone or in a transaction."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.dialect = connections.dialect

    def compile(self, query: Any) -> Statement:
        """Compile for this database, though the application's model may not be bound to it."""
        sql, parameters = query.bind(self.connections.database).sql()
        return Statement(sql, tuple(parameters))

    def atomically(self, work: Callable[[], T], *, is_synchronised: bool = False) -> T:
        """Run statements all or none, again from the start after a conflict; nested calls join."""
        return self.connections.atomically(work, is_synchronised=is_synchronised)

    def read_row(self, statement: Statement, **values: Any) -> Row | None:
        return self.connections.read_row(statement.sql, statement.fill(values))

    def read_row_anew(self, statement: Statement, **values: Any) -> Row | None:
        """Run a SELECT whose row, or None, is what was written last, on whatever server."""
        return self.connections.read_row_anew(statement.sql, statement.fill(values))

    def read_rows(self, statement: Statement, **values: Any) -> list[Row]:
        return self.connections.read_rows(statement.sql, statement.fill(values))

    def read_rows_once(self, statement: Statement, **values: Any) -> list[Row]:
        """Run a SELECT where what it does not find may only be late; the caller reads again."""
        return self.connections.read_rows_once(statement.sql, statement.fill(values))

    def read_rows_anew(self, statement: Statement, **values: Any) -> list[Row]:
        """Run a SELECT that shows all that was written before, on whatever server."""
        return self.connections.read_rows(statement.sql, statement.fill(values), anew=True)

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

    def count_up_to(self, instants_ms: Mapping[Any, int]) -> int:
        """Count the rows with an instant, a field, that has come; one with two of them once."""
        conditions: dict[Any, Any] = {}
        for instant, up_to_ms in instants_ms.items():
            has_come, model = instant <= up_to_ms, instant.model
            conditions[model] = conditions[model] | has_come if model in conditions else has_come
        rows = peewee.fn.COUNT(peewee.SQL("*"))
        queries = [model.select(rows).where(each) for model, each in conditions.items()]
        return sum(int(self.read_rows(self.compile(query))[0][0]) for query in queries)

    def delete_oldest(self, instant: Any, *, up_to_ms: int, row_count: int) -> int:
        """Delete so many rows at most whose instant, a field, has come; return how many."""
        model, key = instant.model, instant.model._meta.primary_key
        # The same edge as has_passed: the very instant counts as over.
        oldest = model.select(key).where(instant <= up_to_ms).order_by(instant)
        keys = [value for (value,) in self.read_rows(self.compile(oldest.limit(row_count)))]
        return self.write(self.compile(model.delete().where(key.in_(keys)))) if keys else 0
