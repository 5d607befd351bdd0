"""Cached copies on every database: good for one of them, for nobody who has the secret alone."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import WAIT_SECONDS, ShiftedClock, in_parallel, make_session, make_user
from wsgi_sessions import SessionEvent, SessionManager, SessionMiddleware
from wsgi_sessions.clock import Clock, SystemClock
from wsgi_sessions.records import ReadOptions, RequestFacts
from wsgi_sessions.sessions.signing import KeyRing
from wsgi_sessions.storage.meta import DATABASE_SECRET
from wsgi_sessions_testing import CHEAP_PASSWORDS, FakeClock

from .databases import (
    KINDS,
    Place,
    connect_mariadb,
    open_place,
    stored_session,
    wait_for_nodes,
)

SECRET = "a-secret-that-two-sites-share-" * 2
PROCESSES = 6


class Site:
    """One process of a site: a manager on a database, and an app that tells who is there."""

    def __init__(self, place: Place, clock: Clock, **settings: Any) -> None:
        given = {"cookie_cache": True, "password": CHEAP_PASSWORDS, "throttle": None, **settings}
        self.manager = SessionManager(place.database, secret=SECRET, clock=clock, **given)
        self.app = SessionMiddleware(self._tell, self.manager)
        self.events: list[SessionEvent] = []
        self.manager.events.subscribe(self.events.append)
        _opened.append(self.manager)

    def _tell(self, environ: Any, start_response: Any) -> list[bytes]:
        request = environ["wsgi_sessions.request"]
        if environ["PATH_INFO"] == "/in":
            request.sign_in(environ["QUERY_STRING"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(request.user and request.user.id).encode()]

    def get(self, cookies: dict[str, str], path: str = "/", query: str = "") -> str:
        """Return who is there; what the answer sets is put among the cookies."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "wsgi.url_scheme": "https",
            "REMOTE_ADDR": "192.0.2.1",
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        }

        def start_response(status: str, headers: Any, _: Any = None) -> Any:
            assert status == "200 OK", status
            for name, value in headers:
                if name == "Set-Cookie":
                    name, _, value = value.partition(";")[0].partition("=")
                    cookies[name] = value
            return lambda chunk: None

        return b"".join(self.app(environ, start_response)).decode()

    def sign_in(self, user_id: str = "user-1") -> dict[str, str]:
        cookies: dict[str, str] = {}
        assert self.get(cookies, "/in", user_id) == user_id
        return cookies

    def is_from_copy(self, cookies: dict[str, str]) -> bool:
        presented = self.manager.parts.cookies.read(
            "; ".join(f"{name}={value}" for name, value in cookies.items()), is_secure=True
        )
        facts = RequestFacts("192.0.2.1", None, is_https=True, method="GET", path="/")
        found = self.manager.parts.validator.validate(
            presented, facts=lambda: facts, options=ReadOptions(allow_refresh=False)
        )
        return found.session is not None and found.token is None


COPY = "__Host-session_data"
TOKEN = "__Host-session_token"
SHARED = [kind for kind in KINDS if kind != "sqlite-memory"]
"""What several managers can be on: a database in memory is that of one."""

_opened: list[SessionManager] = []


@pytest.fixture(params=SHARED)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Place]:
    with open_place(request.param, tmp_path) as place:
        yield place


@pytest.fixture(autouse=True)
def _closing() -> Generator[None]:
    yield
    while _opened:
        _opened.pop().close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def site(place: Place, clock: FakeClock) -> Site:
    place.store.insert_user(make_user(), None)
    return Site(place, clock)


def forge(text: str, *, mixed_in: str = "", **changes: Any) -> str:
    """Return a copy with other contents, signed by somebody who has the server secret."""
    payload = json.loads(urlsafe_b64decode(text.partition(".")[0]))
    encoded = urlsafe_b64encode(json.dumps({**payload, **changes}).encode())
    signature = KeyRing([SECRET], "cookie cache v1", mixed_in=mixed_in).sign(encoded)
    return f"{encoded.decode()}.{urlsafe_b64encode(signature).decode()}"


def secret_of(site: Site) -> str:
    secret = site.manager.parts.store.meta.read("database_secret")
    assert secret is not None
    return secret


def test_copy_is_taken_by_every_process_of_a_site(place: Place, site: Site) -> None:
    cookies = site.sign_in()
    other = Site(place, site.manager.clock)

    assert site.is_from_copy(cookies) and other.is_from_copy(cookies)


@pytest.mark.parametrize("kind", SHARED)
def test_copy_of_one_database_is_nothing_in_another(
    kind: str, tmp_path: Path, clock: FakeClock
) -> None:
    folders = [tmp_path / "staging", tmp_path / "production"]
    for folder in folders:
        folder.mkdir()
    with open_place(kind, folders[0]) as first, open_place(kind, folders[1]) as second:
        for place in (first, second):
            place.store.insert_user(make_user(), None)
        staging, production = Site(first, clock), Site(second, clock)
        cookies = staging.sign_in()
        mine = production.sign_in()

        assert production.get(dict(cookies)) == "None"
        assert not production.is_from_copy({**mine, COPY: cookies[COPY]})
        assert secret_of(staging) != secret_of(production)


