"""The rows of the sessions page: each session in words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from ..clock import datetime_from_ms
from ..light_dataclasses import dataclass
from ..records import EndReason
from ..sessions.places import last_used_from
from ..sessions.reading import EndedSession
from ..sessions.session import Session
from ..transport.devices import UNKNOWN_DEVICE, device_in_words

_MAX_AGENT_LENGTH = 120
_NEW_FOR = timedelta(days=1)
_ODD = (EndReason.REPLAYED, EndReason.IP_MISMATCH)
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session as the template shows it; instants are aware, UTC.

    ``agent`` is what the browser calls itself, for a device that has no name in words.
    ``is_elsewhere``: its address is known and is not this browser's. ``last_device`` and
    ``last_address`` are those of its last use, where they are others. ``is_new``: signed in
    within the last day, in another browser. ``is_odd``: new, without a name in words, or used
    from another network and browser than those it began in.
    """

    id: str
    device: str
    agent: str | None
    address: str | None
    signed_in_at: datetime
    signed_in: str
    signed_in_in_full: str
    last_seen_at: datetime
    last_seen: str
    last_seen_in_full: str
    last_device: str | None
    last_address: str | None
    is_this_one: bool
    is_elsewhere: bool
    is_new: bool
    is_odd: bool


def row_of(session: Session, *, now: datetime, this: Session) -> SessionRow:
    """Return the row of a session; ``this`` is the session of the browser that looks."""
    is_this_one = session.id == this.id
    device, address = session.device, session.ip_address
    is_new = not is_this_one and now - session.authenticated_at < _NEW_FOR
    return SessionRow(
        id=session.id,
        device=device,
        agent=_cut(session.user_agent) if device == UNKNOWN_DEVICE else None,
        address=address,
        signed_in_at=session.authenticated_at,
        signed_in=time_ago(session.authenticated_at, now),
        signed_in_in_full=instant_in_words(session.authenticated_at),
        last_seen_at=session.last_seen_at,
        last_seen="now" if is_this_one else time_ago(session.last_seen_at, now),
        last_seen_in_full=instant_in_words(session.last_seen_at),
        last_device=None if session.last_device == device else session.last_device,
        last_address=None if session.last_ip_address == address else session.last_ip_address,
        is_this_one=is_this_one,
        is_elsewhere=address is not None and address != this.ip_address,
        is_new=is_new,
        is_odd=is_new or (not is_this_one and (device == UNKNOWN_DEVICE or session.is_elsewhere)),
    )


@dataclass(frozen=True, slots=True)
class EndedRow:
    """A session that is over, as the template shows it.

    ``reason`` is a name, for which ``reasons.html`` has words. ``is_odd``: somebody else may have
    held its cookie.
    """

    device: str
    address: str | None
    reason: str
    ended_at: datetime
    ended: str
    ended_in_full: str
    is_odd: bool


def ended_row_of(over: EndedSession, *, now: datetime, this: Session) -> EndedRow:
    """Return the row of a session that is over; with its address, if that is not this browser's."""
    address, user_agent = last_used_from(over.record)
    ended_at = datetime_from_ms(over.at_ms)
    return EndedRow(
        device=device_in_words(user_agent),
        address=None if address == this.ip_address else address,
        reason=over.reason.value,
        ended_at=ended_at,
        ended=time_ago(ended_at, now),
        ended_in_full=instant_in_words(ended_at),
        is_odd=over.reason in _ODD,
    )


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= _MAX_AGENT_LENGTH:
        return text
    return f"{text[:_MAX_AGENT_LENGTH]}…"


def time_ago(instant: datetime, now: datetime) -> str:
    """Return how long ago an instant was, in its largest unit.

    >>> noon = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
    >>> time_ago(noon.replace(hour=9), noon), time_ago(noon.replace(minute=1), noon)
    ('3 hours ago', 'just now')
    """
    seconds = (now - instant).total_seconds()
    for length, unit in _UNITS:
        count = int(seconds // length)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def instant_in_words(instant: datetime) -> str:
    """Return an instant in words, in UTC.

    >>> instant_in_words(datetime(2026, 1, 2, 12, tzinfo=timezone.utc))
    '2 January 2026, 12:00 UTC'
    """
    utc = instant.astimezone(timezone.utc)
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"
