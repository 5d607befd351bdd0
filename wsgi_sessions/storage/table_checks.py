"""Compares the tables that are there with those we need: somebody else's are refused, by name.

No statement here may fail: it may be in the application's transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ..errors import ConfigurationError
from .connections import Connections
from .dialects.dialect import Dialect

_WIDTHS = {"bool": 1, "tinyint": 1, "smallint": 2, "mediumint": 3, "bigint": 8, "bigserial": 8}


class _Column(NamedTuple):
    """What a table has under a name; ``must_be_given``: not null, and without a default."""

    table: str
    is_table: bool
    name: str
    type: str
    must_be_given: bool


class FoundTables:
    """What is there under the names of some models, read at once."""

    def __init__(self, connections: Connections, models: Iterable[Any]) -> None:
        self._connections = connections
        models = tuple(models)
        found = _read_columns(connections, models)
        self._columns = {model: _columns_of(model, found) for model in models}

    @property
    def missing(self) -> list[Any]:
        """The models whose tables are not there."""
        return [model for model, columns in self._columns.items() if not columns]

    def check_ours(self, model: Any) -> None:
        """Raise ``ConfigurationError`` for a table that is there and can't be ours.

        It lacks a column, has one of another kind or one more that must be given, or is no
        table.
        """
        columns = self._columns[model]
        if columns:
            _check_ours(self._connections, model, columns)

    def check_theirs(self, model: Any, fields: Iterable[Any]) -> None:
        """Raise ``ConfigurationError`` where the application's table lacks a field's column."""
        columns = self._columns[model]
        if columns:
            wanted = [field.column_name for field in fields]
            _check_names(model, columns, wanted, remedy="mend user_model, or the table")


def _check_ours(connections: Connections, model: Any, columns: dict[str, _Column]) -> None:
    table = model._meta.table_name
    remedy = "it is somebody else's, or of another version: set another table_prefix, or mend it"
    if not all(column.is_table for column in columns.values()):
        raise ConfigurationError(f"{table} is no table but a view; {remedy}")
    wanted = {field.column_name.lower(): field for field in model._meta.sorted_fields}
    _check_names(model, columns, [field.column_name for field in wanted.values()], remedy=remedy)
    context = connections.database.get_sql_context()
    for name, column in columns.items():
        field = wanted.get(name)
        if field is None:
            if column.must_be_given:
                raise ConfigurationError(
                    f"the table {table} has a column {column.name} that is none of ours and has "
                    f"no default; {remedy}"
                )
            continue
        if column.must_be_given and field.null:
            raise ConfigurationError(
                f"the column {column.name} of the table {table} is NOT NULL and has to take NULL; "
                f"{remedy}"
            )
        needed = field.ddl_datatype(context).sql
        if not _is_fit(needed, column.type, dialect=connections.dialect):
            raise ConfigurationError(
                f"the column {column.name} of the table {table} is {column.type} and has to be "
                f"{needed}; {remedy}"
            )


def _check_names(
    model: Any, columns: dict[str, _Column], wanted: Iterable[str], *, remedy: str
) -> None:
    for name in wanted:
        if name.lower() not in columns:
            raise ConfigurationError(
                f"the table {model._meta.table_name} has no column {name}; {remedy}"
            )


def _is_fit(needed: str, given: str, *, dialect: Dialect) -> bool:
    """Return whether a column of a type holds what one of another type does.

    What we do not know is let pass.
    """
    kinds = _kind_of(needed, dialect), _kind_of(given, dialect)
    if None in kinds:
        return True
    if kinds[0] != kinds[1]:
        return False
    return not dialect.has_widths or _size_of(given, kinds[0]) >= _size_of(needed, kinds[0])


def _kind_of(type_text: str, dialect: Dialect) -> str | None:
    text = type_text.lower()
    if not text:
        return None
    for kind in dialect.own_kinds:
        if text.startswith(kind):
            return kind
    if re.search("char|text|clob", text):
        return "text"
    if re.search("int|serial|bool", text):
        return "integer"
    if re.search("blob|binary|bytea", text):
        return "bytes"
    if re.search("date|time", text):
        return "time"
    return "number" if re.search("real|floa|doub|dec|num", text) else None


def _size_of(type_text: str, kind: str | None) -> float:
    """Return how many bytes an integer has, or how many characters a text at most."""
    if kind == "integer":
        word = re.match("[a-z]*", type_text.lower())
        return _WIDTHS.get(word.group() if word else "", 4)
    length = re.search(r"\((\d+)\)", type_text)
    return int(length.group(1)) if kind == "text" and length else float("inf")


def _columns_of(model: Any, found: Sequence[_Column]) -> dict[str, _Column]:
    """Return a table's columns by their names in lower case.

    Where the database tells names apart by case, the table is the one that is spelled alike.
    """
    name = model._meta.table_name
    alike = [column for column in found if column.table.lower() == name.lower()]
    same = [column for column in alike if column.table == name]
    return {column.name.lower(): column for column in same or alike}


def _read_columns(connections: Connections, models: Sequence[Any]) -> list[_Column]:
    def schema_of(model: Any) -> str:
        return model._meta.schema or ""

    return [
        _Column(table, bool(is_table), name, kind, bool(must_be_given))
        for schema, group in groupby(sorted(models, key=schema_of), schema_of)
        for table, is_table, name, kind, must_be_given in connections.read_rows(
            *connections.dialect.columns_query(schema, [each._meta.table_name for each in group])
        )
    ]
