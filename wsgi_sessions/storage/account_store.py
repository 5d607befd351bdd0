"""Every SQL statement about how users sign in: their accounts, from the first to the last.

Must not check a password, and must not show a hash.
"""

from __future__ import annotations

from typing import Any

from peewee import JOIN

from ..errors import ConfigurationError, UserAlreadyExistsError
from ..records import Account, EndReason, UserRecord
from .connections import Connections, IntegrityConflict
from .models import Models
from .statements import compile_query, slot
from .user_store import UserStore, has_email, is_exactly

__all__ = ["AccountStore"]

CREDENTIAL = "credential"

_TAKEN = "a user with this e-mail address exists; sign in, or use another one"
_MAX_INSERTS = 3
_USER_COLUMNS = len(UserRecord._fields)
_USER_OF_ACCOUNT = Account._fields.index("user_id")


class AccountStore(UserStore):
    """Users and how they sign in; ``Store`` adds sessions."""

    def __init__(self, connections: Connections, models: Models) -> None:
        super().__init__(connections, models)
        self._compile_account_statements()

    # Signing up, and being deleted

    def insert_user(self, user: UserRecord, account: Account | None = None) -> UserRecord:
        """Add a user and, if given, one account; return the user with the key it got.

        Raises ``UserAlreadyExistsError`` when the e-mail address or the account is taken, and
        ``ConfigurationError`` when the user model asks for something else.
        """
        refused: IntegrityConflict | None = None
        for _ in range(_MAX_INSERTS):
            try:
                return self._connections.atomically(lambda: self._insert_user(user, account))
            except IntegrityConflict as conflict:
                if self._is_taken(user, account, conflict):
                    raise UserAlreadyExistsError(_TAKEN) from None
                refused = conflict
            # Whoever was in the way has perhaps been deleted meanwhile.
            if not refused.is_duplicate:
                break
        name = self._models.user.__name__
        raise ConfigurationError(
            f"the table of {name} refused a new user: {refused}; give what {name} asks for "
            "beyond the attributes of a user a default, or let it be null"
        )

    def _insert_user(self, user: UserRecord, account: Account | None) -> UserRecord:
        # An application's own users may have been stored as they were typed, or in a column
        # that is not unique: then no constraint refuses whoever takes another's address.
        if self._models.has_own_user and self.find_users_by_email(str(user.email).lower()):
            raise UserAlreadyExistsError(_TAKEN)
        inserted = user._replace(id=self.insert_user_row(user))
        if self._models.has_own_user:
            self._forget_predecessor(inserted.id, now_ms=user.created_at_ms)
        if account is not None:
            is_credential = account.provider_id == CREDENTIAL
            account_id = str(inserted.id) if is_credential else account.account_id
            self.insert_account(
                account._replace(user_id=inserted.id, account_id=account_id),
                now_ms=user.created_at_ms,
            )
        return inserted

    def _is_taken(
        self, user: UserRecord, account: Account | None, conflict: IntegrityConflict
    ) -> bool:
        if self._connections.may_read_the_past:
            return conflict.is_duplicate
        email = str(user.email)
        if self.find_users_by_email(email.lower() if self._models.has_own_user else email):
            return True
        return (
            account is not None
            and self.find_user_by_account(account.provider_id, account.account_id) is not None
        )

    def _forget_predecessor(self, user_id: Any, *, now_ms: int) -> None:
        """Take from a new user what one of the same key has left, whom the application deleted.

        Looked for first: on MariaDB, deleting what is not there would hold up other sign-ups.
        """
        values = {"user_id": self.to_column(user_id), "now": now_ms}
        rows = self._connections.read_rows
        if rows(self._find_left_accounts.sql, self._find_left_accounts.fill(values)):
            self._write(self._delete_accounts, values)
        if rows(self._find_left_session.sql, self._find_left_session.fill(values)):
            self._write(self._end_left_sessions, values)

    def delete_user_row(self, user_id: Any) -> bool:
        """Delete a user and their accounts, sessions left aside."""

        def delete() -> bool:
            values = {"user_id": self.key_or_null(user_id)}
            self._write(self._delete_accounts, values)
            # Not by the statement alone: it may take another user's key for this one.
            return self.lock_user(user_id) and self._write(self._delete_user, values) > 0

        return self._connections.atomically(delete)

    # Accounts

    def insert_account(self, account: Account, *, now_ms: int) -> None:
        """Add one way for a user to sign in."""
        values = dict(account._asdict(), now=now_ms, user_id=self.to_column(account.user_id))
        if self._models.has_own_user:
            orphan = self._connections.read_row(
                self._find_orphan.sql, self._find_orphan.fill(values)
            )
            if orphan is not None and not self._is_theirs(orphan[1], orphan[2]):
                self._write(self._delete_account, {"id": orphan[0]})
        self._write(self._insert_account, values)

    def find_user_by_account(self, provider_id: str, account_id: str) -> UserRecord | None:
        """Return the user whom an account belongs to, or None."""
        statement = self._find_user_of_account
        row = self._connections.read_row(
            statement.sql, statement.fill({"provider_id": provider_id, "account_id": account_id})
        )
        # MySQL's and MariaDB's collations pass over spaces at the end, even the binary ones, and
        # a provider may give "ada" to one person and "ada " to another.
        if row is None or row[_USER_COLUMNS + 1 :] != (provider_id, account_id):
            return None
        user = self.user_from_row(row[:_USER_COLUMNS])
        return user if self._is_theirs(row[_USER_COLUMNS], row[0]) else None

    def link_account(self, account: Account, *, now_ms: int) -> bool:
        """Add one way for a user to sign in, unless it is taken; tell whether it was added."""

        def link() -> bool:
            # Locked: an account of a user who is being deleted would keep the place for ever.
            if not self.lock_user(account.user_id):
                return False
            self.insert_account(account, now_ms=now_ms)
            return True

        try:
            return self._connections.atomically(link)
        except IntegrityConflict:
            return False

    def find_credential_by_email(self, email: str) -> tuple[UserRecord, Account] | None:
        """Return a user and the account that holds their password, or None.

        One SELECT, whether anybody has the address or not.
        """
        rows = self._read_by_email(self._credential_by_email, email.lower())
        found = [
            (user, account_row if self._is_theirs(account_row[_USER_OF_ACCOUNT], row[0]) else None)
            for row in rows
            if (user := self.user_from_row(row[:_USER_COLUMNS])) and has_email(user, email)
            for account_row in (row[_USER_COLUMNS:],)
        ]
        # One whose address somebody else has too can't be told from them.
        if any(user.id != found[0][0].id for user, _ in found):
            return None
        for user, account_row in found:
            if account_row is not None:
                return user, self._account_from_row(account_row)
        return None

    def find_credential(self, user_id: Any) -> Account | None:
        """Return the account that holds a user's password, or None."""
        row = self._connections.read_row(
            self._find_credential.sql,
            self._find_credential.fill({"user_id": self.key_or_null(user_id)}),
        )
        return None if row is None else self._account_from_row(row)

    def set_password_hash(
        self, user_id: Any, password_hash: str, *, expected_hash: str | None, now_ms: int
    ) -> bool:
        """Replace a password hash if it still is the expected one; tell whether it was."""
        values = {
            "user_id": self.key_or_null(user_id),
            "hash": password_hash,
            "expected": expected_hash,
            "now": now_ms,
        }
        statement = self._set_first_hash if expected_hash is None else self._set_hash
        return self._write(statement, values) > 0

    # Statements

    def _compile_account_statements(self) -> None:
        models, key = self._models, self._key
        user, account, session = models.user, models.account, models.session
        self._delete_accounts = compile_query(
            account.delete().where(self.is_of_user(account.user_id))
        )
        self._insert_account = compile_query(
            account.insert(
                {
                    **{getattr(account, name): slot(name) for name in Account._fields},
                    account.created_at: slot("now"),
                    account.updated_at: slot("now"),
                }
            )
        )
        self._find_user_of_account = self._compile(
            user.select(
                *self.user_columns(), account.user_id, account.provider_id, account.account_id
            )
            .join(account, on=self.is_key(account.user_id))
            .where(
                (account.provider_id == slot("provider_id"))
                & (account.account_id == slot("account_id"))
            )
        )
        is_credential = self.is_of_user(account.user_id) & (account.provider_id == CREDENTIAL)
        self._find_credential = compile_query(
            account.select(*self._account_columns()).where(is_credential)
        )
        self._credential_by_email = self._compile_by_email(
            user.select(*self.user_columns(), *self._account_columns()).join(
                account,
                JOIN.LEFT_OUTER,
                on=self.is_key(account.user_id) & (account.provider_id == CREDENTIAL),
            )
        )
        # A provider's account whose user the application deleted by itself.
        self._find_orphan = compile_query(
            account.select(account.id, account.user_id, key)
            .join(user, JOIN.LEFT_OUTER, on=self.is_key(account.user_id))
            .where(
                (account.provider_id == slot("provider_id"))
                & (account.account_id == slot("account_id"))
            )
        )
        self._delete_account = compile_query(account.delete().where(account.id == slot("id")))
        self._find_left_accounts = compile_query(
            account.select(account.id).where(self.is_of_user(account.user_id)).limit(1)
        )
        is_left = self.is_of_user(session.user_id) & session.ended_at.is_null()
        self._find_left_session = compile_query(session.select(session.id).where(is_left).limit(1))
        ending = {
            session.ended_at: slot("now"),
            session.end_reason: EndReason.USER_DELETED.value,
        }
        self._end_left_sessions = compile_query(session.update(ending).where(is_left))
        change = {account.password_hash: slot("hash"), account.updated_at: slot("now")}
        self._set_hash = compile_query(
            account.update(change).where(
                is_credential & (account.password_hash == slot("expected"))
            )
        )
        self._set_first_hash = compile_query(
            account.update(change).where(is_credential & account.password_hash.is_null())
        )

    def _is_theirs(self, user_id: Any, key: Any) -> bool:
        """Tell whether an account is that of the user whom the database joined to it, if any."""
        convert = self._key.python_value
        return key is not None and is_exactly(convert(user_id), convert(key))

    def _account_columns(self) -> list[Any]:
        return [getattr(self._models.account, name) for name in Account._fields]

    def _account_from_row(self, row: tuple[Any, ...]) -> Account:
        account = Account._make(row)
        return account._replace(user_id=self._key.python_value(account.user_id))
