"""Every SQL statement about users, their passwords and the throttle's attempts.

Must not check a password, and must not show a hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import peewee

from .clock import datetime_from_ms, ms_from_datetime
from .connections import Connections, IntegrityConflict
from .errors import ConfigurationError, InvalidValueError, UserAlreadyExistsError
from .models import USER_ATTRIBUTES, Models
from .records import Account, UserRecord
from .statements import Statement, compile_query, slot

__all__ = ["AccountStore"]

CREDENTIAL = "credential"


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()
"""Leave this attribute as it is."""


class AccountStore:
    """Users and accounts; ``Store`` adds sessions."""

    def __init__(self, connections: Connections, models: Models) -> None:
        self._connections = connections
        self._models = models
        key = models.user._meta.primary_key
        is_plain = isinstance(key, (peewee.CharField, peewee.AutoField, peewee.IntegerField))
        has_plain_times = all(
            field is None or isinstance(field, peewee.IntegerField)
            for name, field in models.user_fields.items()
            if name.endswith("_at")
        )
        has_all_times = models.user_fields["created_at"] and models.user_fields["updated_at"]
        # None: rows come as they are; else the field that converts the user's key.
        self._user_key: Any = key if not (is_plain and has_plain_times and has_all_times) else None
        self._key: Any = key
        self._compile_account_statements()

    # Users

    def find_user(self, user_id: Any) -> UserRecord | None:
        """Return a user by primary key, or None; an id of the wrong type is nobody's."""
        try:
            row = self._connections.read_row(self._find_user.sql, (self.to_column(user_id),))
        except (TypeError, ValueError, InvalidValueError):
            return None
        return None if row is None else self.user_from_row(row)

    def find_user_by_email(self, email: str) -> UserRecord | None:
        """Return a user by the stored, lower-cased form of the e-mail address, or None."""
        statement = self._by_email()
        rows = self._connections.read_rows(statement.sql, (email.lower(),))
        # A database may fold accents too, and then it is another person's address.
        users = [self.user_from_row(row) for row in rows]
        exact = [user for user in users if user and str(user.email).lower() == email.lower()]
        return exact[0] if exact else None

    def insert_user(self, user: UserRecord, account: Account | None = None) -> UserRecord:
        """Add a user and, if given, one account; return the user with the key it got.

        Raises ``UserAlreadyExistsError`` when the e-mail address or the account is taken.
        """

        def insert() -> UserRecord:
            model = self._models.user
            values = {
                field: self._to_user_column(name, getattr(user, _record_name(name)))
                for name, field in self._models.user_fields.items()
                if field is not None
            }
            is_automatic = isinstance(self._key, peewee.AutoField)
            key: Any = None
            if not is_automatic:
                given = self._key.default
                key = user.id if given is None else given() if callable(given) else given
                values[self._key] = key
            statement = compile_query(model.insert(values))
            self._connections.write(statement.sql, statement.fill({}))
            if is_automatic:
                found = self.find_user_by_email(str(user.email))
                key = None if found is None else found.id
            inserted = user._replace(id=key)
            if account is not None:
                account_id = str(key) if account.provider_id == CREDENTIAL else account.account_id
                self.insert_account(
                    account._replace(user_id=key, account_id=account_id),
                    now_ms=user.created_at_ms,
                )
            return inserted

        try:
            return self._connections.atomically(insert)
        except IntegrityConflict:
            raise UserAlreadyExistsError(
                "a user with this e-mail address exists; sign in, or use another one"
            ) from None

    def update_user(
        self, user_id: Any, *, name: Any = UNSET, image: Any = UNSET, now_ms: int
    ) -> bool:
        """Change a user's name or image; tell whether there is such a user."""
        fields = self._models.user_fields
        values = {
            fields[attribute]: value
            for attribute, value in (("name", name), ("image", image))
            if value is not UNSET and fields[attribute] is not None
        }
        if fields["updated_at"] is not None:
            values[fields["updated_at"]] = self._to_user_column("updated_at", now_ms)
        if not values:
            return self.find_user(user_id) is not None
        statement = compile_query(self._models.user.update(values).where(self._key == user_id))
        # MariaDB counts changed rows, not found ones.
        is_changed = self._connections.write(statement.sql, statement.fill({})) > 0
        return is_changed or self.find_user(user_id) is not None

    def delete_user_row(self, user_id: Any) -> bool:
        """Delete a user and their accounts, sessions left aside."""

        def delete() -> bool:
            values = {"user_id": self.to_column(user_id)}
            self._write(self._delete_accounts, values)
            return self._write(self._delete_user, values) > 0

        return self._connections.atomically(delete)

    def lock_user(self, user_id: Any) -> bool:
        """Have other transactions that lock this user wait until ours is over.

        Tells whether there is such a user. To be called before anything is read: MariaDB
        shows a transaction what was there at its first plain SELECT, and that would be what
        was there before the wait.
        """
        return bool(self._connections.read_rows(self._lock_user.sql, (self.to_column(user_id),)))

    # Accounts

    def insert_account(self, account: Account, *, now_ms: int) -> None:
        """Add one way for a user to sign in."""
        values = dict(account._asdict(), now=now_ms, user_id=self.to_column(account.user_id))
        self._write(self._insert_account, values)

    def find_user_by_account(self, provider_id: str, account_id: str) -> UserRecord | None:
        """Return the user whom an account belongs to, or None."""
        statement = self._find_user_of_account
        row = self._connections.read_row(
            statement.sql, statement.fill({"provider_id": provider_id, "account_id": account_id})
        )
        return None if row is None else self.user_from_row(row)

    def link_account(self, account: Account, *, now_ms: int) -> bool:
        """Add one way for a user to sign in, unless it is taken; tell whether it was added."""
        try:
            self._connections.atomically(lambda: self.insert_account(account, now_ms=now_ms))
        except IntegrityConflict:
            return False
        return True

    def find_credential_by_email(self, email: str) -> tuple[UserRecord, Account] | None:
        """Return a user and the account that holds their password, or None."""
        user = self.find_user_by_email(email)
        account = None if user is None else self.find_credential(user.id)
        return None if user is None or account is None else (user, account)

    def find_credential(self, user_id: Any) -> Account | None:
        """Return the account that holds a user's password, or None."""
        row = self._connections.read_row(
            self._find_credential.sql,
            self._find_credential.fill({"user_id": self.to_column(user_id)}),
        )
        if row is None:
            return None
        account = Account._make(row)
        return account._replace(user_id=self._key.python_value(account.user_id))

    def set_password_hash(
        self, user_id: Any, password_hash: str, *, expected_hash: str | None, now_ms: int
    ) -> bool:
        """Replace a password hash if it still is the expected one; tell whether it was."""
        values = {
            "user_id": self.to_column(user_id),
            "hash": password_hash,
            "expected": expected_hash,
            "now": now_ms,
        }
        statement = self._set_first_hash if expected_hash is None else self._set_hash
        return self._write(statement, values) > 0

    # Attempts

    @property
    def is_within_app_transaction(self) -> bool:
        """Whether what is written now is undone if the application's transaction is."""
        return self._connections.is_within_app_transaction

    def insert_attempt(self, key: str, now_ms: int) -> None:
        """Note a try at a password."""
        self._write(self._insert_attempt, {"key": key, "now": now_ms})

    def count_attempts(self, key: str, since_ms: int) -> tuple[int, int | None]:
        """Return how many tries came after an instant, and when the first of them was."""
        statement = self._count_attempts
        row = self._connections.read_row(
            statement.sql, statement.fill({"key": key, "since": since_ms})
        )
        return (0, None) if row is None else (int(row[0]), row[1])

    # Statements

    def _compile_account_statements(self) -> None:
        models, key = self._models, self._key
        user, account, attempt = models.user, models.account, models.attempt
        self._find_user = compile_query(
            user.select(*self.user_columns()).where(key == slot("user_id"))
        )
        self._lock_user = compile_query(
            self.for_update(user.select(key).where(key == slot("user_id")))
        )
        self._delete_user = compile_query(user.delete().where(key == slot("user_id")))
        self._delete_accounts = compile_query(
            account.delete().where(account.user_id == slot("user_id"))
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
        self._find_user_of_account = compile_query(
            user.select(*self.user_columns())
            .join(account, on=(account.user_id == key))
            .where(
                (account.provider_id == slot("provider_id"))
                & (account.account_id == slot("account_id"))
            )
        )
        is_credential = (account.user_id == slot("user_id")) & (account.provider_id == CREDENTIAL)
        self._find_credential = compile_query(
            account.select(*(getattr(account, name) for name in Account._fields)).where(
                is_credential
            )
        )
        change = {account.password_hash: slot("hash"), account.updated_at: slot("now")}
        self._set_hash = compile_query(
            account.update(change).where(
                is_credential & (account.password_hash == slot("expected"))
            )
        )
        self._set_first_hash = compile_query(
            account.update(change).where(is_credential & account.password_hash.is_null())
        )
        self._insert_attempt = compile_query(
            attempt.insert({attempt.key: slot("key"), attempt.created_at: slot("now")})
        )
        self._count_attempts = compile_query(
            attempt.select(peewee.fn.COUNT(attempt.id), peewee.fn.MIN(attempt.created_at)).where(
                (attempt.key == slot("key")) & (attempt.created_at > slot("since"))
            )
        )

    def _by_email(self) -> Statement:
        field = self._models.user_fields["email"]
        if field is None:
            raise ConfigurationError(
                "the user model has no e-mail attribute; map it with user_attributes={'email': …}"
            )
        user = self._models.user
        query = user.select(*self.user_columns())
        if not self._models.has_own_user:
            return compile_query(query.where(field == slot("email")))
        # An app's own users may have been stored as they were typed.
        return compile_query(query.where(peewee.fn.LOWER(field) == slot("email")))

    def _write(self, statement: Statement, values: Mapping[str, Any]) -> int:
        return self._connections.write(statement.sql, statement.fill(values))

    def for_update(self, query: Any) -> Any:
        """Lock the rows of a query; SQLite locks the file when a transaction begins."""
        return query if self._connections.is_sqlite else query.for_update()

    # Conversion

    def user_columns(self) -> list[Any]:
        """Return what to select of a user, in the order of ``UserRecord``."""
        fields = self._models.user_fields
        selected: list[Any] = [self._key]
        for name in USER_ATTRIBUTES:
            field = fields[name]
            selected.append(peewee.SQL("NULL") if field is None else field)
        return selected

    def to_column(self, user_id: Any) -> Any:
        """Return a user id as the driver takes it."""
        return None if user_id is None else self._key.db_value(user_id)

    def user_from_row(self, row: tuple[Any, ...]) -> UserRecord | None:
        """Return the user of a row of ``user_columns``; None for an outer join without one."""
        if row[0] is None:
            return None
        user_id, email, verified, name, image, created_at, updated_at = row
        return UserRecord(
            self._key.python_value(user_id),
            email,
            bool(verified),
            name,
            image,
            self._instant_ms("created_at", created_at),
            self._instant_ms("updated_at", updated_at),
        )

    def _instant_ms(self, name: str, value: Any) -> int:
        field = self._models.user_fields[name]
        if value is None or field is None:
            return 0
        value = field.python_value(value)
        if isinstance(value, datetime):
            aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
            return ms_from_datetime(aware)
        return int(value) if isinstance(value, (int, float)) else 0

    def _to_user_column(self, name: str, value: Any) -> Any:
        field = self._models.user_fields[name]
        if name.endswith("_at") and isinstance(field, peewee.DateTimeField):
            return datetime_from_ms(value).replace(tzinfo=None)
        return value


def _record_name(attribute: str) -> str:
    return f"{attribute}_ms" if attribute.endswith("_at") else attribute
