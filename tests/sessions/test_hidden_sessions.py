"""A session that may live on, and this request may not see: no visitor's cookie replaces its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import PASSWORD, Stage, rotate, sign_up
from wsgi_sessions import SessionLimitReached, SessionRequest, StoreUnavailableError
from wsgi_sessions_testing.browser.browser import Browser

BOUND = {"ip_binding": "exact"}


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with Stage(**getattr(request, "param", BOUND)) as stage:
        yield stage


def start(request: SessionRequest) -> Any:
    assert request.session is None
    request.start_anonymous_session().data["cart"] = ["tea"]
    return request.session


def elsewhere(stage: Stage) -> None:
    stage.browser.address = "198.51.100.7"


def at_home(stage: Stage) -> None:
    stage.browser.address = "127.0.0.1"


def test_a_visitors_session_elsewhere_lives_for_the_request_alone(stage: Stage) -> None:
    made = stage.do(sign_up)
    token = stage.browser.session_token
    elsewhere(stage)
    started = stage.do(start)
    assert stage.browser.session_token == token
    assert stage.bench.manager.parts.store.sessions.find(started.id) is None
    assert stage.names().count("data_dropped") == 1
    at_home(stage)
    found = stage.do(lambda request: request.session)
    assert found is not None and found.id == made.session.id


@pytest.mark.parametrize("stage", [{**BOUND, "on_lost_data": "conflict"}], indirect=True)
def test_the_client_can_be_told_that_it_is_not_kept(stage: Stage) -> None:
    stage.do(sign_up)
    elsewhere(stage)
    stage.act = start
    assert stage.browser.get("/").status_int == 409
    stage.act = lambda request: request.start_anonymous_session().data.get("cart")
    assert stage.browser.get("/").status_int == 200


@pytest.mark.parametrize("stage", [{"on_database_error": "anonymous"}], indirect=True)
def test_a_visitors_session_while_the_database_was_away(stage: Stage) -> None:
    made = stage.do(sign_up)
    token = stage.browser.session_token

    def away_for_a_moment(*args: Any, **options: Any) -> None:
        patch.undo()
        raise StoreUnavailableError("away")

    patch = pytest.MonkeyPatch()
    patch.setattr(stage.bench.manager.parts.store.sessions, "find", away_for_a_moment)
    stage.do(start)
    assert stage.browser.session_token == token
    found = stage.do(lambda request: request.session)
    assert found is not None and found.id == made.session.id


@pytest.mark.parametrize("stage", [{"on_replay": "reject"}], indirect=True)
def test_a_visitors_session_beside_a_refused_replay(stage: Stage) -> None:
    stage.do(sign_up)
    late = stage.browser.fork()
    rotate(stage.browser, stage.bench.clock)
    token = late.session_token
    stage.do(start, late)
    assert late.session_token == token


def test_a_session_known_to_be_over_is_followed_by_a_visitors(stage: Stage) -> None:
    made = stage.do(sign_up)
    token = stage.browser.session_token
    stage.bench.manager.revoke_session(made.session.id)
    stage.do(start)
    assert stage.browser.session_token not in (None, token)
    assert stage.do(lambda request: request.start_anonymous_session().data["cart"]) == ["tea"]


def test_a_token_of_nobodys_making_hides_nothing(stage: Stage) -> None:
    stage.do(sign_up)
    token = str(stage.browser.session_token)
    visitor = stage.bench.new_browser()
    stage.act = start
    stage_headers = {"Cookie": f"__Host-session_token={token[:-1]}{'AB'[token[-1] == 'A']}"}
    response = visitor.get("/", headers=stage_headers)
    assert len(response.headers.getall("Set-Cookie")) == 1


def test_a_sign_in_replaces_the_hidden_session_and_takes_the_visitors_data(stage: Stage) -> None:
    made = stage.do(sign_up)
    elsewhere(stage)

    def act(request: SessionRequest) -> Any:
        start(request)
        return request.sign_in_email(email="ada@example.org", password=PASSWORD)

    again = stage.do(act)
    found = stage.do(
        lambda request: request.session and (request.session.id, dict(request.session.data))
    )
    assert found == (again.session.id, {"cart": ["tea"]})
    assert not stage.bench.manager.is_live(made.session.id)
    assert "data_dropped" not in stage.names()


def test_a_sign_out_elsewhere_ends_the_session(stage: Stage) -> None:
    made = stage.do(sign_up)
    elsewhere(stage)
    assert stage.do(lambda request: request.sign_out()) is True
    assert stage.browser.session_token is None
    assert not stage.bench.manager.is_live(made.session.id)


def test_the_json_apis_sign_out_elsewhere_ends_the_session(stage: Stage) -> None:
    made = stage.do(sign_up)
    elsewhere(stage)
    headers = {"Origin": "https://localhost"}
    assert stage.browser.post_json("/api/auth/sign-out", {}, headers=headers).status_int == 200
    assert not stage.bench.manager.is_live(made.session.id)


@pytest.mark.parametrize("stage", [{"on_replay": "reject"}], indirect=True)
def test_a_sign_out_with_a_token_of_before_ends_the_session(stage: Stage) -> None:
    made = stage.do(sign_up)
    late: Browser = stage.browser.fork()
    rotate(stage.browser, stage.bench.clock)
    assert stage.do(lambda request: request.sign_out(), late) is True
    assert not stage.bench.manager.is_live(made.session.id)


@pytest.mark.parametrize("stage", [{"on_database_error": "anonymous"}], indirect=True)
def test_a_sign_out_asks_again_where_the_database_was_away(stage: Stage) -> None:
    made = stage.do(sign_up)

    def away_for_a_moment(*args: Any, **options: Any) -> None:
        patch.undo()
        raise StoreUnavailableError("away")

    patch = pytest.MonkeyPatch()
    patch.setattr(stage.bench.manager.parts.store.sessions, "find", away_for_a_moment)
    assert stage.do(lambda request: request.sign_out()) is True
    assert stage.browser.session_token is None
    assert not stage.bench.manager.is_live(made.session.id)


def sign_in(request: SessionRequest) -> Any:
    return request.sign_in_email(email="ada@example.org", password=PASSWORD)


@pytest.mark.parametrize(
    "stage",
    [
        {**BOUND, "multi_session": {"maximum_sessions": 2, "on_limit": on_limit}}
        for on_limit in ("evict", "reject")
    ],
    indirect=True,
    ids=["evict", "reject"],
)
def test_the_session_that_a_sign_in_ends_takes_no_place(stage: Stage) -> None:
    made = stage.do(sign_up)
    other = stage.bench.new_browser()
    others = stage.do(sign_in, other)
    # Seen later than the other one, which so is the one to be evicted.
    stage.bench.clock.advance(hours=1)
    stage.do(lambda request: None)
    elsewhere(stage)
    again = stage.do(sign_in)
    assert again.session is not None
    assert stage.bench.manager.is_live(others.session.id)
    assert not stage.bench.manager.is_live(made.session.id)
    ends = [event for event in stage.bench.events if event.name == "session_ended"]
    assert [(event.session_id, event.reason) for event in ends] == [(made.session.id, "signed_out")]


@pytest.mark.parametrize(
    "stage",
    [{**BOUND, "multi_session": {"maximum_sessions": 1, "on_limit": "reject"}}],
    indirect=True,
)
def test_a_sign_in_that_is_refused_leaves_the_hidden_session(stage: Stage) -> None:
    bob: Any = {"name": "Bob", "email": "bob@example.org", "password": PASSWORD}
    stage.do(lambda request: request.sign_up_email(**bob), stage.bench.new_browser())
    made = stage.do(sign_up)
    elsewhere(stage)

    def act(request: SessionRequest) -> None:
        with pytest.raises(SessionLimitReached):
            request.sign_in_email(email=bob["email"], password=PASSWORD)

    stage.do(act)
    assert stage.bench.manager.is_live(made.session.id)
    at_home(stage)
    found = stage.do(lambda request: request.session)
    assert found is not None and found.id == made.session.id
