"""Audit events: what happened to sessions and accounts, for listeners and the log.

No listener can fail a request. No event holds a secret, token, password or e-mail address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from .clock import Clock, datetime_from_ms
from .records import EndReason

if TYPE_CHECKING:
    from .storage.outages import Outages

logger = logging.getLogger("wsgi_sessions")

EventName = Literal[
    "session_created",
    "session_refreshed",
    "session_rotated",
    "session_ended",
    "session_replayed",
    "ip_mismatch",
    "two_sessions_presented",
    "sign_in_failed",
    "throttled",
    "password_changed",
    "user_created",
    "user_updated",
    "user_deleted",
    "account_linked",
    "provider_error",
    "data_dropped",
    "cookie_cache_too_large",
    "clock_off",
    "purge_done",
    "database_error",
]


@dataclass(frozen=True, slots=True)
class EventKind:
    """At which level events of a name are logged, and what they mean, ``details`` included."""

    level: int
    doc: str


EVENT_KINDS: Mapping[EventName, EventKind] = {
    "session_created": EventKind(
        logging.DEBUG, "A sign-in began a session, or a visitor's was stored."
    ),
    "session_refreshed": EventKind(logging.DEBUG, "`expires_at` was pushed forward."),
    "session_rotated": EventKind(
        logging.DEBUG, "The browser came with the next token: its new `generation` is stored."
    ),
    "session_ended": EventKind(
        logging.DEBUG,
        "A session is over, for the `reason`. `revoke_everything()` reports one for all, without"
        " a session id, with their `session_count`.",
    ),
    "session_replayed": EventKind(
        logging.WARNING,
        "Somebody presented a token that another holder has left behind: a theft, or a copied"
        ' browser profile. With `on_replay="revoke"` the session has ended.',
    ),
    "ip_mismatch": EventKind(
        logging.WARNING, "A session was presented from an address outside its `ip_binding`."
    ),
    "two_sessions_presented": EventKind(
        logging.WARNING,
        "A request brought the tokens of two live sessions, as when a sub-domain has planted one."
        " The first in the header was taken; `other_session_id` is the other.",
    ),
    "sign_in_failed": EventKind(
        logging.INFO,
        "A sign-in was refused. `cause` says why: `unknown_user`, `wrong_password`,"
        " `email_not_verified`, `no_email`, `account_not_linked`, or `id_token_` and the check"
        " that failed; with `provider` where there is one.",
    ),
    "throttled": EventKind(
        logging.WARNING, "Too many tries with a password; the next one in `retry_after_seconds`."
    ),
    "password_changed": EventKind(logging.DEBUG, "A user has a new password."),
    "user_created": EventKind(
        logging.DEBUG, "Somebody signed up, or came by a `provider` for the first time."
    ),
    "user_updated": EventKind(logging.DEBUG, "A user's name or image was changed."),
    "user_deleted": EventKind(logging.DEBUG, "A user was deleted, and their sessions ended."),
    "account_linked": EventKind(
        logging.INFO, "A user who was here before signed in by a `provider` for the first time."
    ),
    "provider_error": EventKind(
        logging.WARNING, "The keys of a `provider` could not be fetched; `error` says what failed."
    ),
    "data_dropped": EventKind(
        logging.WARNING, "What was set in `session.data` was not stored; `why` gives the reason."
    ),
    "cookie_cache_too_large": EventKind(
        logging.WARNING,
        "A cached copy is larger than browsers store (4096 bytes), so it was not sent. Once in"
        " a process.",
    ),
    "clock_off": EventKind(
        logging.WARNING,
        "This process's clock is `ahead_ms` before the database's (negative: behind), more than"
        " the `allowed_ms`. Until that changes it neither makes nor takes cached copies.",
    ),
    "purge_done": EventKind(logging.DEBUG, "A clean-up deleted `row_count` rows."),
    "database_error": EventKind(
        logging.DEBUG,
        "The database did not answer a request; `error` is the exception. What failed, and when"
        " it is back, is logged once for each outage.",
    ),
}


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One thing that happened; ``EVENT_KINDS`` says what each name means."""

    name: EventName
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
    """Passes events to the log and to the application's listeners."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: tuple[Listener, ...] = ()
        self._emitted_once: set[EventName] = set()
        self.outages: Outages | None = None
        """Says in the log why the database is away, once for each time that it is."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call a listener with every event, in the thread it happens in.

        Returns a function that ends the subscription. An exception of a listener is logged.
        """
        self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

        return unsubscribe

    def emit(
        self,
        name: EventName,
        *,
        session_id: str | None = None,
        user_id: Any = None,
        reason: EndReason | None = None,
        address: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Log an event and call the listeners."""
        error = (details or {}).get("error")
        if name == "database_error" and self.outages is not None and error is not None:
            self.outages.begin(error)
        level = EVENT_KINDS[name].level
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

    def emit_once(self, name: EventName, *, session_id: str) -> None:
        """Emit an event unless one of this name was emitted so before in this process."""
        if name not in self._emitted_once:
            self._emitted_once.add(name)
            self.emit(name, session_id=session_id)

    def tell(self, event: SessionEvent) -> None:
        """Call the listeners with an event that was logged already."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener failed on the event %s", event.name)
