"""Begins sessions: the row, what it replaces, and the limit of sessions a user has.

Must not know who asks or why: the manager reports what ended and dresses what began.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, NoReturn

from ..clock import Clock
from ..config.settings import SessionConfig
from ..records import EndReason, RequestFacts, SessionRecord, UserRecord, refuse_to_pickle
from ..storage.store import Store
from .policy import end_reason_at, first_expiry_ms
from .tokens import TokenSigner, mint_secret, new_branch, session_id_from

__all__ = ["CreatedSession", "SessionCreation"]

Ended = tuple[tuple[str, EndReason], ...]


class CreatedSession(NamedTuple):
    """A session that began, its first token, and the sessions that ended for it."""

    session: SessionRecord
    token: str
    ended: Ended

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def __repr__(self) -> str:
        return f"CreatedSession(session={self.session!r}, ended={self.ended!r})"


class SessionCreation:
    """Lets sessions begin in one database."""

    def __init__(
        self, store: Store, signer: TokenSigner, config: SessionConfig, clock: Clock
    ) -> None:
        self._store = store
        self._signer = signer
        self._config = config
        self._clock = clock

    def make_record(
        self, user_id: Any, *, facts: RequestFacts, remember: bool, data: str = "{}"
    ) -> tuple[SessionRecord, str]:
        """Return the row of a new session and its first token; nothing is written yet."""
        now_ms = self._clock.now_ms()
        secret = mint_secret()
        record = SessionRecord(
            id=session_id_from(secret),
            user_id=user_id,
            generation=0,
            branch=new_branch(),
            branch_before=None,
            is_settled=True,
            caught_up=False,
            confirmed_at_ms=now_ms,
            created_at_ms=now_ms,
            authenticated_at_ms=now_ms,
            updated_at_ms=now_ms,
            last_seen_at_ms=now_ms,
            expires_at_ms=first_expiry_ms(now_ms=now_ms, remember=remember, config=self._config),
            remember=remember,
            ip_address=facts.address,
            user_agent=facts.user_agent,
            data=data,
            data_version=0,
            ended_at_ms=None,
            end_reason=None,
        )
        return record, self._signer.write(secret, 0, record.branch)

    def begin(
        self,
        user: UserRecord,
        *,
        remember_me: bool,
        facts: RequestFacts,
        replaces: str | None,
        also_ends: str | None = None,
        replaced_reason: EndReason = EndReason.SIGNED_OUT,
    ) -> CreatedSession:
        """Write a user's new session; what it replaces or is one too many ends with it, or none.

        ``also_ends``: the session that the browser held too, and was refused for its address.
        Raises ``LookupError`` for a user who is gone, and ``SessionLimitReached`` under
        ``on_limit="reject"``.
        """
        record, token = self.make_record(user.id, facts=facts, remember=remember_me)
        multi = self._config.multi_session
        created, ended = self._store.create_session(
            record,
            replaces=replaces,
            also_ends=also_ends,
            replaced_reason=replaced_reason,
            maximum_sessions=multi.maximum_sessions,
            on_limit=multi.on_limit,
            only_one=not multi.enabled,
            find_end=partial(end_reason_at, now_ms=record.created_at_ms, config=self._config),
            skew_ms=self._config.rotation_grace_ms,
            now_ms=record.created_at_ms,
        )
        return CreatedSession(created, token, ended)
