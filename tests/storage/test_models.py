"""The tables: what they hold, how they are found, and an application's own user model."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import peewee
import pytest

from wsgi_sessions import ConfigurationError
from wsgi_sessions.storage.models import Models, build_models


@pytest.fixture
def database() -> Any:
    database = peewee.SqliteDatabase(":memory:")
    yield database
    database.close()


def name_of(model: Any) -> str:
    """Return a table's name without the prefix."""
    return str(model._meta.table_name).removeprefix("wsgi_sessions_")


def test_tables_have_the_columns_of_the_design(database: Any) -> None:
    models = build_models(database)

    assert {name_of(model): list(model._meta.fields) for model in models.created_here} == {
        "user": [
            *["id", "email", "email_verified", "name", "image", "created_at", "updated_at"],
        ],
        "account": [
            *["id", "user_id", "provider_id", "account_id", "password_hash"],
            *["created_at", "updated_at"],
        ],
        "session": [
            *["id", "user_id", "generation", "branch", "branch_before", "is_settled", "caught_up"],
            *["confirmed_at", "created_at", "authenticated_at", "updated_at"],
            *["last_seen_at", "expires_at", "remember", "ip_address"],
            *["user_agent", "data", "data_version", "ended_at", "end_reason"],
            *["last_ip_address", "last_user_agent", "authentication", "provider_sid"],
        ],
        "revocation": ["id", "session_id", "before", "created_at"],
        "attempt": ["id", "key", "created_at"],
        "one_time_token": [
            *["digest", "purpose", "user_id", "value", "created_at", "expires_at", "used_at"],
        ],
        "event": [
            *["id", "at", "name", "user_id", "session_id", "reason", "address", "user_agent"],
            *["method", "details"],
        ],
        "meta": ["name", "value"],
        "user_change": ["user_id", "number"],
    }


def test_classes_are_made_for_each_database(database: Any) -> None:
    other = peewee.SqliteDatabase(":memory:")

    first, second = build_models(database), build_models(other)

    assert first.session is not second.session
    assert (first.session._meta.database, second.session._meta.database) == (database, other)


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT * FROM session WHERE id = 'x'", "sessions_session_1"),
        ("SELECT * FROM session WHERE user_id = 'x' AND ended_at IS NULL", "session_user_id_ended"),
        ("SELECT id FROM session WHERE expires_at <= 5 ORDER BY expires_at", "session_expires_at"),
        ("SELECT id FROM session WHERE ended_at <= 5 ORDER BY ended_at", "session_ended_at"),
        ("SELECT * FROM revocation WHERE created_at >= 5", "revocation_created_at"),
        (
            "SELECT * FROM attempt WHERE key IN ('x', 'y') AND created_at > 5",
            "attempt_key_created_at",
        ),
        ("SELECT * FROM account WHERE user_id = 'x'", "account_user_id"),
    ],
)
def test_what_is_asked_often_is_found_by_an_index(database: Any, sql: str, index: str) -> None:
    models = build_models(database)
    database.create_tables(models.created_here)

    prefixed = sql.replace("FROM ", "FROM wsgi_sessions_")
    plan = database.execute_sql(f"EXPLAIN QUERY PLAN {prefixed}").fetchall()

    assert index in str(plan)


@pytest.mark.parametrize("table", ["user", "account"])
def test_what_must_be_unique_is(database: Any, table: str) -> None:
    models = build_models(database)
    database.create_tables(models.created_here)

    unique = {
        tuple(index.columns)
        for index in database.get_indexes(f"wsgi_sessions_{table}")
        if index.unique
    }

    wanted = {"user": ("email",), "account": ("provider_id", "account_id")}
    assert unique == {("id",), wanted[table]}


def test_columns_that_may_be_empty_are_those_of_the_design(database: Any) -> None:
    models = build_models(database)

    assert {
        f"{name_of(model)}.{name}"
        for model in models.created_here
        for name, field in model._meta.fields.items()
        if field.null
    } == {
        *["user.image", "account.password_hash", "session.user_id", "session.branch_before"],
        *["session.ip_address", "session.user_agent", "session.ended_at", "session.end_reason"],
        *["session.last_ip_address", "session.last_user_agent", "session.provider_sid"],
        *["revocation.session_id", "revocation.before"],
        *["one_time_token.user_id", "one_time_token.value", "one_time_token.used_at"],
        *["event.user_id", "event.session_id", "event.reason", "event.address"],
        *["event.user_agent", "event.method"],
    }


def names_of(models: Models) -> set[str]:
    """Return the names of tables and indexes, and of what PostgreSQL makes for them."""
    found: set[str] = set()
    for model in models.created_here:
        table = str(model._meta.table_name)
        found |= {table, f"{table}_pkey", f"{table}_id_seq"}
        found |= {str(index._name) for index in model._meta.fields_to_index()}
    return found


def test_names_with_the_longest_prefix_fit_every_database(database: Any) -> None:
    names = names_of(build_models(database, table_prefix="x" * 32))

    # PostgreSQL cuts at 63 and MariaDB refuses more than 64; from 65 on Peewee puts in a hash.
    assert max(map(len, names)) <= 63
    assert {name.replace("x" * 32, "") for name in names} == names_of(
        build_models(database, table_prefix="")
    )


def test_no_two_prefixes_give_one_name_to_two_things(database: Any) -> None:
    names = names_of(build_models(database, table_prefix=""))

    # A longer prefix could otherwise make of one name another: "x_" + "b" and "" + "x_b".
    assert not [(one, other) for one in names for other in names if one.endswith(f"_{other}")]


