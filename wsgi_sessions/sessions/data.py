"""The session's own data: changes are kept as operations per key, for somebody else to store."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from ..storage.sessions import encode_data

DataLoader = Callable[[], "tuple[str, int] | None"]

_MAX_NUMBER_BITS = 1024
"""What a JSON reader that stores numbers as doubles can hold (RFC 8259, section 6)."""

_MAX_DEPTH = 100


class SessionData(MutableMapping[str, Any]):
    """A mapping of JSON values that records its changes per key.

    Two parallel requests that set different keys both keep theirs. A change inside a list or
    dict that was read or set here is noticed. A value that JSON can't hold is a ``TypeError``
    that names its key, at once.

    >>> data = SessionData(("{}", 0))
    >>> data["cart"] = ["tea"]
    >>> data["cart"].append("milk")
    >>> data.operations()
    {'cart': '["tea","milk"]'}
    >>> data["when"] = object()
    Traceback (most recent call last):
      ...
    TypeError: session data 'when': object is no JSON value; use str, int, float, bool, list or dict
    """

    __slots__ = ("_baseline", "_load", "_stored", "_touched", "_values", "on_change")

    def __init__(self, stored: tuple[str, int] | None, *, load: DataLoader | None = None) -> None:
        """Begin with the stored JSON text and its version, or load them when first needed."""
        self._stored = stored
        self._load = load
        self._values: dict[str, Any] | None = None
        self._baseline: dict[str, str] = {}
        self._touched: set[str] = set()
        self.on_change: Callable[[], None] | None = None

    @property
    def known(self) -> tuple[str, int] | None:
        """The JSON text and version that the changes build on, if they were read."""
        return self._stored

    def operations(self) -> dict[str, str | None]:
        """Return what is to be stored: key to JSON text, or None for a deleted key."""
        if not self._touched:
            return {}
        values = self._loaded()
        pending: dict[str, str | None] = {}
        for key in sorted(self._touched):
            text = _encode(key, values[key]) if key in values else None
            if text != self._baseline.get(key):
                pending[key] = text
        return pending

    def mark_stored(self, stored: tuple[str, int]) -> None:
        """Continue from what the database holds now, including other requests' keys.

        A list or dict stays the same object, as the app may hold a reference to it.
        """
        ours = self.operations()
        merged = json.loads(stored[0])
        values = self._loaded()
        self._stored = stored
        for key in [key for key in values if key not in merged]:
            del values[key]
        for key, value in merged.items():
            if key not in ours:
                values[key] = _updated(values.get(key), to=value)
        self._baseline = {key: _encode(key, merged[key]) for key in self._touched & set(merged)}

    def _loaded(self) -> dict[str, Any]:
        if self._values is None:
            if self._stored is None:
                found = self._load() if self._load is not None else None
                self._stored = found if found is not None else ("{}", 0)
            values: dict[str, Any] = json.loads(self._stored[0])
            self._values = values
        return self._values

    def _watch(self, key: str, values: dict[str, Any]) -> None:
        if key not in self._touched:
            self._touched.add(key)
            if key in values:
                self._baseline[key] = _encode(key, values[key])

    def __getitem__(self, key: str) -> Any:
        values = self._loaded()
        value = values[key]
        if isinstance(value, (dict, list)):
            self._watch(key, values)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"session data keys are str, not {type(key).__name__}: {key!r}")
        _check(key, value)
        values = self._loaded()
        self._watch(key, values)
        values[key] = value
        if self.on_change is not None:
            self.on_change()

    def __delitem__(self, key: str) -> None:
        values = self._loaded()
        if key not in values:
            raise KeyError(key)
        self._watch(key, values)
        del values[key]
        if self.on_change is not None:
            self.on_change()

    def __contains__(self, key: object) -> bool:
        return key in self._loaded()

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._loaded()))

    def __len__(self) -> int:
        return len(self._loaded())

    def __repr__(self) -> str:
        count = "?" if self._values is None else str(len(self._values))
        return f"SessionData(<{count} keys>)"


def _updated(held: Any, *, to: Any) -> Any:
    """Return the held list or dict with another's content; another value takes its place."""
    if isinstance(held, list) and isinstance(to, list):
        held[:] = to
        return held
    if isinstance(held, dict) and isinstance(to, dict):
        held.clear()
        held.update(to)
        return held
    return to


def _encode(key: str, value: Any) -> str:
    _check(key, value)
    return encode_data(value)


def _check(key: str, value: Any, depth: int = 0) -> None:
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if value.bit_length() <= _MAX_NUMBER_BITS:
            return
        raise TypeError(f"session data {key!r}: an int of {value.bit_length()} bits is too large")
    if isinstance(value, float):
        if math.isfinite(value):
            return
        raise TypeError(f"session data {key!r}: {value} is not a JSON number")
    if depth > _MAX_DEPTH:
        raise TypeError(f"session data {key!r}: nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, (list, tuple)):
        for item in value:
            _check(key, item, depth + 1)
        return
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"session data {key!r}: a JSON object has str keys, not {name!r}")
            _check(key, item, depth + 1)
        return
    raise TypeError(
        f"session data {key!r}: {type(value).__name__} is no JSON value; "
        "use str, int, float, bool, list or dict"
    )
