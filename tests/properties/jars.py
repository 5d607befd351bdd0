"""A browser's jar that may go back to what is on disk, and a request of its on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ledger import GRACE
from .stepping import Flight

SECOND = 1000
MAX_FLIGHT = 30 * SECOND
MAX_UPLOAD = 470 * SECOND
FLUSH = 30 * SECOND


@dataclass
class Jar:
    """A browser's cookies: name to value and end; and which session it believes to hold."""

    cookies: dict[str, tuple[str, int]] = field(default_factory=dict)
    session_id: str | None = None
    sure_until_ms: int = 0
    on_disk: dict[str, tuple[str, int]] = field(default_factory=dict)
    flushed_at_ms: int = 0
    crashed_with: int = -1
    """The generation of its token at the last crash: one is promised in each."""

    def header(self, now_ms: int) -> str:
        return "; ".join(f"{k}={v}" for k, (v, end_ms) in self.cookies.items() if now_ms < end_ms)

    def take(self, set_cookies: list[str], now_ms: int) -> None:
        if set_cookies and now_ms >= self.flushed_at_ms:
            self.on_disk, self.flushed_at_ms = dict(self.cookies), now_ms + FLUSH
        for line in set_cookies:
            name, value, age_s = parsed(line)
            self.cookies[name] = (value, 1 << 60 if age_s is None else now_ms + age_s * SECOND)

    def crash(self, now_ms: int) -> bool:
        """Go back to what is on disk, if that is something else; tell whether it is."""
        generation = self.generation()
        if now_ms >= self.flushed_at_ms or not self.on_disk or generation <= self.crashed_with:
            return False
        self.crashed_with, self.cookies = generation, dict(self.on_disk)
        return True

    def generation(self) -> int:
        return int(self.cookies["__Host-session_token"][0].split(".")[2])


def parsed(line: str) -> tuple[str, str, int | None]:
    pair, *attributes = line.split("; ")
    name, _, value = pair.partition("=")
    ages = [int(a[8:]) for a in attributes if a.startswith("Max-Age=")]
    return name, value, ages[0] if ages else None


@dataclass
class Sent:
    """A request under way or answered, and what must come of it."""

    jar: Jar | None
    flight: Flight
    session_id: str
    generation: int
    started_live: bool
    must_be_accepted: bool
    must_be_refused: bool
    has_begun_at_ms: int | None = None
    works_since_ms: int | None = None
    is_orphan: bool = False

    def may_last(self, later_ms: int) -> bool:
        """Tell whether it may be under way until then."""
        if self.works_since_ms is not None and later_ms - self.works_since_ms >= GRACE:
            return True  # as long as it likes: its cookies are not sent any more
        if self.flight.is_upload and self.has_begun_at_ms is None:
            return later_ms - self.flight.sent_at_ms <= MAX_UPLOAD
        since_ms = self.has_begun_at_ms if self.flight.is_upload else self.flight.sent_at_ms
        return later_ms - (since_ms or 0) <= MAX_FLIGHT
