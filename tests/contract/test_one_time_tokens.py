"""Tokens that work once: found, used by one call alone, and used up together."""

from __future__ import annotations

from tests.support import NOW, in_parallel, make_one_time_token
from wsgi_sessions.storage.connections import Connections
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place
from .stores import THREADS

PURPOSE = "reset-password"


class TestOneTimeTokens:
    def test_is_found_as_it_was_inserted(self, store: Store) -> None:
        token = make_one_time_token(value="ada@example.org")

        assert store.one_time_tokens.insert(token)
        assert store.one_time_tokens.find("digest-1", purpose=PURPOSE) == token

    def test_is_not_found_for_another_purpose_or_digest(self, store: Store) -> None:
        store.one_time_tokens.insert(make_one_time_token())

        assert store.one_time_tokens.find("digest-1", purpose="verify-email") is None
        assert store.one_time_tokens.find("DIGEST-1", purpose=PURPOSE) is None

    def test_a_digest_is_inserted_once(self, store: Store) -> None:
        first = make_one_time_token()
        store.one_time_tokens.insert(first)

        assert not store.one_time_tokens.insert(make_one_time_token(user_id="user-2"))
        assert store.one_time_tokens.find("digest-1", purpose=PURPOSE) == first

    def test_of_two_with_one_digest_the_later_is_kept(self, store: Store) -> None:
        for at_ms in (NOW, NOW + 2, NOW + 1, NOW + 2):
            store.one_time_tokens.insert_or_renew(
                make_one_time_token()._replace(created_at_ms=at_ms, expires_at_ms=at_ms + 10)
            )

        kept = make_one_time_token()._replace(created_at_ms=NOW + 2, expires_at_ms=NOW + 12)
        assert store.one_time_tokens.find("digest-1", purpose=PURPOSE) == kept

    def test_a_second_insert_leaves_the_applications_transaction_of_use(
        self, server: Place
    ) -> None:
        """PostgreSQL takes nothing more in a transaction after a conflict."""
        server.store.one_time_tokens.insert(make_one_time_token())
        ours = Store(Connections(server.connections.database), server.models, FakeClock())

        database = server.connections.database
        with database.connection_context(), database.atomic():
            assert not ours.one_time_tokens.insert(make_one_time_token())
            assert ours.one_time_tokens.insert(make_one_time_token("digest-2"))

        assert server.store.one_time_tokens.find("digest-2", purpose=PURPOSE) is not None

    def test_of_parallel_inserts_one_is_the_first(self, place: Place) -> None:
        store = place.store

        def insert(_: int) -> bool:
            return store.one_time_tokens.insert(make_one_time_token())

        assert sum(in_parallel(insert, THREADS)) == 1

    def test_is_used_by_the_first_call_alone(self, store: Store) -> None:
        store.one_time_tokens.insert(make_one_time_token())

        tries = [
            store.one_time_tokens.use("digest-1", purpose=PURPOSE, now_ms=NOW + 1) for _ in range(2)
        ]

        found = store.one_time_tokens.find("digest-1", purpose=PURPOSE)
        assert tries == [True, False]
        assert found is not None
        assert found.used_at_ms == NOW + 1

    def test_is_not_used_from_its_end_on(self, store: Store) -> None:
        store.one_time_tokens.insert(make_one_time_token(expires_at_ms=NOW + 10))

        assert not store.one_time_tokens.use("digest-1", purpose=PURPOSE, now_ms=NOW + 10)
        assert store.one_time_tokens.use("digest-1", purpose=PURPOSE, now_ms=NOW + 9)

    def test_is_not_used_for_another_purpose(self, store: Store) -> None:
        store.one_time_tokens.insert(make_one_time_token())

        assert not store.one_time_tokens.use("digest-1", purpose="verify-email", now_ms=NOW)

    def test_all_of_a_user_and_a_purpose_are_used_up(self, store: Store) -> None:
        for digest, user_id, purpose in (
            ("mine", "user-1", PURPOSE),
            ("mine-too", "user-1", PURPOSE),
            ("other-purpose", "user-1", "verify-email"),
            ("other-user", "user-2", PURPOSE),
        ):
            store.one_time_tokens.insert(
                make_one_time_token(digest, user_id=user_id, purpose=purpose)
            )

        assert store.one_time_tokens.use_all_of("user-1", purpose=PURPOSE, now_ms=NOW) == 2
        assert not store.one_time_tokens.use("mine", purpose=PURPOSE, now_ms=NOW)
        assert store.one_time_tokens.use("other-purpose", purpose="verify-email", now_ms=NOW)
        assert store.one_time_tokens.use("other-user", purpose=PURPOSE, now_ms=NOW)

    def test_go_with_their_user(self, store: Store) -> None:
        store.one_time_tokens.insert(make_one_time_token())
        store.one_time_tokens.insert(make_one_time_token("other", user_id="user-2"))

        store.delete_user("user-1", now_ms=NOW, skew_ms=0)

        assert store.one_time_tokens.find("digest-1", purpose=PURPOSE) is None
        assert store.one_time_tokens.find("other", purpose=PURPOSE) is not None
