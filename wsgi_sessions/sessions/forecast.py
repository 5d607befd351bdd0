"""What other settings would do to the sessions that are live: how many end now, and by when.

Pure: sessions and settings go in, numbers come out. Each session is held to the rules of
``policy``, by a few comparisons, as there may be millions. An instant in the future, which
``put_clock_right`` counts as now, is over for neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..clock import has_passed
from ..config.settings import SessionConfig
from ..records import EndReason, SessionRecord
from .places import is_bound_elsewhere

DAYS = 7
"""How far a forecast looks ahead."""

_DAY_MS = 86_400_000


class SeenSession(NamedTuple):
    """What a forecast needs of a live session; ``used_from`` is the address of its last use."""

    id: str
    user_id: Any
    authenticated_at_ms: int
    last_seen_at_ms: int
    expires_at_ms: int
    ip_address: str | None
    used_from: str | None

    def as_record(self) -> SessionRecord:
        """Return a record that begins and ends as the session does, at its address."""
        return SessionRecord(
            id=self.id,
            user_id=self.user_id,
            generation=0,
            branch="",
            branch_before=None,
            is_settled=True,
            caught_up=False,
            confirmed_at_ms=self.authenticated_at_ms,
            created_at_ms=self.authenticated_at_ms,
            authenticated_at_ms=self.authenticated_at_ms,
            updated_at_ms=self.authenticated_at_ms,
            last_seen_at_ms=self.last_seen_at_ms,
            expires_at_ms=self.expires_at_ms,
            remember=True,
            ip_address=self.ip_address,
            user_agent=None,
            data="{}",
            data_version=0,
            ended_at_ms=None,
            end_reason=None,
        )


class Refusal(NamedTuple):
    """On which day a session that nobody uses is first refused, and why; day 0 is now."""

    day: int
    reason: EndReason


class Rules:
    """One policy, asked at one instant and once a day after it."""

    def __init__(self, config: SessionConfig, *, now_ms: int) -> None:
        self._config = config
        self._now_ms = now_ms
        self._last_ms = now_ms + DAYS * _DAY_MS
        self._absolute_ms = config.absolute_timeout_ms
        self._idle_ms = config.idle_timeout_ms
        self._binds = config.ip_binding != "off"

    def first_refusal(self, session: SeenSession) -> Refusal | None:
        """Return when ``judge`` would first refuse a session that nobody uses; None: not so soon.

        It comes from the address that it was last used from.
        """
        end_ms = session.expires_at_ms
        if self._absolute_ms is not None:
            end_ms = min(end_ms, session.authenticated_at_ms + self._absolute_ms)
        if self._idle_ms is not None:
            end_ms = min(end_ms, session.last_seen_at_ms + self._idle_ms)
        day = max(0, -((self._now_ms - end_ms) // _DAY_MS))
        if day and self._binds and self._is_elsewhere(session):
            return Refusal(0, EndReason.IP_MISMATCH)
        return None if end_ms > self._last_ms else Refusal(day, self._reason(session, day))

    def _reason(self, session: SeenSession, day: int) -> EndReason:
        """Return the first limit that is over on a day, in the order of ``judge``."""
        at_ms = self._now_ms + day * _DAY_MS
        if self._absolute_ms is not None and has_passed(
            session.authenticated_at_ms + self._absolute_ms, at_ms
        ):
            return EndReason.ABSOLUTE
        return EndReason.EXPIRED if has_passed(session.expires_at_ms, at_ms) else EndReason.IDLE

    def _is_elsewhere(self, session: SeenSession) -> bool:
        if session.ip_address in (None, session.used_from):
            return False
        return is_bound_elsewhere(
            session.as_record(), address=session.used_from, config=self._config
        )


class Outcome(NamedTuple):
    """What one policy does to the sessions that are live today.

    ``ended_by_day``: sessions by the day on which they are over, of which the first is now.
    ``people_ended`` have one session or more that is over, and ``people_left_without`` have no
    other: each now, and within the days after it. ``over_limit``: live sessions beyond the limit,
    and the people who have them.
    """

    ended_by_day: tuple[int, ...]
    reasons_now: dict[EndReason, int]
    reasons_later: dict[EndReason, int]
    people_ended: tuple[int, int]
    people_left_without: tuple[int, int]
    over_limit: tuple[int, int]

    @property
    def ended_now(self) -> int:
        return self.ended_by_day[0]

    @property
    def ended_in_all(self) -> int:
        return sum(self.ended_by_day)


class _Tally:
    """Counts what one policy does."""

    def __init__(self, config: SessionConfig, *, now_ms: int) -> None:
        self.first_refusal = Rules(config, now_ms=now_ms).first_refusal
        multi = config.multi_session
        self._limit = multi.maximum_sessions if multi.enabled else 1
        self._ended_by_day = [0] * (DAYS + 1)
        self._reasons: Counter[tuple[bool, EndReason]] = Counter()
        self._ended_now: dict[Any, int] = {}
        self._ended_later: dict[Any, int] = {}

    def add(self, session: SeenSession, refusal: Refusal) -> None:
        day, reason = refusal
        self._ended_by_day[day] += 1
        self._reasons[day > 0, reason] += 1
        user_id = session.user_id
        if user_id is not None:
            counts = self._ended_later if day else self._ended_now
            counts[user_id] = counts.get(user_id, 0) + 1

    def outcome(self, live: dict[Any, int]) -> Outcome:
        now, later = self._ended_now, self._ended_later
        ended = now.keys() | later.keys()
        extra = [
            over
            for user_id, count in live.items()
            if self._limit is not None and (over := count - now.get(user_id, 0) - self._limit) > 0
        ]
        return Outcome(
            tuple(self._ended_by_day),
            {reason: n for (is_later, reason), n in self._reasons.items() if not is_later},
            {reason: n for (is_later, reason), n in self._reasons.items() if is_later},
            (len(now), len(ended)),
            (
                sum(live[user_id] == count for user_id, count in now.items()),
                sum(live[each] == now.get(each, 0) + later.get(each, 0) for each in ended),
            ),
            (sum(extra), len(extra)),
        )


class Forecast:
    """Counts what a change of policy does, beside what happens without it.

    Sessions that today's policy refuses already are left out.
    """

    def __init__(self, today: SessionConfig, changed: SessionConfig, *, now_ms: int) -> None:
        self._today = _Tally(today, now_ms=now_ms)
        self._changed = _Tally(changed, now_ms=now_ms)
        self._live: dict[Any, int] = {}
        self.live_count = 0

    def add(self, sessions: Iterable[SeenSession]) -> None:
        today, changed, live = self._today, self._changed, self._live
        for session in sessions:
            anyway = today.first_refusal(session)
            if anyway is not None:
                if anyway.day == 0:
                    continue
                today.add(session, anyway)
            self.live_count += 1
            if session.user_id is not None:
                live[session.user_id] = live.get(session.user_id, 0) + 1
            refusal = changed.first_refusal(session)
            if refusal is not None:
                changed.add(session, refusal)

    @property
    def people_count(self) -> int:
        return len(self._live)

    @property
    def today(self) -> Outcome:
        return self._today.outcome(self._live)

    @property
    def changed(self) -> Outcome:
        return self._changed.outcome(self._live)
