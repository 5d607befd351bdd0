"""Data of a session that has ended meanwhile: an event, and 409 where the client is to be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Stage, sign_up
from wsgi_sessions import ConfigurationError, SessionConfig, SessionDataLostError, SessionRequest

CONFLICT = {"on_lost_data": "conflict"}


def lose(stage: Stage, session_id: str) -> Any:
    def act(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["late"] = 1
        stage.bench.manager.revoke_session(session_id)

    return act


@pytest.mark.parametrize(("stage", "status"), [({}, 200), (CONFLICT, 409)], indirect=["stage"])
def test_the_client_is_told_if_it_is_to_be(stage: Stage, status: int) -> None:
    stage.act = lose(stage, stage.do(sign_up).session.id)
    response = stage.browser.get("/")
    assert response.status_int == status
    assert stage.names().count("data_dropped") == 1
    assert ("was not kept" in response.text) is (status == 409)


@pytest.mark.parametrize("stage", [CONFLICT], indirect=True)
def test_a_program_is_told_the_code(stage: Stage) -> None:
    stage.act = lose(stage, stage.do(sign_up).session.id)
    response = stage.browser.get("/", headers={"Accept": "application/json"})
    assert (response.status_int, response.content_type) == (409, "application/json")
    assert response.json["code"] == "SESSION_DATA_LOST"


@pytest.mark.parametrize("stage", [CONFLICT], indirect=True)
def test_an_explicit_save_is_refused_once_and_the_page_about_it_gets_through(stage: Stage) -> None:
    made = stage.do(sign_up)

    def act(request: SessionRequest) -> None:
        lose(stage, made.session.id)(request)
        with pytest.raises(SessionDataLostError) as caught:
            request.save_data()
        assert caught.value.code == "SESSION_DATA_LOST"

    stage.act = act
    assert stage.browser.get("/").status_int == 200


@pytest.mark.parametrize("stage", [CONFLICT], indirect=True)
def test_a_sign_in_goes_on_where_the_data_of_before_is_lost(stage: Stage) -> None:
    made = stage.do(sign_up)

    def act(request: SessionRequest) -> None:
        lose(stage, made.session.id)(request)
        request.sign_in(made.user.id)

    stage.act = act
    assert stage.browser.get("/").status_int == 200
    assert stage.browser.session is not None


@pytest.mark.parametrize("stage", [CONFLICT], indirect=True)
def test_what_is_stored_is_no_conflict(stage: Stage) -> None:
    stage.do(sign_up)
    stage.act = lambda request: request.session and request.session.data.update(cart=1)
    assert stage.browser.get("/").status_int == 200
    stage.act = lambda request: request.session and dict(request.session.data)
    assert stage.browser.get("/").status_int == 200
    assert "data_dropped" not in stage.names()


@pytest.mark.parametrize("stage", [CONFLICT], indirect=True)
def test_in_a_streamed_body_it_is_too_late_to_tell(stage: Stage) -> None:
    made = stage.do(sign_up)

    def streaming(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"saved"
        lose(stage, made.session.id)(environ["wsgi_sessions.request"])

    app, stage.bench.app.app = stage.bench.app.app, streaming  # type: ignore[attr-defined]
    response = stage.browser.get("/")
    stage.bench.app.app = app  # type: ignore[attr-defined]
    assert (response.status_int, response.text) == (200, "saved")
    assert stage.names().count("data_dropped") == 1


def test_the_json_api_answers_in_its_own_words() -> None:
    stage = Stage(session_fields={"theme": "string"}, on_lost_data="conflict")
    with stage.bench:
        stage.browser = stage.bench.new_browser()
        made = stage.do(sign_up)
        store = stage.bench.manager.parts.store
        merge = store.sessions.merge_data

        def end_first(session_id: str, *args: Any, **options: Any) -> Any:
            stage.bench.manager.revoke_session(session_id)
            return merge(session_id, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store.sessions, "merge_data", end_first)
            response = stage.browser.post_json(
                "/api/auth/update-session",
                {"theme": "dark"},
                headers={"Origin": "https://localhost"},
            )
        assert made.session.id
        assert (response.status_int, response.json["code"]) == (409, "SESSION_DATA_LOST")


def test_adapters_show_it_as_409() -> None:
    from wsgi_sessions.adapters import refusal_of

    assert refusal_of(SessionDataLostError("gone")).status == 409


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="on_lost_data is 'refuse'"):
        SessionConfig(secret="s0123456789abcdef" * 2, on_lost_data="refuse")  # type: ignore[arg-type]
