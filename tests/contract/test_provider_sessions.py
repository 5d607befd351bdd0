"""Ends of sessions by what a provider knows of them: its session, or its user."""

from __future__ import annotations

from typing import Any

from tests.support import NOW, make_session, make_user
from wsgi_sessions.records import Authentication, EndReason
from wsgi_sessions.storage.session_ends import EndedSessions
from wsgi_sessions.storage.store import Store

from .stores import end_reason, feed_ids, live_ids

SID = "d" * 64
BY_CORP = Authentication("corp", amr=("pwd",)).to_json()
ENDS: dict[str, Any] = {"reason": EndReason.REVOKED, "since_ms": NOW - 60_000, "now_ms": NOW + 5}


def insert(store: Store, session_id: str, **changes: Any) -> None:
    store.sessions.insert(make_session(session_id, **{"user_id": "user-1", **changes}))


def end_begun_by_corp(
    store: Store, user_id: Any = "user-1", *, is_without_sid: bool = False
) -> EndedSessions:
    return store.session_ends.end_begun_by(
        user_id, method="corp", is_without_sid=is_without_sid, begun_until_ms=NOW + 5, **ENDS
    )


class TestEndsByAProvider:
    def test_a_session_at_the_provider_ends_what_it_began(self, store: Store) -> None:
        insert(store, "one", provider_sid=SID)
        insert(store, "two", provider_sid=SID, user_id="user-2")
        insert(store, "other", provider_sid="e" * 64)
        insert(store, "none")

        ended = store.session_ends.end_by_sid(SID, **ENDS)

        assert (sorted(ended.session_ids), ended.number) == (["one", "two"], 2)
        assert feed_ids(store) == ["one", "two"]
        assert end_reason(store, "one") == "revoked"
        assert live_ids(store) == {"other", "none"}
        assert store.session_ends.end_by_sid(SID, **ENDS).number == 0

    def test_a_digest_of_other_case_is_another(self, store: Store) -> None:
        insert(store, "one", provider_sid=SID)

        assert store.session_ends.end_by_sid(SID.upper(), **ENDS).number == 0

    def test_a_user_loses_what_began_by_the_provider_until_then(self, store: Store) -> None:
        store.insert_user(make_user())
        insert(store, "by-corp", authentication=BY_CORP)
        insert(store, "by-corp-alone", authentication=Authentication("corp").to_json())
        insert(store, "by-corporation", authentication=Authentication("corporation").to_json())
        insert(store, "by-password", authentication=Authentication("password").to_json())
        insert(store, "unknown")
        insert(store, "later", authentication=BY_CORP, created_at_ms=NOW + 6)
        insert(store, "of-another", authentication=BY_CORP, user_id="user-2")

        ended = end_begun_by_corp(store)

        assert sorted(ended.session_ids) == ["by-corp", "by-corp-alone"]
        assert feed_ids(store) == ["by-corp", "by-corp-alone"]
        assert live_ids(store) == {"by-corporation", "by-password", "unknown", "later"}
        assert live_ids(store, "user-2") == {"of-another"}

    def test_what_began_by_a_known_session_can_be_left(self, store: Store) -> None:
        store.insert_user(make_user())
        insert(store, "known", authentication=BY_CORP, provider_sid=SID)
        insert(store, "not-known", authentication=BY_CORP)

        assert end_begun_by_corp(store, is_without_sid=True).session_ids == ("not-known",)
        assert live_ids(store) == {"known"}

    def test_nobody_has_none(self, store: Store) -> None:
        assert end_begun_by_corp(store, "nobody") == EndedSessions()
