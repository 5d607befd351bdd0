"""Every SQL statement about sessions; all writes to a live one are compare-and-set.

Must not judge. A method tells "not there" by None, "somebody was faster" by False, and a
database that does not answer by ``StoreUnavailableError``: three things, never mixed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import peewee
from peewee import JOIN

from ..clock import Clock
from ..errors import SessionLimitReached
from ..records import Change, EndReason, SessionRecord, UserRecord
from .connections import Connections
from .ending_store import MAX_LISTED, EndingStore
from .models import Models
from .statements import Statement, compile_query, slot
from .tables import Tables
from .timestamps import slack_ms
from .user_store import is_exactly, is_spelled_alike

__all__ = ["Store"]

T = TypeVar("T")

Ended = tuple[tuple[str, EndReason], ...]

_SESSION_FIELDS = len(SessionRecord._fields)


class Store(EndingStore):
    """Sessions, the revocation feed and accounts in one database."""

    def __init__(
        self,
        connections: Connections,
        models: Models,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(connections, models, clock)
        self._compile_session_statements()
        self._tables = Tables(
            connections,
            models,
            read_meta=self.read_meta,
            write_meta_once=self.write_meta_once,
        )
        if connections.is_ready_for != self._tables.name:
            connections.on_first_use = (
                self._tables.create if connections.is_owned else self._tables.check
            )

    def create_tables(self) -> None:
        """Create the tables that are missing; safe when several processes do it at once.

        Raises ``ConfigurationError`` where a table of that name is somebody else's, or holds the
        sessions of another user model.
        """
        self._connections.prepare(self._tables.create)

    def check_tables(self) -> bool:
        """Look, before serving, whether the tables that are there are ours; write nothing.

        Tells whether the database says so, which an empty one does not.
        Raises ``ConfigurationError`` as ``create_tables`` does, and ``StoreUnavailableError``
        when the database does not answer.
        """
        self._tables.is_marked = False
        self._connections.visit(self._tables.look)
        return self._tables.is_marked

    # Reading

    def find_session(
        self, session_id: str, *, anew: bool = False
    ) -> tuple[SessionRecord, UserRecord | None] | None:
        """Return a session, live or ended, and its user: one SELECT, no transaction.

        ``anew``: it was read before, and has changed since. A user who was made after the
        session had begun is another one, with the id of one who is gone.
        """
        if anew and self._connections.may_read_the_past:
            return self._find_locked(session_id)
        row = self._connections.read_row(self._find_sql, (session_id,))
        if row is None:
            return None
        if row[0] != session_id:
            self._refuse_other_row(row[0], session_id)
            return None
        if self._user_key is not None:
            return self._convert_found(row)
        # The way of every validated request: two slices, no field touched.
        if row[_SESSION_FIELDS] is None:
            return SessionRecord._make(row[:_SESSION_FIELDS]), None
        return (
            SessionRecord._make(row[:_SESSION_FIELDS]),
            UserRecord._make(row[_SESSION_FIELDS:]),
        )

    def list_sessions(
        self, user_id: Any, now_ms: int, *, at_most: int = MAX_LISTED
    ) -> list[SessionRecord]:
        """Return a user's sessions that are not ended and not expired, the latest seen first."""
        return self._list_by(self._list, user_id, now_ms, at_most)

    def _find_locked(self, session_id: str) -> tuple[SessionRecord, UserRecord | None] | None:
        # Alone: who locked the user with it would meet a sign-in, which takes them in turn.
        row = self._connections.read_row(self._lock_session_sql, (session_id,))
        if row is None:
            return None
        if row[0] != session_id:
            self._refuse_other_row(row[0], session_id)
            return None
        record = self._convert_session(row)
        user = None if record.user_id is None else self.find_user(record.user_id)
        return record, None if user is None or self._is_successor(user, record) else user

    def _list_locked(self, user_id: Any, now_ms: int, at_most: int) -> list[SessionRecord]:
        """List a locked user's sessions as they are, not as they were at some first read."""
        is_past = self._connections.may_read_the_past
        return self._list_by(self._lock_list if is_past else self._list, user_id, now_ms, at_most)

    def _list_by(
        self, statement: Statement, user_id: Any, now_ms: int, at_most: int
    ) -> list[SessionRecord]:
        values = {"user_id": self.key_or_null(user_id), "now": now_ms, "at_most": at_most}
        rows = self._connections.read_rows(statement.sql, statement.fill(values))
        return [self._convert_session(row) for row in rows]

    def _refuse_other_row(self, found: object, wanted: str) -> None:
        """Raise, unless a collation may have taken one id for the other.

        Any other row is the answer to another question: somebody else reads this connection.
        """
        if not is_spelled_alike(found, wanted):
            raise self._connections.distrust()

    # Beginning

    def insert_session(self, record: SessionRecord) -> None:
        """Add a session that no limit applies to: an anonymous one."""
        self._write(self._insert, self._session_values(record))

    def create_session(
        self,
        record: SessionRecord,
        *,
        replaces: str | None,
        also_ends: str | None = None,
        replaced_reason: EndReason = EndReason.SIGNED_OUT,
        maximum_sessions: int | None,
        on_limit: str,
        only_one: bool,
        find_end: Callable[[SessionRecord], EndReason | None],
        skew_ms: int,
        now_ms: int,
    ) -> tuple[SessionRecord, Ended]:
        """Add a user's session and end what has to go for it, in one transaction.

        The user's row is locked first, so parallel sign-ins come one after the other and never
        leave more than ``maximum_sessions`` live. The data of an anonymous session that is
        replaced is carried over, and that of one of the same user; not that of another user.
        ``also_ends`` is one more that goes, whose data nobody gets: it counts no more either.
        ``find_end`` tells which limit a session is past. One that expired less than ``skew_ms``
        ago is ended too, or a worker whose clock is behind would still count it. Returns what
        was added and what was ended. Raises ``LookupError`` for a user who is gone and
        ``SessionLimitReached`` under ``on_limit="reject"``; then nothing has changed.
        """

        def create() -> tuple[SessionRecord, Ended]:
            if not self.lock_user(record.user_id):
                raise LookupError(f"there is no user with the id {record.user_id!r}")
            created = record
            ended: Ended = ()
            if replaces is not None and self.end_session(
                replaces, reason=replaced_reason, now_ms=now_ms
            ):
                ended = ((replaces, replaced_reason),)
                # Read after it ended: no later request can add to the data any more.
                old = self.find_session(replaces)
                if old is not None and (old[0].user_id is None or _is_same_user(old, record)):
                    created = record._replace(data=old[0].data)
            if also_ends is not None and self.end_session(
                also_ends, reason=replaced_reason, now_ms=now_ms
            ):
                ended += ((also_ends, replaced_reason),)
            # Before the list is locked: who has inserted waits for nobody's list any more.
            self.insert_session(created)
            limit = 1 if only_one else maximum_sessions
            if limit is not None:
                ended += self._make_room(
                    record,
                    limit,
                    may_evict=only_one or on_limit != "reject",
                    reason=EndReason.REVOKED if only_one else EndReason.EVICTED,
                    find_end=find_end,
                    since_ms=now_ms - skew_ms,
                    now_ms=now_ms,
                )
            return created, ended

        return self.atomically(create)

    def _make_room(
        self,
        record: SessionRecord,
        maximum_sessions: int,
        *,
        may_evict: bool,
        reason: EndReason,
        find_end: Callable[[SessionRecord], EndReason | None],
        since_ms: int,
        now_ms: int,
    ) -> Ended:
        """End what is past a limit, and what is one too many beside a session just added."""
        ended: Ended = ()
        at_most = maximum_sessions + MAX_LISTED
        while True:
            listed = self._list_locked(record.user_id, since_ms, at_most)
            live = []
            past: dict[EndReason, list[str]] = {}
            for known in listed:
                if known.id == record.id:
                    continue
                limit = find_end(known)
                if limit is None:
                    live.append(known.id)
                else:
                    past.setdefault(limit, []).append(known.id)
            is_full = len(live) >= maximum_sessions
            if is_full and not may_evict:
                raise SessionLimitReached(
                    f"you are signed in on {len(live)} devices, and {maximum_sessions} is "
                    "the most; sign out on one of them first"
                )
            is_all = len(listed) < at_most
            kept, over = live[: maximum_sessions - 1], live[maximum_sessions - 1 :]
            if is_full and is_all:
                past.setdefault(reason, []).extend(over)
            for why, session_ids in past.items():
                gone = self.end_listed(session_ids, reason=why, now_ms=now_ms)
                ended += tuple((session_id, why) for session_id in gone)
            if is_full and not is_all:
                rest = self.end_all_but(
                    record.user_id,
                    [record.id, *kept],
                    reason=reason,
                    since_ms=since_ms,
                    now_ms=now_ms,
                )
                ended += tuple((each, reason) for each in rest.session_ids)
            if is_full or is_all:
                return ended

    # Changing

    def apply_change(self, judged: SessionRecord, change: Change) -> bool:
        """Write a change if the session still is what was judged; tell whether it landed.

        One that may fail and would have to wait for a lock raises ``StoreUnavailableError``.
        """
        values = {
            **{f"new_{name}": value for name, value in change._asdict().items()},
            **self.judged_values(judged),
        }
        statement = self._change
        if change.may_fail:
            # So nobody waits for it.
            parameters = statement.fill(values)
            return self._connections.write_unless_locked(statement.sql, parameters) > 0
        return self._write_compared(statement, values) > 0

    def merge_data(
        self,
        session_id: str,
        operations: Mapping[str, str | None],
        *,
        known: tuple[str, int] | None,
    ) -> tuple[str, int] | None:
        """Merge changed keys into a live session's data; return the new text and version.

        ``operations`` maps a key to its JSON text, None deletes it. Tried first on the known
        text and version, then on what is stored, under a lock. None: the session has ended,
        and nothing was written.
        """
        if known is not None:
            merged = self._write_merged(session_id, operations, known)
            if merged is not None:
                return merged

        def merge_locked() -> tuple[str, int] | None:
            row = self._connections.read_row(
                self._lock_data.sql, self._lock_data.fill({"id": session_id})
            )
            if row is None:
                return None
            return self._write_merged(session_id, operations, (row[0], row[1]))

        return self.atomically(merge_locked)

    def _write_merged(
        self, session_id: str, operations: Mapping[str, str | None], known: tuple[str, int]
    ) -> tuple[str, int] | None:
        values = json.loads(known[0])
        for key, text in operations.items():
            if text is None:
                values.pop(key, None)
            else:
                values[key] = json.loads(text)
        merged = json.dumps(values, separators=(",", ":"), sort_keys=True)
        version = known[1] + 1
        landed = self._write(
            self._set_data,
            {"id": session_id, "data": merged, "version": version, "known_version": known[1]},
        )
        return (merged, version) if landed else None

    # Statements

    def _compile_session_statements(self) -> None:
        session, user = self._models.session, self._models.user
        columns = [getattr(session, name) for name in SESSION_COLUMNS]
        live = session.ended_at.is_null()
        is_live_row, is_judged = self.is_live_row(), self.is_judged()
        find = (
            session.select(*columns, *self.user_columns())
            .join(user, JOIN.LEFT_OUTER, on=self.is_key(session.user_id))
            .where(session.id == slot("id"))
        )
        self._find_sql = compile_query(find).sql
        self._list = compile_query(
            session.select(*columns)
            .where(self.is_of_user(session.user_id) & live & (session.expires_at > slot("now")))
            .order_by(session.last_seen_at.desc(), session.created_at.desc(), session.id)
            .limit(slot("at_most"))
        )
        self._lock_session_sql = compile_query(
            self.for_update(session.select(*columns).where(session.id == slot("id")))
        ).sql
        # Written so that no planner takes the index of ended_at or expires_at, and locks a range
        # of it: two sign-ins of different users would wait for each other.
        self._lock_list = compile_query(
            self.for_update(
                session.select(*columns)
                .where(
                    self.is_of_user(session.user_id)
                    & self._is_live
                    & (peewee.fn.COALESCE(session.expires_at, 0) > slot("now"))
                )
                .order_by(session.last_seen_at.desc(), session.created_at.desc(), session.id)
                .limit(slot("at_most"))
            )
        )
        self._insert = compile_query(
            session.insert({getattr(session, name): slot(name) for name in SESSION_COLUMNS})
        )
        self._change = compile_query(
            session.update(
                {
                    session.generation: slot("new_generation"),
                    session.branch: slot("new_branch"),
                    session.branch_before: slot("new_branch_before"),
                    session.is_settled: slot("new_is_settled"),
                    session.caught_up: slot("new_caught_up"),
                    session.confirmed_at: slot("new_confirmed_at_ms"),
                    session.authenticated_at: slot("new_authenticated_at_ms"),
                    session.updated_at: slot("new_updated_at_ms"),
                    session.last_seen_at: slot("new_last_seen_at_ms"),
                    session.expires_at: slot("new_expires_at_ms"),
                }
            ).where(is_judged)
        )
        self._set_data = compile_query(
            session.update(
                {session.data: slot("data"), session.data_version: slot("version")}
            ).where(is_live_row & (session.data_version == slot("known_version")))
        )
        lock_data = session.select(session.data, session.data_version).where(is_live_row)
        self._lock_data = compile_query(self.for_update(lock_data))

    # Conversion

    def _session_values(self, record: SessionRecord) -> dict[str, Any]:
        values: dict[str, Any] = dict(zip(SESSION_COLUMNS, record, strict=True))
        values["user_id"] = self.to_column(record.user_id)
        for name in ("remember", "is_settled", "caught_up"):
            values[name] = bool(values[name])
        values["user_agent"] = clean_text(record.user_agent, longest=512)
        values["ip_address"] = clean_text(record.ip_address, longest=45)
        return values

    def _convert_session(self, row: tuple[Any, ...]) -> SessionRecord:
        record = SessionRecord._make(row)
        if self._user_key is None or record.user_id is None:
            return record
        return record._replace(user_id=self._user_key.python_value(record.user_id))

    def _convert_found(self, row: tuple[Any, ...]) -> tuple[SessionRecord, UserRecord | None]:
        record = self._convert_session(row[:_SESSION_FIELDS])
        user = self.user_from_row(row[_SESSION_FIELDS:])
        if user is None or not is_exactly(user.id, record.user_id):
            return record, None
        return record, None if self._is_successor(user, record) else user

    def _is_successor(self, user: UserRecord, record: SessionRecord) -> bool:
        """Tell whether a user was made after the session of the one who had the id before.

        Nobody was made in the future: a clock that was ahead has written that, who knows when.
        """
        field = self._models.user_fields["created_at"]
        if not self._models.has_own_user or field is None:
            return False
        slack = slack_ms(field)
        if user.created_at_ms <= record.authenticated_at_ms + slack:
            return False
        return self._clock is None or user.created_at_ms <= self._shared_now_ms() + slack

    def _shared_now_ms(self) -> int:
        """Return what the clock says that all processes share."""
        assert self._clock is not None
        said_ms = None if self._is_clock_shared else self.read_clock()
        return self._clock.now_ms() if said_ms is None else said_ms


SESSION_COLUMNS = (
    "id",
    "user_id",
    "generation",
    "branch",
    "branch_before",
    "is_settled",
    "caught_up",
    "confirmed_at",
    "created_at",
    "authenticated_at",
    "updated_at",
    "last_seen_at",
    "expires_at",
    "remember",
    "ip_address",
    "user_agent",
    "data",
    "data_version",
    "ended_at",
    "end_reason",
)


def _is_same_user(found: tuple[SessionRecord, UserRecord | None], record: SessionRecord) -> bool:
    # Without a user it is that of somebody who is gone, and whose id was given out again.
    return found[1] is not None and found[0].user_id == record.user_id


def clean_text(text: str | None, *, longest: int) -> str | None:
    """Return text that every database stores: no NUL, no surrogate, not too long."""
    if text is None:
        return None
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode()[:longest]
