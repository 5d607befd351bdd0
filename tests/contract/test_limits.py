"""How many sessions a user may have, however many sign in at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from tests.support import NOW, WAIT_SECONDS, in_parallel, make_session, make_user
from wsgi_sessions.errors import (
    SessionLimitReached,
)
from wsgi_sessions.records import EndReason
from wsgi_sessions.sessions.creation import Ended, Replaced
from wsgi_sessions.storage.store import Store

from .databases import Place, stored_session
from .stores import THREADS, create_session, end_reason, feed_ids, live_ids

HOUR_MS = 3_600_000


class TestCreation:
    def create(
        self,
        store: Store,
        session_id: str,
        *,
        user_id: str = "user-1",
        seen: int = 0,
        maximum_sessions: int | None = 2,
        replaces: str | None = None,
        elsewhere: str | None = None,
        **settings: Any,
    ) -> Ended:
        record = make_session(session_id, user_id=user_id, last_seen_at_ms=NOW + seen)
        return create_session(
            store,
            record,
            replaced=Replaced(replaces, elsewhere),
            maximum_sessions=maximum_sessions,
            **settings,
        )

    @pytest.fixture
    def two(self, store: Store) -> Store:
        store.insert_user(make_user())
        self.create(store, "older", seen=-2)
        self.create(store, "newer", seen=-1)
        return store

    def test_least_recently_seen_is_evicted(self, two: Store) -> None:
        assert self.create(two, "third") == (("older", EndReason.EVICTED),)

        assert live_ids(two) == {"newer", "third"}
        assert feed_ids(two) == ["older"]

    def test_lowered_limit_evicts_several(self, two: Store) -> None:
        self.create(two, "third", maximum_sessions=1)

        assert live_ids(two) == {"third"}

    def test_reject_changes_nothing(self, two: Store) -> None:
        two.sessions.insert(make_session("anonymous"))

        with pytest.raises(SessionLimitReached, match=r"as you may \(2\)"):
            self.create(two, "third", on_limit="reject", replaces="anonymous")

        assert live_ids(two) == {"older", "newer"}
        assert two.sessions.find("third") is None
        assert end_reason(two, "anonymous") is None

    def test_only_one_revokes_the_others(self, two: Store) -> None:
        ended = self.create(two, "third", only_one=True)

        assert set(ended) == {("older", EndReason.REVOKED), ("newer", EndReason.REVOKED)}
        assert live_ids(two) == {"third"}

    def test_none_is_no_limit(self, two: Store) -> None:
        assert self.create(two, "third", maximum_sessions=None) == ()
        assert live_ids(two) == {"older", "newer", "third"}

    def test_replaced_one_is_signed_out_and_leaves_room(self, two: Store) -> None:
        ended = self.create(two, "third", on_limit="reject", replaces="older")

        assert ended == (("older", EndReason.SIGNED_OUT),)
        assert live_ids(two) == {"newer", "third"}

    @pytest.mark.parametrize("on_limit", ["evict", "reject"])
    def test_one_that_ends_too_leaves_room(self, two: Store, on_limit: str) -> None:
        ended = self.create(two, "third", on_limit=on_limit, elsewhere="newer")

        assert ended == (("newer", EndReason.SIGNED_OUT),)
        assert live_ids(two) == {"older", "third"}
        assert feed_ids(two) == ["newer"]

    def test_one_that_ends_too_gives_no_data_away(self, two: Store) -> None:
        two.sessions.insert(make_session("refused", user_id="user-1", data='{"cart":["tea"]}'))

        self.create(two, "third", elsewhere="refused")

        assert stored_session(two, "third").data == "{}"
        assert end_reason(two, "refused") == EndReason.SIGNED_OUT

    def test_one_past_its_limits_leaves_room(self, two: Store) -> None:
        self.create(two, "third", replaces="older", seen=-HOUR_MS)

        ended = self.create(two, "fourth", on_limit="reject", idle_timeout=timedelta(minutes=30))

        assert ended == (("third", EndReason.IDLE),)
        assert live_ids(two) == {"newer", "fourth"}

    def test_data_of_a_replaced_anonymous_session_is_carried_over(self, two: Store) -> None:
        two.sessions.insert(make_session("anonymous", data='{"cart":["tea"]}'))

        self.create(two, "third", replaces="anonymous")

        assert stored_session(two, "third").data == '{"cart":["tea"]}'

    def test_data_of_a_replaced_session_stays_with_its_user(self, two: Store) -> None:
        two.insert_user(make_user("user-2", email="bob@example.org"))
        two.sessions.insert(make_session("third", user_id="user-1", data='{"cart":["tea"]}'))

        self.create(two, "fourth", replaces="third")
        self.create(two, "fifth", user_id="user-2", replaces="fourth")

        assert stored_session(two, "fourth").data == '{"cart":["tea"]}'
        assert stored_session(two, "fifth").data == "{}"

    def test_user_who_is_gone_gets_none(self, store: Store) -> None:
        store.sessions.insert(make_session("anonymous"))

        with pytest.raises(LookupError, match="no user with the id 'user-1'"):
            self.create(store, "first", replaces="anonymous")

        assert store.sessions.find("first") is None
        assert end_reason(store, "anonymous") is None

    def test_sign_in_that_waited_sees_what_it_waited_for(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Or on MariaDB its reads would be those of the instant before the wait."""
        store = place.store
        store.insert_user(make_user())
        for number in (0, 1):
            store.sessions.insert(make_session(f"anonymous-{number}"))
        both_are_here, here = threading.Barrier(2), threading.local()
        lock = store.users.lock

        def lock_together(user_id: Any) -> bool:
            # Not where the file is locked before; and once, as one of the two may begin again.
            if place.connections.dialect.is_server and not vars(here):
                here.is_known = True
                both_are_here.wait(WAIT_SECONDS)
            return lock(user_id)

        monkeypatch.setattr(store.users, "lock", lock_together)

        in_parallel(
            lambda number: self.create(
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
            lambda number: self.create(
                store, f"session-{number}", maximum_sessions=3, only_one=only_one
            ),
            THREADS,
        )

        assert len(live_ids(store)) == (1 if only_one else 3)

    def test_parallel_sign_ins_are_rejected_beyond_the_maximum(self, store: Store) -> None:
        store.insert_user(make_user())

        def sign_in(number: int) -> bool:
            try:
                self.create(store, f"session-{number}", maximum_sessions=3, on_limit="reject")
            except SessionLimitReached:
                return False
            return True

        assert in_parallel(sign_in, THREADS).count(True) == 3
        assert len(live_ids(store)) == 3
