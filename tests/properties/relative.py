"""A stored session and its tokens without absolute times and names, and the real ``judge`` on them.

Generations count from the stored one, instants are ages in units of time, branches are small
numbers. So one state stands for all that mean the same, and neither time nor generations are
bounded. Every decision is that of the ``judge`` that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from tests.support import make_session
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.records import (
    Decision,
    EndReason,
    Outcome,
    PresentedToken,
    SessionRecord,
)
from wsgi_sessions.storage.sessions import judged_values

Judge = Callable[..., Decision]

UNIT_MS = 1000
FAR = 10_000
"""Units of time that no search comes to."""
FRESH = 50
"""The name of a branch that was made just now, until the state is named anew."""
UNNAMED = -1
_NOW = 1_000_000
_GENERATION = 100


class Token(NamedTuple):
    generation: int
    branch: int
    is_catch_up: bool = False


class Row(NamedTuple):
    """What the database holds; ``confirmed``, ``refreshed`` and ``seen`` are ages."""

    generation: int
    branch: int
    before: int | None
    is_settled: bool
    caught_up: bool
    confirmed: int
    refreshed: int = 0
    seen: int = 0
    is_over: bool = False


class Effect(NamedTuple):
    """What a ruling writes; an age is None where the stored instant stays."""

    generation: int
    takes_branch: bool
    before: str | None
    is_settled: bool
    caught_up: bool
    confirmed: int | None
    refreshed: int | None
    seen: int | None
    may_fail: bool


class Ruling(NamedTuple):
    outcome: Outcome
    is_accepted: bool
    must_end: bool
    end_reason: EndReason | None
    effect: Effect | None
    offer: str | None
    """``next``, ``again`` or ``catch-up``."""


class Settings(NamedTuple):
    """The durations of a world in units of time, and which of them count in it."""

    grace: int = 2
    interval: int = 11
    upload_grace: int = 6
    window: int | None = None
    """None: three graces, as it always is."""
    update_age: int = FAR
    expires_in: int = 2 * FAR
    idle_timeout: int | None = None
    remember: bool = True
    short_expires_in: int = FAR
    on_replay: Literal["revoke", "reject"] = "revoke"

    @property
    def config(self) -> SessionConfig:
        """Return settings with these durations; what the checks refuse can be shown so."""
        config = SessionConfig(
            secret="x0123456789abcdef" * 2,
            rotate_tokens=True,
            rotation_grace=self.grace,
            rotation_interval=FAR,
            upload_grace=3 * self.grace,
            update_age=FAR,
            expires_in=2 * FAR,
            short_expires_in=2 * FAR,
            idle_timeout=self.idle_timeout,
            touch_interval=2 * FAR,
            on_replay=self.on_replay,
        )
        for name, units in (
            ("rotation_interval_ms", self.interval),
            ("short_rotation_interval_ms", self.interval),
            ("rotation_window_ms", self.window_units),
            ("upload_grace_ms", self.upload_grace),
            ("update_age_ms", self.update_age),
            ("expires_in_ms", self.expires_in),
            ("short_expires_in_ms", self.short_expires_in),
        ):
            object.__setattr__(config, name, units * UNIT_MS)
        return config

    @property
    def window_units(self) -> int:
        return 3 * self.grace if self.window is None else self.window

    @property
    def counts_refresh(self) -> bool:
        return self.update_age < FAR or not self.remember

    @property
    def lifetime(self) -> int:
        return self.expires_in if self.remember else self.short_expires_in


class Bench:
    """A ``judge`` with settings: what it says of a row and a token, each asked once."""

    def __init__(self, judge: Judge, settings: Settings) -> None:
        self.settings = settings
        self._judge = judge
        self._config = settings.config
        self._still = settings.config
        object.__setattr__(self._still, "rotate_tokens", False)
        self._known: dict[tuple[object, ...], Ruling] = {}
        self._counts_refresh = settings.counts_refresh
        self._counts_seen = settings.idle_timeout is not None

    @property
    def outcomes(self) -> frozenset[Outcome]:
        """What has been ruled until now."""
        return frozenset(ruling.outcome for ruling in self._known.values())

    def aged(self, row: Row) -> Row:
        """Return a row one unit of time later; what has been due for long gets no older."""
        generation, branch, before, is_settled, caught_up, confirmed, refreshed, seen, is_over = row
        settings = self.settings
        if confirmed < settings.interval:
            confirmed += 1
        if self._counts_refresh and refreshed < settings.lifetime:
            refreshed += 1
        if settings.idle_timeout is not None and seen < settings.idle_timeout:
            seen += 1
        return Row(
            generation,
            branch,
            before,
            is_settled,
            caught_up,
            confirmed,
            refreshed,
            seen,
            is_over,
        )

    def rule(
        self,
        row: Row,
        token: Token,
        *,
        ahead: int = 0,
        needs_cookie: bool = False,
        has_long_body: bool = False,
        is_reader: bool = False,
        rotates: bool = True,
    ) -> Ruling:
        """Ask ``judge``; ``ahead``: the worker's clock is; ``needs_cookie``: an older secret."""
        key = (
            *row[3:],
            row.before is None,
            token.generation - row.generation,
            token.branch == row.branch,
            token.branch == row.before,
            token.is_catch_up,
            ahead,
            needs_cookie,
            has_long_body,
            is_reader,
            rotates,
        )
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._ask(
                row, token, ahead, needs_cookie, has_long_body, is_reader, rotates
            )
        return known

    def written(self, row: Row, token: Token, effect: Effect, *, ahead: int = 0) -> Row:
        """Return the row after a write."""
        befores = {
            None: None,
            "branch": row.branch,
            "before": row.before,
            "presented": token.branch,
        }
        return Row(
            generation=row.generation + effect.generation,
            branch=token.branch if effect.takes_branch else row.branch,
            before=befores[effect.before],
            is_settled=effect.is_settled,
            caught_up=effect.caught_up,
            confirmed=row.confirmed if effect.confirmed is None else effect.confirmed - ahead,
            refreshed=(
                row.refreshed
                if effect.refreshed is None or not self._counts_refresh
                else effect.refreshed - ahead
            ),
            seen=row.seen if effect.seen is None or not self._counts_seen else effect.seen - ahead,
        )

    def offered(self, ruling: Ruling, row: Row, token: Token, *, is_same: bool) -> Token | None:
        """Return the token that an answer carries; ``is_same``: all of a generation are alike."""
        if ruling.offer is None:
            return None
        if ruling.offer == "again":
            return token
        branch = 0 if is_same else FRESH
        if ruling.offer == "next":
            return Token(row.generation + 1, branch)
        return Token(row.generation, branch, True)

    def _ask(
        self,
        row: Row,
        token: Token,
        ahead: int,
        needs_cookie: bool,
        has_long_body: bool,
        is_reader: bool,
        rotates: bool,
    ) -> Ruling:
        presented = self._presented(row, token, needs_cookie=needs_cookie)
        record = self._record(row, presented, ahead=ahead)
        decision = self._judge(
            record,
            presented,
            now_ms=_NOW * UNIT_MS,
            address=None,
            config=self._config if rotates else self._still,
            has_long_body=has_long_body,
            allow_refresh=not is_reader,
        )
        return Ruling(
            decision.outcome,
            decision.is_accepted,
            decision.must_end,
            decision.end_reason,
            self._effect(decision, record, presented),
            _offer(decision, record, presented),
        )

    def _presented(self, row: Row, token: Token, *, needs_cookie: bool) -> PresentedToken:
        if token.generation == row.generation and token.branch == row.branch:
            name = "stored"
        elif token.branch == row.before:
            name = "before"
        else:
            name = "others"
        # By its first character (one bit of it) a branch says that it is a catch-up's.
        branch = ("z_" if token.is_catch_up else "A_") + name
        generation = _GENERATION + token.generation - row.generation
        return PresentedToken("session", generation, branch, b"", "", not needs_cookie)

    def _record(self, row: Row, presented: PresentedToken, *, ahead: int) -> SessionRecord:
        stored = presented.branch if presented.branch.endswith("stored") else "A_stored"
        before = presented.branch if presented.branch.endswith("before") else "A_before"
        refreshed_ms = (_NOW - row.refreshed - ahead) * UNIT_MS
        lifetime_ms = self.settings.lifetime * UNIT_MS
        return make_session(
            generation=_GENERATION,
            branch=stored,
            branch_before=None if row.before is None else before,
            is_settled=row.is_settled,
            caught_up=row.caught_up,
            confirmed_at_ms=(_NOW - row.confirmed - ahead) * UNIT_MS,
            created_at_ms=0,
            authenticated_at_ms=0,
            updated_at_ms=0,
            last_seen_at_ms=(_NOW - row.seen - ahead) * UNIT_MS,
            expires_at_ms=refreshed_ms + lifetime_ms,
            remember=self.settings.remember,
            ended_at_ms=0 if row.is_over else None,
            end_reason="revoked" if row.is_over else None,
        )

    def _effect(
        self, decision: Decision, record: SessionRecord, presented: PresentedToken
    ) -> Effect | None:
        change = decision.change
        if change is None:
            return None
        befores = {
            None: None,
            record.branch_before: "before",
            presented.branch: "presented",
            record.branch: "branch",
        }
        assert change.branch in (record.branch, presented.branch)
        lifetime_ms = self.settings.lifetime * UNIT_MS
        return Effect(
            generation=change.generation - record.generation,
            takes_branch=change.branch != record.branch,
            before=befores[change.branch_before],
            is_settled=bool(change.is_settled),
            caught_up=bool(change.caught_up),
            confirmed=_age(change.confirmed_at_ms, record.confirmed_at_ms),
            refreshed=_age(change.expires_at_ms - lifetime_ms, record.expires_at_ms - lifetime_ms),
            seen=_age(change.last_seen_at_ms, record.last_seen_at_ms),
            may_fail=change.may_fail,
        )


