"""The tables as Peewee models, built for one database.

Each database has classes of its own: every other thread would see it if shared ones were bound.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import peewee

from ..config.checks import DEFAULT_TABLE_PREFIX
from ..errors import ConfigurationError
from ..light_dataclasses import dataclass
from .dialects import find_dialect
from .urls import find_database

USER_ATTRIBUTES = ("email", "email_verified", "name", "image", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Models:
    """The model classes of one database; ``user`` may be the application's own.

    ``user_fields`` maps our attribute names to fields of ``user``, None where it has none.
    Instants are stored as integer milliseconds since the epoch, UTC.
    """

    user: Any
    account: Any
    session: Any
    revocation: Any
    attempt: Any
    one_time_token: Any
    event: Any
    meta: Any
    user_change: Any
    user_fields: Mapping[str, Any]
    has_own_user: bool

    @property
    def created_here(self) -> tuple[Any, ...]:
        ours = (
            self.account,
            self.session,
            self.revocation,
            self.attempt,
            self.one_time_token,
            self.event,
            self.meta,
            self.user_change,
        )
        return ours if self.has_own_user else (self.user, *ours)

    @property
    def whose(self) -> str:
        """Whose sessions and accounts these are: the user model's table, its key, and its kind."""
        meta = self.user._meta
        schema = f"{meta.schema}." if meta.schema else ""
        return (
            f"{schema}{meta.table_name}.{meta.primary_key.column_name} "
            f"({_kind_of_key(meta.primary_key)})"
        )


def build_models(
    database: peewee.Database,
    *,
    user_model: Any = None,
    user_attributes: Mapping[str, str | None] | None = None,
    table_prefix: str = DEFAULT_TABLE_PREFIX,
) -> Models:
    """Build the models; a user model of the application's takes the place of ours.

    The prefix stands before the names of our tables, and so of their indexes, which on
    PostgreSQL and SQLite must differ within a whole schema.

    Raises ``ConfigurationError`` for a user model without a single primary key, with an
    attribute that it does not have, or bound to another database.
    """
    dialect = find_dialect(database)
    counter: Any = dialect.counter_field
    # Ids are compared byte by byte; the usual collations of some engines fold case.
    exact: dict[str, Any] = {"constraints": [peewee.SQL(text) for text in dialect.exact_text]}

    class LongTextField(peewee.TextField):
        field_type = dialect.long_text_type

    def model(table: str, **attributes: Any) -> Any:
        meta_attributes: dict[str, Any] = {
            "database": database,
            "table_name": f"{table_prefix}{table}",
            # Or Peewee would name the indexes after the class, without the prefix.
            "legacy_table_names": False,
            "indexes": attributes.pop("indexes", ()),
            "table_settings": dialect.table_settings or None,
        }
        meta = type("Meta", (), meta_attributes)
        return type(table.title().replace("_", ""), (peewee.Model,), {"Meta": meta, **attributes})

    has_own_user = user_model is not None
    if user_model is None:
        user_model = model(
            "user",
            id=peewee.CharField(primary_key=True, max_length=64, **exact),
            email=peewee.CharField(unique=True, max_length=254, **exact),
            email_verified=peewee.BooleanField(default=False),
            name=peewee.CharField(max_length=255),
            image=peewee.TextField(null=True),
            created_at=peewee.BigIntegerField(),
            updated_at=peewee.BigIntegerField(),
        )
    fields = _user_fields(user_model, user_attributes or {})
    _check_is_same_database(database, user_model)
    return Models(
        user=user_model,
        user_fields=fields,
        has_own_user=has_own_user,
        account=model(
            "account",
            id=peewee.CharField(primary_key=True, max_length=64, **exact),
            user_id=_reference(user_model, null=False, exact=exact),
            provider_id=peewee.CharField(max_length=64, **exact),
            account_id=peewee.CharField(max_length=255, **exact),
            password_hash=peewee.CharField(max_length=512, null=True, **exact),
            created_at=peewee.BigIntegerField(),
            updated_at=peewee.BigIntegerField(),
            indexes=((("provider_id", "account_id"), True), (("user_id",), False)),
        ),
        session=model(
            "session",
            id=peewee.CharField(primary_key=True, max_length=32, **exact),
            user_id=_reference(user_model, null=True, exact=exact),
            generation=peewee.IntegerField(),
            branch=peewee.CharField(max_length=8, **exact),
            branch_before=peewee.CharField(max_length=8, null=True, **exact),
            is_settled=peewee.BooleanField(),
            caught_up=peewee.BooleanField(),
            confirmed_at=peewee.BigIntegerField(),
            created_at=peewee.BigIntegerField(),
            authenticated_at=peewee.BigIntegerField(),
            updated_at=peewee.BigIntegerField(),
            last_seen_at=peewee.BigIntegerField(),
            expires_at=peewee.BigIntegerField(index=True),
            remember=peewee.BooleanField(),
            ip_address=peewee.CharField(max_length=45, null=True),
            user_agent=peewee.CharField(max_length=512, null=True),
            data=LongTextField(),
            data_version=peewee.IntegerField(),
            ended_at=peewee.BigIntegerField(null=True, index=True),
            end_reason=peewee.CharField(max_length=32, null=True),
            last_ip_address=peewee.CharField(max_length=45, null=True),
            last_user_agent=peewee.CharField(max_length=512, null=True),
            authentication=peewee.CharField(max_length=1024),
            provider_sid=peewee.CharField(max_length=64, null=True, index=True, **exact),
            indexes=((("user_id", "ended_at"), False),),
        ),
        revocation=model(
            "revocation",
            id=counter(),
            session_id=peewee.CharField(max_length=32, null=True, **exact),
            before=peewee.BigIntegerField(null=True),
            created_at=peewee.BigIntegerField(index=True),
        ),
        attempt=model(
            "attempt",
            id=peewee.CharField(primary_key=True, max_length=32, **exact),
            key=peewee.CharField(max_length=64, **exact),
            created_at=peewee.BigIntegerField(index=True),
            indexes=((("key", "created_at"), False),),
        ),
        one_time_token=model(
            "one_time_token",
            digest=peewee.CharField(primary_key=True, max_length=64, **exact),
            purpose=peewee.CharField(max_length=32, **exact),
            user_id=_reference(user_model, null=True, exact=exact),
            value=peewee.CharField(max_length=512, null=True, **exact),
            created_at=peewee.BigIntegerField(),
            expires_at=peewee.BigIntegerField(index=True),
            used_at=peewee.BigIntegerField(null=True),
            indexes=((("user_id", "purpose"), False),),
        ),
        event=model(
            "event",
            id=counter(),
            at=peewee.BigIntegerField(index=True),
            name=peewee.CharField(max_length=40, **exact),
            user_id=_reference(user_model, null=True, exact=exact),
            session_id=peewee.CharField(max_length=32, null=True, **exact),
            reason=peewee.CharField(max_length=32, null=True),
            address=peewee.CharField(max_length=64, null=True),
            user_agent=peewee.CharField(max_length=512, null=True),
            method=peewee.CharField(max_length=64, null=True),
            details=peewee.TextField(),
            indexes=((("user_id", "at"), False),),
        ),
        user_change=model(
            "user_change",
            user_id=_reference(user_model, null=False, exact=exact, primary_key=True),
            number=peewee.BigIntegerField(),
        ),
        meta=model(
            "meta",
            name=peewee.CharField(primary_key=True, max_length=64, **exact),
            value=peewee.CharField(max_length=512, **exact),
        ),
    )


