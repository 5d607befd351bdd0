"""What a forked child finds: no lock that a thread of its parent held, and no connection.

Each fork is made twice: with the hooks of Python, and as a server in C makes it, without any.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import peewee
import pytest
from playhouse.db_url import connect as database_from_url
from playhouse.pool import PooledMySQLDatabase, PooledPostgresqlDatabase

from tests.contract.databases import CONNECTION_ID, fresh_url
from wsgi_sessions import (
    PasswordConfig,
    SessionManager,
    SocialProvider,
    StoreUnavailableError,
)
from wsgi_sessions.accounts.oidc.provider_keys import KeyStore
from wsgi_sessions.accounts.passwords import PasswordHasher
from wsgi_sessions.clock import SystemClock
from wsgi_sessions.events import Events
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions_testing import CHEAP_PASSWORDS

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)
WAIT_SECONDS = 20
FORKS: dict[str, Callable[[], int]] = {
    "hooks": os.fork,
    "bare": lambda: int(ctypes.PyDLL(None).fork()),
}
HOLDERS: dict[str, tuple[Callable[[SessionManager], Any], Callable[[SessionManager], Any]]] = {
    "feed": (lambda m: m.parts.feed._lock, lambda m: m.parts.feed.current() is not None),
    "purger": (lambda m: m.parts.purger._lock, lambda m: purge(m)),
    "passwords": (
        lambda m: m.parts.accounts.hasher._place(),
        lambda m: m.parts.accounts.hasher.hash("correct horse"),
    ),
    "throttle": (
        lambda m: m.parts.throttle._lock,
        lambda m: note_a_try(m),
    ),
}


def purge(manager: SessionManager) -> bool:
    manager.parts.purger.rest_ms = range(0)
    manager.parts.purger.purge_if_due()
    return len(manager.parts.purger.rest_ms) > 0


def note_a_try(manager: SessionManager) -> bool:
    manager.parts.throttle._note(["key"], 1)
    return True


def child_says(work: Callable[[], str], fork: str) -> str:
    """Return what work says in a child of this process; nothing if it does not end."""
    read_end, write_end = os.pipe()
    pid: int = FORKS[fork]()
    if pid == 0:
        try:
            os.write(write_end, work().encode())
        except BaseException as error:
            os.write(write_end, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        is_over = bool(select.select([pipe], [], [], WAIT_SECONDS)[0])
        if not is_over:
            os.kill(pid, 9)
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def child_gets_there(work: Callable[[], Any], fork: str) -> bool:
    """Tell whether work that needs a lock is done in a child of this process."""
    return child_says(lambda: "done" if work() else "refused", fork) == "done"


@pytest.fixture(params=FORKS)
def fork(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.mark.parametrize("name", HOLDERS)
def test_lock_held_by_a_thread_of_the_parent_is_free_in_the_child(
    name: str, fork: str, tmp_path: Any
) -> None:
    lock_of, use = HOLDERS[name]
    manager = SessionManager(
        f"sqlite:///{tmp_path}/forked.db",
        secret="x0123456789abcdef" * 2,
        password={**CHEAP_PASSWORDS, "max_parallel": 1, "max_waiting": 0},
    )
    manager.create_tables()
    lock: AbstractContextManager[Any] = lock_of(manager)

    with lock:
        assert child_gets_there(lambda: use(manager), fork)

    manager.close()


def test_child_reads_of_the_feed_what_its_parent_did_not_know(fork: str, tmp_path: Any) -> None:
    manager = SessionManager(
        f"sqlite:///{tmp_path}/forked.db",
        secret="x0123456789abcdef" * 2,
        password=CHEAP_PASSWORDS,
        cookie_cache=True,
        revocation_lag=0,
    )
    feed, revocations = manager.parts.feed, manager.parts.store.revocations

    def revoke(session_id: str) -> None:
        revocations.insert(session_id, now_ms=manager.parts.clock.now_ms())

    def known() -> str:
        reading = feed.current()
        assert reading is not None
        return ", ".join(sorted(reading.session_ids))

    revoke("before")
    assert known() == "before"
    revoke("meanwhile")

    assert child_says(known, fork) == "before, meanwhile"
    assert known() == "before, meanwhile"

    manager.close()


def test_keys_being_fetched_in_the_parent_are_fetched_in_the_child(
    fork: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SystemClock()
    provider = SocialProvider(
        name="theirs",
        client_ids=("us",),
        issuers=("https://id.example.org",),
        jwks_url="https://id.example.org/keys",
    )
    keys = KeyStore(provider, clock, Events(clock))
    fetched = {"keys": [{"kid": "a", "kty": "RSA"}]}
    monkeypatch.setattr("wsgi_sessions.accounts.oidc.fetching.fetch_json", lambda *given: fetched)

    with keys._lock:
        assert child_gets_there(lambda: keys.find("a", now_ms=clock.now_ms()), fork)


def test_what_is_gone_is_not_renewed(fork: str) -> None:
    hasher = PasswordHasher(PasswordConfig(max_parallel=1))
    del hasher

    assert child_gets_there(lambda: True, fork)


# Connections

ASK = {**CONNECTION_ID, "sqlite": "SELECT 1"}
POOLS = {"postgres": PooledPostgresqlDatabase, "mariadb": PooledMySQLDatabase}


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    named: str = request.param
    return named


@pytest.fixture
def url(kind: str, tmp_path: Path) -> Iterator[str]:
    with fresh_url(kind, tmp_path) as url:
        yield url


def app_database(url: str) -> Any:
    return database_from_url(url.replace("postgresql:", "psycopg3:"))


def connection_of(connections: Connections, kind: str) -> str:
    """Tell which connection a statement goes over, by the server's word where there is one."""
    seen: list[str] = []

    def look() -> None:
        row = connections.database.execute_sql(ASK[kind]).fetchone()
        own = id(connections.database.connection())
        seen.append(str(own if kind == "sqlite" else row[0]))

    connections.run(look)
    return seen[0]


