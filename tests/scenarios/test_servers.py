"""Every server that people run: one story each, PEP 3333 on both sides, and no shared connection.

Must not know what a server does inside: it is asked over HTTP, and its log is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product

import pytest

from tests.contract.databases import in_parallel

from .server_app import FAILING, KINDS
from .servers import DATABASES, SERVERS, Answer, Server, Visitor, fresh_database, serving

COMBINATIONS = [f"{server}-on-{database}" for server, database in product(SERVERS, DATABASES)]


@pytest.fixture(scope="module", params=COMBINATIONS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    kind, _, database_kind = request.param.partition("-on-")
    directory = tmp_path_factory.mktemp(request.param)
    with (
        fresh_database(database_kind, directory) as database,
        serving(kind, database, directory, use_early=True) as started,
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


@pytest.mark.parametrize("query", ["", "?bare"])
def test_every_kind_of_app_is_served_as_pep_3333_says(server: Server, query: str) -> None:
    visitor = signed_up(server, f"kinds{len(query)}@example.org")

    answers = {path: visitor.get(path + query) for path in KINDS}

    assert answers == {path: Answer(status, body) for path, (_, status, body) in KINDS.items()}
    said = server.log.read_text()
    assert "AssertionError" not in said, "that is how wsgiref.validate complains"
    assert "garbage collected without being closed" not in said
    assert visitor.get("/data/").json == {"streamed": True}


@pytest.mark.parametrize("path", list(FAILING))
def test_raising_app_is_answered_by_the_server_and_ends_no_session(
    server: Server, path: str
) -> None:
    email = f"{path.strip('/')}@example.org"
    visitor = signed_up(server, email)

    answers = [visitor.get(path).status, visitor.get(f"{path}?bare").status]

    assert answers == [500, 500]
    assert visitor.user() == email
    assert "the application's own fault" in server.log.read_text(), "the server saw the exception"


def test_no_connection_is_shared_across_a_fork(server: Server) -> None:
    email = "fork@example.org"
    visitor = signed_up(server, email)

    seen = in_parallel(lambda _: Visitor(server.port).get("/connection").json, 24)
    users = in_parallel(lambda _: Visitor(server.port, visitor.cookies).user(), 24)

    if server.kind.endswith("-preload"):
        assert {answer["imported_by"] for answer in seen} == {server.process.pid}
        assert not [answer for answer in seen if answer["pid"] == server.process.pid]
        assert not [answer for answer in seen if answer["is_the_early_one"]]
    else:
        assert [answer["pid"] for answer in seen] == [answer["imported_by"] for answer in seen]
    assert users == [email] * 24
    assert os.getpid() not in {answer["pid"] for answer in seen}
