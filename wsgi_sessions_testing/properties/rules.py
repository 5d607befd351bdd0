"""``rule`` for ``SessionMachine``, and what its rules draw: a parameter's name says it."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, TypeVar

from hypothesis import stateful
from hypothesis import strategies as st

RuleT = TypeVar("RuleT", bound=Callable[..., None])

PLACES = (
    *("127.0.0.1", "127.0.0.77", "203.0.113.66"),
    *("2001:db8:66::66", "2001:db8:66::77", "2001:db8:66:1::66"),
)
"""Addresses of browsers, where sessions are bound to addresses."""
MOMENTS = ("grace", "window", "upload", "pause", "early", "due", "refresh")
"""See ``MachineBase._come_to``."""
MOMENT, NOW_OR_LATER = st.sampled_from(MOMENTS), st.sampled_from(["now", *MOMENTS])
OFF_BY = st.sampled_from([-1, 0, 0, 1])

_BROWSER = st.integers(0, 2)
_DRAWN = {
    "which": _BROWSER,
    "whose": _BROWSER,
    "worker": st.integers(0, 1),
    "place": st.integers(0, len(PLACES) - 1),
    "moment": MOMENT,
    "off_by": OFF_BY,
}


def rule(**drawn: st.SearchStrategy[Any]) -> Callable[[RuleT], RuleT]:
    """Return Hypothesis's decorator, which draws parameters that are not given by their names.

    ``which`` and ``whose`` are positions in the list of browsers, ``worker`` and ``place`` in
    theirs; a ``bool`` is either.
    """

    def decorate(function: RuleT) -> RuleT:
        usual: dict[str, Any] = {}
        for name, parameter in signature(function).parameters.items():
            if name in _DRAWN:
                usual[name] = _DRAWN[name]
            elif parameter.annotation == "bool":
                usual[name] = st.booleans()
        decorator: Callable[[RuleT], RuleT] = stateful.rule(**{**usual, **drawn})
        return decorator(function)

    return decorate
