"""``Memo``: what was worked out before, for as long as there is room."""

from __future__ import annotations

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memo(dict[Key, Value]):
    """A dictionary that is emptied when it is full, so that it never takes more memory.

    It is read with ``get``, which is a call of C alone.
    """

    def __init__(self, max_count: int) -> None:
        super().__init__()
        self._max_count = max_count

    def keep(self, key: Key, value: Value) -> None:
        if len(self) >= self._max_count:
            self.clear()
        self[key] = value
