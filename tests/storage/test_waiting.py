"""How long a request waits for the database: never longer than its budget, whatever holds it up."""

from __future__ import annotations

import selectors
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import peewee
import psycopg
import pytest
from playhouse.pool import PooledMySQLDatabase, PooledPostgresqlDatabase
from webob import Request

from tests.contract.databases import SERVERS, connect_mariadb, fresh_url
from tests.support import change_of, in_parallel
from wsgi_sessions import SessionManager, SessionMiddleware, StoreUnavailableError
from wsgi_sessions.records import SessionRecord
from wsgi_sessions_testing import CHEAP_PASSWORDS

PATIENCE_SECONDS = 1
SECONDS_A_BYTE = 0.05
SLACK_SECONDS = 2.5
"""Generous: other tests may run on the same machine."""


class Proxy:
    """Stands before a server; while it is silent it takes all that is sent, and says nothing.

    While it is slow it passes on what the server says one byte at a time.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.is_silent = False
        self.is_slow = False
        self._is_over = False
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def _listen(self) -> None:
        while not self._is_over:
            client, _ = self._listener.accept()
            if self._is_over:
                client.close()
                return
            thread = threading.Thread(target=self._forward, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            selector = selectors.DefaultSelector()
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            with selector, suppress(OSError):
                while not self._is_over:
                    for key, _ in selector.select(0.05):
                        source: Any = key.fileobj
                        data = source.recv(65536)
                        if not data:
                            return
                        if source is server and self.is_slow:
                            data = self._pass_on_slowly(data, client)
                        if not self.is_silent:
                            key.data.sendall(data)

    def _pass_on_slowly(self, data: bytes, client: socket.socket) -> bytes:
        """Pass on byte by byte while it is slow; return what is left then."""
        position = 0
        while self.is_slow and not self._is_over and position < len(data):
            client.sendall(data[position : position + 1])
            position += 1
            time.sleep(SECONDS_A_BYTE)
        return data[position:]

    def close(self) -> None:
        self._is_over = True
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()


@contextmanager
def proxied(url: str) -> Iterator[tuple[str, Proxy]]:
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 0)
    netloc = parts.netloc.rpartition("@")
    try:
        yield urlunsplit(parts._replace(netloc=f"{netloc[0]}@127.0.0.1:{proxy.port}")), proxy
    finally:
        proxy.close()


class Site:
    """A wrapped application, a browser that is signed in, and a visitor."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.url = url
        self.manager = SessionManager(
            url,
            **{
                "secret": "x0123456789abcdef" * 2,
                "password": CHEAP_PASSWORDS,
                "database_patience": PATIENCE_SECONDS,
                **settings,
            },
        )
        self.app = SessionMiddleware(self.answer, self.manager)
        self.manager.create_tables()
        made = self.manager.sign_up_email(
            name="Ada", email="ada@example.org", password="correct horse"
        )
        self.cookie = f"session_token={made.token}"
        self.session_id = made.session.id if made.session else ""
        self.in_use: list[int] = []

    def answer(self, environ: Any, start_response: Any) -> list[bytes]:
        pool = self.manager.parts.connections.source.pool
        self.in_use.append(len(pool._all) - len(pool.idle))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"user" if environ["wsgi_sessions.user"] else b"visitor"]

    def get(self, cookie: str | None = None) -> tuple[int, str, float]:
        """Return the status, the text or Retry-After, and how many seconds it took."""
        request = Request.blank("/", headers={"Cookie": cookie} if cookie else {})
        began = time.monotonic()
        answer = request.get_response(self.app)
        took = time.monotonic() - began
        return answer.status_int, answer.headers.get("Retry-After", answer.text), took

    @property
    def record(self) -> SessionRecord:
        """The session as it is stored."""
        found = self.manager.parts.store.sessions.find(self.session_id)
        assert found is not None
        return found[0]

    def leave_unsettled(self) -> None:
        """Have the session's token be one that was confirmed an hour ago, and not settled."""
        unsettled = change_of(
            self.record, is_settled=False, confirmed_at_ms=self.record.confirmed_at_ms - 3_600_000
        )
        assert self.manager.parts.store.sessions.apply(self.record, unsettled)

    def assert_away_in_time(self) -> None:
        status, retry_after, took = self.get(self.cookie)
        assert (status, retry_after) == (503, "5")
        assert took < PATIENCE_SECONDS + SLACK_SECONDS
        status, text, took = self.get()
        assert (status, text) == (200, "visitor")
        assert took < 0.5, "a visitor waits for nothing"

    def assert_there(self) -> None:
        assert self.get(self.cookie)[:2] == (200, "user")


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    named: str = request.param
    return named


