"""A key that is not exactly the stored one is nobody's, whatever the database takes for equal."""

from __future__ import annotations

from typing import Any

import peewee
import pytest

from tests.support import NOW, make_account, make_session, make_user
from wsgi_sessions import SessionManager
from wsgi_sessions.records import Account

from .databases import Place, stored_session, wait_for_nodes
from .test_own_users import FIRST, SECRET, own_user

WRONG = ["Bob", "BOB", "bob ", "bob  ", " bob", "bób", "bob\t"]


def folding_key(place: Place) -> Any:
    """Return a key by which the database itself finds "bob" for "Bob", where it can."""
    collation = None
    if not place.connections.dialect.is_server:
        collation = "NOCASE"
    elif place.kind == "mariadb":
        collation = "utf8mb4_general_ci"
    return peewee.CharField(primary_key=True, max_length=40, collation=collation)


@pytest.fixture
def member(place: Place) -> Any:
    member = own_user(place, id=folding_key(place), name=peewee.CharField(default=""))
    place.store.insert_user(make_user("bob"), make_account("bob"))
    place.store.sessions.insert(make_session(FIRST, user_id="bob"))
    return member


@pytest.fixture
def manager(place: Place, member: Any) -> SessionManager:
    return SessionManager(place.connections.database, secret=SECRET, user_model=member)


class TestTextKey:
    @pytest.mark.parametrize("wrong", WRONG)
    def test_of_another_spelling_signs_in_and_ends_nobody(
        self, place: Place, manager: SessionManager, wrong: str
    ) -> None:
        store = place.store

        with pytest.raises(LookupError):
            manager.sign_in(wrong)
        with pytest.raises(LookupError):
            manager.update_user(wrong, name="Mallory")
        assert manager.list_sessions(wrong) == []
        assert manager.revoke_all_sessions(wrong) == 0
        assert not manager.revoke_session(FIRST, user_id=wrong)
        assert not manager.delete_user(wrong)
        assert store.users.find(wrong) is None
        assert not store.users.lock(wrong)
        assert store.accounts.find_credential(wrong) is None
        assert not store.accounts.set_password_hash(
            wrong, "new", expected_hash="hash-1", now_ms=NOW
        )
        assert not store.accounts.link(Account("a", wrong, "google", "7", None), now_ms=NOW)

        user = store.users.find("bob")
        assert user is not None
        assert (user.id, user.name) == ("bob", "Ada")
        assert store.sessions.find(FIRST) == (make_session(FIRST, user_id="bob"), user)
        credential = store.accounts.find_credential("bob")
        assert credential is not None
        assert credential.password_hash == "hash-1"

    def test_as_it_is_stored_is_the_users(self, place: Place, manager: SessionManager) -> None:
        assert manager.sign_in("bob").user.id == "bob"
        assert len(manager.list_sessions("bob")) == 2
        assert manager.update_user("bob", name="Bob").name == "Bob"
        assert manager.revoke_all_sessions("bob") == 2
        assert manager.delete_user("bob")
        wait_for_nodes()
        assert place.store.users.find("bob") is None
        assert place.store.accounts.find_credential("bob") is None

    @pytest.mark.parametrize("other", ["Bob", "bob "])
    def test_of_who_came_later_opens_nothing_of_who_is_gone(
        self, place: Place, member: Any, other: str
    ) -> None:
        """The application deletes one user and makes the other, past the library."""
        store = place.store
        account = Account("a", "bob", "google", "7", None)
        store.accounts.insert(account, now_ms=NOW)
        place.connections.run(member.delete().execute)
        insert = member.insert(id=other, email="bob@example.org")
        place.connections.run(insert.execute)

        found = store.sessions.find(FIRST)

        assert found is not None
        assert found[1] is None
        assert store.accounts.find_credential_by_email("bob@example.org") is None
        assert store.accounts.find_user("google", "7") is None
        # What is nobody's any more keeps no place.
        theirs = account._replace(id="b", user_id=other)
        assert store.accounts.link(theirs, now_ms=NOW)
        user = store.accounts.find_user("google", "7")
        assert user is not None
        assert user.id == other

    @pytest.mark.parametrize("tail", [" ", "\t", "\0"])
    def test_of_ours_with_something_behind_it_is_nobodys(self, place: Place, tail: str) -> None:
        place.store.insert_user(make_user("user-1"), make_account("user-1"))
        place.store.sessions.insert(make_session(FIRST, user_id="user-1"))
        manager = SessionManager(place.connections.database, secret=SECRET)

        if tail != "\0":
            assert not manager.delete_user("user-1" + tail)
            assert manager.revoke_all_sessions("user-1" + tail) == 0
            assert manager.list_sessions("user-1" + tail) == []
        with pytest.raises(LookupError):
            manager.sign_in("user-1" + tail)

        assert stored_session(place.store, FIRST).ended_at_ms is None
        assert manager.delete_user("user-1")


@pytest.mark.parametrize("wrong", ["1 ", "+1", "01", "1_0", "\uff11", True, 1.5, float("inf")])
def test_number_that_is_only_read_as_the_key_is_nobodys(place: Place, wrong: Any) -> None:
    member = own_user(place)
    rows = [{"id": number, "email": f"{number}@example.org"} for number in range(1, 11)]
    place.connections.run(member.insert_many(rows).execute)
    place.store.sessions.insert(make_session(FIRST, user_id=1))

    assert place.store.users.find(wrong) is None
    assert place.store.sessions.list_live(wrong, NOW) == []
    assert not place.store.delete_user(wrong, now_ms=NOW, skew_ms=0)[0]
    assert stored_session(place.store, FIRST).ended_at_ms is None
    assert place.store.users.find("1") == place.store.users.find(1.0) is not None
