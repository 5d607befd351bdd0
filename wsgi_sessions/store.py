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

from .account_store import AccountStore
from .connections import Connections
from .errors import SessionLimitReached, StoreUnavailableError
from .models import Models
from .records import Change, EndReason, SessionRecord, UserRecord
from .statements import Statement, compile_query, slot

__all__ = ["Store"]

T = TypeVar("T")

Ended = tuple[tuple[str, EndReason], ...]

_SESSION_FIELDS = len(SessionRecord._fields)
_MOST_MERGES = 5
_TABLES_LOCK = int.from_bytes(b"wsgi_ses", "big")


class Store(AccountStore):
    """Sessions, the revocation feed and accounts in one database."""

    def __init__(
        self,
        connections: Connections,
        models: Models,
    ) -> None:
        super().__init__(connections, models)
        self._compile_session_statements()
        if connections.is_owned:
            connections.on_first_use = self.create_tables

    def create_tables(self) -> None:
        """Create the tables that are missing; safe when several processes do it at once."""
        database = self._connections.database
        models = list(self._models.created_here)

        def create() -> None:
            database.create_tables(models, safe=True)

        def create_in_turn() -> None:
            # IF NOT EXISTS alone lets two processes collide: in the catalogue of PostgreSQL
            # (whose lock ends with the transaction), and over an index of MariaDB.
            if self._connections.is_mysql:
                database.execute_sql("SELECT GET_LOCK('wsgi_sessions.tables', 60)")
                try:
                    create()
                finally:
                    database.execute_sql("SELECT RELEASE_LOCK('wsgi_sessions.tables')")
                return
            # Where all are there nothing is locked: a worker that starts anew must not get
            # into the way of those at work.
            if all(map(self._is_there, models)):
                return
            with database.atomic():
                database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (_TABLES_LOCK,))
                if not all(map(self._is_there, models)):
                    create()

        self._connections.run(create if self._connections.is_sqlite else create_in_turn)

    def _is_there(self, model: Any) -> bool:
        """Tell whether PostgreSQL finds a model's table, wherever it looks for it."""
        name = ".".join(
            f'"{part}"' for part in (model._meta.schema, model._meta.table_name) if part
        )
        found = self._connections.database.execute_sql("SELECT to_regclass(%s)", (name,))
        return found.fetchone()[0] is not None

    def atomically(self, work: Callable[[], T]) -> T:
        """Run several of these methods all or none; nested calls join."""
        return self._connections.atomically(work)

    # Reading

    def find_session(self, session_id: str) -> tuple[SessionRecord, UserRecord | None] | None:
        """Return a session, live or ended, and its user: one SELECT, no transaction."""
        row = self._connections.read_row(self._find_sql, (session_id,))
        if row is None:
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

    def list_sessions(self, user_id: Any, now_ms: int) -> list[SessionRecord]:
        """Return a user's sessions that are not ended and not expired, the latest seen first."""
        statement = self._list
        rows = self._connections.read_rows(
            statement.sql, statement.fill({"user_id": self.to_column(user_id), "now": now_ms})
        )
        return [self._convert_session(row) for row in rows]

    def find_revocations(self, since_ms: int) -> list[tuple[str | None, int | None, int]]:
        """Return the feed's rows since an instant: session id, or "all before", and when."""
        statement = self._find_feed
        rows = self._connections.read_rows(statement.sql, statement.fill({"since": since_ms}))
        return [(row[0], row[1], row[2]) for row in rows]

    # Beginning

    def insert_session(self, record: SessionRecord) -> None:
        """Add a session that no limit applies to: an anonymous one."""
        self._write(self._insert, self._session_values(record))

    def admit_session(
        self,
        record: SessionRecord,
        *,
        replaces: str | None,
        maximum_sessions: int | None,
        on_limit: str,
        only_one: bool,
        find_end: Callable[[SessionRecord], EndReason | None],
        skew_ms: int,
        now_ms: int,
    ) -> Ended:
        """Add a user's session and end what has to go for it, in one transaction.

        The user's row is locked first, so parallel sign-ins come one after the other and never
        leave more than ``maximum_sessions`` live. ``find_end`` tells which limit a session is
        past. One that expired less than ``skew_ms``
        ago is ended too, or a worker whose clock is behind would still count it. Returns what
        was ended. Raises
        ``SessionLimitReached`` under ``on_limit="reject"``; then nothing has changed.
        """

        def admit() -> Ended:
            self.lock_user(record.user_id)
            going: list[tuple[str, EndReason]] = []
            if replaces is not None:
                going.append((replaces, EndReason.SIGNED_OUT))
            live = []
            for known in self.list_sessions(record.user_id, now_ms - skew_ms):
                if known.id == replaces:
                    continue
                reason = find_end(known)
                if reason is None:
                    live.append(known)
                else:
                    going.append((known.id, reason))
            if only_one:
                going += [(known.id, EndReason.REVOKED) for known in live]
            elif maximum_sessions is not None and len(live) >= maximum_sessions:
                if on_limit == "reject":
                    raise SessionLimitReached(
                        f"you are signed in on {len(live)} devices, and {maximum_sessions} is "
                        "the most; sign out on one of them first"
                    )
                going += [(known.id, EndReason.EVICTED) for known in live[maximum_sessions - 1 :]]
            ended = tuple(
                (session_id, reason)
                for session_id, reason in going
                if self.end_session(session_id, reason=reason, now_ms=now_ms)
            )
            self.insert_session(record)
            return ended

        return self.atomically(admit)

    # Changing

    def apply_change(self, judged: SessionRecord, change: Change) -> bool:
        """Write a change if the session still is what was judged; tell whether it landed."""
        values = {
            **{f"new_{name}": value for name, value in change._asdict().items()},
            **self._judged_values(judged),
        }
        return self._write(self._change, values) > 0

    def merge_data(
        self,
        session_id: str,
        operations: Mapping[str, str | None],
        *,
        known: tuple[str, int] | None,
    ) -> tuple[str, int] | None:
        """Merge changed keys into a live session's data; return the new text and version.

        ``operations`` maps a key to its JSON text, None deletes it. Tried first on the known
        text and version, then on what is stored, at last under a lock. None: the session has
        ended, and nothing was written.
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

        for _ in range(_MOST_MERGES):
            merged = self.atomically(merge_locked)
            if merged is not None:
                return merged
            found = self.find_session(session_id)
            if found is None or found[0].ended_at_ms is not None:
                return None
        raise StoreUnavailableError("the session's data was changed again and again; try later")

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

    # Ending

    def end_session(
        self,
        session_id: str,
        *,
        reason: EndReason,
        now_ms: int,
        judged: SessionRecord | None = None,
        with_feed: bool = True,
    ) -> bool:
        """End a live session; tell whether this call did it.

        With ``judged``, only if it still is what was judged. The feed's row is written in the
        same transaction; without it nothing tells cached copies.
        """
        values: dict[str, Any] = {"id": session_id, "reason": reason.value, "now": now_ms}
        statement = self._end
        if judged is not None:
            statement = self._end_judged
            values.update(self._judged_values(judged))

        def end() -> bool:
            if self._write(statement, values) == 0:
                return False
            if with_feed:
                self._write(self._feed, {"session_id": session_id, "before": None, "now": now_ms})
            return True

        return self.atomically(end) if with_feed else end()

    def end_user_sessions(
        self, user_id: Any, *, reason: EndReason, now_ms: int, except_id: str | None = None
    ) -> tuple[str, ...]:
        """End all live sessions of a user, but one if it is named; return their ids."""

        def end() -> tuple[str, ...]:
            # Locked, or a sign-in under way could slip in between the list and the ends.
            self.lock_user(user_id)
            return tuple(
                record.id
                for record in self.list_sessions(user_id, now_ms)
                if record.id != except_id
                and self.end_session(record.id, reason=reason, now_ms=now_ms)
            )

        return self.atomically(end)

    def end_all_sessions(self, *, now_ms: int) -> int:
        """End every session there is; return how many were not ended before."""

        def end() -> int:
            count = self._write(self._end_all, {"reason": EndReason.REVOKED.value, "now": now_ms})
            self._write(self._feed, {"session_id": None, "before": now_ms, "now": now_ms})
            return count

        return self.atomically(end)

    def delete_user(self, user_id: Any, now_ms: int) -> bool:
        """Delete a user and their accounts and end their sessions, all or nothing."""

        def delete() -> bool:
            self.end_user_sessions(user_id, reason=EndReason.USER_DELETED, now_ms=now_ms)
            return self.delete_user_row(user_id)

        return self.atomically(delete)

    def purge(
        self,
        now_ms: int,
        *,
        keep_ended_ms: int,
        feed_age_ms: int,
        attempt_age_ms: int,
        batch_rows: int = 500,
    ) -> int:
        """Delete at most a batch of rows of each kind that has had its time; 0 means done."""
        return sum(
            self._delete_batch(select_sql, delete_sql, limit_ms, batch_rows)
            for select_sql, delete_sql, limit_ms in (
                (self._old_ended, self._delete_sessions, now_ms - keep_ended_ms),
                (self._old_expired, self._delete_sessions, now_ms - keep_ended_ms),
                (self._old_feed, self._delete_feed, now_ms - feed_age_ms),
                (self._old_attempts, self._delete_attempts, now_ms - attempt_age_ms),
            )
        )

    def _delete_batch(
        self, select: Statement, delete: Callable[[list[Any]], Any], limit_ms: int, rows: int
    ) -> int:
        found = self._connections.read_rows(
            select.sql, select.fill({"limit": limit_ms, "rows": rows})
        )
        if not found:
            return 0
        statement = compile_query(delete([row[0] for row in found]))
        return self._connections.write(statement.sql, statement.fill({}))

    # Statements

    def _compile_session_statements(self) -> None:
        session, user = self._models.session, self._models.user
        key = user._meta.primary_key
        columns = [getattr(session, name) for name in SESSION_COLUMNS]
        live = session.ended_at.is_null()
        # Written so that no planner takes the index of ended_at: MariaDB would lock a gap of it,
        # and the ends of other sessions would wait.
        is_live_row = (session.id == slot("id")) & (peewee.fn.COALESCE(session.ended_at, 0) == 0)
        is_judged = (
            is_live_row
            & (session.generation == slot("judged_generation"))
            & (session.expires_at == slot("judged_expires_at_ms"))
            & (session.last_seen_at == slot("judged_last_seen_at_ms"))
        )
        find = (
            session.select(*columns, *self.user_columns())
            .join(user, JOIN.LEFT_OUTER, on=(key == session.user_id))
            .where(session.id == slot("id"))
        )
        self._find_sql = compile_query(find).sql
        self._list = compile_query(
            session.select(*columns)
            .where((session.user_id == slot("user_id")) & live & (session.expires_at > slot("now")))
            .order_by(session.last_seen_at.desc(), session.created_at.desc(), session.id)
        )
        self._insert = compile_query(
            session.insert({getattr(session, name): slot(name) for name in SESSION_COLUMNS})
        )
        self._change = compile_query(
            session.update(
                {
                    session.generation: slot("new_generation"),
                    session.confirmed_at: slot("new_confirmed_at_ms"),
                    session.updated_at: slot("new_updated_at_ms"),
                    session.last_seen_at: slot("new_last_seen_at_ms"),
                    session.expires_at: slot("new_expires_at_ms"),
                }
            ).where(is_judged)
        )
        ending = {session.ended_at: slot("now"), session.end_reason: slot("reason")}
        self._end = compile_query(session.update(ending).where(is_live_row))
        self._end_judged = compile_query(session.update(ending).where(is_judged))
        self._end_all = compile_query(session.update(ending).where(live))
        self._set_data = compile_query(
            session.update(
                {session.data: slot("data"), session.data_version: slot("version")}
            ).where(is_live_row & (session.data_version == slot("known_version")))
        )
        lock_data = session.select(session.data, session.data_version).where(is_live_row)
        self._lock_data = compile_query(self.for_update(lock_data))
        self._compile_cleaning()

    def _compile_cleaning(self) -> None:
        models = self._models
        session, feed, attempt = models.session, models.revocation, models.attempt
        self._feed = compile_query(
            feed.insert(
                {
                    feed.session_id: slot("session_id"),
                    feed.before: slot("before"),
                    feed.created_at: slot("now"),
                }
            )
        )
        self._find_feed = compile_query(
            feed.select(feed.session_id, feed.before, feed.created_at).where(
                feed.created_at >= slot("since")
            )
        )

        def old(model: Any, instant: Any) -> Statement:
            return compile_query(
                model.select(model.id)
                .where(instant <= slot("limit"))
                .order_by(instant)
                .limit(slot("rows"))
            )

        # The same edge as has_passed: the very instant counts as over.
        self._old_ended = old(session, session.ended_at)
        self._old_expired = old(session, session.expires_at)
        self._old_feed = old(feed, feed.created_at)
        self._old_attempts = old(attempt, attempt.created_at)
        self._delete_sessions = lambda ids: session.delete().where(session.id.in_(ids))
        self._delete_feed = lambda ids: feed.delete().where(feed.id.in_(ids))
        self._delete_attempts = lambda ids: attempt.delete().where(attempt.id.in_(ids))

    # Conversion

    def _session_values(self, record: SessionRecord) -> dict[str, Any]:
        values: dict[str, Any] = dict(zip(SESSION_COLUMNS, record, strict=True))
        values["user_id"] = self.to_column(record.user_id)
        values["remember"] = bool(record.remember)
        values["user_agent"] = clean_text(record.user_agent, longest=512)
        values["ip_address"] = clean_text(record.ip_address, longest=45)
        return values

    def _judged_values(self, judged: SessionRecord) -> dict[str, Any]:
        return {
            "id": judged.id,
            "judged_generation": judged.generation,
            "judged_expires_at_ms": judged.expires_at_ms,
            "judged_last_seen_at_ms": judged.last_seen_at_ms,
        }

    def _convert_session(self, row: tuple[Any, ...]) -> SessionRecord:
        record = SessionRecord._make(row)
        if self._user_key is None or record.user_id is None:
            return record
        return record._replace(user_id=self._user_key.python_value(record.user_id))

    def _convert_found(self, row: tuple[Any, ...]) -> tuple[SessionRecord, UserRecord | None]:
        return (
            self._convert_session(row[:_SESSION_FIELDS]),
            self.user_from_row(row[_SESSION_FIELDS:]),
        )


SESSION_COLUMNS = (
    "id",
    "user_id",
    "generation",
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


def clean_text(text: str | None, *, longest: int) -> str | None:
    """Return text that every database stores: no NUL, no surrogate, not too long."""
    if text is None:
        return None
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode()[:longest]
