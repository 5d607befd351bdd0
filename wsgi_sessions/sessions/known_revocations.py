"""What a process knows of the revocation feed, and how a reading finds what is new in it.

A row is committed at most ``longest_transaction`` after the instant that it says, and ids don't
follow the order of commits. So rows are counted: rows are only added, as none is purged that is
still counted, and equal counts then mean equal rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..config.settings import SessionConfig
from ..records import FeedPage, FeedRow
from ..storage.revocations import RevocationStore

BUCKET_MS = 10_000
MAX_NEW_ROWS = 1000
_RECOUNT_MS = 10_000
"""How often all is counted, in case that a transaction lasts longer than it may."""
_FORGET_MS = 60_000


class FeedAges(NamedTuple):
    """How long a copy lives, how far clocks differ and how long a transaction lasts."""

    copy_ms: int
    clocks_ms: int
    transaction_ms: int

    @property
    def late_ms(self) -> int:
        """How old the instant of a row may be, by any clock, when the row is committed."""
        return self.clocks_ms + self.transaction_ms

    @property
    def read_ms(self) -> int:
        """How old a row may be, by the reader's clock, that some copy is still void by."""
        return self.copy_ms + self.late_ms

    @property
    def kept_ms(self) -> int:
        """How old a row has to be to be purged, so that no reader counts it any more.

        The purger's clock may be ahead of the reader's, who begins at a whole bucket.
        """
        return self.read_ms + self.clocks_ms + BUCKET_MS


def ages_of(config: SessionConfig) -> FeedAges:
    return FeedAges(
        config.cookie_cache.max_age_ms, config.clock_difference_ms, config.longest_transaction_ms
    )


class KnownRevocations(NamedTuple):
    """What is known of the feed of one database.

    It is replaced, not changed, so a child that is forked in between finds it whole. But for
    ``session_ids``, which readings share: sessions are added to it before it is said that they
    are known.
    """

    session_ids: dict[str, int]
    """By session id, in which bucket its row is."""
    before_ms: int | None = None
    """The latest instant before which every session has ended."""
    counts: Mapping[int, int] = {}
    """How many rows are known, by the first instant of their bucket."""
    last: FeedRow | None = None
    """Of the rows known, that with the highest id."""
    database_secret: str | None = None
    complete_at_ms: int | None = None
    """When the last reading began after which nothing was missing."""
    counted_at_ms: int | None = None
    """When the last of those began that counted all."""
    forgotten_at_ms: int = 0

    def since_ms(self, now_ms: int, ages: FeedAges) -> int:
        """Return from where on rows have to be counted now.

        After a complete reading only rows are added that may have been late for it.
        """
        since_ms = now_ms - ages.read_ms
        if (
            self.complete_at_ms is not None
            and self.counted_at_ms is not None
            and self.complete_at_ms <= now_ms < self.counted_at_ms + _RECOUNT_MS
        ):
            since_ms = max(since_ms, self.complete_at_ms - ages.late_ms)
        return _bucket_of(since_ms)

    def keep(self, added: Mapping[str, int], *, now_ms: int, ages: FeedAges) -> KnownRevocations:
        """Return it with what a reading has added, and from time to time without what is old.

        Readings of before go on with the ids that they have.
        """
        self.session_ids.update(added)
        if 0 <= now_ms - self.forgotten_at_ms < _FORGET_MS:
            return self
        since_ms = _bucket_of(now_ms - ages.read_ms)
        return self._replace(
            session_ids={key: at for key, at in self.session_ids.items() if at >= since_ms},
            counts={at: count for at, count in self.counts.items() if at >= since_ms},
            forgotten_at_ms=now_ms,
        )


class FeedNews(NamedTuple):
    """What a reading has come to; ``added`` are session ids that ``known`` has yet to get.

    ``is_complete``: no row is missing that was there when the reading began.
    """

    known: KnownRevocations
    added: Mapping[str, int]
    is_complete: bool
    database_secret: str | None
    database_now_ms: int | None


