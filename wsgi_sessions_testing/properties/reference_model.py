"""``ReferenceSession``: what a session must do, worked out from its whole past each time.

It works in another way than the product, and calls none of its rules: only what happened is
stored, and every question is answered by going through the past again.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace

from wsgi_sessions.config.settings import SessionConfig

NEXT, AGAIN, CATCH_UP = "the next", "the same again", "a catch-up"
"""The kinds of offers."""

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Shown:
    """A token as a request showed it, and when it was judged, by the clock of its worker."""

    generation: int
    branch: str
    at_ms: int
    has_long_body: bool = False
    is_of_older_secret: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What a validated request must come to.

    ``offer`` is the kind of the token to be sent, of ``generation``, or None. ``branch`` is the
    one that is stored afterwards, None where the request was refused.
    """

    is_accepted: bool
    end_reason: str | None = None
    offer: str | None = None
    generation: int = 0
    branch: str | None = None
    may_be_copied: bool = False
    is_replay: bool = False
    settles: bool = False
    needs_write: bool = False
    """Whether it fails where nothing can be written, rather than go on as if it were unsettled."""


@dataclass(slots=True)
class Standing:
    """Where a session stands."""

    generation: int
    branch: str
    begun_at_ms: int
    """When the generation was confirmed, or taken over."""
    is_settled: bool
    has_caught_up: bool
    expires_at_ms: int
    refreshed_at_ms: int
    seen_at_ms: int
    branch_before: str | None = None
    """What the generation before was settled on; None: nobody knows."""


