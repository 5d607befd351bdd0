"""Failed attempts, counted since an instant."""

from __future__ import annotations

from tests.support import NOW
from wsgi_sessions.storage.store import Store


class TestAttempts:
    def test_counts_those_after_an_instant_and_tells_the_first(self, store: Store) -> None:
        for at_ms in (NOW, NOW + 1, NOW + 2, NOW + 3):
            store.attempts.insert("key", at_ms)
        store.attempts.insert("KEY", NOW + 2)

        assert store.attempts.count("key", NOW, until_ms=NOW + 2) == (2, NOW + 1)

    def test_none_is_zero(self, store: Store) -> None:
        assert store.attempts.count("key", NOW, until_ms=NOW + 2) == (0, None)
