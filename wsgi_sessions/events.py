"""Audit events: what happened to sessions and accounts, for listeners and the log.

No listener can fail a request. No event holds a secret, token, password or e-mail address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from .clock import Clock, datetime_from_ms
from .light_dataclasses import dataclass
from .records import EndReason

if TYPE_CHECKING:
    from .sessions.noted_events import NotedEvents
    from .storage.outages import Outages

logger = logging.getLogger("wsgi_sessions")

EventName = Literal[
    "session_created",
    "session_refreshed",
    "session_rotated",
    "session_ended",
    "session_replayed",
    "session_moved",
    "reauthenticated",
    "ip_mismatch",
    "two_sessions_presented",
    "sign_in_failed",
    "throttled",
    "request_refused",
    "cookie_refused",
    "password_changed",
    "password_hash_unusable",
    "breach_service_failed",
    "sign_up_attempt",
    "password_reset_requested",
    "email_verified",
    "email_changed",
    "token_refused",
    "mail_failed",
    "user_created",
    "user_updated",
    "user_deleted",
    "account_linked",
    "backchannel_logout",
    "backchannel_logout_refused",
    "provider_error",
    "data_dropped",
    "cookie_cache_too_large",
    "proxy_not_trusted",
    "clock_off",
    "purge_done",
    "database_error",
]


@dataclass(frozen=True, slots=True)
class EventKind:
    """At which level events of a name are logged, what they may carry, and what they mean.

    ``fields`` are names with spaces between: those of ``SessionEvent``, then those of its
    ``details``.
    """

    level: int
    fields: str
    doc: str


EVENT_KINDS: Mapping[EventName, EventKind] = {
    "session_created": EventKind(
        logging.INFO,
        "session_id user_id address method device is_new_device is_new_network",
        "A sign-in began a session, on a `device` in words, by a `method` where that is known; or"
        " a visitor's was stored.",
    ),
    "session_refreshed": EventKind(
        logging.DEBUG, "session_id user_id address", "`expires_at` was pushed forward."
    ),
    "session_rotated": EventKind(
        logging.DEBUG,
        "session_id user_id address generation",
        "The browser came with the next token: its new `generation` is stored.",
    ),
    "session_ended": EventKind(
        logging.INFO,
        "session_id user_id reason address session_count",
        "A session is over, for the `reason`. `revoke_everything()` reports one for all, without"
        " a session id, with their `session_count`.",
    ),
    "session_replayed": EventKind(
        logging.WARNING,
        "session_id user_id address user_agent",
        "Somebody presented a token that another holder has left behind: a theft, or a copied"
        ' browser profile. With `on_replay="revoke"` the session has ended.',
    ),
    "session_moved": EventKind(
        logging.INFO,
        "session_id user_id address has_other_network has_other_browser is_elsewhere device",
        "A touch shows another network (`has_other_network`) or browser (`has_other_browser`, on"
        " the `device`) than the one before. `is_elsewhere`: both are others than those the"
        " session began in, as those of a thief would be.",
    ),
    "reauthenticated": EventKind(
        logging.INFO,
        "session_id user_id address method",
        "A signed-in user has proven again who they are, by a `method`.",
    ),
    "ip_mismatch": EventKind(
        logging.WARNING,
        "session_id user_id address user_agent",
        "A session was presented from an address outside its `ip_binding`.",
    ),
    "two_sessions_presented": EventKind(
        logging.WARNING,
        "session_id user_id address other_session_id",
        "A request brought the tokens of two live sessions, as when a sub-domain has planted one."
        " The first in the header was taken; `other_session_id` is the other.",
    ),
    "sign_in_failed": EventKind(
        logging.INFO,
        "user_id address user_agent cause provider",
        "A sign-in was refused. `cause` says why: `unknown_user`, `wrong_password`,"
        " `email_not_verified`, `no_email`, `account_not_linked`, or `id_token_` and the check"
        " that failed; with `provider` where there is one.",
    ),
    "throttled": EventKind(
        logging.WARNING,
        "address retry_after_seconds",
        "Too many wrong passwords or ID tokens, sign-ups, one-time tokens or requests for a mail;"
        " the next one in `retry_after_seconds`.",
    ),
    "request_refused": EventKind(
        logging.INFO,
        "session_id user_id address user_agent code path",
        "A request to `path` was refused with 403, and `code` says why: its page is of no trusted"
        " origin, its `callbackURL` leads away, its form is forged, or its session not fresh.",
    ),
    "cookie_refused": EventKind(
        logging.INFO,
        "address user_agent cookie",
        "A request brought a `cookie` (`token` or `copy`) that this server did not sign, or that"
        " was changed: a forgery, or from before its secret was removed.",
    ),
    "password_changed": EventKind(logging.INFO, "user_id address", "A user has a new password."),
    "password_hash_unusable": EventKind(
        logging.WARNING,
        "user_id cause",
        "A password could not be compared with the stored hash, so it was refused as a wrong one."
        " `cause` says why: `unknown_format`, `too_costly` (its parameters ask for too much"
        " work), `bcrypt_missing` or `passlib_missing` (install the extra of that name).",
    ),
    "breach_service_failed": EventKind(
        logging.WARNING,
        "error",
        "`password.is_compromised` raised an `error` (its type), so a new password was taken"
        " without it. Once, until it answers again.",
    ),
    "sign_up_attempt": EventKind(
        logging.INFO,
        "user_id address",
        "Somebody signed up with the address of a user, and was not told that it is taken.",
    ),
    "password_reset_requested": EventKind(
        logging.INFO,
        "user_id address",
        "Somebody asked for a link with which to set a new password. Without a user, nobody has"
        " that address.",
    ),
    "email_verified": EventKind(
        logging.INFO, "user_id address", "A user's e-mail address was verified."
    ),
    "email_changed": EventKind(
        logging.INFO, "user_id address", "A user has another e-mail address, which is verified."
    ),
    "token_refused": EventKind(
        logging.INFO,
        "address purpose",
        "A link was refused whose token is unknown, used, over its time or of another address;"
        " `purpose` says which kind of link.",
    ),
    "mail_failed": EventKind(
        logging.WARNING,
        "user_id kind error",
        "`on_send` raised an exception, so a mail of a `kind` was perhaps not sent; `error` is the"
        " exception's type.",
    ),
    "user_created": EventKind(
        logging.INFO,
        "user_id address provider",
        "Somebody signed up, or came by a `provider` for the first time.",
    ),
    "user_updated": EventKind(logging.DEBUG, "user_id", "A user's name or image was changed."),
    "user_deleted": EventKind(
        logging.INFO, "user_id reason address", "A user was deleted, and their sessions ended."
    ),
    "account_linked": EventKind(
        logging.INFO,
        "user_id address provider",
        "A user who was here before signed in by a `provider` for the first time.",
    ),
    "backchannel_logout": EventKind(
        logging.INFO,
        "user_id address provider session_count",
        "A `provider` ended `session_count` sessions, as its user's session there is over.",
    ),
    "backchannel_logout_refused": EventKind(
        logging.WARNING,
        "address provider cause",
        "What was sent as a `provider`'s logout token is not sound; `cause` is the check that"
        " failed, such as `signature`, `aud` or `replayed`.",
    ),
    "provider_error": EventKind(
        logging.WARNING,
        "provider error why",
        "The keys of a `provider` could not be fetched; `error` is the exception's type, and"
        " `why` says what failed.",
    ),
    "data_dropped": EventKind(
        logging.WARNING,
        "session_id user_id why",
        "What was set in `session.data` was not stored; `why` gives the reason.",
    ),
    "cookie_cache_too_large": EventKind(
        logging.WARNING,
        "session_id",
        "A cached copy is larger than browsers store (4096 bytes), so it was not sent. Once in"
        " a process.",
    ),
    "proxy_not_trusted": EventKind(
        logging.WARNING,
        "address remedy",
        "A private `address` sent `X-Forwarded-For` or `Forwarded` and is none of"
        " `trusted_proxies`, so all behind it count as one client, for the throttle too; `remedy`"
        " says what to set, unless that is a client in a private network. Once in a process.",
    ),
    "clock_off": EventKind(
        logging.WARNING,
        "ahead_ms allowed_ms",
        "This process's clock is `ahead_ms` before the database's (negative: behind), more than"
        " the `allowed_ms`. Until that changes it neither makes nor takes cached copies.",
    ),
    "purge_done": EventKind(logging.DEBUG, "row_count", "A clean-up deleted `row_count` rows."),
    "database_error": EventKind(
        logging.DEBUG,
        "error",
        "The database did not answer a request; `error` is the exception. What failed, and when"
        " it is back, is logged once for each outage.",
    ),
}

TOLD_EVENTS: tuple[EventName, ...] = (
    *("session_created", "session_ended", "reauthenticated", "password_changed"),
    *("user_created", "user_deleted", "account_linked", "email_verified", "email_changed"),
    *("sign_up_attempt", "backchannel_logout"),
)
"""What the setting ``audit`` keeps in the transaction of what the event tells."""
NOTED_EVENTS: tuple[EventName, ...] = (
    *("session_replayed", "session_moved", "ip_mismatch", "two_sessions_presented"),
    *("sign_in_failed", "throttled", "request_refused", "cookie_refused", "token_refused"),
    *("password_reset_requested", "password_hash_unusable", "backchannel_logout_refused"),
)
"""What it keeps beside the request, so many a minute: anybody can cause these."""


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One thing that happened; ``EVENT_KINDS`` says what each name means.

    ``id`` is that of a row of the event table, None for what a listener is told.
    """

    name: EventName
    at_ms: int
    session_id: str | None = None
    user_id: Any = None
    reason: EndReason | None = None
    address: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    user_agent: str | None = None
    id: int | None = None

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
        self.noted: NotedEvents | None = None
        """Keeps refusals and attempts in the event table, where the setting ``audit`` is on."""

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
        user_agent: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Log an event, keep it if it is one of those, and call the listeners."""
        error = (details or {}).get("error")
        if name == "database_error" and self.outages is not None and error is not None:
            self.outages.begin(error)
        level = EVENT_KINDS[name].level
        is_logged = logger.isEnabledFor(level)
        if not (is_logged or self._listeners or self.noted):
            return
        event = SessionEvent(
            name,
            self._clock.now_ms(),
            session_id,
            user_id,
            reason,
            address,
            dict(details or {}),
            user_agent,
        )
        if self.noted is not None:
            self.noted.note(event)
        if is_logged:
            from .log_fields import log_event  # most requests log nothing

            log_event(event, level)
        self.tell(event)

    def emit_once(
        self,
        name: EventName,
        *,
        session_id: str | None = None,
        address: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Emit an event unless one of this name was emitted so before in this process."""
        if name not in self._emitted_once:
            self._emitted_once.add(name)
            self.emit(name, session_id=session_id, address=address, details=details)

    def tell(self, event: SessionEvent) -> None:
        """Call the listeners with an event that was logged already."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                from .log_fields import log_fields

                fields = log_fields("listener_failed", details={"about": event.name})
                logger.exception("a listener failed on the event %s", event.name, extra=fields)
