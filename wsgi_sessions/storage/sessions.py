"""Sessions: what reads, begins and changes them; every change is compare-and-set.

A method tells "not there" by None, "somebody was faster" by False, and a database that does not
answer by ``StoreUnavailableError``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from peewee import JOIN

from ..records import Change, SessionRecord, UserRecord
from .runner import Runner
from .server_clock import ServerClock
from .session_columns import SessionColumns, judged_values
from .statements import Statement, computed_once, slot
from .user_columns import is_exactly, is_spelled_alike
from .users import UserStore

MAX_LISTED_SESSIONS = 1000
"""No list of sessions has more rows."""
_MAX_ADDRESS_LENGTH = 45
_MAX_AGENT_LENGTH = 512
_FIELD_COUNT = len(SessionRecord._fields)

FoundSession = tuple[SessionRecord, UserRecord | None]
Data = tuple[str, int]
"""The JSON text of a session's data, and its version."""


class SessionStore:
    """The sessions of one database."""

    def __init__(
        self,
        runner: Runner,
        columns: SessionColumns,
        *,
        users: UserStore,
        clock: ServerClock,
    ) -> None:
        self._runner = runner
        self._connections = runner.connections
        self._columns = columns
        self._user_columns = columns.users
        self._session = columns.session
        self._users = users
        self._clock = clock
        self._has_own_users = columns.users.has_own_model

    # Reading

    def find(self, session_id: str, *, anew: bool = False) -> FoundSession | None:
        """Return a session, live or ended, and its user: one SELECT, no transaction.

        ``anew``: it was read before, and has changed since. A user who was made after the
        session had begun is another one, with the id of one who is gone.
        """
        if anew and self._connections.may_read_stale_rows:
            return self._find_locked(session_id)
        # Every validated request comes this way: no field is touched.
        row = self._connections.read_row(self._find.sql, (session_id,))
        if row is None:
            return None
        # First: the answer to another question may have any number of values.
        if row[0] != session_id:
            self._refuse_other(row[0], session_id)
            return None
        values = iter(row)
        session = SessionRecord._make(islice(values, _FIELD_COUNT))
        user = UserRecord._make(values)
        if self._has_own_users:
            return self._converted_with_user(session, user)
        return session, None if user.id is None else user

    @computed_once
    def _find(self) -> Statement:
        session, users = self._session, self._user_columns
        return self._runner.compile(
            session.select(*self._columns.fields.values(), *users.selected)
            .join(users.user, JOIN.LEFT_OUTER, on=users.is_key(session.user_id))
            .where(session.id == slot("id"))
        )

    def _find_locked(self, session_id: str) -> FoundSession | None:
        # Alone: who locked the user with it would meet a sign-in, which takes them in turn.
        row = self._runner.read_row(self._lock, id=session_id)
        if row is None:
            return None
        if row[0] != session_id:
            self._refuse_other(row[0], session_id)
            return None
        session = self._converted(row)
        user = None if session.user_id is None else self._users.find(session.user_id)
        return session, None if user is None or self._is_successor(user, session) else user

    @computed_once
    def _lock(self) -> Statement:
        session = self._session
        query = session.select(*self._columns.fields.values()).where(session.id == slot("id"))
        return self._runner.compile(self._runner.dialect.for_update(query))

    def _refuse_other(self, found: object, wanted: str) -> None:
        """Raise, unless a collation may have taken one id for the other.

        Any other row is the answer to another question: somebody else reads this connection.
        """
        if not is_spelled_alike(found, wanted):
            raise self._connections.refuse_other_row()

    def list_live(
        self, user_id: Any, now_ms: int, *, max_count: int = MAX_LISTED_SESSIONS
    ) -> list[SessionRecord]:
        """Return a user's sessions that are not ended and not expired, the latest seen first."""
        return self._list_by(self._list, user_id, now_ms, max_count)

    @computed_once
    def _list(self) -> Statement:
        session = self._session
        return self._listing(session.ended_at.is_null() & (session.expires_at > slot("now")))

    def list_locked(self, user_id: Any, now_ms: int, *, max_count: int) -> list[SessionRecord]:
        """List a locked user's live sessions as they are, not as they were at some first read."""
        is_past = self._connections.may_read_stale_rows
        return self._list_by(self._lock_list if is_past else self._list, user_id, now_ms, max_count)

    @computed_once
    def _lock_list(self) -> Statement:
        columns = self._columns
        is_live = columns.is_live & columns.expires_after(slot("now"))
        return self._listing(is_live, is_locking=True)

    def _listing(self, condition: Any, *, is_locking: bool = False) -> Statement:
        session = self._session
        query = (
            session.select(*self._columns.fields.values())
            .where(self._columns.is_of_user & condition)
            .order_by(session.last_seen_at.desc(), session.created_at.desc(), session.id)
            .limit(slot("max_count"))
        )
        return self._runner.compile(self._runner.dialect.for_update(query) if is_locking else query)

    def _list_by(
        self, statement: Statement, user_id: Any, now_ms: int, max_count: int
    ) -> list[SessionRecord]:
        wanted = self._user_columns.key_or_null(user_id)
        rows = self._runner.read_rows(statement, user_id=wanted, now=now_ms, max_count=max_count)
        return [self._converted(row) for row in rows]

    # Beginning and changing

    def insert(self, session: SessionRecord) -> None:
        """Add a session; whatever limits there are is for the caller to know."""
        values: dict[str, Any] = session._asdict()
        values["user_id"] = self._user_columns.to_key(session.user_id)
        for name in ("remember", "is_settled", "caught_up"):
            values[name] = bool(values[name])
        values["user_agent"] = _clean(session.user_agent, max_length=_MAX_AGENT_LENGTH)
        values["ip_address"] = _clean(session.ip_address, max_length=_MAX_ADDRESS_LENGTH)
        self._runner.write(self._insert, **values)

    @computed_once
    def _insert(self) -> Statement:
        values = {field: slot(name) for name, field in self._columns.fields.items()}
        return self._runner.compile(self._session.insert(values))

    def apply(self, judged: SessionRecord, change: Change) -> bool:
        """Write a change if the session still is what was judged; tell whether it landed.

        One that may fail and would have to wait for a lock raises ``StoreUnavailableError``.
        """
        values = {f"new_{name}": value for name, value in change._asdict().items()}
        write = self._runner.write_compared
        if change.may_fail:
            # So nobody waits for it.
            write = self._runner.write_unless_locked
        return write(self._apply, **values, **judged_values(judged)) > 0

    @computed_once
    def _apply(self) -> Statement:
        written = [name for name in Change._fields if name != "may_fail"]
        values = {self._columns.fields[name]: slot(f"new_{name}") for name in written}
        return self._runner.compile(self._session.update(values).where(self._columns.is_judged))

    def merge_data(
        self, session_id: str, operations: Mapping[str, str | None], *, known: Data | None
    ) -> Data | None:
        """Merge changed keys into a live session's data; return the new text and version.

        ``operations`` maps a key to its JSON text, None deletes it. Tried first on the known
        text and version, then on what is stored, under a lock. None: the session has ended,
        and nothing was written.
        """
        if known is not None:
            merged = self._write_merged(session_id, operations, *known)
            if merged is not None:
                return merged

        def merge_locked() -> Data | None:
            row = self._runner.read_row(self._lock_data, id=session_id)
            return None if row is None else self._write_merged(session_id, operations, *row)

        return self._runner.atomically(merge_locked)

    def _write_merged(
        self, session_id: str, operations: Mapping[str, str | None], data: str, version: int
    ) -> Data | None:
        values = json.loads(data)
        for key, text in operations.items():
            if text is None:
                values.pop(key, None)
            else:
                values[key] = json.loads(text)
        merged = json.dumps(values, separators=(",", ":"), sort_keys=True)
        landed = self._runner.write(
            self._set_data, id=session_id, data=merged, version=version + 1, known_version=version
        )
        return (merged, version + 1) if landed else None

    @computed_once
    def _lock_data(self) -> Statement:
        session = self._session
        query = session.select(session.data, session.data_version).where(self._columns.is_live_row)
        return self._runner.compile(self._runner.dialect.for_update(query))

    @computed_once
    def _set_data(self) -> Statement:
        session = self._session
        is_known = self._columns.is_live_row & (session.data_version == slot("known_version"))
        values = {session.data: slot("data"), session.data_version: slot("version")}
        return self._runner.compile(session.update(values).where(is_known))

    # Conversion

    def _converted(self, row: tuple[Any, ...]) -> SessionRecord:
        session = SessionRecord._make(row)
        if not self._has_own_users or session.user_id is None:
            return session
        return session._replace(user_id=self._user_columns.from_key(session.user_id))

    def _converted_with_user(self, session: SessionRecord, user: UserRecord) -> FoundSession:
        record, owner = self._converted(session), self._user_columns.to_record(user)
        if owner is None or not is_exactly(owner.id, record.user_id):
            return record, None
        return record, None if self._is_successor(owner, record) else owner

    def _is_successor(self, user: UserRecord, session: SessionRecord) -> bool:
        """Return whether a user was made after the session of the one who had the id before.

        Nobody was made in the future: a clock that was ahead has written that, who knows when.
        """
        slack_ms = self._user_columns.created_at_slack_ms
        if slack_ms is None or user.created_at_ms <= session.authenticated_at_ms + slack_ms:
            return False
        return user.created_at_ms <= self._clock.now_ms() + slack_ms


def _clean(text: str | None, *, max_length: int) -> str | None:
    """Return text that every database stores: no NUL, no surrogate, not too long."""
    if text is None:
        return None
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode()[:max_length]
