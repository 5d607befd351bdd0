"""One request's session while the database comes and goes, and the app holds on to old data."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import Stage, sign_up
from wsgi_sessions import SessionDataLostError, SessionRequest, StoreUnavailableError

ANONYMOUS = {"on_database_error": "anonymous"}


def away_for_a_moment(stage: Stage) -> None:
    """Have the database not answer when it is next asked for a session."""
    patch = pytest.MonkeyPatch()

    def away(*_: Any, **__: Any) -> None:
        patch.undo()
        raise StoreUnavailableError("away")

    patch.setattr(stage.bench.manager.parts.store.sessions, "find", away)


@pytest.mark.parametrize("stage", [ANONYMOUS], indirect=True)
def test_the_database_that_is_there_again_is_asked_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage.do(sign_up)
    store, asked = stage.bench.manager.parts.store, []
    find = store.sessions.find

    def first_away(session_id: str, **options: Any) -> Any:
        asked.append(session_id)
        if len(asked) == 1:
            raise StoreUnavailableError("away")
        return find(session_id, **options)

    def act(request: SessionRequest) -> None:
        assert request.is_database_away
        assert not request.is_from_database
        assert request.user is None
        for _ in range(2):
            request._exchange.ask_database()
        assert not request.is_database_away
        assert request.is_from_database
        assert request.session is not None
        assert stage.environ["wsgi_sessions.session"] is request.session
        assert stage.environ["wsgi_sessions.user"] == made.user

    monkeypatch.setattr(store.sessions, "find", first_away)
    stage.do(act)
    assert asked == [made.session.id] * 2


@pytest.mark.parametrize("stage", [ANONYMOUS], indirect=True)
def test_a_visitors_session_gives_way_to_the_one_that_is_found_after_all(
    stage: Stage,
) -> None:
    made = stage.do(sign_up)
    token = stage.browser.session_token

    def act(request: SessionRequest) -> None:
        data = request.start_anonymous_session().data
        request.require_fresh()
        assert request.session is not None
        assert request.session.id == made.session.id
        data["late"] = 1
        request.session.data["cart"] = ["tea"]

    away_for_a_moment(stage)
    stage.do(act)
    assert stage.names().count("data_dropped") == 1
    assert stage.browser.session_token == token
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {
        "cart": ["tea"]
    }


@pytest.mark.parametrize("stage", [ANONYMOUS], indirect=True)
def test_a_visitors_session_stays_where_the_one_before_turns_out_to_be_over(
    stage: Stage,
) -> None:
    made = stage.do(sign_up)
    stage.bench.manager.revoke_session(made.session.id)

    def act(request: SessionRequest) -> None:
        session = request.start_anonymous_session()
        session.data["cart"] = ["tea"]
        request._exchange.ask_database()
        assert request.session is session

    away_for_a_moment(stage)
    stage.do(act)
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {
        "cart": ["tea"]
    }
    assert "data_dropped" not in stage.names()


@pytest.mark.parametrize("stage", [{}, {"on_lost_data": "conflict"}], indirect=True)
def test_data_of_the_session_before_is_refused_and_that_of_the_new_one_kept(stage: Stage) -> None:
    user = stage.do(sign_up).user

    def act(request: SessionRequest) -> None:
        old = request.session
        assert old is not None
        made = request.sign_in(user.id).session
        assert made is not None
        made.data["kept"] = 1
        old.data["late"] = 1

    stage.act = act
    assert stage.browser.get("/").status_int == 200
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {"kept": 1}


@pytest.mark.parametrize("stage", [{"on_lost_data": "conflict"}], indirect=True)
def test_data_that_is_first_opened_after_a_sign_out_is_told_to_be_lost(stage: Stage) -> None:
    stage.do(sign_up)

    def act(request: SessionRequest) -> None:
        old = request.session
        assert old is not None
        request.sign_out()
        assert dict(old.data) == {}
        old.data["late"] = 1
        with pytest.raises(SessionDataLostError) as caught:
            request.save_data()
        assert caught.value.detail == "the session had ended"

    stage.act = act
    assert stage.browser.get("/").status_int == 200
    assert stage.browser.session_token is None
    assert stage.names().count("data_dropped") == 1


def test_an_anonymous_sessions_deleted_key_is_stored_nowhere(stage: Stage) -> None:
    def act(request: SessionRequest) -> Any:
        data = request.start_anonymous_session().data
        data["gone"] = 1
        data["cart"] = ["tea"]
        request.save_data()
        data["more"] = 1
        del data["gone"]

    stage.do(act)
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {
        "cart": ["tea"],
        "more": 1,
    }
    assert stage.names().count("session_created") == 1
