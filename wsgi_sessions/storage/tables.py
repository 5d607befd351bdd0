"""Creates the tables, once, however many processes start at the same moment, and checks them.

What is there is compared with what we need, by statements that can't fail: they may be in the
application's transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

from ..errors import ConfigurationError
from .connections import Connections
from .dialects.dialect import Dialect
from .meta import MetaStore
from .models import Models

_USER_MODEL = "user_model"
"""The name in ``meta`` under which is kept whose sessions these are."""

_MAX_WAIT_SECONDS = 60
"""Others may be making them all at the same moment."""

_WIDTHS = {"bool": 1, "tinyint": 1, "smallint": 2, "mediumint": 3, "bigint": 8, "bigserial": 8}
_KINDS = {
    "char|text|clob": "text",
    "int|serial|bool": "integer",
    "blob|binary|bytea": "bytes",
    "date|time": "time",
    "real|floa|doub|dec|num": "number",
}
"""By a part of a type's name."""


class _Column(NamedTuple):
    """What a table has under a name; ``must_be_given``: not null, and without a default."""

    table: str
    is_table: bool
    name: str
    type: str
    must_be_given: bool


class Tables:
    """The tables of one manager: made where they are missing, and refused where not ours."""

    def __init__(self, connections: Connections, models: Models, meta: MetaStore) -> None:
        self._connections = connections
        self._models = models
        self._meta = meta
        self.name = (models.meta._meta.table_name, models.whose)
        self.is_marked = False
        """Whether the database was seen to say whose they are."""

    def create(self) -> bool:
        """Create the tables that are missing; return True.

        Raises ``ConfigurationError`` for one that is somebody else's, or belongs to another user
        model, and ``StoreUnavailableError`` when the database does not answer.
        """
        self._refuse_others()
        connections = self._connections
        connections.run(
            lambda: connections.dialect.create_tables(
                connections.database, self._models.created_here, max_wait_s=_MAX_WAIT_SECONDS
            ),
            timeout_ms=_MAX_WAIT_SECONDS * 1000,
        )
        return self._mark()

    def look(self) -> bool:
        """Raise as ``create`` does, but write nothing; return False: that is still to be done."""
        self._refuse_others()
        return False

    def check(self) -> bool:
        """Raise as ``create`` does, but create none; return False if one is missing."""
        if self._refuse_others():
            return False
        return self._mark()

    def find_missing(self) -> list[str]:
        """Raise as ``create`` does, but create none; return the names of those that are missing."""
        return [model._meta.table_name for model in self._refuse_others()]

    def _mark(self) -> bool:
        """Write whose tables these are, unless it is there; return whether it will stay there.

        Also within the application's transaction, or what is written in it could be read by
        another user model; but then it may be undone, with all that was written.
        """
        if not self.is_marked:
            self._refuse_other_users(self._meta.write_once(_USER_MODEL, self._models.whose))
            if self._connections.is_within_app_transaction:
                return False
        self._connections.first_use.is_ready_for = self.name
        return True

    def _refuse_others(self) -> list[Any]:
        """Refuse what is not ours; return the models that have no table."""
        models, connections = self._models, self._connections
        columns = _find_columns(connections, dict.fromkeys((*models.created_here, models.user)))
        missing = [model for model, found in columns.items() if not found]
        self.is_marked = False
        _check_ours(connections, models.meta, columns[models.meta])
        if models.meta not in missing:
            # First: another user model's key is of another kind, as a rule.
            whose = self._meta.read(_USER_MODEL)
            self._refuse_other_users(whose)
            self.is_marked = whose is not None
        for model in models.created_here:
            _check_ours(connections, model, columns[model])
        if models.has_own_user:
            fields = [models.user._meta.primary_key, *models.user_fields.values()]
            _check_names(
                models.user,
                columns[models.user],
                [field for field in fields if field is not None],
                remedy="mend user_model, or the table",
            )
        return missing

    def _refuse_other_users(self, whose: str | None) -> None:
        refuse_other_users(
            self._models,
            whose=whose,
            else_="If the same people have moved there with their ids, delete the row "
            f"{_USER_MODEL!r} of {self.name[0]}",
        )


