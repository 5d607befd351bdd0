"""User models of applications as they come: their instants, keys and spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import peewee
import pytest

from tests.support import DAY, NOW, ShiftedClock, make_session, make_user
from wsgi_sessions import SessionManager
from wsgi_sessions.clock import SystemClock, datetime_from_ms
from wsgi_sessions.errors import ConfigurationError
from wsgi_sessions.records import Account
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place, stored_session

SECRET = "s0123456789abcdef" * 2
FIRST, SECOND = "f" * 24, "s" * 24


def own_user(place: Place, **columns: Any) -> Any:
    meta = type("Meta", (), {"table_name": "member", "database": place.connections.database})
    columns = {"email": peewee.CharField(max_length=254, unique=True), **columns}
    member = type("Member", (peewee.Model,), {"Meta": meta, **columns})
    place.build(user_model=member)
    return member


class TestInstants:
    @pytest.mark.parametrize(
        ("make_field", "stored"),
        [
            (peewee.BigIntegerField, NOW * 1000 + 7),
            (peewee.BigIntegerField, NOW * 1_000_000),
            (peewee.BigIntegerField, NOW // 1000),
            (peewee.IntegerField, NOW // 1000),
            (peewee.DoubleField, NOW / 1000),
            (lambda: peewee.DecimalField(20, 6), NOW / 1000),
            (lambda: peewee.CharField(max_length=40), "2027-01-15T08:00:00Z"),
            (lambda: peewee.CharField(max_length=40), str(NOW / 1000)),
        ],
        ids=["us", "ns", "s", "int s", "double s", "decimal s", "ISO", "text s"],
    )
    def test_of_any_unit_are_read(
        self, place: Place, make_field: Callable[[], Any], stored: Any
    ) -> None:
        member = own_user(place, created_at=make_field(), updated_at=make_field())
        insert = member.insert(id=1, email="ada@example.org", created_at=stored, updated_at=stored)
        place.connections.run(insert.execute)
        place.store.sessions.insert(make_session(user_id=1))

        found = place.store.sessions.find("session-1")

        assert found is not None
        assert found[1] is not None, "taken for a user who came later"
        assert found[1].created_at_ms == NOW

    @pytest.mark.parametrize("stored", [-1, 0, 2**63 - 1])
    def test_that_are_none_sign_nobody_out(self, place: Place, stored: int) -> None:
        member = own_user(place, created_at=peewee.BigIntegerField())
        insert = member.insert(id=1, email="ada@example.org", created_at=stored)
        place.connections.run(insert.execute)

        user = place.store.users.find(1)

        assert user is not None
        assert 0 <= user.created_at_ms < 5139 * 366 * DAY

    @pytest.mark.parametrize(
        "make_field",
        [
            peewee.IntegerField,
            peewee.DoubleField,
            lambda: peewee.DecimalField(20, 6),
            lambda: peewee.CharField(max_length=40),
        ],
        ids=["int", "double", "decimal", "text"],
    )
    def test_come_back_as_they_were_written(
        self, place: Place, make_field: Callable[[], Any]
    ) -> None:
        own_user(place, created_at=make_field())

        user = place.store.insert_user(make_user())

        found = place.store.users.find(user.id)
        assert found is not None
        assert found.created_at_ms == NOW


class TestForeignKeyAsKey:
    @pytest.fixture(params=["auto", "uuid", "text"])
    def people(self, place: Place, request: pytest.FixtureRequest) -> Any:
        key: Any = {
            "auto": peewee.AutoField,
            "uuid": lambda: peewee.UUIDField(primary_key=True, default=uuid4),
            "text": lambda: peewee.CharField(
                primary_key=True, max_length=32, default=lambda: uuid4().hex
            ),
        }[request.param]

        class Person(peewee.Model):
            id = key()

            class Meta:
                database = place.connections.database

        class Member(peewee.Model):
            person = peewee.ForeignKeyField(Person, primary_key=True)
            email = peewee.CharField(max_length=200)

            class Meta:
                database = place.connections.database

        place.connections.first_use.work = None
        place.connections.run(Person.create_table)
        place.build(user_model=Member)

        def make() -> None:
            Member.create(person=Person.create(), email="Ada@Example.org")

        place.connections.run(make)
        return Member

    def test_session_is_found_with_its_user(self, place: Place, people: Any) -> None:
        user = place.store.users.find_by_email("ada@example.org")
        assert user is not None
        place.store.sessions.insert(make_session(user_id=user.id))
        place.store.accounts.insert(Account("a", user.id, "credential", "x", "hash"), now_ms=NOW)

        assert place.store.sessions.find("session-1") == (make_session(user_id=user.id), user)
        assert place.store.users.find(user.id) == user == place.store.users.find(str(user.id))
        assert place.store.sessions.list_live(str(user.id), NOW) == [make_session(user_id=user.id)]
        credential = place.store.accounts.find_credential(user.id)
        assert credential is not None
        assert credential.user_id == user.id
        assert place.store.users.find("nobody") is None
        assert place.store.delete_user(user.id, now_ms=NOW, skew_ms=0)[0]

    def test_sign_up_says_what_it_can_not(self, place: Place, people: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"the key person of Member is another row's"):
            place.store.insert_user(make_user(email="bob@example.org"))


class TestSpelling:
    @pytest.fixture
    def members(self, place: Place) -> Any:
        member = own_user(place)
        for email in ("ÄDA_ß@Example.org", "XDAxß@example.org", "émile@example.org"):
            insert = member.insert(email=email)
            place.connections.run(insert.execute)
        return member

    @pytest.mark.parametrize("email", ["äda_ß@example.org", "ÄDA_ß@EXAMPLE.ORG"])
    def test_letters_beyond_ascii_are_folded(self, place: Place, members: Any, email: str) -> None:
        user = place.store.users.find_by_email(email)

        assert user is not None
        assert user.email == "ÄDA_ß@Example.org"
        place.store.accounts.insert(Account("a", user.id, "credential", "x", "hash"), now_ms=NOW)
        found = place.store.accounts.find_credential_by_email(email)
        assert found is not None
        assert found[0] == user

    @pytest.mark.parametrize("email", ["öda_ß@example.org", "%ß@example.org", "emile@example.org"])
    def test_others_are_nobody(self, place: Place, members: Any, email: str) -> None:
        assert place.store.users.find_by_email(email) is None


@pytest.mark.parametrize("kind", ["auto", "uuid", "text"])
def test_ids_as_text_from_a_url_mean_the_same_user(place: Place, kind: str) -> None:
    key: Any = {
        "auto": peewee.AutoField(),
        "uuid": peewee.UUIDField(primary_key=True, default=uuid4),
        "text": peewee.CharField(primary_key=True, max_length=64),
    }[kind]
    member = own_user(place, id=key)
    user = place.store.insert_user(make_user())
    for session_id in (FIRST, SECOND):
        place.store.sessions.insert(make_session(session_id, user_id=user.id))
    manager = SessionManager(place.connections.database, secret=SECRET, user_model=member)

    assert not manager.revoke_session(FIRST, user_id="nobody")
    assert not manager.revoke_session(FIRST, user_id=f"{user.id}0")
    assert manager.revoke_session(FIRST, user_id=str(user.id))
    assert manager.revoke_session(SECOND, user_id=user.id)
    assert stored_session(place.store, FIRST).end_reason == "revoked"


class TestMadeByAClockThatWasAhead:
    """A user with ``created_at`` of next month, when this month's clocks are right again."""

    @pytest.fixture
    def member(self, place: Place) -> Any:
        member = own_user(place, created_at=peewee.BigIntegerField())
        insert = member.insert(id=1, email="ada@example.org", created_at=NOW + 30 * DAY)
        place.connections.run(insert.execute)
        return member

    def test_signs_in_and_stays(self, place: Place, member: Any) -> None:
        clock = FakeClock(datetime_from_ms(NOW))
        manager = SessionManager(
            place.connections.database, secret=SECRET, user_model=member, clock=clock
        )
        made = manager.sign_in(1)
        assert made.session is not None
        assert manager.is_live(made.session.id)

    def test_has_not_the_sessions_of_the_one_before(self, place: Place, member: Any) -> None:
        clock = FakeClock(datetime_from_ms(NOW + 30 * DAY))
        store = Store(place.connections, place.models, clock)
        store.sessions.insert(make_session(FIRST, user_id=1))
        found = store.sessions.find(FIRST)
        assert found is not None
        assert found[1] is None


def test_whether_a_user_came_later_is_told_by_the_clock_of_the_server(server: Place) -> None:
    member = own_user(server, created_at=peewee.BigIntegerField())
    now_ms = SystemClock().now_ms()
    insert = member.insert(id=1, email="ada@example.org", created_at=now_ms - DAY)
    server.connections.run(insert.execute)
    store = Store(server.connections, server.models, ShiftedClock(-5 * DAY))
    store.sessions.insert(make_session(FIRST, user_id=1, authenticated_at_ms=now_ms - 2 * DAY))

    found = store.sessions.find(FIRST)
    assert found is not None
    assert found[1] is None


def test_account_of_a_user_who_is_gone_is_not_linked(place: Place) -> None:
    place.store.insert_user(make_user())
    place.store.delete_user("user-1", now_ms=NOW, skew_ms=0)

    assert not place.store.accounts.link(Account("a", "user-1", "google", "7", None), now_ms=NOW)

    place.store.insert_user(make_user())
    assert place.store.accounts.link(Account("a", "user-1", "google", "7", None), now_ms=NOW)