@pytest.mark.parametrize("is_of_app", [False, True], ids=["owned", "app"])
def test_child_uses_a_connection_of_its_own(
    url: str, kind: str, fork: str, is_of_app: bool
) -> None:
    connections = Connections(app_database(url) if is_of_app else url)
    if is_of_app:
        connections.database.connect()
    parents = connection_of(connections, kind)

    def in_child() -> str:
        own = connection_of(connections, kind)
        again = connection_of(connections, kind)
        connections.database.close()
        gc.collect()
        return f"{own != parents} {own == again}"

    assert child_says(in_child, fork) == "True True"
    assert connection_of(connections, kind) == parents, "nobody has closed it"
    connections.database.close()


@pytest.mark.parametrize("is_of_app", [False, True], ids=["owned", "app"])
def test_child_whose_threads_come_first_uses_no_connection_of_the_parent(
    url: str, kind: str, fork: str, is_of_app: bool
) -> None:
    """The thread that was forked comes by only after another has noticed the fork."""
    connections = Connections(app_database(url) if is_of_app else url)
    if is_of_app:
        connections.database.connect()
    parents = connection_of(connections, kind)

    def in_child() -> str:
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(connection_of(connections, kind)))
        thread.start()
        thread.join()
        seen.append(connection_of(connections, kind))
        return str(parents not in seen)

    assert child_says(in_child, fork) == "True"
    connections.database.close()


@pytest.mark.parametrize("is_of_app", [False, True], ids=["owned", "app"])
def test_statement_of_any_sort_goes_over_the_childs_own_connection(
    url: str, kind: str, fork: str, is_of_app: bool
) -> None:
    connections = Connections(app_database(url) if is_of_app else url)
    if is_of_app:
        connections.database.connect()
    ways: list[Callable[[], Any]] = [
        lambda: connections.read_row("SELECT 1", ()),
        lambda: connections.read_rows("SELECT 1", ()),
        lambda: connections.write("CREATE TABLE thing (id INTEGER)", ()),
        lambda: connections.atomically(lambda: connections.write("DELETE FROM thing", ())),
        lambda: connections.is_within_app_transaction,
    ]
    parents = connection_of(connections, kind)

    for way in ways:

        def in_child(way: Callable[[], Any] = way) -> str:
            way()
            return str(connection_of(connections, kind) != parents)

        assert child_says(in_child, fork) == "True"
        assert connection_of(connections, kind) == parents
    connections.database.close()


def test_connection_that_the_application_opens_in_the_child_is_kept(
    url: str, kind: str, fork: str
) -> None:
    database = app_database(url)
    connections = Connections(database)

    def in_child() -> str:
        database.connect()
        opened = database.connection()
        connections.read_row("SELECT 1", ())
        return str(database.connection() is opened)

    assert child_says(in_child, fork) == "True"


