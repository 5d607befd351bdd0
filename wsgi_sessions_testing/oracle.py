"""``ReferenceSession``: what a session must do, worked out from its whole past each time.

Written by another route than the product: nothing is stored but what happened, and every
question is answered by telling the past again. Must not call the product's own rules.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace

from wsgi_sessions.config import SessionConfig

__all__ = ["Expected", "ReferenceSession", "Standing"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a validated request must come to."""

    is_accepted: bool
    end_reason: str | None = None
    offer: int | None = None


@dataclass(slots=True)
class Standing:
    """Where a session stands."""

    generation: int
    confirmed_at_ms: int
    expires_at_ms: int
    seen_at_ms: int


@dataclass(slots=True)
class ReferenceSession:
    """One session's past: its sign-in, the requests that were validated, its end."""

    id: str
    user_id: object
    config: SessionConfig
    signed_in_at_ms: int
    is_remembered: bool
    bound_to: str | None = None
    """The address it began at, which counts where the settings bind sessions to one."""

    end_reason: str | None = None
    ended_at_ms: int | None = None
    requests: list[tuple[int, int]] = field(default_factory=list)
    """Generation presented and instant of each validated request that was let in."""

    is_user_gone: bool = False
    """Whether the row of its user was deleted, past the product."""

    base: Standing | None = None
    """Where the session stood when the past that is told began; None is at the sign-in."""

    validated_at_ms: int = 0
    """When a request was last let in by the database, by the clock of its worker."""

    def __post_init__(self) -> None:
        self.validated_at_ms = max(self.validated_at_ms, self.signed_in_at_ms)

    def tell(self) -> Standing:
        """Tell the past again, and return where it leads."""
        config, begin = self.config, self.signed_in_at_ms
        life_ms = config.expires_in_ms if self.is_remembered else config.short_expires_in_ms
        state = Standing(0, begin, begin + life_ms, begin)
        limit_ms = self._limit_ms()
        if limit_ms is not None:
            state.expires_at_ms = min(state.expires_at_ms, limit_ms)
        if self.base is not None:
            state = replace(self.base)
        for generation, at_ms in self.requests:
            is_late = generation < state.generation
            waits = self._must_wait(state, generation, at_ms)
            refreshed = self._refreshed(state, at_ms)
            if not is_late and not waits and refreshed is not None:
                state.expires_at_ms = refreshed
            if generation > state.generation:
                state.generation, state.confirmed_at_ms = generation, at_ms
                state.seen_at_ms = max(state.seen_at_ms, at_ms)
            elif (not is_late and not waits and refreshed is not None) or (
                at_ms >= state.seen_at_ms + self._touch_ms()
            ):
                state.seen_at_ms = max(state.seen_at_ms, at_ms)
        return state

    def is_elsewhere(self, address: str | None) -> bool:
        """Tell whether an address is outside of what the session is bound to."""
        if self.config.ip_binding == "off" or self.bound_to is None:
            return False
        if address is None:
            return True
        home, place = ipaddress.ip_address(self.bound_to), ipaddress.ip_address(address)
        if self.config.ip_binding == "exact" or home.version != place.version:
            return home != place
        prefix = self.config.ip_prefix_v4 if home.version == 4 else self.config.ip_prefix_v6
        return place not in ipaddress.ip_network(f"{home}/{prefix}", strict=False)

    def expect(
        self,
        generation: int,
        at_ms: int,
        *,
        is_elsewhere: bool = False,
        is_reissued: bool = False,
    ) -> Expected:
        """Return what a request must come to that presents a generation at an instant.

        ``is_reissued``: its token is under an older secret.
        """
        if self.end_reason is not None:
            return Expected(False, self.end_reason)
        if self.is_user_gone:
            return Expected(False, "user_deleted")
        state = self.tell()
        limit_ms = self._limit_ms()
        idle_ms = self.config.idle_timeout_ms
        if limit_ms is not None and at_ms >= limit_ms:
            return Expected(False, "absolute")
        if at_ms >= state.expires_at_ms:
            return Expected(False, "expired")
        if idle_ms is not None and at_ms >= state.seen_at_ms + idle_ms:
            return Expected(False, "idle")
        if is_elsewhere:
            return Expected(
                False, "ip_mismatch" if self.config.on_ip_mismatch == "revoke" else None
            )
        behind = state.generation - generation
        if behind == 1 and at_ms < state.confirmed_at_ms + self.config.rotation_grace_ms:
            return Expected(True)
        if behind > 0:
            return Expected(False, "replayed" if self.config.on_replay == "revoke" else None)
        return Expected(True, offer=self._offer(state, generation, at_ms, is_reissued=is_reissued))

    def is_fresh(self, at_ms: int) -> bool:
        """Tell whether the sign-in is younger than ``fresh_age``; a visitor's never is."""
        return self.user_id is not None and at_ms < self.signed_in_at_ms + self.config.fresh_age_ms

    def accept(self, generation: int, at_ms: int) -> None:
        """Add a validated request that was let in to the past."""
        self.requests.append((generation, at_ms))
        self.validated_at_ms = max(self.validated_at_ms, at_ms)

    def begin_again(self, base: Standing, at_ms: int) -> None:
        """Forget the past, which led to this: what requests in parallel did can't be told."""
        self.base = base
        self.validated_at_ms = max(self.validated_at_ms, at_ms)
        self.requests.clear()

    def end(self, reason: str, at_ms: int) -> None:
        """Add the end; only the first counts."""
        if self.end_reason is None:
            self.end_reason, self.ended_at_ms = reason, at_ms

    def _offer(
        self, state: Standing, generation: int, at_ms: int, *, is_reissued: bool
    ) -> int | None:
        needs_cookie = is_reissued or self._refreshed(state, at_ms) is not None
        if self._must_wait(state, generation, at_ms):
            return None
        if generation == state.generation and self.config.rotate_tokens:
            due_ms = state.confirmed_at_ms + self.config.update_age_ms
            if at_ms >= due_ms - (self.config.rotation_grace_ms if needs_cookie else 0):
                return generation + 1
        return generation if needs_cookie else None

    def _must_wait(self, state: Standing, generation: int, at_ms: int) -> bool:
        if generation != state.generation or not self.config.rotate_tokens:
            return False
        due_ms = state.confirmed_at_ms + self.config.update_age_ms
        grace_ms = self.config.rotation_grace_ms
        return due_ms - 2 * grace_ms <= at_ms < due_ms - grace_ms and due_ms < state.expires_at_ms

    def _refreshed(self, state: Standing, at_ms: int) -> int | None:
        """Return the expiry that a request moves the session to, or None if it is not due."""
        config = self.config
        if not self.is_remembered:
            return None
        if at_ms < state.expires_at_ms - config.expires_in_ms + config.update_age_ms:
            return None
        moved_ms = at_ms + config.expires_in_ms
        limit_ms = self._limit_ms()
        if limit_ms is not None:
            if state.expires_at_ms >= limit_ms:
                return None
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
