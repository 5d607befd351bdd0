"""Breadth-first search over every state of a small world; what it finds first is the shortest."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Step(NamedTuple):
    """Something that can happen next: the state it leads to, or the invariant that it breaks."""

    label: str
    state: Any
    """Anything that is hashable, the same for all that mean the same."""
    violation: str | None = None


class Found(NamedTuple):
    """What a search has come to."""

    states: int
    seconds: float
    violation: str | None = None
    way: tuple[str, ...] = ()
    """The steps to the violation, a run of equal ones told once."""
    is_complete: bool = True
    """Whether every state was seen, or a violation: not ended by ``most_states``."""


def search(
    start: Any,
    steps: Callable[[Any], Iterator[Step]],
    *,
    most_states: int = 2_000_000,
) -> Found:
    """Look at every state that can be reached, or at those before the first violation."""
    began = time.process_time()
    came: dict[Any, tuple[Any, str] | None] = {start: None}
    queue = deque([start])
    states = 0
    while queue and states < most_states:
        state = queue.popleft()
        states += 1
        for label, following, violation in steps(state):
            if violation is not None:
                way = [*_way_to(came, state), label]
                seconds = time.process_time() - began
                return Found(states, seconds, violation, tuple(_squeezed(way)))
            if following not in came:
                came[following] = (state, label)
                queue.append(following)
    return Found(states, time.process_time() - began, is_complete=not queue)


def _way_to(came: dict[Any, tuple[Any, str] | None], state: Any) -> list[str]:
    way = []
    link = came[state]
    while link is not None:
        way.append(link[1])
        link = came[link[0]]
    return way[::-1]


def _squeezed(way: list[str]) -> Iterator[str]:
    position = 0
    while position < len(way):
        label, count = way[position], 1
        while position + count < len(way) and way[position + count] == label:
            count += 1
        yield label if count == 1 else f"{label}, {count} times"
        position += count
