"""Nodes that lag, searched: which readings may be old, and what has to be written.

Two nodes, and one order of what is committed: each node has applied a part of it from the
beginning. A transaction reads on a node, and is certified when it commits: it is undone if a row
that it writes was written, too, by what its node had not applied when it read. Clocks and graces
are left out; they are searched elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from .search import Step

NODES = (0, 1)
LAST_GENERATION = 2


class LagBounds(NamedTuple):
    """One session, asked for on both nodes; with which rules.

    ``reads_again``: a "no" is read once more, synchronised. ``waits_again``: so is what is read
    after a lost write.
    """

    reads_again: bool = True
    waits_again: bool = True
    flights: int = 2
    last_generation: int = LAST_GENERATION
    most_tries: int = 3


class Write(NamedTuple):
    """What was written to the row of the session; the first makes it."""

    generation: int = 0
    is_end: bool = False


class Flight(NamedTuple):
    """A request with a generation, or the answer to it."""

    generation: int
    node: int
    phase: Literal["reads", "writes", "answered"] = "reads"
    read_to: int = 0
    tries: int = 0
    waits: bool = False


class LagState(NamedTuple):
    log: tuple[Write, ...] = (Write(),)
    applied: tuple[int, int] = (1, 0)
    jar: int = 0
    flights: tuple[Flight, ...] = ()
    is_ended: bool = False


class SessionOnNodes:
    """A browser whose requests go to either node; the session is revoked at some time."""

    start = LagState()

    def __init__(self, bounds: LagBounds) -> None:
        self.bounds = bounds

    def steps(self, state: LagState) -> Iterator[Step]:
        for node in NODES:
            if state.applied[node] < len(state.log):
                yield Step(f"node {node} applies", _caught_up(state, node, state.applied[node] + 1))
            if len(state.flights) < self.bounds.flights and not state.is_ended:
                yield Step(
                    f"the browser sends {state.jar} to node {node}",
                    _with(state, Flight(state.jar, node)),
                )
        if not state.is_ended and state.applied[0] == len(state.log):
            ended = self._committed(state, 0, Write(is_end=True))
            yield Step("the session is ended on node 0", ended._replace(is_ended=True))
        for flight in state.flights:
            without = _without(state, flight)
            yield Step("a request or answer is lost", without)
            if flight.phase == "answered":
                jar = max(state.jar, flight.generation)
                yield Step(
                    f"the answer with {flight.generation} arrives", without._replace(jar=jar)
                )
            elif flight.phase == "reads":
                yield self._reads(without, flight)
            else:
                yield self._writes(without, flight)

    def _reads(self, state: LagState, flight: Flight) -> Step:
        if flight.waits:
            state = _caught_up(state, flight.node, len(state.log))
        read_to = state.applied[flight.node]
        seen, given = _row(state.log[:read_to]), flight.generation
        label = f"{given} is read on node {flight.node}{', synchronised' if flight.waits else ''}"
        is_refused = seen is None or seen.is_end or given < seen.generation - 1
        if is_refused and self.bounds.reads_again and not flight.waits:
            return Step(f"{label}: no", _with(state, flight._replace(waits=True)))
        if seen is None or seen.is_end:
            violation = None if state.is_ended else "I1: an honest browser is signed out"
            return Step(f"{label}: no", state, violation)
        if is_refused or given > seen.generation:
            what = "a replay" if is_refused else "a confirmation"
            writing = flight._replace(phase="writes", read_to=read_to)
            return Step(f"{label}: {what}", _with(state, writing))
        if state.is_ended and read_to == len(state.log):
            return Step(label, state, "I3: an ended session answers where its end is known")
        # Rotations are further apart than a request lasts.
        is_alone = all(
            each.phase == "answered" or each.generation >= given for each in state.flights
        )
        is_newest = given == seen.generation < self.bounds.last_generation
        if not (is_newest and is_alone):
            return Step(f"{label}: yes", state)
        offered = Flight(given + 1, flight.node, "answered")
        return Step(f"{label}: yes, and the next is offered", _with(state, offered))

    def _writes(self, state: LagState, flight: Flight) -> Step:
        if flight.read_to < len(state.log):
            tries = flight.tries + 1
            if tries == self.bounds.most_tries:
                violation = None if state.is_ended else "I1: an honest browser is answered 503"
                return Step("a write is lost once too often", state, violation)
            again = Flight(
                flight.generation, flight.node, "reads", 0, tries, self.bounds.waits_again
            )
            return Step("a write is lost to another", _with(state, again))
        seen = _row(state.log)
        assert seen is not None
        is_end = flight.generation < seen.generation
        violation = None
        if is_end:
            violation = "I1: an honest browser is signed out"
        elif seen.is_end:
            violation = "I3: an ended session is written"
        written = Write(flight.generation, is_end)
        return Step(
            f"{flight.generation} is stored on node {flight.node}",
            self._committed(state, flight.node, written),
            violation,
        )

    def _committed(self, state: LagState, node: int, write: Write) -> LagState:
        state = state._replace(log=(*state.log, write))
        return _caught_up(state, node, len(state.log))


class UserBounds(NamedTuple):
    """Sign-ins of one user, and a change of the password, on two nodes.

    ``writes_user``: they write a row of the user, and don't only lock one.
    """

    writes_user: bool = True
    sign_ins: int = 3
    limit: int = 1
    has_change: bool = True


class Commit(NamedTuple):
    """A sign-in of a number, or the change of the password (None); what it ended and wrote."""

    sign_in: int | None
    ended: tuple[int, ...]
    rows: frozenset[str]


class Transaction(NamedTuple):
    """``read_to``: None before it has read, on ``node``."""

    node: int = 0
    read_to: int | None = None
    is_over: bool = False


class UserState(NamedTuple):
    log: tuple[Commit, ...]
    applied: tuple[int, int]
    transactions: tuple[Transaction, ...]
    """Of the sign-ins, and last of the change."""


class UserOnNodes:
    """Whoever signs in knows the old password; the change ends all that it sees."""

    def __init__(self, bounds: UserBounds) -> None:
        self.bounds = bounds
        count = bounds.sign_ins + bounds.has_change
        self.start = UserState((), (0, 0), (Transaction(),) * count)

    def steps(self, state: UserState) -> Iterator[Step]:
        for node in NODES:
            if state.applied[node] < len(state.log):
                yield Step(f"node {node} applies", _applied(state, node, state.applied[node] + 1))
        for number, transaction in enumerate(state.transactions):
            if transaction.is_over:
                continue
            name = f"sign-in {number}" if number < self.bounds.sign_ins else "the change"
            if transaction.read_to is None:
                for node in NODES:
                    reading = Transaction(node, state.applied[node])
                    yield Step(f"{name} reads on node {node}", _put(state, number, reading))
            else:
                yield self._commits(state, number, name)

    def _commits(self, state: UserState, number: int, name: str) -> Step:
        transaction = state.transactions[number]
        seen = state.log[: transaction.read_to]
        is_change = number == self.bounds.sign_ins
        if not is_change and _is_changed(seen):
            over = _put(state, number, Transaction(is_over=True))
            return Step(f"{name} is refused: the password has changed", over)
        there = sorted(_live(seen))
        ended = there if is_change else there[: max(0, len(there) - self.bounds.limit + 1)]
        rows = {f"session {each}" for each in ended}
        rows |= {"user"} if self.bounds.writes_user else set()
        rows.add("password" if is_change else f"session {number}")
        if any(each.rows & rows for each in state.log[transaction.read_to :]):
            return Step(f"{name} is undone", _put(state, number, Transaction()))
        commit = Commit(None if is_change else number, tuple(ended), frozenset(rows))
        following = _put(state, number, Transaction(is_over=True))
        following = following._replace(log=(*state.log, commit))
        following = _applied(following, transaction.node, len(following.log))
        violation = None
        if _is_changed(following.log) and _live(following.log):
            violation = "a session of the old password lives on"
        elif len(_live(following.log)) > self.bounds.limit:
            violation = "I5: more sessions than the limit"
        return Step(f"{name} commits on node {transaction.node}", following, violation)


def _row(log: tuple[Write, ...]) -> Write | None:
    if not log:
        return None
    generation = max(write.generation for write in log)
    return Write(generation, any(write.is_end for write in log))


def _caught_up(state: LagState, node: int, count: int) -> LagState:
    """Have a node apply so many of the writes."""
    applied = [*state.applied]
    applied[node] = count
    return state._replace(applied=(applied[0], applied[1]))


def _with(state: LagState, flight: Flight) -> LagState:
    return state._replace(flights=tuple(sorted((*state.flights, flight))))


def _without(state: LagState, flight: Flight) -> LagState:
    position = state.flights.index(flight)
    return state._replace(flights=state.flights[:position] + state.flights[position + 1 :])


def _applied(state: UserState, node: int, count: int) -> UserState:
    applied = [*state.applied]
    applied[node] = count
    return state._replace(applied=(applied[0], applied[1]))


def _put(state: UserState, number: int, transaction: Transaction) -> UserState:
    transactions = [*state.transactions]
    transactions[number] = transaction
    return state._replace(transactions=tuple(transactions))


def _live(log: tuple[Commit, ...]) -> set[int]:
    live: set[int] = set()
    for commit in log:
        live -= {*commit.ended}
        if commit.sign_in is not None:
            live.add(commit.sign_in)
    return live


def _is_changed(log: tuple[Commit, ...]) -> bool:
    return any(commit.sign_in is None for commit in log)
