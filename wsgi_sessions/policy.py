"""What happens to a session: ``judge``, a pure function of what is stored and presented.

Must not read a clock, run SQL, log, or know requests and cookies.
"""

from __future__ import annotations

from .addresses import is_same_network
from .clock import has_passed
from .config import SessionConfig
from .records import Change, Decision, EndReason, Outcome, SessionRecord

__all__ = [
    "absolute_end_ms",
    "cached_copy_end_ms",
    "end_reason_at",
    "first_expiry_ms",
    "is_bound_elsewhere",
    "is_live",
    "judge",
    "put_clock_right",
    "touch_interval_ms",
]

_HOUR_MS = 3_600_000

UNKNOWN = Decision(Outcome.UNKNOWN, is_accepted=False)
_ACCEPTED_AS_IS = {
    outcome: Decision(outcome, is_accepted=True)
    for outcome in (Outcome.CONFIRM, Outcome.CURRENT, Outcome.GRACE)
}


def judge(
    record: SessionRecord | None,
    presented_generation: int,
    *,
    now_ms: int,
    address: str | None,
    config: SessionConfig,
    allow_refresh: bool = True,
    must_reissue: bool = False,
    is_user_missing: bool = False,
    must_write: bool = False,
) -> Decision:
    """Decide what a request that presents a token of a generation does to the stored session.

    The order of the rules is that of ``sessions.md``: ended and expired, address, generation,
    refresh, rotation. ``allow_refresh=False`` reads only: nothing is refreshed, touched,
    offered or confirmed; the next request does it.
    ``must_reissue``: the token is signed by an older secret, so the browser needs another.
    ``is_user_missing``: the session names a user whose row is gone.
    ``must_write``: the record is not quite what is stored (``put_clock_right``).
    """
    if record is None:
        return UNKNOWN
    if record.ended_at_ms is not None:
        return Decision(
            Outcome.ENDED, is_accepted=False, end_reason=_known_reason(record.end_reason)
        )
    if is_user_missing:
        return _over(Outcome.ENDED, EndReason.USER_DELETED)
    limit = end_reason_at(record, now_ms=now_ms, config=config)
    if limit is not None:
        return _over(Outcome.EXPIRED, limit)

    if config.ip_binding != "off" and is_bound_elsewhere(record, address=address, config=config):
        # An address that nobody told is no proof of anything, so it ends nothing.
        if config.on_ip_mismatch == "revoke" and address is not None:
            return _over(Outcome.IP_MISMATCH, EndReason.IP_MISMATCH)
        return Decision(Outcome.IP_MISMATCH, is_accepted=False)

    stored_generation = record.generation
    if presented_generation == stored_generation:
        outcome = Outcome.CURRENT
    elif presented_generation > stored_generation:
        outcome = Outcome.CONFIRM
    elif presented_generation == stored_generation - 1 and not has_passed(
        record.confirmed_at_ms + config.rotation_grace_ms, now_ms
    ):
        outcome = Outcome.GRACE
    elif config.on_replay == "revoke":
        return _over(Outcome.REPLAY, EndReason.REPLAYED)
    else:
        return Decision(Outcome.REPLAY, is_accepted=False)
    if not allow_refresh:
        return _ACCEPTED_AS_IS[outcome]
    return _accept(
        record,
        presented_generation,
        outcome=outcome,
        now_ms=now_ms,
        config=config,
        must_reissue=must_reissue,
        must_write=must_write,
    )


