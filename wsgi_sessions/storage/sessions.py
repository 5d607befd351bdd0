"""Sessions: what reads, begins and changes them; every change is compare-and-set.

A method tells "not there" by None, "somebody was faster" by False, and a database that does not
answer by ``StoreUnavailableError``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import peewee

from ..light_dataclasses import dataclass
from ..records import Change, SessionRecord, UserRecord
from .connections import Row
from .server_clock import ServerClock
from .statements import Runner, Statement, compiled_once, slot
from .user_columns import UserColumns, is_exactly, is_spelled_alike
from .users import UserStore

MAX_LISTED_SESSIONS = 1000
"""No list of sessions has more rows."""
_CLIENT_TEXTS = {
    "ip_address": 45,
    "user_agent": 512,
    "last_ip_address": 45,
    "last_user_agent": 512,
}
"""What clients say of themselves, and how many characters of it are stored."""
_FIELD_COUNT = len(SessionRecord._fields)
_COMPARED = ("generation", "branch", "is_settled", "expires_at_ms", "last_seen_at_ms")
"""What a session has to have kept, beside its id, since it was judged."""

FoundSession = tuple[SessionRecord, UserRecord | None]
UsedFrom = tuple[str | None, str | None]
"""An address and a user agent."""
Data = tuple[str, int]
"""The JSON text of a session's data, and its version."""
Operations = Mapping[str, str | None]
"""What to write to the data: the JSON text of each key that changed, None for a deleted one."""


