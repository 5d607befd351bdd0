"""The handle: what an app does to its browser's session, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.support import PASSWORD, Stage, sign_up
from wsgi_sessions import (
    EndReason,
    InvalidCredentialsError,
    InvalidPasswordError,
    NotSignedInError,
    ResponseStartedError,
    SessionLimitReached,
    SessionNotFreshError,
    SessionRequest,
    StoreUnavailableError,
    get_end_reason,
    get_request,
    get_session,
    get_user,
)
from wsgi_sessions_testing.bench import Bench


def test_a_sign_up_signs_in(stage: Stage) -> None:
    made = stage.do(sign_up)
    assert stage.do(lambda request: request.user.name if request.user else None) == "Ada"
    assert stage.do(lambda request: request.session and request.session.id) == made.session.id


def test_the_environ_shows_the_sign_in_at_once(stage: Stage) -> None:
    def act(request: SessionRequest) -> Any:
        made = sign_up(request)
        assert get_session(stage.environ) is request.session
        assert get_request(stage.environ) is request
        user = get_user(stage.environ)
        assert user is not None and user.id == made.user.id
        return get_end_reason(stage.environ)

    assert stage.do(act) is None


@pytest.mark.parametrize("stage", [{"auto_sign_in": False}], indirect=True)
def test_without_auto_sign_in_a_sign_up_only_makes_the_user(stage: Stage) -> None:
    made = stage.do(sign_up)
    assert made.session is None and made.token is None
    assert stage.browser.session_token is None


def test_a_sign_in_makes_another_session_and_ends_the_one_before(stage: Stage) -> None:
    first = stage.do(sign_up).session
    second = stage.do(
        lambda request: request.sign_in_email(email="ADA@example.org", password=PASSWORD)
    ).session
    assert first.id != second.id
    assert [s.id for s in stage.bench.manager.list_sessions(second.user_id)] == [second.id]


def test_a_wrong_password_leaves_the_session_alone(stage: Stage) -> None:
    first = stage.do(sign_up).session

    def act(request: SessionRequest) -> None:
        with pytest.raises(InvalidCredentialsError):
            request.sign_in_email(email="ada@example.org", password="something else")

    stage.do(act)
    assert stage.do(lambda request: request.session and request.session.id) == first.id


def test_a_sign_out_ends_the_row_and_clears_the_cookies(stage: Stage) -> None:
    stage.do(sign_up)
    token = stage.browser.session_token
    assert stage.do(lambda request: request.sign_out()) is True
    assert stage.browser.session_token is None
    header = {"Cookie": f"__Host-session_token={token}"}
    assert stage.bench.manager.get_session(header) is None


def test_a_sign_out_of_nobody_is_no_error(stage: Stage) -> None:
    assert stage.do(lambda request: request.sign_out()) is False


def test_a_remembered_session_keeps_its_cookie_when_the_browser_closes(stage: Stage) -> None:
    stage.do(sign_up)
    stage.browser.restart()
    assert stage.do(lambda request: request.user) is not None


def test_a_session_that_is_not_remembered_ends_with_the_browser(stage: Stage) -> None:
    user = stage.do(sign_up).user
    stage.do(lambda request: request.sign_in(user.id, remember_me=False))
    assert stage.do(lambda request: request.user) is not None
    stage.browser.restart()
    assert stage.do(lambda request: request.user) is None


def test_a_session_that_is_not_remembered_is_never_refreshed(stage: Stage) -> None:
    user = stage.do(sign_up).user
    stage.do(lambda request: request.sign_in(user.id, remember_me=False))
    for _ in range(23):
        stage.bench.clock.advance(hours=1)
        assert stage.do(lambda request: request.user) is not None
    stage.bench.clock.advance(hours=1)
    assert stage.do(lambda request: request.user) is None


# Anonymous sessions and data


def test_an_anonymous_session_costs_no_row_and_no_cookie_until_something_is_written(
    stage: Stage,
) -> None:
    session = stage.do(lambda request: request.start_anonymous_session())
    assert stage.browser.session_token is None
    assert stage.bench.manager.parts.store.sessions.find(session.id) is None


def test_an_anonymous_session_keeps_its_data(stage: Stage) -> None:
    stage.do(lambda request: request.start_anonymous_session().data.update(cart=["tea"]))
    assert stage.do(lambda request: request.start_anonymous_session().data["cart"]) == ["tea"]
    assert stage.do(lambda request: request.user) is None


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_sign_in_carries_an_anonymous_sessions_data_over(stage: Stage, is_stored: bool) -> None:
    user = stage.do(sign_up).user
    stage.do(lambda request: request.sign_out())
    if is_stored:
        stage.do(lambda request: request.start_anonymous_session().data.update(cart=["tea"]))

    def act(request: SessionRequest) -> tuple[str, str]:
        old = request.start_anonymous_session()
        old.data["more"] = 1
        made = request.sign_in(user.id).session
        assert made is not None
        return old.id, made.id

    old_id, new_id = stage.do(act)
    assert old_id != new_id
    kept = stage.do(lambda request: dict(request.session.data) if request.session else None)
    assert kept == ({"cart": ["tea"], "more": 1} if is_stored else {"more": 1})
    found = stage.bench.manager.parts.store.sessions.find(old_id)
    assert found is not None and found[0].ended_at_ms is not None


def test_a_users_data_is_not_carried_to_the_next_user(stage: Stage) -> None:
    stage.do(sign_up)
    stage.do(lambda request: request.session and request.session.data.update(secret=1))
    stage.do(
        lambda request: request.sign_up_email(
            name="Bob", email="bob@example.org", password=PASSWORD
        )
    )
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {}


@pytest.mark.parametrize("kind", ["by id", "by e-mail"])
def test_the_same_persons_data_is_kept(stage: Stage, kind: str) -> None:
    user = stage.do(sign_up).user

    def again(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["cart"] = ["tea"]
        if kind == "by id":
            request.sign_in(user.id)
        else:
            request.sign_in_email(email="ada@example.org", password=PASSWORD)

    stage.do(again)
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {
        "cart": ["tea"]
    }


def test_a_change_inside_a_value_is_noticed(stage: Stage) -> None:
    stage.do(sign_up)
    stage.do(lambda request: request.session and request.session.data.update(cart={"tea": []}))
    stage.do(lambda request: request.session and request.session.data["cart"]["tea"].append(1))
    stage.do(lambda request: request.session and request.session.data.pop("nothing", None))
    assert stage.do(lambda request: request.session and request.session.data["cart"]) == {
        "tea": [1]
    }


def test_a_deleted_key_is_gone(stage: Stage) -> None:
    stage.do(sign_up)
    stage.do(lambda request: request.session and request.session.data.update(a=1, b=2))
    stage.do(lambda request: request.session and request.session.data.pop("a"))
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {"b": 2}


def test_parallel_requests_that_set_different_keys_keep_both(stage: Stage) -> None:
    made = stage.do(sign_up)
    other = stage.browser.fork()

    def outer(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["outer"] = 1
        act, stage.act = stage.act, inner
        other.get("/")
        stage.act = act

    def inner(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["inner"] = 1

    stage.do(outer)
    found = stage.bench.manager.parts.store.sessions.find(made.session.id)
    assert found is not None and found[0].data == '{"inner":1,"outer":1}'


def test_data_of_a_session_that_ended_meanwhile_is_dropped_with_an_event(stage: Stage) -> None:
    made = stage.do(sign_up)

    def act(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["late"] = 1
        stage.bench.manager.revoke_session(made.session.id)

    stage.do(act)
    assert "data_dropped" in stage.names()


def test_data_can_be_saved_before_the_response(stage: Stage) -> None:
    made = stage.do(sign_up)

    def act(request: SessionRequest) -> Any:
        request.save_data()
        assert request.session is not None
        request.session.data["now"] = 1
        request.save_data()
        found = stage.bench.manager.parts.store.sessions.find(made.session.id)
        return found and found[0].data

    assert stage.do(act) == '{"now":1}'


def test_what_json_can_not_hold_keeps_no_error_page_back(stage: Stage) -> None:
    stage.do(sign_up)

    def app(environ: Any, start_response: Any) -> Any:
        data = environ["wsgi_sessions.session"].data
        data["cart"] = []
        data["cart"].append(object())
        with pytest.raises(TypeError, match="'cart': object is no JSON value"):
            start_response("200 OK", [])
        start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [b"a page that says so"]

    with Bench(app) as bench:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        assert browser.get("/").text == "a page that says so"
        assert "data_dropped" in [event.name for event in bench.events]


def test_data_of_a_session_that_was_replaced_is_dropped_with_an_event(stage: Stage) -> None:
    user = stage.do(sign_up).user

    def act(request: SessionRequest) -> None:
        assert request.session is not None
        old = request.session.data
        old["kept"] = 1
        request.sign_in(user.id)
        old["late"] = 1

    stage.do(act)
    assert stage.names().count("data_dropped") == 1


def test_a_sign_out_while_the_database_is_away_clears_nothing() -> None:
    stage = Stage(on_database_error="anonymous")

    def away(session_id: str) -> None:
        raise StoreUnavailableError("away")

    with stage.bench:
        stage.browser = stage.bench.new_browser()
        stage.browser.sign_in("ada@example.org")
        token = stage.browser.session_token
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.bench.manager.parts.store.sessions, "find", away)
            stage.act = lambda request: request.sign_out()
            assert stage.browser.get("/").status_int == 503
        assert stage.browser.session_token == token


@pytest.mark.parametrize("is_undone", [False, True])
def test_a_sign_in_that_the_app_rolled_back_leaves_the_browser_as_it_was(
    tmp_path: Path, is_undone: bool
) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "theirs.db"))

    def act(request: SessionRequest) -> str:
        assert request.user is not None
        with suppress(ZeroDivisionError), database.atomic():
            made = request.sign_in(request.user.id).session
            if is_undone:
                raise ZeroDivisionError
        assert made is not None
        return made.id

    stage = Stage(database=database)
    with stage.bench:
        stage.browser = stage.bench.new_browser()
        before = stage.browser.sign_in("ada@example.org")
        made_id = stage.do(act)
        now = stage.browser.session
    database.close()
    assert now is not None
    assert now.id == (before.id if is_undone else made_id)


def test_after_the_headers_no_cookie_is_lost_in_silence(stage: Stage) -> None:
    user = stage.do(sign_up).user
    raised: list[type[BaseException]] = []

    def app(environ: Any, start_response: Any) -> Any:
        request = environ["wsgi_sessions.request"]
        anonymous = request.start_anonymous_session() if request.session is None else None
        if anonymous is not None:
            assert len(anonymous.data) == 0
        start_response("200 OK", [("Content-Type", "text/plain")])
        acts: list[Callable[[], Any]] = [
            lambda: request.sign_in(user.id),
            lambda: request.sign_out(),
            lambda: request.sign_in_email(email="ada@example.org", password=PASSWORD),
        ]
        if anonymous is not None:
            acts.append(lambda: anonymous.data.update(a=1))
        for act in acts:
            with pytest.raises(ResponseStartedError, match="before start_response") as caught:
                act()
            raised.append(caught.type)
        return [b"done"]

    with Bench(app) as bench:
        bench.new_browser().get("/")
    assert raised == [ResponseStartedError] * 4


# Lists and revocation


def test_the_list_shows_devices_the_latest_seen_first(stage: Stage) -> None:
    stage.do(sign_up)
    phone = stage.bench.new_browser("Safari on iPhone")
    stage.bench.clock.advance(seconds=1)
    phone.sign_in("ada@example.org")
    listed = stage.do(lambda request: request.list_sessions())
    assert [s.user_agent == phone.user_agent for s in listed] == [True, False]
    assert all(s.ip_address for s in listed)


def test_another_device_is_revoked_by_id(stage: Stage) -> None:
    stage.do(sign_up)
    phone = stage.bench.new_browser()
    session = phone.sign_in("ada@example.org")
    assert stage.do(lambda request: request.revoke_session(session.id)) is True
    assert stage.do(lambda request: request.revoke_session(session.id)) is False
    assert phone.session is None and stage.browser.session is not None


def test_another_users_session_cannot_be_revoked(stage: Stage) -> None:
    stage.do(sign_up)
    bob = stage.bench.new_browser()
    session = bob.sign_in("bob@example.org")
    assert stage.do(lambda request: request.revoke_session(session.id)) is False
    assert stage.do(lambda request: request.revoke_session("no such id")) is False
    assert bob.session is not None


def test_ending_ones_own_session_by_id_signs_out(stage: Stage) -> None:
    made = stage.do(sign_up)
    assert stage.do(lambda request: request.revoke_session(made.session.id)) is True
    assert stage.browser.session_token is None


def test_the_others_are_revoked_and_this_one_stays(stage: Stage) -> None:
    stage.do(sign_up)
    phones = [stage.bench.new_browser() for _ in range(2)]
    for phone in phones:
        phone.sign_in("ada@example.org")
    assert stage.do(lambda request: request.revoke_other_sessions()) == 2
    assert [phone.session for phone in phones] == [None, None]
    assert stage.browser.session is not None


def test_all_are_revoked(stage: Stage) -> None:
    stage.do(sign_up)
    phone = stage.bench.new_browser()
    phone.sign_in("ada@example.org")
    assert stage.do(lambda request: request.revoke_all_sessions()) == 2
    assert stage.browser.session_token is None and phone.session is None


def test_an_app_is_told_why_a_session_is_over(stage: Stage) -> None:
    made = stage.do(sign_up)
    stage.bench.manager.revoke_session(made.session.id)
    assert stage.do(lambda request: request.end_reason) is EndReason.REVOKED


# Passwords and users


def test_a_new_password_replaces_this_session_and_ends_the_others(stage: Stage) -> None:
    before = stage.do(sign_up)
    phone = stage.bench.new_browser()
    phone.sign_in("ada@example.org")

    made = stage.do(
        lambda request: request.change_password(
            current_password=PASSWORD, new_password="another password"
        )
    )

    assert made.session.id != before.session.id
    assert phone.session is None and stage.browser.session is not None
    found = stage.bench.manager.parts.store.sessions.find(before.session.id)
    assert found is not None and found[0].end_reason == "password_changed"


@pytest.mark.parametrize("revoke_other_sessions", [False, True])
def test_a_new_password_keeps_the_sessions_data(stage: Stage, revoke_other_sessions: bool) -> None:
    def act(request: SessionRequest) -> None:
        assert request.session is not None
        request.session.data["cart"] = ["tea"]
        request.change_password(
            current_password=PASSWORD,
            new_password="another horse",
            revoke_other_sessions=revoke_other_sessions,
        )

    stage.do(sign_up)
    stage.do(act)
    assert stage.do(lambda request: request.session and dict(request.session.data)) == {
        "cart": ["tea"]
    }


def test_a_new_password_can_leave_the_others(stage: Stage) -> None:
    stage.do(sign_up)
    phone = stage.bench.new_browser()
    phone.sign_in("ada@example.org")
    stage.do(
        lambda request: request.change_password(
            current_password=PASSWORD,
            new_password="another password",
            revoke_other_sessions=False,
        )
    )
    assert phone.session is not None


def test_a_wrong_current_password_changes_nothing(stage: Stage) -> None:
    stage.do(sign_up)

    def act(request: SessionRequest) -> None:
        with pytest.raises(InvalidPasswordError):
            request.change_password(current_password="wrong one", new_password="another password")

    stage.do(act)
    assert stage.browser.session is not None


def test_a_user_is_deleted_with_all_sessions(stage: Stage) -> None:
    made = stage.do(sign_up)
    assert stage.do(lambda request: request.delete_user(password=PASSWORD)) is True
    assert stage.browser.session_token is None
    assert stage.bench.manager.parts.store.users.find(made.user.id) is None
    found = stage.bench.manager.parts.store.sessions.find(made.session.id)
    assert found is not None and found[0].end_reason == "user_deleted"


def test_deleting_without_password_needs_a_fresh_session(stage: Stage) -> None:
    stage.do(sign_up)
    stage.bench.clock.advance(days=1)

    def act(request: SessionRequest) -> None:
        with pytest.raises(SessionNotFreshError):
            request.delete_user()

    stage.do(act)
    assert stage.browser.session is not None


def test_what_needs_a_user_says_so(stage: Stage) -> None:
    def act(request: SessionRequest) -> int:
        count = 0
        for call in (
            request.require_user,
            request.require_fresh,
            request.list_sessions,
            request.revoke_other_sessions,
            request.revoke_all_sessions,
        ):
            with pytest.raises(NotSignedInError):
                call()
            count += 1
        return count

    assert stage.do(act) == 5


@pytest.mark.parametrize(
    "stage", [{"multi_session": {"maximum_sessions": 1, "on_limit": "reject"}}], indirect=True
)
def test_at_the_limit_a_sign_in_can_be_rejected(stage: Stage) -> None:
    user = stage.do(sign_up).user
    phone = stage.bench.new_browser()

    def act(request: SessionRequest) -> None:
        with pytest.raises(SessionLimitReached):
            request.sign_in(user.id)

    stage.do(act, phone)
    assert phone.session_token is None and stage.browser.session is not None


def test_the_sixth_device_evicts_the_least_recently_seen(stage: Stage) -> None:
    stage.do(sign_up)
    phones = [stage.bench.new_browser() for _ in range(5)]
    for phone in phones:
        stage.bench.clock.advance(seconds=1)
        phone.sign_in("ada@example.org")
    assert stage.browser.session is None
    assert all(phone.session is not None for phone in phones)
    assert stage.do(lambda request: request.end_reason) is EndReason.EVICTED


@pytest.mark.parametrize("stage", [{"multi_session": {"enabled": False}}], indirect=True)
def test_with_one_session_a_sign_in_ends_the_others(stage: Stage) -> None:
    stage.do(sign_up)
    phone = stage.bench.new_browser()
    phone.sign_in("ada@example.org")
    assert stage.browser.session is None and phone.session is not None


def test_an_unknown_user_cannot_be_signed_in(stage: Stage) -> None:
    def act(request: SessionRequest) -> None:
        with pytest.raises(LookupError):
            request.sign_in("nobody")

    stage.do(act)
    assert stage.browser.session_token is None


def test_a_database_that_goes_away_in_the_body_is_reported(stage: Stage) -> None:
    stage.do(sign_up)

    def app(environ: Any, start_response: Any) -> Any:
        session = environ["wsgi_sessions.session"]
        assert len(session.data) == 0
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"done"
        session.data["late"] = 1

    def away(*args: Any, **kwargs: Any) -> None:
        raise StoreUnavailableError("away")

    with Bench(app) as bench, pytest.MonkeyPatch.context() as patch:
        browser = bench.new_browser()
        browser.sign_in("ada@example.org")
        patch.setattr(bench.manager.parts.store.sessions, "merge_data", away)
        assert browser.get("/").status_int == 200
        assert "data_dropped" in [event.name for event in bench.events]


def test_a_handle_shows_no_secret(stage: Stage) -> None:
    made = stage.do(sign_up)
    shown = stage.do(lambda request: repr(request))
    assert made.session.id in shown
    assert made.token.split(".")[1] not in shown + repr(made)


def test_a_sign_up_in_a_browser_that_is_signed_in_ends_the_session_before(stage: Stage) -> None:
    before = stage.do(sign_up).session
    stage.do(
        lambda request: request.sign_up_email(
            name="Bob", email="bob@example.org", password=PASSWORD
        )
    )
    assert not stage.bench.manager.is_live(before.id)


def test_a_visitors_session_is_shown_at_once_and_outlives_a_restart(stage: Stage) -> None:
    def act(request: SessionRequest) -> None:
        session = request.start_anonymous_session()
        assert stage.environ["wsgi_sessions.session"] is session
        session.data["cart"] = ["tea"]

    stage.do(act)
    stage.browser.restart()
    assert stage.do(lambda request: request.start_anonymous_session().data["cart"]) == ["tea"]


def test_the_session_after_a_new_password_knows_where_it_began(stage: Stage) -> None:
    stage.do(sign_up)
    made = stage.do(
        lambda request: request.change_password(
            current_password=PASSWORD, new_password="another password"
        )
    )
    assert made.session.ip_address == "127.0.0.1"
    assert made.session.user_agent == stage.browser.user_agent