def test_mariadb_compares_ids_byte_by_byte() -> None:
    models = build_models(peewee.MySQLDatabase("app"))

    created, _ = models.session._schema._create_table(safe=False).query()

    assert "`id` VARCHAR(32) NOT NULL PRIMARY KEY COLLATE utf8mb4_bin" in created
    assert "`user_id` VARCHAR(64) COLLATE utf8mb4_bin" in created
    assert "`data` MEDIUMTEXT NOT NULL" in created
    assert created.endswith("ENGINE=InnoDB DEFAULT CHARSET=utf8mb4")


def test_counter_on_a_server_has_sixty_four_bits() -> None:
    models = build_models(peewee.MySQLDatabase("app"))

    assert type(models.revocation._meta.primary_key) is peewee.BigAutoField


def test_building_runs_no_query() -> None:
    unreachable = peewee.SqliteDatabase("/no/such/folder/app.db")

    build_models(unreachable)

    assert unreachable.is_closed()


def own_model(key: peewee.Field | None = None) -> Any:
    class Member(peewee.Model):
        number = key or peewee.AutoField()
        mail = peewee.CharField()

        class Meta:
            table_name = "member"

    return Member


@pytest.mark.parametrize(
    ("key", "column"),
    [
        (peewee.AutoField, peewee.IntegerField),
        (peewee.BigAutoField, peewee.BigIntegerField),
        (lambda: peewee.CharField(primary_key=True, max_length=9), peewee.CharField),
        (lambda: peewee.UUIDField(primary_key=True), peewee.UUIDField),
        (lambda: peewee.IntegerField(primary_key=True), peewee.IntegerField),
    ],
)
def test_users_are_named_by_a_plain_column_of_their_key_s_type(
    database: Any, key: Any, column: Any
) -> None:
    models = build_models(database, user_model=own_model(key()))

    for model, may_be_null in ((models.session, True), (models.account, False)):
        field = model._meta.fields["user_id"]
        assert type(field) is column
        assert (field.column_name, field.null, field.primary_key) == ("user_id", may_be_null, False)


def test_column_takes_neither_default_nor_constraint_of_the_key(database: Any) -> None:
    key: Any = peewee.UUIDField(
        primary_key=True, default=uuid4, constraints=[peewee.Check("number <> ''")]
    )

    field = build_models(database, user_model=own_model(key)).session._meta.fields["user_id"]

    assert (field.default, field.constraints) == (None, None)
    assert key.primary_key and key.default is uuid4, "the application's field stays what it was"


def test_own_model_s_table_is_the_application_s_to_create(database: Any) -> None:
    member = own_model()

    models = build_models(database, user_model=member, user_attributes={"email": "mail"})

    assert models.user is member
    assert member not in models.created_here
    assert models.user_fields["email"] is member.mail
    assert models.user_fields["name"] is None


def test_attribute_can_be_left_out(database: Any) -> None:
    models = build_models(database, user_model=own_model(), user_attributes={"email": None})

    assert models.user_fields["email"] is None


def test_unknown_attribute_is_told_those_there_are(database: Any) -> None:
    with pytest.raises(ConfigurationError, match="'post', which Member does not have; it has mail"):
        build_models(database, user_model=own_model(), user_attributes={"email": "post"})


class Pair(peewee.Model):
    one = peewee.IntegerField()
    two = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("one", "two")


class Keyless(peewee.Model):
    one = peewee.IntegerField()

    class Meta:
        primary_key = False


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Pair, "user_model Pair has a composite primary key; give a model with one"),
        (Keyless, "give a Peewee model class with a primary key"),
        (dict, "give a Peewee model class with a primary key"),
    ],
)
def test_model_without_one_key_is_refused(database: Any, model: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_models(database, user_model=model)

    assert message in str(caught.value)


def bound_model(database: Any) -> Any:
    member = own_model()
    member._meta.set_database(database)
    return member


def proxy_of(database: Any) -> Any:
    proxy = peewee.DatabaseProxy()
    if database is not None:
        proxy.initialize(database)
    return proxy


def test_model_behind_a_proxy_is_in_the_proxys_database(database: Any) -> None:
    member = bound_model(proxy_of(database))

    assert build_models(database, user_model=member).user is member


@pytest.mark.parametrize(
    "theirs", [None, proxy_of(None), peewee.SqliteDatabase(None), peewee.SqliteDatabase("./app.db")]
)
def test_model_that_is_or_may_come_to_be_in_the_database_is_taken(theirs: Any) -> None:
    member = bound_model(theirs)

    assert build_models(peewee.SqliteDatabase("app.db"), user_model=member).user is member
    assert member._meta.database is theirs, "the application's model stays what it was"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (peewee.SqliteDatabase(":memory:"), peewee.SqliteDatabase(":memory:")),
        (peewee.SqliteDatabase("shop.db"), peewee.SqliteDatabase("app.db")),
        (proxy_of(peewee.SqliteDatabase("shop.db")), peewee.SqliteDatabase("app.db")),
        (peewee.MySQLDatabase("app"), peewee.SqliteDatabase("app")),
        (peewee.PostgresqlDatabase("shop"), peewee.PostgresqlDatabase("app")),
    ],
)
def test_model_of_another_database_is_refused(theirs: Any, ours: Any) -> None:
    with pytest.raises(
        ConfigurationError, match="give the manager the database of the model"
    ) as caught:
        build_models(ours, user_model=bound_model(theirs))

    assert "user_model Member is bound to the database" in str(caught.value)
