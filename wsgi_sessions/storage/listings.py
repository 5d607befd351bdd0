"""Pages of users and sessions for people who look into the database, and what one person has.

A page begins after the last id of the page before, so its cost does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import peewee

from ..config.settings import SessionConfig
from ..light_dataclasses import dataclass
from ..records import SessionRecord, UserRecord
from .connections import Connections, Row
from .models import Models
from .sessions import SessionColumns, session_fields
from .statements import Runner, slot
from .user_columns import UserColumns

_NO_DATA = "{}"
_BATCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class LiveAt:
    """What makes a session live at an instant: the limits that a configuration sets.

    As SQL what ``is_live`` of the policy says of one record.
    """

    now_ms: int
    seen_after_ms: int | None
    authenticated_after_ms: int | None

    @classmethod
    def of(cls, config: SessionConfig, now_ms: int) -> LiveAt:
        idle_ms, absolute_ms = config.idle_timeout_ms, config.absolute_timeout_ms
        return cls(
            now_ms,
            None if idle_ms is None else now_ms - idle_ms,
            None if absolute_ms is None else now_ms - absolute_ms,
        )

    def condition(self, session: Any) -> Any:
        """Return what is true of the rows of live sessions."""
        is_live = session.ended_at.is_null() & (session.expires_at > self.now_ms)
        if self.seen_after_ms is not None:
            is_live &= session.last_seen_at > self.seen_after_ms
        if self.authenticated_after_ms is not None:
            is_live &= session.authenticated_at > self.authenticated_after_ms
        return is_live


class Listings:
    def __init__(self, connections: Connections, models: Models) -> None:
        self._runner = Runner(connections)
        self._models = models
        self._users = UserColumns(models, connections.dialect)
        self._columns = SessionColumns(models.session, self._users)

    # Users

    def list_users(
        self, *, email_prefix: str = "", after: str | None = None, limit: int
    ) -> list[UserRecord]:
        """Return users by id, those whose address begins so; ``after`` an id.

        Raises ``ConfigurationError`` where the user model has no e-mail address.
        """
        prefix, users = email_prefix.lower(), self._users
        conditions = [users.begins_with(prefix)] if prefix else []
        found: list[UserRecord] = []
        while True:
            rows = self._user_rows(conditions, after, limit)
            # A database may fold more letters than those that are asked for.
            found += [
                user
                for user in map(users.to_record, rows)
                if user is not None and str(user.email or "").lower().startswith(prefix)
            ]
            if len(rows) < limit or len(found) >= limit:
                return found[:limit]
            after = rows[-1][0]

    def _user_rows(self, conditions: list[Any], after: Any, limit: int) -> list[Row]:
        users = self._users
        query = users.users.order_by(users.key).limit(limit)
        key = None if after is None else users.key_or_null(after)
        if key is not None:
            conditions = [*conditions, users.key > slot("after")]
        if conditions:
            query = query.where(*conditions)
        return self._runner.read_rows(self._runner.compile(query), after=key)

    def count_live(self, user_ids: list[Any], live: LiveAt) -> dict[Any, int]:
        """Return how many live sessions each of some users has, of those who have one."""
        session, users = self._models.session, self._users
        keys = [users.to_key(user_id) for user_id in user_ids]
        if not keys:
            return {}
        query = (
            session.select(session.user_id, peewee.fn.COUNT(peewee.SQL("*")))
            .where(session.user_id.in_(keys) & live.condition(session))
            .group_by(session.user_id)
        )
        rows = self._runner.read_rows(self._runner.compile(query))
        return {users.from_key(key): int(count) for key, count in rows}

    # Sessions

    def list_sessions(
        self,
        *,
        live: LiveAt | None = None,
        address: str | None = None,
        after: str = "",
        limit: int,
    ) -> list[SessionRecord]:
        """Return anybody's sessions by id, without their data; with ``live`` only live ones.

        ``address``: that they began at, or were last used from.
        """
        session = self._models.session
        condition = session.id > after
        if live is not None:
            condition &= live.condition(session)
        if address is not None:
            condition &= (session.ip_address == address) | (session.last_ip_address == address)
        query = self._selected().where(condition).order_by(session.id).limit(limit)
        return [self._to_record(row) for row in self._runner.read_rows(self._runner.compile(query))]

    def sessions_of(
        self, user_id: Any, *, live: LiveAt | None = None, since_ms: int = 0, limit: int
    ) -> list[SessionRecord]:
        """Return a user's sessions without their data, the latest seen first.

        With ``live`` only live ones; else those that were not over at ``since_ms``, too.
        """
        session = self._models.session
        if live is not None:
            condition = live.condition(session)
        else:
            condition = session.ended_at.is_null() | (session.ended_at >= since_ms)
        query = self._selected().where(self._columns.is_of_user & condition)
        query = query.order_by(session.last_seen_at.desc(), session.id).limit(limit)
        return [self._to_record(row) for row in self._read_of(user_id, query)]

    def all_sessions_of(self, user_id: Any) -> Iterator[SessionRecord]:
        """Yield all that there is of a user's sessions, with their data."""
        session, after = self._models.session, ""
        while True:
            is_next = self._columns.is_of_user & (session.id > after)
            query = session.select(*session_fields(session).values()).where(is_next)
            rows = self._read_of(user_id, query.order_by(session.id).limit(_BATCH_ROWS))
            for row in rows:
                yield self._to_record(row)
            if len(rows) < _BATCH_ROWS:
                return
            after = rows[-1][0]

    def delete_sessions_of(self, user_id: Any, *, now_ms: int) -> int:
        """Delete the rows of a user's sessions that are ended or expired; return how many."""
        session = self._models.session
        is_over = session.ended_at.is_null(False) | (session.expires_at <= now_ms)
        delete = self._runner.compile(session.delete().where(self._columns.is_of_user & is_over))
        return self._runner.write(delete, user_id=self._users.key_or_null(user_id))

    # What belongs to a user besides

    def accounts_of(self, user_id: Any) -> Sequence[Mapping[str, Any]]:
        """Return how a user signs in; of a password that there is one, and nothing of its hash."""
        account = self._models.account
        is_theirs = self._users.is_of_user(account.user_id)
        fields = [account.id, account.provider_id, account.account_id, account.created_at]
        query = account.select(*fields, account.password_hash.is_null(False)).where(is_theirs)
        names = ("id", "provider", "account_id", "created_at_ms", "has_password")
        rows = self._read_of(user_id, query.order_by(account.created_at, account.id))
        found: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
        return [{**each, "has_password": bool(each["has_password"])} for each in found]

    def one_time_tokens_of(self, user_id: Any) -> list[Mapping[str, Any]]:
        """Return what a user's links in mails were for; nothing that would open one."""
        token = self._models.one_time_token
        fields = [token.purpose, token.created_at, token.expires_at, token.used_at]
        query = token.select(*fields).where(self._users.is_of_user(token.user_id))
        names = ("purpose", "created_at_ms", "expires_at_ms", "used_at_ms")
        rows = self._read_of(user_id, query.order_by(token.created_at))
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _read_of(self, user_id: Any, query: Any) -> list[Row]:
        statement = self._runner.compile(query)
        return self._runner.read_rows(statement, user_id=self._users.key_or_null(user_id))

    def _selected(self) -> Any:
        fields = session_fields(self._models.session)
        # As a literal: not every server can tell the type of a placeholder that stands alone.
        fields["data"] = peewee.SQL(f"'{_NO_DATA}'")
        return self._models.session.select(*fields.values())

    def _to_record(self, row: Row) -> SessionRecord:
        record = SessionRecord._make(row)
        if record.user_id is None:
            return record
        return record._replace(user_id=self._users.from_key(record.user_id))
