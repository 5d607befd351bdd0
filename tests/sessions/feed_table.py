"""The table of the revocation feed as a list, read by the same calls as the store's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from wsgi_sessions.records import FeedPage, FeedRow


@dataclass
class FeedTable:
    """Rows that are committed, in whatever order.

    ``calls``: which statements there were. ``after_statement`` is called between two of them.
    """

    rows: list[FeedRow] = field(default_factory=list)
    secret: str | None = "d" * 43
    now_ms: Callable[[], int | None] = lambda: None
    calls: list[str] = field(default_factory=list)
    after_statement: Callable[[], None] = lambda: None

    def find(
        self,
        since_ms: int,
        *,
        until_ms: int = 2**62,
        limit: int = 2**31,
        anew: bool = False,
    ) -> FeedPage:
        found = [row for row in self.rows if since_ms <= row[2] < until_ms]
        found.sort(key=lambda row: (row[2], row[3]))
        return self._page("find", found[:limit], since_ms)

    def find_newer(
        self,
        row_id: int,
        *,
        since_ms: int,
        limit: int,
        anew: bool = False,
    ) -> FeedPage:
        found = [row for row in self.rows if row[3] >= row_id and row[2] >= since_ms]
        found.sort(key=lambda row: row[3])
        return self._page("find_newer", found[:limit], since_ms)

    def count_by_time(self, since_ms: int, *, width_ms: int) -> dict[int, int]:
        counts = Counter(row[2] - row[2] % width_ms for row in self.rows if row[2] >= since_ms)
        self._note("count_by_time")
        return dict(counts)

    def _page(self, call: str, found: list[FeedRow], since_ms: int) -> FeedPage:
        count = sum(row[2] >= since_ms for row in self.rows)
        page = FeedPage(found, None, None, None)
        if self.secret is not None:
            page = FeedPage(found, count, self.secret, self.now_ms())
        self._note(call)
        return page

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.after_statement()
