"""The app's own data in a session: merged, never overwritten."""

from __future__ import annotations

import json

import pytest

from tests.support import NOW, in_parallel, make_session
from wsgi_sessions.records import EndReason
from wsgi_sessions.storage.store import Store

from .databases import stored_session
from .stores import THREADS


class TestMergeData:
    def test_sets_and_deletes_keys(self, store: Store) -> None:
        store.sessions.insert(make_session(data='{"a":1,"b":2}', data_version=4))

        merged = store.sessions.merge_data(
            "session-1", {"b": None, "c": "[3]", "d": None}, known=None
        )

        assert merged == ('{"a":1,"c":[3]}', 5)
        assert (stored_session(store).data, stored_session(store).data_version) == merged

    def test_known_values_are_written_without_reading(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.sessions.insert(make_session())
        monkeypatch.setattr(store, "atomically", pytest.fail)

        assert store.sessions.merge_data("session-1", {"a": "1"}, known=("{}", 0)) == ('{"a":1}', 1)

    def test_two_that_know_the_same_both_keep_their_keys(self, store: Store) -> None:
        store.sessions.insert(make_session())

        store.sessions.merge_data("session-1", {"a": "1"}, known=("{}", 0))
        merged = store.sessions.merge_data("session-1", {"b": "2"}, known=("{}", 0))

        assert merged == ('{"a":1,"b":2}', 2)

    @pytest.mark.parametrize("known", [None, ("{}", 0)])
    def test_ended_session_takes_nothing(self, store: Store, known: tuple[str, int] | None) -> None:
        store.sessions.insert(make_session())
        store.session_ends.end("session-1", reason=EndReason.REVOKED, now_ms=NOW)

        assert store.sessions.merge_data("session-1", {"a": "1"}, known=known) is None
        assert stored_session(store).data == "{}"

    def test_unknown_session_takes_nothing(self, store: Store) -> None:
        assert store.sessions.merge_data("nobody", {"a": "1"}, known=None) is None

    @pytest.mark.parametrize("known", [None, ("{}", 0)])
    def test_many_threads_lose_no_key(self, store: Store, known: tuple[str, int] | None) -> None:
        store.sessions.insert(make_session())

        in_parallel(
            lambda number: store.sessions.merge_data(
                "session-1", {str(number): "true"}, known=known
            ),
            THREADS,
        )

        stored = stored_session(store)
        assert json.loads(stored.data) == dict.fromkeys(map(str, range(THREADS)), True)
        assert stored.data_version == THREADS

    def test_text_of_every_kind_comes_back(self, store: Store) -> None:
        store.sessions.insert(make_session())
        text = "NUL \0, lone \ud800, \N{GRINNING FACE}, é, %s ? '"

        store.sessions.merge_data("session-1", {text: json.dumps(text)}, known=None)

        assert json.loads(stored_session(store).data) == {text: text}