def plain_key(key: Any) -> Any:
    """Return the field that says what a key holds: of a foreign key, the one it leads to."""
    while isinstance(key, peewee.ForeignKeyField):
        key = key.rel_field
    return key


def _kind_of_key(key: Any) -> str:
    """Return in one word what the keys of a user model are, however wide."""
    key = plain_key(key)
    if isinstance(key, peewee.IntegerField):
        return "integer"
    if isinstance(key, (peewee.CharField, peewee.TextField)):
        return "text"
    return str(key.field_type).lower()


def _reference(
    user_model: Any, *, null: bool, exact: dict[str, Any], primary_key: bool = False
) -> Any:
    """Return a plain column of the type of the user's key.

    No foreign key in the database: a user deleted behind our back must not take the record of
    their sessions along, and reading it must not lock the user's row.
    """
    key = plain_key(user_model._meta.primary_key)
    options: dict[str, Any] = {"null": null, "primary_key": primary_key}
    if isinstance(key, peewee.BigAutoField):
        return peewee.BigIntegerField(**options)
    if isinstance(key, peewee.AutoField):
        return peewee.IntegerField(**options)
    if isinstance(key, peewee.CharField):
        return peewee.CharField(max_length=key.max_length, **options, **exact)
    if isinstance(key, peewee.TextField):
        return peewee.TextField(**options, **exact)
    column = copy.copy(key)
    column.column_name = None
    column.primary_key = primary_key
    column.null = null
    column.default = None
    column.constraints = None
    return column


def _check_is_same_database(database: peewee.Database, user_model: Any) -> None:
    """Refuse a user model that is surely somewhere else: a session and its user are one SELECT.

    Two Peewee databases may lead to the same place; one without a name may be given it later.
    """
    theirs = find_database(user_model._meta.database or peewee.DatabaseProxy())
    if theirs is None or theirs is database:
        return
    is_one_kind = find_dialect(database).is_for(theirs)
    names = [_name_of_place(each) for each in (theirs, database)]
    if is_one_kind and (None in names or (names[0] == names[1] and ":memory:" not in names)):
        return
    raise ConfigurationError(
        f"user_model {user_model.__name__} is bound to the database {names[0]!r}, and sessions "
        f"are kept in {names[1]!r}; give the manager the database of the model"
    )


def _name_of_place(database: peewee.Database) -> str | None:
    from pathlib import Path

    if database.database is None:
        return None
    file = find_dialect(database).file_of(database)
    return str(Path(file).resolve()) if file else str(database.database) or ":memory:"


def _user_fields(user_model: Any, names: Mapping[str, str | None]) -> Mapping[str, Any]:
    key = getattr(getattr(user_model, "_meta", None), "primary_key", None)
    if isinstance(key, peewee.CompositeKey):
        raise ConfigurationError(
            f"user_model {user_model.__name__} has a composite primary key; give a model with one"
        )
    if not isinstance(key, peewee.Field):
        raise ConfigurationError(
            f"user_model is {user_model!r}; give a Peewee model class with a primary key"
        )
    fields = user_model._meta.fields
    for ours, theirs in names.items():
        if ours in USER_ATTRIBUTES and theirs is not None and theirs not in fields:
            raise ConfigurationError(
                f"user_attributes maps {ours} to {theirs!r}, which {user_model.__name__} "
                f"does not have; it has {', '.join(sorted(fields))}"
            )
    return {ours: fields.get(names.get(ours, ours)) for ours in USER_ATTRIBUTES}
