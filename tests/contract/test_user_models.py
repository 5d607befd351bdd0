"""A user model of the application's own, with its own columns and keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import peewee
import pytest
from playhouse.postgres_ext import DateTimeTZField

from tests.support import DAY, NOW, make_account, make_session, make_user
from wsgi_sessions.errors import (
    ConfigurationError,
    UserAlreadyExistsError,
)
from wsgi_sessions.storage.session_ends import EndedSessions
from wsgi_sessions.storage.store import Store

from .databases import Place, open_place
from .stores import create_session, end_reason, live_ids, own_user


class OwnUserMadeOf:
    """Makes a user model of the application's, bound to one database."""

    def __init__(self, key: Callable[[], peewee.Field]) -> None:
        self.key = key

    def bind(self, database: Any) -> Any:
        class Member(peewee.Model):
            key = self.key()
            mail = peewee.CharField(max_length=254, unique=True)
            display_name = peewee.CharField(max_length=100, null=True)
            created_at = peewee.DateTimeField()
            changed = peewee.DateTimeField()
            shoe_size = peewee.IntegerField(default=42)

            class Meta:
                table_name = "member"

        Member.bind(database, bind_refs=False, bind_backrefs=False)
        return Member


OWN_KEYS: dict[str, tuple[Callable[[], peewee.Field], type]] = {
    "int": (peewee.AutoField, int),
    "bigint": (peewee.BigAutoField, int),
    "UUID": (lambda: peewee.UUIDField(primary_key=True, default=uuid4), UUID),
    "text": (lambda: peewee.CharField(primary_key=True, max_length=40), str),
}
ATTRIBUTES = {"email": "mail", "name": "display_name", "updated_at": "changed", "image": None}


class TestOwnUserModel:
    @pytest.fixture(params=list(OWN_KEYS))
    def key_type(self, request: pytest.FixtureRequest, place: Place) -> type:
        make_key, key_type = OWN_KEYS[request.param]
        member = OwnUserMadeOf(make_key).bind(place.connections.database)
        place.build(user_model=member, user_attributes=ATTRIBUTES)
        return key_type

    def test_round_trip(self, place: Place, key_type: type) -> None:
        store = place.store

        user = store.insert_user(make_user(), make_account())
        account = store.accounts.find_credential(user.id)

        assert type(user.id) is key_type
        assert user == make_user(user.id)
        assert store.users.find(user.id) == user
        assert store.users.find(str(user.id)) == user
        assert account is not None
        assert (account.user_id, account.account_id) == (user.id, str(user.id))

    def test_session_names_the_user(self, place: Place, key_type: type) -> None:
        user = place.store.insert_user(make_user())
        record = make_session(user_id=user.id)
        place.store.sessions.insert(record)

        assert place.store.sessions.find("session-1") == (record, user)
        assert place.store.sessions.list_live(user.id, NOW) == [record]

    def test_anonymous_session_has_no_user(self, place: Place, key_type: type) -> None:
        place.store.sessions.insert(make_session())

        assert place.store.sessions.find("session-1") == (make_session(), None)

    def test_sign_in_password_and_deletion(self, place: Place, key_type: type) -> None:
        store = place.store
        user = store.insert_user(make_user(), make_account())
        create_session(store, make_session(user_id=user.id))

        assert store.accounts.set_password_hash(
            user.id, "hash-2", expected_hash="hash-1", now_ms=NOW
        )
        assert store.users.update(user.id, name="Lovelace", now_ms=NOW + 1000)
        changed = store.users.find(user.id)
        assert changed == user._replace(name="Lovelace", updated_at_ms=NOW + 1000)
        assert store.delete_user(user.id, now_ms=NOW, skew_ms=0) == (
            True,
            EndedSessions(("session-1",), 1),
        )
        assert end_reason(store) == "user_deleted"
        assert store.users.find(user.id) is None

    def test_email_as_it_was_typed_is_found(self, place: Place, key_type: type) -> None:
        user = place.store.insert_user(make_user(email="Ada@Example.org"))

        assert place.store.users.find_by_email("ada@example.org") == user

    def test_accent_makes_another_email(self, place: Place, key_type: type) -> None:
        place.store.insert_user(make_user(email="adéle@example.org"))

        assert place.store.users.find_by_email("adele@example.org") is None

    def test_taken_email_is_told(self, place: Place, key_type: type) -> None:
        place.store.insert_user(make_user())

        with pytest.raises(UserAlreadyExistsError):
            place.store.insert_user(make_user("user-2"))

    @pytest.mark.parametrize("user_id", ["1st", 2**70])
    def test_key_of_another_type_is_nobodys(
        self, place: Place, key_type: type, user_id: Any
    ) -> None:
        store = place.store
        store.insert_user(make_user(), make_account())

        assert store.users.find(user_id) is None

    def test_key_of_another_type_has_nothing(self, place: Place, key_type: type) -> None:
        store = place.store
        user = store.insert_user(make_user(), make_account(password_hash=None))
        store.sessions.insert(make_session(user_id=user.id))

        assert store.sessions.list_live("1st", NOW) == []
        assert store.accounts.find_credential("1st") is None
        assert not store.users.lock("1st")
        assert not store.users.update("1st", name="Eve", now_ms=NOW)
        assert not store.accounts.set_password_hash("1st", "hash", expected_hash=None, now_ms=NOW)
        assert store.delete_user("1st", now_ms=NOW, skew_ms=0) == (False, EndedSessions())
        assert store.users.find(user.id) == user

    def test_address_of_somebody_stored_as_typed_is_taken(
        self, place: Place, key_type: type
    ) -> None:
        """Or the stranger's password would open the account of whoever was there first."""
        store = place.store
        first = store.insert_user(make_user(email="Ada@Example.org"))

        with pytest.raises(UserAlreadyExistsError):
            store.insert_user(make_user("user-2"), make_account("user-2"))

        assert store.accounts.find_credential(first.id) is None
        assert store.users.find_by_email("ada@example.org") == first

    def test_each_user_gets_a_key_of_their_own(self, place: Place, key_type: type) -> None:
        store = place.store

        users = [
            store.insert_user(make_user(f"user-{each}", f"{each}@example.org")) for each in "ab"
        ]

        assert users[0].id != users[1].id
        assert [store.users.find(user.id) for user in users] == users


