"""The event table: told with a transaction, read by user and by time, and forgotten."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import peewee
import pytest

from tests.support import NOW, make_session, make_user
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.events import SessionEvent
from wsgi_sessions.records import EndReason
from wsgi_sessions.storage.event_rows import EventStore
from wsgi_sessions.storage.statements import Statement
from wsgi_sessions.storage.store import Store

from .databases import Place
from .stores import own_user, watch

FULL = SessionEvent(
    "session_ended",
    NOW,
    session_id="session-1",
    user_id="user-1",
    reason=EndReason.EVICTED,
    address="2001:db8::17",
    details={"method": "password", "is_new_device": True, "count": 3},
    user_agent="Firefox",
)


@pytest.fixture
def events(store: Store) -> EventStore:
    return store.open_events(is_kept=True)


def made(at_ms: int, **changes: Any) -> SessionEvent:
    return SessionEvent("sign_in_failed", at_ms, **changes)


def instants(found: list[SessionEvent]) -> list[int]:
    return [event.at_ms - NOW for event in found]


class TestTelling:
    def test_an_event_is_read_as_it_was_told(self, events: EventStore) -> None:
        events.tell([FULL])

        [found] = events.find()
        assert found.id is not None
        assert {**vars_of(found), "id": None} == vars_of(FULL)

    def test_what_is_not_known_is_none(self, events: EventStore) -> None:
        events.tell([made(NOW)])

        [found] = events.find()
        assert (found.user_id, found.session_id, found.reason, found.address) == (None,) * 4
        assert found.details == {}

    @pytest.mark.parametrize(
        ("session_id", "owner"), [("session-1", "user-1"), ("visit", None), ("none", None)]
    )
    def test_an_end_is_told_of_its_sessions_user(
        self, store: Store, events: EventStore, session_id: str, owner: str | None
    ) -> None:
        store.sessions.insert(make_session("session-1", user_id="user-1"))
        store.sessions.insert(make_session("visit"))

        events.tell([made(NOW, session_id=session_id)])

        assert [event.user_id for event in events.find()] == [owner]

    def test_long_and_foul_text_is_cut(self, events: EventStore) -> None:
        foul = "a\0\ud800" * 500

        events.tell([made(NOW, address=foul, user_agent=foul, details={"path": foul, "n": None})])

        [found] = events.find()
        assert (len(found.address or ""), len(found.user_agent or "")) == (64, 512)
        assert len(found.details["path"]) == 600
        assert "n" not in found.details

    def test_a_transaction_writes_all_it_tells_at_its_end(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events = place.store.open_events(is_kept=True)
        place.store.meta.read("x")  # now the tables are there
        sent = watch(place, monkeypatch)
        if place.kind != "sqlite-memory":
            place.connections.close()

        def work() -> None:
            events.tell([made(NOW)])
            place.store.sessions.insert(make_session())
            place.store.atomically(lambda: events.tell([made(NOW + 1), made(NOW + 2)]))

        place.store.atomically(work)

        inserts = [sql.split()[2].strip('"`') for sql in sent if sql.startswith("INSERT")]
        if place.kind != "sqlite-memory":
            assert inserts == ["wsgi_sessions_session", "wsgi_sessions_event"]
        assert instants(events.find()) == [2, 1, 0]

    def test_nothing_is_left_of_a_transaction_that_fails(
        self, store: Store, events: EventStore
    ) -> None:
        def work() -> None:
            store.sessions.insert(make_session())
            events.tell([made(NOW)])
            raise RuntimeError

        with pytest.raises(RuntimeError):
            store.atomically(work)

        assert events.find() == []
        events.tell([made(NOW + 1)])
        assert instants(events.find()) == [1]

    def test_a_transaction_fails_with_what_it_tells(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = place.store
        events = store.open_events(is_kept=True)
        store.meta.read("x")
        broken = Statement("INSERT INTO no_such_table VALUES (1)", ())
        monkeypatch.setattr(events, "_insert", lambda _: store._runner.write(broken))

        def work() -> None:
            store.sessions.insert(make_session())
            events.tell([made(NOW)])

        with pytest.raises(StoreUnavailableError):
            store.atomically(work)

        assert store.sessions.find("session-1") is None


class TestReading:
    @pytest.fixture(autouse=True)
    def _stored(self, events: EventStore) -> None:
        events.tell([made(NOW + at, user_id=f"user-{at % 2}") for at in range(4)])
        events.tell([made(NOW + 3, session_id="s", user_id="user-0")])

    def test_the_latest_come_first(self, events: EventStore) -> None:
        assert instants(events.find()) == [3, 3, 2, 1, 0]
        assert events.find()[0].session_id == "s"

    def test_of_a_user(self, events: EventStore) -> None:
        assert instants(events.find(user_id="user-0")) == [3, 2, 0]
        assert events.find(user_id="USER-0") == []

    def test_of_a_session(self, events: EventStore) -> None:
        assert instants(events.find(session_id="s")) == [3]

    def test_of_names(self, events: EventStore) -> None:
        events.tell([FULL])

        assert [event.name for event in events.find(names=["session_ended"])] == ["session_ended"]

    def test_of_a_time(self, events: EventStore) -> None:
        assert instants(events.find(since_ms=NOW + 1, until_ms=NOW + 3)) == [2, 1]

    def test_page_by_page_each_comes_once(self, events: EventStore) -> None:
        pages = [events.find(max_count=2)]
        while pages[-1]:
            pages.append(events.find(max_count=2, before=pages[-1][-1]))

        assert [instants(page) for page in pages] == [[3, 3], [2, 1], [0], []]


class TestForgetting:
    def test_those_of_a_user_are_deleted_alone(self, events: EventStore) -> None:
        events.tell([made(NOW, user_id="user-1"), made(NOW + 1, user_id="user-2"), made(NOW + 2)])

        assert events.delete_all_of("user-1") == 1
        assert instants(events.find()) == [2, 1]

    def test_those_of_a_user_are_made_nobodys(self, events: EventStore) -> None:
        events.tell([FULL, made(NOW - 1, user_id="user-2", address="192.0.2.1")])

        assert events.anonymise_all_of("user-1") == 1

        found, other = events.find()
        assert (found.name, found.reason, found.at_ms) == (FULL.name, FULL.reason, FULL.at_ms)
        assert (found.user_id, found.session_id, found.address, found.user_agent) == (None,) * 4
        assert found.details == {"method": "password"}
        assert other.address == "192.0.2.1"

    def test_they_go_at_the_very_instant_with_the_rest(
        self, store: Store, events: EventStore
    ) -> None:
        events.tell([made(NOW - 10), made(NOW - 9)])
        ages = {"keep_ended_ms": 1, "feed_age_ms": 1, "attempt_age_ms": 1, "token_age_ms": 1}

        assert store.purge(NOW, **ages, batch_rows=500) == 0
        assert store.purge(NOW, **ages, batch_rows=500, event_age_ms=10) == 1
        assert instants(events.find()) == [-9]


def test_keys_of_the_applications_own_model(place: Place) -> None:
    own_user(place, id=peewee.UUIDField(primary_key=True, default=uuid4))
    events, key = place.store.open_events(is_kept=True), UUID(int=7)
    user = place.store.insert_user(
        make_user(), tell=lambda made_user: events.tell([made(NOW, user_id=made_user.id)])
    )
    place.store.sessions.insert(make_session(user_id=key))

    events.tell([made(NOW + 1, session_id="session-1")])

    assert [event.user_id for event in events.find()] == [key, user.id]
    assert instants(events.find(user_id=str(key))) == [1]


class TestPlaces:
    def test_they_are_those_of_the_other_sessions_of_a_user(self, store: Store) -> None:
        changes: dict[str, dict[str, Any]] = {
            "new": {"ip_address": "192.0.2.9"},
            "live": {"last_ip_address": "192.0.2.2", "last_user_agent": "Safari"},
            "ended": {"ip_address": "192.0.2.3", "ended_at_ms": NOW, "end_reason": "idle"},
            "of the one before": {"ip_address": "192.0.2.4", "created_at_ms": NOW - 1},
            "other": {"user_id": "user-2", "ip_address": "192.0.2.5"},
        }
        insert_all(store, changes)

        found = store.sessions.find_places("user-1", but_in="new", since_ms=NOW)

        assert set(found) == {
            ("192.0.2.1", "Firefox"),
            ("192.0.2.2", "Safari"),
            ("192.0.2.3", "Firefox"),
            (None, None),
        }


def test_ended_sessions_are_listed_the_latest_first(store: Store) -> None:
    changes: dict[str, dict[str, Any]] = {
        "live": {},
        "ended": {"ended_at_ms": NOW - 5, "end_reason": "revoked"},
        "long ago": {"ended_at_ms": NOW - 20, "end_reason": "revoked"},
        "expired": {"expires_at_ms": NOW - 2},
        "at the edge": {"expires_at_ms": NOW},
        "expired long ago": {"expires_at_ms": NOW - 20},
        "other": {"ended_at_ms": NOW - 1, "end_reason": "revoked", "user_id": "user-2"},
    }
    insert_all(store, changes)

    def listed(max_count: int) -> list[str]:
        found = store.sessions.list_ended(
            "user-1", since_ms=NOW - 20, now_ms=NOW, max_count=max_count
        )
        return [record.id for record in found]

    assert listed(10) == ["at the edge", "expired", "ended"]
    assert listed(1) == ["at the edge"]


def vars_of(event: SessionEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__slots__}


def insert_all(store: Store, changes: dict[str, dict[str, Any]]) -> None:
    for session_id, of_this in changes.items():
        store.sessions.insert(make_session(session_id, **{"user_id": "user-1", **of_this}))
