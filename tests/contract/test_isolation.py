"""Roles and databases of PostgreSQL whose transactions see the rows of their first statement."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

from tests.support import NOW, WAIT_SECONDS, change_of, in_parallel, make_session, make_user
from wsgi_sessions import SessionManager
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.records import EndReason, ReadOptions, RequestFacts
from wsgi_sessions.sessions.tokens import new_branch
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.models import build_models
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place, fresh_server_database, run_on_server, stored_session
from .stores import create_session

CHANGE = change_of(make_session(), generation=1, branch="Branch-1", last_seen_at_ms=NOW + 1)
OTHERS = "UPDATE wsgi_sessions_session SET last_seen_at = last_seen_at + 5 WHERE id = 'session-1'"


@pytest.fixture(params=["repeatable read", "serializable"])
def strict(request: pytest.FixtureRequest) -> Generator[Place]:
    """A database whose transactions are strict unless they say otherwise."""
    with fresh_server_database("postgres") as url:
        name = urlsplit(url).path[1:]
        run_on_server(
            "postgres",
            f"ALTER DATABASE {name} SET default_transaction_isolation = '{request.param}'",
        )
        place = Place("postgres", url)
        try:
            yield place
        finally:
            place.connections.close()


@pytest.fixture
def app_store(strict: Place) -> Iterator[Store]:
    connections = Connections(Connections(str(strict.database)).database)
    strict.store.create_tables()
    yield Store(connections, build_models(connections.database), FakeClock())
    if not connections.database.is_closed():
        connections.database.close()


@contextmanager
def others_hold_the_row(place: Place) -> Iterator[None]:
    """Change the session's row in another transaction, and commit once somebody waits for it."""
    with psycopg.connect(str(place.database), autocommit=False) as connection:
        connection.execute(OTHERS)

        def commit_when_waited_for() -> None:
            waiting = """
                SELECT count(*) FROM pg_stat_activity
                WHERE wait_event_type = 'Lock' AND datname = current_database()
            """
            with psycopg.connect(str(place.database), autocommit=True) as watch:
                until = time.monotonic() + WAIT_SECONDS
                while time.monotonic() < until:
                    row = watch.execute(waiting.encode()).fetchone()
                    if row is not None and row[0]:
                        break
                    time.sleep(0.01)
            connection.commit()

        thread = threading.Thread(target=commit_when_waited_for)
        thread.start()
        try:
            yield
        finally:
            thread.join(WAIT_SECONDS)


@pytest.mark.parametrize("in_app_database", [False, True])
class TestAlone:
    def test_change_that_came_second_is_told_so(
        self, strict: Place, app_store: Store, in_app_database: bool
    ) -> None:
        judged = make_session()
        strict.store.sessions.insert(judged)
        store = app_store if in_app_database else strict.store
        with others_hold_the_row(strict):
            assert store.sessions.apply(judged, CHANGE) is False

        assert stored_session(strict.store).generation == 0
        assert store.sessions.apply(stored_session(strict.store), CHANGE) is True

    def test_end_of_what_was_judged_is_told_so(
        self, strict: Place, app_store: Store, in_app_database: bool
    ) -> None:
        judged = make_session()
        strict.store.sessions.insert(judged)
        store = app_store if in_app_database else strict.store
        with others_hold_the_row(strict):
            assert not store.session_ends.end(
                "session-1", reason=EndReason.REPLAYED, now_ms=NOW, judged=judged
            )

        assert stored_session(strict.store).ended_at_ms is None

    def test_sign_out_ends_it_whoever_touched_it(
        self, strict: Place, app_store: Store, in_app_database: bool
    ) -> None:
        strict.store.sessions.insert(make_session())
        store = app_store if in_app_database else strict.store
        with others_hold_the_row(strict):
            assert store.session_ends.end("session-1", reason=EndReason.SIGNED_OUT, now_ms=NOW)

    def test_data_is_merged_whoever_touched_it(
        self, strict: Place, app_store: Store, in_app_database: bool
    ) -> None:
        strict.store.sessions.insert(make_session())
        store = app_store if in_app_database else strict.store
        with others_hold_the_row(strict):
            assert store.sessions.merge_data("session-1", {"a": "1"}, known=("{}", 0)) == (
                '{"a":1}',
                1,
            )


