"""What a store reads and writes within the application's transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import NOW, WAIT_SECONDS, in_parallel, make_session, make_user
from wsgi_sessions.errors import (
    UserAlreadyExistsError,
)
from wsgi_sessions.records import EndReason
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place
from .stores import THREADS, confirm, create_session, live_ids


class TestWithinTheApplicationsTransaction:
    """MariaDB shows a transaction the rows as they were when it first read."""

    @pytest.fixture
    def ours(self, server: Place) -> Store:
        """A store over the application's own database."""
        server.store.insert_user(make_user())
        of_app = Connections(server.connections.database)
        return Store(of_app, server.models, FakeClock())

    def create(self, store: Store, session_id: str) -> None:
        create_session(store, make_session(session_id, user_id="user-1"))

    def meanwhile(self, work: Callable[[], Any]) -> None:
        """Have something happen over another connection."""
        in_parallel(lambda _: work(), 1)

    def test_sign_in_sees_who_signed_in_meanwhile(self, server: Place, ours: Store) -> None:
        with server.connections.database.atomic():
            assert ours.users.find("user-1") is not None
            self.meanwhile(lambda: self.create(server.store, "theirs"))
            self.create(ours, "ours")

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
                assert ours.users.find("user-1") is not None
                all_have_read.wait(WAIT_SECONDS)
                user_id = f"user-{number // 2 + 2}"
                create_session(ours, make_session(f"session-{number}", user_id=user_id))

        in_parallel(sign_in, THREADS)

        counts = [len(live_ids(server.store, f"user-{each + 2}")) for each in range(THREADS // 2)]
        assert counts == [1] * (THREADS // 2)

    @pytest.mark.parametrize("server", ["mariadb"], indirect=True)
    @pytest.mark.parametrize("part", ["sign-in", "sign-up"])
    def test_nobody_elses_sessions_are_locked(self, server: Place, ours: Store, part: str) -> None:
        """In a table so small that any index is as good: that of ended_at holds everybody's."""
        statement = {"sign-in": ours.sessions._lock_list, "sign-up": ours.session_ends._end_left}[
            part
        ]
        values = {"user_id": "user-1", "now": NOW, "max_count": 1, "reason": "user_deleted"}
        parameters = statement.fill(values)
        database = server.connections.database
        with database.connection_context():
            plan = database.execute_sql("EXPLAIN " + statement.sql, parameters).fetchall()

        assert [row[5] for row in plan] == ["wsgi_sessions_session_user_id_ended_at"]

    def test_sign_out_everywhere_ends_what_began_meanwhile(
        self, server: Place, ours: Store
    ) -> None:
        with server.connections.database.atomic():
            assert ours.users.find("user-1") is not None
            self.meanwhile(lambda: self.create(server.store, "theirs"))
            ended = ours.session_ends.end_all_of(
                "user-1", reason=EndReason.REVOKED, now_ms=NOW, skew_ms=0
            )

        assert ended.session_ids == ("theirs",)

    def test_session_that_changed_is_read_as_it_is(self, server: Place, ours: Store) -> None:
        judged = make_session(user_id="user-1")
        server.store.sessions.insert(judged)
        with server.connections.database.atomic():
            assert ours.sessions.find("session-1") == (judged, make_user())
            self.meanwhile(lambda: server.store.sessions.apply(judged, confirm(judged)))
            assert not ours.sessions.apply(judged, confirm(judged))

            found = ours.sessions.find("session-1", anew=True)

        assert found is not None
        assert (found[0].generation, found[1]) == (1, make_user())

    def test_session_that_is_gone_is_none(self, server: Place, ours: Store) -> None:
        with server.connections.database.atomic():
            assert ours.sessions.find("nobody", anew=True) is None

    def test_data_of_a_session_that_ended_meanwhile_is_dropped(
        self, server: Place, ours: Store
    ) -> None:
        server.store.sessions.insert(make_session())
        with server.connections.database.atomic():
            assert ours.sessions.find("session-1") is not None
            self.meanwhile(
                lambda: server.store.session_ends.end(
                    "session-1", reason=EndReason.REVOKED, now_ms=NOW
                )
            )

            assert ours.sessions.merge_data("session-1", {"a": "1"}, known=("{}", 0)) is None

    def test_address_taken_meanwhile_is_told(self, server: Place, ours: Store) -> None:
        with server.connections.database.atomic():
            assert ours.users.find("user-1") is not None
            self.meanwhile(lambda: server.store.insert_user(make_user("user-2", "bob@example.org")))

            with pytest.raises(UserAlreadyExistsError):
                ours.insert_user(make_user("user-3", "bob@example.org"))
