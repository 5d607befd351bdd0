"""Reads sessions for applications: as ``Session``, with its user and its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..clock import Clock
from ..config.settings import SessionConfig
from ..light_dataclasses import dataclass
from ..records import NO_FACTS, EndReason, ReadOptions, RequestFacts, SessionRecord
from ..storage.sessions import FoundSession
from ..storage.store import Store
from ..transport.cookies import SessionCookies
from ..transport.environ import find_cookies, read_facts
from .data import SessionData
from .policy import is_live
from .session import Session
from .step_up import StepUpSigner
from .tokens import is_session_id
from .validation import Validator


class EndedSession(NamedTuple):
    """A session that is over: when, and why."""

    record: SessionRecord
    at_ms: int
    reason: EndReason


@dataclass(eq=False)
class SessionReader:
    store: Store
    cookies: SessionCookies
    validator: Validator
    config: SessionConfig
    clock: Clock
    step_ups: StepUpSigner

    def read(
        self, source: Mapping[str, Any], *, authoritative: bool, is_https: bool | None
    ) -> Session | None:
        facts, is_environ = NO_FACTS, "wsgi.url_scheme" in source
        header = find_cookies(source)
        if is_environ:
            facts = read_facts(source, self.config)
        is_secure = self.cookies.is_secure_for(
            is_https=facts.is_https if is_https is None else is_https
        )
        presented = self.cookies.read(header, is_secure=is_secure)
        if not presented.tokens:
            return None
        options = ReadOptions(
            authoritative=authoritative, allow_refresh=False, knows_address=is_environ
        )
        found = self.validator.validate(presented, facts=lambda: facts, options=options)
        if found.session is None:
            return None
        return self.validator.to_session(
            found.session,
            found.user,
            now_ms=found.now_ms,
            here=ReadFrom(
                self,
                facts if is_environ else None,
                self.cookies.read_step_ups(header, is_secure=is_secure),
            ),
        )

    def find_live(self, session_id: str) -> Session | None:
        if not is_session_id(session_id):
            return None
        found = self._live(self.store.sessions.find(session_id))
        if found is None and self.store.is_lagging:
            found = self._live(self.store.sessions.find(session_id, anew=True))
        return found

    def _live(self, found: FoundSession | None) -> Session | None:
        """Return what was found if it is live."""
        if found is None:
            return None
        record, user = found
        now_ms = self.clock.now_ms()
        if user is None and record.user_id is not None:
            return None
        if not is_live(record, now_ms=now_ms, config=self.config):
            return None
        return self.validator.to_session(record, user, now_ms=now_ms, here=ReadFrom(self))

    def list_live(self, user_id: Any) -> list[Session]:
        now_ms = self.clock.now_ms()
        user = self.store.users.find(user_id)
        return [
            self.validator.to_session(record, user, now_ms=now_ms)
            for record in self.store.sessions.list_live(user_id, now_ms)
            if is_live(record, now_ms=now_ms, config=self.config)
        ]

    def list_ended(self, user_id: Any, *, max_count: int) -> list[EndedSession]:
        """Return a user's sessions that are over and still kept, the latest end first.

        Also those that are past a limit, and are marked when somebody comes with them.
        """
        config, now_ms = self.config, self.clock.now_ms()
        idle_ms, absolute_ms = config.idle_timeout_ms, config.absolute_timeout_ms
        records = self.store.sessions.list_ended(
            user_id,
            since_ms=now_ms - config.keep_ended_ms,
            now_ms=now_ms,
            seen_until_ms=None if idle_ms is None else now_ms - idle_ms,
            begun_until_ms=None if absolute_ms is None else now_ms - absolute_ms,
            max_count=max_count,
        )
        from .end_words import end_of  # most processes show no page

        ends = [(record, end_of(record, now_ms=now_ms, config=config)) for record in records]
        found = [EndedSession(record, end[1], end[0]) for record, end in ends if end is not None]
        return sorted(found, key=lambda ended: ended.at_ms, reverse=True)

    def open_data(self, session: Session) -> SessionData:
        """Return a session's data; changes in it are stored by the request, if there is one."""
        record = session.record
        # A cached copy has no data: it is read when the app first asks for it.
        known = (record.data, record.data_version) if record.data else None
        return SessionData(known, load=lambda: self._load_data(record.id))

    def _load_data(self, session_id: str) -> tuple[str, int] | None:
        found = self.store.sessions.find(session_id)
        if found is None or found[0].ended_at_ms is not None:
            return None
        return found[0].data, found[0].data_version


@dataclass(frozen=True, slots=True)
class ReadFrom:
    """What a session is read from: an environ, headers (without ``facts``), or its id alone."""

    reader: SessionReader
    facts: RequestFacts | None = None
    step_up_texts: Sequence[str] = ()

    def open_data(self, session: Session) -> SessionData:
        return self.reader.open_data(session)

    def find_step_ups(self, session_id: str) -> Iterator[int]:
        return self.reader.step_ups.read(
            self.step_up_texts, session_id=session_id, facts=self.facts
        )
