"""What each record of our logger carries beside its text: fields, for those who log as JSON.

Imported where something is logged, and not at the top: most requests log nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from .events import SessionEvent

logger = logging.getLogger("wsgi_sessions")

LOG_FIELDS: Mapping[str, str] = {
    "sessions_event": "The event's name, or which of the other lines this is.",
    "sessions_session_id": "The session, where it is known.",
    "sessions_user_id": "The user: an integer, or else text.",
    "sessions_reason": "Why a session is over.",
    "sessions_address": "The client's address.",
    "sessions_details": "What else is known: a mapping of names to values that JSON has.",
}
"""Each attribute of a record, and what it holds; None where that is not known."""

LineName = Literal[
    "database_away",
    "database_back",
    "tables_migrated",
    "answer_failed",
    "listener_failed",
    "on_send_failed",
    "event_not_kept",
    "metrics_failed",
    "extra_missing",
    "setting_note",
]


class LogLine(NamedTuple):
    """At which level a line is logged, and what it means, ``sessions_details`` included."""

    level: int
    doc: str


LOG_LINES: Mapping[LineName, LogLine] = {
    "database_away": LogLine(
        logging.ERROR, "The database does not answer, and why. Once for each outage."
    ),
    "database_back": LogLine(logging.WARNING, "The database answers again, after `seconds`."),
    "tables_migrated": LogLine(
        logging.INFO, "The tables have a `version` that they had not before, and `what` it changed."
    ),
    "answer_failed": LogLine(
        logging.ERROR, "The JSON API or the sessions page failed; a traceback follows."
    ),
    "listener_failed": LogLine(
        logging.ERROR, "A listener failed on the event `about`; a traceback follows."
    ),
    "on_send_failed": LogLine(
        logging.ERROR,
        "`on_send` raised an `error` (its type) for a mail of a `kind`; where is in the lines"
        " below. The event `mail_failed` follows.",
    ),
    "event_not_kept": LogLine(
        logging.WARNING,
        "The event `about` was not written to the event table, for an `error` (its type); the"
        " request went on.",
    ),
    "metrics_failed": LogLine(
        logging.ERROR, "The library for metrics failed; a traceback follows. Once."
    ),
    "extra_missing": LogLine(
        logging.WARNING, "Password hashes can't be checked without a `package`. Once."
    ),
    "setting_note": LogLine(
        logging.WARNING, "Something in the settings or the server is to be considered. Once."
    ),
}
"""The lines that are no events."""

_MAX_DEPTH = 4
_BREAKS = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)


def one_line(value: object) -> str:
    r"""Return a value as text in which nothing ends a line or moves the cursor.

    >>> print(one_line("Ada\nsession_ended"))
    Ada\nsession_ended
    """
    return _BREAKS.sub(lambda found: _escaped(found.group()), str(value))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def log_fields(
    event: str,
    *,
    session_id: str | None = None,
    user_id: Any = None,
    reason: str | None = None,
    address: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what ``logging`` takes as ``extra``: each of ``LOG_FIELDS``."""
    return {
        "sessions_event": event,
        "sessions_session_id": _plain(session_id),
        "sessions_user_id": _plain(user_id),
        "sessions_reason": None if reason is None else str(getattr(reason, "value", reason)),
        "sessions_address": _plain(address),
        "sessions_details": _plain(details or {}),
    }


def log_event(event: SessionEvent, level: int) -> None:
    """Log an event: in one line, and as fields."""
    values = (
        event.name,
        event.session_id or "-",
        "-" if event.user_id is None else event.user_id,
        event.reason or "-",
        event.address or "-",
        "".join(f" {key}={value}" for key, value in event.details.items()),
    )
    fields = log_fields(
        event.name,
        session_id=event.session_id,
        user_id=event.user_id,
        reason=event.reason,
        address=event.address,
        details=event.details,
    )
    logger.log(
        level,
        "%s session=%s user=%s reason=%s address=%s%s",
        *map(one_line, values),
        extra=fields,
    )


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON has it, every text in one line.

    Of an exception its type alone: a driver's own words may hold what is nobody's business.
    """
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, BaseException):
        return type(value).__name__
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return {one_line(key): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and depth < _MAX_DEPTH:
        return [_plain(each, depth + 1) for each in value]
    return one_line(value)
