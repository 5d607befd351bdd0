"""Audit events: what happened to sessions and accounts, for listeners and the log.

Must not let a listener fail a request, nor carry a secret, token, password or e-mail address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .clock import Clock, datetime_from_ms
from .records import EndReason

if TYPE_CHECKING:
    from .storage.outages import Outages

__all__ = ["Events", "SessionEvent"]

logger = logging.getLogger("wsgi_sessions")

_LEVELS = {
    "session_replayed": logging.WARNING,
    "ip_mismatch": logging.WARNING,
    "two_sessions_presented": logging.WARNING,
    "sign_in_failed": logging.INFO,
    "throttled": logging.WARNING,
    "account_linked": logging.INFO,
    "provider_error": logging.WARNING,
    "data_dropped": logging.WARNING,
    "cookie_cache_too_large": logging.WARNING,
    "clock_off": logging.WARNING,
}


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One thing that happened.

    ``name`` is one of: ``session_created``, ``session_refreshed``, ``session_rotated``,
    ``session_ended``, ``session_replayed``, ``ip_mismatch``, ``two_sessions_presented``,
    ``sign_in_failed``, ``throttled``, ``password_changed``, ``user_created``,
    ``user_updated``, ``user_deleted``, ``account_linked``, ``provider_error``,
    ``data_dropped``, ``cookie_cache_too_large``, ``clock_off``, ``purge_done``,
    ``database_error``.

    ``two_sessions_presented``: a request brought the tokens of two live sessions, as when a
    sub-domain has planted one; ``session_id`` is the one that was taken, the first in the
    header, and ``details["other_session_id"]`` the other.
    """

    name: str
    at_ms: int
    session_id: str | None = None
    user_id: Any = None
    reason: EndReason | None = None
    address: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """When it happened, aware, UTC."""
        return datetime_from_ms(self.at_ms)


Listener = Callable[[SessionEvent], None]


class Events:
    """Where rooms report what happened and applications listen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: tuple[Listener, ...] = ()
        self.outages: Outages | None = None
        """Says in the log why the database is away, once for each time that it is."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have a callable told every event, in the thread it happens in.

        Returns what takes the subscription back. An exception of a listener is logged.
        """
        self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

        return unsubscribe

    def emit(
        self,
        name: str,
        *,
        session_id: str | None = None,
        user_id: Any = None,
        reason: EndReason | None = None,
        address: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Log an event and tell the listeners."""
        error = (details or {}).get("error")
        if name == "database_error" and self.outages is not None and error is not None:
            self.outages.begin(error)
        level = _LEVELS.get(name, logging.DEBUG)
        is_logged = logger.isEnabledFor(level)
        if not (is_logged or self._listeners):
            return
        event = SessionEvent(
            name, self._clock.now_ms(), session_id, user_id, reason, address, dict(details or {})
        )
        if is_logged:
            logger.log(
                level,
                "%s session=%s user=%s reason=%s address=%s%s",
                name,
                session_id or "-",
                "-" if user_id is None else user_id,
                reason or "-",
                address or "-",
                "".join(f" {key}={value}" for key, value in event.details.items()),
            )
        self.tell(event)

    def tell(self, event: SessionEvent) -> None:
        """Tell the listeners of an event that somebody else has logged."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener failed on the event %s", event.name)
