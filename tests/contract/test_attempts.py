"""Failed attempts, counted since an instant."""

from __future__ import annotations

from wsgi_sessions.storage.store import Store

from .databases import (
    NOW,
)


class TestAttempts:
    def test_counts_those_after_an_instant_and_tells_the_first(self, store: Store) -> None:
        for at_ms in (NOW, NOW + 1, NOW + 2, NOW + 3):
            store.insert_attempt("key", at_ms)
        store.insert_attempt("KEY", NOW + 2)

        assert store.count_attempts("key", NOW, until_ms=NOW + 2) == (2, NOW + 1)

    def test_none_is_zero(self, store: Store) -> None:
        assert store.count_attempts("key", NOW, until_ms=NOW + 2) == (0, None)
