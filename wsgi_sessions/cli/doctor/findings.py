"""``Finding``: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Level(str, Enum):
    OK = "ok"
    WARNING = "warning"
    """It works, and is unsafe, slow or about to fail."""
    FAULT = "fault"
    """Somebody can't sign in, is signed out, or gets an error; or anybody can sign in."""


class Finding(NamedTuple):
    """A line of the report; ``remedy`` is empty where there is nothing to do."""

    subject: str
    level: Level
    what: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        return {**self._asdict(), "level": self.level.value}


def ok(subject: str, what: str) -> Finding:
    return Finding(subject, Level.OK, what)


def warning(subject: str, what: str, remedy: str) -> Finding:
    return Finding(subject, Level.WARNING, what, remedy)


def fault(subject: str, what: str, remedy: str) -> Finding:
    return Finding(subject, Level.FAULT, what, remedy)
