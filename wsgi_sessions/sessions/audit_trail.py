"""The audit trail: tells the event table what a transaction does, within that transaction.

Imported where the setting ``audit`` is on. What fails here fails with the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..clock import Clock
from ..config.parts import AuditConfig
from ..config.settings import SessionConfig
from ..events import EventName, SessionEvent
from ..records import NO_FACTS, EndReason, RequestFacts, SessionRecord, UserRecord
from ..storage.session_ends import EndedSessions
from ..storage.store import Store
from ..transport.client_address import network_of
from ..transport.devices import device_in_words
from .places import Place, home_of
from .signing import KeyRing

_PREFIX_V4, _PREFIX_V6 = 24, 48
"""Bits of an address that is cut: what one provider gives to many, and to one customer."""


class AuditTrail:
    def __init__(
        self, store: Store, audit: AuditConfig, config: SessionConfig, clock: Clock
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._names = frozenset(audit.events)
        self._addresses = audit.addresses
        self._ring = KeyRing(config.secret, "addresses of events v1")
        self.keep_ms = audit.keep_ms

    def tell(
        self,
        name: EventName,
        *,
        facts: RequestFacts = NO_FACTS,
        session_id: str | None = None,
        user_id: Any = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell one event; outside of a transaction it is written at once."""
        event = self._made(name, facts, session_id=session_id, user_id=user_id)
        self._write([replace(event, details=details or {})])

    def tell_new_user(
        self, user: UserRecord, *, address: str | None, provider: str | None = None
    ) -> None:
        self.tell(
            "user_created",
            facts=NO_FACTS._replace(address=address),
            user_id=user.id,
            details={"provider": provider},
        )

    def tell_ends(
        self,
        ended: EndedSessions | Iterable[str],
        *,
        reason: EndReason,
        facts: RequestFacts = NO_FACTS,
        user_id: Any = None,
    ) -> None:
        """Tell that sessions have ended, and who has ended them.

        Without ``user_id`` they are those of each session's user. Of more than can be listed,
        one event has the number of the others.
        """
        if not isinstance(ended, EndedSessions):
            session_ids = tuple(ended)
            ended = EndedSessions(session_ids, len(session_ids))
        event = replace(self._made("session_ended", facts, user_id=user_id), reason=reason)
        events = [replace(event, session_id=session_id) for session_id in ended.session_ids]
        others = ended.number - len(ended.session_ids)
        if others > 0:
            events.append(replace(event, details={"session_count": others}))
        self._write(events)

    def tell_sign_in(
        self, session: SessionRecord, user: UserRecord, *, method: str | None, facts: RequestFacts
    ) -> Mapping[str, bool]:
        """Tell that a session has begun; return what is new about its device and network.

        Compared with the sessions of this person that are kept, ended or not: their places at
        the sign-in and at the last use. Where there is none, both are new.
        """
        since_ms = user.created_at_ms - self._config.rotation_grace_ms
        used_from = self._store.sessions.find_places(
            session.user_id, but_in=session.id, since_ms=since_ms
        )
        known = [Place.of(*one, config=self._config) for one in used_from]
        here = home_of(session, config=self._config)
        news = {
            "is_new_device": here.browser not in {place.browser for place in known},
            "is_new_network": here.network not in {place.network for place in known},
        }
        self.tell(
            "session_created",
            facts=facts,
            session_id=session.id,
            user_id=session.user_id,
            details={"method": method, "device": device_in_words(session.user_agent), **news},
        )
        return news

    def address_to_keep(self, address: str | None) -> str | None:
        """Return what is kept of a client's address."""
        if address is None or self._addresses == "none":
            return None
        if self._addresses == "cut":
            return network_of(address, prefix_v4=_PREFIX_V4, prefix_v6=_PREFIX_V6)
        if self._addresses == "hashed":
            return self._ring.sign_as_text(address.encode("utf-8", "surrogatepass"))
        return address

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def _made(
        self,
        name: EventName,
        facts: RequestFacts,
        *,
        session_id: str | None = None,
        user_id: Any = None,
    ) -> SessionEvent:
        return SessionEvent(
            name,
            self.now_ms(),
            session_id=session_id,
            user_id=user_id,
            address=self.address_to_keep(facts.address),
            user_agent=facts.user_agent,
        )

    def _write(self, events: list[SessionEvent]) -> None:
        events = [event for event in events if event.name in self._names]
        if events:
            self._store.events.tell(events)