@dataclass(eq=False)
class SessionStore:
    _runner: Runner
    _columns: SessionColumns
    _users: UserStore
    _clock: ServerClock

    # Reading

    def find(self, session_id: str, *, anew: bool = False) -> FoundSession | None:
        """Return a session, live or ended, and its user: one SELECT, no transaction.

        ``anew``: it was read before, and has changed since, or is about to be refused; what is
        read then shows all that was written before. A user who was made after the
        session had begun is another one, with the id of one who is gone.
        """
        connections = self._runner.connections
        if anew and connections.may_read_stale_rows:
            return self._find_locked(session_id)
        # Every validated request comes this way: no field is touched.
        read_row = connections.read_row_anew if anew else connections.read_row
        row = read_row(self._find.sql, (session_id,))
        # First: the answer to another question may have any number of values.
        if row is None or row[0] != session_id:
            self._refuse_other(row, session_id)
            return None
        # What ``_make`` does, without a call of Python each.
        session = tuple.__new__(SessionRecord, row[:_FIELD_COUNT])
        user = tuple.__new__(UserRecord, row[_FIELD_COUNT:])
        if self._columns.users.has_own_model:
            return self._converted_with_user(session, user)
        return session, None if user.id is None else user

    @compiled_once
    def _find(self) -> Any:
        session, users = self._columns.session, self._columns.users
        return (
            session.select(*self._columns.fields.values(), *users.selected)
            .join(users.user, peewee.JOIN.LEFT_OUTER, on=users.is_key(session.user_id))
            .where(session.id == slot("id"))
        )

    def _find_locked(self, session_id: str) -> FoundSession | None:
        # Alone: who locked the user with it would meet a sign-in, which takes them in turn.
        row = self._runner.read_row(self._lock, id=session_id)
        if row is None or row[0] != session_id:
            self._refuse_other(row, session_id)
            return None
        session = self._converted(row)
        user = None if session.user_id is None else self._users.find(session.user_id)
        return session, None if user is None or self._is_successor(user, session) else user

    @compiled_once
    def _lock(self) -> Any:
        session = self._columns.session
        query = session.select(*self._columns.fields.values()).where(session.id == slot("id"))
        return self._runner.dialect.for_update(query)

    def _refuse_other(self, row: Row | None, wanted: str) -> None:
        """Raise for another session's row, unless a collation may have taken its id for this one.

        Any other row is the answer to another question: somebody else reads this connection.
        """
        if row is not None and not is_spelled_alike(row[0], wanted):
            raise self._runner.connections.refuse_other_row()

    def count_live(self, now_ms: int) -> int:
        """Return how many sessions are not ended and not expired: a scan of those rows."""
        row = self._runner.read_row(self._count, now=now_ms)
        return 0 if row is None else int(row[0])

    @compiled_once
    def _count(self) -> Any:
        session = self._columns.session
        is_live = session.ended_at.is_null() & (session.expires_at > slot("now"))
        return session.select(peewee.fn.COUNT(session.id)).where(is_live)

    def list_live(self, user_id: Any, now_ms: int) -> list[SessionRecord]:
        """Return a user's sessions that are not ended and not expired, the latest seen first."""
        return self._list_by(self._list, user_id, now_ms, MAX_LISTED_SESSIONS)

    @compiled_once
    def _list(self) -> Any:
        session = self._columns.session
        return self._listing(session.ended_at.is_null() & (session.expires_at > slot("now")))

    def list_locked(self, user_id: Any, now_ms: int, *, max_count: int) -> list[SessionRecord]:
        """List a locked user's live sessions as they are, not as they were at some first read."""
        is_past = self._runner.connections.may_read_stale_rows
        return self._list_by(self._lock_list if is_past else self._list, user_id, now_ms, max_count)

    @compiled_once
    def _lock_list(self) -> Any:
        columns = self._columns
        listing = self._listing(columns.is_live & columns.expires_after(slot("now")))
        return self._runner.dialect.for_update(listing)

    def _listing(self, is_live: Any) -> Any:
        session = self._columns.session
        return (
            session.select(*self._columns.fields.values())
            .where(self._columns.is_of_user & is_live)
            .order_by(session.last_seen_at.desc(), session.created_at.desc(), session.id)
            .limit(slot("max_count"))
        )

    def _list_by(
        self, statement: Statement, user_id: Any, now_ms: int, max_count: int
    ) -> list[SessionRecord]:
        wanted = self._columns.users.key_or_null(user_id)
        rows = self._runner.read_rows(statement, user_id=wanted, now=now_ms, max_count=max_count)
        return [self._converted(row) for row in rows]

    def list_ended(
        self,
        user_id: Any,
        *,
        since_ms: int,
        now_ms: int,
        seen_until_ms: int | None = None,
        begun_until_ms: int | None = None,
        max_count: int,
    ) -> list[SessionRecord]:
        """Return a user's sessions that ended or expired after an instant, the latest first.

        One that is past a limit may not be marked so: nobody has come with it since. ``seen_until``
        and ``begun_until`` are the instants that are an idle and an absolute limit ago.
        """
        values = {
            "user_id": self._columns.users.key_or_null(user_id),
            "since": since_ms,
            "now": now_ms,
            "seen_until": -1 if seen_until_ms is None else seen_until_ms,
            "begun_until": -1 if begun_until_ms is None else begun_until_ms,
            "max_count": max_count,
        }
        return [self._converted(row) for row in self._runner.read_rows(self._list_ended, **values)]

    @compiled_once
    def _list_ended(self) -> Any:
        session, since = self._columns.session, slot("since")
        is_past_a_limit = (
            (session.expires_at <= slot("now"))
            | (session.last_seen_at <= slot("seen_until"))
            | (session.authenticated_at <= slot("begun_until"))
        )
        has_expired = session.ended_at.is_null() & is_past_a_limit & (session.expires_at > since)
        is_over = (session.ended_at > since) | has_expired
        ended_at = peewee.fn.COALESCE(session.ended_at, session.expires_at)
        return (
            session.select(*self._columns.fields.values())
            .where(self._columns.is_of_user & is_over)
            .order_by(ended_at.desc(), session.id)
            .limit(slot("max_count"))
        )

    def find_places(self, user_id: Any, *, but_in: str, since_ms: int) -> list[UsedFrom]:
        """Return what a user's sessions began in or were used from last, but for one session.

        Of those that are kept, live and ended, and that began at an instant or later.
        """
        wanted = self._columns.users.key_or_null(user_id)
        rows = self._runner.read_rows(
            self._find_places, user_id=wanted, session_id=but_in, since=since_ms
        )
        return [pair for row in rows for pair in (row[:2], row[2:])]

    @compiled_once
    def _find_places(self) -> Any:
        session = self._columns.session
        places = [self._columns.fields[name] for name in _CLIENT_TEXTS]
        is_earlier = (session.id != slot("session_id")) & (session.created_at >= slot("since"))
        return (
            session.select(*places)
            .distinct()
            .where(self._columns.is_of_user & is_earlier)
            .limit(MAX_LISTED_SESSIONS)
        )

    # Beginning and changing

    def insert(self, session: SessionRecord) -> None:
        """Add a session; whatever limits there are is for the caller to know."""
        values: dict[str, Any] = session._asdict()
        values["user_id"] = self._columns.users.to_key(session.user_id)
        for name in ("remember", "is_settled", "caught_up"):
            values[name] = bool(values[name])
        for name, max_length in _CLIENT_TEXTS.items():
            values[name] = clean_text(values[name], max_length=max_length)
        self._runner.write(self._insert, **values)

    @compiled_once
    def _insert(self) -> Any:
        values = {field: slot(name) for name, field in self._columns.fields.items()}
        return self._columns.session.insert(values)

    def apply(self, judged: SessionRecord, change: Change) -> bool:
        """Write a change if the session still is what was judged; tell whether it landed.

        One that may fail and would have to wait for a lock raises ``StoreUnavailableError``.
        """
        values = {f"new_{name}": value for name, value in change._asdict().items()}
        for name in ("last_ip_address", "last_user_agent"):
            values[f"new_{name}"] = clean_text(
                values[f"new_{name}"], max_length=_CLIENT_TEXTS[name]
            )
        runner = self._runner
        # Nobody waits for what may fail.
        write = runner.write_unless_locked if change.may_fail else runner.write_compared
        return write(self._apply, **values, **judged_values(judged)) > 0

    @compiled_once
    def _apply(self) -> Any:
        written = [name for name in Change._fields if name != "may_fail"]
        values = {self._columns.fields[name]: slot(f"new_{name}") for name in written}
        return self._columns.session.update(values).where(self._columns.is_judged)

    def merge_data(
        self, session_id: str, operations: Operations, *, known: Data | None
    ) -> Data | None:
        """Merge changed keys into a live session's data; return the new text and version.

        Tried first on the known text and version, then on what is stored, under a lock. None:
        the session has ended, and nothing was written.
        """
        if known is not None:
            merged = self._write_merged(session_id, operations, *known)
            if merged is not None:
                return merged

        def merge_locked() -> Data | None:
            row = self._runner.read_row(self._lock_data, id=session_id)
            if row is None:
                self._runner.connections.require_synchronised()
                return None
            return self._write_merged(session_id, operations, *row)

        return self._runner.atomically(merge_locked)

    def _write_merged(
        self, session_id: str, operations: Operations, data: str, version: int
    ) -> Data | None:
        merged = merged_data(data, operations)
        landed = self._runner.write(
            self._set_data, id=session_id, data=merged, version=version + 1, known_version=version
        )
        return (merged, version + 1) if landed else None

    @compiled_once
    def _lock_data(self) -> Any:
        session = self._columns.session
        query = session.select(session.data, session.data_version).where(self._columns.is_live_row)
        return self._runner.dialect.for_update(query)

    @compiled_once
    def _set_data(self) -> Any:
        session = self._columns.session
        is_known = self._columns.is_live_row & (session.data_version == slot("known_version"))
        values = {session.data: slot("data"), session.data_version: slot("version")}
        return session.update(values).where(is_known)

    # Conversion

    def _converted(self, row: tuple[Any, ...]) -> SessionRecord:
        session = SessionRecord._make(row)
        users = self._columns.users
        if not users.has_own_model or session.user_id is None:
            return session
        return session._replace(user_id=users.from_key(session.user_id))

    def _converted_with_user(self, session: SessionRecord, user: UserRecord) -> FoundSession:
        record, owner = self._converted(session), self._columns.users.to_record(user)
        if owner is None or not is_exactly(owner.id, record.user_id):
            return record, None
        return record, None if self._is_successor(owner, record) else owner

    def _is_successor(self, user: UserRecord, session: SessionRecord) -> bool:
        """Return whether a user was made after the session of the one who had the id before.

        Nobody was made in the future: a clock that was ahead has written that, who knows when.
        """
        slack_ms = self._columns.users.created_at_slack_ms
        if slack_ms is None or user.created_at_ms <= session.authenticated_at_ms + slack_ms:
            return False
        return user.created_at_ms <= self._clock.now_ms() + slack_ms


