"""How long a request may still wait for the database: one budget for all of its waits.

Whoever waits asks how much is left, and waits no longer than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..clock import monotonic_ms
from ..light_dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """What is left, in milliseconds; only time spent on the database is taken from it.

    ``deadline_ms`` is the monotonic instant at which what is being done now has to be over.
    """

    left_ms: int
    deadline_ms: int | None = None


# Not a thread's own: greenlets have one each, and so have the threads of a framework's pool.
request_budget: ContextVar[Budget | None] = ContextVar("wsgi_sessions_budget", default=None)
"""The budget of the request that is being served; None outside of any."""


def is_spending() -> bool:
    """Return whether this package is using the database now."""
    budget = request_budget.get()
    return budget is not None and budget.deadline_ms is not None


def left_ms() -> int | None:
    """Return how long a wait that begins now may last, at least 0; None for no limit."""
    budget = request_budget.get()
    if budget is None:
        return None
    if budget.deadline_ms is None:
        return max(0, budget.left_ms)
    return max(0, budget.deadline_ms - monotonic_ms())


@contextmanager
def spending(default_ms: int) -> Iterator[None]:
    """Take the time of a block from the budget.

    Outside of a request the block has a budget of its own, of ``default_ms``. A block within
    another one shares that one's.
    """
    budget = request_budget.get()
    if budget is not None and budget.deadline_ms is not None:
        yield
        return
    token = None
    if budget is None:
        budget = Budget(default_ms)
        token = request_budget.set(budget)
    began_ms = monotonic_ms()
    budget.deadline_ms = began_ms + budget.left_ms
    try:
        yield
    finally:
        budget.deadline_ms = None
        budget.left_ms -= monotonic_ms() - began_ms
        if token is not None:
            request_budget.reset(token)


@contextmanager
def limited_to(limit_ms: int) -> Iterator[None]:
    """Limit the waits of a block to this, however much is left."""
    outer = request_budget.get()
    left = left_ms()
    began_ms = monotonic_ms()
    token = request_budget.set(Budget(limit_ms if left is None else min(limit_ms, left)))
    try:
        yield
    finally:
        request_budget.reset(token)
        if outer is not None and outer.deadline_ms is None:
            outer.left_ms -= monotonic_ms() - began_ms
