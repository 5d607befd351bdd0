"""Users: every statement about their rows."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import peewee

from ..errors import ConfigurationError, InvalidValueError
from ..light_dataclasses import dataclass
from ..records import UNSET, Unset, UserRecord
from .connections import Row
from .statements import Runner, Statement, compiled_once, slot
from .user_columns import UserColumns, has_email, is_exactly, is_spelled_alike


@dataclass(eq=False)
class UserStore:
    _runner: Runner
    _columns: UserColumns
    _change: Any
    _rows_before: list[Row] = field(default_factory=list, init=False)

    def find(self, user_id: Any, *, anew: bool = False) -> UserRecord | None:
        """Return a user by primary key, or None. ``anew``: as they are, where servers lag.

        An id of the wrong type is nobody's, and so is one that a collation alone takes for the
        stored one, such as "Bob" for "bob".
        """
        columns = self._columns
        read_row = self._runner.read_row_anew if anew else self._runner.read_row
        try:
            wanted = columns.key_or_null(user_id)
            row = read_row(self._find, user_id=wanted)
        except InvalidValueError:
            return None
        user = None if row is None else columns.to_record(row)
        if user is None or is_exactly(user.id, columns.from_key(wanted)):
            return user
        if not is_spelled_alike(user.id, wanted):
            raise self._runner.connections.refuse_other_row()
        return None

    @compiled_once
    def _find(self) -> Any:
        return self._columns.users.where(self._columns.is_id)

    def find_by_email(self, email: str, *, anew: bool = False) -> UserRecord | None:
        """Return a user by the stored, lower-cased form of the e-mail address, or None.

        An address that several have is nobody's: each could be the one who is meant. ``anew``: as
        it is where servers lag, by one SELECT whether anybody has the address or not.
        """
        users = self.list_by_email(email.lower(), anew=anew)
        return users[0] if len(users) == 1 else None

    def list_by_email(self, email: str, *, anew: bool = False) -> list[UserRecord]:
        """Return everybody whose stored address this is: several, where it is not unique."""
        wanted, is_pattern = self._columns.email_to_find(email)
        query = self._columns.users.where(self._columns.is_email(is_pattern=is_pattern))
        read = self._runner.read_rows_anew if anew else self._runner.read_rows
        rows = read(self._runner.compile(query), email=wanted)
        # Where nobody is found, whoever was found before is read again: the time says nothing.
        self._rows_before = rows or self._rows_before
        users = [self._columns.to_record(row) for row in self._rows_before]
        matching = [user for user in users if user is not None and has_email(user, email)]
        return matching if rows else []

    def is_same(self, one: Any, other: Any) -> bool:
        """Return whether two ids mean one user, as text from a URL and a number of the table do."""
        wanted = self._columns.key_or_null(one)
        return wanted is not None and wanted == self._columns.key_or_null(other)

    def insert(self, user: UserRecord) -> UserRecord:
        """Add a user's row; return the user with the key that the database or the model gave."""
        key, database = self._columns.key, self._runner.connections.database
        insert, values = self.prepare_insert(user)
        given = self._runner.insert(insert)
        if key in values:
            return user._replace(id=values[key])
        # Never looked up by the address: the row of that address could be another person's.
        is_told = database.returning_clause or isinstance(key, peewee.IntegerField)
        if not is_told or not given:
            raise ConfigurationError(
                f"the key {key.name} of {self._columns.user.__name__} is not told by the database; "
                "give the field a default, as in default=uuid4"
            )
        return user._replace(id=self._columns.from_key(given))

    def prepare_insert(self, user: UserRecord) -> tuple[Statement, dict[Any, Any]]:
        """Return what adds a user's row, and its values as far as the model has no defaults."""
        key, name = self._columns.key, self._columns.user.__name__
        values = self._columns.to_values(user._asdict())
        if key in values:  # the address itself, say
            pass
        elif key.default is not None:
            values[key] = key.default() if callable(key.default) else key.default
        elif isinstance(key, (peewee.CharField, peewee.TextField)):
            values[key] = user.id
        elif isinstance(key, peewee.ForeignKeyField):
            raise ConfigurationError(
                f"the key {key.name} of {name} is another row's, so a sign-up can't give one; "
                f"make the {name} yourself and sign in with sign_in(user_id), or give the field "
                "a default"
            )
        query = self._columns.user.insert(values)
        if self._runner.connections.database.returning_clause:
            query = query.returning(key)
        return self._runner.compile(query), values

    def update(
        self,
        user_id: Any,
        *,
        name: str | Unset | None = UNSET,
        image: str | Unset | None = UNSET,
        email: str | Unset = UNSET,
        email_verified: bool | Unset = UNSET,
        now_ms: int,
    ) -> bool:
        """Change what is given of a user; tell whether there is such a user."""
        columns = self._columns
        given = {
            "name": name,
            "image": image,
            "email": email,
            "email_verified": email_verified,
            "updated_at_ms": now_ms,
        }
        values = columns.to_values({key: new for key, new in given.items() if new is not UNSET})
        if (columns.may_fold or not values) and self.find(user_id) is None:
            return False
        if not values:
            return True
        runner, wanted = self._runner, columns.key_or_null(user_id)
        update = runner.compile(columns.user.update(values).where(columns.is_id))
        is_changed = runner.write(update, user_id=wanted) > 0
        if not is_changed and runner.connections.is_lagging:
            # The user may have been added on another server.
            is_changed = runner.atomically(
                lambda: runner.write(update, user_id=wanted) > 0, is_synchronised=True
            )
        # MariaDB counts changed rows, not found ones.
        return is_changed or self.find(user_id) is not None

    def lock(self, user_id: Any) -> bool:
        """Lock a user: other transactions that lock them wait until ours is over.

        Servers that apply each other's writes late know nothing of each other's locks. There a
        row of the user is written too, so that of two such transactions one is undone.

        Returns whether there is such a user. To be called before anything is read: MariaDB
        shows a transaction what was there at its first plain SELECT, and that would be what
        was there before the wait.
        """
        wanted = self._columns.key_or_null(user_id)
        rows = self._runner.read_rows(self._lock, user_id=wanted)
        found = next((key for (key,) in rows if self._columns.is_same_key(key, wanted)), None)
        connections = self._runner.connections
        if found is None:
            connections.require_synchronised()
        elif connections.is_lagging:
            self._runner.write(self._note_change, user_id=found)
        return found is not None

    @compiled_once
    def _lock(self) -> Any:
        columns = self._columns
        return self._runner.dialect.for_update(
            columns.user.select(columns.key).where(columns.is_id)
        )

    @compiled_once
    def _note_change(self) -> Any:
        change = self._change
        first = change.insert({change.user_id: slot("user_id"), change.number: 1})
        return first.on_conflict(update={change.number: change.number + 1})

    def delete(self, user_id: Any) -> bool:
        """Delete a user's row, sessions and accounts left aside; tell whether it was there."""
        # Not by the statement alone: it may take another user's key for this one.
        wanted = self._columns.key_or_null(user_id)
        if not self.lock(user_id) or self._runner.write(self._delete, user_id=wanted) == 0:
            return False
        if self._runner.connections.is_lagging:
            self._runner.write(self._forget_changes, user_id=wanted)
        return True

    @compiled_once
    def _delete(self) -> Any:
        return self._columns.user.delete().where(self._columns.is_id)

    @compiled_once
    def _forget_changes(self) -> Any:
        return self._change.delete().where(self._columns.is_of_user(self._change.user_id))
