"""CockroachDB, by Peewee's ``CockroachDatabase``: it speaks the language of PostgreSQL.

Written by its documentation. The tests run this class over PostgreSQL; no server of CockroachDB
was there to run it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..driver_errors import driver_error
from .postgres import Postgres

_IS_THERE = ("42P07", "42701", "42710")
"""SQLSTATEs of a table or an index, a column, or another object that is there already."""


class Cockroach(Postgres):
    peewee_name = "CockroachDatabase"
    # Peewee's class takes no isolation level: the server's own is SERIALIZABLE, which undoes one
    # of two transactions that meet, and it begins again.
    transaction_kind = ()

    @contextmanager
    def changing_tables(self, database: Any, *, max_wait_s: int) -> Iterator[None]:  # noqa: ARG002  nothing to wait for
        # Without a transaction, which the server would commit at the first table; and without a
        # lock, as it has none that outlives a statement. Each step looks whether it is done.
        yield

    def is_there_already(self, error: BaseException) -> bool:
        error = driver_error(error)
        codes = (getattr(error, "sqlstate", None), getattr(error, "pgcode", None))
        return any(code in _IS_THERE for code in codes)
