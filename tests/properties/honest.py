"""One honest browser: all that its requests, lost answers, crashes and slow uploads can do (I1).

Several requests are in flight, each lost, late or answered more than once; a fail-over loses
the last write; workers' clocks differ. What is right is worked out from
events alone, not from how ``judge`` decides.
"""

from __future__ import annotations

from collections.abc import Iterator

from wsgi_sessions.records import EndReason, Outcome

from .honest_states import (
    ANSWERED,
    READ,
    SENT,
    SLEEPING,
    STREAM,
    WORKING,
    Flight,
    HonestBounds,
    Truth,
    World,
    canonical,
)
from .relative import Bench, Row, Ruling, Token, describe
from .search import Step

_NAMES = {SENT: "request", STREAM: "stream"}


class HonestWorld:
    """The steps from each state of one browser and one session."""

    def __init__(self, bench: Bench, bounds: HonestBounds) -> None:
        self.bench = bench
        self.bounds = bounds
        self._settings = bench.settings
        after = bounds.outdated_after
        self._outdated_after = bench.settings.grace if after is None else after
        self._is_busy_told = bench.settings.update_age < bench.settings.expires_in <= 1000

    @property
    def start(self) -> World:
        settings = self._settings
        # As it is for most of the time: settled, and a rotation near.
        confirmed = settings.interval - 2 * settings.grace
        row = Row(0, 0, None, is_settled=True, caught_up=False, confirmed=confirmed)
        jar = Token(0, 0)
        return canonical(
            World(row, Truth(), None, jar, jar, 0, (-2, 0), (), self.bounds.fail_overs, True)
        )

    def steps(self, world: World) -> Iterator[Step]:
        bounds, flights = self.bounds, world.flights
        if all(self._may_age(flight) for flight in flights):
            yield Step("time goes on", canonical(self._later(world)))
        if world.disk != world.jar:
            yield self._go("the jar is written to disk", world, disk=world.jar, disk_age=0)
        if len(flights) < bounds.flights:
            yield from self._send(world)
        for position, flight in enumerate(flights):
            if position and flights[position - 1] == flight:
                continue
            rest = flights[:position] + flights[position + 1 :]
            yield self._go("a request or its answer is lost", world, flights=rest)
            yield from self._go_on(world, flight, rest)
        generation, count = world.killed
        is_new = world.jar.generation > generation
        if world.jar != world.disk and (is_new or count < bounds.kills):
            yield self._kill(world)
        if bounds.is_revoked and not world.row.is_over:
            over = world.row._replace(is_over=True)
            yield self._go("the session is revoked", world, row=over, before=None)
        if world.before is not None and world.fail_overs:
            row, truth, _ = world.before
            yield self._go(
                "the last write is lost",
                world,
                row=row,
                truth=truth,
                before=None,
                fail_overs=world.fail_overs - 1,
            )
        if bounds.stops_rotating and world.rotates:
            yield self._go("rotate_tokens is turned off", world, rotates=False)

    # Time

    def _may_age(self, flight: Flight) -> bool:
        if flight.phase in (WORKING, STREAM, SLEEPING):
            return True
        is_uploading = flight.is_upload and flight.phase == SENT
        return flight.age < (self.bounds.upload if is_uploading else self.bounds.transit)

    def _later(self, world: World) -> World:
        bounds, aged, truth = self.bounds, self.bench.aged, world.truth
        disk, disk_age = world.disk, world.disk_age + 1
        if disk == world.jar or disk_age > bounds.flush:
            disk, disk_age = world.jar, 0
        before = None
        if world.before is not None and world.before[2] < bounds.lag:
            before = (aged(world.before[0]), world.before[1], world.before[2] + 1)
        flights = []
        for flight in world.flights:
            decided, age = flight.decided, flight.age
            if flight.phase == WORKING:
                decided = min(decided + 1, self._outdated_after, 20)
            elif flight.phase not in (STREAM, SLEEPING):
                age += 1
                decided += flight.phase == READ and self._settings.idle_timeout is not None
            flights.append(
                flight._replace(
                    age=age,
                    decided=decided,
                    judged=None if flight.judged is None else aged(flight.judged),
                    written=None if flight.written is None else aged(flight.written),
                )
            )
        row = aged(world.row)
        if self._is_busy_told:
            is_due = world.row.refreshed >= self._settings.update_age
            truth = truth._replace(
                was_asked=False, was_away=truth.was_away or (is_due and not truth.was_asked)
            )
        if self._settings.idle_timeout is not None:
            truth = truth._replace(quiet=min(truth.quiet + 1, self._settings.idle_timeout))
        if not self._settings.remember:
            truth = truth._replace(lived=min(truth.lived + 1, self._settings.short_expires_in))
        return world._replace(
            row=row,
            truth=truth,
            before=before,
            disk=disk,
            disk_age=disk_age,
            flights=tuple(flights),
        )

    # The browser

    def _send(self, world: World) -> Iterator[Step]:
        what = describe(world.jar, world.row)
        for name, sent in (
            ("a request", Flight(SENT, world.jar)),
            ("an upload", Flight(SENT, world.jar, is_upload=True)),
            ("a stream", Flight(STREAM, world.jar)),
        ):
            if (sent.is_upload and not self.bounds.upload) or (
                sent.phase == STREAM and not self.bounds.has_streams
            ):
                continue
            flights = (*world.flights, sent)
            yield self._go(f"the browser sends {name} with {what}", world, flights=flights)

    def _kill(self, world: World) -> Step:
        generation, count = world.killed
        is_first = world.jar.generation > generation
        # What was sent arrives, unless its body was under way; the answers reach nobody.
        orphans = tuple(
            flight._replace(is_orphan=True)
            for flight in world.flights
            if flight.phase == READ or (flight.phase == SENT and not flight.is_upload)
        )
        return self._go(
            f"the browser is killed: its jar holds {describe(world.disk, world.row)} again",
            world,
            jar=world.disk,
            disk_age=0,
            killed=(world.jar.generation, 1 if is_first else count + 1),
            flights=orphans,
        )

    def _go_on(self, world: World, flight: Flight, rest: tuple[Flight, ...]) -> Iterator[Step]:
        if flight.phase in (SENT, STREAM):
            yield from self._judge(world, flight, rest)
        elif flight.phase == READ:
            yield self._write(world, flight, rest)
        elif flight.phase == WORKING:
            if flight.decided >= self._outdated_after:
                yield self._go("an answer starts, too late for its cookie", world, flights=rest)
            else:
                started = flight._replace(phase=ANSWERED, decided=0)
                yield self._go("an answer starts", world, flights=(*rest, started))
        else:
            # An answer may come more than once.
            is_kept = flight.phase == ANSWERED
            yield self._go(
                f"the browser is given {describe(flight.token, world.row)}",
                world,
                jar=flight.token,
                disk=world.disk if self.bounds.kills else flight.token,
                disk_age=world.disk_age if flight.token == world.jar else 0,
                flights=world.flights if is_kept else rest,
                truth=world.truth._replace(was_asked=self._is_busy_told),
            )
            asleep = sum(other.phase == SLEEPING for other in world.flights)
            if is_kept and asleep < self.bounds.sleeping:
                slept = flight._replace(phase=SLEEPING, age=0)
                yield self._go("the machine sleeps on an answer", world, flights=(*rest, slept))

    # The server

    def _judge(self, world: World, flight: Flight, rest: tuple[Flight, ...]) -> Iterator[Step]:
        bounds, done = self.bounds, set()
        is_stream = flight.phase == STREAM
        for is_reader in (True,) if is_stream else (False, True)[: 1 + bounds.has_readers]:
            for ahead in range(bounds.skew + 1):
                for needs_cookie in (False, True)[: 1 + (bounds.needs_cookie and not is_reader)]:
                    ruling = self.bench.rule(
                        world.row,
                        flight.token,
                        ahead=ahead,
                        needs_cookie=needs_cookie,
                        has_long_body=flight.is_upload,
                        is_reader=is_reader,
                        rotates=world.rotates,
                    )
                    if (ruling, ahead, is_reader) not in done:
                        done.add((ruling, ahead, is_reader))
                        yield self._ruled(world, flight, rest, ruling, ahead, is_reader)

    def _ruled(
        self,
        world: World,
        flight: Flight,
        rest: tuple[Flight, ...],
        ruling: Ruling,
        ahead: int,
        is_reader: bool,
    ) -> Step:
        row, token = world.row, flight.token
        name = "upload" if flight.is_upload else _NAMES[flight.phase]
        label = f"{name} with {describe(token, row)}: {ruling.outcome.name}"
        if is_reader:
            label = f"reading {label}"
        if ahead:
            label += f" by a clock {ahead} ahead"
        violation = self._find_fault(world, flight, ruling, ahead=ahead, is_reader=is_reader)
        if violation is not None:
            return Step(label, None, violation)
        if not ruling.is_accepted:
            return self._refused(world, flight, rest, ruling, label, is_reader=is_reader)
        offer = self.bench.offered(ruling, row, token, is_same=self.bounds.offers_alike)
        if offer is not None and self.bounds.marks_by_time and ahead and ruling.offer == "next":
            offer = offer._replace(is_catch_up=True)
        if offer is not None:
            label += f", offered {describe(offer, row)}"
        if flight.is_orphan:
            offer = None
        if ruling.effect is None:
            return self._answer(label, world, flight, rest, offer, has_touched=not is_reader)
        written = self.bench.written(row, token, ruling.effect, ahead=ahead)
        read = flight._replace(
            phase=READ,
            age=0 if flight.is_upload else flight.age,
            judged=row,
            written=written,
            offer=offer,
            is_touch=ruling.effect.may_fail and ruling.outcome is not Outcome.SETTLE,
        )
        if self.bounds.is_stepped:
            return self._go(label, world, flights=(*rest, read))
        return self._write(world, read, rest, label)

    def _refused(
        self,
        world: World,
        flight: Flight,
        rest: tuple[Flight, ...],
        ruling: Ruling,
        label: str,
        *,
        is_reader: bool,
    ) -> Step:
        if not ruling.must_end or (is_reader and not self.bounds.ends_for_readers):
            return self._go(label, world, flights=rest)
        if ruling.outcome is Outcome.EXPIRED:
            over = world.row._replace(is_over=True)
            return self._go(label, world, row=over, before=None, flights=rest)
        if not self.bounds.is_stepped:
            return Step(label, None, "I1: an honest browser is signed out")
        read = flight._replace(phase=READ, judged=world.row)
        return self._go(label, world, flights=(*rest, read))

    def _find_fault(
        self, world: World, flight: Flight, ruling: Ruling, *, ahead: int, is_reader: bool
    ) -> str | None:
        """Tell what a ruling breaks, if anything."""
        row, truth, settings = world.row, world.truth, self._settings
        is_expired = self.bench.settings.counts_refresh and (
            row.refreshed >= settings.lifetime or truth.lived >= settings.short_expires_in
        )
        if ruling.is_accepted:
            if row.is_over or is_expired:
                return "I3: a session that is over answers"
            if is_reader and (ruling.effect or ruling.offer):
                return "I4: a request that only reads writes"
            offers_next = ruling.offer == "next"
            if offers_next and not world.rotates:
                return "I1: a token rotates though none is to"
            is_due = row.confirmed + ahead >= settings.interval and world.rotates
            counts = flight.token[:2] == row[:2] and not (is_reader or flight.is_upload)
            if counts and is_due and not offers_next:
                return "I2: a rotation is due and not offered"
            return None
        if row.is_over or (flight.phase == STREAM and not self.bounds.ends_for_readers):
            return None
        if flight.phase == STREAM and not ruling.must_end:
            return None
        if ruling.end_reason is EndReason.IDLE:
            is_quiet = truth.quiet >= (settings.idle_timeout or 0)
            return None if is_quiet else "I1: a browser in use ends as idle"
        if ruling.outcome is Outcome.EXPIRED:
            may_expire = truth.was_away or not settings.remember
            return None if may_expire else "I1: a session in use expires"
        if ruling.must_end and self.bounds.is_stepped and flight.phase != STREAM:
            return None  # until the write lands
        if ruling.must_end:
            return "I1: an honest browser is signed out"
        return "I1: an honest browser is refused"

    def _write(
        self, world: World, flight: Flight, rest: tuple[Flight, ...], said: str | None = None
    ) -> Step:
        judged, written, row, truth = flight.judged, flight.written, world.row, world.truth
        assert judged is not None
        if not self.bounds.lands(row, judged):
            if flight.is_touch:
                label = "a touch comes too late"
                return self._answer(label, world, flight, rest, flight.offer, has_touched=False)
            again = Flight(
                SENT,
                flight.token,
                flight.age,
                is_upload=flight.is_upload,
                is_orphan=flight.is_orphan,
            )
            return self._go("a write comes too late", world, flights=(*rest, again))
        if written is None:
            return Step("the end is written", None, "I1: an honest browser is signed out")
        label = said or "a write lands"
        if row.is_over:
            return Step(label, None, "I3: a session that is over is written")
        violation, truth = self._note_write(truth, row, judged, written)
        if violation is not None:
            return Step(label, None, violation)
        before = (row, world.truth, 0) if world.fail_overs else None
        world = world._replace(row=written, truth=truth, before=before)
        return self._answer(label, world, flight, rest, flight.offer)

    def _note_write(
        self, truth: Truth, row: Row, judged: Row, written: Row
    ) -> tuple[str | None, Truth]:
        """Tell what a write breaks, if anything, and what there is to know of after it."""
        settings, kinds = self._settings, 0
        if written.generation < row.generation:
            return "I2: a generation is taken back", truth
        if written.generation > judged.generation:
            if written.generation == row.generation:
                return "I4: a generation is confirmed twice", truth
            truth = truth._replace(settles=0, take_overs=0)
            kinds += 1
        elif written.is_settled and not judged.is_settled:
            if truth.settles:
                return "I4: a generation is settled twice", truth
            truth = truth._replace(settles=1)
            kinds += 1
        elif written.branch != judged.branch:
            if truth.take_overs:
                return "I4: a generation is taken over twice", truth
            truth = truth._replace(take_overs=1)
        is_refresh = written.refreshed < judged.refreshed
        if is_refresh and not settings.remember:
            return "I3: a session that is not remembered is prolonged", truth
        if is_refresh:
            earliest = settings.update_age - self.bounds.transit - self.bounds.skew
            if row.refreshed < earliest:
                return "I4: a session is refreshed twice", truth
            kinds += 1
            truth = truth._replace(writes=1, was_away=False)
        elif kinds and settings.update_age <= settings.interval:
            truth = truth._replace(writes=truth.writes + 1)
            if truth.writes > 3:
                return "I4: a refresh window costs more than three writes", truth
        if written == judged:
            return "I4: a write changes nothing", truth
        return None, truth

    def _answer(
        self,
        label: str,
        world: World,
        flight: Flight,
        rest: tuple[Flight, ...],
        offer: Token | None,
        *,
        has_touched: bool = True,
    ) -> Step:
        if flight.phase == STREAM:
            return self._go(label, world, flights=(*rest, flight))
        if has_touched:
            truth = world.truth
            if self._settings.idle_timeout is not None:
                truth = truth._replace(quiet=min(truth.quiet, flight.decided))
            # To catch up is of use to the browser once the answer is there.
            catches_up = offer is not None and offer.is_catch_up
            if self._is_busy_told and not (flight.is_upload or catches_up):
                truth = truth._replace(was_asked=True)
            world = world._replace(truth=truth)
        if offer is None:
            return self._go(label, world, flights=rest)
        age = 0 if flight.is_upload and flight.phase == SENT else flight.age
        phase = WORKING if self.bounds.is_slow else ANSWERED
        answered = Flight(phase, offer, age=age)
        return self._go(label, world, flights=(*rest, answered))

    def _go(self, label: str, world: World, **changes: object) -> Step:
        return Step(label, canonical(world._replace(**changes)))  # type: ignore[arg-type]
