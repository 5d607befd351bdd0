"""Every state that requests, losses and a thief can bring one session to, at small bounds.

Must not know how ``judge`` decides: what is right is kept beside the row by simpler rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from wsgi_sessions.config import SessionConfig
from wsgi_sessions.records import Decision, SessionRecord

Judge = Callable[..., Decision]
Cas = Callable[["Row", "Row"], bool]

UNIT_MS = 1000
GRACE, UPDATE_AGE, EXPIRES_IN = 2, 5, 12

CONFIG = SessionConfig(
    secret="x" * 32,
    expires_in=EXPIRES_IN,
    update_age=UPDATE_AGE,
    rotation_grace=GRACE,
    touch_interval=1000,
)


class Row(NamedTuple):
    """What the database holds, in units of time."""

    generation: int = 0
    confirmed_at: int = 0
    expires_at: int = EXPIRES_IN
    seen_at: int = 0
    end_reason: str | None = None


class Truth(NamedTuple):
    """The row, and beside it what must be so, by events alone."""

    row: Row = Row()
    confirmed: int = 0
    confirmed_at: int = 0
    refreshed_at: int = 0
    is_over: bool = False


class Flight(NamedTuple):
    """One request: sent, then judged, then answered."""

    is_honest: bool
    presented: int
    age: int = 0
    judged: Row | None = None
    judged_at: int = 0
    is_answered: bool = False
    offer: int | None = None


class World(NamedTuple):
    """Everything there is at one step of a walk."""

    now: int = 0
    truth: Truth = Truth()
    before: Truth | None = None
    """What a fail-over can still bring back; None once one has happened."""
    jar: int = 0
    loot: int | None = None
    flights: tuple[Flight, ...] = ()


class Bounds(NamedTuple):
    """How far a walk goes."""

    horizon: int
    flight_count: int
    has_thief: bool = False
    has_failover: bool = False
    has_revocation: bool = False


class Violation(Exception):
    """An invariant that does not hold."""


def landing_by_store(row: Row, judged: Row) -> bool:
    """Tell whether a write lands, as the store's compare-and-set does."""
    return row.end_reason is None and row[:4] == (
        judged.generation,
        row.confirmed_at,
        judged.expires_at,
        judged.seen_at,
    )


