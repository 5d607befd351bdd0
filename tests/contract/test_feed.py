"""Reading the feed on every database: in one snapshot, by an index, late rows too."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import NOW, make_user
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.meta import DATABASE_SECRET
from wsgi_sessions.storage.models import build_models
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place, open_place, wait_for_nodes
from .test_copies import SHARED, Site, _closing  # noqa: F401  a fixture

BUCKET_MS = 10_000
WHOLE = ("SCAN", "Seq Scan on")
"""How the plans say that all of a table is read."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=SHARED)
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Place]:
    with open_place(request.param, tmp_path) as place:
        yield place


def add(store: Store, count: int, *, now_ms: int, name: str = "session") -> None:
    store.revocations.insert_many([f"{name}-{n}" for n in range(count)], now_ms=now_ms)


# What a statement gives


def test_oldest_rows_are_given_first_and_all_are_counted(store: Store) -> None:
    store.meta.write_once(DATABASE_SECRET, "d" * 43)
    for session_id, at_ms in (("new", NOW), ("old", NOW - 5), ("older", NOW - 9)):
        store.revocations.insert(session_id, now_ms=at_ms)

    page = store.revocations.find(NOW - 5, until_ms=NOW + 1, limit=1)
    assert [row[0] for row in page.rows] == ["old"]
    assert (page.row_count, page.database_secret) == (2, "d" * 43)
    assert [row[0] for row in store.revocations.find(NOW - 9, until_ms=NOW).rows] == [
        "older",
        "old",
    ]


def test_newer_rows_begin_with_the_one_that_is_named(store: Store) -> None:
    store.meta.write_once(DATABASE_SECRET, "d" * 43)
    add(store, 5, now_ms=NOW)
    store.revocations.insert("too-old", now_ms=NOW - 1)
    rows = store.revocations.find(NOW).rows

    page = store.revocations.find_newer(rows[1][3], since_ms=NOW, limit=3)
    assert page.rows == rows[1:4]
    assert page.row_count == 5


def test_rows_are_counted_by_time(store: Store) -> None:
    start_ms = NOW // BUCKET_MS * BUCKET_MS
    for at_ms in (start_ms - 1, start_ms, start_ms + BUCKET_MS - 1, start_ms + 3 * BUCKET_MS):
        store.revocations.insert(f"at-{at_ms}", now_ms=at_ms)

    assert store.revocations.count_by_time(start_ms, width_ms=BUCKET_MS) == {
        start_ms: 2,
        start_ms + 3 * BUCKET_MS: 1,
    }


def test_without_a_secret_nothing_is_counted(store: Store) -> None:
    add(store, 1, now_ms=NOW)
    page = store.revocations.find(NOW)
    assert (len(page.rows), page.row_count, page.database_secret) == (1, None, None)


# What requests find


def counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the statements of a site."""
    statements: list[str] = []
    send = Connections._send

    def noted(self: Connections, connection: Any, sql: str, *given: Any) -> Any:
        if self is site.manager.parts.connections:
            statements.append(sql)
        return send(self, connection, sql, *given)

    monkeypatch.setattr(Connections, "_send", noted)
    return statements


def test_cached_requests_send_one_statement_in_a_lag(
    shared: Place, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.store.insert_user(make_user(), None)
    site = Site(shared, clock)
    cookies = site.sign_in()
    assert site.is_from_copy(cookies)
    statements = counted(site, monkeypatch)
    for number in range(3):
        clock.advance(seconds=1)
        add(shared.store, 100, now_ms=clock.now_ms(), name=f"others-{number}")
        assert site.is_from_copy(cookies)
        assert site.is_from_copy(cookies)
    assert len(statements) == 3


def test_thousands_of_revocations_sign_nobody_else_out(shared: Place, clock: FakeClock) -> None:
    for user_id in ("user-1", "user-2"):
        shared.store.insert_user(make_user(user_id, email=f"{user_id}@example.org"), None)
    site = Site(shared, clock)
    cookies, ended = site.sign_in("user-1"), site.sign_in("user-2")
    assert site.is_from_copy(cookies) and site.is_from_copy(ended)
    clock.advance(seconds=1)
    add(shared.store, 2500, now_ms=clock.now_ms())
    Site(shared, clock).manager.revoke_all_sessions("user-2")

    told = [site.is_from_copy(cookies) for _ in range(3)]
    assert told == [False, False, True], "the database is asked until all is read"
    assert site.get(cookies) == "user-1"
    assert site.get(ended) == "None"


@contextmanager
def open_transaction(place: Place) -> Generator[Any]:
    """Give a store of another connection, within a transaction; it is committed at the end."""
    connections = Connections(place.database)
    store = Store(connections, build_models(connections.database), FakeClock())
    assert store.meta.read("nothing") is None
    with connections.database.connection_context(), connections.database.atomic():
        yield store
    connections.close()


def test_row_that_is_committed_after_a_later_one_is_found(server: Place, clock: FakeClock) -> None:
    site = Site(server, clock)
    feed = site.manager.parts.feed
    with open_transaction(server) as late:
        late.revocations.insert("late", now_ms=clock.now_ms())
        server.store.revocations.insert("sooner", now_ms=clock.now_ms())
        wait_for_nodes()
        reading = feed.current()
        assert reading is not None
        assert reading.is_revoked("sooner", 0) and not reading.is_revoked("late", 0)
    clock.advance(seconds=1)
    wait_for_nodes()

    reading = feed.current()
    assert reading is not None
    assert reading.is_revoked("late", 0)


# How they are found


def test_feed_is_read_by_its_indexes(place: Place) -> None:
    store = place.store
    store.meta.write_once(DATABASE_SECRET, "d" * 43)
    for number in range(40):
        add(store, 200, now_ms=NOW - number * BUCKET_MS, name=f"at-{number}")
    runner, table = store._runner, place.models.revocation._meta.table_name
    if place.kind in ("postgres", "cockroach"):
        runner.connections.database.execute_sql(f"ANALYZE {table}")
    values = {"since": NOW, "until": NOW + 1, "limit": 1000, "row_id": 7900, "width": BUCKET_MS}
    revocations = store.revocations
    for statement in (revocations._find, revocations._find_newer, revocations._count_by_time):
        for step in _explained(place, statement, values):
            text = str(step)
            if place.kind == "mariadb" and step[2] in ("t1", "t2"):
                assert step[3] == "range", text
            assert not any(f"{word} {name}" in text for word in WHOLE for name in (table, "t1"))


def _explained(place: Place, statement: Any, values: dict[str, Any]) -> list[Any]:
    explain = "EXPLAIN" if place.connections.dialect.is_server else "EXPLAIN QUERY PLAN"
    return place.connections.read_rows(f"{explain} {statement.sql}", statement.fill(values))