@dataclass(slots=True)
class ReferenceSession:
    """One session's past: its sign-in, the requests that were validated, its end."""

    id: str
    user_id: object
    config: SessionConfig
    signed_in_at_ms: int
    is_remembered: bool
    branch: str
    """That of the first token."""

    bound_to: str | None = None
    """The address it began at, which counts where the settings bind sessions to one."""

    end_reason: str | None = None
    ended_at_ms: int | None = None
    requests: list[Shown] = field(default_factory=list)
    """What each validated request has shown that was let in, the earliest first."""

    is_user_gone: bool = False
    """Whether the row of its user was deleted, past the product."""

    base: Standing | None = None
    """Where the session stood when the past that is told began; None is at the sign-in."""

    validated_at_ms: int = 0
    """When a request was last let in by the database, by the clock of its worker."""

    branches: set[str] = field(default_factory=set)
    """Those of every token that was sent."""

    catch_ups: set[str] = field(default_factory=set)
    """The branches of offers to browsers that came with the token before."""

    def __post_init__(self) -> None:
        self.validated_at_ms = max(self.validated_at_ms, self.signed_in_at_ms)
        self.branches.add(self.branch)

    # What happened

    def accept(self, shown: Shown) -> None:
        """Add a validated request that was let in to the past."""
        self.requests.append(shown)
        self.validated_at_ms = max(self.validated_at_ms, shown.at_ms)

    def forget_last(self) -> None:
        """Take back what the last request has written: the database has lost it."""
        self.requests.pop()

    def begin_again(self, base: Standing, at_ms: int) -> None:
        """Forget the past, which led to this: what requests in parallel did can't be told."""
        self.base = base
        self.validated_at_ms = max(self.validated_at_ms, at_ms)
        self.requests.clear()

    def end(self, reason: str, at_ms: int) -> None:
        """Add the end; only the first counts."""
        if self.end_reason is None:
            self.end_reason, self.ended_at_ms = reason, at_ms

    # What follows from it

    def tell(self) -> Standing:
        """Tell the past again, and return where it leads."""
        if self.base is not None:
            state = replace(self.base)
        else:
            begin = self.signed_in_at_ms
            life_ms = self.config.expires_in_ms
            if not self.is_remembered:
                life_ms = self.config.short_expires_in_ms
            ends_at_ms = begin + life_ms
            limit_ms = self._limit_ms()
            if limit_ms is not None:
                ends_at_ms = min(ends_at_ms, limit_ms)
            state = Standing(0, self.branch, begin, True, False, ends_at_ms, begin, begin)
        for shown in self.requests:
            self._go_on(state, shown)
        return state

    def find_end(self, at_ms: int) -> str | None:
        """Return why the session is over at an instant, whoever asks, or None."""
        return self._find_end(self.tell(), at_ms)

    def expect(self, shown: Shown, *, is_elsewhere: bool = False) -> Expected:
        """Return what a request must come to that shows this."""
        state = self.tell()
        reason = self._find_end(state, shown.at_ms)
        if reason is not None:
            return Expected(False, reason)
        if is_elsewhere:
            is_over = self.config.on_ip_mismatch == "revoke"
            return Expected(False, "ip_mismatch" if is_over else None)
        place = self._find_place(state, shown)
        if place is None:
            is_over = self.config.on_replay == "revoke"
            return Expected(False, "replayed" if is_over else None, is_replay=True)
        after = replace(state)
        self._go_on(after, shown)
        offer = self._find_offer(state, after, shown, place)
        return Expected(
            True,
            offer=offer,
            generation=state.generation + 1 if offer == NEXT else after.generation,
            branch=after.branch,
            may_be_copied=offer is None and after.is_settled and shown.branch == after.branch,
            settles=place == "settles",
            needs_write=(
                place in ("confirms", "takes over")
                or after.branch != state.branch
                or (place != "settles" and after.expires_at_ms != state.expires_at_ms)
            ),
        )

    def refresh_due_ms(self, state: Standing) -> int:
        """Return when the session is to be refreshed next, if it is then allowed."""
        return state.expires_at_ms - self.config.expires_in_ms + self.config.update_age_ms

    def due_ms(self, state: Standing) -> int | None:
        """Return when the next generation is offered, or None if never."""
        config = self.config
        interval_ms = config.rotation_interval_ms
        if not self.is_remembered:
            if config.short_rotation_interval_ms is None:
                return None
            interval_ms = config.short_rotation_interval_ms
        return state.begun_at_ms + interval_ms if config.rotate_tokens else None

    def cookie_life_ms(self, at_ms: int) -> int | None:
        """Return how long a browser is to keep a token sent now; None: until it is closed."""
        if not self.is_remembered:
            return None
        limit_ms = self._limit_ms()
        life_ms = self.config.expires_in_ms
        return life_ms if limit_ms is None else max(1000, min(life_ms, limit_ms - at_ms))

    def is_elsewhere(self, address: str | None) -> bool:
        """Return whether an address is outside of what the session is bound to."""
        if self.config.ip_binding == "off" or self.bound_to is None:
            return False
        if address is None:
            return True
        home, place = ipaddress.ip_address(self.bound_to), ipaddress.ip_address(address)
        if self.config.ip_binding == "exact" or home.version != place.version:
            return home != place
        prefix = self.config.ip_prefix_v4 if home.version == 4 else self.config.ip_prefix_v6
        return place not in ipaddress.ip_network(f"{home}/{prefix}", strict=False)

    def is_fresh(self, at_ms: int, *, stepped_up_at_ms: int | None) -> bool:
        """Return whether sign-in or step-up is younger than ``fresh_age``; a visitor's never is."""
        proven_at_ms = max(self.signed_in_at_ms, stepped_up_at_ms or 0)
        return self.user_id is not None and at_ms < proven_at_ms + self.config.fresh_age_ms

    # How the past is told

    def _find_end(self, state: Standing, at_ms: int) -> str | None:
        if self.end_reason is not None:
            return self.end_reason
        if self.is_user_gone:
            return "user_deleted"
        limit_ms = self._limit_ms()
        idle_ms = self.config.idle_timeout_ms
        if limit_ms is not None and at_ms >= limit_ms:
            return "absolute"
        if at_ms >= state.expires_at_ms:
            return "expired"
        if idle_ms is not None and at_ms >= state.seen_at_ms + idle_ms:
            return "idle"
        return None

    def _find_place(self, state: Standing, shown: Shown) -> str | None:
        """Tell how a token stands to the one that counts; None: only a second holder has it."""
        grace_ms, upload_ms = self.config.rotation_grace_ms, self.config.upload_grace_ms
        age_ms = shown.at_ms - state.begun_at_ms
        is_open = not state.is_settled and not state.has_caught_up
        behind = state.generation - shown.generation
        if behind < 0:
            return "confirms"
        if behind == 0:
            is_within = age_ms < (upload_ms if shown.has_long_body else 3 * grace_ms)
            if shown.branch == state.branch:
                return "counts" if is_within or state.is_settled else "settles"
            if is_open and shown.branch in self.catch_ups:
                return "takes over"
            if is_within:
                return "passes"
            return None if state.is_settled else "settles"
        if behind > 1 or state.branch_before not in (None, shown.branch):
            return None
        if age_ms < (upload_ms if shown.has_long_body else grace_ms):
            return "passes"
        return "catches up" if is_open else None

    def _go_on(self, state: Standing, shown: Shown) -> None:
        """Have a request that was let in move the session on."""
        place = self._find_place(state, shown)
        at_ms = shown.at_ms
        refreshed_ms = self._find_refresh(state, shown, place)
        is_touch = at_ms >= state.seen_at_ms + self._touch_ms()
        if place == "confirms":
            is_known = state.is_settled and shown.generation == state.generation + 1
            state.branch_before = state.branch if is_known else None
            state.generation, state.branch = shown.generation, shown.branch
            state.is_settled = state.has_caught_up = False
            state.begun_at_ms = state.refreshed_at_ms = at_ms
        elif place == "takes over":
            state.branch, state.has_caught_up, state.begun_at_ms = shown.branch, True, at_ms
        elif place == "settles":
            state.branch, state.is_settled = shown.branch, True
        if refreshed_ms is not None:
            state.expires_at_ms, state.refreshed_at_ms = refreshed_ms, at_ms
        is_written = refreshed_ms is not None or is_touch
        if is_written or place in ("confirms", "takes over", "settles"):
            state.seen_at_ms = max(state.seen_at_ms, at_ms)

    def _find_offer(self, state: Standing, after: Standing, shown: Shown, place: str) -> str | None:
        if place == "catches up":
            return CATCH_UP
        if not self._may_have_cookie(state, place):
            return None
        at_ms, grace_ms = shown.at_ms, self.config.rotation_grace_ms
        needs_one = (
            after.expires_at_ms != state.expires_at_ms
            or shown.is_of_older_secret
            or self._is_repeated(state, at_ms, settles=place == "settles")
        )
        due_ms = None if place == "confirms" else self.due_ms(state)
        if due_ms is not None and at_ms >= due_ms - grace_ms * needs_one:
            return NEXT
        return AGAIN if needs_one and not self._must_wait(due_ms, at_ms) else None

    def _may_have_cookie(self, state: Standing, place: str | None) -> bool:
        is_settled = place == "counts" and state.is_settled
        return is_settled or place in ("confirms", "settles")

    def _must_wait(self, due_ms: int | None, at_ms: int) -> bool:
        """Return whether it is the grace in which no cookie goes out, before the next ones do."""
        grace_ms = self.config.rotation_grace_ms
        return due_ms is not None and grace_ms < due_ms - at_ms <= 2 * grace_ms

    def _is_repeated(self, state: Standing, at_ms: int, *, settles: bool) -> bool:
        """Return whether the token goes out again with a touch, the first of an hour.

        So it does where the next rotation may come after the end of the cookie that a browser
        has whose refresh was lost. After a confirmation that was a refresh, the settling does.
        """
        config, limit = self.config, self.config.absolute_timeout_ms
        if not self.is_remembered or state.refreshed_at_ms <= self.signed_in_at_ms:
            return False
        if limit is not None and limit <= config.expires_in_ms:
            return False
        room_ms = config.expires_in_ms - config.update_age_ms
        hour_ms = max(1, min(_HOUR_MS, room_ms // 2))
        longest_ms = state.begun_at_ms + config.expires_in_ms
        if limit is not None:
            longest_ms = min(longest_ms, self.signed_in_at_ms + limit)
        is_at_confirm = (state.begun_at_ms, longest_ms) == (
            state.refreshed_at_ms,
            state.expires_at_ms,
        )
        interval_ms = config.rotation_interval_ms
        is_soon = interval_ms <= config.update_age_ms and interval_ms + hour_ms <= room_ms
        if config.rotate_tokens and is_soon and not is_at_confirm:
            return False
        if settles and is_at_confirm:
            return True
        if not settles and at_ms < state.seen_at_ms + self._touch_ms():
            return False
        seen_ms = max(0, state.seen_at_ms - state.refreshed_at_ms)
        return (at_ms - state.refreshed_at_ms) // hour_ms > seen_ms // hour_ms

    def _find_refresh(self, state: Standing, shown: Shown, place: str | None) -> int | None:
        """Return the expiry that a request moves the session to, or None if it is not due."""
        config, at_ms = self.config, shown.at_ms
        if not self.is_remembered or not self._may_have_cookie(state, place):
            return None
        if place != "confirms" and self._must_wait(self.due_ms(state), at_ms):
            return None
        if at_ms < self.refresh_due_ms(state):
            return None
        moved_ms = at_ms + config.expires_in_ms
        limit_ms = self._limit_ms()
        if limit_ms is not None:
            moved_ms = min(moved_ms, limit_ms)
        return moved_ms if moved_ms > state.expires_at_ms else None

    def _limit_ms(self) -> int | None:
        if self.config.absolute_timeout_ms is None:
            return None
        return self.signed_in_at_ms + self.config.absolute_timeout_ms

    def _touch_ms(self) -> int:
        idle_ms = self.config.idle_timeout_ms
        touch_ms = self.config.touch_interval_ms
        return touch_ms if idle_ms is None else min(touch_ms, idle_ms // 10)