def _age(instant_ms: int, stored_ms: int) -> int | None:
    if instant_ms == stored_ms:
        return None
    age, rest = divmod(_NOW * UNIT_MS - instant_ms, UNIT_MS)
    assert rest == 0
    return age


def _offer(decision: Decision, record: SessionRecord, presented: PresentedToken) -> str | None:
    offer = decision.offer
    if offer is None:
        return None
    if offer.branch is not None:
        assert (offer.generation, offer.branch) == (presented.generation, presented.branch)
        return "again"
    assert offer.generation == record.generation + (0 if offer.is_catch_up else 1)
    return "catch-up" if offer.is_catch_up else "next"


def judged_names() -> tuple[str, ...]:
    """Return which fields of a record the store compares before it writes, by its own word."""
    record = SessionRecord(*([0] * len(SessionRecord._fields)))  # type: ignore[arg-type]
    slots = judged_values(record)
    return tuple(slot.removeprefix("judged_") for slot in slots if slot.startswith("judged_"))


_SHORTER = {"expires_at_ms": "refreshed", "last_seen_at_ms": "seen"}
_JUDGED = tuple(Row._fields.index(_SHORTER.get(name, name)) for name in judged_names())


def is_what_was_judged(row: Row, judged: Row) -> bool:
    """Tell whether a write lands: the session lives, and is what was judged."""
    return not row.is_over and all(row[i] == judged[i] for i in _JUDGED)


