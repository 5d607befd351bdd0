"""Refusals and attempts in the event table: so many a minute, and never at a request's cost.

Anybody can cause these, so a flood of them must not fill the table, and a database that does not
take them must not fail or delay an answer.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import cast

from ..config.parts import AuditConfig
from ..events import NOTED_EVENTS, EventName, SessionEvent
from ..fork_safety import notice_fork, renew_locks_in_child
from ..storage.store import Store
from ..storage.time_budget import limited_to
from ..transport.client_address import network_of
from .audit_trail import AuditTrail

logger = logging.getLogger("wsgi_sessions")

_MINUTE_MS = 60_000
_PATIENCE_MS = 250
"""How long an answer waits for the row of its refusal, at most."""
_REST_MS = 10_000
"""How long nothing is tried after that failed."""


class NotedEvents:
    """Keeps events beside the request that caused them.

    A process keeps ``audit.network_refusals`` of a name a minute from one IPv4 /24 or IPv6 /56,
    and ``audit.refusals`` of all. Those that are not kept are counted by name: the next one that
    is kept has their number.
    """

    def __init__(self, store: Store, audit: AuditConfig, trail: AuditTrail) -> None:
        self._store = store
        self._names = frozenset(audit.events) & frozenset(NOTED_EVENTS)
        self._most_of_all, self._most_of_network = audit.refusals, audit.network_refusals
        self._trail = trail
        self._minute = range(0)
        self._rest = range(0)
        self._kept: dict[tuple[str, str], int] = {}
        self._suppressed: dict[str, int] = {}
        self.renew_locks()
        renew_locks_in_child(self)

    def renew_locks(self) -> None:
        """Replace the lock by a free one: in a forked child nobody is counting."""
        self._lock = threading.Lock()

    def note(self, event: SessionEvent) -> None:
        """Keep an event if it is one of those and there is room for it; never fails."""
        if event.name not in self._names:
            return
        notice_fork()
        with self._lock:
            if not self._has_room(event):
                self._suppressed[event.name] = self._suppressed.get(event.name, 0) + 1
                return
            count = self._suppressed.pop(event.name, 0)
        try:
            self._write(self._to_row(event, count))
        except Exception as error:
            with self._lock:
                self._rest = range(event.at_ms, event.at_ms + _REST_MS)
                self._suppressed[event.name] = self._suppressed.get(event.name, 0) + count + 1
            self._report(event, error)

    def flush(self) -> None:
        """Keep how many events of each name were not kept since the last that was; never fails."""
        with self._lock:
            left, self._suppressed = self._suppressed, {}
        now_ms = self._trail.now_ms()
        for name, count in left.items():
            event = SessionEvent(cast(EventName, name), now_ms, details={"suppressed": count})
            try:
                self._write(event)
            except Exception as error:
                self._report(event, error)

    def _has_room(self, event: SessionEvent) -> bool:
        if event.at_ms in self._rest:
            return False
        if event.at_ms not in self._minute:
            self._minute = range(event.at_ms, event.at_ms + _MINUTE_MS)
            self._kept.clear()
        network = network_of(event.address or "", prefix_v4=24, prefix_v6=56)
        kept = self._kept.get((event.name, network), 0)
        if kept >= self._most_of_network or sum(self._kept.values()) >= self._most_of_all:
            return False
        self._kept[event.name, network] = kept + 1
        return True

    def _to_row(self, event: SessionEvent, suppressed: int) -> SessionEvent:
        more = {"suppressed": suppressed} if suppressed else {}
        return replace(
            event,
            address=self._trail.address_to_keep(event.address),
            details={**event.details, **more},
        )

    def _write(self, row: SessionEvent) -> None:
        store = self._store
        with limited_to(_PATIENCE_MS):
            if store.is_within_app_transaction:
                # A savepoint: what fails here must not end the application's transaction.
                store.atomically(lambda: store.events.tell([row]))
            else:
                store.events.tell([row])

    def _report(self, event: SessionEvent, error: Exception) -> None:
        from ..log_fields import log_fields

        kind = type(error).__name__
        fields = log_fields("event_not_kept", details={"about": event.name, "error": kind})
        logger.warning("the event %s was not kept: %s", event.name, kind, extra=fields)
