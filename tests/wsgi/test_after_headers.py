"""What the handle does when the headers are out: nothing whose cookie would be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import PASSWORD, Stage, sign_up
from wsgi_sessions import ResponseStartedError, SessionRequest
from wsgi_sessions.sessions.cookie_cache import CookieCache

Act = Callable[[SessionRequest], Any]
CACHED = {"cookie_cache": True, "revocation_lag": 60}


def do_after_headers(stage: Stage, act: Act) -> Any:
    """Have the app act within the body of one request; return what the act returned."""
    results: list[Any] = []

    def streaming(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"begun"
        results.append(act(environ["wsgi_sessions.request"]))

    middleware: Any = stage.bench.app
    app, middleware.app = middleware.app, streaming
    try:
        assert stage.browser.get("/").status_int == 200
    finally:
        middleware.app = app
    return results[0]


REFUSED: dict[str, Act] = {
    "sign_up_email": lambda request: request.sign_up_email(
        name="Bob", email="bob@example.org", password=PASSWORD
    ),
    "sign_in_email": lambda request: request.sign_in_email(
        email="ada@example.org", password=PASSWORD
    ),
    "sign_in_social": lambda request: request.sign_in_social(provider="corp", id_token="a.b.c"),
    "sign_in": lambda request: request.sign_in(request.require_user().id),
    "sign_out": lambda request: request.sign_out(),
    "revoke_session": lambda request: request.revoke_session(
        request.session.id if request.session else ""
    ),
    "revoke_all_sessions": lambda request: request.revoke_all_sessions(),
    "change_password": lambda request: request.change_password(
        current_password=PASSWORD, new_password="another horse battery"
    ),
    "delete_user": lambda request: request.delete_user(),
}


def rows_of(stage: Stage) -> tuple[list[Any], list[Any]]:
    """Return all sessions and users as they are stored."""
    manager = stage.bench.manager
    session, user = manager.parts.models.session, manager.parts.models.user
    return list(session.select().tuples()), list(user.select().tuples())


@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED.keys())
def test_what_needs_a_cookie_is_refused_before_it_is_done(stage: Stage, act: Act) -> None:
    stage.do(sign_up)
    before = rows_of(stage)

    def refused(request: SessionRequest) -> bool:
        with pytest.raises(ResponseStartedError, match="before start_response"):
            act(request)
        return request.session is not None

    assert do_after_headers(stage, refused) is True
    assert rows_of(stage) == before
    assert stage.browser.session is not None


@pytest.mark.parametrize("stage", [CACHED], indirect=True)
def test_a_change_of_the_user_needs_a_cookie_where_copies_are_kept(stage: Stage) -> None:
    stage.do(sign_up)

    def refused(request: SessionRequest) -> None:
        with pytest.raises(ResponseStartedError):
            request.update_user(name="Eve")

    do_after_headers(stage, refused)
    assert stage.do(lambda request: request.require_fresh().name) == "Ada"


def test_what_needs_no_cookie_is_done(stage: Stage) -> None:
    stage.do(sign_up)
    phone, tablet = stage.bench.new_browser(), stage.bench.new_browser()
    phone_id = phone.sign_in("ada@example.org").id
    tablet.sign_in("ada@example.org")

    def act(request: SessionRequest) -> tuple[str | None, bool, int]:
        name = request.update_user(name="Eve").name
        return name, request.revoke_session(phone_id), request.revoke_other_sessions()

    assert do_after_headers(stage, act) == ("Eve", True, 1)
    assert (phone.session, tablet.session) == (None, None)
    assert stage.do(lambda request: request.require_user().name) == "Eve"


def test_no_visitors_session_begins(stage: Stage) -> None:
    def refused(request: SessionRequest) -> bool:
        with pytest.raises(ResponseStartedError):
            request.start_anonymous_session()
        return request.session is None

    assert do_after_headers(stage, refused) is True


def test_a_visitors_first_change_is_refused_at_once(stage: Stage) -> None:
    raised: list[bool] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["wsgi_sessions.request"].start_anonymous_session()
        start_response("200 OK", [("Content-Type", "text/plain")])
        with pytest.raises(ResponseStartedError, match="for the first time"):
            session.data["cart"] = ["tea"]
        raised.append(True)
        return [b"done"]

    stage.bench.app.app = app  # type: ignore[attr-defined]
    assert stage.browser.get("/").status_int == 200
    assert raised == [True]
    assert stage.browser.session_token is None


@pytest.mark.parametrize("stage", [{}, CACHED], indirect=True)
def test_after_the_answer_a_change_of_data_is_stored_at_once(stage: Stage) -> None:
    made = stage.do(sign_up)
    stage.browser.get("/")
    session = stage.do(lambda request: request.session)
    session.data["cart"] = ["tea"]
    found = stage.bench.manager.parts.store.sessions.find(made.session.id)
    assert found is not None and found[0].data == '{"cart":["tea"]}'


@pytest.mark.parametrize("stage", [CACHED], indirect=True)
def test_the_database_is_asked_and_no_copy_is_made(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage.do(sign_up)
    user = stage.bench.manager.parts.models.user
    user.update(name="Eve").where(user.id == made.user.id).execute()
    sealed: list[str] = []
    monkeypatch.setattr(CookieCache, "seal", lambda *_, **__: sealed.append("a copy"))

    def ask(request: SessionRequest) -> tuple[str | None, str | None]:
        before = request.require_user().name
        request._exchange.ask_database()
        return before, request.require_user().name

    assert do_after_headers(stage, ask) == ("Ada", "Eve")
    assert sealed == []
