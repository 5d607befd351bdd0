"""Every SQL statement about users, and what their columns mean.

Must not know how a user signs in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import peewee

from ..errors import ConfigurationError, InvalidValueError, StoreUnavailableError
from ..records import UserRecord
from .connections import Connections
from .models import USER_ATTRIBUTES, Models, plain_key
from .statements import Statement, compile_query, slot
from .timestamps import ms_from_column, ms_to_column

__all__ = ["UNSET", "UserStore"]

T = TypeVar("T")

_MAX_TRIES = 8


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()
"""Leave this attribute as it is."""


class UserStore:
    """Users; ``AccountStore`` adds how they sign in, ``Store`` their sessions."""

    def __init__(self, connections: Connections, models: Models) -> None:
        self._connections = connections
        self._models = models
        self._key: Any = models.user._meta.primary_key
        # What the key holds: where it is a foreign key, that is the key of another model.
        self._plain_key: Any = plain_key(self._key)
        # None: rows come as they are; else the field that converts the user's key.
        self._user_key: Any = self._key if models.has_own_user else None
        self._is_text_key = isinstance(self._plain_key, (peewee.CharField, peewee.TextField))
        self._compile_user_statements()

    def atomically(self, work: Callable[[], T]) -> T:
        """Run several of these methods all or none; nested calls join."""
        return self._connections.atomically(work)

    def find_user(self, user_id: Any) -> UserRecord | None:
        """Return a user by primary key, or None.

        An id of the wrong type is nobody's, and so is one that a collation alone takes for the
        stored one, such as "Bob" for "bob".
        """
        try:
            wanted = self.key_or_null(user_id)
            row = self._connections.read_row(self._find_user.sql, (wanted,))
        except InvalidValueError:
            return None
        user = None if row is None else self.user_from_row(row)
        if user is None or is_exactly(user.id, self._key.python_value(wanted)):
            return user
        if not is_spelled_alike(user.id, wanted):
            raise self._connections.distrust()
        return None

    def find_user_by_email(self, email: str) -> UserRecord | None:
        """Return a user by the stored, lower-cased form of the e-mail address, or None.

        An address that several have is nobody's: each could be the one who is meant.
        """
        users = self.find_users_by_email(email.lower())
        return users[0] if len(users) == 1 else None

    def insert_user_row(self, user: UserRecord) -> Any:
        """Add a user's row; return the key that the database or the user model gave it."""
        values = {
            field: self._to_user_column(name, getattr(user, _record_name(name)))
            for name, field in self._models.user_fields.items()
            if field is not None
        }
        key, database = self._key, self._connections.database
        if key in values:  # the address itself, say
            pass
        elif key.default is not None:
            values[key] = key.default() if callable(key.default) else key.default
        elif isinstance(key, (peewee.CharField, peewee.TextField)):
            values[key] = user.id
        elif isinstance(key, peewee.ForeignKeyField):
            name = self._models.user.__name__
            raise ConfigurationError(
                f"the key {key.name} of {name} is another row's, so a sign-up can't give one; "
                f"make the {name} yourself and sign in with sign_in(user_id), or give the field "
                "a default"
            )
        query = self._models.user.insert(values)
        if database.returning_clause:
            query = query.returning(key)
        statement = self._compile(query)
        given = self._connections.insert(statement.sql, statement.fill({}))
        if key in values:
            return values[key]
        # Never looked up by the address: the row of that address could be another person's.
        is_told = database.returning_clause or isinstance(key, peewee.IntegerField)
        if not is_told or not given:
            raise ConfigurationError(
                f"the key {key.name} of {self._models.user.__name__} is not told by the database; "
                "give the field a default, as in default=uuid4"
            )
        return key.python_value(given)

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
        may_fold = self._models.has_own_user or self._connections.is_mysql
        if may_fold and self._is_text_key and self.find_user(user_id) is None:
            # The statement alone may take another user's key for this one.
            return False
        statement = self._compile(
            self._models.user.update(values).where(self._key == slot("user_id"))
        )
        # MariaDB counts changed rows, not found ones.
        is_changed = self._write(statement, {"user_id": self.key_or_null(user_id)}) > 0
        return is_changed or self.find_user(user_id) is not None

    def lock_user(self, user_id: Any) -> bool:
        """Have other transactions that lock this user wait until ours is over.

        Tells whether there is such a user. To be called before anything is read: MariaDB
        shows a transaction what was there at its first plain SELECT, and that would be what
        was there before the wait.
        """
        wanted = self.key_or_null(user_id)
        rows = self._connections.read_rows(self._lock_user.sql, (wanted,))
        convert = self._key.python_value
        return any(is_exactly(convert(row[0]), convert(wanted)) for row in rows)

    def is_of_user(self, column: Any) -> Any:
        """Return what finds the rows of one user, by exactly that key.

        MySQL's and MariaDB's collations pass over spaces at the end, even the binary ones.
        """
        return self._exactly(column, slot("user_id"))

    def is_key(self, column: Any) -> Any:
        """Return what joins a user to the rows that hold the key."""
        if not self._models.has_own_user:
            return self._key == column  # we give none that ends in spaces
        return self._exactly(self._key, column)

    def _exactly(self, column: Any, other: Any) -> Any:
        if not (self._connections.is_mysql and self._is_text_key):
            return column == other
        length = peewee.fn.CHAR_LENGTH
        return (column == other) & (length(column) == length(other))

    # Statements

    def _compile_user_statements(self) -> None:
        user, key = self._models.user, self._key
        self._find_user = self._compile(
            user.select(*self.user_columns()).where(key == slot("user_id"))
        )
        self._lock_user = self._compile(
            self.for_update(user.select(key).where(key == slot("user_id")))
        )
        self._delete_user = self._compile(user.delete().where(key == slot("user_id")))
        self._by_email = self._compile_by_email(user.select(*self.user_columns()))

    def _compile_by_email(self, query: Any) -> tuple[Statement, Statement] | None:
        """Have a query for users look for an address, of ASCII or any; None if there is none."""
        field = self._models.user_fields["email"]
        if field is None:
            return None
        # An application's own users may have been stored as they were typed.
        stored = peewee.fn.LOWER(field) if self._models.has_own_user else field
        exact = self._compile(query.where(stored == slot("email")))
        if self._connections.is_mysql or not self._models.has_own_user:
            return exact, exact
        # SQLite, and PostgreSQL under the locale C, leave all but ASCII as it is.
        is_like: Any = peewee.Expression(stored, "LIKE", slot("pattern"))
        if self._connections.is_sqlite:
            is_like = peewee.fn.LIKE(slot("pattern"), stored, "\\")
        return exact, self._compile(query.where(is_like))

    def _read_by_email(
        self, statements: tuple[Statement, Statement] | None, email: str
    ) -> list[tuple[Any, ...]]:
        if statements is None:
            raise ConfigurationError(
                "the user model has no e-mail attribute; map it with user_attributes={'email': …}"
            )
        statement = statements[0 if email.isascii() else 1]
        values = {"email": email, "pattern": _pattern_of(email)}
        return self._connections.read_rows(statement.sql, statement.fill(values))

    def find_users_by_email(self, email: str) -> list[UserRecord]:
        """Return everybody whose stored address this is: several, where it is not unique."""
        rows = self._read_by_email(self._by_email, email)
        users = [self.user_from_row(row) for row in rows]
        return [user for user in users if user is not None and has_email(user, email)]

    def _compile(self, query: Any) -> Statement:
        """Compile for this database, though the application's model may not be bound to it."""
        return compile_query(query.bind(self._connections.database))

    def _write(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Run a write and return how many rows it changed.

        Alone, it is sent again where somebody was faster: under repeatable read PostgreSQL
        refuses it then, instead of looking at the row once more.
        """
        parameters = statement.fill(values)
        for _ in range(_MAX_TRIES):
            try:
                return self._connections.write(statement.sql, parameters)
            except StoreUnavailableError as error:
                if not self._was_overtaken(error) or self._connections.database.in_transaction():
                    raise
        return self._connections.write(statement.sql, parameters)

    def _write_compared(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Run a compare-and-set as ``_write`` does; 0 also where the application can't see why.

        Its transaction on PostgreSQL may be one that does not see what others have changed
        since it began; a savepoint keeps it usable.
        """
        connections = self._connections
        if connections.is_sqlite or connections.is_mysql:
            return self._write(statement, values)
        if not connections.is_within_app_transaction:
            return self._write(statement, values)
        try:
            return connections.atomically(lambda: self._write(statement, values))
        except StoreUnavailableError as error:
            if not self._was_overtaken(error):
                raise
            return 0

    def _was_overtaken(self, error: StoreUnavailableError) -> bool:
        return self._connections.dialect.is_overtaken(error.__cause__)

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

    def key_or_null(self, user_id: Any) -> Any:
        """Return a user id to look for; one of the wrong type becomes NULL, which nobody has."""
        try:
            value = self.to_column(user_id)
            # Peewee hands on what it can't convert, and MariaDB reads "1st" as 1.
            if isinstance(self._plain_key, peewee.IntegerField):
                return int(value) if _is_whole(user_id, int(value)) else None
            if isinstance(self._plain_key, peewee.UUIDField):
                return UUID(str(value)).hex
            if isinstance(self._plain_key, peewee.FixedCharField) and value.strip() != value:
                return None  # the spaces that fill the column belong to no key
        except (AttributeError, OverflowError, TypeError, ValueError):
            return None
        return value

    def is_same_user(self, one: Any, other: Any) -> bool:
        """Tell whether two ids mean one user, as text from a URL and a number of the table do."""
        wanted = self.key_or_null(one)
        return wanted is not None and wanted == self.key_or_null(other)

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
        return 0 if value is None or field is None else ms_from_column(field, value)

    def _to_user_column(self, name: str, value: Any) -> Any:
        field = self._models.user_fields[name]
        return ms_to_column(field, value) if name.endswith("_at") else value


def is_exactly(found: object, wanted: object) -> bool:
    """Tell whether a row's key is the one asked for; both as the model converts them."""
    return found == wanted or str(found) == str(wanted)


def _is_whole(given: object, number: int) -> bool:
    """Tell whether an id means this number, and is not merely read as it, as "1_0" is as 10."""
    if isinstance(given, str):
        return given == str(number)
    if isinstance(given, bool):
        return False
    return given == number or not isinstance(given, (float, complex, Decimal))


def is_spelled_alike(found: object, wanted: object) -> bool:
    """Tell whether a row's key is the one asked for, or a collation may have taken it for that.

    >>> is_spelled_alike("Ab", "aB "), is_spelled_alike("ab", "cd"), is_spelled_alike("e", "é")
    (True, False, True)
    """
    if found == wanted:
        return True
    text = str(wanted).rstrip().casefold()
    return not text.isascii() or str(found).rstrip().casefold() == text


def _pattern_of(email: str) -> str:
    """Return what finds an address also where its letters beyond ASCII are stored in capitals."""
    return "".join(
        "_" if not letter.isascii() else f"\\{letter}" if letter in "_%\\" else letter
        for letter in email
    )


def has_email(user: UserRecord, email: str) -> bool:
    """Tell whether a user's address is this one; a database may fold accents, too."""
    return str(user.email).lower() == email.lower()


def _record_name(attribute: str) -> str:
    return f"{attribute}_ms" if attribute.endswith("_at") else attribute