@pytest.mark.parametrize("guessed", ["", "0" * 43])
def test_server_secret_alone_makes_nobody_a_session(site: Site, guessed: str) -> None:
    victim = make_user("user-2", email="bob@example.org")
    site.manager.parts.store.insert_user(victim, None)
    cookies = site.sign_in()
    payload = json.loads(urlsafe_b64decode(cookies[COPY].partition(".")[0]))
    payload["u"][0] = payload["s"][1] = "user-2"

    forged = forge(cookies[COPY], mixed_in=guessed, s=payload["s"], u=payload["u"])

    assert site.get({**cookies, COPY: forged}) == "user-1"
    with_both = forge(cookies[COPY], mixed_in=secret_of(site), s=payload["s"], u=payload["u"])
    assert site.get({**cookies, COPY: with_both}) == "user-2", "the test itself would be wrong"


def test_old_copies_are_void_once_everything_was_revoked(
    place: Place, site: Site, clock: FakeClock
) -> None:
    other = Site(place, clock)
    cookies = site.sign_in()
    assert other.is_from_copy(cookies)
    before = secret_of(site)

    site.manager.revoke_everything()

    assert secret_of(site) != before
    assert site.get(dict(cookies)) == "None"
    wait_for_nodes()
    clock.advance(seconds=1)
    assert other.get(dict(cookies)) == "None"
    # Whatever the feed says, and whenever it says so.
    site.manager.parts.models.revocation.delete().execute()
    clock.advance(seconds=1)
    assert other.get(dict(cookies)) == "None"


def test_process_that_knows_an_old_secret_learns_the_new_one_from_a_copy(
    place: Place, site: Site, clock: FakeClock
) -> None:
    stale = Site(place, clock)
    stale.sign_in()
    clock.advance(seconds=200)
    site.manager.parts.store.meta.replace(DATABASE_SECRET, "n" * 43)
    clock.advance(seconds=1)
    cookies = site.sign_in()
    assert site.get(cookies) == "user-1"
    assert site.is_from_copy(cookies)

    assert stale.is_from_copy(cookies)


def test_processes_that_start_at_once_agree_on_a_secret(place: Place, clock: FakeClock) -> None:
    if place.kind == "app-database":
        return  # each thread would have to close what it opened
    place.store.insert_user(make_user(), None)
    sites = [Site(place, clock) for _ in range(PROCESSES)]

    def read(number: int) -> str:
        reading = sites[number].manager.parts.feed.current()
        assert reading is not None
        return reading.database_secret

    assert len(set(in_parallel(read, PROCESSES))) == 1


def test_made_up_cookies_make_nobody_read_the_feed(place: Place, clock: FakeClock) -> None:
    site = Site(place, clock)
    assert site.get({TOKEN: "made-up", COPY: "made.up"}) == "None"
    assert site.manager.parts.feed.latest is None


def test_first_copy_that_comes_to_a_process_is_judged_by_the_feed(
    place: Place, site: Site, clock: FakeClock
) -> None:
    cookies = site.sign_in()
    wait_for_nodes()
    session = site.manager.parts.models.session.select().get()
    site.manager.revoke_session(session.id)
    wait_for_nodes()

    assert Site(place, clock).get(cookies) == "None"


def test_copy_within_the_applications_transaction_is_judged_by_a_reading_of_its_own(
    site: Site, place: Place
) -> None:
    if place.kind != "app-database":
        return
    cookies = site.sign_in()
    site.manager.parts.feed.invalidate()
    before = site.manager.parts.feed.latest
    with site.manager.database.atomic():
        assert site.is_from_copy(cookies)
    assert site.manager.parts.feed.latest is before


# The server's clock


@pytest.mark.parametrize("ahead_ms", [20_000, -20_000, 30 * 86_400_000])
def test_process_whose_clock_is_off_neither_makes_nor_takes_copies(
    server: Place, ahead_ms: int
) -> None:
    server.store.insert_user(make_user(), None)
    wrong, right = Site(server, ShiftedClock(ahead_ms)), Site(server, ShiftedClock())

    assert COPY not in wrong.sign_in()
    cookies = right.sign_in()
    assert right.is_from_copy(cookies)
    assert not wrong.is_from_copy(cookies)
    assert [event.name for event in wrong.events].count("clock_off") == 1
    assert "clock_off" not in [event.name for event in right.events]


