"""What a clean-up deletes, and from which instant on."""

from __future__ import annotations

from typing import Any

from tests.support import DAY, NOW, make_one_time_token, make_session
from wsgi_sessions.records import EndReason
from wsgi_sessions.storage.store import Store

from .stores import feed_ids


class TestPurge:
    def purge(self, store: Store, **options: Any) -> int:
        ages = {"keep_ended_ms": 10, "feed_age_ms": 20, "attempt_age_ms": 30, "token_age_ms": 40}
        return store.purge(NOW, **{**ages, "batch_rows": 500, **options})

    def test_ended_sessions_go_at_the_very_instant(self, store: Store) -> None:
        for session_id, ended_at_ms in (("over", NOW - 10), ("kept", NOW - 9)):
            store.sessions.insert(
                make_session(session_id, ended_at_ms=ended_at_ms, end_reason="revoked")
            )

        assert self.purge(store) == 1
        assert store.sessions.find("over") is None
        assert store.sessions.find("kept") is not None

    def test_expired_sessions_go_at_the_very_instant(self, store: Store) -> None:
        store.sessions.insert(make_session("over", expires_at_ms=NOW - 10))
        store.sessions.insert(make_session("kept", expires_at_ms=NOW - 9))

        assert self.purge(store) == 1
        assert store.sessions.find("over") is None
        assert store.sessions.find("kept") is not None

    def test_feed_goes_at_the_very_instant(self, store: Store) -> None:
        for session_id, at_ms in (("over", NOW - 20), ("kept", NOW - 19)):
            store.sessions.insert(make_session(session_id))
            store.session_ends.end(session_id, reason=EndReason.REVOKED, now_ms=at_ms)

        assert self.purge(store, keep_ended_ms=DAY) == 1
        assert feed_ids(store) == ["kept"]

    def test_attempts_go_at_the_very_instant(self, store: Store) -> None:
        store.attempts.insert("over", ["key"], now_ms=NOW - 30)
        store.attempts.insert("kept", ["key"], now_ms=NOW - 29)

        assert self.purge(store) == 1
        assert store.attempts.count(["key"], since_ms=0, until_ms=NOW) == {"key": (1, NOW - 29)}

    def test_one_time_tokens_go_at_the_very_instant(self, store: Store) -> None:
        for digest, expires_at_ms in (("over", NOW - 40), ("kept", NOW - 39)):
            store.one_time_tokens.insert(make_one_time_token(digest, expires_at_ms=expires_at_ms))

        assert self.purge(store) == 1
        assert store.one_time_tokens.find("over", purpose="reset-password") is None
        assert store.one_time_tokens.find("kept", purpose="reset-password") is not None

    def test_oldest_go_first_in_batches_until_none_is_left(self, store: Store) -> None:
        for age in range(5):
            store.attempts.insert(f"attempt-{age}", [f"key-{age}"], now_ms=NOW - DAY - age)

        first = self.purge(store, batch_rows=2)
        left = [
            age
            for age in range(5)
            if store.attempts.count([f"key-{age}"], since_ms=0, until_ms=NOW)
        ]

        assert (first, left) == (2, [0, 1, 2])
        assert [self.purge(store, batch_rows=2) for _ in range(3)] == [2, 1, 0]
