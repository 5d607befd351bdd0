"""What the columns of the user table mean: the key, the e-mail address, and the instants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timezone
from decimal import Decimal
from operator import eq
from typing import Any
from uuid import UUID

import peewee

from ..clock import datetime_from_ms, ms_from_datetime
from ..errors import ConfigurationError, InvalidValueError
from ..records import UserRecord
from .connections import Row
from .dialects.dialect import Dialect
from .models import USER_ATTRIBUTES, Models, plain_key
from .statements import slot

_HOUR_MS = 3_600_000
_MAX_SECONDS = 100_000_000_000
"""As seconds the year 5138, as milliseconds 1973."""
_MAX_NANOSECONDS = 10**20
"""As nanoseconds the year 5138."""


class UserColumns:
    """Converts between records and rows of the user table, which may be the application's."""

    def __init__(self, models: Models, dialect: Dialect) -> None:
        self.user = models.user
        self.fields = models.user_fields
        self.key: Any = models.user._meta.primary_key
        self.has_own_model = models.has_own_user
        # What the key holds: where it is a foreign key, that is the key of another model.
        self._plain_key: Any = plain_key(self.key)
        is_text = isinstance(self._plain_key, (peewee.CharField, peewee.TextField))
        self._dialect = dialect
        self.may_fold = is_text and (models.has_own_user or dialect.may_fold_text)
        """Whether a statement may take another user's key for this one."""
        self._is_equal: Callable[[Any, Any], Any] = dialect.is_equal_text if is_text else eq

    # In SQL

    @property
    def users(self) -> Any:
        """A query for users, in the order of ``UserRecord``."""
        return self.user.select(*self.selected)

    @property
    def is_id(self) -> Any:
        """One user by the key, or by one that a collation takes for it: ``user_id``."""
        return self.key == slot("user_id")

    @property
    def selected(self) -> list[Any]:
        fields = (self.fields[name] for name in USER_ATTRIBUTES)
        return [self.key, *(peewee.SQL("NULL") if field is None else field for field in fields)]

    def is_of_user(self, column: Any) -> Any:
        return self._is_equal(column, slot("user_id"))

    def is_key(self, column: Any) -> Any:
        """Return what joins a user to the rows that hold the key."""
        if not self.has_own_model:
            return self.key == column  # we give none that ends in spaces
        return self._is_equal(self.key, column)

    def email_to_find(self, email: str) -> tuple[str, bool]:
        """Return what finds an address in lower case, and whether that is a pattern.

        Raises ``ConfigurationError`` where the user model has no e-mail address.
        """
        self._require_email()
        is_pattern = self.has_own_model and not self._is_lowered(email)
        return _pattern_of(email) if is_pattern else email, is_pattern

    def is_email(self, *, is_pattern: bool) -> Any:
        """Return what finds the users of ``email``, and maybe others that are folded alike."""
        field = self.fields["email"]
        # An application's own users may have been stored as they were typed.
        stored = peewee.fn.LOWER(field) if self.has_own_model else field
        return (
            self._dialect.is_like(stored, slot("email")) if is_pattern else stored == slot("email")
        )

    def begins_with(self, prefix: str) -> Any:
        """Return what finds the users whose address begins so, and maybe others folded alike.

        The prefix is in lower case. Raises ``ConfigurationError`` as ``email_to_find`` does.
        """
        self._require_email()
        field = self.fields["email"]
        stored = peewee.fn.LOWER(field) if self.has_own_model else field
        is_exact = not self.has_own_model or self._is_lowered(prefix)
        pattern = _pattern_of(prefix, is_exact=is_exact)
        return self._dialect.is_like(stored, f"{pattern}%")

    def _require_email(self) -> None:
        if self.fields["email"] is None:
            raise ConfigurationError(
                "the user model has no e-mail attribute; map it with user_attributes={'email': …}"
            )

    def _is_lowered(self, email: str) -> bool:
        """Return whether the database turns all letters of an address into small ones."""
        return email.isascii() or self._dialect.lowers_every_letter

    # Keys

    def to_key(self, user_id: Any) -> Any:
        return None if user_id is None else self.key.db_value(user_id)

    def from_key(self, value: Any) -> Any:
        return self.key.python_value(value)

    def key_or_null(self, user_id: Any) -> Any:
        """Return a user id to look for; one of the wrong type becomes NULL, which nobody has."""
        try:
            value = self.to_key(user_id)
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

    def is_same_key(self, found: Any, wanted: Any) -> bool:
        """Return whether two keys that the driver read or takes are one; None is nobody's."""
        return wanted is not None and is_exactly(self.from_key(found), self.from_key(wanted))

    # Records

    def to_record(self, row: Row) -> UserRecord | None:
        """Return the user of what was ``selected``; None for an outer join without one."""
        user_id, email, verified, name, image, created_at, updated_at = row
        if user_id is None:
            return None
        return UserRecord(
            self.from_key(user_id),
            email,
            bool(verified),
            name,
            image,
            self._instant_ms("created_at", created_at),
            self._instant_ms("updated_at", updated_at),
        )

    def to_values(self, attributes: Mapping[str, Any]) -> dict[Any, Any]:
        """Return what to write for attributes of a ``UserRecord``, as far as the model has them.

        Raises ``InvalidValueError`` for a text that the application's own column has no room for,
        also where the row is not written, or the answer would tell that an address is taken.
        """
        values: dict[Any, Any] = {}
        for name, value in attributes.items():
            field = self.fields.get(name.removesuffix("_ms"))
            if field is None:
                continue
            if name.endswith("_ms"):
                values[field] = ms_to_column(field, value)
                continue
            most = field.max_length if isinstance(field, peewee.CharField) else None
            if isinstance(value, str) and most is not None and len(value) > most:
                raise InvalidValueError(
                    f"{name} has {len(value)} characters; at most {most} are taken"
                )
            values[field] = value
        return values

    def _instant_ms(self, name: str, value: Any) -> int:
        field = self.fields[name]
        return 0 if value is None or field is None else ms_from_column(field, value)

    @property
    def created_at_slack_ms(self) -> int | None:
        """How far off the instants may be at which users were made; None where nothing tells."""
        field = self.fields["created_at"]
        return slack_ms(field) if self.has_own_model and field is not None else None