@pytest.mark.parametrize(("ahead_hours", "count"), [(-5, 1), (-5, 2), (-5, 1001), (8 * 24, 2)])
def test_process_whose_clock_is_off_ends_sessions_for_all_others_too(
    server: Place, ahead_hours: int, count: int
) -> None:
    server.store.insert_user(make_user(), None)
    wrong, right = Site(server, ShiftedClock(ahead_hours * 3_600_000)), Site(server, ShiftedClock())
    cookies = right.sign_in()
    assert right.is_from_copy(cookies)
    (session,) = right.manager.list_sessions("user-1")
    others = [(f"other-{number:05}", "user-1") for number in range(1, count)]
    insert_many_like(server, session.id, others)

    assert wrong.manager.revoke_all_sessions("user-1") == count
    wait_for_nodes()
    right.manager.parts.feed.latest = None
    assert not right.is_from_copy(cookies)
    assert right.manager.list_sessions("user-1") == []


def insert_many_like(server: Place, session_id: str, others: list[tuple[str, str]]) -> None:
    """Add sessions of other ids that are else as one that is stored."""
    like = stored_session(server.store, session_id)

    def insert() -> None:
        for other_id, user_id in others:
            server.store.sessions.insert(like._replace(id=other_id, user_id=user_id))

    server.store.atomically(insert)


def test_clock_of_the_server_is_read_in_utc_to_the_millisecond(server: Place) -> None:
    if server.kind == "mariadb":
        server.connections.database.execute_sql("SET time_zone = '+11:00'")
    else:
        server.connections.database.execute_sql("SET TIME ZONE 'Asia/Tokyo'")
    now_ms, said_ms = SystemClock().now_ms(), server.store.clock.read_ms()
    assert said_ms is not None
    assert abs(said_ms - now_ms) < 10_000
    server.store.meta.write_once(DATABASE_SECRET, "d" * 43)
    page = server.store.revocations.find(0)
    assert page.database_now_ms is not None
    assert abs(page.database_now_ms - now_ms) < 10_000


def test_clock_of_the_server_is_that_of_the_statement(server: Place) -> None:
    server.store.clock.read_ms()
    with server.connections.database.atomic():
        first = server.store.clock.read_ms()
        server.connections.database.execute_sql(
            "SELECT pg_sleep(0.05)" if server.kind == "postgres" else "SELECT SLEEP(0.05)"
        )
        second = server.store.clock.read_ms()
    assert first is not None and second is not None
    assert second - first >= 40


def test_sqlite_has_no_clock_of_its_own(place: Place) -> None:
    assert (place.store.clock.read_ms() is None) is (not place.connections.dialect.is_server)


@pytest.mark.parametrize(("ahead_ms", "is_kept"), [(20_000, True), (0, False)])
def test_clock_that_is_off_deletes_nothing(server: Place, ahead_ms: int, is_kept: bool) -> None:
    server.store.sessions.insert(make_session("old", expires_at_ms=5))
    wait_for_nodes()
    site = Site(server, ShiftedClock(ahead_ms))

    site.manager.purge()

    wait_for_nodes()
    assert (server.store.sessions.find("old") is not None) is is_kept


@pytest.mark.parametrize(("ahead_ms", "is_left"), [(-70_000, True), (0, False)])
def test_clock_that_is_behind_takes_nobody_elses_for_ahead(
    server: Place, ahead_ms: int, is_left: bool
) -> None:
    server.store.insert_user(make_user(), None)
    ours = Site(server, ShiftedClock(ahead_ms), cookie_cache=False)
    cookies = Site(server, ShiftedClock(0 if is_left else 70_000), cookie_cache=False).sign_in()
    wait_for_nodes()
    session_id = ours.manager.parts.models.session.select().get().id
    wait_for_nodes()
    before = server.store.sessions.find(session_id)

    assert ours.get(cookies) == "user-1"

    wait_for_nodes()
    assert (server.store.sessions.find(session_id) == before) is is_left


# A feed that can't be read


@contextmanager
def locked_feed(server: Place) -> Generator[None]:
    """Have another connection hold the feed's table, so that whoever reads it waits."""
    table = server.models.revocation._meta.table_name
    if server.kind == "postgres":
        import psycopg

        with psycopg.connect(str(server.database)) as connection:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            yield
            connection.rollback()
        return
    connection = connect_mariadb(str(server.connections.database.database))
    connection.cursor().execute(f"LOCK TABLES {table} WRITE")
    try:
        yield
    finally:
        connection.close()


def test_nobody_waits_while_a_lock_keeps_another_from_reading_the_feed(
    server: Place, clock: FakeClock
) -> None:
    server.store.insert_user(make_user(), None)
    site = Site(server, clock)
    cookies = site.sign_in()
    clock.advance(seconds=1)
    with locked_feed(server):
        waiting = threading.Thread(target=site.manager.parts.feed.current)
        waiting.start()
        while waiting.is_alive() and not site.manager.parts.feed._lock.locked():
            pass
        told = site.get(dict(cookies))
        was_waiting = waiting.is_alive()
    waiting.join(WAIT_SECONDS)

    assert (told, was_waiting) == ("user-1", True)
