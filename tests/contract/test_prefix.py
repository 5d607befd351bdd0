"""Two sets of tables in one database: neither sees a row nor an index of the other."""

from __future__ import annotations

from tests.support import NOW, make_account, make_session, make_user
from wsgi_sessions.storage.models import build_models
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place, stored_session


def test_the_same_ids_under_another_prefix_are_other_people(place: Place) -> None:
    ours = place.store
    ours.create_tables()
    theirs = place.build(table_prefix="staff_")
    theirs.create_tables()
    ours.insert_user(make_user(), make_account())
    ours.sessions.insert(make_session(user_id="user-1"))
    theirs.insert_user(make_user(email="bob@example.org"), make_account(password_hash="other"))
    theirs.sessions.insert(make_session(user_id="user-1", generation=7))

    theirs.delete_user("user-1", now_ms=NOW, skew_ms=0)

    assert ours.accounts.find_credential("user-1") == make_account()
    assert stored_session(ours).ended_at_ms is None
    assert ours.revocations.find(0).rows == []


def test_each_prefix_has_every_index(place: Place) -> None:
    expected = {
        *["account_provider_id_account_id", "account_user_id", "attempt_created_at"],
        *["attempt_key_created_at", "revocation_created_at", "session_ended_at"],
        *["session_expires_at", "session_user_id_ended_at", "user_email"],
    }
    for prefix in ("session_", "Session", "x" * 32):
        place.build(table_prefix=prefix).create_tables()
        found: set[str] = set()

        def read(found: set[str] = found) -> None:
            for model in place.models.created_here:
                table = model._meta.table_name
                found |= {index.name for index in place.connections.database.get_indexes(table)}

        place.connections.run(read)

        assert {f"{prefix}{name}" for name in expected} <= found


def test_tables_of_the_application_are_left_alone(place: Place) -> None:
    quote = place.connections.database.quote[0]
    for table in ("user", "session", "account", "meta"):
        place.connections.write(f"CREATE TABLE {quote}{table}{quote} (theirs INTEGER)", ())

    store = Store(place.connections, build_models(place.connections.database), FakeClock())
    store.create_tables()
    store.insert_user(make_user())

    assert store.users.find("user-1") == make_user()
