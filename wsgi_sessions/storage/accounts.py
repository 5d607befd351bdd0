"""How users sign in: every statement about their accounts."""

from __future__ import annotations

from dataclasses import field
from itertools import islice
from typing import Any

import peewee

from ..light_dataclasses import dataclass
from ..records import Account, UserRecord
from .connections import Row
from .driver_errors import IntegrityConflict
from .statements import Runner, compiled_once, slot
from .user_columns import UserColumns, has_email
from .users import UserStore

CREDENTIAL = "credential"
"""The provider of an account that has a password."""


@dataclass(eq=False)
class AccountStore:
    _runner: Runner
    _account: Any
    _columns: UserColumns
    _users: UserStore
    _rows_before: list[Row] = field(default_factory=list, init=False)

    def insert(self, account: Account, *, now_ms: int) -> None:
        if self._columns.has_own_model:
            self.delete_orphans(account)
        values = dict(account._asdict(), user_id=self._columns.to_key(account.user_id))
        self._runner.write(self._insert, **values, now=now_ms)

    def delete_orphans(self, account: Account) -> None:
        """Delete a provider's account whose user the application has deleted by itself."""
        named = {"provider_id": account.provider_id, "account_id": account.account_id}
        for orphan_id, owner, user_id in self._runner.read_rows(self._find_orphan, **named):
            if not self._columns.is_same_key(owner, user_id):
                delete = self._account.delete().where(self._account.id == orphan_id)
                self._runner.write(self._runner.compile(delete))

    @compiled_once
    def _insert(self) -> Any:
        account = self._account
        values = {getattr(account, name): slot(name) for name in Account._fields}
        instants = {account.created_at: slot("now"), account.updated_at: slot("now")}
        return account.insert({**values, **instants})

    @compiled_once
    def _find_orphan(self) -> Any:
        """Find a provider's account, and its user as far as there is one."""
        account, columns = self._account, self._columns
        return (
            account.select(account.id, account.user_id, columns.key)
            .join(columns.user, peewee.JOIN.LEFT_OUTER, on=self._is_theirs)
            .where(self._is_named)
        )

    def link(self, account: Account, *, now_ms: int) -> bool:
        """Add one way for a user to sign in, unless it is taken; tell whether it was added."""

        def link() -> bool:
            # Locked: an account of a user who is being deleted would keep the place for ever.
            if not self._users.lock(account.user_id):
                return False
            self.insert(account, now_ms=now_ms)
            return True

        try:
            return self._runner.atomically(link, is_synchronised=True)
        except IntegrityConflict:
            return False

    def find_user(self, provider_id: str, account_id: str) -> UserRecord | None:
        row = self._runner.read_row(self._find_user, provider_id=provider_id, account_id=account_id)
        if row is None:
            return None
        user, account = self._records_of(row)
        # MySQL's and MariaDB's collations pass over spaces at the end, even the binary ones, and
        # a provider may give "ada" to one person and "ada " to another.
        if account is None:
            return None
        found = account.provider_id, account.account_id
        return user if found == (provider_id, account_id) else None

    @compiled_once
    def _find_user(self) -> Any:
        return self._users_beside.join(self._account, on=self._is_theirs).where(self._is_named)

    def find_credential_by_email(
        self, email: str, *, anew: bool = False
    ) -> tuple[UserRecord, Account] | None:
        """Return a user and the account that holds their password, or None.

        One SELECT, whether anybody has the address or not: the time must not tell. ``anew``: as
        it is; without that, where servers lag, what is not found has to be read so.
        """
        wanted, is_pattern = self._columns.email_to_find(email.lower())
        statement = self._credentials_like if is_pattern else self._credentials_of
        read = self._runner.read_rows_anew if anew else self._runner.read_rows_once
        rows = read(statement, email=wanted)
        # As in ``UserStore.list_by_email``.
        self._rows_before = rows or self._rows_before
        found = [
            (user, account)
            for row in self._rows_before
            for user, account in [self._records_of(row)]
            if user is not None and has_email(user, email)
        ]
        if not rows:
            return None
        # Where two users have an address, nobody knows whose account it is.
        if len({user.id for user, _ in found}) > 1:
            return None
        return next(((user, account) for user, account in found if account is not None), None)

    @compiled_once
    def _credentials_of(self) -> Any:
        return self._credentials(is_pattern=False)

    @compiled_once
    def _credentials_like(self) -> Any:
        return self._credentials(is_pattern=True)

    def _credentials(self, *, is_pattern: bool) -> Any:
        is_joined = self._is_theirs & self._has_password
        users = self._users_beside.join(self._account, peewee.JOIN.LEFT_OUTER, on=is_joined)
        return users.where(self._columns.is_email(is_pattern=is_pattern))

    def find_credential(self, user_id: Any, *, anew: bool = False) -> Account | None:
        wanted = self._columns.key_or_null(user_id)
        read = self._runner.read_rows_anew if anew else self._runner.read_rows
        rows = read(self._find_credential, user_id=wanted)
        return self._converted(Account._make(rows[0])) if rows else None

    @compiled_once
    def _find_credential(self) -> Any:
        return self._account.select(*self._selected).where(self._is_credential)

    def set_password_hash(
        self, user_id: Any, password_hash: str, *, expected_hash: str | None, now_ms: int
    ) -> bool:
        """Replace a password hash if it still is the expected one; tell whether it was."""
        # Peewee compares with None by IS NULL.
        is_expected = self._account.password_hash == expected_hash
        return self._write_hash(user_id, password_hash, is_expected, now_ms=now_ms)

    def replace_password_hash(self, user_id: Any, password_hash: str, *, now_ms: int) -> bool:
        """Replace a password hash, whatever it is; tell whether there was an account for one."""
        return self._write_hash(user_id, password_hash, now_ms=now_ms)

    def _write_hash(self, user_id: Any, password_hash: str, *conditions: Any, now_ms: int) -> bool:
        account = self._account
        change = {account.password_hash: password_hash, account.updated_at: now_ms}
        update = account.update(change).where(self._is_credential, *conditions)
        wanted = self._columns.key_or_null(user_id)
        return self._runner.write(self._runner.compile(update), user_id=wanted) > 0

    def delete_all_of(self, user_id: Any) -> None:
        self._runner.write(self._delete_all_of, user_id=self._columns.key_or_null(user_id))

    @compiled_once
    def _delete_all_of(self) -> Any:
        return self._account.delete().where(self._is_of_user)

    def delete_left_by(self, user_id: Any) -> None:
        """Delete what a deleted user has left whose key another one was given.

        Looked for first: on MariaDB, deleting what is not there would hold up other sign-ups.
        """
        if self._runner.read_row(self._find_any, user_id=self._columns.to_key(user_id)):
            self.delete_all_of(user_id)

    @compiled_once
    def _find_any(self) -> Any:
        return self._account.select(self._account.id).where(self._is_of_user).limit(1)

    def unlink_providers(self, user_id: Any) -> None:
        """Delete the accounts by which a user signs in at a provider; that of a password stays.

        Looked for first, as by ``delete_left_by``.
        """
        of_user = {"user_id": self._columns.key_or_null(user_id)}
        if self._runner.read_row(self._find_provider, **of_user):
            self._runner.write(self._delete_providers, **of_user)

    @compiled_once
    def _find_provider(self) -> Any:
        return self._account.select(self._account.id).where(self._is_of_a_provider).limit(1)

    @compiled_once
    def _delete_providers(self) -> Any:
        return self._account.delete().where(self._is_of_a_provider)

    @property
    def _users_beside(self) -> Any:
        return self._columns.users.select_extend(*self._selected)

    def _records_of(self, row: Row) -> tuple[UserRecord | None, Account | None]:
        """Return a user, and the account beside them if it is theirs."""
        values = iter(row)
        user = UserRecord._make(islice(values, len(UserRecord._fields)))
        account = Account._make(values)
        is_theirs = self._columns.is_same_key(account.user_id, user.id)
        return self._columns.to_record(user), self._converted(account) if is_theirs else None

    def _converted(self, account: Account) -> Account:
        return account._replace(user_id=self._columns.from_key(account.user_id))

    @property
    def _selected(self) -> list[Any]:
        return [getattr(self._account, name) for name in Account._fields]

    @property
    def _is_named(self) -> Any:
        account = self._account
        is_of_provider = account.provider_id == slot("provider_id")
        return is_of_provider & (account.account_id == slot("account_id"))

    @property
    def _is_theirs(self) -> Any:
        return self._columns.is_key(self._account.user_id)

    @property
    def _is_of_user(self) -> Any:
        return self._columns.is_of_user(self._account.user_id)

    @property
    def _is_credential(self) -> Any:
        return self._is_of_user & self._has_password

    @property
    def _is_of_a_provider(self) -> Any:
        return self._is_of_user & (self._account.provider_id != CREDENTIAL)

    @property
    def _has_password(self) -> Any:
        return self._account.provider_id == CREDENTIAL
