"""The rules of a session: ``judge``, a pure function of what is stored and presented, and limits.

Must not read a clock, draw randomness, run SQL or log.
"""

from __future__ import annotations

from ..clock import has_passed
from ..config.settings import SessionConfig
from ..records import Change, Decision, EndReason, Offer, Outcome, PresentedToken, SessionRecord
from .places import is_bound_elsewhere

_HOUR_MS = 3_600_000

_UNKNOWN = Decision(Outcome.UNKNOWN, is_accepted=False)
_ACCEPTED_AS_IS = {outcome: Decision(outcome, is_accepted=True) for outcome in Outcome}


def judge(
    record: SessionRecord | None,
    token: PresentedToken,
    *,
    now_ms: int,
    address: str | None,
    user_agent: str | None = None,
    config: SessionConfig,
    has_long_body: bool = False,
    allow_refresh: bool = True,
    is_user_missing: bool = False,
    must_write: bool = False,
) -> Decision:
    """Decide what a request that presents a token does to the stored session.

    The rules come in this order: ended and expired, address, token, refresh, rotation.
    ``has_long_body``: the request may have been sent long ago. ``allow_refresh=False`` reads
    only: nothing is refreshed, touched, offered, confirmed or settled; the next request does it.
    ``is_user_missing``: the session names a user who was deleted. ``must_write``: the record is
    not quite what is stored (see ``put_clock_right``).
    """
    if record is None:
        return _UNKNOWN
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
        # An unknown address proves nothing, so it ends nothing.
        if config.on_ip_mismatch == "revoke" and address is not None:
            return _over(Outcome.IP_MISMATCH, EndReason.IP_MISMATCH)
        return Decision(Outcome.IP_MISMATCH, is_accepted=False)

    outcome = _recognise(record, token, now_ms=now_ms, has_long_body=has_long_body, config=config)
    if outcome is Outcome.REPLAY:
        if config.on_replay == "revoke":
            return _over(Outcome.REPLAY, EndReason.REPLAYED)
        return Decision(Outcome.REPLAY, is_accepted=False)
    if not allow_refresh:
        return _ACCEPTED_AS_IS[outcome]
    return _accept(
        record,
        token,
        outcome=outcome,
        now_ms=now_ms,
        used_from=(address, user_agent),
        config=config,
        must_write=must_write,
    )


def _recognise(
    record: SessionRecord,
    token: PresentedToken,
    *,
    now_ms: int,
    has_long_body: bool,
    config: SessionConfig,
) -> Outcome:
    """Compare a token of a live session with the one that counts.

    Every offer has a branch of its own, so after parallel answers a browser holds any one of
    these siblings. The first to come back confirms the generation. When the window is over, all
    that was under way has arrived. So the next request shows which sibling the browser kept, and
    settles it: from then on any other one is a second holder's.
    """
    if token.generation > record.generation:
        return Outcome.CONFIRM
    since_ms = now_ms - record.confirmed_at_ms
    may_catch_up = not (record.is_settled or record.caught_up)
    if token.generation == record.generation:
        # A request sent long ago does not show what the browser holds now.
        window_ms = config.upload_grace_ms if has_long_body else config.rotation_window_ms
        if token.branch == record.branch:
            if record.is_settled or since_ms < window_ms:
                return Outcome.CURRENT
            return Outcome.SETTLE
        if may_catch_up and token.is_catch_up:
            return Outcome.TAKE_OVER
        if since_ms < window_ms:
            return Outcome.GRACE if since_ms < config.rotation_window_ms else Outcome.LATE
        return Outcome.REPLAY if record.is_settled else Outcome.SETTLE
    if token.generation == record.generation - 1 and record.branch_before in (None, token.branch):
        if since_ms < config.rotation_grace_ms:
            return Outcome.GRACE
        if has_long_body and since_ms < config.upload_grace_ms:
            return Outcome.LATE
        if may_catch_up:
            return Outcome.CATCH_UP
    return Outcome.REPLAY