def test_sign_ins_at_once_keep_the_limit(strict: Place) -> None:
    strict.store.insert_user(make_user())

    def sign_in(number: int) -> None:
        record = make_session(f"session-{number}", user_id="user-1")
        create_session(strict.store, record, maximum_sessions=2)

    in_parallel(sign_in, 8)

    assert len(strict.store.sessions.list_live("user-1", NOW)) == 2


class TestWithinTheApplicationsTransaction:
    def test_what_it_does_not_see_is_told_and_breaks_nothing(
        self, strict: Place, app_store: Store
    ) -> None:
        strict.store.sessions.insert(make_session())
        with app_store._connections.database.atomic():
            judged = stored_session(app_store)
            strict.connections.write(OTHERS, ())

            assert app_store.sessions.apply(judged, CHANGE) is False
            assert not app_store.session_ends.end(
                "session-1", reason=EndReason.REPLAYED, now_ms=NOW, judged=judged
            )
            assert stored_session(app_store) == judged

        assert stored_session(strict.store).ended_at_ms is None

    def test_sign_out_of_what_changed_is_for_the_application_to_repeat(
        self, strict: Place, app_store: Store
    ) -> None:
        strict.store.sessions.insert(make_session())
        with app_store._connections.database.atomic():
            stored_session(app_store)
            strict.connections.write(OTHERS, ())

            with pytest.raises(StoreUnavailableError):
                app_store.session_ends.end("session-1", reason=EndReason.SIGNED_OUT, now_ms=NOW)
            assert stored_session(app_store).ended_at_ms is None


def test_session_that_others_have_ended_is_not_confirmed(server: Place) -> None:
    """MariaDB would show the application's transaction the session as it was before."""
    theirs = SessionManager(server.database, secret="s0123456789abcdef" * 2)
    ours = SessionManager(server.connections.database, secret="s0123456789abcdef" * 2)
    server.store.insert_user(make_user())
    made = theirs.sign_in("user-1")
    token = theirs.parts.signer.read(made.token or "")
    assert token is not None and made.session is not None
    offered = theirs.parts.signer.write(token.secret, 1, new_branch())
    header = f"__Host-session_token={offered}"
    facts = RequestFacts("192.0.2.1", None, is_https=True, method="GET", path="/")

    with server.connections.database.atomic():
        assert ours.get_session({"Cookie": header}) is not None
        assert theirs.revoke_session(made.session.id)
        presented = ours.parts.cookies.read(header, is_secure=True)
        found = ours.parts.validator.validate(presented, facts=lambda: facts, options=ReadOptions())

    assert (found.session, found.end_reason) == (None, "revoked")
    theirs.close()


@pytest.mark.parametrize("number", [0, 1], ids=["deadlock", "row changed"])
@pytest.mark.parametrize(("failures", "tells"), [(3, True), (100, None)])
def test_statement_that_the_server_undid_is_sent_again(
    server: Place, monkeypatch: pytest.MonkeyPatch, number: int, failures: int, tells: Any
) -> None:
    server.store.sessions.insert(make_session())
    write, left = server.connections.write, [failures]
    error: Exception = (
        pymysql.OperationalError((1213, 1020)[number], "undone")
        if server.kind == "mariadb"
        else psycopg.errors.lookup(("40P01", "40001")[number])("undone")
    )

    def undone(sql: str, parameters: Any) -> int:
        if left[0]:
            left[0] -= 1
            raise StoreUnavailableError("undone") from error
        return write(sql, parameters)

    monkeypatch.setattr(server.connections, "write", undone)

    if tells is None:
        with pytest.raises(StoreUnavailableError):
            server.store.sessions.apply(make_session(), CHANGE)
        assert left[0] > failures - 20
    else:
        assert server.store.sessions.apply(make_session(), CHANGE) is tells