def put_clock_right(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> SessionRecord:
    """Return a record with no instant further in the future than clocks may differ.

    The record itself if there is none. A clock that was ahead by a month and is put right would
    leave a grace that lasts a month, no rotation, refresh or touch for as long, and limits that
    are never reached. What it wrote happened in the past, nobody knows when; so it counts from
    now on.
    """
    latest_ms = now_ms + max(config.clock_difference_ms, config.rotation_grace_ms)
    lifetime_ms = config.expires_in_ms if record.remember else config.short_expires_in_ms
    if (
        record.last_seen_at_ms <= latest_ms
        and record.confirmed_at_ms <= latest_ms
        and record.authenticated_at_ms <= latest_ms
        and record.expires_at_ms <= latest_ms + lifetime_ms
    ):
        return record

    def put_right(instant_ms: int) -> int:
        return now_ms if instant_ms > latest_ms else instant_ms

    expires_at_ms = record.expires_at_ms
    if expires_at_ms > latest_ms + lifetime_ms:
        # A refresh is due then, which sends the browser its cookie anew.
        expires_at_ms = now_ms + lifetime_ms - (config.update_age_ms if record.remember else 0)
    return record._replace(
        last_seen_at_ms=put_right(record.last_seen_at_ms),
        confirmed_at_ms=put_right(record.confirmed_at_ms),
        authenticated_at_ms=put_right(record.authenticated_at_ms),
        expires_at_ms=expires_at_ms,
    )


def _over(outcome: Outcome, reason: EndReason) -> Decision:
    return Decision(outcome, is_accepted=False, end_reason=reason, must_end=True)


def _accept(
    record: SessionRecord,
    presented_generation: int,
    *,
    outcome: Outcome,
    now_ms: int,
    config: SessionConfig,
    must_reissue: bool,
    must_write: bool,
) -> Decision:
    confirms = outcome is Outcome.CONFIRM
    expires_at_ms = record.expires_at_ms
    may_set_cookie = outcome is not Outcome.GRACE and not _must_wait(
        record, presented_generation, now_ms=now_ms, config=config
    )
    if (
        may_set_cookie
        and record.remember
        and has_passed(_refresh_due_ms(record, config=config), now_ms)
    ):
        # Never backwards: a worker whose clock is behind must not shorten a session.
        expires_at_ms = max(expires_at_ms, _capped(now_ms + config.expires_in_ms, record, config))
    refreshes = expires_at_ms != record.expires_at_ms
    touches = has_passed(record.last_seen_at_ms + touch_interval_ms(config), now_ms)
    offer = None
    if may_set_cookie:
        offer = _offer(
            record,
            presented_generation,
            now_ms=now_ms,
            config=config,
            needs_cookie=(
                refreshes
                or must_reissue
                or (touches and _is_repeat_due(record, now_ms=now_ms, config=config))
            ),
        )
    if not (confirms or refreshes or touches or must_write):
        if offer is None:
            return _ACCEPTED_AS_IS[outcome]
        return Decision(outcome, is_accepted=True, offer=offer)
    change = Change(
        generation=presented_generation if confirms else record.generation,
        confirmed_at_ms=now_ms if confirms else record.confirmed_at_ms,
        updated_at_ms=now_ms if confirms or refreshes else record.updated_at_ms,
        last_seen_at_ms=max(now_ms, record.last_seen_at_ms),
        expires_at_ms=expires_at_ms,
        is_touch_only=not (confirms or refreshes),
        authenticated_at_ms=record.authenticated_at_ms,
    )
    return Decision(outcome, is_accepted=True, change=change, offer=offer)


def _offer(
    record: SessionRecord,
    presented_generation: int,
    *,
    now_ms: int,
    config: SessionConfig,
    needs_cookie: bool,
) -> int | None:
    """Return the generation to set as a cookie: the next one, the presented one, or none.

    A refresh sends a cookie even if no rotation is due, because the browser counts Max-Age
    from the last one it was sent. When the rotation is less than a grace away, that cookie is
    the next generation already: a slow response that carried the present one could reach the
    browser after the next was confirmed, and would put it back to a token about to be a replay.
    """
    if presented_generation == record.generation and config.rotate_tokens:
        due_ms = record.confirmed_at_ms + config.update_age_ms
        if needs_cookie:
            due_ms -= config.rotation_grace_ms
        if has_passed(due_ms, now_ms):
            return record.generation + 1
    return presented_generation if needs_cookie else None


def _is_repeat_due(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> bool:
    """Tell whether the token is sent again, as the cookie of the last refresh may be lost.

    Where tokens rotate the next offer brings a new Max-Age soon enough. Where they do not, the
    browser would drop the cookie while the session lives on. So it goes out again with the
    first touch of every hour since the refresh.
    """
    if config.rotate_tokens or not record.remember:
        return False
    if record.updated_at_ms <= record.authenticated_at_ms:
        return False  # never refreshed: the cookie of the sign-in lasts as long
    # Where sessions are short, an hour could be longer than the cookie lasts.
    interval_ms = min(_HOUR_MS, (config.expires_in_ms - config.update_age_ms) // 2) or 1
    seen_ms = max(record.last_seen_at_ms, record.updated_at_ms) - record.updated_at_ms
    return (now_ms - record.updated_at_ms) // interval_ms > seen_ms // interval_ms


def _must_wait(
    record: SessionRecord, presented_generation: int, *, now_ms: int, config: SessionConfig
) -> bool:
    """Tell whether whatever needs a cookie has to wait, for less than a grace.

    It would be the presented generation again, and a request a moment later may be offered the
    next one. If the slower of the two answers is ours, it puts the browser back to a token that
    has been followed by a confirmed one. So between them lies a grace without any cookie.
    """
    if presented_generation != record.generation or not config.rotate_tokens:
        return False
    due_ms = record.confirmed_at_ms + config.update_age_ms
    offered_from_ms = due_ms - config.rotation_grace_ms
    return (
        has_passed(offered_from_ms - config.rotation_grace_ms, now_ms)
        and not has_passed(offered_from_ms, now_ms)
        and record.expires_at_ms > due_ms
    )


def end_reason_at(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> EndReason | None:
    """Tell which limit of a session that has not been ended is over at an instant, if any."""
    limit_ms = absolute_end_ms(record, config=config)
    if limit_ms is not None and has_passed(limit_ms, now_ms):
        return EndReason.ABSOLUTE
    if has_passed(record.expires_at_ms, now_ms):
        return EndReason.EXPIRED
    idle_ms = config.idle_timeout_ms
    if idle_ms is not None and has_passed(record.last_seen_at_ms + idle_ms, now_ms):
        return EndReason.IDLE
    return None


def is_live(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> bool:
    """Tell whether a session is neither ended nor past one of its limits."""
    return (
        record.ended_at_ms is None and end_reason_at(record, now_ms=now_ms, config=config) is None
    )


def is_bound_elsewhere(
    record: SessionRecord, *, address: str | None, config: SessionConfig
) -> bool:
    """Tell whether ``ip_binding`` forbids this session at a client address.

    A session made without an address (over a unix socket, say) is bound to none.
    """
    bound_to = record.ip_address
    if config.ip_binding == "off" or bound_to is None or bound_to == address:
        return False
    if config.ip_binding == "exact" or address is None:
        return True
    return not is_same_network(
        bound_to, address, prefix_v4=config.ip_prefix_v4, prefix_v6=config.ip_prefix_v6
    )


def first_expiry_ms(*, now_ms: int, remember: bool, config: SessionConfig) -> int:
    """Return when a session made now expires, if it is never refreshed."""
    lifetime_ms = config.expires_in_ms if remember else config.short_expires_in_ms
    if config.absolute_timeout_ms is not None:
        lifetime_ms = min(lifetime_ms, config.absolute_timeout_ms)
    return now_ms + lifetime_ms


def absolute_end_ms(record: SessionRecord, *, config: SessionConfig) -> int | None:
    """Return the instant no use can carry the session beyond, or None without such a limit."""
    if config.absolute_timeout_ms is None:
        return None
    return record.authenticated_at_ms + config.absolute_timeout_ms


def touch_interval_ms(config: SessionConfig) -> int:
    """Return how far ``last_seen_at`` may lag behind; a tenth of an idle limit at the most.

    The idle limit is counted from ``last_seen_at``, so a coarse touch would sign out people
    who were there a moment ago.
    """
    if config.idle_timeout_ms is None:
        return config.touch_interval_ms
    return min(config.touch_interval_ms, config.idle_timeout_ms // 10)


def cached_copy_end_ms(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> int:
    """Return until when a copy sealed now may stand in for the database.

    Never beyond the session's own limits, nor past the instant at which the session must be
    refreshed, touched or rotated: that is work only a validated request does. So no copy for
    a token is left when the next one is first offered, and a thief gains nothing by the copy.
    """
    end_ms = min(now_ms + config.cookie_cache.max_age_ms, record.expires_at_ms)
    if record.remember:
        end_ms = min(end_ms, _refresh_due_ms(record, config=config))
    if config.rotate_tokens:
        rotation_ms = record.confirmed_at_ms + config.update_age_ms - config.rotation_grace_ms
        end_ms = min(end_ms, rotation_ms)
    limit_ms = absolute_end_ms(record, config=config)
    if limit_ms is not None:
        end_ms = min(end_ms, limit_ms)
    if config.idle_timeout_ms is not None:
        end_ms = min(end_ms, now_ms + config.idle_timeout_ms // 10)
    return end_ms


def _refresh_due_ms(record: SessionRecord, *, config: SessionConfig) -> int:
    limit_ms = absolute_end_ms(record, config=config)
    if limit_ms is not None and record.expires_at_ms >= limit_ms:
        return record.expires_at_ms  # already at its cap: there is nothing left to push
    return record.expires_at_ms - config.expires_in_ms + config.update_age_ms


def _capped(expires_at_ms: int, record: SessionRecord, config: SessionConfig) -> int:
    limit_ms = absolute_end_ms(record, config=config)
    return expires_at_ms if limit_ms is None else min(expires_at_ms, limit_ms)


def _known_reason(stored: str | None) -> EndReason:
    try:
        return EndReason(stored)
    except ValueError:
        return EndReason.REVOKED
