"""Tables that are somebody else's are refused by name, before anything is written to them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import peewee
import pytest

from tests.support import NOW, make_session, make_user
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.errors import ConfigurationError, StoreUnavailableError
from wsgi_sessions.records import EndReason
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.models import build_models
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place

KEYS: dict[str, Callable[[], peewee.Field]] = {
    "auto": peewee.AutoField,
    "text": lambda: peewee.CharField(primary_key=True, max_length=40),
    "uuid": lambda: peewee.UUIDField(primary_key=True),
}


def user_model(place: Place, table: str = "member", key: str = "auto") -> Any:
    class Person(peewee.Model):
        id = KEYS[key]()
        email = peewee.CharField(unique=True, max_length=200)
        name = peewee.CharField(default="")

        class Meta:
            database = place.connections.database
            table_name = table

    place.connections.run(Person.create_table)
    return Person


def store_of(place: Place, **options: Any) -> Store:
    """Return a store such as another process, or another manager, has on the same database.

    One in memory is one connection, which all who use it share.
    """
    connections = place.connections
    connections.first_use.is_ready_for = None
    if place.kind != "sqlite-memory":
        connections = Connections(place.database)
    return Store(connections, build_models(connections.database, **options), FakeClock())


def run_sql(place: Place, sql: str) -> None:
    quote = place.connections.database.quote[0]
    place.connections.write(sql.replace('"', quote), ())


@pytest.fixture
def bare(place: Place) -> Place:
    """A database without any table of ours, and a place that will not make them by itself."""
    place.clear()
    return place


class TestAnotherUserModel:
    @pytest.mark.parametrize("first", [None, "auto", "text"])
    def test_second_one_over_the_same_tables_is_refused(self, bare: Place, first: Any) -> None:
        options = {} if first is None else {"user_model": user_model(bare, "customer", first)}
        bare.build(**options)
        bare.store.create_tables()
        theirs = bare.models.whose
        second = store_of(bare, user_model=user_model(bare, "staff"))

        uses: list[Callable[[], object]] = [
            *([] if bare.kind == "sqlite-memory" else [second.check_tables]),
            second.create_tables,
            lambda: second.sessions.find("nobody"),
            lambda: second.sessions.insert(make_session()),
            lambda: second.sessions.find("nobody"),
        ]
        for use in uses:
            with pytest.raises(ConfigurationError) as caught:
                use()
            for part in (theirs, "staff.id (integer)", "table_prefix", "wsgi_sessions_meta"):
                assert part in str(caught.value)

    def test_first_one_goes_on(self, bare: Place) -> None:
        customers = user_model(bare, "customer")
        bare.build(user_model=customers)
        bare.store.create_tables()
        user = bare.store.insert_user(make_user())
        with pytest.raises(ConfigurationError):
            store_of(bare, user_model=user_model(bare, "staff")).create_tables()

        assert store_of(bare, user_model=customers).users.find(user.id) is not None

    def test_one_key_that_became_another_is_refused(self, bare: Place) -> None:
        bare.build(user_model=user_model(bare, "customer"))
        bare.store.create_tables()
        run_sql(bare, "DROP TABLE customer")
        changed = store_of(bare, user_model=user_model(bare, "customer", "uuid"))

        with pytest.raises(ConfigurationError, match=r"customer\.id \(integer\).*\(uuid\)"):
            changed.create_tables()

    def test_a_prefix_of_its_own_is_the_remedy(self, bare: Place) -> None:
        bare.store.create_tables()
        staff = user_model(bare, "staff")
        second = store_of(bare, user_model=staff, table_prefix="staff_")
        second.create_tables()

        user = second.insert_user(make_user())

        assert second.users.find(user.id) is not None
        assert bare.store.users.find_by_email("ada@example.org") is None

    def test_the_same_table_by_another_class_is_the_same(self, bare: Place) -> None:
        bare.build(user_model=user_model(bare))
        bare.store.create_tables()
        user = bare.store.insert_user(make_user())

        again = store_of(bare, user_model=user_model(bare))
        again.create_tables()

        assert again.users.find(user.id) is not None

    def test_who_has_moved_deletes_the_row(self, bare: Place) -> None:
        bare.build(user_model=user_model(bare, "customer"))
        bare.store.create_tables()
        run_sql(bare, """DELETE FROM wsgi_sessions_meta WHERE name = 'user_model'""")

        store_of(bare, user_model=user_model(bare, "person")).create_tables()

        assert bare.store.meta.read("user_model") == "person.id (integer)"

    def test_key_of_another_kind_is_told_without_the_row_too(self, bare: Place) -> None:
        bare.build(user_model=user_model(bare, "customer"))
        bare.store.create_tables()
        run_sql(bare, """DELETE FROM wsgi_sessions_meta WHERE name = 'user_model'""")

        with pytest.raises(ConfigurationError, match=r"user_id of the table wsgi_sessions_\w+ is"):
            store_of(bare, user_model=user_model(bare, "person", "text")).create_tables()


class TestEmptyTables:
    """Tables that are there, of which nothing says yet whose they are."""

    @pytest.fixture
    def empty(self, bare: Place) -> Place:
        bare.build(user_model=user_model(bare, "customer"))
        bare.store.create_tables()
        run_sql(bare, """DELETE FROM wsgi_sessions_meta WHERE name = 'user_model'""")
        return bare

    USES: ClassVar[dict[str, Callable[[Store], object]]] = {
        "find_session": lambda store: store.sessions.find("nobody"),
        "list_sessions": lambda store: store.sessions.list_live(1, NOW),
        "insert_session": lambda store: store.sessions.insert(make_session()),
        "end_session": lambda store: store.session_ends.end(
            "nobody", reason=EndReason.REVOKED, now_ms=NOW
        ),
        "find_user": lambda store: store.users.find(1),
        "find_user_by_email": lambda store: store.users.find_by_email("ada@example.org"),
        "insert_user": lambda store: store.insert_user(make_user()),
        "find_revocations": lambda store: store.revocations.find(NOW),
        "insert_attempt": lambda store: store.attempts.insert("a" * 24, ["key"], now_ms=NOW),
        "delete_user": lambda store: store.delete_user(1, now_ms=NOW, skew_ms=0),
    }

    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_whose_they_are_is_written_by_a_first_use_of_any_kind(
        self, empty: Place, use: Callable[[Store], object]
    ) -> None:
        use(store_of(empty, user_model=user_model(empty, "customer")))

        with pytest.raises(ConfigurationError, match=r"sessions of customer\.id"):
            use(store_of(empty, user_model=user_model(empty, "staff")))

    @pytest.mark.parametrize("is_undone", [False, True])
    def test_whose_they_are_goes_with_the_applications_transaction(
        self, empty: Place, is_undone: bool
    ) -> None:
        if empty.kind.startswith("sqlite"):
            return  # a database of the application's own
        app_connections = Connections(Connections(empty.database).database)
        models = build_models(app_connections.database, user_model=user_model(empty, "customer"))
        customers = Store(app_connections, models, FakeClock())
        with app_connections.database.atomic() as transaction:
            customers.sessions.insert(make_session(user_id=1))
            if is_undone:
                transaction.rollback()
        app_connections.database.close()
        staff = store_of(empty, user_model=user_model(empty, "staff"))

        if not is_undone:
            with pytest.raises(ConfigurationError, match=r"sessions of customer\.id"):
                staff.sessions.find("session-1")
            return
        assert staff.sessions.find("session-1") is None
        with pytest.raises(ConfigurationError, match=r"sessions of staff\.id"):
            customers.sessions.find("session-1")
        app_connections.database.close()


class TestSomebodyElsesTable:
    def refuse(self, place: Place, *parts: str) -> None:
        store = store_of(place)
        uses: list[Callable[[], object]] = [
            *([] if place.kind == "sqlite-memory" else [store.check_tables]),
            store.create_tables,
            lambda: store.sessions.find("nobody"),
            lambda: store.sessions.insert(make_session()),
        ]
        for use in uses:
            with pytest.raises(ConfigurationError) as caught:
                use()
            for part in (*parts, "table_prefix"):
                assert part in str(caught.value)

    @pytest.mark.parametrize("table", ["user", "account", "session", "revocation", "meta"])
    def test_without_our_columns(self, bare: Place, table: str) -> None:
        run_sql(bare, f'CREATE TABLE "wsgi_sessions_{table}" ("theirs" INTEGER)')

        self.refuse(bare, f"the table wsgi_sessions_{table} has no column ")

    def test_nothing_is_made_beside_it(self, bare: Place) -> None:
        if bare.kind == "sqlite-memory":
            return  # reading the names of tables would be its first use
        run_sql(bare, 'CREATE TABLE "wsgi_sessions_session" ("id" VARCHAR(32))')

        with pytest.raises(ConfigurationError):
            store_of(bare).create_tables()

        tables: list[str] = []
        bare.connections.run(lambda: tables.extend(bare.connections.database.get_tables()))
        assert [name for name in tables if name.startswith("wsgi")] == ["wsgi_sessions_session"]

    def test_with_a_column_less(self, place: Place) -> None:
        place.store.create_tables()
        run_sql(place, 'ALTER TABLE "wsgi_sessions_session" DROP COLUMN "user_agent"')

        self.refuse(place, "wsgi_sessions_session has no column user_agent")

    def test_with_a_column_that_we_never_give(self, bare: Place) -> None:
        more = '"theirs" INTEGER NOT NULL, "free" INTEGER, "preset" INTEGER NOT NULL DEFAULT 1'
        run_sql(
            bare,
            'CREATE TABLE "wsgi_sessions_meta" '
            f'("name" VARCHAR(64) PRIMARY KEY, "value" VARCHAR(512), {more})',
        )

        self.refuse(bare, "wsgi_sessions_meta has a column theirs")

    def test_with_a_column_that_takes_no_null(self, bare: Place) -> None:
        run_sql(
            bare,
            'CREATE TABLE "wsgi_sessions_revocation" ("id" BIGINT PRIMARY KEY, '
            '"session_id" VARCHAR(32) NOT NULL, "before" BIGINT, "created_at" BIGINT NOT NULL)',
        )

        self.refuse(bare, "the column session_id of the table wsgi_sessions_revocation", "NULL")

    def test_with_a_column_that_the_server_fills(self, server: Place) -> None:
        server.store.create_tables()
        run_sql(server, 'ALTER TABLE "wsgi_sessions_session" DROP COLUMN "generation"')
        run_sql(
            server,
            'ALTER TABLE "wsgi_sessions_session" ADD COLUMN "generation" INTEGER '
            "GENERATED ALWAYS AS (1) STORED",
        )

        with pytest.raises(ConfigurationError, match="generation"):
            store_of(server).sessions.insert(make_session())

    def test_with_a_column_of_another_kind(self, bare: Place) -> None:
        run_sql(
            bare,
            'CREATE TABLE "wsgi_sessions_meta" ("name" INTEGER PRIMARY KEY, "value" VARCHAR(512))',
        )

        self.refuse(bare, "the column name of the table wsgi_sessions_meta is ", "VARCHAR(64)")

    @pytest.mark.parametrize("created_at", ["INTEGER", "VARCHAR(40)", "TIMESTAMP"])
    def test_with_instants_that_do_not_fit(self, bare: Place, created_at: str) -> None:
        run_sql(
            bare,
            'CREATE TABLE "wsgi_sessions_attempt" '
            f'("id" VARCHAR(32) PRIMARY KEY, "key" VARCHAR(64), "created_at" {created_at} NULL)',
        )
        if not bare.connections.dialect.is_server and created_at == "INTEGER":
            store_of(bare).create_tables()
            return

        self.refuse(bare, "the column created_at of the table wsgi_sessions_attempt is")

    def test_that_is_a_view(self, place: Place) -> None:
        place.store.create_tables()
        run_sql(place, 'ALTER TABLE "wsgi_sessions_session" RENAME TO "elsewhere"')
        run_sql(place, 'CREATE VIEW "wsgi_sessions_session" AS SELECT * FROM "elsewhere"')

        self.refuse(place, "wsgi_sessions_session is no table but a view")

    def test_users_of_the_application_without_a_column_that_was_named(self, bare: Place) -> None:
        member = user_model(bare)
        run_sql(bare, 'ALTER TABLE "member" DROP COLUMN "name"')

        with pytest.raises(ConfigurationError, match="the table member has no column name"):
            store_of(bare, user_model=member).create_tables()

    def test_users_of_the_application_may_be_a_view(self, bare: Place) -> None:
        member = user_model(bare)
        run_sql(bare, 'ALTER TABLE "member" RENAME TO "elsewhere"')
        run_sql(bare, 'CREATE VIEW "member" AS SELECT * FROM "elsewhere"')

        store_of(bare, user_model=member).create_tables()

    def test_that_lost_a_column_while_we_ran(self, place: Place) -> None:
        assert place.store.sessions.find("nobody") is None
        run_sql(place, 'ALTER TABLE "wsgi_sessions_session" DROP COLUMN "user_agent"')

        with pytest.raises(ConfigurationError, match="user_agent"):
            place.store.sessions.find("nobody")
        with pytest.raises(ConfigurationError, match="user_agent"):
            place.store.sessions.insert(make_session())

    def test_that_is_missing_is_told_and_looked_for_again(self, place: Place) -> None:
        if place.kind != "app-database":
            return  # a database of our own gets it
        store = store_of(place)
        run_sql(place, 'ALTER TABLE "wsgi_sessions_session" RENAME TO "elsewhere"')
        with pytest.raises(StoreUnavailableError, match="call manager.create_tables"):
            store.sessions.find("nobody")

        run_sql(place, 'CREATE TABLE "wsgi_sessions_session" ("theirs" INTEGER)')

        with pytest.raises(ConfigurationError, match="wsgi_sessions_session has no column"):
            store.sessions.find("nobody")


class TestWithinTheApplicationsTransaction:
    def test_first_use_checks_and_breaks_nothing(self, server: Place) -> None:
        server.store.create_tables()
        app_connections = Connections(Connections(str(server.database)).database)
        store = Store(app_connections, build_models(app_connections.database), FakeClock())
        with app_connections.database.atomic():
            store.sessions.insert(make_session())

            assert store.sessions.find("session-1") == (make_session(), None)
        app_connections.database.close()

    def test_missing_tables_leave_it_open(self, server: Place) -> None:
        app_connections = Connections(Connections(str(server.database)).database)
        store = Store(app_connections, build_models(app_connections.database), FakeClock())
        with app_connections.database.atomic():
            store.check_tables()

            assert app_connections.read_row("SELECT 1", ()) == (1,)
        app_connections.database.close()


def test_what_is_there_is_read_in_one_statement(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.store.create_tables()
    sent: list[str] = []
    second = store_of(place)
    connections = second._connections
    read_rows = connections.read_rows_once

    def read_and_note(sql: str, parameters: Any) -> list[Any]:
        sent.append(sql)
        return read_rows(sql, parameters)

    monkeypatch.setattr(connections, "read_rows_once", read_and_note)

    second.sessions.list_live("nobody", NOW)
    second.sessions.list_live("nobody", NOW)

    looked_up = [sql for sql in sent if "pg_class" in sql or "_schema" in sql or "_master" in sql]
    assert len(looked_up) <= 1


class TestAtStart:
    """What a server sees that loads an application: ``SessionMiddleware(app, manager)``."""

    def start(self, database: Any, **settings: Any) -> Any:
        manager = SessionManager(database, secret="s0123456789abcdef" * 2, **settings)
        SessionMiddleware(lambda _environ, _start_response: [], manager)
        return manager

    def test_table_of_somebody_else_stops_it(self, bare: Place) -> None:
        if bare.kind == "sqlite-memory":
            return  # nobody else's
        run_sql(bare, 'CREATE TABLE "wsgi_sessions_session" ("theirs" INTEGER)')

        with pytest.raises(ConfigurationError, match="wsgi_sessions_session has no column"):
            self.start(bare.database)

    def test_second_user_model_stops_it(self, bare: Place) -> None:
        if bare.kind == "sqlite-memory":
            return
        customers, staff = user_model(bare, "customer"), user_model(bare, "staff")
        first = SessionManager(
            bare.connections.database, secret="s0123456789abcdef" * 2, user_model=customers
        )
        first.create_tables()

        with pytest.raises(ConfigurationError, match="sessions of customer.id"):
            self.start(bare.connections.database, user_model=staff)

    @pytest.mark.parametrize("is_made", [False, True])
    def test_second_user_model_over_empty_tables_stops_it(self, bare: Place, is_made: bool) -> None:
        if bare.kind == "sqlite-memory":
            return
        customers, staff = user_model(bare, "customer"), user_model(bare, "staff")
        database = bare.connections.database
        if is_made:
            bare.build(user_model=customers)
            bare.store.create_tables()
            run_sql(bare, """DELETE FROM wsgi_sessions_meta WHERE name = 'user_model'""")
        first = self.start(database, user_model=customers)

        with pytest.raises(ConfigurationError, match=r"sessions of customer\.id.*this process"):
            self.start(database, user_model=staff)
        self.start(database, user_model=staff, table_prefix="staff_")
        self.start(database, user_model=customers)

        first.create_tables()
        assert first.parts.store.meta.read("user_model") == "customer.id (integer)"

    def test_another_one_may_follow_one_that_is_gone(self, bare: Place) -> None:
        if bare.kind == "sqlite-memory":
            return
        customers, staff = user_model(bare, "customer"), user_model(bare, "staff")
        self.start(bare.connections.database, user_model=customers)
        gc.collect()

        self.start(bare.connections.database, user_model=staff)

    def test_no_table_is_made_and_no_connection_stays(self, bare: Place) -> None:
        manager = self.start(bare.database)

        assert manager.database.is_closed()
        tables: list[str] = []
        bare.connections.run(lambda: tables.extend(bare.connections.database.get_tables()))
        assert [name for name in tables if name.startswith("wsgi")] == []

    @pytest.mark.parametrize("is_of_app", [False, True])
    def test_no_file_is_made(self, tmp_path: Path, is_of_app: bool) -> None:
        file = tmp_path / "not-yet.db"

        self.start(peewee.SqliteDatabase(str(file)) if is_of_app else f"sqlite:///{file}")

        assert not file.exists()

    def test_database_that_is_away_is_waited_for_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []

        def away(_store: Store) -> None:
            asked.append(1)
            raise StoreUnavailableError("away")

        monkeypatch.setattr(Store, "check_tables", away)
        for _ in range(3):
            self.start("postgresql://nobody@127.0.0.1:1/waited_for_once")

        assert asked == [1]

    @pytest.mark.parametrize(
        "url",
        [
            "sqlite:////no/such/folder/app.db",
            "postgresql://nobody@127.0.0.1:1/app",
            "mysql://nobody@127.0.0.1:1/app",
        ],
    )
    def test_database_that_is_away_stops_nothing(self, url: str) -> None:
        manager = self.start(url)

        with pytest.raises(StoreUnavailableError):
            manager.parts.store.sessions.find("nobody")
