"""The revocation feed, searched: no copy outlives the end of its session by more than the lag (I6).

The end of one session is written by a process and committed later; another row comes before or
after it. A copy is issued while that session still looks alive. A reader with a clock of its own
reads the feed by the product's own rule, at most once in a lag, and takes the copy or not. All
clocks are at most ``S`` apart, in every way. Time is in units; a row's transaction may last ``T``
of them, and a copy is good for ``M``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast

from tests.sessions.feed_table import FeedTable
from wsgi_sessions.records import FeedRow
from wsgi_sessions.sessions import known_revocations

from .search import Step

UNIT_MS = 10_000
S, T, M, LAG = 1, 2, 3, 1
LAST_UNIT = 1 + M + T + 2 * S + LAG
NEVER = 10**6

MUTATIONS: dict[str, tuple[str, str]] = {
    "the feed: a row counts for less time than its copies": (
        "return self.copy_ms + self.late_ms",
        f"return self.copy_ms + self.late_ms - {2 * UNIT_MS}",
    ),
    "the feed: rows are late by less than clocks and transactions": (
        "self.complete_at_ms - ages.late_ms)",
        f"self.complete_at_ms - ages.late_ms + {UNIT_MS})",
    ),
    "the feed: higher ids alone": (
        "is_complete = page.row_count == draft.count(since_ms)",
        "is_complete = True",
    ),
    "the feed: a reading that was cut short counts": (
        "is_complete = page.row_count == draft.count(since_ms)",
        "is_complete = page.row_count == draft.count(since_ms) or len(page.rows) >= limit",
    ),
    "the feed: a reading that was cut short counts for the next one": (
        "    if is_complete:\n        counted_at_ms",
        "    if True:\n        counted_at_ms",
    ),
    "the feed: late rows are not read": (
        "is_complete = _read_late(revocations, draft, since_ms)",
        "is_complete = bool(revocations.count_by_time(since_ms, width_ms=BUCKET_MS))",
    ),
    "the feed: the last row is not looked at": ("if rows[:1] != [last]:", "if not rows:"),
    "the feed: rows are purged once they are too old for a reader": (
        "return self.read_ms + self.clocks_ms + BUCKET_MS",
        "return self.read_ms",
    ),
}
"""By what is left out or put otherwise: a text of ``known_revocations``, and what is in its place."""


class FeedBounds(NamedTuple):
    """How far a search goes; ``without`` names a mutation.

    ``margin``: how long after "everything before an instant" a copy was issued that is void, in
    units, or None where the row names the session. ``recount``: how often all is counted.
    ``limit``: how many rows a reading takes. ``bucket``: how long one is.
    """

    without: str | None = None
    margin: int | None = None
    recount: int = NEVER
    limit: int = NEVER
    bucket: int = 1
    is_purged: bool = False
    fail_overs: int = 0


class Clocks(NamedTuple):
    """By how much each is ahead; ``origin``: at which unit of a bucket all begins."""

    writer: int
    reader: int
    issuer: int
    purger: int
    origin: int


class Row(NamedTuple):
    id: int
    created_at: int
    committed_at: int | None
    is_purged: bool = False


class Reader(NamedTuple):
    """What is known, so that it can be compared; and the last complete reading."""

    ids: frozenset[tuple[str, int]] = frozenset()
    rest: tuple[Any, ...] = ()
    begun: int | None = None
    named: frozenset[str] = frozenset()
    before_ms: int | None = None
    misses: int = 0
    """How many readings were cut short one after another."""


class State(NamedTuple):
    clocks: Clocks | None = None
    now: int = 0
    ours: Row | None = None
    other: Row | None = None
    next_id: int = 1
    copy: int | None = None
    """When it was issued, by the issuer's clock."""
    reader: Reader = Reader()
    fail_overs: int = 0


