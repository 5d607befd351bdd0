"""Queries written with Peewee, compiled once to SQL text with named slots for the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import peewee

T = TypeVar("T")


class _Slot(str):
    """Stands in a query where a parameter goes."""

    __slots__ = ()


def slot(name: str) -> Any:
    """Return a placeholder that ``Statement.fill`` replaces by the value of that name."""
    return peewee.Value(_Slot(name), converter=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text and the order in which it takes its parameters."""

    sql: str
    parameters: tuple[Any, ...]

    def fill(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the parameters in order; constants of the query stay what they are."""
        return tuple(
            values[parameter] if isinstance(parameter, _Slot) else parameter
            for parameter in self.parameters
        )


def compile_query(query: Any) -> Statement:
    """Compile a Peewee query for the database that it is bound to."""
    sql, parameters = query.sql()
    return Statement(sql, tuple(parameters))


def records_of(row: tuple[Any, ...], *kinds: Any) -> tuple[Any, ...]:
    """Return the named tuples of these kinds whose fields a row holds, one after the other."""
    values = iter(row)
    return tuple(kind._make(islice(values, len(kind._fields))) for kind in kinds)


class computed_once(Generic[T]):  # noqa: N801  used as a decorator
    """A property that is computed when it is first read, without a lock.

    ``functools.cached_property`` holds one lock for all instances before Python 3.12; a child
    that is forked while another thread computes would wait for it for ever.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value: T = self._compute(instance)
        instance.__dict__[self._name] = value
        return value
