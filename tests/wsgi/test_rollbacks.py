"""What the app's own transaction rolls back: cookies and table agree afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.support import PASSWORD, Stage, sign_up
from wsgi_sessions import InvalidValueError, SessionRequest, StoreUnavailableError


class Undone(Exception):
    """Rolls a transaction back."""


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    database = peewee.SqliteDatabase(str(tmp_path / "theirs.db"))
    stage = Stage(database=database, **getattr(request, "param", {}))
    stage.database = database  # type: ignore[attr-defined]
    with stage:
        yield stage
    database.close()


def within(stage: Stage, act: Callable[[SessionRequest], Any], *, undo: bool) -> Any:
    """Return an act that runs another in a transaction, and rolls it back or not."""

    def run(request: SessionRequest) -> None:
        with suppress(Undone), stage.database.atomic():  # type: ignore[attr-defined]
            act(request)
            if undo:
                raise Undone

    return run


ENDS: dict[str, Callable[[SessionRequest], Any]] = {
    "sign_out": lambda request: request.sign_out(),
    "revoke_session": lambda request: request.revoke_session(
        request.session.id if request.session else ""
    ),
    "revoke_all_sessions": lambda request: request.revoke_all_sessions(),
    "delete_user": lambda request: request.delete_user(),
}


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("act", ENDS.values(), ids=ENDS.keys())
def test_an_end_that_is_rolled_back_clears_no_cookie(
    stage: Stage, act: Callable[[SessionRequest], Any], undo: bool
) -> None:
    made = stage.do(sign_up)
    stage.do(within(stage, act, undo=undo))
    is_live = stage.bench.manager.is_live(made.session.id)
    assert is_live is undo
    assert (stage.browser.session_token is not None) is is_live
    assert (stage.browser.session is not None) is is_live


@pytest.mark.parametrize("undo", [False, True])
def test_so_it_is_in_a_transaction_of_the_managers_own_database(tmp_path: Path, undo: bool) -> None:
    stage = Stage(database=f"sqlite:///{tmp_path / 'ours.db'}")
    with stage.bench:
        stage.browser = stage.bench.new_browser()
        stage.database = stage.bench.manager.database  # type: ignore[attr-defined]
        made = stage.do(sign_up)
        stage.do(within(stage, ENDS["sign_out"], undo=undo))
        assert stage.bench.manager.is_live(made.session.id) is undo
        assert (stage.browser.session is not None) is undo


@pytest.mark.parametrize("undo", [False, True])
def test_a_change_of_password_that_is_rolled_back_keeps_the_session(
    stage: Stage, undo: bool
) -> None:
    stage.do(sign_up)

    def act(request: SessionRequest) -> None:
        request.change_password(current_password=PASSWORD, new_password="another horse battery")

    stage.do(within(stage, act, undo=undo))
    assert stage.browser.session is not None


def test_the_last_act_that_was_kept_counts(stage: Stage) -> None:
    user = stage.do(sign_up).user

    def act(request: SessionRequest) -> str:
        with stage.database.atomic():  # type: ignore[attr-defined]
            made = request.sign_in(user.id).session
            assert made is not None
        within(stage, lambda request: request.sign_out(), undo=True)(request)
        return made.id

    kept = stage.do(act)
    now = stage.browser.session
    assert now is not None and now.id == kept


def test_the_environ_shows_what_is_so_after_all(stage: Stage) -> None:
    made = stage.do(sign_up)
    stage.do(within(stage, lambda request: request.sign_out(), undo=True))
    assert stage.environ["wsgi_sessions.session"].id == made.session.id
    assert stage.environ["wsgi_sessions.end_reason"] is None


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("error", [InvalidValueError("wrong"), StoreUnavailableError("away")])
def test_an_answer_that_breaks_off_brings_what_was_kept(
    stage: Stage, error: Exception, undo: bool
) -> None:
    user = stage.do(sign_up).user

    def act(request: SessionRequest) -> None:
        within(stage, lambda request: request.sign_in(user.id), undo=undo)(request)
        raise error

    stage.act = act
    assert stage.browser.get("/").status_int in (400, 503)
    assert stage.browser.session is not None


def test_a_transaction_that_the_error_itself_rolls_back(stage: Stage) -> None:
    user = stage.do(sign_up).user

    def act(request: SessionRequest) -> None:
        with stage.database.atomic():  # type: ignore[attr-defined]
            request.sign_in(user.id)
            raise InvalidValueError("wrong")

    stage.act = act
    assert stage.browser.get("/").status_int == 400
    assert stage.browser.session is not None


@pytest.mark.parametrize("undo", [False, True])
def test_an_anonymous_session_that_is_rolled_back_is_stored_with_the_response(
    stage: Stage, undo: bool
) -> None:
    def act(request: SessionRequest) -> None:
        request.start_anonymous_session().data["cart"] = ["tea"]
        request.save_data()

    stage.do(within(stage, act, undo=undo))
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {
        "cart": ["tea"]
    }


@pytest.mark.parametrize("undo", [False, True])
def test_what_was_deleted_from_an_anonymous_sessions_data_stays_away(
    stage: Stage, undo: bool
) -> None:
    def act(request: SessionRequest) -> None:
        data = request.start_anonymous_session().data
        data.update(cart=["tea"], gone=1)
        request.save_data()
        del data["gone"]
        request.save_data()

    stage.do(within(stage, act, undo=undo))
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {
        "cart": ["tea"]
    }


@pytest.mark.parametrize("undo", [False, True])
def test_data_that_is_rolled_back_is_stored_with_the_response(stage: Stage, undo: bool) -> None:
    stage.do(sign_up)
    stage.do(lambda request: request.session and request.session.data.update(old=1, gone=2))

    def act(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["cart"] = ["tea"]
        del request.session.data["gone"]
        request.save_data()

    shown: list[Any] = []

    def and_show(request: SessionRequest) -> None:
        within(stage, act, undo=undo)(request)
        assert request.session is not None
        request.session.data["after"] = True
        shown.append(dict(request.session.data))

    stage.do(and_show)
    kept = stage.do(lambda request: request.session and dict(request.session.data))
    assert [kept] == shown == [{"old": 1, "cart": ["tea"], "after": True}]


@pytest.mark.parametrize("undo", [False, True])
def test_data_that_a_sign_in_has_stored_comes_back_with_the_session_before(
    stage: Stage, undo: bool
) -> None:
    user = stage.do(sign_up).user

    def act(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["cart"] = ["tea"]
        request.sign_in(user.id)

    stage.do(within(stage, act, undo=undo))
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {
        "cart": ["tea"]
    }


@pytest.mark.parametrize("stage", [{"cookie_cache": True}], indirect=True)
@pytest.mark.parametrize("undo", [False, True])
def test_a_change_of_the_user_that_is_rolled_back_is_in_no_copy(stage: Stage, undo: bool) -> None:
    stage.do(sign_up)
    stage.browser.get("/")
    stage.do(within(stage, lambda request: request.update_user(name="Eve"), undo=undo))
    shown = stage.do(lambda request: request.user and request.user.name)
    stored = stage.bench.manager.parts.store.users.find(
        stage.do(lambda request: request.user and request.user.id)
    )
    assert stored is not None
    assert shown == stored.name == ("Ada" if undo else "Eve")


@pytest.mark.parametrize("kind", ["sign in", "sign out"])
def test_a_database_that_is_lost_within_the_transaction_leaves_the_browser_as_it_was(
    stage: Stage, kind: str
) -> None:
    user = stage.do(sign_up).user
    before = stage.browser.session_token
    store = stage.bench.manager.parts.store

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError("away")

    def act(request: SessionRequest) -> None:
        with stage.database.atomic():  # type: ignore[attr-defined]
            if kind == "sign in":
                request.sign_in(user.id)
            else:
                request.sign_out()
            patch.setattr(store.sessions, "find", away)
            raise StoreUnavailableError("away")

    stage.act = act
    with pytest.MonkeyPatch.context() as patch:
        answer = stage.browser.get("/")
    assert answer.status_int == 503
    assert answer.headers.getall("Set-Cookie") == []
    assert stage.browser.session_token == before
    assert stage.browser.session is not None
    assert stage.environ["wsgi_sessions.user"] == user


class EagerStage(Stage):
    """An app that begins to answer within its transaction, and fails after that."""

    def app(self, environ: Any, start_response: Any) -> Any:
        headers = [("Content-Type", "text/plain")]
        try:
            with self.database.atomic():  # type: ignore[attr-defined]
                self.result = self.act(environ["wsgi_sessions.request"])
                start_response("200 OK", list(headers))
                if self.undo:  # type: ignore[attr-defined]
                    raise Undone
        except Undone:
            start_response("409 Conflict", list(headers), sys.exc_info())
        return [b"done"]


@pytest.fixture(params=[False, True], ids=["kept", "undone"])
def eager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    database = peewee.SqliteDatabase(str(tmp_path / "theirs.db"))
    stage: Any = EagerStage(database=database)
    stage.database, stage.undo = database, False
    with stage.bench:
        stage.browser = stage.bench.new_browser()
        stage.is_undone = request.param
        yield stage
    database.close()


def fail(stage: Any, act: Callable[[SessionRequest], Any]) -> None:
    stage.undo, stage.act = stage.is_undone, act
    stage.browser.get("/")
    stage.undo = False


def test_a_sign_in_undone_after_the_answer_began_sets_no_cookie(eager: Any) -> None:
    user = eager.do(sign_up).user
    eager.browser.cookies.clear()
    fail(eager, lambda request: request.sign_in(user.id))
    assert bool(eager.browser.cookies) == (not eager.is_undone)


@pytest.mark.parametrize("act", ENDS.values(), ids=ENDS.keys())
def test_an_end_undone_after_the_answer_began_clears_no_cookie(
    eager: Any, act: Callable[[SessionRequest], Any]
) -> None:
    made = eager.do(sign_up)
    fail(eager, act)
    has_token = eager.browser.session_token is not None
    assert has_token == eager.bench.manager.is_live(made.session.id) == eager.is_undone


def test_data_undone_after_the_answer_began_is_stored_with_the_next(eager: Any) -> None:
    eager.do(sign_up)

    def act(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["saved"] = 1
        request.save_data()
        request.session.data["left"] = 2

    fail(eager, act)
    assert eager.do(lambda request: dict(request.session.data)) == {"saved": 1, "left": 2}


def test_an_anonymous_session_undone_after_the_answer_began_is_stored_with_the_next(
    eager: Any,
) -> None:
    fail(eager, lambda request: request.start_anonymous_session().data.update(cart=["tea"]))
    assert eager.do(lambda request: dict(request.session.data)) == {"cart": ["tea"]}


def test_of_two_transactions_the_outer_one_is_undone_last(eager: Any) -> None:
    made = eager.do(sign_up)

    def act(request: SessionRequest) -> None:
        request.sign_out()
        with suppress(Undone), eager.database.atomic():
            request.sign_in(made.user.id)
            raise Undone

    fail(eager, act)
    assert (eager.browser.session_token is not None) == eager.is_undone
    assert eager.bench.manager.is_live(made.session.id) == eager.is_undone