@pytest.fixture
def url(kind: str, tmp_path: Path) -> Iterator[str]:
    with fresh_url(kind, tmp_path) as url:
        yield url


@pytest.fixture
def new_site(url: str) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def build(**settings: Any) -> Site:
        made.append(Site(settings.pop("url", url), **settings))
        return made[-1]

    yield build
    for site in made:
        site.manager.close()


def connect_beside(kind: str, url: str) -> Any:
    """Connect past the code under test."""
    if kind == "sqlite":
        return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    if kind == "postgres":
        return psycopg.connect(url, autocommit=True)
    return connect_mariadb(urlsplit(url).path[1:])


def say(connection: Any, *statements: str) -> None:
    for statement in statements:
        cursor = connection.cursor()
        cursor.execute(statement)
        if cursor.description:
            cursor.fetchall()
        cursor.close()


WHOLE_TABLE = {
    "sqlite": ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "DELETE FROM {attempt}"),
    "postgres": ("BEGIN", "LOCK TABLE {session} IN ACCESS EXCLUSIVE MODE"),
    "mariadb": ("LOCK TABLES {session} WRITE",),
}
ONE_ROW = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgres": ("BEGIN", "SELECT * FROM {session} FOR UPDATE"),
    "mariadb": ("BEGIN", "SELECT * FROM {session} FOR UPDATE"),
}
NAMES = {"session": "wsgi_sessions_session", "attempt": "wsgi_sessions_attempt"}


@contextmanager
def locked(kind: str, url: str, statements: tuple[str, ...]) -> Iterator[None]:
    with closing(connect_beside(kind, url)) as other:
        say(other, *(statement.format(**NAMES) for statement in statements))
        try:
            yield
        finally:
            # A server that is only left alone takes its time to let go.
            say(other, "UNLOCK TABLES" if "LOCK TABLES" in statements[0] else "ROLLBACK")