class TestSharedAddress:
    @pytest.fixture
    def two(self, place: Place) -> Store:
        member = own_user(place, email=peewee.CharField(max_length=254))
        for number, email in enumerate(("Ada@Example.org", "ada@example.org"), start=1):
            insert = member.insert(id=number, email=email)
            place.connections.run(insert.execute)
        return place.store

    def test_is_nobodys_who_signs_in(self, two: Store) -> None:
        for user_id in (1, 2):
            two.accounts.insert(make_account(user_id), now_ms=NOW)

        assert two.users.find_by_email("ada@example.org") is None
        assert two.accounts.find_credential_by_email("ada@example.org") is None

    def test_is_taken(self, two: Store) -> None:
        with pytest.raises(UserAlreadyExistsError):
            two.insert_user(make_user(), make_account())

        assert [two.accounts.find_credential(user_id) for user_id in (1, 2, 3)] == [None] * 3
        assert two.users.find(3) is None


class TestModelThatAsksForMore:
    def test_column_without_a_default_is_named(self, place: Place) -> None:
        own_user(place, country=peewee.CharField(max_length=2))

        with pytest.raises(ConfigurationError, match="Member refused a new user: .*country"):
            place.store.insert_user(make_user(), make_account())

    def test_value_of_another_unique_column_is_not_called_the_address(self, place: Place) -> None:
        own_user(place, name=peewee.CharField(max_length=99, unique=True))
        place.store.insert_user(make_user())

        with pytest.raises(ConfigurationError, match="Member refused a new user: ") as caught:
            place.store.insert_user(make_user("user-2", "bob@example.org"))

        assert "name" in str(caught.value)
        assert "Ada" not in str(caught.value), "no value is shown"

    def test_key_that_nobody_makes_is_told(self, place: Place) -> None:
        own_user(place, id=peewee.UUIDField(primary_key=True))

        with pytest.raises(ConfigurationError, match=r"\bid\b"):
            place.store.insert_user(make_user())

    def test_key_can_be_the_address(self, place: Place) -> None:
        own_user(place, email=peewee.CharField(primary_key=True, max_length=254))

        user = place.store.insert_user(make_user(), make_account())

        assert user.id == "ada@example.org"
        assert place.store.accounts.find_credential_by_email("ada@example.org") is not None