class FeedWorld:
    """Every order of rows, commits, readings, purges and copies within the bounds."""

    start = State()

    def __init__(self, bounds: FeedBounds) -> None:
        self.bounds = bounds
        self._rule = _rule_of(bounds)
        self._ages = self._rule.FeedAges(M * UNIT_MS, S * UNIT_MS, T * UNIT_MS)

    def steps(self, state: State) -> Iterator[Step]:
        if state.clocks is None:
            ahead = [range(S + 1)] * 3 + [range(S + 1) if self.bounds.is_purged else range(1)]
            for clocks in map(Clocks._make, product(*ahead, range(self.bounds.bucket))):
                yield Step(f"{clocks}", state._replace(clocks=clocks))
            return
        yield from self._time_passes(state)
        yield from self._rows(state, state.clocks)
        if state.copy is None and (state.ours is None or state.ours.committed_at is None):
            issued = state.now + state.clocks.issuer
            yield Step("a copy is issued", state._replace(copy=issued))
        if self.bounds.is_purged:
            yield from self._purge(state, state.clocks)
        yield from self._requests(state, state.clocks)

    def _time_passes(self, state: State) -> Iterator[Step]:
        ours = state.ours
        # It is all the same when our row is written, so that is at 1.
        is_open = ours is not None and ours.committed_at is None
        must_wait = (state.now == 1 and ours is None) or (is_open and state.now >= 1 + T)
        if state.now < LAST_UNIT and not must_wait:
            yield Step("time passes", state._replace(now=state.now + 1))

    def _rows(self, state: State, clocks: Clocks) -> Iterator[Step]:
        now, ours, other = state.now, state.ours, state.other
        if ours is None and now == 1:
            row = Row(state.next_id, now + clocks.writer, None)
            following = state._replace(ours=row, next_id=state.next_id + 1)
            yield Step("the end of our session is written", following)
        if ours is not None and ours.committed_at is None:
            yield Step("it is committed", _commit_ours(state))
        if other is None and now <= 1 + T:
            for ahead in (0, S):
                row = Row(state.next_id, now + ahead, now)
                following = state._replace(other=row, next_id=state.next_id + 1)
                yield Step(f"another row is committed, of a clock {ahead} ahead", following)
        is_last = ours is None or ours.committed_at is None
        if other is not None and is_last and state.fail_overs < self.bounds.fail_overs:
            # What is written next may get the id of what is lost.
            next_id = max(1, 0 if ours is None else ours.id + 1)
            lost = state._replace(other=None, next_id=next_id, fail_overs=state.fail_overs + 1)
            yield Step("a fail-over loses the other row", lost)

    def _purge(self, state: State, clocks: Clocks) -> Iterator[Step]:
        up_to_ms = (state.now + clocks.purger) * UNIT_MS - self._ages.kept_ms
        purged = {
            name: row._replace(is_purged=True)
            for name, row in (("ours", state.ours), ("other", state.other))
            if row is not None and row.committed_at is not None and not row.is_purged
            if row.created_at * UNIT_MS <= up_to_ms
        }
        if purged:
            yield Step("old rows are purged", state._replace(**cast(Any, purged)))

    def _requests(self, state: State, clocks: Clocks) -> Iterator[Step]:
        now, reader = state.now + clocks.reader, state.reader
        if reader.begun is not None and 0 <= now - reader.begun < LAG:
            yield self._judged(state, now, "a request")
            return
        commits = [NEVER]
        if state.ours is not None and state.ours.committed_at is None:
            commits += [1, 2]
        for commit_after in commits:
            after = self._read(state, now, commit_after)
            if after is None:
                continue
            label = "a request reads the feed"
            if commit_after != NEVER:
                label += f", and our row is committed after statement {commit_after}"
            if after.reader.misses > 3:
                yield Step(label, after, "readings do not catch up")
            elif after.reader.misses:
                yield Step(f"{label}; not all", after)
            else:
                yield self._judged(after, now, label)

    def _read(self, state: State, now: int, commit_after: int) -> State | None:
        """Read by the rule; None if there was nothing to do after the statement of a commit."""
        clocks, reader = cast(Clocks, state.clocks), state.reader
        shift = clocks.origin
        table = FeedTable(self._committed(state, shift))

        def commit() -> None:
            if len(table.calls) == commit_after:
                table.rows = self._committed(_commit_ours(state), shift)

        table.after_statement = commit
        known = self._rule.KnownRevocations(dict(reader.ids), *_thawed(reader.rest))
        now_ms = _instant(now, shift)
        news = self._rule.read_news(table, known, now_ms=now_ms, ages=self._ages)
        if commit_after != NEVER:
            if len(table.calls) <= commit_after:
                return None
            state = _commit_ours(state)
        known = news.known.keep(news.added, now_ms=now_ms, ages=self._ages)
        misses = 0 if news.is_complete else reader.misses + 1
        read = Reader(
            frozenset(known.session_ids.items()),
            _frozen(known[1:]),
            now if news.is_complete else reader.begun,
            frozenset(known.session_ids) if news.is_complete else reader.named,
            known.before_ms if news.is_complete else reader.before_ms,
            misses,
        )
        return state._replace(reader=read)

    def _committed(self, state: State, shift: int) -> list[FeedRow]:
        rows: list[FeedRow] = []
        for name, row in (("ours", state.ours), ("other", state.other)):
            if row is None or row.committed_at is None or row.is_purged:
                continue
            at_ms = _instant(row.created_at, shift)
            if name == "ours" and self.bounds.margin is not None:
                rows.append((None, at_ms, at_ms, row.id))
            else:
                rows.append((name, None, at_ms, row.id))
        return rows

    def _judged(self, state: State, now: int, label: str) -> Step:
        copy, ours, reader = state.copy, state.ours, state.reader
        if copy is None or ours is None or ours.committed_at is None:
            return Step(label, state)
        is_void = "ours" in reader.named
        if self.bounds.margin is not None and reader.before_ms is not None:
            until_ms = reader.before_ms + self.bounds.margin * UNIT_MS
            is_void = _instant(copy, cast(Clocks, state.clocks).origin) <= until_ms
        is_taken = copy <= now + S and now < copy + M and not is_void
        if is_taken and state.now >= ours.committed_at + LAG:
            return Step(label, state, "I6: a copy outlives the end of its session")
        return Step(f"{label}, and {'takes' if is_taken else 'refuses'} the copy", state)


def _commit_ours(state: State) -> State:
    assert state.ours is not None
    return state._replace(ours=state.ours._replace(committed_at=state.now))


def _instant(unit: int, shift: int) -> int:
    return (1000 + shift + unit) * UNIT_MS


def _frozen(rest: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(frozenset(each.items()) if isinstance(each, dict) else each for each in rest)


def _thawed(rest: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict(each) if isinstance(each, frozenset) else each for each in rest)


def _rule_of(bounds: FeedBounds) -> Any:
    """Return a copy of the product's module with these bounds, and without a rule."""
    path = Path(known_revocations.__file__)
    text = path.read_text(encoding="utf-8")
    if bounds.without is not None:
        old, new = MUTATIONS[bounds.without]
        assert text.count(old) == 1, f"{bounds.without}: not once in {path.name}: {old!r}"
        text = text.replace(old, new)
    module = ModuleType(known_revocations.__name__)
    module.__package__ = known_revocations.__package__
    exec(compile(text, f"<{path.name}: {bounds.without}>", "exec"), module.__dict__)
    module.__dict__.update(
        BUCKET_MS=bounds.bucket * UNIT_MS,
        MAX_NEW_ROWS=bounds.limit,
        _RECOUNT_MS=bounds.recount * UNIT_MS,
        _FORGET_MS=UNIT_MS,
    )
    return module
