"""What applications hold: ``Session``, ``User`` and the session's data.

Must not write anything itself: what the app does to the data is kept as operations per key
until the request handle stores them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..clock import datetime_from_ms
from ..records import SessionRecord, UserRecord, refuse_to_pickle
from ..transport.devices import device_in_words

__all__ = ["Session", "SessionData", "SignIn", "User"]

DataLoader = Callable[[], "tuple[str, int] | None"]

_MAX_NUMBER_BITS = 1024
"""What a JSON reader that knows doubles can hold at all (RFC 8259, section 6)."""


class User:
    """The person a session belongs to.

    ``id`` is the primary key of the user table, in its own type; instants are aware, UTC.
    A name that the app's own user model does not map reads as None.
    """

    __slots__ = ("record",)

    def __init__(self, record: UserRecord) -> None:
        self.record = record

    @property
    def id(self) -> Any:
        return self.record.id

    @property
    def email(self) -> str | None:
        return self.record.email

    @property
    def email_verified(self) -> bool:
        return bool(self.record.email_verified)

    @property
    def name(self) -> str | None:
        return self.record.name

    @property
    def image(self) -> str | None:
        return self.record.image

    @property
    def created_at(self) -> datetime:
        return datetime_from_ms(self.record.created_at_ms)

    @property
    def updated_at(self) -> datetime:
        return datetime_from_ms(self.record.updated_at_ms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, User) and other.record == self.record

    def __hash__(self) -> int:
        return hash(self.record.id)

    def __repr__(self) -> str:
        return f"User(id={self.record.id!r})"


class Session:
    """A live session: one browser or device, signed in as one user, or anonymous.

    ``id`` is public and gives no access: it may be shown, logged and used to revoke.
    """

    __slots__ = (
        "_clock_difference_ms",
        "_data",
        "_fresh_age_ms",
        "_judged_at_ms",
        "_open_data",
        "record",
        "user",
    )

    def __init__(
        self,
        record: SessionRecord,
        user: User | None,
        *,
        judged_at_ms: int,
        fresh_age_ms: int,
        clock_difference_ms: int = 0,
        open_data: Callable[[Session], SessionData] | None = None,
    ) -> None:
        self._clock_difference_ms = clock_difference_ms
        self.record = record
        self.user = user
        self._judged_at_ms = judged_at_ms
        self._fresh_age_ms = fresh_age_ms
        self._open_data = open_data
        self._data: SessionData | None = None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def user_id(self) -> Any:
        """The user's primary key, or None for an anonymous session."""
        return self.record.user_id

    @property
    def is_anonymous(self) -> bool:
        return self.record.user_id is None

    @property
    def generation(self) -> int:
        """How often the token of this session was rotated."""
        return self.record.generation

    @property
    def expires_at(self) -> datetime:
        return datetime_from_ms(self.record.expires_at_ms)

    @property
    def created_at(self) -> datetime:
        return datetime_from_ms(self.record.created_at_ms)

    @property
    def authenticated_at(self) -> datetime:
        """When the user last proved who they are."""
        return datetime_from_ms(self.record.authenticated_at_ms)

    @property
    def updated_at(self) -> datetime:
        """When the session was last refreshed or its token rotated."""
        return datetime_from_ms(self.record.updated_at_ms)

    @property
    def last_seen_at(self) -> datetime:
        """When the session was last used; up to ``touch_interval`` behind."""
        return datetime_from_ms(self.record.last_seen_at_ms)

    @property
    def ip_address(self) -> str | None:
        return self.record.ip_address

    @property
    def user_agent(self) -> str | None:
        return self.record.user_agent

    @property
    def device(self) -> str:
        """What ``user_agent`` says in words, such as "Firefox on Linux"; of a known list."""
        return device_in_words(self.record.user_agent)

    @property
    def is_remembered(self) -> bool:
        """Whether the session outlives the browser's closing (``remember_me``)."""
        return bool(self.record.remember)

    @property
    def is_fresh(self) -> bool:
        """Whether the last authentication is younger than ``fresh_age``.

        One in the future, by more than clocks may differ, is of a clock that was wrong.
        """
        age_ms = self._judged_at_ms - self.record.authenticated_at_ms
        return not self.is_anonymous and -self._clock_difference_ms <= age_ms < self._fresh_age_ms

    @property
    def data(self) -> SessionData:
        """The session's own mapping of JSON values.

        Changes are stored with the response of the request that handed the session out; of a
        session from ``SessionManager`` it is a copy to read.
        """
        if self._data is None:
            if self._open_data is None:
                self._data = SessionData((self.record.data, self.record.data_version))
            else:
                self._data = self._open_data(self)
        return self._data

    def renew(self, record: SessionRecord, user: UserRecord | None, *, judged_at_ms: int) -> None:
        """Take over what the database says, of a session that a cached copy has shown so far."""
        self.record = record
        self.user = None if user is None else User(user)
        self._judged_at_ms = judged_at_ms

    def __repr__(self) -> str:
        return f"Session(id={self.record.id!r}, user_id={self.record.user_id!r})"


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a sign-in yields.

    ``session`` and ``token`` are None after a sign-up with ``auto_sign_in=False``. ``token``
    is what the cookie carries: it gives access, so hand it to the browser and to nobody else.
    """

    user: User
    session: Session | None
    token: str | None = field(default=None, repr=False)

    __reduce__ = refuse_to_pickle


class SessionData(MutableMapping[str, Any]):
    """A mapping of JSON values whose changes are remembered per key.

    Two parallel requests that set different keys both keep theirs. A change inside a list or
    dict that was read or set here is noticed. ``TypeError`` names the key of a value that JSON
    can't hold, at once.

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
        """Take the stored JSON text and its version, or a way to load them when first needed."""
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
        """Take over what the database holds now, including other requests' keys.

        A list or dict that the app may hold a reference to stays the same object.
        """
        ours = self.operations()
        merged = json.loads(stored[0])
        values = self._loaded()
        self._stored = stored
        for key in [key for key in values if key not in merged]:
            del values[key]
        for key, value in merged.items():
            if key not in ours:
                values[key] = _brought_up_to(value, values.get(key))
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


def _brought_up_to(value: Any, held: Any) -> Any:
    if isinstance(held, list) and isinstance(value, list):
        held[:] = value
        return held
    if isinstance(held, dict) and isinstance(value, dict):
        held.clear()
        held.update(value)
        return held
    return value


def _encode(key: str, value: Any) -> str:
    _check(key, value)
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


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
    if depth > 100:
        raise TypeError(f"session data {key!r}: nested deeper than 100 levels")
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
