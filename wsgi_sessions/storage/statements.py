"""Queries written with Peewee, compiled once to SQL text with named slots for the parameters.

Must not run anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import peewee

__all__ = ["Statement", "compile_query", "slot"]


class _Slot(str):
    """Stands in a query where a parameter goes."""

    __slots__ = ()


def slot(name: str) -> Any:
    """Return a placeholder that ``Statement.fill`` replaces by the value of that name."""
    return peewee.Value(_Slot(name), converter=False)


class Statement:
    """SQL text and the order in which it takes its parameters."""

    __slots__ = ("_parameters", "sql")

    def __init__(self, sql: str, parameters: Sequence[Any]) -> None:
        self.sql = sql
        self._parameters = tuple(parameters)

    def fill(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the parameters in order; constants of the query stay what they are."""
        return tuple(
            values[parameter] if isinstance(parameter, _Slot) else parameter
            for parameter in self._parameters
        )


class _CompiledLater(Statement):
    """A statement that compiles itself when it is first asked for what it says."""

    __slots__ = ("_query",)

    def __init__(self, query: Any) -> None:
        self._query = query

    def __getattr__(self, name: str) -> Any:
        """Fill the slots, which are empty until then; no later use comes by here."""
        if name not in Statement.__slots__:
            raise AttributeError(name)
        sql, parameters = self._query.sql()
        super().__init__(sql, parameters)
        return getattr(self, name)


def compile_query(query: Any) -> Statement:
    """Have a Peewee query compiled, once, for the database its model is bound to."""
    return _CompiledLater(query)
