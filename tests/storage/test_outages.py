"""Why the database is away is in the log once, and no password is."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.contract.databases import fresh_server_database
from wsgi_sessions import SessionManager, SessionMiddleware, StoreUnavailableError
from wsgi_sessions.storage.outages import Outages
from wsgi_sessions_testing.bench import Bench

PASSWORD = "p@ss/word:1"


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(environ["wsgi_sessions.session"] is not None).encode()]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_outage_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    with Bench(app) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        for _ in range(2):
            caplog.clear()
            with bench.faults.database_down():
                answers = [browser.get("/") for _ in range(3)]
            assert browser.get("/").text == "True"
            assert browser.get("/").text == "True"

            first, second = lines(caplog)
            assert "does not answer" in first
            assert "answers again" in second
            for answer in answers:
                assert (answer.status_int, answer.text) == (
                    503,
                    "The service is away for a moment. Please try again.\n",
                )


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (f"nobody_here:{'p%40ss%2Fword%3A1'}@127.0.0.1:1/app", "app on 127.0.0.1:1"),
        ("nobody_here:p%40ss%2Fword%3A1@{server}/{name}", "nobody_here"),
        ("{owner}@{server}/no_such_database", "no_such_database"),
    ],
    ids=["nobody listens", "wrong role", "no such database"],
)
def test_a_server_that_refuses_is_told_at_start_in_its_own_words(
    caplog: pytest.LogCaptureFixture, scheme: str, place: str, expected: str
) -> None:
    kind, owner = ("postgres", "postgres") if scheme == "postgresql" else ("mariadb", "root")
    with fresh_server_database(kind) as url:
        server, _, name = url.rpartition("@")[2].partition("/")
        database = f"{scheme}://" + place.format(server=server, name=name, owner=owner)
        manager = SessionManager(database, secret="s0123456789abcdef" * 2)

        SessionMiddleware(app, manager)

        (line,) = lines(caplog)
        assert expected in line
        assert "Error: " in line, "the driver's own words"
        assert "did not answer" not in line, "said once"
        for secret in (PASSWORD, "p%40ss%2Fword%3A1", "ss/word"):
            assert secret not in line


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("nobody_here:p%40ss%2Fword%3A1@127.0.0.1:1/app", "the database app on 127.0.0.1:1"),
        ("{owner}:p%40ss%2Fword%3A1@{server}/no_such_database", "no_such_database"),
    ],
    ids=["nobody listens", "no such database"],
)
def test_create_tables_says_the_drivers_own_words(scheme: str, place: str, expected: str) -> None:
    kind, owner = ("postgres", "postgres") if scheme == "postgresql" else ("mariadb", "root")
    with fresh_server_database(kind) as url:
        server = url.rpartition("@")[2].partition("/")[0]
        database = f"{scheme}://" + place.format(server=server, owner=owner)
        manager = SessionManager(database, secret="s0123456789abcdef" * 2)

        with pytest.raises(StoreUnavailableError) as caught:
            manager.create_tables()

    message = str(caught.value)
    assert expected in message
    assert "Error: " in message, "the driver's own words"
    for secret in (PASSWORD, "p%40ss%2Fword%3A1", "ss/word"):
        assert secret not in message


def test_create_tables_says_that_there_is_no_folder(tmp_path: Path) -> None:
    manager = SessionManager(f"sqlite:///{tmp_path}/gone/app.db", secret="s0123456789abcdef" * 2)

    with pytest.raises(StoreUnavailableError, match=r"gone/app\.db does not answer: .*"):
        manager.create_tables()


def test_a_missing_folder_is_told_at_start(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    SessionMiddleware(
        app, SessionManager(f"sqlite:///{tmp_path}/gone/app.db", secret="s0123456789abcdef" * 2)
    )

    (line,) = lines(caplog)
    assert f"there is no folder {tmp_path}/gone" in line


@pytest.mark.parametrize(
    "text",
    [
        f"can't connect with {PASSWORD}",
        "postgresql://ada:p%40ss%2Fword%3A1@db/app is bad",
        "mysql://ada:other-secret@db/app",
        "host=db password=other-secret user=ada",
        "passwd='other-secret and more'",
        "{'password': 'other-secret'}",
    ],
)
def test_passwords_in_a_driver_s_words_are_left_out(
    caplog: pytest.LogCaptureFixture, text: str
) -> None:
    database = peewee.PostgresqlDatabase("app", host="db", password=PASSWORD)
    error = StoreUnavailableError("the database did not answer")
    error.__cause__ = OSError(f"first line\n{text}")

    Outages(database).begin(error)

    (line,) = lines(caplog)
    assert "OSError: first line" in line
    for secret in (PASSWORD, "p%40ss", "other-secret"):
        assert secret not in line
    assert "\n" not in line


def test_what_came_before_a_failed_roll_back_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A connection that is cut within a transaction says nothing of why at the roll-back."""
    with fresh_server_database("mariadb") as url:
        manager = SessionManager(url, secret="s0123456789abcdef" * 2)
        manager.create_tables()

        def cut() -> None:
            manager.parts.store.users.find("nobody")
            database: Any = manager.database
            database.connection()._sock.shutdown(socket.SHUT_RDWR)
            manager.parts.store.users.find("nobody")

        with pytest.raises(StoreUnavailableError) as caught:
            manager.parts.store.atomically(cut)
        assert manager.events.outages is not None
        manager.events.outages.begin(caught.value)
        manager.close()

    (line,) = lines(caplog)
    assert "Lost connection" in line or "gone away" in line


def test_what_the_application_was_doing_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages(peewee.SqliteDatabase("app.db"))
    try:
        try:
            raise ValueError("a row of the application's")
        except ValueError:
            raise peewee.OperationalError("cut")  # noqa: B904  as a driver does
    except peewee.OperationalError as error:
        outages.begin(error)

    assert "a row" not in lines(caplog)[0]