def has_email(user: UserRecord, email: str) -> bool:
    """Return whether a user's address is this one; a database may fold accents, too."""
    return str(user.email).lower() == email.lower()


def is_exactly(found: object, wanted: object) -> bool:
    """Return whether a row's key is the one asked for; both as the model converts them."""
    return found == wanted or str(found) == str(wanted)


def is_spelled_alike(found: object, wanted: object) -> bool:
    """Return whether a row's key is the one asked for, or a collation may have taken it for that.

    >>> is_spelled_alike("Ab", "aB "), is_spelled_alike("ab", "cd"), is_spelled_alike("e", "é")
    (True, False, True)
    """
    if found == wanted:
        return True
    text = str(wanted).rstrip().casefold()
    return not text.isascii() or str(found).rstrip().casefold() == text


def _is_whole(given: object, number: int) -> bool:
    """Return whether an id means this number, and is not merely read as it, as "1_0" is as 10."""
    if isinstance(given, str):
        return given == str(number)
    if isinstance(given, bool):
        return False
    return given == number or not isinstance(given, (float, complex, Decimal))


def _pattern_of(email: str, *, is_exact: bool = False) -> str:
    """Return what finds an address also where its letters beyond ASCII are stored in capitals.

    ``is_exact``: they are not, and the pattern stands for the text itself.
    """
    return "".join(
        "_" if not (is_exact or letter.isascii()) else f"\\{letter}" if letter in "_%\\" else letter
        for letter in email
    )


def slack_ms(field: peewee.Field) -> int:
    """Return how far an instant of a column may be off.

    Two hours for clocks that differ and one that was put back; where there is no zone it may be
    any place's time, so 16 hours.
    """
    is_without_zone = isinstance(
        field, (peewee.DateTimeField, peewee.DateField, peewee.CharField, peewee.TextField)
    )
    return (16 if is_without_zone and field.field_type != "TIMESTAMPTZ" else 2) * _HOUR_MS


def ms_from_column(field: peewee.Field, value: Any) -> int:
    """Return what the driver read as UTC epoch milliseconds; 0 for what is no instant.

    A date or time without a zone is taken as UTC. A date is the beginning of its day. A number
    is taken for seconds, milliseconds, microseconds or nanoseconds by its size.
    """
    if isinstance(field, peewee.TimestampField) and isinstance(value, (int, float)):
        return int(value * 1000 // field.resolution)
    value = field.python_value(value)  # type: ignore[no-untyped-call]
    if isinstance(value, str):
        value = _read_text(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        return ms_from_datetime(aware)
    return _ms_of_number(value) if isinstance(value, (int, float, Decimal)) else 0


def ms_to_column(field: peewee.Field, instant_ms: int) -> Any:
    """Return UTC epoch milliseconds in the form that a field takes.

    A column of 64-bit integers takes milliseconds, one of 32 bits and one of fractions seconds,
    and one of text takes ISO 8601.
    """
    if isinstance(field, peewee.TimestampField):
        ticks = instant_ms * field.resolution // 1000
        return ticks / field.resolution
    if isinstance(field, (peewee.DateTimeField, peewee.DateField)):
        instant = datetime_from_ms(instant_ms)
        return instant if field.field_type == "TIMESTAMPTZ" else instant.replace(tzinfo=None)
    if isinstance(field, (peewee.CharField, peewee.TextField)):
        return datetime_from_ms(instant_ms).isoformat()
    if isinstance(field, (peewee.FloatField, peewee.DecimalField)):
        return instant_ms / 1000
    is_short = isinstance(field, peewee.IntegerField) and field.field_type == "INT"
    return instant_ms // 1000 if is_short else instant_ms


def _read_text(text: str) -> datetime | float | None:
    with suppress(ValueError):
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    with suppress(ValueError):
        return float(text)
    return None


def _ms_of_number(value: float | Decimal) -> int:
    """Return milliseconds; what they would be in another unit lies centuries away from today."""
    if not 0 < value < _MAX_NANOSECONDS:
        return 0
    if value < _MAX_SECONDS:
        return int(value * 1000)
    while value >= _MAX_SECONDS * 1000:
        value //= 1000
    return int(value)
