"""Every server that people run: one story each, PEP 3333 on both sides, and no shared connection."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException, RemoteDisconnected
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.contract.databases import wait_for_nodes
from tests.support import in_parallel

from .server_app import FAILING, KINDS
from .servers import (
    DATABASES,
    LARGE_FILE,
    PASSWORD,
    PATIENCE_SECONDS,
    SERVERS,
    Answer,
    Server,
    Visitor,
    fresh_database,
    serving,
)

COMBINATIONS = [f"{server}-on-{database}" for server, database in product(SERVERS, DATABASES)]


@pytest.fixture(scope="module", params=COMBINATIONS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    kind, _, database_kind = request.param.partition("-on-")
    directory = tmp_path_factory.mktemp(request.param)
    # uWSGI's are forked ready, so more cost nothing.
    workers = 4 if kind.startswith("uwsgi") else 2
    with (
        fresh_database(database_kind, directory) as database,
        serving(kind, database, directory, workers=workers, use_early=True) as started,
    ):
        yield started


def signed_up(server: Server, email: str) -> Visitor:
    visitor = server.visitor()
    answer = visitor.sign_up(email)
    assert answer.status == 200, answer.body
    return visitor


def test_session_is_read_back_until_its_own_device_signs_out(server: Server) -> None:
    laptop, phone = server.visitor(), server.visitor()

    before = laptop.user()
    laptop.sign_up("story@example.org")
    phone.sign_in("story@example.org")
    during = [laptop.user(), phone.user()]
    signed_out = laptop.sign_out()
    after = [laptop.user(), phone.user()]

    assert before is None
    assert during == ["story@example.org"] * 2
    assert signed_out.json == {"success": True}
    assert after == [None, "story@example.org"]


def test_session_data_is_read_back(server: Server) -> None:
    visitor = signed_up(server, "data@example.org")

    visitor.post("/data/colour?green")

    assert visitor.get("/data/").json == {"colour": "green", "colour-double": "green"}


def test_body_in_chunks_is_read_where_the_server_reads_it(server: Server) -> None:
    email = "chunks@example.org"
    signed_up(server, email)
    visitor = server.visitor()

    answer = visitor.post_in_chunks(
        "/api/auth/sign-in/email", {"email": email, "password": PASSWORD}
    )

    if server.is_uwsgi:
        # It gives the application no body; nginx before it takes the chunks apart.
        assert (answer.status, visitor.user()) == (400, None)
    else:
        assert (answer.status, visitor.user()) == (200, email)


def test_long_body_is_told_from_a_short_one(server: Server) -> None:
    """On gunicorn, too, which says of every request that its input is terminated."""
    visitor = server.visitor()

    def is_long(method: str, body: bytes | Iterator[bytes] | None = None) -> Any:
        return visitor.ask(method, "/long-body", body).json

    without_body = {method: is_long(method) for method in ("GET", "DELETE", "OPTIONS", "POST")}
    assert without_body == dict.fromkeys(without_body, False)
    if server.is_uwsgi:
        return  # It resets the connection where nobody reads the body.
    assert [is_long("PUT", b"x" * size) for size in (65_536, 65_537)] == [False, True]
    assert is_long("POST", iter([b"x" * 35_000] * 2)) is True
    # Waitress has read all of it before it begins, and hands over its length.
    assert is_long("POST", iter([b"x"])) is (server.kind != "waitress")


@pytest.mark.parametrize("query", ["", "?bare"])
def test_every_kind_of_app_is_served_as_pep_3333_says(server: Server, query: str) -> None:
    visitor = signed_up(server, f"kinds{len(query)}@example.org")

    answers = {path: visitor.get(path + query) for path in KINDS}

    right = {path: Answer(status, body) for path, (_, status, body) in KINDS.items()}
    if server.is_uwsgi:
        # It stumbles over exc_info, with us and without.
        right["/exc-info"] = visitor.get("/exc-info?alone")
        assert right["/exc-info"].status == 202
    assert answers == right
    said = server.log.read_text()
    assert "AssertionError" not in said, "that is how wsgiref.validate complains"
    assert "garbage collected without being closed" not in said
    wait_for_nodes()
    assert visitor.get("/data/").json == {"streamed": True}


@pytest.mark.parametrize("query", ["", "?bare"])
def test_refusal_after_start_response_reaches_the_client(server: Server, query: str) -> None:
    answer = server.visitor().get(f"/refused-late{query}")

    assert (answer.status, answer.body) == (401, b"Unauthorized. Sign in first.\n")


@pytest.mark.parametrize("path", list(FAILING))
def test_raising_app_is_answered_by_the_server_and_ends_no_session(
    server: Server, path: str
) -> None:
    email = f"{path.strip('/')}@example.org"
    visitor = signed_up(server, email)

    answers = [status_of(visitor, path), status_of(visitor, f"{path}?bare")]

    # uWSGI shuts the connection, or lets the headers out that were given before.
    right = status_of(visitor, f"{path}?alone") if server.is_uwsgi else 500
    assert answers == [right, right]
    assert visitor.user() == email
    assert "the application's own fault" in server.log.read_text(), "the server saw the exception"


def status_of(visitor: Visitor, path: str) -> int | None:
    """Return the status of an answer, or None when the server shut the connection."""
    try:
        return visitor.get(path).status
    except RemoteDisconnected:
        return None


def wait_for_log(server: Server, pattern: str, count: int) -> list[str]:
    """Return what a pattern finds in the server's log, once it is found so many times."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found: list[str] = re.findall(pattern, server.log.read_text())
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{pattern} is not {count} times in: {server.log.read_text()}")


