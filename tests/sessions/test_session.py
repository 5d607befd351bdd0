"""What apps hold: users and sessions that show no secret, and data that notices changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.support import NOW, make_session, make_user
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.sessions.data import SessionData
from wsgi_sessions.sessions.session import Session, User

CONFIG = SessionConfig(secret="s0123456789abcdef" * 2, fresh_age=60, clock_difference=1)
WHEN = datetime.fromtimestamp(NOW / 1000, timezone.utc)


@pytest.fixture
def session() -> Session:
    record = make_session(user_id="user-1", data='{"a":1}')
    return Session(record, User(make_user()), config=CONFIG, judged_at_ms=NOW)


def test_session_shows_its_record(session: Session) -> None:
    assert (session.id, session.user_id, session.generation) == ("session-1", "user-1", 0)
    assert (session.ip_address, session.user_agent) == ("192.0.2.1", "Firefox")
    assert (session.is_anonymous, session.is_remembered) == (False, True)
    assert {
        session.created_at,
        session.authenticated_at,
        session.updated_at,
        session.last_seen_at,
    } == {WHEN}
    assert session.expires_at > WHEN


def test_user_shows_their_record() -> None:
    user = User(make_user())

    assert (user.id, user.email, user.name, user.image) == (
        "user-1",
        "ada@example.org",
        "Ada",
        None,
    )
    assert (user.email_verified, user.created_at, user.updated_at) == (False, WHEN, WHEN)


def test_users_are_compared_by_value() -> None:
    assert User(make_user()) == User(make_user())
    assert User(make_user()) != User(make_user("user-2"))
    assert User(make_user()) != make_user()
    assert len({User(make_user()), User(make_user())}) == 1


@pytest.mark.parametrize(("age_ms", "is_fresh"), [(59_999, True), (60_000, False)])
def test_session_is_fresh_until_fresh_age(age_ms: int, is_fresh: bool) -> None:
    record = make_session(user_id="user-1")

    session = Session(record, None, config=CONFIG, judged_at_ms=NOW + age_ms)

    assert session.is_fresh is is_fresh


@pytest.mark.parametrize(("ahead_ms", "is_fresh"), [(1000, True), (1001, False)])
def test_session_of_the_future_is_not_fresh(ahead_ms: int, is_fresh: bool) -> None:
    record = make_session(user_id="user-1")

    session = Session(record, None, config=CONFIG, judged_at_ms=NOW - ahead_ms)

    assert session.is_fresh is is_fresh


def test_anonymous_session_is_never_fresh() -> None:
    assert not Session(make_session(), None, config=CONFIG, judged_at_ms=NOW).is_fresh


def test_reprs_show_no_mail_and_no_data(session: Session) -> None:
    session.data["password hint"] = "the cat"

    shown = f"{session!r} {session.user!r} {session.data!r} {SessionData(None)!r}"

    assert "ada@" not in shown and "cat" not in shown and "hint" not in shown


class TestData:
    @pytest.fixture
    def data(self) -> SessionData:
        return SessionData(('{"list":[1],"number":1,"nested":{"a":[]}}', 3))

    def test_reads_as_a_mapping(self, data: SessionData) -> None:
        assert dict(data) == {"list": [1], "number": 1, "nested": {"a": []}}
        assert (len(data), "list" in data, "x" in data, list(data)) == (
            3,
            True,
            False,
            ["list", "number", "nested"],
        )

    def test_reading_is_no_change(self, data: SessionData) -> None:
        list(data.values())

        assert data.operations() == {}

    def test_set_and_delete_are_operations(self, data: SessionData) -> None:
        data["new"] = True
        del data["number"]

        assert data.operations() == {"new": "true", "number": None}

    def test_set_to_the_same_value_is_no_change(self, data: SessionData) -> None:
        data["number"] = 1

        assert data.operations() == {}

    def test_change_deep_inside_is_noticed(self, data: SessionData) -> None:
        data["nested"]["a"].append(None)

        assert data.operations() == {"nested": '{"a":[null]}'}

    def test_key_set_and_deleted_again_is_no_change(self, data: SessionData) -> None:
        data["new"] = 1
        del data["new"]

        assert data.operations() == {}

    def test_missing_key_is_a_key_error(self, data: SessionData) -> None:
        with pytest.raises(KeyError):
            data["x"]
        with pytest.raises(KeyError):
            del data["x"]

    def test_what_was_stored_is_no_change_any_more(self, data: SessionData) -> None:
        data["list"].append(2)
        same = data["list"]

        data.mark_stored(('{"list":[1,2],"other":"from elsewhere"}', 4))

        assert data.operations() == {}
        assert dict(data) == {"list": [1, 2], "other": "from elsewhere"}
        assert data["list"] is same, "the app may hold it"
        assert data.known == ('{"list":[1,2],"other":"from elsewhere"}', 4)
        same.append(3)
        assert data.operations() == {"list": "[1,2,3]"}

    def test_is_loaded_when_first_needed(self) -> None:
        loads: list[int] = []

        def load() -> tuple[str, int]:
            loads.append(1)
            return '{"a":1}', 2

        data = SessionData(None, load=load)
        assert loads == []

        assert (data["a"], len(data), loads) == (1, 1, [1])

    def test_nothing_to_load_is_empty(self) -> None:
        assert dict(SessionData(None)) == {}
        assert dict(SessionData(None, load=lambda: None)) == {}

    def test_change_is_told(self, data: SessionData) -> None:
        told: list[int] = []
        data.on_change = lambda: told.append(1)

        data["a"] = 1
        del data["a"]

        assert told == [1, 1]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (object(), "session data 'key': object is no JSON value; use str, int"),
            ({1, 2}, "session data 'key': set is no JSON value"),
            (b"x", "session data 'key': bytes is no JSON value"),
            (datetime(2026, 1, 1), "session data 'key': datetime is no JSON value"),
            ([{"a": object()}], "session data 'key': object is no JSON value"),
            ({1: 2}, "session data 'key': a JSON object has str keys, not 1"),
            (float("nan"), "session data 'key': nan is not a JSON number"),
            (float("inf"), "session data 'key': inf is not a JSON number"),
            (1 << 1024, "session data 'key': an int of 1025 bits is too large"),
        ],
    )
    def test_value_that_json_can_not_hold_names_its_key_at_once(
        self, data: SessionData, value: Any, message: str
    ) -> None:
        with pytest.raises(TypeError) as caught:
            data["key"] = value

        assert message in str(caught.value)
        assert "key" not in data

    def test_value_that_was_only_read_takes_over_what_another_request_stored(self) -> None:
        data = SessionData(('{"cart":["tea"],"seen":{"a":1}}', 0))
        cart, seen = data["cart"], data["seen"]
        data["page"] = 2

        data.mark_stored(('{"cart":["tea","milk"],"page":2,"seen":{"b":1}}', 2))

        assert data.operations() == {}
        assert (cart, seen) == (["tea", "milk"], {"b": 1})
        cart.append("salt")
        assert data.operations() == {"cart": '["tea","milk","salt"]'}

    def test_value_that_changed_its_kind_is_taken_over(self) -> None:
        data = SessionData(('{"a":["tea"],"b":[1]}', 0))
        assert data["a"], data["b"]

        data.mark_stored(('{"a":"tea","b":{"c":1}}', 1))

        assert dict(data) == {"a": "tea", "b": {"c": 1}}
        assert data.operations() == {}

    def test_endless_nesting_is_refused(self, data: SessionData) -> None:
        value: list[Any] = []
        value.append(value)

        with pytest.raises(TypeError, match="'key': nested deeper than 100 levels"):
            data["key"] = value

    def test_key_is_text(self, data: SessionData) -> None:
        with pytest.raises(TypeError, match="session data keys are str, not int: 5"):
            data[5] = 1  # type: ignore[index]

    def test_numbers_and_tuples_are_taken(self, data: SessionData) -> None:
        data["key"] = (1, 2.5, None, "x")

        assert data.operations() == {"key": '[1,2.5,null,"x"]'}

    def test_iterating_while_changing_is_safe(self, data: SessionData) -> None:
        keys: Iterator[str] = iter(data)
        for key in keys:
            del data[key]

        assert len(data) == 0
