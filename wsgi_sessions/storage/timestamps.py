"""Instants as the columns of an application's user model hold them."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import peewee

from ..clock import datetime_from_ms, ms_from_datetime

_HOUR_MS = 3_600_000
_MAX_SECONDS = 100_000_000_000
"""As seconds the year 5138, as milliseconds 1973."""
_MAX_NANOSECONDS = 10**20
"""As nanoseconds the year 5138."""


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
