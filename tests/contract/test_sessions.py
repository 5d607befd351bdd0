"""A store's sessions: stored, listed and changed by compare-and-set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.storage.probes import trips
from tests.support import NOW, change_of, in_parallel, make_session, make_user
from wsgi_sessions.errors import (
    InvalidValueError,
)
from wsgi_sessions.records import EndReason
from wsgi_sessions.storage.store import Store

from .databases import SERVERS, Place, stored_session
from .stores import MOVED, THREADS, confirm, quoted, watch


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
        store.sessions.insert(record)

        assert store.sessions.find("session-1") == (record, make_user())

    def test_anonymous_session_has_no_user(self, store: Store) -> None:
        record = make_session(ip_address=None, user_agent=None)
        store.sessions.insert(record)

        assert store.sessions.find("session-1") == (record, None)

    def test_unknown_id_is_none(self, store: Store) -> None:
        assert store.sessions.find("nobody") is None

    def test_user_deleted_behind_our_back_leaves_session_without_user(self, place: Place) -> None:
        place.store.insert_user(make_user())
        record = make_session(user_id="user-1")
        place.store.sessions.insert(record)

        place.connections.write(f"DELETE FROM {quoted(place, 'wsgi_sessions_user')}", ())

        assert place.store.sessions.find("session-1") == (record, None)

    def test_find_session_is_one_statement(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if place.kind == "sqlite-memory":
            return  # its one connection can't be opened anew, and is the file's otherwise
        place.store.sessions.insert(make_session())
        if place.kind in SERVERS:
            with trips(place.kind, place.connections) as sent:
                assert place.store.sessions.find("session-1") is not None
        else:
            place.connections.close()
            sent = watch(place, monkeypatch)
            place.connections.read_row("SELECT 1", ())
            sent.clear()
            assert place.store.sessions.find("session-1") is not None

        assert len(sent) == 1, sent

    def test_ids_are_told_apart_by_case(self, store: Store) -> None:
        store.sessions.insert(make_session("AbC", generation=1))
        store.sessions.insert(make_session("aBc", generation=2))

        assert stored_session(store, "AbC").generation == 1
        assert store.sessions.find("abc") is None

    def test_data_of_sixty_four_kibibytes_and_more_is_kept(self, store: Store) -> None:
        data = json.dumps({"text": "x" * 100_000})
        store.sessions.insert(make_session(data=data))

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
        store.sessions.insert(make_session(user_agent=given))

        assert stored_session(store).user_agent == kept

    @pytest.mark.parametrize("session_id", ["a\0b", "a\ud800b"], ids=["NUL", "surrogate"])
    def test_hostile_id_finds_nothing_and_breaks_nothing(
        self, store: Store, session_id: str
    ) -> None:
        try:
            found = store.sessions.find(session_id)
        except InvalidValueError:
            found = None

        assert found is None
        assert store.sessions.find("session-1") is None


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
            store.sessions.insert(make_session(session_id, **{"user_id": "user-1", **changes}))

        assert [record.id for record in store.sessions.list_live("user-1", NOW)] == [
            "newer",
            "older",
        ]

    def test_gives_whole_records(self, store: Store) -> None:
        record = make_session(user_id="user-1")
        store.sessions.insert(record)

        assert store.sessions.list_live("user-1", NOW) == [record]


class TestApplyChange:
    def test_lands_with_every_new_value(self, store: Store) -> None:
        judged = make_session()
        store.sessions.insert(judged)

        assert store.sessions.apply(judged, confirm(judged))

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
        store.sessions.insert(judged)
        change = confirm(judged)

        assert [store.sessions.apply(judged, change) for _ in range(3)] == [True, False, False]

    def test_parallel_ones_land_once(self, store: Store) -> None:
        judged = make_session()
        store.sessions.insert(judged)
        change = confirm(judged)

        landed = in_parallel(lambda _: store.sessions.apply(judged, change), THREADS)

        assert landed.count(True) == 1

    @pytest.mark.parametrize("moved", MOVED, ids="-".join)
    def test_loses_when_the_session_moved(self, store: Store, moved: dict[str, Any]) -> None:
        stored = make_session()
        store.sessions.insert(stored)
        judged = stored._replace(**moved)

        assert not store.sessions.apply(judged, confirm(judged))
        assert stored_session(store) == stored

    @pytest.mark.parametrize("branch", ["Branch-1", "--------", "________", "9Z9z9Z9z"])
    def test_one_of_two_siblings_settles(self, store: Store, branch: str) -> None:
        judged = make_session(is_settled=False)
        store.sessions.insert(judged)
        settled = [
            change_of(judged, branch=branch, is_settled=True),
            change_of(judged, is_settled=True, may_fail=True),
        ]

        landed = [store.sessions.apply(judged, change) for change in settled]

        assert landed == [True, False]
        assert stored_session(store) == judged._replace(branch=branch, is_settled=True)

    def test_branches_are_told_apart_by_case(self, store: Store) -> None:
        store.sessions.insert(make_session(branch="aBcDeFgH"))
        judged = make_session(branch="AbCdEfGh")

        assert not store.sessions.apply(judged, confirm(judged))
        assert stored_session(store).branch == "aBcDeFgH"

    def test_never_revives_an_ended_session(self, store: Store) -> None:
        judged = make_session()
        store.sessions.insert(judged)
        store.session_ends.end("session-1", reason=EndReason.REVOKED, now_ms=NOW)

        assert not store.sessions.apply(judged, confirm(judged))
        assert stored_session(store) == judged._replace(ended_at_ms=NOW, end_reason="revoked")
