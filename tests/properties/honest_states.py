"""The states of one honest browser and one session, and how far they are walked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .relative import Names, Row, Token, is_what_was_judged

SENT, READ, WORKING, ANSWERED, STREAM, SLEEPING = range(6)


class HonestBounds(NamedTuple):
    """How far a search goes; times in units. The defaults are what it always has."""

    flights: int = 2
    transit: int = 1
    """How long a request, its judgement and its answer take together at the most."""
    upload: int = 0
    """How long a request with a long body may be under way before it is judged."""
    needs_cookie: bool = True
    """Whether any request may come with a token under an older secret."""
    kills: int = 0
    """How often the browser is killed in a generation, its jar going back to what was on disk."""
    flush: int = 1
    """How old the jar on disk may be."""
    fail_overs: int = 0
    lag: int = 1
    """How old the write may be that a fail-over loses."""
    skew: int = 0
    """How far a worker's clock may be ahead."""
    is_stepped: bool = False
    """Whether reading, writing and answering are steps of their own."""
    is_slow: bool = False
    """Whether the application may work for any time before its answer starts."""
    has_streams: bool = False
    """Whether there are streams that read the session any time after they began."""
    has_readers: bool = False
    """Whether any request may be reading only."""
    is_revoked: bool = False
    stops_rotating: bool = False
    """Whether rotate_tokens may be turned off after offers were made."""
    sleeping: int = 0
    """How many answers may arrive after any time (a machine that sleeps): more than is promised."""

    # What the product does beside judge, to be left out.
    offers_alike: bool = False
    outdated_after: int | None = None
    """After how long a decided cookie is not sent; None: a grace, as it always is."""
    ends_for_readers: bool = False
    marks_by_time: bool = False
    """Whether what a clock that is ahead offers is taken for a catch-up."""
    lands: Callable[[Row, Row], bool] = is_what_was_judged


class Truth(NamedTuple):
    """What has happened, by events alone."""

    settles: int = 0
    """In this generation, as are the take-overs."""
    take_overs: int = 0
    writes: int = 0
    """Since the last refresh, it included, without touches and take-overs."""
    was_asked: bool = False
    """Whether an ordinary request was judged in this unit of time."""
    was_away: bool = False
    """Whether there was none in a unit of time since a refresh is due."""
    quiet: int = 0
    """For how long nothing was accepted."""
    lived: int = 0


class Flight(NamedTuple):
    phase: int
    token: Token
    """What it presents, or what its answer carries."""
    age: int = 0
    is_upload: bool = False
    is_orphan: bool = False
    """Whether whoever sent it is gone."""
    decided: int = 0
    """How long ago it was judged."""
    judged: Row | None = None
    written: Row | None = None
    offer: Token | None = None
    is_touch: bool = False
    """Whether nobody is worse off when its write comes too late."""


class World(NamedTuple):
    row: Row
    truth: Truth
    before: tuple[Row, Truth, int] | None
    """What a fail-over can bring back, and how old the write is that would be lost."""
    jar: Token
    disk: Token
    disk_age: int
    killed: tuple[int, int]
    """The generation of the jar when the browser was killed last, and how often in it."""
    flights: tuple[Flight, ...]
    fail_overs: int
    rotates: bool


def canonical(world: World) -> World:
    """Return the one state that stands for all that mean the same."""
    row, truth, before, jar, disk, disk_age, killed, flights, fail_overs, rotates = world
    shift = row.generation
    names = Names(row, keeps_older=before is not None)
    name, name_row = names.token, names.row
    row = name_row(row)
    if before is not None:
        before = (name_row(before[0]), before[1], before[2])
    jar, disk = name(jar), name(disk)
    if flights:
        ordered = sorted(flights, key=_without_names) if len(flights) > 1 else flights
        flights = tuple([_named(flight, names) for flight in ordered])
    generation, count = killed
    killed = (-2, 0) if generation - shift < -1 else (generation - shift, count)
    return World(row, truth, before, jar, disk, disk_age, killed, flights, fail_overs, rotates)


def _named(flight: Flight, names: Names) -> Flight:
    phase, token, age, is_upload, is_orphan, decided, judged, written, offer, is_touch = flight
    return Flight(
        phase,
        names.token(token),
        age,
        is_upload,
        is_orphan,
        decided,
        None if judged is None else names.row(judged),
        None if written is None else names.row(written),
        None if offer is None else names.token(offer),
        is_touch,
    )


def _without_names(flight: Flight) -> tuple[object, ...]:
    """Return what orders flights, names of branches last, so that few states come twice."""
    token, offer = flight.token, flight.offer
    return (
        flight.phase,
        flight.age,
        flight.is_upload,
        flight.is_orphan,
        flight.decided,
        token.generation,
        token.is_catch_up,
        (-9, False) if offer is None else (offer.generation, offer.is_catch_up),
        token.branch,
        -9 if offer is None else offer.branch,
        _row_key(flight.judged),
        _row_key(flight.written),
    )


def _row_key(row: Row | None) -> tuple[int, ...]:
    if row is None:
        return ()
    return tuple(-9 if value is None else value for value in row)
