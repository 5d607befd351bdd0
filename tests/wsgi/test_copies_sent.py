"""Which cached copies the handle sends, replaces and clears, and when it lets them be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Stage, sign_up
from wsgi_sessions import NotSignedInError, SessionRequest, StoreUnavailableError
from wsgi_sessions.sessions.cookie_cache import CookieCache

TOKEN, COPY, DEVICE = "__Host-session_token", "__Host-session_data", "__Host-known_device"


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    given = {"cookie_cache": True, "revocation_lag": 60, **getattr(request, "param", {})}
    with Stage(**given) as stage:
        yield stage


def sent(stage: Stage) -> list[str]:
    """Return the names of the cookies that the last answer has set; ``-name``: it cleared it."""
    lines = [line.partition(";")[0] for line in stage.browser.history[-1].received]
    pairs = [line.partition("=") for line in lines]
    return [name if value else f"-{name}" for name, _, value in pairs]


def change_past_the_product(stage: Stage, user_id: Any, **values: Any) -> None:
    user = stage.bench.manager.parts.models.user
    user.update(**values).where(user.id == user_id).execute()


def ask(request: SessionRequest) -> Any:
    return request.require_fresh()


def seal_nothing(*_: Any, **__: Any) -> None:
    """Seal no copy, as of a user whom JSON can't hold."""


def test_a_copy_that_is_outdated_and_can_not_be_made_anew_is_cleared(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage.do(sign_up)
    assert COPY in stage.browser.cookies
    change_past_the_product(stage, made.user.id, name="Eve")
    monkeypatch.setattr(CookieCache, "seal", seal_nothing)
    stage.do(ask)
    assert sent(stage) == [f"-{COPY}"]
    assert stage.do(lambda request: request.require_user().name) == "Eve"


def test_a_copy_that_is_good_is_let_be(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.do(sign_up)
    stage.do(ask)
    assert sent(stage) == []
    monkeypatch.setattr(CookieCache, "seal", seal_nothing)
    stage.do(ask)
    assert sent(stage) == []


def test_where_there_is_no_copy_and_none_can_be_made_nothing_is_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.do(sign_up)
    stage.browser.cookies.discard(COPY)
    monkeypatch.setattr(CookieCache, "seal", seal_nothing)
    stage.do(ask)
    assert sent(stage) == []


def test_a_copy_that_is_void_is_replaced(stage: Stage) -> None:
    stage.do(sign_up)
    token, copy = stage.browser.session_token, stage.browser.cookies[COPY]
    assert stage.browser.get("/", headers={"Cookie": f"__Host-session_token={token}; {COPY}=x.y"})
    assert sent(stage) == [COPY]
    assert stage.browser.get(
        "/", headers={"Cookie": f"__Host-session_token={token}; {COPY}={copy}"}
    )
    assert sent(stage) == []


def test_a_sign_in_while_the_feed_can_not_be_read_sends_no_copy(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(stage.bench.manager.parts.store.revocations, "find", away)
    stage.do(sign_up)
    assert sent(stage) == [TOKEN, DEVICE]
    assert stage.do(lambda request: request.require_user().name) == "Ada"


def test_a_copy_is_let_be_while_the_feed_can_not_be_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.do(sign_up)

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError("away")

    stage.bench.clock.advance(seconds=60)
    monkeypatch.setattr(stage.bench.manager.parts.store.revocations, "find", away)
    stage.do(ask)
    assert sent(stage) == []


@pytest.mark.parametrize(
    "stage", [{"cookie_cache": False, "on_database_error": "anonymous"}], indirect=True
)
def test_without_a_cache_no_copy_is_sent_where_the_database_was_away(stage: Stage) -> None:
    stage.do(sign_up)

    def away_for_a_moment(*_: Any, **__: Any) -> None:
        patch.undo()
        raise StoreUnavailableError("away")

    patch = pytest.MonkeyPatch()
    patch.setattr(stage.bench.manager.parts.store.sessions, "find", away_for_a_moment)
    assert stage.do(ask).name == "Ada"
    assert sent(stage) == []


def update(request: SessionRequest) -> None:
    request.update_user(name="Eve")


def test_a_change_of_the_user_replaces_the_copy_and_is_shown_at_once(stage: Stage) -> None:
    stage.do(sign_up)

    def and_show(request: SessionRequest) -> tuple[str | None, str | None]:
        update(request)
        return request.require_user().name, stage.environ["wsgi_sessions.user"].name

    assert stage.do(and_show) == ("Eve", "Eve")
    assert sent(stage) == [COPY]
    assert stage.do(lambda request: (request.is_from_database, request.require_user().name)) == (
        False,
        "Eve",
    )


def test_a_change_of_the_user_beside_the_sign_up_sends_one_copy(stage: Stage) -> None:
    def act(request: SessionRequest) -> None:
        sign_up(request)
        update(request)

    stage.do(act)
    assert sent(stage) == [TOKEN, DEVICE, COPY]
    assert stage.do(lambda request: (request.is_from_database, request.require_user().name)) == (
        False,
        "Eve",
    )


def test_a_change_of_the_user_clears_the_copy_of_a_token_that_is_replaced(stage: Stage) -> None:
    stage.do(sign_up)
    token = stage.browser.session_token
    stage.bench.clock.advance(days=1)
    stage.do(update)
    assert sent(stage) == [TOKEN, f"-{COPY}"]
    assert stage.browser.session_token != token
    assert stage.do(lambda request: request.require_user().name) == "Eve"


def test_a_change_of_the_user_clears_a_copy_that_can_not_be_made_anew(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.do(sign_up)
    monkeypatch.setattr(CookieCache, "seal", seal_nothing)
    stage.do(update)
    assert sent(stage) == [f"-{COPY}"]


@pytest.mark.parametrize("stage", [{"cookie_cache": False}], indirect=True)
def test_without_a_cache_a_change_of_the_user_sends_nothing(stage: Stage) -> None:
    stage.do(sign_up)
    stage.do(update)
    assert sent(stage) == []
    assert stage.do(lambda request: request.require_user().name) == "Eve"


def test_a_change_of_a_user_who_was_deleted_meanwhile_says_so(stage: Stage) -> None:
    made = stage.do(sign_up)

    def act(request: SessionRequest) -> None:
        request._exchange.ask_database()
        stage.bench.manager.delete_user(made.user.id)
        with pytest.raises(NotSignedInError):
            update(request)

    stage.do(act)