@pytest.mark.parametrize("is_begun", [False, True], ids=["at rest", "in a transaction"])
def test_manager_made_in_the_child_finds_a_connection_open(
    url: str, kind: str, fork: str, is_begun: bool
) -> None:
    """Who opened it nobody knows; a transaction was begun by the application that is at work."""
    database = app_database(url)
    database.connect()
    opened = database.connection()

    def in_child() -> str:
        if is_begun:
            database.close()
            database.connect()
            database.begin()
            database.push_transaction(object())
            kept = database.connection()
            Connections(database).read_row("SELECT 1", ())
            return str(database.connection() is kept)
        Connections(database).read_row("SELECT 1", ())
        return str(database.connection() is not opened)

    assert child_says(in_child, fork) == "True"
    if not is_begun:
        assert database.execute_sql("SELECT 1").fetchone() == (1,)
    database.close()


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_manager_made_in_the_child_takes_nothing_from_the_pool_of_the_parent(
    url: str, kind: str, fork: str
) -> None:
    options = {"prefer_psycopg3": True} if kind == "postgres" else {}
    given = app_database(url)
    pool = POOLS[kind](given.database, **{**given.connect_params, **options})
    with pool.connection_context():
        parents = str(pool.execute_sql(ASK[kind]).fetchone()[0])
    assert pool._connections, "it is back in the pool"

    said = child_says(lambda: connection_of(Connections(pool), kind), fork)

    assert said not in ("", parents)
    pool.close_all()


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_child_takes_nothing_from_the_pool_of_the_parent(url: str, kind: str, fork: str) -> None:
    options = {"prefer_psycopg3": True} if kind == "postgres" else {}
    given = app_database(url)
    pool = POOLS[kind](given.database, **{**given.connect_params, **options})
    connections = Connections(pool)
    parents = connection_of(connections, kind)
    assert pool._connections, "it is back in the pool"

    with pool._pool_lock:
        said = child_says(lambda: str(connection_of(connections, kind) != parents), fork)

    assert said == "True"
    assert connection_of(connections, kind) == parents
    pool.close_all()


def test_lock_of_a_database_that_is_being_opened_is_free_in_the_child(
    url: str, kind: str, fork: str
) -> None:
    for given in (url, app_database(url)):
        connections = Connections(given)
        with connections.database._lock, connections.first_use.lock:
            assert child_gets_there(partial(connections.read_row, "SELECT 1", ()), fork)


class TestMemory:
    def test_child_has_a_copy(self, fork: str) -> None:
        connections = Connections("sqlite:///:memory:")
        connections.write("CREATE TABLE thing (id INTEGER)", ())

        def in_child() -> str:
            connections.write("INSERT INTO thing VALUES (1)", ())
            return str(connections.read_row("SELECT COUNT(*) FROM thing", ()))

        assert child_says(in_child, fork) == "(1,)"
        assert connections.read_row("SELECT COUNT(*) FROM thing", ()) == (0,)

    def test_child_forked_while_it_is_in_use_begins_with_an_empty_one(self, fork: str) -> None:
        connections = Connections("sqlite:///:memory:")
        database: Any = connections.database
        connections.first_use.work = lambda: connections.run(
            lambda: database.execute_sql("CREATE TABLE thing (id INTEGER)")
        )
        connections.write("INSERT INTO thing VALUES (1)", ())
        is_taken, is_over = threading.Event(), threading.Event()

        def use() -> None:
            with connections.source.taken():
                is_taken.set()
                is_over.wait(WAIT_SECONDS)

        thread = threading.Thread(target=use)
        thread.start()
        is_taken.wait(WAIT_SECONDS)
        said = child_says(lambda: str(connections.read_row("SELECT COUNT(*) FROM thing", ())), fork)
        is_over.set()
        thread.join()

        assert said == "(0,)"

    def test_one_of_the_application_keeps_its_copy(self, fork: str) -> None:
        database: Any = peewee.SqliteDatabase(":memory:")
        connections = Connections(database)
        database.connect()
        database.execute_sql("CREATE TABLE thing (id INTEGER)")

        assert child_gets_there(
            lambda: connections.read_row("SELECT COUNT(*) FROM thing", ()) == (0,), fork
        )
        database.close()


# Rows that nobody asked for


def test_row_of_another_session_is_never_believed(
    url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = SessionManager(url, secret="x0123456789abcdef" * 2, password=CHEAP_PASSWORDS)
    made = [
        manager.sign_up_email(name="N", email=f"{name}@example.org", password="correct horse")
        for name in ("ada", "bob")
    ]
    ada, bob = made[0].session, made[1].session
    assert ada is not None and bob is not None
    real = manager.parts.connections.read_row
    others = {ada.id: bob.id, ada.user_id: bob.user_id}
    before = connection_of(manager.parts.connections, kind)

    def cross(sql: str, parameters: Any) -> Any:
        return real(sql, (others[parameters[0]], *parameters[1:]))

    with monkeypatch.context() as patch:
        patch.setattr(manager.parts.connections, "read_row", cross)
        for find in (
            lambda: manager.parts.store.sessions.find(ada.id),
            lambda: manager.parts.store.sessions._find_locked(ada.id),
            lambda: manager.parts.store.users.find(ada.user_id),
        ):
            with pytest.raises(StoreUnavailableError, match="another question"):
                find()

    assert kind == "sqlite" or connection_of(manager.parts.connections, kind) != before, "dropped"
    manager.close()


# Where there are no forks


def test_package_works_without_hooks_for_forks() -> None:
    code = (
        # The standard library has asked for it before; on Windows it knows better.
        "import concurrent.futures.thread, logging, os, random; del os.register_at_fork\n"
        "import wsgi_sessions\n"
        "manager = wsgi_sessions.SessionManager('sqlite:///:memory:', secret='x0123456789abcdef' * 2)\n"
        "assert manager.list_sessions('nobody') == []\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
