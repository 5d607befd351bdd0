"""``is_undisturbed``: the requests that ``judge`` accepts as they are, told in fewer steps.

Most requests are such ones. Pure, as ``policy`` is, and no rule of its own: tests compare the two.
"""

from __future__ import annotations

from ..config.settings import SessionConfig
from ..records import PresentedToken, SessionRecord
from .policy import _refresh_due_ms, _rotation_due_ms, absolute_end_ms, touch_interval_ms


def is_undisturbed(
    record: SessionRecord, token: PresentedToken, *, now_ms: int, config: SessionConfig
) -> bool:
    """Return whether ``judge`` accepts a request as it is, whatever else is known of it.

    The token is the one that counts, and settled, no limit is over, nothing is due, and no clock
    was ahead. False says nothing: ``judge`` has to be asked. The user is for the caller to see.
    """
    if (
        record.ended_at_ms is not None
        or token.generation != record.generation
        or token.branch != record.branch
        or not record.is_settled
        or not token.is_signed_by_newest
        or config.ip_binding != "off"
    ):
        return False
    if record.remember:
        is_in_time = now_ms < _refresh_due_ms(record, config=config)
        longest_ms = config.expires_in_ms
    else:
        is_in_time = now_ms < record.expires_at_ms
        longest_ms = config.short_expires_in_ms
    rotation_ms = _rotation_due_ms(record, config=config)
    limit_ms = absolute_end_ms(record, config=config)
    return (
        is_in_time
        and record.expires_at_ms - longest_ms <= now_ms
        and record.authenticated_at_ms <= now_ms
        and record.confirmed_at_ms <= now_ms
        # Less than a tenth of idle_timeout, where there is one.
        and record.last_seen_at_ms <= now_ms < record.last_seen_at_ms + touch_interval_ms(config)
        and (rotation_ms is None or now_ms < rotation_ms)
        and (limit_ms is None or now_ms < limit_ms)
    )
