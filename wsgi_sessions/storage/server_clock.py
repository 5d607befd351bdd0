"""The clock of the database: what instants that all processes compare are written by."""

from __future__ import annotations

from typing import Any

import peewee

from ..clock import Clock, SystemClock
from .statements import Runner, Statement


class ServerClock:
    """The clock of the database's server, or the process's own where that is the same."""

    def __init__(self, runner: Runner, clock: Clock) -> None:
        self._runner = runner
        self._clock = clock
        # A clock that was given to the manager counts as the database's.
        self.is_own = runner.dialect.is_server and isinstance(clock, SystemClock)
        """Whether the server's clock is another than this process's."""
        self.sql = peewee.SQL(runner.dialect.now_sql)
        """What stands for it in a query; NULL on SQLite."""

    def read_ms(self) -> int | None:
        """Return what the server's clock says, epoch milliseconds UTC; None on SQLite."""
        row = self._runner.read_row(Statement(f"SELECT {self._runner.dialect.now_sql}", ()))
        return None if row is None else row[0]

    def now_ms(self) -> int:
        """Return what the clock says that all processes share."""
        said_ms = self.read_ms() if self.is_own else None
        return self._clock.now_ms() if said_ms is None else said_ms

    def at_least(self, now: Any) -> Any:
        """Return an instant to write as now: never older than the server's clock says."""
        return peewee.fn.GREATEST(now, self.sql) if self.is_own else now

    def at_most(self, instant: Any, *, age_ms: int) -> Any:
        """Return an instant of so long ago: never later than that by the server's clock."""
        return peewee.fn.LEAST(instant, self.sql - age_ms) if self.is_own else instant