def read_news(
    revocations: RevocationStore,
    known: KnownRevocations,
    *,
    now_ms: int,
    ages: FeedAges,
    anew: bool = False,
) -> FeedNews:
    """Read what is new since what is known: one statement, as a rule.

    At most ``MAX_NEW_ROWS``: the next reading goes on from there. ``anew``: as the feed is,
    where servers lag.
    """
    whole_ms, last = _bucket_of(now_ms - ages.read_ms), known.last
    if last is None or last[2] < whole_ms:
        since_ms, draft = whole_ms, _Draft(known._replace(counts={}, last=None))
        limit = MAX_NEW_ROWS + _Draft(known).count(whole_ms)
        page = revocations.find(since_ms, limit=limit, anew=anew)
        rows = page.rows
    else:
        since_ms, draft = known.since_ms(now_ms, ages), _Draft(known)
        limit = MAX_NEW_ROWS + 1
        page = revocations.find_newer(last[3], since_ms=since_ms, limit=limit, anew=anew)
        rows = page.rows
        if last[2] >= since_ms:
            if rows[:1] != [last]:
                # A database that has lost its last rows may have given their ids to others.
                return _read_anew(revocations, now_ms=now_ms, ages=ages)
            rows = rows[1:]
    if known.database_secret not in (None, page.database_secret):
        return _read_anew(revocations, now_ms=now_ms, ages=ages)
    draft.add(rows)
    is_complete = page.row_count == draft.count(since_ms)
    if not is_complete and page.row_count is not None and len(page.rows) < limit:
        is_complete = _read_late(revocations, draft, since_ms)
    if is_complete:
        counted_at_ms = now_ms if since_ms == whole_ms else known.counted_at_ms
        known = known._replace(complete_at_ms=now_ms, counted_at_ms=counted_at_ms)
    return draft.to_news(known, page, is_complete=is_complete)


def _read_anew(revocations: RevocationStore, *, now_ms: int, ages: FeedAges) -> FeedNews:
    # A server that lags has lost nothing; with what is late it has the last row, too.
    return read_news(revocations, KnownRevocations({}), now_ms=now_ms, ages=ages, anew=True)


def _read_late(revocations: RevocationStore, draft: _Draft, since_ms: int) -> bool:
    """Read buckets whose counts differ; return whether none is left.

    Whole ones, and as many as together have few rows: those between two that differ are read, too.
    """
    there = revocations.count_by_time(since_ms, width_ms=BUCKET_MS)
    buckets = sorted(there.keys() | {at for at in draft.counts if at >= since_ms})
    differing = [at for at in buckets if there.get(at) != draft.counts.get(at)]
    if not differing:
        return True
    start_ms = end_ms = differing[0]
    row_count = 0
    for at_ms in buckets[buckets.index(start_ms) :]:
        row_count += max(there.get(at_ms, 0), draft.counts.get(at_ms, 0))
        if at_ms > start_ms and row_count > MAX_NEW_ROWS:
            break
        if at_ms in differing:
            end_ms = at_ms
    until_ms = end_ms + BUCKET_MS
    limit = MAX_NEW_ROWS + draft.count(start_ms, until_ms)
    page = revocations.find(start_ms, until_ms=until_ms, limit=limit)
    draft.replace(page.rows, start_ms, until_ms)
    return end_ms == differing[-1] and len(page.rows) < limit


class _Draft:
    """What will be known after a reading."""

    def __init__(self, known: KnownRevocations) -> None:
        self.counts = dict(known.counts)
        self._before_ms = known.before_ms
        self._last = known.last
        self._added: dict[str, int] = {}

    def count(self, since_ms: int, until_ms: int | None = None) -> int:
        return sum(self.counts[at_ms] for at_ms in self._buckets(since_ms, until_ms))

    def replace(self, rows: Sequence[FeedRow], since_ms: int, until_ms: int) -> None:
        """Take rows for all that there are of a time."""
        for at_ms in self._buckets(since_ms, until_ms):
            del self.counts[at_ms]
        self.add(rows)

    def _buckets(self, since_ms: int, until_ms: int | None) -> list[int]:
        return [at for at in self.counts if at >= since_ms and (until_ms is None or at < until_ms)]

    def add(self, rows: Sequence[FeedRow]) -> None:
        counts, added, last = self.counts, self._added, self._last
        for row in rows:
            session_id, before_ms, created_at_ms, row_id = row
            bucket_ms = _bucket_of(created_at_ms)
            counts[bucket_ms] = counts.get(bucket_ms, 0) + 1
            if session_id is not None:
                added[session_id] = bucket_ms
            if before_ms is not None:
                self._before_ms = max(self._before_ms or before_ms, before_ms)
            if last is None or row_id > last[3]:
                last = row
        self._last = last

    def to_news(self, known: KnownRevocations, page: FeedPage, *, is_complete: bool) -> FeedNews:
        known = known._replace(
            before_ms=self._before_ms,
            counts=self.counts,
            last=self._last,
            database_secret=page.database_secret,
        )
        return FeedNews(known, self._added, is_complete, page.database_secret, page.database_now_ms)


def _bucket_of(instant_ms: int) -> int:
    return instant_ms - instant_ms % BUCKET_MS
