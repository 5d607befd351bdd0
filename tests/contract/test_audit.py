"""The audit trail costs one INSERT for each transaction that it tells, and nothing while off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import PASSWORD
from wsgi_sessions import (
    InvalidCredentialsError,
    RequestFacts,
    SessionLimitReached,
    SessionManager,
    StoreUnavailableError,
)
from wsgi_sessions.records import ReadOptions
from wsgi_sessions.storage.statements import Statement
from wsgi_sessions_testing import FakeClock

from .databases import Place, fresh_url, open_place
from .stores import watch

SECRET = "0123456789abcdef" * 2
EMAIL = "ada@example.org"
HERE = RequestFacts("192.0.2.1", "Mozilla/5.0 (X11; Linux) Firefox/143.0", True, "POST", "/")
CHEAP = {"memory_cost_kib": 8, "time_cost": 1, "parallelism": 1}

Act = Callable[[SessionManager, Any], object]


def make_manager(place: Place, **settings: Any) -> SessionManager:
    manager = SessionManager(
        place.database, secret=SECRET, password=CHEAP, clock=FakeClock(), **settings
    )
    manager.create_tables()
    return manager


def sign_in(manager: SessionManager, **more: Any) -> Any:
    return manager.sign_in_email(email=EMAIL, password=PASSWORD, facts=HERE, **more)


def rotten(manager: SessionManager, made: Any) -> None:
    """Have the session expire, and its browser come back."""
    manager.clock.advance(days=8)  # type: ignore[attr-defined]
    presented = manager.parts.cookies.read(
        f"session_token={made.token}; __Host-session_token={made.token}", is_secure=True
    )
    manager.parts.validator.validate(presented, facts=lambda: HERE, options=ReadOptions())


ACTS: dict[str, tuple[Act, list[str]]] = {
    "sign-in": (lambda manager, made: sign_in(manager), ["session_created"]),
    "sign-in in place of another": (
        lambda manager, made: sign_in(manager, replaces=made.session.id),
        ["session_ended", "session_created"],
    ),
    "sign-out": (
        lambda manager, made: manager.sign_out(made.session.id, facts=HERE),
        ["session_ended"],
    ),
    "sign-out of nothing": (lambda manager, made: manager.sign_out("A" * 24), []),
    "end of all": (
        lambda manager, made: manager.revoke_all_sessions(made.user.id),
        ["session_ended"],
    ),
    "end of everything": (lambda manager, made: manager.revoke_everything(), ["session_ended"]),
    "expiry": (rotten, ["session_ended"]),
    "change of password": (
        lambda manager, made: manager.change_password(
            made.user.id, current_password=PASSWORD, new_password=PASSWORD + "!", facts=HERE
        ),
        ["password_changed", "session_ended", "session_created"],
    ),
    "new password": (
        lambda manager, made: manager.set_password(made.user.id, PASSWORD + "!"),
        ["password_changed", "session_ended"],
    ),
    "deletion": (
        lambda manager, made: manager.delete_user(made.user.id),
        ["session_ended", "user_deleted"],
    ),
    "new user": (
        lambda manager, made: manager.create_user(name="Bob", email="bob@example.org"),
        ["user_created"],
    ),
    "verified address": (
        lambda manager, made: manager.mark_email_verified(made.user.id),
        ["email_verified"],
    ),
    "step-up": (
        lambda manager, made: manager.reauthenticate(made.session.id, method="passkey"),
        ["reauthenticated"],
    ),
}


@pytest.fixture(params=["sqlite-file", "postgres", "mariadb"])
def counted(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Place]:
    """Give a database whose connections can be opened anew, so that they are watched."""
    with open_place(request.param, tmp_path) as place:
        yield place


@pytest.mark.parametrize("act", ACTS)
def test_what_it_costs(counted: Place, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(table_prefix: str, audit: bool) -> tuple[Counter[str], list[str]]:
        manager = make_manager(counted, audit=audit, table_prefix=table_prefix)
        made = manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD, facts=HERE)
        before = len(manager.list_events())
        connections = SimpleNamespace(connections=manager.parts.connections)
        sent = watch(connections, monkeypatch)  # type: ignore[arg-type]
        manager.close()
        manager.is_live("A" * 24)  # over a connection that is watched
        sent.clear()
        ACTS[act][0](manager, made)
        kinds = Counter(" ".join(kind_of(sql, table_prefix)) for sql in sent)
        found = manager.list_events()
        told = found[: len(found) - before]
        manager.close()
        return kinds, [event.name for event in reversed(told)]

    without, nothing = run("off_", False)
    within, told = run("on_", True)

    assert nothing == []
    assert told == ACTS[act][1]
    more = within - without
    expected = Counter({"INSERT event": 1}) if told else Counter()
    if "session_created" in told:
        expected["SELECT session DISTINCT"] = 1
    for one in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"):
        # A single write becomes a transaction with what is told of it.
        more.pop(one, None)
    assert more == expected
    assert without - within == Counter()


def kind_of(sql: str, prefix: str) -> list[str]:
    words = sql.replace('"', "").replace("`", "").replace("(", " ").split()
    verb = words[0].upper()
    if verb not in ("INSERT", "SELECT", "UPDATE", "DELETE"):
        return [verb]
    table = next((word for word in words if word.startswith(prefix)), "")
    distinct = ["DISTINCT"] if "DISTINCT" in words else []
    return [verb, table.removeprefix(prefix).partition(".")[0], *distinct]


class TestOneFate:
    """A row has the fate of what it tells."""

    def test_a_sign_in_that_is_refused_has_none(self, place: Place) -> None:
        limit: Any = {"maximum_sessions": 1, "on_limit": "reject"}
        manager = make_manager(place, audit=True, multi_session=limit)
        manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD)

        with pytest.raises(SessionLimitReached):
            sign_in(manager)

        names = [event.name for event in manager.list_events()]
        assert names.count("session_created") == 1
        manager.close()

    def test_a_sign_in_fails_with_its_row(self, place: Place) -> None:
        manager = make_manager(place, audit=True)
        user = manager.create_user(name="Ada", email=EMAIL, password=PASSWORD)
        store = manager.parts.store

        def fail(_events: Any) -> None:
            store._runner.write(Statement("INSERT INTO no_such_table VALUES (1)", ()))

        store.events._insert = fail  # type: ignore[method-assign, assignment]
        with pytest.raises(StoreUnavailableError):
            sign_in(manager)

        assert manager.list_sessions(user.id) == []
        manager.close()

    def test_what_the_application_rolls_back_is_gone(self, place: Place) -> None:
        manager = make_manager(place, audit=True)
        user = manager.create_user(name="Ada", email=EMAIL, password=PASSWORD)

        with manager.database.atomic() as transaction:
            sign_in(manager)
            assert manager.list_events()[0].name == "session_created"
            transaction.rollback()

        assert [event.name for event in manager.list_events()] == ["user_created"]
        assert manager.list_sessions(user.id) == []
        manager.close()

    def test_a_refusal_leaves_the_applications_transaction_usable(self, place: Place) -> None:
        manager = make_manager(place, audit=True)
        manager.create_user(name="Ada", email=EMAIL, password=PASSWORD)
        store = manager.parts.store

        def fail(_events: Any) -> None:
            store._runner.write(Statement("INSERT INTO no_such_table VALUES (1)", ()))

        store.events._insert = fail  # type: ignore[method-assign, assignment]
        with manager.database.atomic():
            with pytest.raises(InvalidCredentialsError):
                manager.sign_in_email(email=EMAIL, password="wrong horse battery")
            store.meta.write_once("a name", "a value")

        assert store.meta.read("a name") == "a value"
        manager.close()


KILLED = """
import os, signal, sys
from wsgi_sessions import SessionManager, SessionMiddleware