class SessionColumns:
    """Conditions on rows of the session table; each with a slot names what fills it."""

    def __init__(self, session: Any, users: UserColumns) -> None:
        self.session = session
        self.users = users
        self.fields = session_fields(session)

    @property
    def is_live(self) -> Any:
        """Not ended: written so that no planner takes the index of ``ended_at``.

        MariaDB would lock a gap of it, and the ends of other sessions, or the sign-ins and
        sign-ups of other users, would wait.
        """
        return peewee.fn.COALESCE(self.session.ended_at, 0) == 0

    def expires_after(self, instant: Any) -> Any:
        """Return what finds unexpired sessions; no planner takes the index of ``expires_at``."""
        return peewee.fn.COALESCE(self.session.expires_at, 0) > instant

    @property
    def is_of_user(self) -> Any:
        return self.users.is_of_user(self.session.user_id)

    @property
    def is_live_row(self) -> Any:
        return (self.session.id == slot("id")) & self.is_live

    @property
    def is_judged(self) -> Any:
        """A live session that still is what was judged: ``judged_values``."""
        is_judged = self.is_live_row
        for name in _COMPARED:
            is_judged &= self.fields[name] == slot(f"judged_{name}")
        return is_judged


def session_fields(model: Any) -> dict[str, Any]:
    return {name: getattr(model, name.removesuffix("_ms")) for name in SessionRecord._fields}


def judged_values(judged: SessionRecord) -> dict[str, Any]:
    compared = {f"judged_{name}": getattr(judged, name) for name in _COMPARED}
    return {**compared, "id": judged.id, "judged_is_settled": bool(judged.is_settled)}


def merged_data(data: str, operations: Operations) -> str:
    values = json.loads(data)
    for key, text in operations.items():
        if text is None:
            values.pop(key, None)
        else:
            values[key] = json.loads(text)
    return encode_data(values)


def encode_data(value: Any) -> str:
    """Return JSON, the same text for equal values."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def clean_text(text: str | None, *, max_length: int) -> str | None:
    """Return text that every database stores: no NUL, no surrogate, not too long."""
    if text is None:
        return None
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode()[:max_length]