def _accept(
    record: SessionRecord,
    token: PresentedToken,
    *,
    outcome: Outcome,
    now_ms: int,
    used_from: tuple[str | None, str | None],
    config: SessionConfig,
    must_write: bool,
) -> Decision:
    confirms = outcome is Outcome.CONFIRM
    takes_over = outcome is Outcome.TAKE_OVER
    settles = outcome is Outcome.SETTLE
    is_settled = settles or (outcome is Outcome.CURRENT and bool(record.is_settled))

    rotation_due_ms = None if confirms else _rotation_due_ms(record, config=config)
    may_repeat = confirms or (
        is_settled and not _is_pause(rotation_due_ms, now_ms=now_ms, config=config)
    )
    expires_at_ms = record.expires_at_ms
    if (
        may_repeat
        and record.remember
        and has_passed(_refresh_due_ms(record, config=config), now_ms)
    ):
        # Never backwards: a worker whose clock is behind must not shorten a session.
        expires_at_ms = max(expires_at_ms, _capped(now_ms + config.expires_in_ms, record, config))
    refreshes = expires_at_ms != record.expires_at_ms
    touches = has_passed(record.last_seen_at_ms + touch_interval_ms(config), now_ms)

    offer = None
    if outcome is Outcome.CATCH_UP:
        offer = Offer(record.generation, is_catch_up=True)
    elif confirms or is_settled:
        needs_cookie = (
            refreshes
            or not token.is_signed_by_newest
            or (
                (touches or settles)
                and _is_repeat_due(record, now_ms=now_ms, config=config, settles=settles)
            )
        )
        offered_from_ms = rotation_due_ms
        if offered_from_ms is not None and needs_cookie:
            # A slow response with the present token must not overtake the next one's.
            offered_from_ms -= config.rotation_grace_ms
        if offered_from_ms is not None and has_passed(offered_from_ms, now_ms):
            offer = Offer(record.generation + 1)
        elif needs_cookie and may_repeat:
            offer = Offer(token.generation, token.branch)

    if not (confirms or takes_over or settles or refreshes or touches or must_write):
        if offer is None:
            return _ACCEPTED_AS_IS[outcome]
        return Decision(outcome, is_accepted=True, offer=offer)
    branch_before = record.branch_before
    if confirms:
        # Of the generation before, the settled sibling alone is taken from now on. None, which
        # stands for any, where the write that settles was lost.
        follows = record.is_settled and token.generation == record.generation + 1
        branch_before = record.branch if follows else None
    change = Change(
        generation=token.generation if confirms else record.generation,
        branch=token.branch if confirms or takes_over or settles else record.branch,
        branch_before=branch_before,
        is_settled=settles or (bool(record.is_settled) and not (confirms or takes_over)),
        caught_up=takes_over or (bool(record.caught_up) and not confirms),
        confirmed_at_ms=now_ms if confirms or takes_over else record.confirmed_at_ms,
        updated_at_ms=now_ms if confirms or refreshes else record.updated_at_ms,
        last_seen_at_ms=max(now_ms, record.last_seen_at_ms),
        expires_at_ms=expires_at_ms,
        may_fail=(
            token.branch == record.branch if settles else not (confirms or takes_over or refreshes)
        ),
        authenticated_at_ms=record.authenticated_at_ms,
        last_ip_address=used_from[0],
        last_user_agent=used_from[1],
    )
    return Decision(outcome, is_accepted=True, change=change, offer=offer)


def _rotation_due_ms(record: SessionRecord, *, config: SessionConfig) -> int | None:
    """Return from when on every request is offered the next token, or None if never."""
    if not config.rotate_tokens:
        return None
    interval_ms = (
        config.rotation_interval_ms if record.remember else config.short_rotation_interval_ms
    )
    return None if interval_ms is None else record.confirmed_at_ms + interval_ms


def _is_pause(due_ms: int | None, *, now_ms: int, config: SessionConfig) -> bool:
    """Return whether no cookie is sent now: from two graces to one before a rotation is due.

    It would carry the presented token again, and a request a moment later may be offered the
    next one. If the answer to the first came last, the browser would be back at the old token
    after the next one was confirmed. So a grace without any cookie lies between them.
    """
    if due_ms is None:
        return False
    offered_from_ms = due_ms - config.rotation_grace_ms
    return has_passed(offered_from_ms - config.rotation_grace_ms, now_ms) and not has_passed(
        offered_from_ms, now_ms
    )


