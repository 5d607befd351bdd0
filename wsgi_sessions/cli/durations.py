"""Durations and limits as they are typed: ``90s``, ``30m``, ``12h``, ``7d``, ``none``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

import click

NONE: Literal["none"] = "none"
"""What takes a limit away."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TEXT = re.compile(r"([0-9]{1,9})([smhdw]?)")


def parse_duration(text: str) -> timedelta:
    """Return a duration; without a unit the number is seconds.

    >>> parse_duration("30m"), parse_duration("90")
    (datetime.timedelta(seconds=1800), datetime.timedelta(seconds=90))

    Raises ``ValueError``, which says what to give.
    """
    found = _TEXT.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(
            f"{text!r} is no duration; give a whole number and a unit: 90s, 30m, 12h, 7d or 2w"
        )
    return timedelta(seconds=int(found[1]) * _UNITS[found[2] or "s"])


def read_duration(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> timedelta | None:
    """Read an option that is a duration, for ``click.option(callback=…)``."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def read_limit(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> timedelta | Literal["none"] | None:
    """Read an option that is a duration, or ``none`` for no limit; None if it was not given."""
    if text is not None and text.strip().lower() == NONE:
        return NONE
    try:
        return read_duration(context, parameter, text)
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message}, or none") from None
