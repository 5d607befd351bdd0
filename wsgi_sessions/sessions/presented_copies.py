"""From presented cookies to a cached copy that may be taken in place of the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..config.settings import SessionConfig
from ..events import Events
from ..light_dataclasses import dataclass
from ..records import CachedCopy, ReadOptions, RequestFacts
from ..transport.cookies import PresentedCookies
from .cookie_cache import CookieCache
from .places import is_bound_elsewhere
from .revocation_feed import FeedReading, RevocationFeed


@dataclass(eq=False, kw_only=True)
class PresentedCopies:
    cache: CookieCache
    feed: RevocationFeed
    events: Events
    config: SessionConfig

    def find(
        self,
        presented: PresentedCookies,
        *,
        facts: Callable[[], RequestFacts],
        options: ReadOptions,
        now_ms: int,
    ) -> CachedCopy | None:
        """Return a copy whose session has not ended and is not revoked, if one is presented."""
        config = self.config
        latest, texts = self.feed.latest, presented.token_texts
        copies: list[CachedCopy] = []
        if latest is not None:
            copies = self.open_for(texts, presented, reading=latest, now_ms=now_ms)
        # A cookie that we have not signed must cause no reading.
        if not copies and not presented.tokens:
            return None
        reading = self.feed.current(now_ms)
        if reading is None:
            return None
        if latest is None or latest.database_secret != reading.database_secret:
            copies = self.open_for(texts, presented, reading=reading, now_ms=now_ms)
        if not copies and not any(
            self.cache.is_signed(text, database_secret=reading.database_secret)
            for text in presented.cached_texts
        ):
            sender = facts()
            self.events.emit(
                "cookie_refused",
                address=sender.address,
                user_agent=sender.user_agent,
                details={"cookie": "copy"},
            )
        for copy in copies:
            if (
                options.knows_address
                and config.ip_binding != "off"
                and is_bound_elsewhere(copy.session, address=facts().address, config=config)
            ):
                continue
            if not reading.is_revoked(copy.session.id, copy.issued_at_ms):
                return copy
        return None

    def open_for(
        self,
        token_texts: Sequence[str],
        presented: PresentedCookies,
        *,
        reading: FeedReading,
        now_ms: int,
    ) -> list[CachedCopy]:
        """Return for each token the presented copy that belongs to it and has not ended."""
        secret = reading.database_secret
        copies: list[CachedCopy] = []
        for token_text in token_texts:
            for text in presented.cached_texts:
                copy = self.cache.open(
                    text, database_secret=secret, token_text=token_text, now_ms=now_ms
                )
                if copy is not None:
                    copies = [*copies, copy]
                    break
        return copies