def _is_repeat_due(
    record: SessionRecord, *, now_ms: int, config: SessionConfig, settles: bool
) -> bool:
    """Return whether the token is sent again, as the cookie of the last refresh may be lost.

    Else the browser would drop the cookie while the session lives on. So it is sent again with
    the first touch of every hour since the refresh, unless the next offer brings a new Max-Age
    soon enough. Where the confirmation has refreshed, the browser's cookie may be about to end,
    and no offer is soon enough: then the token is sent with the settling, too.
    """
    if not record.remember or record.updated_at_ms <= record.authenticated_at_ms:
        return False  # never refreshed: the cookie of the sign-in lasts as long
    if (
        config.absolute_timeout_ms is not None
        and config.absolute_timeout_ms <= config.expires_in_ms
    ):
        return False  # every cookie lasts until then
    # Where sessions are short, an hour could be longer than the cookie lasts.
    interval_ms = min(_HOUR_MS, (config.expires_in_ms - config.update_age_ms) // 2) or 1
    refreshed_at_confirm = (
        record.updated_at_ms == record.confirmed_at_ms
        and record.expires_at_ms
        == _capped(record.confirmed_at_ms + config.expires_in_ms, record, config)
    )
    is_offer_soon = (
        config.rotate_tokens
        and config.rotation_interval_ms <= config.update_age_ms
        and config.update_age_ms + config.rotation_interval_ms + interval_ms <= config.expires_in_ms
    )
    if is_offer_soon and not refreshed_at_confirm:
        return False
    if settles and refreshed_at_confirm:
        return True
    seen_ms = max(record.last_seen_at_ms, record.updated_at_ms) - record.updated_at_ms
    return (now_ms - record.updated_at_ms) // interval_ms > seen_ms // interval_ms


def _over(outcome: Outcome, reason: EndReason) -> Decision:
    return Decision(outcome, is_accepted=False, end_reason=reason, must_end=True)


def put_clock_right(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> SessionRecord:
    """Return a record with no instant further in the future than clocks may differ.

    The record itself if there is none. Otherwise a clock that was a month ahead, and is right
    again, would leave a grace that lasts a month, no rotation, refresh or touch for as long, and
    limits that are never reached. When such an instant really was is unknown, so it counts as now.
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
        # So that a refresh is due, which sends the browser its cookie again.
        expires_at_ms = now_ms + lifetime_ms - (config.update_age_ms if record.remember else 0)
    return record._replace(
        last_seen_at_ms=put_right(record.last_seen_at_ms),
        confirmed_at_ms=put_right(record.confirmed_at_ms),
        authenticated_at_ms=put_right(record.authenticated_at_ms),
        expires_at_ms=expires_at_ms,
    )


def end_reason_at(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> EndReason | None:
    """Return which limit of a session is over at an instant, if any; it was not ended before."""
    for reason, end_ms in _limits(record, config=config):
        if has_passed(end_ms, now_ms):
            return reason
    return None


def first_limit_ms(record: SessionRecord, *, config: SessionConfig) -> int:
    """Return the instant at which the first limit of a session is over, unless it is used."""
    return min(end_ms for _, end_ms in _limits(record, config=config))


def _limits(record: SessionRecord, *, config: SessionConfig) -> list[tuple[EndReason, int]]:
    """Return the limits that a session has, in the order in which they are told."""
    limits: list[tuple[EndReason, int]] = []
    limit_ms = absolute_end_ms(record, config=config)
    if limit_ms is not None:
        limits.append((EndReason.ABSOLUTE, limit_ms))
    limits.append((EndReason.EXPIRED, record.expires_at_ms))
    if config.idle_timeout_ms is not None:
        limits.append((EndReason.IDLE, record.last_seen_at_ms + config.idle_timeout_ms))
    return limits


def is_live(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> bool:
    return (
        record.ended_at_ms is None and end_reason_at(record, now_ms=now_ms, config=config) is None
    )


def first_expiry_ms(*, now_ms: int, remember: bool, config: SessionConfig) -> int:
    lifetime_ms = config.expires_in_ms if remember else config.short_expires_in_ms
    if config.absolute_timeout_ms is not None:
        lifetime_ms = min(lifetime_ms, config.absolute_timeout_ms)
    return now_ms + lifetime_ms


def absolute_end_ms(record: SessionRecord, *, config: SessionConfig) -> int | None:
    """Return when the session ends whatever its use, or None without such a limit."""
    if config.absolute_timeout_ms is None:
        return None
    return record.authenticated_at_ms + config.absolute_timeout_ms


def touch_interval_ms(config: SessionConfig) -> int:
    """Return how far ``last_seen_at`` may lag behind; at most a tenth of an idle limit.

    The idle limit counts from ``last_seen_at``, so a longer interval would sign out people who
    were there a moment ago.
    """
    if config.idle_timeout_ms is None:
        return config.touch_interval_ms
    return min(config.touch_interval_ms, config.idle_timeout_ms // 10)


def cookie_lifetime_ms(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> int | None:
    """Return how long a browser keeps a token sent now: as a refresh now would; at least 1 s.

    None for a session that is not remembered: its cookie ends with the browser.
    """
    if not record.remember:
        return None
    return max(_capped(now_ms + config.expires_in_ms, record, config) - now_ms, 1000)


def cached_copy_end_ms(record: SessionRecord, *, now_ms: int, config: SessionConfig) -> int:
    """Return until when a copy made now may be taken in place of the database.

    Not beyond the session's own limits, nor past the instant at which it must be refreshed,
    touched or rotated: only a validated request does that. So no copy for a token is left when
    the next one is first offered, and a thief gains nothing by the copy.
    """
    end_ms = min(now_ms + config.cookie_cache.max_age_ms, first_limit_ms(record, config=config))
    if record.remember:
        end_ms = min(end_ms, _refresh_due_ms(record, config=config))
    rotation_ms = _rotation_due_ms(record, config=config)
    if rotation_ms is not None:
        end_ms = min(end_ms, rotation_ms - config.rotation_grace_ms)
    if config.idle_timeout_ms is not None:
        end_ms = min(end_ms, now_ms + config.idle_timeout_ms // 10)
    return end_ms


def _refresh_due_ms(record: SessionRecord, *, config: SessionConfig) -> int:
    limit_ms = absolute_end_ms(record, config=config)
    if limit_ms is not None and record.expires_at_ms >= limit_ms:
        return record.expires_at_ms  # at its limit: a refresh could not push it further
    return record.expires_at_ms - config.expires_in_ms + config.update_age_ms


def _capped(expires_at_ms: int, record: SessionRecord, config: SessionConfig) -> int:
    limit_ms = absolute_end_ms(record, config=config)
    return expires_at_ms if limit_ms is None else min(expires_at_ms, limit_ms)


def _known_reason(stored: str | None) -> EndReason:
    try:
        return EndReason(stored)
    except ValueError:
        return EndReason.REVOKED
