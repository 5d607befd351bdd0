"""Sessions that a store ends, and the feed that tells other workers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support import NOW, WAIT_SECONDS, in_parallel, make_session, make_user
from wsgi_sessions.errors import (
    StoreUnavailableError,
)
from wsgi_sessions.records import EndReason
from wsgi_sessions.storage.store import Store

from .databases import Place, stored_session
from .stores import MOVED, THREADS, break_feed, end_reason, feed_ids, insert_ended, live_ids


class TestEnd:
    def test_first_reason_stays(self, store: Store) -> None:
        store.sessions.insert(make_session())

        assert store.session_ends.end("session-1", reason=EndReason.REPLAYED, now_ms=NOW)
        assert not store.session_ends.end("session-1", reason=EndReason.SIGNED_OUT, now_ms=NOW + 1)

        assert stored_session(store) == make_session(ended_at_ms=NOW, end_reason="replayed")

    def test_unknown_session_is_not_ended_and_not_fed(self, store: Store) -> None:
        assert not store.session_ends.end("nobody", reason=EndReason.REVOKED, now_ms=NOW)
        assert feed_ids(store) == []

    def test_parallel_ones_end_it_once(self, store: Store) -> None:
        store.sessions.insert(make_session())

        ended = in_parallel(
            lambda _: store.session_ends.end("session-1", reason=EndReason.REVOKED, now_ms=NOW),
            THREADS,
        )

        assert ended.count(True) == 1
        assert feed_ids(store) == ["session-1"]

    def test_with_judged_ends_what_was_judged(self, store: Store) -> None:
        judged = make_session()
        store.sessions.insert(judged)

        assert store.session_ends.end("session-1", reason=EndReason.IDLE, now_ms=NOW, judged=judged)

    @pytest.mark.parametrize("moved", MOVED, ids="-".join)
    def test_with_judged_loses_when_the_session_moved(
        self, store: Store, moved: dict[str, Any]
    ) -> None:
        stored = make_session()
        store.sessions.insert(stored)
        judged = stored._replace(**moved)

        ended = store.session_ends.end(
            "session-1", reason=EndReason.IDLE, now_ms=NOW, judged=judged
        )

        assert not ended
        assert stored_session(store) == stored
        assert feed_ids(store) == []

    def test_feed_tells_session_and_instant(self, store: Store) -> None:
        store.sessions.insert(make_session())
        store.session_ends.end("session-1", reason=EndReason.REVOKED, now_ms=NOW)

        [row] = store.revocations.find(NOW).rows
        assert row[:3] == ("session-1", None, NOW)
        assert store.revocations.find(NOW + 1).rows == []

    def test_without_feed_nothing_is_told(self, store: Store) -> None:
        store.sessions.insert(make_session())

        first = store.session_ends.end(
            "session-1", reason=EndReason.EXPIRED, now_ms=NOW, with_feed=False
        )
        again = store.session_ends.end(
            "session-1", reason=EndReason.EXPIRED, now_ms=NOW, with_feed=False
        )

        assert (first, again) == (True, False)
        assert feed_ids(store) == []

    def test_session_lives_on_when_its_feed_row_fails(self, store: Store) -> None:
        store.sessions.insert(make_session())
        break_feed(store)

        with pytest.raises(StoreUnavailableError):
            store.session_ends.end("session-1", reason=EndReason.REVOKED, now_ms=NOW)

        assert stored_session(store) == make_session()


class TestEndMany:
    def test_of_a_user_ends_the_users_live_ones(self, store: Store) -> None:
        store.insert_user(make_user())
        for session_id in ("a", "b"):
            store.sessions.insert(make_session(session_id, user_id="user-1"))
        store.sessions.insert(make_session("other", user_id="user-2"))

        ended = store.session_ends.end_all_of(
            "user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0
        )

        assert ended.number == 2
        assert set(ended.session_ids) == {"a", "b"} == set(feed_ids(store))
        assert end_reason(store, "a") == "revoked"
        assert live_ids(store, "user-2") == {"other"}

    def test_of_a_user_spares_the_named_one(self, store: Store) -> None:
        for session_id in ("a", "b"):
            store.sessions.insert(make_session(session_id, user_id="user-1"))

        ended = store.session_ends.end_all_of(
            "user-1", reason=EndReason.PASSWORD_CHANGED, now_ms=NOW, skew_ms=0, except_id="b"
        )

        assert ended.session_ids == ("a",)
        assert live_ids(store) == {"b"}

    def test_of_a_user_ends_what_a_worker_behind_could_still_refresh(self, store: Store) -> None:
        for session_id, expires_at_ms in (("just over", NOW - 59), ("long over", NOW - 60)):
            store.sessions.insert(
                make_session(session_id, user_id="user-1", expires_at_ms=expires_at_ms)
            )

        ended = store.session_ends.end_all_of(
            "user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=60
        )

        assert ended.session_ids == ("just over",)

    def test_of_a_user_is_all_or_nothing(self, store: Store) -> None:
        for session_id in ("a", "b"):
            store.sessions.insert(make_session(session_id, user_id="user-1"))
        break_feed(store)

        with pytest.raises(StoreUnavailableError):
            store.session_ends.end_all_of("user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0)

        assert live_ids(store) == {"a", "b"}

    def test_of_a_user_without_sessions_ends_none(self, store: Store) -> None:
        store.sessions.insert(make_session("other", user_id="user-2"))

        for kept in (None, "other"):
            ended = store.session_ends.end_all_of(
                "user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0, except_id=kept
            )
            assert tuple(ended) == ((), 0)

        assert feed_ids(store) == []
        assert live_ids(store, "user-2") == {"other"}

    def test_of_a_user_tells_all_and_lists_some(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wsgi_sessions.storage.session_ends.MAX_LISTED_SESSIONS", 2)
        for session_id in ("a", "b", "c", "kept"):
            store.sessions.insert(make_session(session_id, user_id="user-1"))
        insert_ended(store, user_id="user-1")
        store.sessions.insert(make_session("other", user_id="user-2"))

        ended = store.session_ends.end_all_of(
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
            store.sessions.insert(make_session(session_id, user_id="user-1"))
        insert_ended(store, user_id="user-1")
        expected = [session_id for session_id in asked if session_id in "ab"]

        ended = store.session_ends.end_each(asked, reason=EndReason.REVOKED, now_ms=NOW)

        assert isinstance(ended, tuple)
        assert sorted(ended) == feed_ids(store) == expected
        assert live_ids(store) == {*"abc"} - {*expected}
        assert end_reason(store, "otherwise") == "idle"

    def test_of_some_is_done_in_batches(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wsgi_sessions.storage.statements._MAX_BATCH_ROWS", 2)
        for session_id in "abcde":
            store.sessions.insert(make_session(session_id, user_id="user-1"))

        ended = store.session_ends.end_each(list("abcde"), reason=EndReason.REVOKED, now_ms=NOW)

        assert sorted(ended) == feed_ids(store) == list("abcde")
        assert live_ids(store) == set()

    def test_of_some_is_all_or_nothing(self, store: Store) -> None:
        for session_id in "ab":
            store.sessions.insert(make_session(session_id, user_id="user-1"))
        break_feed(store)

        with pytest.raises(StoreUnavailableError):
            store.session_ends.end_each(["a", "b"], reason=EndReason.REVOKED, now_ms=NOW)

        assert live_ids(store) == {"a", "b"}

    def test_all_is_all_or_nothing(self, store: Store) -> None:
        store.sessions.insert(make_session("a", user_id="user-1"))
        break_feed(store)

        with pytest.raises(StoreUnavailableError):
            store.session_ends.end_all(now_ms=NOW)

        assert live_ids(store) == {"a"}

    def test_all_ends_everybodys(self, store: Store) -> None:
        store.sessions.insert(make_session("a", user_id="user-1"))
        store.sessions.insert(make_session("b"))
        store.sessions.insert(make_session("c", ended_at_ms=NOW - 1, end_reason="idle"))

        assert store.session_ends.end_all(now_ms=NOW) == 2

        assert [end_reason(store, each) for each in "abc"] == ["revoked", "revoked", "idle"]
        [row] = store.revocations.find(0).rows
        assert row[:3] == (None, NOW, NOW)

    def test_all_before_an_instant_leaves_what_began_then_or_later(self, store: Store) -> None:
        store.sessions.insert(make_session("before", created_at_ms=NOW - 11))
        # Proven again since: whoever took its token before still has it.
        store.sessions.insert(
            make_session("proven", created_at_ms=NOW - 11, authenticated_at_ms=NOW)
        )
        store.sessions.insert(make_session("then", created_at_ms=NOW - 10))
        store.sessions.insert(make_session("after", created_at_ms=NOW - 9))

        assert store.session_ends.end_all(now_ms=NOW, created_before_ms=NOW - 10) == 2

        ends = [end_reason(store, each) for each in ("before", "proven", "then", "after")]
        assert ends == ["revoked", "revoked", None, None]
        [row] = store.revocations.find(0).rows
        assert row[:3] == (None, NOW, NOW)


class TestFeed:
    def test_row_that_commits_late_with_a_lower_id_is_seen(self, server: Place) -> None:
        store = server.store
        for session_id in ("late", "early"):
            store.sessions.insert(make_session(session_id))
        written, may_commit = threading.Event(), threading.Event()

        def end_late() -> None:
            store.session_ends.end("late", reason=EndReason.REVOKED, now_ms=NOW)
            written.set()
            assert may_commit.wait(WAIT_SECONDS)

        thread = threading.Thread(target=store.atomically, args=(end_late,))
        thread.start()
        assert written.wait(WAIT_SECONDS)
        store.session_ends.end("early", reason=EndReason.REVOKED, now_ms=NOW)
        before = feed_ids(store)
        may_commit.set()
        thread.join(WAIT_SECONDS)

        feed = server.models.revocation
        rows = server.connections.read_rows(*feed.select(feed.session_id).order_by(feed.id).sql())
        assert rows == [("late",), ("early",)], "the late one has the lower id"
        assert before == ["early"]
        assert feed_ids(store) == ["early", "late"]
