"""``Theft``: from when on a thief must not be let in, judged by who sends a request."""

from __future__ import annotations

from dataclasses import dataclass

from wsgi_sessions.config.settings import SessionConfig

from .reference_model import Shown, Standing


@dataclass(slots=True)
class Theft:
    """From when on what a thief has copied, and was offered since, must be refused.

    That is after the owner's first answered request beyond the last window of the first
    generation that was confirmed after the theft, whatever tokens are presented.
    """

    generation: int
    """The latest there was when the jar was copied."""

    begun_at_ms: int | None = None
    """When the last window began; None: no later generation was confirmed yet."""

    is_over: bool = False

    def note(
        self,
        shown: Shown,
        before: Standing,
        after: Standing,
        *,
        is_owner: bool,
        config: SessionConfig,
    ) -> None:
        """Note a request that the database let in, and how it changed the session."""
        has_begun = self.begun_at_ms is not None
        is_later = after.generation > max(self.generation, before.generation)
        takes_over = after.has_caught_up and not before.has_caught_up
        if is_later if not has_begun else takes_over:
            self.begun_at_ms = shown.at_ms
        # A request with the token before is about to begin one more window.
        is_behind = shown.generation < after.generation
        if is_owner and not is_behind and self._has_ended(shown, config):
            self.is_over = True

    def forbids(self, shown: Shown, config: SessionConfig) -> bool:
        """Return whether a thief who shows this must not be let in by the database."""
        return self.is_over and self._has_ended(shown, config)

    def _has_ended(self, shown: Shown, config: SessionConfig) -> bool:
        """Return whether the last window is over, for a request of this kind."""
        if self.begun_at_ms is None:
            return False
        window_ms = 3 * config.rotation_grace_ms
        if shown.has_long_body:
            window_ms = max(window_ms, config.upload_grace_ms)
        return shown.at_ms >= self.begun_at_ms + window_ms