def test_large_file_of_a_signed_in_browser_goes_as_the_server_sends_files(server: Server) -> None:
    visitor = signed_up(server, "file@example.org")

    bodies = [visitor.get(f"/large-file?{query}").body for query in ("alone", "bare")]

    # The file is closed after the client has had it all.
    reads = wait_for_log(server, r"large-file' was read (\d+) times", 2)
    assert bodies == [LARGE_FILE] * 2
    assert reads[0] == reads[1]
    if server.kind not in ("waitress", "gevent"):
        assert reads == ["0", "0"], "the kernel sends it"


def test_many_at_once_are_each_answered_as_themselves(server: Server) -> None:
    assert not answered_as_another(server, turns=40 if server.is_prefork else 5)


@pytest.mark.parametrize("database_kind", ["postgres", "mariadb"])
@pytest.mark.parametrize("kind", ["uwsgi", "uwsgi-threads", "gthread-preload"])
def test_an_apps_database_answers_each_as_themselves(
    kind: str, database_kind: str, tmp_path: Path
) -> None:
    with (
        fresh_database(database_kind, tmp_path) as database,
        serving(kind, database, tmp_path, workers=3, use_early=True, is_of_app=True) as server,
    ):
        assert not answered_as_another(server, turns=20)


@pytest.mark.parametrize("kind", SERVERS)
def test_mail_is_sent_though_no_request_follows(kind: str, tmp_path: Path) -> None:
    """In uWSGI too, which before 2.0.27 runs no threads unless it is told to."""
    ask = "/api/auth/request-password-reset"
    with (
        fresh_database("sqlite", tmp_path) as database,
        serving(kind, database, tmp_path, use_early=True) as server,
    ):
        visitor = signed_up(server, "mail@example.org")
        assert visitor.post(ask, {"email": "mail@example.org"}).status == 200
        wait_for_log(server, "Mail to mail@example.org: reset-password", 1)
        # The end of the server waits for what is to be sent.
        assert visitor.post(ask, {"email": "mail@example.org"}).status == 200
        # SIGTERM kills waitress, which has no handler of its own.
        server.process.send_signal(signal.SIGINT if kind == "waitress" else signal.SIGTERM)
        wait_for_log(server, "Mail to mail@example.org: reset-password", 2)


def answered_as_another(server: Server, *, turns: int) -> Counter[tuple[str, str]]:
    """Have eight people ask at once, each in turn, and count who was answered as whom else."""
    emails = [f"many{number}@example.org" for number in range(8)]
    jars = [signed_up(server, email).cookies for email in emails]

    def ask_in_turn(number: int) -> list[tuple[str, str]]:
        seen = []
        for turn in range(turns):
            person = (number + turn) % len(emails)
            answer = Visitor(server.port, jars[person]).get("/me?bare")
            told = answer.json["user"] if answer.status == 200 else str(answer.status)
            seen.append((emails[person], told))
        return seen

    seen = [pair for pairs in in_parallel(ask_in_turn, 8) for pair in pairs]
    return Counter(pair for pair in seen if pair[0] != pair[1])


def test_no_connection_is_shared_across_a_fork(server: Server) -> None:
    email = "fork@example.org"
    visitor = signed_up(server, email)

    seen = in_parallel(lambda _: Visitor(server.port).get("/connection").json, 24)
    users = in_parallel(lambda _: Visitor(server.port, visitor.cookies).user(), 24)

    if server.is_prefork:
        assert {answer["imported_by"] for answer in seen} == {server.process.pid}
        assert not [answer for answer in seen if answer["pid"] == server.process.pid]
    else:
        assert [answer["pid"] for answer in seen] == [answer["imported_by"] for answer in seen]
    assert users == [email] * 24
    users_of_connection = {
        answer["connection"]: {
            one["pid"] for one in seen if one["connection"] == answer["connection"]
        }
        for answer in seen
    }
    assert not [pids for pids in users_of_connection.values() if len(pids) > 1]
    if "opened" in seen[0]["connection"]:
        assert all(f"by {answer['pid']} as" in answer["connection"] for answer in seen)
    assert os.getpid() not in {answer["pid"] for answer in seen}


@pytest.mark.parametrize("kind", ["gthread", "gthread-preload", "uwsgi", "uwsgi-lazy"])
def test_reload_signs_nobody_out(kind: str, tmp_path: Path) -> None:
    with (
        fresh_database("mariadb", tmp_path) as database,
        serving(kind, database, tmp_path, use_early=True) as server,
    ):
        visitors = {f"{n}@example.org": signed_up(server, f"{n}@example.org") for n in range(4)}
        wrong: list[tuple[str, Any]] = []
        is_over = threading.Event()

        def go_on(email: str) -> None:
            while not is_over.is_set():
                # A server may cut who it was about to answer, but must not answer wrongly.
                with suppress(OSError, HTTPException):
                    answer = visitors[email].get("/me")
                    if answer.status != 200 or answer.json["user"] != email:
                        wrong.append((email, answer))

        threads = [threading.Thread(target=go_on, args=(email,)) for email in visitors]
        for thread in threads:
            thread.start()
        server.reload()
        is_over.set()
        for thread in threads:
            thread.join()

        assert wrong == []
        assert {email: visitor.user() for email, visitor in visitors.items()} == {
            email: email for email in visitors
        }