class TestLocks:
    @pytest.mark.parametrize("kind", ["postgres", "mariadb"], indirect=True)
    def test_locked_table_is_waited_for_within_the_budget(
        self, kind: str, url: str, new_site: Callable[..., Site]
    ) -> None:
        site = new_site()
        with locked(kind, url, WHOLE_TABLE[kind]):
            site.assert_away_in_time()
        site.assert_there()

    @pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
    def test_file_that_is_written_is_waited_for_within_the_budget(
        self, kind: str, url: str, new_site: Callable[..., Site]
    ) -> None:
        site = new_site()
        with locked(kind, url, ONE_ROW[kind]):
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                site.manager.revoke_session(site.session_id)
            assert time.monotonic() - began < PATIENCE_SECONDS + SLACK_SECONDS
            assert site.get(site.cookie)[:2] == (200, "user"), "readers wait for no writer"
        assert site.manager.revoke_session(site.session_id)

    @pytest.mark.parametrize("kind", ["mariadb"], indirect=True)
    def test_table_that_waits_to_be_altered_is_waited_for_within_the_budget(
        self, kind: str, url: str, new_site: Callable[..., Site]
    ) -> None:
        """Who reads queues behind the ALTER, who queues behind a transaction that has read."""
        site = new_site()
        table = NAMES["session"]
        with locked(kind, url, ("BEGIN", f"SELECT * FROM {table}")):
            altering = threading.Thread(
                target=lambda: say_once(kind, url, f"ALTER TABLE {table} ADD COLUMN later INT")
            )
            altering.start()
            with closing(connect_beside(kind, url)) as looking:
                wait_until(lambda: "metadata lock" in states(looking))
            site.assert_away_in_time()
        altering.join(20)
        site.assert_there()

    def test_touch_waits_for_no_lock(
        self, kind: str, url: str, new_site: Callable[..., Site]
    ) -> None:
        site = new_site(touch_interval=0, database_patience=20)
        with locked(kind, url, ONE_ROW[kind]):
            status, text, took = site.get(site.cookie)

        assert (status, text) == (200, "user")
        assert took < 5
        before = site.manager.parts.store.sessions.find(site.session_id)
        site.assert_there()
        after = site.manager.parts.store.sessions.find(site.session_id)
        assert before is not None and after is not None
        assert after[0].last_seen_at_ms > before[0].last_seen_at_ms, "the next one lands"

    def test_settling_waits_for_no_lock_and_is_done_by_the_next_request(
        self, kind: str, url: str, new_site: Callable[..., Site]
    ) -> None:
        site = new_site(database_patience=20)
        site.leave_unsettled()
        with locked(kind, url, ONE_ROW[kind]):
            status, text, took = site.get(site.cookie)
        assert (status, text) == (200, "user")
        assert took < 5
        assert not site.record.is_settled

        site.assert_there()
        assert site.record.is_settled

    def test_settling_on_a_sibling_waits_for_a_lock_within_the_budget(
        self, kind: str, url: str, new_site: Callable[..., Site]
    ) -> None:
        """Its token is not the stored one, so it can't go on without the write."""
        site = new_site()
        site.leave_unsettled()
        token = site.manager.parts.signer.read(site.cookie.partition("=")[2])
        assert token is not None
        sibling = site.manager.parts.signer.write(token.secret, token.generation, "Sibling1")
        with locked(kind, url, ONE_ROW[kind]):
            status, _, took = site.get(f"session_token={sibling}")
        assert status == 503
        assert took < PATIENCE_SECONDS + SLACK_SECONDS

        # A server that was left waiting may have written it since: nobody knows.
        assert site.get(f"session_token={sibling}")[:2] == (200, "user")
        assert (site.record.branch, site.record.is_settled) == ("Sibling1", True)
        assert site.get(site.cookie)[:2] == (200, "visitor"), "which ended the session"
        assert site.record.end_reason == "replayed"

    @pytest.mark.parametrize("is_inner", [False, True], ids=["outside", "within"])
    def test_touch_over_the_applications_database_waits_for_no_lock(
        self, kind: str, url: str, new_site: Callable[..., Site], is_inner: bool
    ) -> None:
        """Not within the application's transaction either, which goes on after it."""
        site = new_site()
        database: Any = site.manager.database
        of_app = SessionManager(database, secret="x0123456789abcdef" * 2)
        found = of_app.parts.store.sessions.find(site.session_id)
        assert found is not None
        record = found[0]
        touch = change_of(record, last_seen_at_ms=record.last_seen_at_ms + 1, may_fail=True)
        database.connect()
        with locked(kind, url, ONE_ROW[kind]):
            began = time.monotonic()
            if is_inner and kind != "sqlite":
                with database.atomic():
                    with pytest.raises(StoreUnavailableError):
                        of_app.parts.store.sessions.apply(record, touch)
                    assert of_app.parts.store.sessions.find(record.id) is not None, "it goes on"
            else:
                with pytest.raises(StoreUnavailableError):
                    of_app.parts.store.sessions.apply(record, touch)
            assert time.monotonic() - began < 3
        assert of_app.parts.store.sessions.apply(record, touch)
        database.close()


def say_once(kind: str, url: str, statement: str) -> None:
    with closing(connect_beside(kind, url)) as connection:
        say(connection, statement)


def states(connection: Any) -> str:
    with closing(connection.cursor()) as cursor:
        cursor.execute("SHOW PROCESSLIST")
        return str(cursor.fetchall())


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def dropping(host: str, port: int) -> Iterator[None]:
    """Have an address answer nobody who connects: its queue is full, so Linux drops the rest."""
    with closing(socket.socket()) as listener, ExitStack() as waiting:
        try:
            listener.bind((host, port))
        except OSError as error:
            pytest.skip(f"{host} is no address of this machine: {error}")
        listener.listen(0)
        for _ in range(3):
            one = waiting.enter_context(closing(socket.socket()))
            one.setblocking(False)
            one.connect_ex((host, port))
        yield


POOLS = {"postgres": PooledPostgresqlDatabase, "mariadb": PooledMySQLDatabase}


@contextmanager
def limited_opening(pool: Any) -> Iterator[None]:
    """Have nothing opened anew within the block."""
    pool._max_connections = -1
    yield
    pool._max_connections = 20


def app_database(url: str, of: Any = None) -> Any:
    """Return a database of Peewee's own, as an application makes it."""
    parts = urlsplit(url)
    where: dict[str, Any] = {"host": parts.hostname, "port": parts.port, "user": parts.username}
    if url.startswith("mysql"):
        return (of or peewee.MySQLDatabase)(parts.path[1:], **where)
    where["prefer_psycopg3"] = True
    return (of or peewee.PostgresqlDatabase)(parts.path[1:], **where)


