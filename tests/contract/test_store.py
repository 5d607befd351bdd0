"""The store's contract, the same on every database."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import peewee
import pytest
from playhouse.postgres_ext import DateTimeTZField

from wsgi_sessions.errors import (
    ConfigurationError,
    InvalidValueError,
    SessionLimitReached,
    StoreUnavailableError,
    UserAlreadyExistsError,
)
from wsgi_sessions.records import Change, EndReason, SessionRecord
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.ending_store import EndedSessions
from wsgi_sessions.storage.statements import Statement
from wsgi_sessions.storage.store import Ended, Store

from .databases import (
    BRANCH,
    DAY,
    NOW,
    WAIT_SECONDS,
    Place,
    change_of,
    in_parallel,
    is_counted,
    make_account,
    make_session,
    make_user,
    open_place,
    stored_session,
)

THREADS = 10
MOVED: tuple[dict[str, Any], ...] = (
    {"generation": -1},
    {"branch": BRANCH.swapcase()},
    {"is_settled": False},
    {"expires_at_ms": NOW},
    {"last_seen_at_ms": NOW - 1},
)
"""What a session may have been when it was judged, and has been written over since."""


def confirm(judged: SessionRecord) -> Change:
    """Return a change in which every value is another one."""
    return change_of(
        judged,
        generation=judged.generation + 1,
        branch="Branch-1",
        branch_before="Before-1",
        is_settled=not judged.is_settled,
        caught_up=not judged.caught_up,
        confirmed_at_ms=NOW + 5,
        updated_at_ms=NOW + 6,
        last_seen_at_ms=NOW + 7,
        expires_at_ms=judged.expires_at_ms + 8,
    )


def live_ids(store: Store, user_id: Any = "user-1") -> set[str]:
    return {record.id for record in store.list_sessions(user_id, NOW)}


def feed_ids(store: Store) -> list[str | None]:
    return sorted((row[0] for row in store.find_revocations(0).rows), key=str)


def end_reason(store: Store, session_id: str = "session-1") -> str | None:
    return stored_session(store, session_id).end_reason


def insert_ended(store: Store, *, user_id: str) -> None:
    """Insert sessions that others ended: earlier for the same reason, and now for another."""
    store.insert_session(
        make_session("earlier", user_id=user_id, ended_at_ms=NOW - 1, end_reason="revoked")
    )
    store.insert_session(
        make_session("otherwise", user_id=user_id, ended_at_ms=NOW, end_reason="idle")
    )


def break_feed(store: Store) -> None:
    """Have every write to the feed fail."""
    broken = Statement("INSERT INTO no_such_table VALUES (1)", ())
    store._feed = broken

    def insert(_session_ids: Any, *, now_ms: int) -> None:
        store._write(broken, {"now": now_ms})

    store.__dict__["_insert_revocations"] = insert


class TestSession:
    def test_what_was_inserted_is_found(self, store: Store) -> None:
        store.insert_user(make_user())
        record = make_session(
            user_id="user-1",
            generation=3,
            branch="-_aZ09-_",
            branch_before="_-Az90_-",
            is_settled=False,
            caught_up=True,
            confirmed_at_ms=NOW + 1,
            created_at_ms=NOW + 2,
            authenticated_at_ms=NOW + 3,
            updated_at_ms=NOW + 4,
            last_seen_at_ms=NOW + 5,
            expires_at_ms=NOW + 6,
            remember=False,
            data='{"cart":["\\u00e9","\\ud83d\\ude00"]}',
            data_version=7,
        )
        store.insert_session(record)

        assert store.find_session("session-1") == (record, make_user())

    def test_anonymous_session_has_no_user(self, store: Store) -> None:
        record = make_session(ip_address=None, user_agent=None)
        store.insert_session(record)

        assert store.find_session("session-1") == (record, None)

    def test_unknown_id_is_none(self, store: Store) -> None:
        assert store.find_session("nobody") is None

    def test_user_deleted_behind_our_back_leaves_session_without_user(self, place: Place) -> None:
        place.store.insert_user(make_user())
        record = make_session(user_id="user-1")
        place.store.insert_session(record)

        place.connections.write(f"DELETE FROM {quoted(place, 'wsgi_sessions_user')}", ())

        assert place.store.find_session("session-1") == (record, None)

    def test_find_session_is_one_statement(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if place.kind == "sqlite-memory":
            return  # its one connection can't be opened anew, and is the file's otherwise
        place.store.insert_session(make_session())
        place.connections.close()
        sent = watch(place, monkeypatch)
        place.connections.read_row("SELECT 1", ())
        sent.clear()

        assert place.store.find_session("session-1") is not None

        assert len(sent) == 1, sent

    def test_ids_are_told_apart_by_case(self, store: Store) -> None:
        store.insert_session(make_session("AbC", generation=1))
        store.insert_session(make_session("aBc", generation=2))

        assert stored_session(store, "AbC").generation == 1
        assert store.find_session("abc") is None

    def test_data_of_sixty_four_kibibytes_and_more_is_kept(self, store: Store) -> None:
        data = json.dumps({"text": "x" * 100_000})
        store.insert_session(make_session(data=data))

        assert stored_session(store).data == data

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
            ("a\ud800b", "a?b"),
            ("\N{GRINNING FACE}" * 600, "\N{GRINNING FACE}" * 512),
        ],
        ids=["NUL", "lone surrogate", "too long"],
    )
    def test_hostile_user_agent_is_stored_cleaned(
        self, store: Store, given: str, kept: str
    ) -> None:
        store.insert_session(make_session(user_agent=given))

        assert stored_session(store).user_agent == kept

    @pytest.mark.parametrize("session_id", ["a\0b", "a\ud800b"], ids=["NUL", "surrogate"])
    def test_hostile_id_finds_nothing_and_breaks_nothing(
        self, store: Store, session_id: str
    ) -> None:
        try:
            found = store.find_session(session_id)
        except InvalidValueError:
            found = None

        assert found is None
        assert store.find_session("session-1") is None


class TestList:
    def test_shows_the_users_live_sessions_latest_seen_first(self, store: Store) -> None:
        variants: dict[str, dict[str, Any]] = {
            "older": {"last_seen_at_ms": NOW - 2},
            "newer": {"last_seen_at_ms": NOW - 1},
            "expired": {"expires_at_ms": NOW},
            "ended": {"ended_at_ms": NOW, "end_reason": "revoked"},
            "another's": {"user_id": "user-2"},
            "anonymous": {"user_id": None},
        }
        for session_id, changes in variants.items():
            store.insert_session(make_session(session_id, **{"user_id": "user-1", **changes}))

        assert [record.id for record in store.list_sessions("user-1", NOW)] == ["newer", "older"]

    def test_gives_whole_records(self, store: Store) -> None:
        record = make_session(user_id="user-1")
        store.insert_session(record)

        assert store.list_sessions("user-1", NOW) == [record]


class TestApplyChange:
    def test_lands_with_every_new_value(self, store: Store) -> None:
        judged = make_session()
        store.insert_session(judged)

        assert store.apply_change(judged, confirm(judged))

        assert stored_session(store) == judged._replace(
            generation=1,
            branch="Branch-1",
            branch_before="Before-1",
            is_settled=False,
            caught_up=True,
            confirmed_at_ms=NOW + 5,
            updated_at_ms=NOW + 6,
            last_seen_at_ms=NOW + 7,
            expires_at_ms=judged.expires_at_ms + 8,
        )

    def test_lands_once(self, store: Store) -> None:
        judged = make_session()
        store.insert_session(judged)
        change = confirm(judged)

        assert [store.apply_change(judged, change) for _ in range(3)] == [True, False, False]

    def test_parallel_ones_land_once(self, store: Store) -> None:
        judged = make_session()
        store.insert_session(judged)
        change = confirm(judged)

        landed = in_parallel(lambda _: store.apply_change(judged, change), THREADS)

        assert landed.count(True) == 1

    @pytest.mark.parametrize("moved", MOVED, ids=lambda moved: "-".join(moved))
    def test_loses_when_the_session_moved(self, store: Store, moved: dict[str, Any]) -> None:
        stored = make_session()
        store.insert_session(stored)
        judged = stored._replace(**moved)

        assert not store.apply_change(judged, confirm(judged))
        assert stored_session(store) == stored

    @pytest.mark.parametrize("branch", ["Branch-1", "--------", "________", "9Z9z9Z9z"])
    def test_one_of_two_siblings_settles(self, store: Store, branch: str) -> None:
        judged = make_session(is_settled=False)
        store.insert_session(judged)
        settled = [
            change_of(judged, branch=branch, is_settled=True),
            change_of(judged, is_settled=True, may_fail=True),
        ]

        landed = [store.apply_change(judged, change) for change in settled]

        assert landed == [True, False]
        assert stored_session(store) == judged._replace(branch=branch, is_settled=True)

    def test_branches_are_told_apart_by_case(self, store: Store) -> None:
        store.insert_session(make_session(branch="aBcDeFgH"))
        judged = make_session(branch="AbCdEfGh")

        assert not store.apply_change(judged, confirm(judged))
        assert stored_session(store).branch == "aBcDeFgH"

    def test_never_revives_an_ended_session(self, store: Store) -> None:
        judged = make_session()
        store.insert_session(judged)
        store.end_session("session-1", reason=EndReason.REVOKED, now_ms=NOW)

        assert not store.apply_change(judged, confirm(judged))
        assert stored_session(store) == judged._replace(ended_at_ms=NOW, end_reason="revoked")


class TestEnd:
    def test_first_reason_stays(self, store: Store) -> None:
        store.insert_session(make_session())

        assert store.end_session("session-1", reason=EndReason.REPLAYED, now_ms=NOW)
        assert not store.end_session("session-1", reason=EndReason.SIGNED_OUT, now_ms=NOW + 1)

        assert stored_session(store) == make_session(ended_at_ms=NOW, end_reason="replayed")

    def test_unknown_session_is_not_ended_and_not_fed(self, store: Store) -> None:
        assert not store.end_session("nobody", reason=EndReason.REVOKED, now_ms=NOW)
        assert feed_ids(store) == []

    def test_parallel_ones_end_it_once(self, store: Store) -> None:
        store.insert_session(make_session())

        ended = in_parallel(
            lambda _: store.end_session("session-1", reason=EndReason.REVOKED, now_ms=NOW), THREADS
        )

        assert ended.count(True) == 1
        assert feed_ids(store) == ["session-1"]

    def test_with_judged_ends_what_was_judged(self, store: Store) -> None:
        judged = make_session()
        store.insert_session(judged)

        assert store.end_session("session-1", reason=EndReason.IDLE, now_ms=NOW, judged=judged)

    @pytest.mark.parametrize("moved", MOVED, ids=lambda moved: "-".join(moved))
    def test_with_judged_loses_when_the_session_moved(
        self, store: Store, moved: dict[str, Any]
    ) -> None:
        stored = make_session()
        store.insert_session(stored)
        judged = stored._replace(**moved)

        ended = store.end_session("session-1", reason=EndReason.IDLE, now_ms=NOW, judged=judged)

        assert not ended
        assert stored_session(store) == stored
        assert feed_ids(store) == []

    def test_feed_tells_session_and_instant(self, store: Store) -> None:
        store.insert_session(make_session())
        store.end_session("session-1", reason=EndReason.REVOKED, now_ms=NOW)

        assert store.find_revocations(NOW).rows == [("session-1", None, NOW)]
        assert store.find_revocations(NOW + 1).rows == []

    def test_without_feed_nothing_is_told(self, store: Store) -> None:
        store.insert_session(make_session())

        first = store.end_session(
            "session-1", reason=EndReason.EXPIRED, now_ms=NOW, with_feed=False
        )
        again = store.end_session(
            "session-1", reason=EndReason.EXPIRED, now_ms=NOW, with_feed=False
        )

        assert (first, again) == (True, False)
        assert feed_ids(store) == []

    def test_session_lives_on_when_its_feed_row_fails(self, store: Store) -> None:
        store.insert_session(make_session())
        break_feed(store)

        with pytest.raises(StoreUnavailableError):
            store.end_session("session-1", reason=EndReason.REVOKED, now_ms=NOW)

        assert stored_session(store) == make_session()


class TestEndMany:
    def test_of_a_user_ends_the_users_live_ones(self, store: Store) -> None:
        store.insert_user(make_user())
        for session_id in ("a", "b"):
            store.insert_session(make_session(session_id, user_id="user-1"))
        store.insert_session(make_session("other", user_id="user-2"))

        ended = store.end_user_sessions("user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0)

        assert ended.number == 2
        assert set(ended.session_ids) == {"a", "b"} == set(feed_ids(store))
        assert end_reason(store, "a") == "revoked"
        assert live_ids(store, "user-2") == {"other"}

    def test_of_a_user_spares_the_named_one(self, store: Store) -> None:
        for session_id in ("a", "b"):
            store.insert_session(make_session(session_id, user_id="user-1"))

        ended = store.end_user_sessions(
            "user-1", reason=EndReason.PASSWORD_CHANGED, now_ms=NOW, skew_ms=0, except_id="b"
        )

        assert ended.session_ids == ("a",)
        assert live_ids(store) == {"b"}

    def test_of_a_user_ends_what_a_worker_behind_could_still_refresh(self, store: Store) -> None:
        for session_id, expires_at_ms in (("just over", NOW - 59), ("long over", NOW - 60)):
            store.insert_session(
                make_session(session_id, user_id="user-1", expires_at_ms=expires_at_ms)
            )

        ended = store.end_user_sessions("user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=60)

        assert ended.session_ids == ("just over",)

    def test_of_a_user_is_all_or_nothing(self, store: Store) -> None:
        for session_id in ("a", "b"):
            store.insert_session(make_session(session_id, user_id="user-1"))
        break_feed(store)

        with pytest.raises(StoreUnavailableError):
            store.end_user_sessions("user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0)

        assert live_ids(store) == {"a", "b"}

    def test_of_a_user_without_sessions_ends_none(self, store: Store) -> None:
        store.insert_session(make_session("other", user_id="user-2"))

        for kept in (None, "other"):
            ended = store.end_user_sessions(
                "user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0, except_id=kept
            )
            assert tuple(ended) == ((), 0)

        assert feed_ids(store) == []
        assert live_ids(store, "user-2") == {"other"}

    def test_of_a_user_tells_all_and_lists_some(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wsgi_sessions.storage.ending_store.MAX_LISTED", 2)
        for session_id in ("a", "b", "c", "kept"):
            store.insert_session(make_session(session_id, user_id="user-1"))
        insert_ended(store, user_id="user-1")
        store.insert_session(make_session("other", user_id="user-2"))

        ended = store.end_user_sessions(
            "user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0, except_id="kept"
        )

        assert ended.number == 3
        assert len(ended.session_ids) == 2
        assert set(ended.session_ids) <= {"a", "b", "c"}
        assert feed_ids(store) == ["a", "b", "c"]
        assert live_ids(store) == {"kept"}

    @pytest.mark.parametrize(
        "asked", [["a"], ["a", "b"], ["a", "earlier", "nobody"], ["earlier"], ["otherwise"], []]
    )
    def test_of_some_ends_the_live_ones_and_tells_each_once(
        self, store: Store, asked: list[str]
    ) -> None:
        for session_id in "abc":
            store.insert_session(make_session(session_id, user_id="user-1"))
        insert_ended(store, user_id="user-1")
        expected = [session_id for session_id in asked if session_id in "ab"]

        ended = store.end_listed(asked, reason=EndReason.REVOKED, now_ms=NOW)

        assert isinstance(ended, tuple)
        assert sorted(ended) == feed_ids(store) == expected
        assert live_ids(store) == {*"abc"} - {*expected}
        assert end_reason(store, "otherwise") == "idle"

    def test_of_some_is_done_in_batches(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wsgi_sessions.storage.ending_store._BATCH", 2)
        for session_id in "abcde":
            store.insert_session(make_session(session_id, user_id="user-1"))

        ended = store.end_listed(list("abcde"), reason=EndReason.REVOKED, now_ms=NOW)

        assert sorted(ended) == feed_ids(store) == list("abcde")
        assert live_ids(store) == set()

    def test_of_some_is_all_or_nothing(self, store: Store) -> None:
        for session_id in "ab":
            store.insert_session(make_session(session_id, user_id="user-1"))
        break_feed(store)

        with pytest.raises(StoreUnavailableError):
            store.end_listed(["a", "b"], reason=EndReason.REVOKED, now_ms=NOW)

        assert live_ids(store) == {"a", "b"}

    def test_all_is_all_or_nothing(self, store: Store) -> None:
        store.insert_session(make_session("a", user_id="user-1"))
        break_feed(store)

        with pytest.raises(StoreUnavailableError):
            store.end_all_sessions(now_ms=NOW)

        assert live_ids(store) == {"a"}

    def test_all_ends_everybodys(self, store: Store) -> None:
        store.insert_session(make_session("a", user_id="user-1"))
        store.insert_session(make_session("b"))
        store.insert_session(make_session("c", ended_at_ms=NOW - 1, end_reason="idle"))

        assert store.end_all_sessions(now_ms=NOW) == 2

        assert [end_reason(store, each) for each in "abc"] == ["revoked", "revoked", "idle"]
        assert store.find_revocations(0).rows == [(None, NOW, NOW)]


class TestAdmit:
    def admit(
        self,
        store: Store,
        session_id: str,
        *,
        user_id: str = "user-1",
        seen: int = 0,
        **options: Any,
    ) -> Ended:
        settings: dict[str, Any] = {
            "replaces": None,
            "maximum_sessions": 2,
            "on_limit": "evict",
            "only_one": False,
            "find_end": lambda record: None,
            "skew_ms": 0,
            "now_ms": NOW,
            **options,
        }
        record = make_session(session_id, user_id=user_id, last_seen_at_ms=NOW + seen)
        return store.create_session(record, **settings)[1]

    @pytest.fixture
    def two(self, store: Store) -> Store:
        store.insert_user(make_user())
        self.admit(store, "older", seen=-2)
        self.admit(store, "newer", seen=-1)
        return store

    def test_least_recently_seen_is_evicted(self, two: Store) -> None:
        assert self.admit(two, "third") == (("older", EndReason.EVICTED),)

        assert live_ids(two) == {"newer", "third"}
        assert feed_ids(two) == ["older"]

    def test_lowered_limit_evicts_several(self, two: Store) -> None:
        self.admit(two, "third", maximum_sessions=1)

        assert live_ids(two) == {"third"}

    def test_reject_changes_nothing(self, two: Store) -> None:
        two.insert_session(make_session("anonymous"))

        with pytest.raises(SessionLimitReached, match="2 devices"):
            self.admit(two, "third", on_limit="reject", replaces="anonymous")

        assert live_ids(two) == {"older", "newer"}
        assert two.find_session("third") is None
        assert end_reason(two, "anonymous") is None

    def test_only_one_revokes_the_others(self, two: Store) -> None:
        ended = self.admit(two, "third", only_one=True)

        assert set(ended) == {("older", EndReason.REVOKED), ("newer", EndReason.REVOKED)}
        assert live_ids(two) == {"third"}

    def test_none_is_no_limit(self, two: Store) -> None:
        assert self.admit(two, "third", maximum_sessions=None) == ()
        assert live_ids(two) == {"older", "newer", "third"}

    def test_replaced_one_is_signed_out_and_leaves_room(self, two: Store) -> None:
        ended = self.admit(two, "third", on_limit="reject", replaces="older")

        assert ended == (("older", EndReason.SIGNED_OUT),)
        assert live_ids(two) == {"newer", "third"}

    @pytest.mark.parametrize("on_limit", ["evict", "reject"])
    def test_one_that_ends_too_leaves_room(self, two: Store, on_limit: str) -> None:
        ended = self.admit(two, "third", on_limit=on_limit, also_ends="newer")

        assert ended == (("newer", EndReason.SIGNED_OUT),)
        assert live_ids(two) == {"older", "third"}
        assert feed_ids(two) == ["newer"]

    def test_one_that_ends_too_gives_no_data_away(self, two: Store) -> None:
        two.insert_session(make_session("refused", user_id="user-1", data='{"cart":["tea"]}'))

        self.admit(two, "third", also_ends="refused")

        assert stored_session(two, "third").data == "{}"
        assert end_reason(two, "refused") == EndReason.SIGNED_OUT

    def test_one_past_its_limits_leaves_room(self, two: Store) -> None:
        ended = self.admit(
            two,
            "third",
            on_limit="reject",
            find_end=lambda record: EndReason.IDLE if record.id == "older" else None,
        )

        assert ended == (("older", EndReason.IDLE),)
        assert live_ids(two) == {"newer", "third"}

    def test_data_of_a_replaced_anonymous_session_is_carried_over(self, two: Store) -> None:
        two.insert_session(make_session("anonymous", data='{"cart":["tea"]}'))

        self.admit(two, "third", replaces="anonymous")

        assert stored_session(two, "third").data == '{"cart":["tea"]}'

    def test_data_of_a_replaced_session_stays_with_its_user(self, two: Store) -> None:
        two.insert_user(make_user("user-2", email="bob@example.org"))
        two.insert_session(make_session("third", user_id="user-1", data='{"cart":["tea"]}'))

        self.admit(two, "fourth", replaces="third")
        self.admit(two, "fifth", user_id="user-2", replaces="fourth")

        assert stored_session(two, "fourth").data == '{"cart":["tea"]}'
        assert stored_session(two, "fifth").data == "{}"

    def test_user_who_is_gone_gets_none(self, store: Store) -> None:
        store.insert_session(make_session("anonymous"))

        with pytest.raises(LookupError, match="no user with the id 'user-1'"):
            self.admit(store, "first", replaces="anonymous")

        assert store.find_session("first") is None
        assert end_reason(store, "anonymous") is None

    def test_sign_in_that_waited_sees_what_it_waited_for(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Or on MariaDB its reads would be those of the instant before the wait."""
        store = place.store
        store.insert_user(make_user())
        for number in (0, 1):
            store.insert_session(make_session(f"anonymous-{number}"))
        both_are_here = threading.Barrier(2)
        lock = store.lock_user

        def lock_together(user_id: Any) -> bool:
            if not place.connections.is_sqlite:  # where the file is locked before
                both_are_here.wait(WAIT_SECONDS)
            return lock(user_id)

        monkeypatch.setattr(store, "lock_user", lock_together)

        in_parallel(
            lambda number: self.admit(
                store,
                f"session-{number}",
                maximum_sessions=1,
                replaces=f"anonymous-{number}",
            ),
            2,
        )

        assert len(live_ids(store)) == 1

    @pytest.mark.parametrize("only_one", [False, True])
    def test_parallel_sign_ins_leave_the_maximum(self, store: Store, only_one: bool) -> None:
        store.insert_user(make_user())

        in_parallel(
            lambda number: self.admit(
                store, f"session-{number}", maximum_sessions=3, only_one=only_one
            ),
            THREADS,
        )

        assert len(live_ids(store)) == (1 if only_one else 3)

    def test_parallel_sign_ins_are_rejected_beyond_the_maximum(self, store: Store) -> None:
        store.insert_user(make_user())

        def sign_in(number: int) -> bool:
            try:
                self.admit(store, f"session-{number}", maximum_sessions=3, on_limit="reject")
            except SessionLimitReached:
                return False
            return True

        assert in_parallel(sign_in, THREADS).count(True) == 3
        assert len(live_ids(store)) == 3


