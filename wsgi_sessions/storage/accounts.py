"""How users sign in: every statement about their accounts."""

from __future__ import annotations

from typing import Any

from peewee import JOIN

from ..records import Account, UserRecord
from .driver_errors import IntegrityConflict
from .models import Models
from .runner import Runner
from .statements import Statement, computed_once, records_of, slot
from .user_columns import EmailSearch, UserColumns, has_email
from .users import UserStore

CREDENTIAL = "credential"
"""The provider of an account that has a password."""


class AccountStore:
    """The accounts of one database: each is one way for a user to sign in."""

    def __init__(
        self, runner: Runner, models: Models, columns: UserColumns, users: UserStore
    ) -> None:
        self._runner = runner
        self._user = models.user
        self._account = models.account
        self._columns = columns
        self._users = users
        self._selected = [getattr(models.account, name) for name in Account._fields]

    def insert(self, account: Account, *, now_ms: int) -> None:
        """Add one way for a user to sign in."""
        named = {"provider_id": account.provider_id, "account_id": account.account_id}
        if self._columns.has_own_model:
            orphan = self._runner.read_row(self._find_orphan, **named)
            if orphan is not None:
                orphan_id, owner, user_id = orphan
                if not self._columns.is_same_key(owner, user_id):
                    self._runner.write(self._delete, id=orphan_id)
        values = dict(account._asdict(), user_id=self._columns.to_key(account.user_id))
        self._runner.write(self._insert, **values, now=now_ms)

    @computed_once
    def _insert(self) -> Statement:
        account = self._account
        values = {getattr(account, name): slot(name) for name in Account._fields}
        instants = {account.created_at: slot("now"), account.updated_at: slot("now")}
        return self._runner.compile(account.insert({**values, **instants}))

    @computed_once
    def _find_orphan(self) -> Statement:
        """Find a provider's account, whose user the application may have deleted by itself."""
        account = self._account
        return self._runner.compile(
            account.select(account.id, account.user_id, self._columns.key)
            .join(self._user, JOIN.LEFT_OUTER, on=self._columns.is_key(account.user_id))
            .where(self._is_named)
        )

    @computed_once
    def _delete(self) -> Statement:
        return self._runner.compile(self._account.delete().where(self._account.id == slot("id")))

    def link(self, account: Account, *, now_ms: int) -> bool:
        """Add one way for a user to sign in, unless it is taken; tell whether it was added."""

        def link() -> bool:
            # Locked: an account of a user who is being deleted would keep the place for ever.
            if not self._users.lock(account.user_id):
                return False
            self.insert(account, now_ms=now_ms)
            return True

        try:
            return self._runner.atomically(link)
        except IntegrityConflict:
            return False

    def find_user(self, provider_id: str, account_id: str) -> UserRecord | None:
        """Return the user whom an account belongs to, or None."""
        row = self._runner.read_row(self._find_user, provider_id=provider_id, account_id=account_id)
        if row is None:
            return None
        user, account = records_of(row, UserRecord, Account)
        # MySQL's and MariaDB's collations pass over spaces at the end, even the binary ones, and
        # a provider may give "ada" to one person and "ada " to another.
        if (account.provider_id, account.account_id) != (provider_id, account_id):
            return None
        is_theirs = self._columns.is_same_key(account.user_id, user.id)
        return self._columns.to_record(user) if is_theirs else None

    @computed_once
    def _find_user(self) -> Statement:
        return self._runner.compile(
            self._user.select(*self._columns.selected, *self._selected)
            .join(self._account, on=self._columns.is_key(self._account.user_id))
            .where(self._is_named)
        )

    def find_credential_by_email(self, email: str) -> tuple[UserRecord, Account] | None:
        """Return a user and the account that holds their password, or None.

        One SELECT, whether anybody has the address or not.
        """
        rows = [
            records_of(row, UserRecord, Account)
            for row in self._credential_by_email.read_rows(email.lower())
        ]
        found = [
            (user, account if self._columns.is_same_key(account.user_id, read_user.id) else None)
            for read_user, account in rows
            if (user := self._columns.to_record(read_user)) and has_email(user, email)
        ]
        # Where two users have an address, nobody knows whose account it is.
        if len({user.id for user, _ in found}) > 1:
            return None
        for user, account in found:
            if account is not None:
                return user, self._converted(account)
        return None

    @computed_once
    def _credential_by_email(self) -> EmailSearch:
        account = self._account
        is_credential = account.provider_id == CREDENTIAL
        query = self._user.select(*self._columns.selected, *self._selected).join(
            account,
            JOIN.LEFT_OUTER,
            on=self._columns.is_key(account.user_id) & is_credential,
        )
        return EmailSearch(self._runner, self._columns, query)

    def find_credential(self, user_id: Any) -> Account | None:
        """Return the account that holds a user's password, or None."""
        wanted = self._columns.key_or_null(user_id)
        row = self._runner.read_row(self._find_credential, user_id=wanted)
        return None if row is None else self._converted(Account._make(row))

    @computed_once
    def _find_credential(self) -> Statement:
        return self._runner.compile(
            self._account.select(*self._selected).where(self._is_credential)
        )

    def set_password_hash(
        self, user_id: Any, password_hash: str, *, expected_hash: str | None, now_ms: int
    ) -> bool:
        """Replace a password hash if it still is the expected one; tell whether it was."""
        values = {
            "user_id": self._columns.key_or_null(user_id),
            "hash": password_hash,
            "expected": expected_hash,
            "now": now_ms,
        }
        statement = self._set_first_hash if expected_hash is None else self._set_hash
        return self._runner.write(statement, **values) > 0

    @computed_once
    def _set_hash(self) -> Statement:
        return self._setting_hash(self._account.password_hash == slot("expected"))

    @computed_once
    def _set_first_hash(self) -> Statement:
        return self._setting_hash(self._account.password_hash.is_null())

    def _setting_hash(self, is_expected: Any) -> Statement:
        account = self._account
        change = {account.password_hash: slot("hash"), account.updated_at: slot("now")}
        return self._runner.compile(account.update(change).where(self._is_credential & is_expected))

    def delete_all_of(self, user_id: Any) -> None:
        """Delete a user's accounts."""
        self._runner.write(self._delete_all_of, user_id=self._columns.key_or_null(user_id))

    @computed_once
    def _delete_all_of(self) -> Statement:
        return self._runner.compile(self._account.delete().where(self._is_of_user))

    def delete_left_by(self, user_id: Any) -> None:
        """Delete what a deleted user has left whose key another one was given.

        Looked for first: on MariaDB, deleting what is not there would hold up other sign-ups.
        """
        if self._runner.read_row(self._find_any, user_id=self._columns.to_key(user_id)):
            self.delete_all_of(user_id)

    @computed_once
    def _find_any(self) -> Statement:
        return self._runner.compile(
            self._account.select(self._account.id).where(self._is_of_user).limit(1)
        )

    @property
    def _is_named(self) -> Any:
        account = self._account
        is_of_provider = account.provider_id == slot("provider_id")
        return is_of_provider & (account.account_id == slot("account_id"))

    @property
    def _is_of_user(self) -> Any:
        return self._columns.is_of_user(self._account.user_id)

    @property
    def _is_credential(self) -> Any:
        return self._is_of_user & (self._account.provider_id == CREDENTIAL)

    def _converted(self, account: Account) -> Account:
        return account._replace(user_id=self._columns.from_key(account.user_id))
