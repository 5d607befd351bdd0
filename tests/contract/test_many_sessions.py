"""A user with thousands of sessions: few statements, bounded lists, an exact limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.support import DAY, NOW, make_session, make_user
from wsgi_sessions.errors import SessionLimitReached
from wsgi_sessions.records import EndReason
from wsgi_sessions.sessions.creation import Ended
from wsgi_sessions.storage.statements import Statement
from wsgi_sessions.storage.store import Store

from .databases import Place, stored_session
from .stores import create_session

MANY = 2300


@pytest.fixture
def many(place: Place) -> Place:
    """A user with many live sessions, and another one with one."""
    place.store.insert_user(make_user())
    place.store.insert_user(make_user("user-2", "bob@example.org"))
    insert_many(place, MANY)
    place.store.sessions.insert(make_session("other", user_id="user-2"))
    return place


def insert_many(place: Place, count: int) -> None:
    session = place.models.session
    row = make_session(user_id="user-1")
    columns = [field.name for field in session._meta.sorted_fields]
    values = dict(zip(columns, row, strict=True))
    rows = [
        {**values, "id": f"many-{number:05}", "last_seen_at": NOW - number}
        for number in range(count)
    ]

    def insert() -> None:
        for start in range(0, count, 500):
            session.insert_many(rows[start : start + 500]).execute()

    place.connections.run(insert, timeout_ms=60_000)


@contextmanager
def counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note the statements that the store runs, and how many rows it reads."""
    sent: list[str] = []
    connections = place.connections
    with monkeypatch.context() as patch:
        for name in ("read_row", "read_rows", "write", "insert"):
            inner = getattr(connections, name)

            def note(sql: str, parameters: Any, inner: Any = inner, name: str = name) -> Any:
                depth = len(sent)
                answer = inner(sql, parameters)
                if len(sent) == depth:  # read_row may ask read_rows
                    sent.append(sql.split(maxsplit=1)[0])
                if name == "read_rows":
                    assert len(answer) <= 1005, "a list without a limit"
                return answer

            patch.setattr(connections, name, note)
        yield sent


def sign_in(store: Store, *, maximum_sessions: int | None = 5, **settings: Any) -> Ended:
    record = make_session("new", user_id="user-1", last_seen_at_ms=NOW + 1)
    return create_session(store, record, maximum_sessions=maximum_sessions, **settings)


def live_of(place: Place) -> int:
    row = place.connections.read_row(
        "SELECT COUNT(*) FROM wsgi_sessions_session WHERE user_id = 'user-1' AND ended_at IS NULL",
        (),
    )
    assert row is not None
    return int(row[0])


def test_no_list_has_more_than_a_thousand_and_they_are_the_latest(many: Place) -> None:
    listed = many.store.sessions.list_live("user-1", NOW)

    assert [record.id for record in listed] == [f"many-{number:05}" for number in range(1000)]


def test_sign_in_without_a_limit_reads_no_list(
    many: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(many, monkeypatch) as sent:
        assert sign_in(many.store, maximum_sessions=None) == ()

    assert sent == ["SELECT", "INSERT"]  # the user's row is locked


def test_ending_all_is_a_few_statements(many: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(many, monkeypatch) as sent:
        ended = many.store.session_ends.end_all_of(
            "user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0, except_id="many-00007"
        )

    assert sent == ["SELECT", "SELECT", "UPDATE", "INSERT", "SELECT"]
    assert (ended.number, len(ended.session_ids)) == (MANY - 1, 1000)
    assert live_of(many) == 1
    feed = [row[0] for row in many.store.revocations.find(0)[0]]
    assert len(feed) == len(set(feed)) == MANY - 1
    assert "other" not in feed
    assert stored_session(many.store, "other").ended_at_ms is None


def test_ending_a_few_is_as_few(many: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for session_id in ("a", "b", "c"):
        many.store.sessions.insert(make_session(session_id, user_id="user-2"))
    with counted(many, monkeypatch) as sent:
        ended = many.store.session_ends.end_all_of(
            "user-2", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0, except_id="a"
        )

    assert sent == ["SELECT", "SELECT", "UPDATE", "INSERT"]
    assert (ended.number, set(ended.session_ids)) == (3, {"b", "c", "other"})


@pytest.mark.parametrize(("only_one", "left"), [(False, 5), (True, 1)])
def test_limit_that_came_late_is_exact_at_once(
    many: Place, monkeypatch: pytest.MonkeyPatch, only_one: bool, left: int
) -> None:
    with counted(many, monkeypatch) as sent:
        sign_in(many.store, only_one=only_one)

    assert live_of(many) == left
    kept = {record.id for record in many.store.sessions.list_live("user-1", NOW)}
    assert kept == {"new", *(f"many-{number:05}" for number in range(left - 1))}
    assert len(sent) <= 8, sent


def test_sessions_past_a_limit_leave_room_however_many(many: Place) -> None:
    session = many.models.session
    is_old = session.id <= f"many-{MANY - 3:05}"
    old = session.update({session.authenticated_at: NOW - 60 * DAY}).where(is_old)
    many.connections.run(old.execute)

    sign_in(many.store, absolute_timeout=timedelta(days=30))

    assert live_of(many) == 3
    assert stored_session(many.store, "many-00000").end_reason == "absolute"
    assert stored_session(many.store, f"many-{MANY - 1:05}").ended_at_ms is None


def test_reject_changes_nothing(many: Place) -> None:
    with pytest.raises(SessionLimitReached):
        sign_in(many.store, on_limit="reject")

    assert live_of(many) == MANY


def test_one_over_is_one_update_and_one_row_of_the_feed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.store.insert_user(make_user())
    insert_many(place, 5)
    with counted(place, monkeypatch) as sent:
        assert sign_in(place.store) == (("many-00004", EndReason.EVICTED),)

    assert sent == ["SELECT", "INSERT", "SELECT", "UPDATE", "INSERT"]


def test_deleting_a_user_ends_all(many: Place) -> None:
    is_deleted, ended = many.store.delete_user("user-1", now_ms=NOW, skew_ms=0)

    assert (is_deleted, ended.number, live_of(many)) == (True, MANY, 0)


def test_what_others_ended_meanwhile_is_not_told_as_ours(
    many: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = many.store
    gone, mine = "many-00001", "many-00002"
    runner = store._runner
    write = runner.write

    def others_first(statement: Statement, **values: Any) -> int:
        monkeypatch.setattr(runner, "write", write)
        write(store.session_ends._end, id=gone, reason="signed_out", now=NOW)
        return write(statement, **values)

    monkeypatch.setattr(runner, "write", others_first)

    assert store.session_ends.end_each([gone, mine], reason=EndReason.REVOKED, now_ms=NOW) == (
        mine,
    )
    assert [row[0] for row in store.revocations.find(0)[0]] == [mine]