class TestMergeData:
    def test_sets_and_deletes_keys(self, store: Store) -> None:
        store.insert_session(make_session(data='{"a":1,"b":2}', data_version=4))

        merged = store.merge_data("session-1", {"b": None, "c": "[3]", "d": None}, known=None)

        assert merged == ('{"a":1,"c":[3]}', 5)
        assert (stored_session(store).data, stored_session(store).data_version) == merged

    def test_known_values_are_written_without_reading(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.insert_session(make_session())
        monkeypatch.setattr(store, "atomically", pytest.fail)

        assert store.merge_data("session-1", {"a": "1"}, known=("{}", 0)) == ('{"a":1}', 1)

    def test_two_that_know_the_same_both_keep_their_keys(self, store: Store) -> None:
        store.insert_session(make_session())

        store.merge_data("session-1", {"a": "1"}, known=("{}", 0))
        merged = store.merge_data("session-1", {"b": "2"}, known=("{}", 0))

        assert merged == ('{"a":1,"b":2}', 2)

    @pytest.mark.parametrize("known", [None, ("{}", 0)])
    def test_ended_session_takes_nothing(self, store: Store, known: tuple[str, int] | None) -> None:
        store.insert_session(make_session())
        store.end_session("session-1", reason=EndReason.REVOKED, now_ms=NOW)

        assert store.merge_data("session-1", {"a": "1"}, known=known) is None
        assert stored_session(store).data == "{}"

    def test_unknown_session_takes_nothing(self, store: Store) -> None:
        assert store.merge_data("nobody", {"a": "1"}, known=None) is None

    @pytest.mark.parametrize("known", [None, ("{}", 0)])
    def test_many_threads_lose_no_key(self, store: Store, known: tuple[str, int] | None) -> None:
        store.insert_session(make_session())

        in_parallel(
            lambda number: store.merge_data("session-1", {str(number): "true"}, known=known),
            THREADS,
        )

        stored = stored_session(store)
        assert json.loads(stored.data) == dict.fromkeys(map(str, range(THREADS)), True)
        assert stored.data_version == THREADS

    def test_text_of_every_kind_comes_back(self, store: Store) -> None:
        store.insert_session(make_session())
        text = "NUL \0, lone \ud800, \N{GRINNING FACE}, é, %s ? '"

        store.merge_data("session-1", {text: json.dumps(text)}, known=None)

        assert json.loads(stored_session(store).data) == {text: text}


class TestFeed:
    def test_row_that_commits_late_with_a_lower_id_is_seen(self, server: Place) -> None:
        store = server.store
        for session_id in ("late", "early"):
            store.insert_session(make_session(session_id))
        written, may_commit = threading.Event(), threading.Event()

        def end_late() -> None:
            store.end_session("late", reason=EndReason.REVOKED, now_ms=NOW)
            written.set()
            assert may_commit.wait(WAIT_SECONDS)

        thread = threading.Thread(target=store.atomically, args=(end_late,))
        thread.start()
        assert written.wait(WAIT_SECONDS)
        store.end_session("early", reason=EndReason.REVOKED, now_ms=NOW)
        before = feed_ids(store)
        may_commit.set()
        thread.join(WAIT_SECONDS)

        feed = server.models.revocation
        rows = server.connections.read_rows(*feed.select(feed.session_id).order_by(feed.id).sql())
        assert rows == [("late",), ("early",)], "the late one has the lower id"
        assert before == ["early"]
        assert feed_ids(store) == ["early", "late"]


class TestUsers:
    def test_what_was_inserted_is_found(self, store: Store) -> None:
        user = make_user()._replace(
            name="Žofie \N{GRINNING FACE}", image="https://example.org/a.png", email_verified=True
        )

        assert store.insert_user(user, make_account()) == user
        assert store.find_user("user-1") == user
        assert store.find_user_by_email("ada@example.org") == user
        assert store.find_credential("user-1") == make_account()
        assert store.find_credential_by_email("ada@example.org") == (user, make_account())

    def test_nobody_is_none(self, store: Store) -> None:
        assert store.find_user("nobody") is None
        assert store.find_user_by_email("nobody@example.org") is None
        assert store.find_credential("nobody") is None
        assert store.find_credential_by_email("nobody@example.org") is None

    @pytest.mark.parametrize("email", ["ada@example.org", "nobody@example.org"])
    def test_password_is_found_by_one_statement_whoever_it_is(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, email: str
    ) -> None:
        """Or the time would tell which addresses are known."""
        if place.kind == "sqlite-memory":
            return  # its one connection can't be opened anew, and is the file's otherwise
        place.store.insert_user(make_user(), make_account())
        place.connections.close()
        sent = watch(place, monkeypatch)
        place.connections.read_row("SELECT 1", ())
        sent.clear()

        place.store.find_credential_by_email(email)

        assert len(sent) == 1, sent

    def test_user_without_password_has_no_credential(self, store: Store) -> None:
        store.insert_user(make_user())

        assert store.find_credential_by_email("ada@example.org") is None

    def test_taken_email_adds_nothing(self, store: Store) -> None:
        store.insert_user(make_user(), make_account())

        with pytest.raises(UserAlreadyExistsError):
            store.insert_user(make_user("user-2"), make_account("user-2"))

        assert store.find_user("user-2") is None
        assert store.find_credential("user-2") is None

    def test_taken_account_takes_the_user_back(self, store: Store) -> None:
        social = make_account()._replace(provider_id="github", account_id="42")
        store.insert_user(make_user(), social)

        with pytest.raises(UserAlreadyExistsError):
            store.insert_user(
                make_user("user-2", "bob@example.org"),
                social._replace(id="account-2", user_id="user-2"),
            )

        assert store.find_user("user-2") is None

    def test_a_user_is_found_by_the_account_alone(self, store: Store) -> None:
        social = make_account()._replace(id="account-2", provider_id="corp", account_id="Sub-1")
        store.insert_user(make_user(), make_account())

        assert store.find_user_by_account("corp", "Sub-1") is None
        assert store.link_account(social, now_ms=NOW)

        assert store.find_user_by_account("corp", "Sub-1") == make_user()
        for provider_id, account_id in (("corp", "sub-1"), ("Corp", "Sub-1"), ("x", "Sub-1")):
            assert store.find_user_by_account(provider_id, account_id) is None
        # Collations of MySQL and MariaDB pass over spaces at the end.
        for provider_id, account_id in (("corp", "Sub-1 "), ("corp ", "Sub-1")):
            assert store.find_user_by_account(provider_id, account_id) is None

    def test_an_address_whose_owner_is_deleted_meanwhile_is_free(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the conflict and the look at who has it."""
        store.insert_user(make_user(), make_account())
        is_taken = store._is_taken

        def delete_first(*args: Any) -> bool:
            store.delete_user("user-1", now_ms=NOW, skew_ms=0)
            return is_taken(*args)

        monkeypatch.setattr(store, "_is_taken", delete_first)

        assert store.insert_user(make_user("user-2"), make_account("user-2")).id == "user-2"

    def test_an_account_is_linked_once(self, store: Store) -> None:
        social = make_account()._replace(id="account-2", provider_id="corp", account_id="sub-1")
        store.insert_user(make_user())
        store.insert_user(make_user("user-2", "bob@example.org"))

        assert store.link_account(social, now_ms=NOW)
        assert not store.link_account(social._replace(id="account-3", user_id="user-2"), now_ms=NOW)

        assert store.find_user_by_account("corp", "sub-1") == make_user()

    def test_parallel_sign_ups_make_one_user(self, store: Store) -> None:
        def sign_up(number: int) -> bool:
            try:
                store.insert_user(make_user(f"user-{number}"), make_account(f"user-{number}"))
            except UserAlreadyExistsError:
                return False
            return True

        assert in_parallel(sign_up, THREADS).count(True) == 1

    def test_emails_are_told_apart_by_accent_and_case(self, store: Store) -> None:
        store.insert_user(make_user("é", "adéle@example.org"))
        store.insert_user(make_user("e", "adele@example.org"))
        store.insert_user(make_user("E", "Adele@example.org"))

        found = store.find_user_by_email("adele@example.org")

        assert found is not None and found.id == "e"

    @pytest.mark.parametrize("email", ["a\0b@example.org", "a\ud800b@example.org"])
    def test_hostile_email_finds_nobody_and_breaks_nothing(self, store: Store, email: str) -> None:
        try:
            found = store.find_user_by_email(email)
        except InvalidValueError:
            found = None

        assert found is None
        assert store.find_user("nobody") is None

    def test_update_changes_what_is_given(self, store: Store) -> None:
        store.insert_user(make_user())

        assert store.update_user("user-1", name="Lovelace", now_ms=NOW + 1)
        assert store.update_user("user-1", image="a.png", now_ms=NOW + 2)

        assert store.find_user("user-1") == make_user()._replace(
            name="Lovelace", image="a.png", updated_at_ms=NOW + 2
        )

    def test_update_to_the_same_values_finds_the_user(self, store: Store) -> None:
        store.insert_user(make_user())

        assert store.update_user("user-1", name="Ada", now_ms=NOW)

    def test_update_of_nobody_is_false(self, store: Store) -> None:
        assert not store.update_user("nobody", name="Ada", now_ms=NOW)

    def test_too_long_a_name_is_the_clients_fault(self, server: Place) -> None:
        with pytest.raises(InvalidValueError):
            server.store.insert_user(make_user()._replace(name="x" * 256))

    def test_delete_takes_accounts_and_ends_sessions(self, store: Store) -> None:
        store.insert_user(make_user(), make_account())
        store.insert_session(make_session(user_id="user-1"))

        assert store.delete_user("user-1", now_ms=NOW, skew_ms=0) == (
            True,
            EndedSessions(("session-1",), 1),
        )

        assert store.find_user("user-1") is None
        assert store.find_credential("user-1") is None
        assert end_reason(store) == "user_deleted"
        assert feed_ids(store) == ["session-1"]

    def test_delete_is_all_or_nothing(self, store: Store) -> None:
        store.insert_user(make_user(), make_account())
        store.insert_session(make_session(user_id="user-1"))
        store._delete_user = Statement("DELETE FROM no_such_table", ())

        with pytest.raises(StoreUnavailableError):
            store.delete_user("user-1", now_ms=NOW, skew_ms=0)

        assert store.find_credential("user-1") == make_account()
        assert end_reason(store) is None

    def test_delete_of_nobody_is_false(self, store: Store) -> None:
        assert store.delete_user("nobody", now_ms=NOW, skew_ms=0) == (False, EndedSessions())


class TestPassword:
    @pytest.mark.parametrize("first", ["hash-1", None])
    def test_hash_is_replaced_if_it_is_the_expected_one(
        self, store: Store, first: str | None
    ) -> None:
        store.insert_user(make_user(), make_account(password_hash=first))

        assert store.set_password_hash("user-1", "hash-2", expected_hash=first, now_ms=NOW)
        assert not store.set_password_hash("user-1", "hash-3", expected_hash=first, now_ms=NOW)

        assert store.find_credential("user-1") == make_account(password_hash="hash-2")

    def test_hash_of_another_user_stays(self, store: Store) -> None:
        for user_id in ("user-1", "user-2"):
            store.insert_user(
                make_user(user_id, f"{user_id}@example.org"), make_account(user_id, "same")
            )

        store.set_password_hash("user-1", "other", expected_hash="same", now_ms=NOW)

        assert store.find_credential("user-2") == make_account("user-2", "same")

    def test_hash_is_compared_by_case(self, store: Store) -> None:
        store.insert_user(make_user(), make_account(password_hash="HASH"))

        assert not store.set_password_hash("user-1", "new", expected_hash="hash", now_ms=NOW)


class TestAttempts:
    def test_counts_those_after_an_instant_and_tells_the_first(self, store: Store) -> None:
        for at_ms in (NOW, NOW + 1, NOW + 2, NOW + 3):
            store.insert_attempt("key", at_ms)
        store.insert_attempt("KEY", NOW + 2)

        assert store.count_attempts("key", NOW, until_ms=NOW + 2) == (2, NOW + 1)

    def test_none_is_zero(self, store: Store) -> None:
        assert store.count_attempts("key", NOW, until_ms=NOW + 2) == (0, None)


class TestPurge:
    def purge(self, store: Store, **options: Any) -> int:
        ages = {"keep_ended_ms": 10, "feed_age_ms": 20, "attempt_age_ms": 30}
        return store.purge(NOW, **{**ages, **options})

    def test_ended_sessions_go_at_the_very_instant(self, store: Store) -> None:
        for session_id, ended_at_ms in (("over", NOW - 10), ("kept", NOW - 9)):
            store.insert_session(
                make_session(session_id, ended_at_ms=ended_at_ms, end_reason="revoked")
            )

        assert self.purge(store) == 1
        assert store.find_session("over") is None
        assert store.find_session("kept") is not None

    def test_expired_sessions_go_at_the_very_instant(self, store: Store) -> None:
        store.insert_session(make_session("over", expires_at_ms=NOW - 10))
        store.insert_session(make_session("kept", expires_at_ms=NOW - 9))

        assert self.purge(store) == 1
        assert store.find_session("over") is None
        assert store.find_session("kept") is not None

    def test_feed_goes_at_the_very_instant(self, store: Store) -> None:
        for session_id, at_ms in (("over", NOW - 20), ("kept", NOW - 19)):
            store.insert_session(make_session(session_id))
            store.end_session(session_id, reason=EndReason.REVOKED, now_ms=at_ms)

        assert self.purge(store, keep_ended_ms=DAY) == 1
        assert feed_ids(store) == ["kept"]

    def test_attempts_go_at_the_very_instant(self, store: Store) -> None:
        store.insert_attempt("key", NOW - 30)
        store.insert_attempt("key", NOW - 29)

        assert self.purge(store) == 1
        assert store.count_attempts("key", 0, until_ms=NOW) == (1, NOW - 29)

    def test_oldest_go_first_in_batches_until_none_is_left(self, store: Store) -> None:
        for age in range(5):
            store.insert_attempt(f"key-{age}", NOW - DAY - age)

        first = self.purge(store, batch_rows=2)
        left = [age for age in range(5) if store.count_attempts(f"key-{age}", 0, until_ms=NOW)[0]]

        assert (first, left) == (2, [0, 1, 2])
        assert [self.purge(store, batch_rows=2) for _ in range(3)] == [2, 1, 0]


class OwnUserMadeOf:
    """Makes a user model of the application's, bound to one database."""

    def __init__(self, key: Callable[[], peewee.Field]) -> None:
        self.key = key

    def bind(self, database: Any) -> Any:
        class Member(peewee.Model):
            key = self.key()
            mail = peewee.CharField(max_length=254, unique=True)
            display_name = peewee.CharField(max_length=100, null=True)
            created_at = peewee.DateTimeField()
            changed = peewee.DateTimeField()
            shoe_size = peewee.IntegerField(default=42)

            class Meta:
                table_name = "member"

        Member.bind(database, bind_refs=False, bind_backrefs=False)
        return Member


OWN_KEYS: dict[str, tuple[Callable[[], peewee.Field], type]] = {
    "int": (peewee.AutoField, int),
    "bigint": (peewee.BigAutoField, int),
    "UUID": (lambda: peewee.UUIDField(primary_key=True, default=uuid4), UUID),
    "text": (lambda: peewee.CharField(primary_key=True, max_length=40), str),
}
ATTRIBUTES = {"email": "mail", "name": "display_name", "updated_at": "changed", "image": None}


class TestOwnUserModel:
    @pytest.fixture(params=list(OWN_KEYS))
    def key_type(self, request: pytest.FixtureRequest, place: Place) -> type:
        make_key, key_type = OWN_KEYS[request.param]
        member = OwnUserMadeOf(make_key).bind(place.connections.database)
        place.build(user_model=member, user_attributes=ATTRIBUTES)
        return key_type

    def test_round_trip(self, place: Place, key_type: type) -> None:
        store = place.store

        user = store.insert_user(make_user(), make_account())
        account = store.find_credential(user.id)

        assert type(user.id) is key_type
        assert user == make_user(user.id)
        assert store.find_user(user.id) == user
        assert store.find_user(str(user.id)) == user
        assert account is not None
        assert (account.user_id, account.account_id) == (user.id, str(user.id))

    def test_session_names_the_user(self, place: Place, key_type: type) -> None:
        user = place.store.insert_user(make_user())
        record = make_session(user_id=user.id)
        place.store.insert_session(record)

        assert place.store.find_session("session-1") == (record, user)
        assert place.store.list_sessions(user.id, NOW) == [record]

    def test_anonymous_session_has_no_user(self, place: Place, key_type: type) -> None:
        place.store.insert_session(make_session())

        assert place.store.find_session("session-1") == (make_session(), None)

    def test_sign_in_password_and_deletion(self, place: Place, key_type: type) -> None:
        store = place.store
        user = store.insert_user(make_user(), make_account())
        store.create_session(
            make_session(user_id=user.id),
            replaces=None,
            maximum_sessions=1,
            on_limit="evict",
            only_one=False,
            find_end=lambda record: None,
            skew_ms=0,
            now_ms=NOW,
        )

        assert store.set_password_hash(user.id, "hash-2", expected_hash="hash-1", now_ms=NOW)
        assert store.update_user(user.id, name="Lovelace", now_ms=NOW + 1000)
        changed = store.find_user(user.id)
        assert changed == user._replace(name="Lovelace", updated_at_ms=NOW + 1000)
        assert store.delete_user(user.id, now_ms=NOW, skew_ms=0) == (
            True,
            EndedSessions(("session-1",), 1),
        )
        assert end_reason(store) == "user_deleted"
        assert store.find_user(user.id) is None

    def test_email_as_it_was_typed_is_found(self, place: Place, key_type: type) -> None:
        user = place.store.insert_user(make_user(email="Ada@Example.org"))

        assert place.store.find_user_by_email("ada@example.org") == user

    def test_accent_makes_another_email(self, place: Place, key_type: type) -> None:
        place.store.insert_user(make_user(email="adéle@example.org"))

        assert place.store.find_user_by_email("adele@example.org") is None

    def test_taken_email_is_told(self, place: Place, key_type: type) -> None:
        place.store.insert_user(make_user())

        with pytest.raises(UserAlreadyExistsError):
            place.store.insert_user(make_user("user-2"))

    @pytest.mark.parametrize("user_id", ["1st", 2**70])
    def test_key_of_another_type_is_nobodys(
        self, place: Place, key_type: type, user_id: Any
    ) -> None:
        store = place.store
        store.insert_user(make_user(), make_account())

        assert store.find_user(user_id) is None

    def test_key_of_another_type_has_nothing(self, place: Place, key_type: type) -> None:
        store = place.store
        user = store.insert_user(make_user(), make_account(password_hash=None))
        store.insert_session(make_session(user_id=user.id))

        assert store.list_sessions("1st", NOW) == []
        assert store.find_credential("1st") is None
        assert not store.lock_user("1st")
        assert not store.update_user("1st", name="Eve", now_ms=NOW)
        assert not store.set_password_hash("1st", "hash", expected_hash=None, now_ms=NOW)
        assert store.delete_user("1st", now_ms=NOW, skew_ms=0) == (False, EndedSessions())
        assert store.find_user(user.id) == user

    def test_address_of_somebody_stored_as_typed_is_taken(
        self, place: Place, key_type: type
    ) -> None:
        """Or the stranger's password would open the account of whoever was there first."""
        store = place.store
        first = store.insert_user(make_user(email="Ada@Example.org"))

        with pytest.raises(UserAlreadyExistsError):
            store.insert_user(make_user("user-2"), make_account("user-2"))

        assert store.find_credential(first.id) is None
        assert store.find_user_by_email("ada@example.org") == first

    def test_each_user_gets_a_key_of_their_own(self, place: Place, key_type: type) -> None:
        store = place.store

        users = [
            store.insert_user(make_user(f"user-{each}", f"{each}@example.org")) for each in "ab"
        ]

        assert users[0].id != users[1].id
        assert [store.find_user(user.id) for user in users] == users


def own_user(place: Place, **columns: Any) -> Any:
    """Give a store a user model of the application's, with an e-mail column and others."""
    meta = type("Meta", (), {"table_name": "member", "database": place.connections.database})
    columns = {"email": peewee.CharField(max_length=254, unique=True), **columns}
    member = type("Member", (peewee.Model,), {"Meta": meta, **columns})
    place.build(user_model=member)
    return member


class TestSharedAddress:
    @pytest.fixture
    def two(self, place: Place) -> Store:
        member = own_user(place, email=peewee.CharField(max_length=254))
        for email in ("Ada@Example.org", "ada@example.org"):
            insert = member.insert(email=email)
            place.connections.run(insert.execute)
        return place.store

    def test_is_nobodys_who_signs_in(self, two: Store) -> None:
        for user_id in (1, 2):
            two.insert_account(make_account(user_id), now_ms=NOW)

        assert two.find_user_by_email("ada@example.org") is None
        assert two.find_credential_by_email("ada@example.org") is None

    def test_is_taken(self, two: Store) -> None:
        with pytest.raises(UserAlreadyExistsError):
            two.insert_user(make_user(), make_account())

        assert [two.find_credential(user_id) for user_id in (1, 2, 3)] == [None] * 3
        assert two.find_user(3) is None


class TestModelThatAsksForMore:
    def test_column_without_a_default_is_named(self, place: Place) -> None:
        own_user(place, country=peewee.CharField(max_length=2))

        with pytest.raises(ConfigurationError, match="Member refused a new user: .*country"):
            place.store.insert_user(make_user(), make_account())

    def test_value_of_another_unique_column_is_not_called_the_address(self, place: Place) -> None:
        own_user(place, name=peewee.CharField(max_length=99, unique=True))
        place.store.insert_user(make_user())

        with pytest.raises(ConfigurationError, match="Member refused a new user: ") as caught:
            place.store.insert_user(make_user("user-2", "bob@example.org"))

        assert "name" in str(caught.value)
        assert "Ada" not in str(caught.value), "no value is shown"

    def test_key_that_nobody_makes_is_told(self, place: Place) -> None:
        own_user(place, id=peewee.UUIDField(primary_key=True))

        with pytest.raises(ConfigurationError, match=r"\bid\b"):
            place.store.insert_user(make_user())

    def test_key_can_be_the_address(self, place: Place) -> None:
        own_user(place, email=peewee.CharField(primary_key=True, max_length=254))

        user = place.store.insert_user(make_user(), make_account())

        assert user.id == "ada@example.org"
        assert place.store.find_credential_by_email("ada@example.org") is not None


INSTANT_FIELDS: dict[str, Callable[[], Any]] = {
    "milliseconds": peewee.BigIntegerField,
    "seconds": peewee.TimestampField,
    "UTC microseconds": lambda: peewee.TimestampField(resolution=6, utc=True),
    "datetime": peewee.DateTimeField,
    "date": peewee.DateField,
}


class TestInstantsOfAnOwnModel:
    @pytest.mark.parametrize("kind", INSTANT_FIELDS)
    def test_come_back_as_they_were(self, place: Place, kind: str) -> None:
        make_field = INSTANT_FIELDS[kind]
        member = own_user(place, created_at=make_field(), updated_at=make_field())

        user = place.store.insert_user(make_user())

        whole_ms = DAY if kind == "date" else 1000
        assert place.store.find_user(user.id) == user._replace(
            name=None, created_at_ms=NOW - NOW % whole_ms, updated_at_ms=NOW - NOW % whole_ms
        )
        stored = place.connections.read_row(*member.select(member.created_at).sql())
        if kind == "seconds":
            assert stored == (NOW // 1000,)

    def test_with_a_zone_come_back_as_they_were(self, tmp_path: Path) -> None:
        with open_place("postgres", tmp_path) as place:
            own_user(place, created_at=DateTimeTZField())
            place.store.create_tables()
            place.connections.write("SET TIME ZONE 'Asia/Tokyo'", ())

            user = place.store.insert_user(make_user())

            found = place.store.find_user(user.id)
            assert found is not None
            assert found.created_at_ms == NOW


class TestIdGivenOutAgain:
    """SQLite gives the highest id of a table anew; an application may delete users by itself."""

    HOUR = DAY // 24

    @pytest.mark.parametrize(
        ("make_field", "slack_ms"),
        [(peewee.BigIntegerField, 2 * HOUR), (peewee.DateTimeField, 16 * HOUR)],
        ids=["epoch", "no zone"],
    )
    def test_session_of_the_one_before_has_no_user(
        self, place: Place, make_field: Callable[[], Any], slack_ms: int
    ) -> None:
        own_user(place, created_at=make_field())
        user = place.store.insert_user(make_user())
        for session_id, began_ms in (("before", slack_ms + 1000), ("own", slack_ms)):
            place.store.insert_session(
                make_session(session_id, user_id=user.id, authenticated_at_ms=NOW - began_ms)
            )

        found = {each: place.store.find_session(each) for each in ("before", "own")}

        assert found["before"] is not None
        assert found["own"] is not None
        assert (found["before"][1], found["own"][1]) == (
            None,
            user._replace(name=None, updated_at_ms=0),
        )

    def test_new_user_starts_with_nothing(self, place: Place) -> None:
        member = own_user(place, id=peewee.CharField(primary_key=True, max_length=40))
        store = place.store
        social = make_account()._replace(id="account-2", provider_id="corp", account_id="sub-1")
        store.insert_user(make_user(), make_account(password_hash="old"))
        store.insert_account(social, now_ms=NOW)
        store.insert_session(make_session(user_id="user-1"))
        place.connections.run(lambda: member.delete().execute())

        store.insert_user(make_user(email="eve@example.org"), make_account(password_hash="new"))

        assert store.find_credential("user-1") == make_account(password_hash="new")
        assert store.find_user_by_account("corp", "sub-1") is None
        assert end_reason(store) == "user_deleted"
        assert live_ids(store) == set()

    def test_social_account_of_one_who_is_gone_is_free_again(self, place: Place) -> None:
        member = own_user(place, id=peewee.CharField(primary_key=True, max_length=40))
        social = make_account()._replace(provider_id="corp", account_id="sub-1")
        place.store.insert_user(make_user(), social)
        place.connections.run(lambda: member.delete().execute())

        again = place.store.insert_user(
            make_user("user-2"), social._replace(id="account-2", user_id="user-2")
        )

        assert place.store.find_user_by_account("corp", "sub-1") == again._replace(
            name=None, email_verified=False, created_at_ms=0, updated_at_ms=0
        )


class TestWithinTheApplicationsTransaction:
    """MariaDB shows a transaction the rows as they were when it first read."""

    @pytest.fixture
    def ours(self, server: Place) -> Store:
        """A store over a database that the application lends."""
        server.store.insert_user(make_user())
        lent = Connections(server.connections.database)
        return Store(lent, server.models)

    def admit(self, store: Store, session_id: str) -> None:
        store.create_session(
            make_session(session_id, user_id="user-1"),
            replaces=None,
            maximum_sessions=1,
            on_limit="evict",
            only_one=False,
            find_end=lambda record: None,
            skew_ms=0,
            now_ms=NOW,
        )

    def meanwhile(self, work: Callable[[], Any]) -> None:
        """Have something happen over another connection."""
        in_parallel(lambda _: work(), 1)

    def test_sign_in_sees_who_signed_in_meanwhile(self, server: Place, ours: Store) -> None:
        with server.connections.database.atomic():
            assert ours.find_user("user-1") is not None
            self.meanwhile(lambda: self.admit(server.store, "theirs"))
            self.admit(ours, "ours")

        assert live_ids(server.store) == {"ours"}

    def test_many_sign_ins_of_many_users_wait_for_each_other_and_all_come_in(
        self, server: Place, ours: Store
    ) -> None:
        database = server.connections.database
        for number in range(THREADS):
            server.store.insert_user(make_user(f"user-{number + 2}", f"{number}@example.org"))
        all_have_read = threading.Barrier(THREADS)

        def sign_in(number: int) -> None:
            with database.connection_context(), database.atomic():
                assert ours.find_user("user-1") is not None
                all_have_read.wait(WAIT_SECONDS)
                user_id = f"user-{number // 2 + 2}"
                ours.create_session(
                    make_session(f"session-{number}", user_id=user_id),
                    replaces=None,
                    maximum_sessions=1,
                    on_limit="evict",
                    only_one=False,
                    find_end=lambda record: None,
                    skew_ms=0,
                    now_ms=NOW,
                )

        in_parallel(sign_in, THREADS)

        counts = [len(live_ids(server.store, f"user-{each + 2}")) for each in range(THREADS // 2)]
        assert counts == [1] * (THREADS // 2)

    @pytest.mark.parametrize("server", ["mariadb"], indirect=True)
    def test_sign_in_locks_nobody_elses_sessions(self, server: Place, ours: Store) -> None:
        """In a table so small that any index is as good: that of ended_at holds everybody's."""
        listing = ours._lock_list
        values = {"user_id": "user-1", "now": NOW, "at_most": 1}
        database = server.connections.database
        with database.connection_context():
            plan = database.execute_sql("EXPLAIN " + listing.sql, listing.fill(values)).fetchall()

        assert [row[5] for row in plan] == ["wsgi_sessions_session_user_id_ended_at"]

    def test_sign_out_everywhere_ends_what_began_meanwhile(
        self, server: Place, ours: Store
    ) -> None:
        with server.connections.database.atomic():
            assert ours.find_user("user-1") is not None
            self.meanwhile(lambda: self.admit(server.store, "theirs"))
            ended = ours.end_user_sessions(
                "user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0
            )

        assert ended.session_ids == ("theirs",)

    def test_session_that_changed_is_read_as_it_is(self, server: Place, ours: Store) -> None:
        judged = make_session(user_id="user-1")
        server.store.insert_session(judged)
        with server.connections.database.atomic():
            assert ours.find_session("session-1") == (judged, make_user())
            self.meanwhile(lambda: server.store.apply_change(judged, confirm(judged)))
            assert not ours.apply_change(judged, confirm(judged))

            found = ours.find_session("session-1", anew=True)

        assert found is not None
        assert (found[0].generation, found[1]) == (1, make_user())

    def test_session_that_is_gone_is_none(self, server: Place, ours: Store) -> None:
        with server.connections.database.atomic():
            assert ours.find_session("nobody", anew=True) is None

    def test_data_of_a_session_that_ended_meanwhile_is_dropped(
        self, server: Place, ours: Store
    ) -> None:
        server.store.insert_session(make_session())
        with server.connections.database.atomic():
            assert ours.find_session("session-1") is not None
            self.meanwhile(
                lambda: server.store.end_session("session-1", reason=EndReason.REVOKED, now_ms=NOW)
            )

            assert ours.merge_data("session-1", {"a": "1"}, known=("{}", 0)) is None

    def test_address_taken_meanwhile_is_told(self, server: Place, ours: Store) -> None:
        with server.connections.database.atomic():
            assert ours.find_user("user-1") is not None
            self.meanwhile(lambda: server.store.insert_user(make_user("user-2", "bob@example.org")))

            with pytest.raises(UserAlreadyExistsError):
                ours.insert_user(make_user("user-3", "bob@example.org"))


def quoted(place: Place, table: str) -> str:
    return f"`{table}`" if place.kind == "mariadb" else f'"{table}"'


@dataclass
class Watched:
    """A connection or cursor that notes what is sent over it."""

    inner: Any
    sent: list[str] = field(default_factory=list)

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        return Watched(self.inner.cursor(*arguments, **options), self.sent)

    def execute(self, sql: str, *arguments: Any) -> Any:
        if is_counted(sql):
            self.sent.append(sql)
        return self.inner.execute(sql, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def watch(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every statement that connections opened from now on carry."""
    sent: list[str] = []
    database = place.connections.database
    connect = database._connect
    monkeypatch.setattr(database, "_connect", lambda: Watched(connect(), sent))
    return sent
