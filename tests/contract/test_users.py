"""Users, their accounts and their password hashes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import NOW, in_parallel, make_account, make_session, make_user
from wsgi_sessions.errors import (
    InvalidValueError,
    StoreUnavailableError,
    UserAlreadyExistsError,
)
from wsgi_sessions.records import Account
from wsgi_sessions.storage.session_ends import EndedSessions
from wsgi_sessions.storage.statements import Statement
from wsgi_sessions.storage.store import Store

from .databases import Place
from .stores import THREADS, end_reason, feed_ids, watch


class TestUsers:
    def test_what_was_inserted_is_found(self, store: Store) -> None:
        user = make_user()._replace(
            name="Žofie \N{GRINNING FACE}", image="https://example.org/a.png", email_verified=True
        )

        assert store.insert_user(user, make_account()) == user
        assert store.users.find("user-1") == user
        assert store.users.find_by_email("ada@example.org") == user
        assert store.accounts.find_credential("user-1") == make_account()
        assert store.accounts.find_credential_by_email("ada@example.org") == (user, make_account())

    def test_new_tables_hold_nobody(self, place: Place) -> None:
        place.store.create_tables()

        for model in (place.models.user, place.models.account):
            sql = f"SELECT COUNT(*) FROM {model._meta.table_name}"
            assert place.connections.read_row(sql, ()) == (0,)

    def test_nobody_is_none(self, store: Store) -> None:
        assert store.users.find("nobody") is None
        assert store.users.find_by_email("nobody@example.org") is None
        assert store.accounts.find_credential("nobody") is None
        assert store.accounts.find_credential_by_email("nobody@example.org") is None

    @pytest.mark.parametrize("email", ["ada@example.org", "nobody@example.org"])
    def test_password_is_found_by_one_statement_whoever_it_is(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, email: str
    ) -> None:
        """Or the time would tell which addresses are known."""
        if place.kind == "sqlite-memory":
            return  # its one connection can't be opened anew, and is the file's otherwise
        place.store.insert_user(make_user(), make_account())
        place.connections.close()
        sent = watch(place, monkeypatch)
        place.connections.read_row("SELECT 1", ())
        sent.clear()

        place.store.accounts.find_credential_by_email(email)

        assert len(sent) == 1, sent

    def test_user_without_password_has_no_credential(self, store: Store) -> None:
        store.insert_user(make_user())

        assert store.accounts.find_credential_by_email("ada@example.org") is None

    def test_taken_email_adds_nothing(self, store: Store) -> None:
        store.insert_user(make_user(), make_account())

        with pytest.raises(UserAlreadyExistsError):
            store.insert_user(make_user("user-2"), make_account("user-2"))

        assert store.users.find("user-2") is None
        assert store.accounts.find_credential("user-2") is None

    def test_taken_account_takes_the_user_back(self, store: Store) -> None:
        social = make_account()._replace(provider_id="github", account_id="42")
        store.insert_user(make_user(), social)

        with pytest.raises(UserAlreadyExistsError):
            store.insert_user(
                make_user("user-2", "bob@example.org"),
                social._replace(id="account-2", user_id="user-2"),
            )

        assert store.users.find("user-2") is None

    def test_a_user_is_found_by_the_account_alone(self, store: Store) -> None:
        social = make_account()._replace(id="account-2", provider_id="corp", account_id="Sub-1")
        store.insert_user(make_user(), make_account())

        assert store.accounts.find_user("corp", "Sub-1") is None
        assert store.accounts.link(social, now_ms=NOW)

        assert store.accounts.find_user("corp", "Sub-1") == make_user()
        for provider_id, account_id in (("corp", "sub-1"), ("Corp", "Sub-1"), ("x", "Sub-1")):
            assert store.accounts.find_user(provider_id, account_id) is None
        # Collations of MySQL and MariaDB pass over spaces at the end.
        for provider_id, account_id in (("corp", "Sub-1 "), ("corp ", "Sub-1")):
            assert store.accounts.find_user(provider_id, account_id) is None

    def test_an_address_whose_owner_is_deleted_meanwhile_is_free(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the conflict and the look at who has it."""
        store.insert_user(make_user(), make_account())
        is_taken = store._is_taken

        def delete_first(*args: Any) -> bool:
            store.delete_user("user-1", now_ms=NOW, skew_ms=0)
            return is_taken(*args)

        monkeypatch.setattr(store, "_is_taken", delete_first)

        assert store.insert_user(make_user("user-2"), make_account("user-2")).id == "user-2"

    def test_an_account_is_linked_once(self, store: Store) -> None:
        social = make_account()._replace(id="account-2", provider_id="corp", account_id="sub-1")
        store.insert_user(make_user())
        store.insert_user(make_user("user-2", "bob@example.org"))

        assert store.accounts.link(social, now_ms=NOW)
        assert not store.accounts.link(
            social._replace(id="account-3", user_id="user-2"), now_ms=NOW
        )

        assert store.accounts.find_user("corp", "sub-1") == make_user()

    def test_parallel_sign_ups_make_one_user(self, store: Store) -> None:
        def sign_up(number: int) -> bool:
            try:
                store.insert_user(make_user(f"user-{number}"), make_account(f"user-{number}"))
            except UserAlreadyExistsError:
                return False
            return True

        assert in_parallel(sign_up, THREADS).count(True) == 1

    def test_emails_are_told_apart_by_accent_and_case(self, store: Store) -> None:
        store.insert_user(make_user("é", "adéle@example.org"))
        store.insert_user(make_user("e", "adele@example.org"))
        store.insert_user(make_user("E", "Adele@example.org"))

        found = store.users.find_by_email("adele@example.org")

        assert found is not None and found.id == "e"

    @pytest.mark.parametrize("email", ["a\0b@example.org", "a\ud800b@example.org"])
    def test_hostile_email_finds_nobody_and_breaks_nothing(self, store: Store, email: str) -> None:
        try:
            found = store.users.find_by_email(email)
        except InvalidValueError:
            found = None

        assert found is None
        assert store.users.find("nobody") is None

    def test_update_changes_what_is_given(self, store: Store) -> None:
        store.insert_user(make_user())

        assert store.users.update("user-1", name="Lovelace", now_ms=NOW + 1)
        assert store.users.update("user-1", image="a.png", now_ms=NOW + 2)

        assert store.users.find("user-1") == make_user()._replace(
            name="Lovelace", image="a.png", updated_at_ms=NOW + 2
        )

    def test_update_to_the_same_values_finds_the_user(self, store: Store) -> None:
        store.insert_user(make_user())

        assert store.users.update("user-1", name="Ada", now_ms=NOW)

    def test_update_of_nobody_is_false(self, store: Store) -> None:
        assert not store.users.update("nobody", name="Ada", now_ms=NOW)

    def test_too_long_a_name_is_the_clients_fault(self, server: Place) -> None:
        with pytest.raises(InvalidValueError):
            server.store.insert_user(make_user()._replace(name="x" * 256))

    def test_delete_takes_accounts_and_ends_sessions(self, store: Store) -> None:
        store.insert_user(make_user(), make_account())
        store.sessions.insert(make_session(user_id="user-1"))

        assert store.delete_user("user-1", now_ms=NOW, skew_ms=0) == (
            True,
            EndedSessions(("session-1",), 1),
        )

        assert store.users.find("user-1") is None
        assert store.accounts.find_credential("user-1") is None
        assert end_reason(store) == "user_deleted"
        assert feed_ids(store) == ["session-1"]

    def test_delete_is_all_or_nothing(self, store: Store) -> None:
        store.insert_user(make_user(), make_account())
        store.sessions.insert(make_session(user_id="user-1"))
        store.users.__dict__["_delete"] = Statement("DELETE FROM no_such_table", ())

        with pytest.raises(StoreUnavailableError):
            store.delete_user("user-1", now_ms=NOW, skew_ms=0)

        assert store.accounts.find_credential("user-1") == make_account()
        assert end_reason(store) is None

    def test_delete_of_nobody_is_false(self, store: Store) -> None:
        assert store.delete_user("nobody", now_ms=NOW, skew_ms=0) == (False, EndedSessions())


