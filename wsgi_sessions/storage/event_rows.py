"""The event table: rows that are told with a transaction, read by user and time, and deleted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import peewee

from ..events import SessionEvent
from ..light_dataclasses import dataclass
from ..records import EndReason
from .models import Models
from .sessions import clean_text
from .statements import Runner, batches
from .user_columns import UserColumns

T = TypeVar("T")

MAX_LISTED_EVENTS = 1000
"""No page of events has more."""
_MAX_VALUE_CHARACTERS = 600
"""Of one value of the details: 200 characters of a path, percent-encoded."""
_COLUMNS = ("at", "name", "user_id", "session_id", "reason", "address")
_TEXTS = {"address": 64, "user_agent": 512, "method": 64}


class _Pending(threading.local):
    rows: list[SessionEvent] | None = None


@dataclass(eq=False)
class EventStore:
    """Appends events and reads them; nothing changes one but ``anonymise_all_of``."""

    _runner: Runner
    _models: Models
    _users: UserColumns

    def __post_init__(self) -> None:
        self._pending = _Pending()

    # Writing

    def with_rows(self, work: Callable[[], T]) -> Callable[[], T]:
        """Return work that ends with one INSERT of all that was told in it, if anything was.

        Work within such work is returned as it is: what it tells is written with the rest.
        """
        pending = self._pending
        if pending.rows is not None:
            return work

        def work_and_tell() -> T:
            pending.rows = []  # anew, where a transaction begins again
            try:
                result = work()
                self._insert(pending.rows)
            finally:
                pending.rows = None
            return result

        return work_and_tell

    def tell(self, events: Sequence[SessionEvent]) -> None:
        """Write events: with the transaction that ``with_rows`` is in, or else at once.

        An event without a user is that of its session's user, if there is one.
        """
        if self._pending.rows is None:
            self._insert(events)
        else:
            self._pending.rows += events

    def _insert(self, events: Sequence[SessionEvent]) -> None:
        event = self._models.event
        fields = [event._meta.fields[name] for name in (*_COLUMNS, "user_agent", "method")]
        for batch in batches(events):
            rows = [[*map(_value, self._values_of(each))] for each in batch]
            query = event.insert_many(rows, [*fields, event.details])
            self._runner.write(self._runner.compile(query))

    def _values_of(self, event: SessionEvent) -> list[Any]:
        details = dict(event.details)
        texts = {
            "address": event.address,
            "user_agent": event.user_agent,
            "method": details.pop("method", None),
        }
        reason = None if event.reason is None else event.reason.value
        return [
            *(event.at_ms, event.name, self._user_of(event), event.session_id, reason),
            *(clean_text(texts[name], max_length=most) for name, most in _TEXTS.items()),
            _to_json(details),
        ]

    def _user_of(self, event: SessionEvent) -> Any:
        """Return the key of an event's user, or what the database is to read it from."""
        if event.user_id is not None or event.session_id is None:
            return self._users.to_key(event.user_id)
        session = self._models.session
        return session.select(session.user_id).where(session.id == event.session_id)

    # Reading

    def find(
        self,
        *,
        user_id: Any = None,
        session_id: str | None = None,
        names: Collection[str] = (),
        since_ms: int | None = None,
        until_ms: int | None = None,
        before: SessionEvent | None = None,
        max_count: int = 100,
    ) -> list[SessionEvent]:
        """Return events, the latest first: of a user, a session, some names, a time.

        ``since_ms`` is within that time, and ``until_ms`` is not; ``before`` is the last event of
        the page before.
        """
        event = self._models.event
        wanted = Wanted(user_id, session_id, tuple(names))
        query = wanted.among(event.select(*event._meta.sorted_fields), event, self._users)
        if since_ms is not None:
            query = query.where(event.at >= since_ms)
        if until_ms is not None:
            query = query.where(event.at < until_ms)
        if before is not None:
            is_earlier = (event.at == before.at_ms) & (event.id < before.id)
            query = query.where((event.at < before.at_ms) | is_earlier)
        query = query.order_by(event.at.desc(), event.id.desc())
        statement = self._runner.compile(query.limit(min(max_count, MAX_LISTED_EVENTS)))
        rows = self._runner.read_rows(statement, user_id=wanted.key(self._users))
        return [to_event(row, self._models, self._users) for row in rows]

    # Forgetting

    def delete_all_of(self, user_id: Any) -> int:
        """Delete every event of a user; return how many there were."""
        return self._runner.write(
            self._runner.compile(self._models.event.delete().where(self._is_of_user)),
            user_id=self._users.key_or_null(user_id),
        )

    def anonymise_all_of(self, user_id: Any) -> int:
        """Take out of a user's events whose they are and where they came from; return how many.

        What is left counts: names, reasons, methods and instants.
        """
        event = self._models.event
        gone = dict.fromkeys(
            (event.user_id, event.session_id, event.address, event.user_agent), None
        )
        query = event.update({**gone, event.details: "{}"}).where(self._is_of_user)
        return self._runner.write(
            self._runner.compile(query), user_id=self._users.key_or_null(user_id)
        )

    @property
    def _is_of_user(self) -> Any:
        return self._users.is_of_user(self._models.event.user_id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are asked for: those of a user, of a session, of some names; or all."""

    user_id: Any = None
    session_id: str | None = None
    names: tuple[str, ...] = ()

    def among(self, query: Any, event: Any, users: UserColumns) -> Any:
        """Return a query for their rows alone; a user's key fills the slot ``user_id``."""
        if self.user_id is not None:
            query = query.where(users.is_of_user(event.user_id))
        if self.session_id is not None:
            query = query.where(event.session_id == self.session_id)
        if self.names:
            query = query.where(event.name.in_(sorted(self.names)))
        return query

    def key(self, users: UserColumns) -> Any:
        return None if self.user_id is None else users.key_or_null(self.user_id)


def to_event(row: Sequence[Any], models: Models, users: UserColumns) -> SessionEvent:
    """Return the event of a row that has all columns, in their order."""
    found = dict(zip(models.event._meta.sorted_field_names, row, strict=True))
    user_id, reason = found["user_id"], found["reason"]
    method = {} if found["method"] is None else {"method": found["method"]}
    return SessionEvent(
        name=found["name"],
        at_ms=found["at"],
        session_id=found["session_id"],
        user_id=None if user_id is None else users.from_key(user_id),
        reason=None if reason is None else EndReason(reason),
        address=found["address"],
        details={**method, **json.loads(found["details"])},
        user_agent=found["user_agent"],
        id=found["id"],
    )


def _value(value: Any) -> Any:
    return value if isinstance(value, peewee.Node) else peewee.Value(value, converter=False)


def _to_json(details: Mapping[str, Any]) -> str:
    known = {name: _bounded(value) for name, value in details.items() if value is not None}
    return json.dumps(known, separators=(",", ":"), sort_keys=True)


def _bounded(value: Any) -> Any:
    if isinstance(value, (bool, int)):
        return value
    return clean_text(str(value), max_length=_MAX_VALUE_CHARACTERS)