class Names:
    """Small numbers for branches in the order in which they are met, generations from the row's.

    What is named already is given back as it is.
    """

    __slots__ = ("_before", "_generation", "_keeps_older", "_names")

    def __init__(self, row: Row, *, keeps_older: bool = False) -> None:
        self._generation = row.generation
        self._before = row.before
        self._keeps_older = keeps_older
        self._names: dict[int, int] = {}

    def name(self, branch: int) -> int:
        if branch < 0:
            return branch
        names = self._names
        known = names.get(branch)
        if known is None:
            known = names[branch] = len(names)
        return known

    def row(self, row: Row) -> Row:
        named = self.name(row.branch)
        before = None if row.before is None else self.name(row.before)
        if named == row.branch and before == row.before and not self._generation:
            return row
        generation = row.generation - self._generation
        return row._replace(generation=generation, branch=named, before=before)

    def token(self, token: Token) -> Token:
        given, branch, is_catch_up = token
        generation = given - self._generation
        if generation < 0 and not self._keeps_older:
            # Of an older one nothing counts any more but whether the row names it.
            is_before = generation == -1 and branch == self._before
            branch, is_catch_up = branch if is_before else UNNAMED, False
            generation = max(generation, -3)
        named = self.name(branch)
        if (generation, named, is_catch_up) == token:
            return token
        return Token(generation, named, is_catch_up)


def describe(token: Token, row: Row) -> str:
    """Say what a token is to the row, in the words of the rules."""
    ahead = token.generation - row.generation
    if ahead > 0:
        return "the next token"
    if ahead == 0:
        if token.branch == row.branch:
            return "the token that counts"
        return "a catch-up" if token.is_catch_up else "a sibling"
    if ahead == -1:
        return "the token before" if token.branch == row.before else "a token of before"
    return "an older token"
