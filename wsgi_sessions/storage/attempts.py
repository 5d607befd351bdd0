"""Tries at a password: noted, and counted."""

from __future__ import annotations

import peewee

from .models import Models
from .runner import Runner
from .statements import Statement, computed_once, slot


class AttemptStore:
    """The attempts that a throttle counts by their keys."""

    def __init__(self, runner: Runner, models: Models) -> None:
        self._runner = runner
        self._attempt = models.attempt

    def insert(self, key: str, now_ms: int) -> None:
        """Note an attempt."""
        self._runner.write(self._insert, key=key, now=now_ms)

    @computed_once
    def _insert(self) -> Statement:
        attempt = self._attempt
        values = {attempt.key: slot("key"), attempt.created_at: slot("now")}
        return self._runner.compile(attempt.insert(values))

    def count(self, key: str, since_ms: int, *, until_ms: int) -> tuple[int, int | None]:
        """Return how many came after an instant and up to another, and when the first."""
        row = self._runner.read_row(self._count, key=key, since=since_ms, until=until_ms)
        if row is None:
            return 0, None
        count, first_ms = row
        return int(count), first_ms

    @computed_once
    def _count(self) -> Statement:
        attempt = self._attempt
        found = peewee.fn.COUNT(attempt.id), peewee.fn.MIN(attempt.created_at)
        return self._runner.compile(
            attempt.select(*found).where(
                (attempt.key == slot("key"))
                & (attempt.created_at > slot("since"))
                & (attempt.created_at <= slot("until"))
            )
        )