INSTANT_FIELDS: dict[str, Callable[[], Any]] = {
    "milliseconds": peewee.BigIntegerField,
    "seconds": peewee.TimestampField,
    "UTC microseconds": lambda: peewee.TimestampField(resolution=6, utc=True),
    "datetime": peewee.DateTimeField,
    "date": peewee.DateField,
}


class TestInstantsOfAnOwnModel:
    @pytest.mark.parametrize("kind", INSTANT_FIELDS)
    def test_come_back_as_they_were(self, place: Place, kind: str) -> None:
        make_field = INSTANT_FIELDS[kind]
        member = own_user(place, created_at=make_field(), updated_at=make_field())

        user = place.store.insert_user(make_user())

        whole_ms = DAY if kind == "date" else 1000
        assert place.store.users.find(user.id) == user._replace(
            name=None, created_at_ms=NOW - NOW % whole_ms, updated_at_ms=NOW - NOW % whole_ms
        )
        stored = place.connections.read_row(*member.select(member.created_at).sql())
        if kind == "seconds":
            assert stored == (NOW // 1000,)

    def test_with_a_zone_come_back_as_they_were(self, tmp_path: Path) -> None:
        with open_place("postgres", tmp_path) as place:
            own_user(place, created_at=DateTimeTZField())
            place.store.create_tables()
            place.connections.write("SET TIME ZONE 'Asia/Tokyo'", ())

            user = place.store.insert_user(make_user())

            found = place.store.users.find(user.id)
            assert found is not None
            assert found.created_at_ms == NOW


class TestIdGivenOutAgain:
    """SQLite gives the highest id of a table anew; an application may delete users by itself."""

    HOUR = DAY // 24

    @pytest.mark.parametrize(
        ("make_field", "slack_ms"),
        [(peewee.BigIntegerField, 2 * HOUR), (peewee.DateTimeField, 16 * HOUR)],
        ids=["epoch", "no zone"],
    )
    def test_session_of_the_one_before_has_no_user(
        self, place: Place, make_field: Callable[[], Any], slack_ms: int
    ) -> None:
        own_user(place, created_at=make_field())
        user = place.store.insert_user(make_user())
        for session_id, began_ms in (("before", slack_ms + 1000), ("own", slack_ms)):
            place.store.sessions.insert(
                make_session(session_id, user_id=user.id, authenticated_at_ms=NOW - began_ms)
            )

        found = {each: place.store.sessions.find(each) for each in ("before", "own")}

        assert found["before"] is not None
        assert found["own"] is not None
        assert (found["before"][1], found["own"][1]) == (
            None,
            user._replace(name=None, updated_at_ms=0),
        )

    def test_new_user_starts_with_nothing(self, place: Place) -> None:
        member = own_user(place, id=peewee.CharField(primary_key=True, max_length=40))
        store = place.store
        social = make_account()._replace(id="account-2", provider_id="corp", account_id="sub-1")
        store.insert_user(make_user(), make_account(password_hash="old"))
        store.accounts.insert(social, now_ms=NOW)
        store.sessions.insert(make_session(user_id="user-1"))
        place.connections.run(lambda: member.delete().execute())

        store.insert_user(make_user(email="eve@example.org"), make_account(password_hash="new"))

        assert store.accounts.find_credential("user-1") == make_account(password_hash="new")
        assert store.accounts.find_user("corp", "sub-1") is None
        assert end_reason(store) == "user_deleted"
        assert live_ids(store) == set()

    def test_social_account_of_one_who_is_gone_is_free_again(self, place: Place) -> None:
        member = own_user(place, id=peewee.CharField(primary_key=True, max_length=40))
        social = make_account()._replace(provider_id="corp", account_id="sub-1")
        place.store.insert_user(make_user(), social)
        place.connections.run(lambda: member.delete().execute())

        again = place.store.insert_user(
            make_user("user-2"), social._replace(id="account-2", user_id="user-2")
        )

        assert place.store.accounts.find_user("corp", "sub-1") == again._replace(
            name=None, email_verified=False, created_at_ms=0, updated_at_ms=0
        )