manager = SessionManager(
    sys.argv[1], secret="0123456789abcdef" * 2, audit=True,
    password={"memory_cost_kib": 8, "time_cost": 1, "parallelism": 1},
)
manager.create_user(name="Ada", email="ada@example.org")

def app(environ, start_response):
    environ["wsgi_sessions.request"].sign_in(manager.find_user(email="ada@example.org").id)
    start_response("200 OK", [])
    return [b""]

def start_response(status, headers, exc_info=None):
    os.kill(os.getpid(), signal.SIGKILL)

environ = {
    "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", "REMOTE_ADDR": "192.0.2.1",
}
SessionMiddleware(app, manager)(environ, start_response)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mariadb"])
def test_a_worker_killed_before_its_answer_has_told_the_sign_in(kind: str, tmp_path: Path) -> None:
    with fresh_url(kind, tmp_path) as url:
        ran = subprocess.run(
            [sys.executable, "-c", KILLED, url], env={**os.environ}, capture_output=True, timeout=60
        )
        assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()

        manager = SessionManager(url, secret=SECRET)
        user = manager.find_user(email=EMAIL)
        assert user is not None
        [session] = manager.list_sessions(user.id)
        told = [event.session_id for event in manager.list_events(user_id=user.id)]
        manager.close()

    assert told == [session.id, None]


def test_rows_hold_no_address_of_a_mail_and_nothing_that_gives_access(place: Place) -> None:
    manager = make_manager(place, audit=True, site_url="http://localhost", on_send=lambda *_: None)
    made = manager.sign_up_email(name="Ada", email=EMAIL, password=PASSWORD, facts=HERE)
    with pytest.raises(InvalidCredentialsError):
        manager.sign_in_email(email=EMAIL, password="wrong horse battery", facts=HERE)
    manager.request_password_reset(email=EMAIL, facts=HERE)
    manager.change_password(
        made.user.id, current_password=PASSWORD, new_password=PASSWORD + "!", facts=HERE
    )
    manager.delete_user(made.user.id)

    rows = str(list(manager.parts.models.event.select().tuples()))

    assert rows.count("session_created") == 2
    for secret in (EMAIL, "ada@", PASSWORD, "wrong horse", made.token, str(made.token)[3:35]):
        assert str(secret) not in rows
    manager.close()


def test_the_places_of_a_user_are_found_by_an_index(tmp_path: Path) -> None:
    with open_place("sqlite-file", tmp_path) as place:
        query = place.store.sessions._find_places
        values = query.fill({"user_id": "user-1", "session_id": "x", "since": 0})

        plan = str(place.connections.read_rows(f"EXPLAIN QUERY PLAN {query.sql}", values))

    assert "USING INDEX wsgi_sessions_session_user_id_ended_at" in plan