class Walk:
    """A breadth-first search; the first violation found has the shortest way to it."""

    def __init__(self, judge: Judge, bounds: Bounds, *, lands: Cas = landing_by_store) -> None:
        self.bounds = bounds
        self.lands = lands

        @cache
        def decide(row: Row, presented: int, now: int) -> Decision:
            record = _record(row)
            return judge(record, presented, now_ms=now * UNIT_MS, address=None, config=CONFIG)

        self.decide = decide
        self.state_count = 0

    def find_violation(self) -> tuple[str, ...] | None:
        """Return the steps to a broken invariant and its name, or None after every state."""
        start = World(before=Truth() if self.bounds.has_failover else None)
        came: dict[World, tuple[World, str] | None] = {start: None}
        queue = deque([start])
        while queue:
            world = queue.popleft()
            self.state_count += 1
            try:
                for step, following in self.steps(world):
                    if following not in came:
                        came[following] = (world, step)
                        queue.append(following)
            except Violation as violation:
                way = [str(violation)]
                link = came[world]
                while link is not None:
                    way.append(f"at {link[0].now}: {link[1]}")
                    link = came[link[0]]
                return tuple(reversed(way))
        return None

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Give whatever can happen next."""
        bounds, flights = self.bounds, world.flights
        if world.now < bounds.horizon and all(flight.age + 1 < GRACE for flight in flights):
            older = tuple(flight._replace(age=flight.age + 1) for flight in flights)
            yield "time goes on", world._replace(now=world.now + 1, flights=older)
        if len(flights) < bounds.flight_count:
            sent = Flight(is_honest=True, presented=world.jar)
            yield f"the browser sends {world.jar}", _with(world, sent)
            if world.loot is not None:
                sent = Flight(is_honest=False, presented=world.loot)
                yield f"the thief sends {world.loot}", _with(world, sent)
        if bounds.has_thief and world.loot is None:
            yield "a thief copies the jar", world._replace(loot=world.jar)
        before = world.before
        # Only the database knows that a session ended, so that loss can't be healed.
        if before is not None and before != world.truth and before.is_over == world.truth.is_over:
            yield "the last write is lost", world._replace(truth=before, before=None)
        if bounds.has_revocation and world.truth.row.end_reason is None:
            over = world.truth.row._replace(end_reason="revoked")
            truth = world.truth._replace(row=over, is_over=True)
            yield "the session is revoked", _written(world, truth)
        for position, flight in enumerate(flights):
            rest = world._replace(flights=flights[:position] + flights[position + 1 :])
            yield "a request or its answer is lost", rest
            yield from self._go_on(world, rest, flight)

    def _go_on(self, world: World, rest: World, flight: Flight) -> Iterator[tuple[str, World]]:
        who = "the browser" if flight.is_honest else "the thief"
        if flight.is_answered:
            if flight.offer is None:
                return
            # Still there afterwards: an answer may come twice, or late.
            kept = _with(rest, flight)
            if flight.is_honest:
                given = kept._replace(jar=flight.offer)
            else:
                given = kept._replace(loot=flight.offer)
            yield f"{who} is given {flight.offer}", given
        elif flight.judged is None:
            row = world.truth.row
            decision = self.decide(row, flight.presented, world.now)
            self._check_decision(world, flight, decision)
            judged = flight._replace(judged=row, judged_at=world.now)
            yield (
                f"{who}'s {flight.presented} is judged {decision.outcome.name}",
                _with(rest, judged),
            )
        else:
            yield self._write(world, rest, flight, flight.judged)

    def _write(self, world: World, rest: World, flight: Flight, judged: Row) -> tuple[str, World]:
        decision = self.decide(judged, flight.presented, flight.judged_at)
        answered = flight._replace(is_answered=True, judged=None, judged_at=0, offer=decision.offer)
        if decision.change is None and not decision.must_end:
            return "nothing is written", _with(rest, answered)
        row = world.truth.row
        if not self.lands(row, judged):
            again = flight._replace(judged=None, judged_at=0)
            return "a write comes too late", _with(rest, again)
        if decision.must_end:
            assert decision.end_reason is not None
            over = row._replace(end_reason=decision.end_reason.value)
            truth = world.truth._replace(row=over, is_over=True)
            return "the session ends", _with(_written(rest, truth), answered)
        assert decision.change is not None
        change = decision.change
        following = Row(
            generation=change.generation,
            confirmed_at=change.confirmed_at_ms // UNIT_MS,
            expires_at=change.expires_at_ms // UNIT_MS,
            seen_at=change.last_seen_at_ms // UNIT_MS,
        )
        self._check_write(world.truth, following, flight)
        truth = world.truth._replace(row=following)
        if flight.presented > truth.confirmed:
            truth = truth._replace(confirmed=flight.presented, confirmed_at=flight.judged_at)
        if following.expires_at != row.expires_at:
            truth = truth._replace(refreshed_at=flight.judged_at)
        return "a change lands", _with(_written(rest, truth), answered)

    def _check_decision(self, world: World, flight: Flight, decision: Decision) -> None:
        truth, now = world.truth, world.now
        is_expired = now >= truth.refreshed_at + EXPIRES_IN
        if decision.is_accepted:
            if truth.is_over or is_expired:
                raise Violation("I3: a session that is over answers")
            is_stale = flight.presented < truth.confirmed
            if is_stale and now >= truth.confirmed_at + GRACE:
                raise Violation("I2: a stolen token is accepted after the grace")
            if flight.presented == truth.confirmed:
                if now >= truth.confirmed_at + UPDATE_AGE and decision.offer != truth.confirmed + 1:
                    raise Violation("I2: a rotation is due and not offered")
                is_refreshed = (
                    decision.change is not None
                    and decision.change.expires_at_ms == (now + EXPIRES_IN) * UNIT_MS
                )
                waits_from = truth.confirmed_at + UPDATE_AGE - 2 * GRACE
                may_wait = waits_from <= now < waits_from + GRACE
                is_due = now >= truth.refreshed_at + UPDATE_AGE
                if is_due and not (is_refreshed or may_wait):
                    raise Violation("I1: a session in use is not refreshed")
            return
        if flight.is_honest and world.loot is None and not (truth.is_over or is_expired):
            raise Violation("I1: an honest browser is signed out")
        is_replay = flight.presented < truth.confirmed and now >= truth.confirmed_at + GRACE
        if is_replay and not (truth.is_over or is_expired or decision.must_end):
            raise Violation("I2: a replay does not end the session")

    def _check_write(self, truth: Truth, following: Row, flight: Flight) -> None:
        if truth.is_over:
            raise Violation("I3: a session that is over is written")
        if following.generation < truth.row.generation:
            raise Violation("I2: a generation is taken back")
        is_refresh = following.expires_at != truth.row.expires_at
        if is_refresh and flight.judged_at < truth.refreshed_at + UPDATE_AGE:
            raise Violation("I4: a window is refreshed twice")
        is_confirm = following.confirmed_at != truth.row.confirmed_at
        if is_confirm and flight.presented <= truth.confirmed:
            raise Violation("I4: a generation is confirmed twice")
        if not (is_refresh or is_confirm or following.seen_at != truth.row.seen_at):
            raise Violation("I4: a write changes nothing")


def _record(row: Row) -> SessionRecord:
    return SessionRecord(
        id="session",
        user_id=None,
        generation=row.generation,
        confirmed_at_ms=row.confirmed_at * UNIT_MS,
        created_at_ms=0,
        authenticated_at_ms=0,
        updated_at_ms=0,
        last_seen_at_ms=row.seen_at * UNIT_MS,
        expires_at_ms=row.expires_at * UNIT_MS,
        remember=True,
        ip_address=None,
        user_agent=None,
        data="{}",
        data_version=0,
        ended_at_ms=None if row.end_reason is None else 0,
        end_reason=row.end_reason,
    )


def _with(world: World, flight: Flight) -> World:
    # In one order, or the same world would be walked once for each.
    flights = sorted((*world.flights, flight), key=repr)
    return world._replace(flights=tuple(flights))


def _written(world: World, truth: Truth) -> World:
    before = None if world.before is None else world.truth
    return world._replace(truth=truth, before=before)
