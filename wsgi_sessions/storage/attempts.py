"""Tries at a password: noted, and counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import peewee

from .statements import Runner, compiled_once, slot


@dataclass(eq=False)
class AttemptStore:
    """The attempts that a throttle counts by their keys."""

    _runner: Runner
    _attempt: Any

    def insert(self, key: str, now_ms: int) -> None:
        self._runner.write(self._insert, key=key, now=now_ms)

    @compiled_once
    def _insert(self) -> Any:
        attempt = self._attempt
        return attempt.insert({attempt.key: slot("key"), attempt.created_at: slot("now")})

    def count(self, key: str, since_ms: int, *, until_ms: int) -> tuple[int, int | None]:
        """Return how many came after an instant and up to another, and when the first."""
        row = self._runner.read_row(self._count, key=key, since=since_ms, until=until_ms)
        count, first_ms = row or (0, None)
        return int(count), first_ms

    @compiled_once
    def _count(self) -> Any:
        attempt = self._attempt
        return attempt.select(peewee.fn.COUNT(attempt.id), peewee.fn.MIN(attempt.created_at)).where(
            (attempt.key == slot("key"))
            & (attempt.created_at > slot("since"))
            & (attempt.created_at <= slot("until"))
        )