def test_providers_of_a_user_are_unlinked_and_the_password_stays(store: Store) -> None:
    for user_id in ("user-1", "user-2"):
        store.insert_user(make_user(user_id, f"{user_id}@example.org"), make_account(user_id))
        at_provider = Account(f"corp-{user_id}", user_id, "corp", f"sub-{user_id}", None)
        assert store.accounts.link(at_provider, now_ms=NOW)

    for _ in range(2):
        store.accounts.unlink_providers("user-1")

    assert store.accounts.find_user("corp", "sub-user-1") is None
    assert store.accounts.find_credential("user-1") == make_account("user-1")
    assert store.accounts.find_user("corp", "sub-user-2") is not None


class TestPassword:
    @pytest.mark.parametrize("first", ["hash-1", None])
    def test_hash_is_replaced_if_it_is_the_expected_one(
        self, store: Store, first: str | None
    ) -> None:
        store.insert_user(make_user(), make_account(password_hash=first))

        assert store.accounts.set_password_hash("user-1", "hash-2", expected_hash=first, now_ms=NOW)
        assert not store.accounts.set_password_hash(
            "user-1", "hash-3", expected_hash=first, now_ms=NOW
        )

        assert store.accounts.find_credential("user-1") == make_account(password_hash="hash-2")

    @pytest.mark.parametrize("first", ["hash-1", None])
    def test_new_password_counts_though_a_sign_in_replaces_the_hash_of_the_one_before(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, first: str | None
    ) -> None:
        accounts = store.accounts
        store.insert_user(make_user(), make_account(password_hash=first))
        find = accounts.find_credential

        def find_before_a_sign_in(user_id: Any, **options: Any) -> Any:
            """Return what is there, and have another transaction replace it at once."""
            found = find(user_id, **options)
            accounts.set_password_hash(user_id, "hash-1b", expected_hash=first, now_ms=NOW)
            return found

        monkeypatch.setattr(accounts, "find_credential", find_before_a_sign_in)
        new = make_account(password_hash="hash-2")
        store.atomically(lambda: store.set_password("user-1", new, now_ms=NOW))

        assert find("user-1") == new
        assert not accounts.set_password_hash("user-1", "hash-1c", expected_hash=first, now_ms=NOW)

    def test_who_has_no_password_gets_one(self, store: Store) -> None:
        store.insert_user(make_user())
        store.atomically(lambda: store.set_password("user-1", make_account(), now_ms=NOW))

        assert store.accounts.find_credential("user-1") == make_account()

    def test_hash_of_another_user_stays(self, store: Store) -> None:
        for user_id in ("user-1", "user-2"):
            store.insert_user(
                make_user(user_id, f"{user_id}@example.org"), make_account(user_id, "same")
            )

        store.accounts.set_password_hash("user-1", "other", expected_hash="same", now_ms=NOW)

        assert store.accounts.find_credential("user-2") == make_account("user-2", "same")

    def test_hash_is_compared_by_case(self, store: Store) -> None:
        store.insert_user(make_user(), make_account(password_hash="HASH"))

        assert not store.accounts.set_password_hash(
            "user-1", "new", expected_hash="hash", now_ms=NOW
        )
