"""Creates and checks the tables, once, however many processes start at the same moment.

What is there is compared with what we need, by statements that can't fail: they may be in the
application's transaction.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigurationError
from .connections import Connections
from .dialects.dialect import Dialect
from .meta import SCHEMA_VERSION, MetaStore
from .models import Models

if TYPE_CHECKING:
    from .migrations import Migration, SchemaStatus, SchemaVersion
    from .schema import Schema

logger = logging.getLogger("wsgi_sessions")

_USER_MODEL = "user_model"
"""The name in ``meta`` under which is kept whose sessions these are."""

MAX_WAIT_SECONDS = 60
"""Others may be making them all at the same moment."""
MIGRATION_SECONDS = 86_400
"""How long a migration may take that somebody has asked for and watches."""

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


class _Found(NamedTuple):
    """What is there: the columns of each model, models without a table, and what version it is."""

    columns: dict[Any, dict[str, _Column]]
    missing: list[Any]
    version: SchemaVersion | None
    """None where there is no table of ours."""
    pending: list[Migration]
    has_version: bool
    """Whether the database itself says the version."""


class Tables:
    """The tables of one manager: made where they are missing, and refused where not ours.

    ``auto_migrate``: those of an earlier release are brought up to date before their first use.
    """

    def __init__(
        self, connections: Connections, models: Models, meta: MetaStore, *, auto_migrate: bool
    ) -> None:
        self._connections = connections
        self._models = models
        self._meta = meta
        self._auto_migrate = auto_migrate
        self.name = (models.meta._meta.table_name, models.whose)
        self.is_marked = False
        """Whether the database was seen to say whose they are."""
        self.is_old = False
        """Whether they were seen to be those of an earlier release."""

    @property
    def schema(self) -> Schema:
        from .schema import Schema  # once, before the first use of a database

        return Schema(self._connections, self._models, self._meta)

    def create(self) -> bool:
        """Create the tables that are missing and bring the others up to date; return True.

        Raises ``ConfigurationError`` for one that is somebody else's, belongs to another user
        model or has another version, and ``StoreUnavailableError`` when the database does not
        answer.
        """
        found = self._refuse_others()
        self._bring_up_to_date(found)
        if found.missing:
            self._connections.run(self._create_missing, timeout_ms=MAX_WAIT_SECONDS * 1000)
        return self._mark()

    def look(self) -> bool:
        """Raise as ``create`` does, but write nothing; return False: that is still to be done."""
        found = self._refuse_others()
        self._refuse_old(found)
        self.is_old = bool(found.pending)
        return False

    def update(self) -> bool:
        """Bring the tables up to date, but create none that is missing; return False."""
        self._bring_up_to_date(self._refuse_others())
        return False

    def check(self) -> bool:
        """Raise as ``create`` does, but create none; return False if one is missing."""
        found = self._refuse_others()
        if not self._connections.is_within_app_transaction:
            self._bring_up_to_date(found)
            found = self._refuse_others() if found.pending else found
        return not found.missing and not found.pending and self._mark()

    def migrate(self, report: Callable[[Migration], None]) -> bool:
        """Do what ``update`` does, also where that is not to be done by itself, in a day."""
        found = self._refuse_others()
        if found.pending:
            self._migrate(found, report, timeout_s=MIGRATION_SECONDS)
        return False

    def status(self) -> SchemaStatus:
        """Return the version of the tables, and what ``migrate`` would do now."""
        from .migrations import SchemaStatus

        found = self._refuse_others()
        if found.version is None:
            return self.status_of_nothing
        sql = [
            statement
            for migration in found.pending
            for statement in self.schema.statements(migration, found.columns)
        ]
        if found.pending:
            sql.append(self.schema.version_statement(is_there=found.has_version))
        pending = tuple(migration.in_words for migration in found.pending)
        return SchemaStatus(found.version.number, self.schema.needed.number, pending, tuple(sql))

    @property
    def status_of_nothing(self) -> SchemaStatus:
        """Where there are no tables yet, which are created as a whole."""
        from .migrations import SchemaStatus

        schema = self.schema
        sql = schema.creation(self._models.created_here)
        sql.append(schema.version_statement(is_there=False))
        return SchemaStatus(None, schema.needed.number, sql=tuple(sql))

    def _bring_up_to_date(self, found: _Found) -> None:
        self._refuse_old(found)
        if found.pending:
            self._migrate(found, _log, timeout_s=MAX_WAIT_SECONDS)

    def _refuse_old(self, found: _Found) -> None:
        if found.pending and not self._auto_migrate:
            assert found.version is not None
            self.schema.refuse_old(found.version)

    def _migrate(
        self, found: _Found, report: Callable[[Migration], None], *, timeout_s: int
    ) -> None:
        """Do what is to be done, and refuse what then is not as it has to be."""
        self._connections.run(
            lambda: self.schema.migrate(
                found.pending, self._find_columns, max_wait_s=MAX_WAIT_SECONDS, report=report
            ),
            timeout_ms=timeout_s * 1000,
        )
        self._refuse_others()

    def _create_missing(self) -> None:
        database, dialect = self._connections.database, self._connections.dialect
        with dialect.changing_tables(database, max_wait_s=MAX_WAIT_SECONDS):
            columns, ours = self._find_columns(), self._models.created_here
            self.schema.create([model for model in ours if not columns[model]])
            # What is there without a version is of before there were any.
            if not any(columns[model] for model in ours):
                self._meta.write_once(SCHEMA_VERSION, str(self.schema.needed))

    def find_faults(self) -> str | None:
        """Raise as ``create`` does, but write nothing; return what is missing, in words."""
        found = self._refuse_others()
        if found.pending:
            return (
                f"the tables are not migrated to version {self.schema.needed.number}; run "
                "'wsgi-sessions migrate'"
            )
        if found.missing:
            names = ", ".join(model._meta.table_name for model in found.missing)
            return f"there is no table {names}; call manager.create_tables() once"
        return None

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

    def _find_columns(self) -> dict[Any, dict[str, _Column]]:
        models = self._models
        return _find_columns(self._connections, dict.fromkeys((*models.created_here, models.user)))

    def _refuse_others(self) -> _Found:
        """Refuse what is not ours; return what is there."""
        try:
            return self._look()
        except ConfigurationError:
            # Another process may have migrated them after their columns were read, and before
            # their version was.
            return self._look()

    def _look(self) -> _Found:
        models, connections = self._models, self._connections
        columns = self._find_columns()
        self.is_marked = False
        version: SchemaVersion | None = None
        has_version = False
        _check_ours(connections, models.meta, columns[models.meta])
        if columns[models.meta]:
            kept = self._meta.read_all(_USER_MODEL, SCHEMA_VERSION)
            # First: another user model's key is of another kind, as a rule.
            whose = kept.get(_USER_MODEL)
            self._refuse_other_users(whose)
            self.is_marked = whose is not None
            version = self.schema.read(kept.get(SCHEMA_VERSION))
            has_version = SCHEMA_VERSION in kept
        pending = [] if version is None else self.schema.pending_after(version)
        for model in models.created_here:
            to_come = self.schema.columns_to_come(pending, model)
            _check_ours(connections, model, columns[model], to_come=to_come)
        if models.has_own_user:
            fields = [models.user._meta.primary_key, *models.user_fields.values()]
            _check_names(
                models.user,
                columns[models.user],
                [field for field in fields if field is not None],
                remedy="mend user_model, or the table",
            )
        missing = [model for model, found in columns.items() if not found]
        return _Found(columns, missing, version, pending, has_version)

    def _refuse_other_users(self, whose: str | None) -> None:
        refuse_other_users(
            self._models,
            whose=whose,
            else_="If the same people have moved there with their ids, delete the row "
            f"{_USER_MODEL!r} of {self.name[0]}",
        )


def _log(migration: Migration) -> None:
    from ..log_fields import log_fields  # most processes migrate nothing

    details = {"version": migration.number, "what": migration.what}
    fields = log_fields("tables_migrated", details=details)
    logger.info(
        "the tables have version %d now: %s", migration.number, migration.what, extra=fields
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
        # Anew: of the tables that another server has made, some may be there already.
        rows = connections.read_catalogue(*connections.dialect.columns_query(schema, names))
        found += [_Column(*row) for row in rows]
    by_model: dict[Any, dict[str, _Column]] = {}
    for model in models:
        name = model._meta.table_name
        alike = [column for column in found if column.table.lower() == name.lower()]
        same = [column for column in alike if column.table == name]
        by_model[model] = {column.name.lower(): column for column in same or alike}
    return by_model


def _check_ours(
    connections: Connections,
    model: Any,
    columns: dict[str, _Column],
    *,
    to_come: Collection[str] = (),
) -> None:
    """Raise ``ConfigurationError`` for a table that is there and can't be ours.

    It lacks a column that is not still to come, has one of another kind or one more that must be
    given, or is no table.
    """
    table = model._meta.table_name
    remedy = "it is somebody else's, or of another version: set another table_prefix, or mend it"
    if not all(column.is_table for column in columns.values()):
        raise ConfigurationError(f"{table} is no table but a view; {remedy}")
    wanted = {field.column_name.lower(): field for field in model._meta.sorted_fields}
    needed = [field for name, field in wanted.items() if name not in to_come]
    _check_names(model, columns, needed, remedy=remedy)
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
        fitting = field.ddl_datatype(context).sql
        if not _is_fit(fitting, column.type, dialect=connections.dialect):
            raise ConfigurationError(f"{what} is {column.type} and has to be {fitting}; {remedy}")


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