def refuse_other_users(models: Models, *, whose: str | None, else_: str) -> None:
    """Raise ``ConfigurationError`` where others than the users of some models are named."""
    if whose in (None, models.whose):
        return
    raise ConfigurationError(
        f"the tables beside {models.meta._meta.table_name} hold the sessions of {whose}, and "
        f"here the users are {models.whose}; give each user model a table_prefix of its own. "
        f"{else_}"
    )


def _find_columns(connections: Connections, models: Iterable[Any]) -> dict[Any, dict[str, _Column]]:
    """Return the columns of each model's table by name in lower case; none if it is not there.

    Where the database tells names of tables apart by case, the one that is spelled alike counts.
    """

    def schema_of(model: Any) -> str:
        return model._meta.schema or ""

    found: list[_Column] = []
    for schema, group in groupby(sorted(models, key=schema_of), schema_of):
        names = [model._meta.table_name for model in group]
        rows = connections.read_rows(*connections.dialect.columns_query(schema, names))
        found += [_Column(*row) for row in rows]
    by_model: dict[Any, dict[str, _Column]] = {}
    for model in models:
        name = model._meta.table_name
        alike = [column for column in found if column.table.lower() == name.lower()]
        same = [column for column in alike if column.table == name]
        by_model[model] = {column.name.lower(): column for column in same or alike}
    return by_model


def _check_ours(connections: Connections, model: Any, columns: dict[str, _Column]) -> None:
    """Raise ``ConfigurationError`` for a table that is there and can't be ours.

    It lacks a column, has one of another kind or one more that must be given, or is no table.
    """
    table = model._meta.table_name
    remedy = "it is somebody else's, or of another version: set another table_prefix, or mend it"
    if not all(column.is_table for column in columns.values()):
        raise ConfigurationError(f"{table} is no table but a view; {remedy}")
    wanted = {field.column_name.lower(): field for field in model._meta.sorted_fields}
    _check_names(model, columns, wanted.values(), remedy=remedy)
    context = connections.database.get_sql_context()
    for name, column in columns.items():
        field, what = wanted.get(name), f"the column {column.name} of the table {table}"
        if field is None:
            if column.must_be_given:
                raise ConfigurationError(
                    f"the table {table} has a column {column.name} that is none of ours and has "
                    f"no default; {remedy}"
                )
            continue
        if column.must_be_given and field.null:
            raise ConfigurationError(f"{what} is NOT NULL and has to take NULL; {remedy}")
        needed = field.ddl_datatype(context).sql
        if not _is_fit(needed, column.type, dialect=connections.dialect):
            raise ConfigurationError(f"{what} is {column.type} and has to be {needed}; {remedy}")


def _check_names(
    model: Any, columns: dict[str, _Column], fields: Iterable[Any], *, remedy: str
) -> None:
    for field in fields:
        if columns and field.column_name.lower() not in columns:
            raise ConfigurationError(
                f"the table {model._meta.table_name} has no column {field.column_name}; {remedy}"
            )


def _is_fit(needed: str, given: str, *, dialect: Dialect) -> bool:
    """Return whether a column of a type holds what one of another does, as far as we know."""
    kind = _kind_of(needed, dialect)
    if None in (kind, _kind_of(given, dialect)):
        return True
    if kind != _kind_of(given, dialect):
        return False
    return not dialect.has_widths or _size_of(given, kind) >= _size_of(needed, kind)


def _kind_of(type_text: str, dialect: Dialect) -> str | None:
    text = type_text.lower()
    own = [kind for kind in dialect.own_kinds if text.startswith(kind)]
    found = [kind for part, kind in _KINDS.items() if re.search(part, text)]
    return next(iter(own + found), None)


def _size_of(type_text: str, kind: str | None) -> float:
    """Return how many bytes an integer has, or how many characters a text at most."""
    if kind == "integer":
        word = re.match("[a-z]*", type_text.lower())
        return _WIDTHS.get(word.group() if word else "", 4)
    length = re.search(r"\((\d+)\)", type_text)
    return int(length.group(1)) if kind == "text" and length else float("inf")
