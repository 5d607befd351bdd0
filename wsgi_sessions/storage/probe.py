"""Looks whether a database can be used, and says in one word what is wrong if it can not."""

from __future__ import annotations

from ..errors import ConfigurationError, StoreUnavailableError
from .connections import Connections
from .driver_errors import Meaning
from .outages import Health, HealthStatus, Outages
from .pool import AllInUseError
from .tables import Tables
from .time_budget import left_ms

_MEANT: dict[Meaning, HealthStatus] = {
    Meaning.POOL_IS_FULL: "busy",
    Meaning.TOO_MANY_CONNECTIONS: "busy",
    Meaning.LOCKED: "slow",
    Meaning.MISSING_TABLE: "not_migrated",
}


def look(connections: Connections, tables: Tables) -> Health:
    """Ask the server first, then our tables, so that the two can be told apart."""
    answers = False
    try:
        connections.reach()
        answers = True
        fault = tables.find_faults()
    except ConfigurationError as error:
        return Health("not_migrated", detail=str(error))
    except StoreUnavailableError as error:
        status = _meaning_of(error, connections, answers=answers)
        return Health(status, detail=Outages(connections.database).reason(error))
    if fault is not None:
        return Health("not_migrated", detail=fault)
    return Health("ok")


def _meaning_of(
    error: StoreUnavailableError, connections: Connections, *, answers: bool
) -> HealthStatus:
    """Return what is wrong; ``answers``: the server did, a moment before."""
    if isinstance(error, AllInUseError):
        return "busy"
    meaning = connections.dialect.meaning_of(error.__cause__)
    if meaning in _MEANT:
        return _MEANT[meaning]
    is_time_over = meaning is Meaning.TIMED_OUT or left_ms() == 0
    return "slow" if answers and is_time_over else "away"
