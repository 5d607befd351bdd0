"""Tries and other actions that a throttle counts: noted under keys, counted, taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import peewee

from ..light_dataclasses import dataclass
from .statements import Runner, compiled_once, slot

MAX_KEYS = 4
"""Under how many keys one attempt is noted."""


@dataclass(eq=False)
class AttemptStore:
    """Attempts, each with one row for every key under which it counts.

    A row's id is that of its attempt and a digit. So what is taken back is found by its primary
    key, which locks nothing else.
    """

    _runner: Runner
    _attempt: Any

    def insert(self, attempt_id: str, keys: Sequence[str], *, now_ms: int) -> None:
        """Note an attempt, whose id is of 24 characters, under different keys."""
        attempt = self._attempt
        rows = [
            (row_id, key, now_ms)
            for row_id, key in zip(_row_ids(attempt_id, len(keys)), keys, strict=True)
        ]
        insert = attempt.insert_many(rows, [attempt.id, attempt.key, attempt.created_at])
        self._runner.write(self._runner.compile(insert))

    def delete(self, attempt_id: str) -> None:
        """Take an attempt back, under all of its keys."""
        self._runner.write(self._delete, **_filled("id", _row_ids(attempt_id, MAX_KEYS)))

    @compiled_once
    def _delete(self) -> Any:
        return self._attempt.delete().where(self._attempt.id.in_(_slots("id")))

    def count(
        self, keys: Sequence[str], *, since_ms: int, until_ms: int
    ) -> Mapping[str, tuple[int, int]]:
        """Return how many came after an instant and up to another, and when the first.

        A key without any is left out.
        """
        rows = self._runner.read_rows(
            self._count, **_filled("key", keys), since=since_ms, until=until_ms
        )
        return {key: (int(count), first_ms) for key, count, first_ms in rows}

    @compiled_once
    def _count(self) -> Any:
        attempt = self._attempt
        return (
            attempt.select(
                attempt.key, peewee.fn.COUNT(attempt.id), peewee.fn.MIN(attempt.created_at)
            )
            .where(
                attempt.key.in_(_slots("key"))
                & (attempt.created_at > slot("since"))
                & (attempt.created_at <= slot("until"))
            )
            .group_by(attempt.key)
        )


def _row_ids(attempt_id: str, count: int) -> list[str]:
    return [f"{attempt_id}{number}" for number in range(count)]


def _slots(name: str) -> list[Any]:
    return [slot(f"{name}{number}") for number in range(MAX_KEYS)]


def _filled(name: str, values: Sequence[str]) -> dict[str, str]:
    """Return a value for each of the slots; the last is repeated, which changes nothing."""
    padded = [*values, *[values[-1]] * (MAX_KEYS - len(values))]
    return {f"{name}{number}": value for number, value in enumerate(padded)}
