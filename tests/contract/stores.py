"""What the tests of a store ask of it, and how they break it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import peewee
import pytest

from tests.support import BRANCH, NOW, change_of, make_session
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.records import Change, SessionRecord
from wsgi_sessions.sessions.creation import Ended, Replaced, SessionCreation
from wsgi_sessions.sessions.tokens import TokenSigner
from wsgi_sessions.storage.statements import Statement
from wsgi_sessions.storage.store import Store
from wsgi_sessions_testing import FakeClock

from .databases import Place, is_counted, stored_session

THREADS = 10
MOVED: tuple[dict[str, Any], ...] = (
    {"generation": -1},
    {"branch": BRANCH.swapcase()},
    {"is_settled": False},
    {"expires_at_ms": NOW},
    {"last_seen_at_ms": NOW - 1},
)
"""What a session may have been when it was judged, and has been written over since."""


def confirm(judged: SessionRecord) -> Change:
    """Return a change in which every value is another one."""
    return change_of(
        judged,
        generation=judged.generation + 1,
        branch="Branch-1",
        branch_before="Before-1",
        is_settled=not judged.is_settled,
        caught_up=not judged.caught_up,
        confirmed_at_ms=NOW + 5,
        updated_at_ms=NOW + 6,
        last_seen_at_ms=NOW + 7,
        expires_at_ms=judged.expires_at_ms + 8,
    )


def live_ids(store: Store, user_id: Any = "user-1") -> set[str]:
    return {record.id for record in store.sessions.list_live(user_id, NOW)}


def feed_ids(store: Store) -> list[str | None]:
    return sorted((row[0] for row in store.revocations.find(0).rows), key=str)


def end_reason(store: Store, session_id: str = "session-1") -> str | None:
    return stored_session(store, session_id).end_reason


def insert_ended(store: Store, *, user_id: str) -> None:
    """Insert sessions that others ended: earlier for the same reason, and now for another."""
    store.sessions.insert(
        make_session("earlier", user_id=user_id, ended_at_ms=NOW - 1, end_reason="revoked")
    )
    store.sessions.insert(
        make_session("otherwise", user_id=user_id, ended_at_ms=NOW, end_reason="idle")
    )


def create_session(
    store: Store,
    record: SessionRecord,
    *,
    replaced: Replaced | None = None,
    maximum_sessions: int | None = 1,
    on_limit: str = "evict",
    only_one: bool = False,
    **settings: Any,
) -> Ended:
    """Create a session as a sign-in under these settings does; return what ended for it."""
    limit: Any = {
        "maximum_sessions": maximum_sessions,
        "on_limit": on_limit,
        "enabled": not only_one,
    }
    config = SessionConfig(secret="s0123456789abcdef" * 2, multi_session=limit, **settings)
    creation = SessionCreation(store, TokenSigner(config.secret), config, FakeClock())
    return store.atomically(lambda: creation.insert(record, replaced=replaced or Replaced()))[1]


def break_feed(store: Store) -> None:
    """Have every write to the feed fail."""
    broken = Statement("INSERT INTO no_such_table VALUES (1)", ())
    store.revocations.__dict__["_insert"] = broken

    def insert(_session_ids: Any, *, now_ms: int) -> None:
        store._runner.write(broken, now=now_ms)

    store.revocations.__dict__["insert_many"] = insert


def own_user(place: Place, **columns: Any) -> Any:
    """Give a store a user model of the application's, with an e-mail column and others."""
    meta = type("Meta", (), {"table_name": "member", "database": place.connections.database})
    columns = {"email": peewee.CharField(max_length=254, unique=True), **columns}
    member = type("Member", (peewee.Model,), {"Meta": meta, **columns})
    place.build(user_model=member)
    return member


def quoted(place: Place, table: str) -> str:
    return f"`{table}`" if place.kind == "mariadb" else f'"{table}"'


@dataclass
class Watched:
    """A connection or cursor that notes what is sent over it."""

    inner: Any
    sent: list[str] = field(default_factory=list)

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        return Watched(self.inner.cursor(*arguments, **options), self.sent)

    def execute(self, sql: str, *arguments: Any) -> Any:
        if is_counted(sql):
            self.sent.append(sql)
        return self.inner.execute(sql, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def watch(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every statement that connections opened from now on carry."""
    sent: list[str] = []
    database = place.connections.database
    connect = database._connect
    monkeypatch.setattr(database, "_connect", lambda: Watched(connect(), sent))
    return sent
