"""Instants as the columns of an application's user model hold them.

Must not know which column it is.
"""

from __future__ import annotations

from datetime import date, datetime, time, timezone
from typing import Any

import peewee

from .clock import datetime_from_ms, ms_from_datetime

__all__ = ["ms_from_column", "ms_to_column", "slack_ms"]

_HOUR_MS = 3_600_000


def slack_ms(field: peewee.Field) -> int:
    """Return how far an instant of a column may be off.

    Two hours for clocks that differ and one that was put back; where there is no zone it may be
    any place's time, so 16 hours.
    """
    is_without_zone = isinstance(field, (peewee.DateTimeField, peewee.DateField))
    return (16 if is_without_zone and field.field_type != "TIMESTAMPTZ" else 2) * _HOUR_MS


def ms_from_column(field: peewee.Field, value: Any) -> int:
    """Return what the driver read as UTC epoch milliseconds; 0 for what is no instant.

    A date or time without a zone is taken as UTC. A date is the beginning of its day.
    """
    if isinstance(field, peewee.TimestampField) and isinstance(value, (int, float)):
        return int(value * 1000 // field.resolution)
    value = field.python_value(value)  # type: ignore[no-untyped-call]
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        return ms_from_datetime(aware)
    return int(value) if isinstance(value, (int, float)) else 0


def ms_to_column(field: peewee.Field, instant_ms: int) -> Any:
    """Return UTC epoch milliseconds in the form that a field takes."""
    if isinstance(field, peewee.TimestampField):
        ticks = instant_ms * field.resolution // 1000
        return ticks / field.resolution
    if isinstance(field, (peewee.DateTimeField, peewee.DateField)):
        instant = datetime_from_ms(instant_ms)
        return instant if field.field_type == "TIMESTAMPTZ" else instant.replace(tzinfo=None)
    return instant_ms
