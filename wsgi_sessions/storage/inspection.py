"""Looks into a database without changing it: what is missing, what is forbidden, what it is like.

For whoever looks after it: no request comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import peewee

from ..errors import ConfigurationError, StoreUnavailableError
from .connections import Connections
from .dialects.inspection import inspection_of
from .driver_errors import IntegrityConflict, Meaning
from .models import Models
from .outages import Outages
from .statements import Runner

T = TypeVar("T")

_NOT_SAID = (Meaning.TIMED_OUT, Meaning.LOCKED, Meaning.CONNECTION_LOST)
"""Errors that tell nothing of what an account may do."""

COUNT = "COUNT"
"""What an account does to a counter: it takes the next number."""


class MissingIndex(NamedTuple):
    """An index that a table should have; ``sql`` makes it."""

    table: str
    columns: tuple[str, ...]
    is_unique: bool
    sql: str


class Forbidden(NamedTuple):
    """What this account can't do to a table, and what the database says."""

    action: str
    table: str
    reason: str


class Server(NamedTuple):
    """What an engine is, how it is set, and who is connected; None for what it does not tell."""

    engine: str
    settings: Mapping[str, str]
    max_connections: int | None
    connection_count: int | None
    is_behind_pooler: bool
    is_encrypted: bool | None


class Inspection:
    def __init__(self, connections: Connections, models: Models) -> None:
        self._connections = connections
        self._models = models
        self._runner = Runner(connections)
        self._engine = inspection_of(connections)
        self._outages = Outages(connections.database)

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Use one connection for all that is asked within a block; no table is made before it.

        Raises ``StoreUnavailableError``.
        """
        with self._connections.connection(is_preparing=True) as connection:
            yield connection

    def explain(self, error: BaseException) -> str:
        """Return which database does not answer, and why, as the driver has it."""
        return self._outages.explain(error)

    def server(self, connection: Any) -> Server:
        """Return what the engine tells; one that is like another may lack some of it."""
        engine = self._engine
        return Server(
            engine.name,
            _told(engine.settings) or {},
            _told(engine.max_connections),
            _told(engine.connection_count),
            bool(_told(lambda: engine.is_behind_pooler(connection))),
            _told(engine.is_encrypted),
        )

    def why_no_transaction(self) -> str | None:
        """Return what the database says to an empty transaction, None if it takes one."""
        try:
            self._runner.atomically(lambda: None)
        except StoreUnavailableError as error:
            return self._outages.reason(error)
        return None

    def may_make_tables(self) -> bool:
        """Return whether this account may make tables, as far as the server tells."""
        return _told(self._engine.may_make_tables) is not False

    def missing_tables(self) -> list[str]:
        """Return the names of those of our tables that are not there."""
        names = self.table_names()
        query = self._connections.dialect.columns_query("", names)
        rows = self._connections.read_catalogue(*query)
        found = {str(row[0]).lower() for row in rows}
        return [name for name in names if name.lower() not in found]

    def table_names(self) -> list[str]:
        return [model._meta.table_name for model in self._models.created_here]

    def missing_indexes(self) -> list[MissingIndex]:
        """Return the indexes that nothing stands in for, primary keys first, table by table."""
        return [
            missing for model in self._models.created_here for missing in self._missing_in(model)
        ]

    def _missing_in(self, model: Any) -> Iterator[MissingIndex]:
        table, quote = model._meta.table_name, self._connections.database.quote[0]
        there = self._engine.indexes_of(table)
        key = model._meta.primary_key.column_name
        if not _is_there(there, (key,), is_unique=True):
            sql = f"ALTER TABLE {quote}{table}{quote} ADD PRIMARY KEY ({quote}{key}{quote})"
            yield MissingIndex(table, (key,), is_unique=True, sql=sql)
        statements = model._schema._create_indexes(safe=False)
        for index, statement in zip(model._meta.fields_to_index(), statements, strict=True):
            columns = tuple(each.column_name for each in index._expressions)
            if not _is_there(there, columns, is_unique=index._unique):
                is_broken = self._engine.is_broken(index._name)
                sql = f'REINDEX INDEX "{index._name}"' if is_broken else statement.query()[0]
                yield MissingIndex(table, columns, index._unique, sql)

    def other_engines(self) -> dict[str, str]:
        """Return the tables that an engine without transactions keeps, and the engine."""
        found = {name: self._engine.engine_of(name) for name in self.table_names()}
        return {
            name: engine
            for name, engine in found.items()
            if engine is not None and engine.lower() != "innodb"
        }

    def folding_columns(self) -> dict[str, list[str]]:
        """Return, by table, the columns that should be compared byte by byte and are not."""
        found: dict[str, list[str]] = {}
        for model in self._models.created_here:
            table = model._meta.table_name
            exact = {each.column_name for each in model._meta.sorted_fields if each.constraints}
            folding = [name for name in self._engine.folding_columns(table) if name in exact]
            if folding:
                found[table] = folding
        return found

    def forbidden(self) -> list[Forbidden]:
        """Return what this account can't do, by statements that find no row to do it to."""
        found = [each for model in self._models.created_here for each in self._forbidden_in(model)]
        user = self._models.user
        if self._models.has_own_user:
            key = user._meta.primary_key
            found += self._tried("SELECT", user, user.select(key).where(peewee.SQL("1 = 0")))
        counter: Any = self._models.revocation.id
        table = self._models.revocation._meta.table_name
        if not self._engine.may_count(table, counter.column_name):
            found.append(Forbidden(COUNT, table, "permission denied for its sequence"))
        return found

    def _forbidden_in(self, model: Any) -> list[Forbidden]:
        never, key = peewee.SQL("1 = 0"), model._meta.primary_key
        fields = model._meta.sorted_fields
        selected = model.select(*fields).where(never)
        return [
            forbidden
            for action, query in (
                ("SELECT", selected),
                ("INSERT", model.insert_from(selected, fields)),
                ("UPDATE", model.update({key: key}).where(never)),
                ("DELETE", model.delete().where(never)),
            )
            for forbidden in self._tried(action, model, query)
        ]

    def _tried(self, action: str, model: Any, query: Any) -> list[Forbidden]:
        statement = self._runner.compile(query)
        try:
            if action == "SELECT":
                self._runner.read_rows(statement)
            else:
                self._runner.write(statement)
        except (StoreUnavailableError, ConfigurationError, IntegrityConflict) as error:
            if self._connections.dialect.meaning_of(error.__cause__) in _NOT_SAID:
                raise
            return [Forbidden(action, model._meta.table_name, self._outages.reason(error))]
        return []

    def latest_expiry_ms(self) -> int | None:
        """Return the instant at which the last session expires, None if there is no session."""
        session = self._models.session
        query = session.select(peewee.fn.MAX(session.expires_at))
        row = self._runner.read_row(self._runner.compile(query))
        return None if row is None or row[0] is None else int(row[0])


def _told(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except (StoreUnavailableError, ConfigurationError):
        return None


def _is_there(
    indexes: list[tuple[bool, tuple[str, ...]]], columns: tuple[str, ...], *, is_unique: bool
) -> bool:
    """Return whether an index serves: a longer one that begins alike does, unless it is unique."""
    wanted = tuple(name.lower() for name in columns)
    for unique, given in indexes:
        names = tuple(name.lower() for name in given)
        if (unique and names == wanted) or (not is_unique and names[: len(wanted)] == wanted):
            return True
    return False