@pytest.mark.parametrize("kind", ["postgres", "mariadb"], indirect=True)
class TestSilentServer:
    def test_open_connection_is_given_up_within_the_budget(
        self, url: str, new_site: Callable[..., Site]
    ) -> None:
        with proxied(url) as (through, proxy):
            site = new_site(url=through)
            site.assert_there()
            proxy.is_silent = True
            site.assert_away_in_time()
            site.assert_away_in_time()
            proxy.is_silent = False
            site.assert_there()

    def test_many_wait_at_once_and_none_behind_another(
        self, url: str, new_site: Callable[..., Site]
    ) -> None:
        with proxied(url) as (through, proxy):
            site = new_site(url=through)
            proxy.is_silent = True
            found = in_parallel(lambda _: site.get(site.cookie), 8)
            proxy.is_silent = False

        assert [status for status, _, _ in found] == [503] * 8
        assert max(took for _, _, took in found) < PATIENCE_SECONDS + SLACK_SECONDS

    def test_transaction_is_given_up_within_the_budget(
        self, url: str, new_site: Callable[..., Site]
    ) -> None:
        with proxied(url) as (through, proxy):
            site = new_site(url=through)
            began: list[float] = []

            def work() -> None:
                site.manager.parts.store.users.find("nobody")
                proxy.is_silent = True
                began.append(time.monotonic())
                site.manager.parts.store.users.find("nobody")

            with pytest.raises(StoreUnavailableError):
                site.manager.parts.store.atomically(work)
            took = time.monotonic() - began[0]
            proxy.is_silent = False
            site.assert_there()

        assert len(began) == 1, "what has timed out is not tried again"
        assert took < PATIENCE_SECONDS + SLACK_SECONDS

    def test_an_apps_connection_is_given_up_within_the_budget(
        self, url: str, new_site: Callable[..., Site]
    ) -> None:
        with proxied(url) as (through, proxy):
            database: Any = new_site(url=through).manager.database
            database.connect()
            of_app = SessionManager(
                database, secret="x0123456789abcdef" * 2, database_patience=PATIENCE_SECONDS
            )
            proxy.is_silent = True
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                of_app.parts.store.users.find("nobody")
            took = time.monotonic() - began
            proxy.is_silent = False
            assert of_app.parts.store.users.find("nobody") is None
            database.close()

        assert took < PATIENCE_SECONDS + SLACK_SECONDS

    @pytest.mark.parametrize("is_open", [True, False])
    def test_answer_in_small_pieces_is_given_up_within_the_budget(
        self, url: str, new_site: Callable[..., Site], is_open: bool
    ) -> None:
        with proxied(url) as (through, proxy):
            site = new_site(url=through)
            site.assert_there()
            if not is_open:
                site.manager.close()
            proxy.is_slow = True
            site.assert_away_in_time()
            proxy.is_slow = False
            site.assert_there()

    def test_small_pieces_over_an_apps_connection_are_given_up_within_the_budget(
        self, url: str, new_site: Callable[..., Site]
    ) -> None:
        with proxied(url) as (through, proxy):
            site = new_site(url=through)
            database = app_database(through)
            database.connect()
            of_app = SessionManager(
                database, secret="x0123456789abcdef" * 2, database_patience=PATIENCE_SECONDS
            )
            assert of_app.is_live(site.session_id)
            proxy.is_slow = True
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                of_app.is_live(site.session_id)
            took = time.monotonic() - began
            proxy.is_slow = False
            assert took < PATIENCE_SECONDS + SLACK_SECONDS
            assert of_app.is_live(site.session_id)
            database.close()

    def test_an_apps_pool_is_looked_at_within_the_budget(
        self, kind: str, url: str, new_site: Callable[..., Site]
    ) -> None:
        """It asks the server whether a connection lives, before it hands that out."""
        with proxied(url) as (through, proxy):
            site = new_site(url=through)
            pool = app_database(through, of=POOLS[kind])
            of_app = SessionManager(
                pool, secret="x0123456789abcdef" * 2, database_patience=PATIENCE_SECONDS
            )
            assert of_app.is_live(site.session_id)
            proxy.is_silent = True
            began = time.monotonic()
            # What opens a new one then is the application's to limit: connect_timeout.
            with limited_opening(pool), pytest.raises(StoreUnavailableError):
                of_app.is_live(site.session_id)
            took = time.monotonic() - began
            proxy.is_silent = False
            assert took < PATIENCE_SECONDS + SLACK_SECONDS
            assert of_app.is_live(site.session_id)
            pool.close_all()

    def test_address_that_is_silent_leaves_time_for_the_next(
        self, url: str, new_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As of a name with an IPv6 and an IPv4 address, one of which a firewall drops."""
        resolve = socket.getaddrinfo

        def resolve_to_two(host: Any, port: Any, *given: Any, **more: Any) -> Any:
            names = ("127.0.0.2", "127.0.0.1") if host == "two.test" else (host,)
            return [found for name in names for found in resolve(name, port, *given, **more)]

        with proxied(url) as (through, proxy), dropping("127.0.0.2", proxy.port):
            monkeypatch.setattr(socket, "getaddrinfo", resolve_to_two)
            site = new_site(url=through)
            twofold = SessionManager(
                through.replace("@127.0.0.1", "@two.test"),
                secret="x0123456789abcdef" * 2,
                database_patience=4,
            )
            with closing(twofold):
                assert twofold.is_live(site.session_id)


class TestPool:
    def test_more_threads_than_connections_take_turns(
        self, kind: str, new_site: Callable[..., Site]
    ) -> None:
        site = new_site(max_connections=2, database_patience=20)

        found = in_parallel(lambda _: [site.get(site.cookie)[:2] for _ in range(5)], 12)

        assert found == [[(200, "user")] * 5] * 12
        assert len(site.manager.parts.connections.source.pool._all) <= 2

    def test_connection_is_given_back_before_the_application_runs(
        self, kind: str, new_site: Callable[..., Site]
    ) -> None:
        site = new_site()
        site.assert_there()

        assert site.in_use == [0]

    def test_who_gets_no_turn_is_told_within_the_budget(
        self, kind: str, new_site: Callable[..., Site]
    ) -> None:
        site = new_site(max_connections=1)
        is_taken, is_over = threading.Event(), threading.Event()

        def hold() -> None:
            with site.manager.parts.connections.source.taken():
                is_taken.set()
                is_over.wait(20)

        thread = threading.Thread(target=hold)
        thread.start()
        is_taken.wait(20)
        site.assert_away_in_time()
        is_over.set()
        thread.join()
        site.assert_there()

    @pytest.mark.parametrize("kind", ["postgres", "mariadb"], indirect=True)
    def test_where_the_server_refuses_one_more_ours_are_waited_for(
        self, kind: str, url: str, new_site: Callable[..., Site]
    ) -> None:
        new_site()
        name = urlsplit(url).path[1:]
        host = urlsplit(SERVERS[kind]).netloc.rpartition("@")[2]
        scheme = urlsplit(url).scheme
        with closing(connect_beside(kind, url)) as admin:
            if kind == "postgres":
                say(
                    admin,
                    f"CREATE ROLE {name} LOGIN PASSWORD 'word' CONNECTION LIMIT 2",
                    f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}",
                    f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}",
                )
            else:
                say(
                    admin,
                    f"CREATE USER '{name}'@'%' IDENTIFIED BY 'word' WITH MAX_USER_CONNECTIONS 2",
                    f"GRANT ALL ON `{name}`.* TO '{name}'@'%'",
                )
            try:
                manager = SessionManager(
                    f"{scheme}://{name}:word@{host}/{name}",
                    secret="x0123456789abcdef" * 2,
                    database_patience=20,
                )
                found = in_parallel(
                    lambda _: [manager.parts.store.users.find("nobody") for _ in range(3)], 8
                )
                assert found == [[None] * 3] * 8
                manager.close()
            finally:
                if kind == "postgres":
                    wait_until(lambda: not has_backends(admin, name))
                    say(admin, f"DROP OWNED BY {name}", f"DROP ROLE {name}")
                else:
                    say(admin, f"DROP USER '{name}'@'%'")

    @pytest.mark.parametrize("kind", ["mariadb"], indirect=True)
    def test_tls_context_is_made_once(
        self, new_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = new_site()
        monkeypatch.setattr("ssl.create_default_context", pytest.fail)

        for _ in range(3):
            site.manager.close()
            site.assert_there()


def has_backends(connection: Any, role: str) -> bool:
    with closing(connection.cursor()) as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (role,))
        return bool(cursor.fetchone()[0])
