"""The steps of migrations: each is the SQL by which tables get what the models have.

A step only adds, and what is there already is left alone: on MariaDB and MySQL no transaction
holds several of them together, so a process that is killed leaves some of them done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import peewee

from ...light_dataclasses import dataclass

Found = Mapping[Any, Mapping[str, Any]]
"""The columns of each model's table, by name in lower case; none where it has no table."""


class Step(ABC):
    @abstractmethod
    def write(self, migrator: Any, models: Any, found: Found) -> None:
        """Give the migrator's database the statements that do this, if it is still to be done."""

    def added_columns(self, models: Any, model: Any) -> tuple[str, ...]:  # noqa: ARG002  it adds none
        """Return the columns, in lower case, that a model's table which is there gets by this."""
        return ()


@dataclass(frozen=True, slots=True)
class AddTable(Step):
    """Creates the table of a model, with its indexes; ``model`` is its name in ``Models``."""

    model: str

    def write(self, migrator: Any, models: Any, found: Found) -> None:
        model = getattr(models, self.model)
        if not found[model]:
            peewee.SchemaManager(model, migrator.database).create_all(safe=True)


@dataclass(frozen=True, slots=True)
class AddColumn(Step):
    """Adds a column to the table of a model; it may be null, so that no row is written again."""

    model: str
    field: str

    def write(self, migrator: Any, models: Any, found: Found) -> None:
        model = getattr(models, self.model)
        field = model._meta.fields[self.field]
        # A table that is missing as a whole is created with it.
        if found[model] and field.column_name.lower() not in found[model]:
            migrator.migrate(migrator.add_column(model._meta.table_name, field.column_name, field))

    def added_columns(self, models: Any, model: Any) -> tuple[str, ...]:
        if model is not getattr(models, self.model):
            return ()
        return (model._meta.fields[self.field].column_name.lower(),)


@dataclass(frozen=True, slots=True)
class AddIndex(Step):
    """Adds an index over columns of the table of a model, under the name the model gives it.

    While it is made, PostgreSQL lets nobody write to the table.
    """

    model: str
    fields: tuple[str, ...]
    is_unique: bool = False

    def write(self, migrator: Any, models: Any, found: Found) -> None:
        model, database = getattr(models, self.model), migrator.database
        if not found[model]:
            return
        fields = [model._meta.fields[name] for name in self.fields]
        index = model.index(*fields, unique=self.is_unique)
        # MySQL has no IF NOT EXISTS for an index.
        index = index.safe(database.safe_create_index)
        database.execute(migrator.make_context().sql(index))
