"""An owner and a thief of one session's token: until when the thief is let in (I2).

The thief keeps what he is given, chooses when to ask and with what, and may copy the jar again.
He is told by who he is, not by the token he shows: whatever he has must be worthless from the
owner's first counting request after the last window on. Each request is judged and answered
before the next, but the owner's answers may be lost or late.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from .relative import Bench, Names, Row, Ruling, Token, describe
from .search import Step

FOR_EVER = 6
"""Visits of the owner after which nobody believes any more that the thief will be found."""


class ThiefBounds(NamedTuple):
    """How far a search goes; times in units."""

    keeps: int = 2
    """How many tokens the thief remembers at a time, any of those he was given."""
    thefts: int = 1
    most_visits: tuple[int, int] = (0, 2)
    """After how many visits of the owner the thief may still be let in, where the owner was
    the first with the token after the stolen one, and where the thief was: one visit gives the
    owner a catch-up then, and one takes over with it."""
    needs_cookie: bool = True
    has_uploads: bool = False
    has_readers: bool = False
    is_slow: bool = False
    """Whether an answer to the owner may be late, by ``transit``."""
    transit: int = 1
    is_killed: bool = False
    """Whether the owner's jar may go back to what it held, once in a generation."""
    fail_overs: int = 0
    lag: int = 1
    skew: int = 0

    # What the product does beside judge, to be left out.
    offers_alike: bool = False
    offers_without_writing: bool = False
    """Whether what a failed write was to settle is offered the next token all the same."""
    # No rule of the product.
    counts_refused: bool = False
    """Whether a refused request is a visit of the owner."""


class Story(NamedTuple):
    """What has happened since the theft, by events alone."""

    first: str = "-"
    """Who confirmed the first generation after the stolen one: ``owner`` or ``thief``."""
    visits: int = 0
    """Of the owner since then: counting requests after a window that were answered."""
    worthless: int = 0
    """1: the owner came after the last window; 2: and a generation was confirmed since."""
    window: int = 0
    """For how long there was no confirmation or take-over."""


class World(NamedTuple):
    row: Row
    story: Story
    before: tuple[Row, Story, int] | None
    jar: Token
    disk: Token
    killed: int
    late: tuple[Token, int] | None
    loot: tuple[Token, ...]
    stolen: int
    """The generation of the jar at the last theft."""
    thefts: int
    fail_overs: int
    is_healing: bool
    """Whether a write was lost, so that an offer that went with it is good for once."""


class ThiefWorld:
    """The steps from each state of an owner, a thief and one session."""

    def __init__(self, bench: Bench, bounds: ThiefBounds) -> None:
        self.bench = bench
        self.bounds = bounds
        settings = bench.settings
        self._window = settings.window_units + bounds.skew
        self._uploads_end = max(settings.upload_grace, settings.window_units) + bounds.skew

    @property
    def start(self) -> World:
        settings = self.bench.settings
        confirmed = settings.interval - 2 * settings.grace
        row = Row(0, 0, None, is_settled=True, caught_up=False, confirmed=confirmed)
        jar, story = Token(0, 0), Story(window=self._uploads_end)
        bounds = self.bounds
        return self._canonical(
            World(
                row,
                story,
                None,
                jar,
                jar,
                -2,
                None,
                (),
                -3,
                bounds.thefts,
                bounds.fail_overs,
                False,
            )
        )

    def steps(self, world: World) -> Iterator[Step]:
        late, bounds = world.late, self.bounds
        if late is None or late[1] < bounds.transit:
            yield Step("time goes on", self._canonical(self._later(world)))
        if late is not None:
            what = describe(late[0], world.row)
            yield self._go(f"the owner is given {what}, late", world, jar=late[0], late=None)
        if bounds.is_killed and world.jar != world.disk:
            yield self._go("the owner's jar is written to disk", world, disk=world.jar)
            if world.jar.generation > world.killed:
                yield self._go(
                    f"the owner's jar holds {describe(world.disk, world.row)} again",
                    world,
                    jar=world.disk,
                    killed=world.jar.generation,
                    late=None,
                )
        yield from self._owner_asks(world)
        if world.thefts and world.jar not in world.loot and len(world.loot) < bounds.keeps:
            yield self._go(
                f"the thief copies {describe(world.jar, world.row)}",
                world,
                loot=(*world.loot, world.jar),
                stolen=world.jar.generation,
                thefts=world.thefts - 1,
                story=_stolen(world.jar, world.row, world.story),
                before=None if world.before is None else _with_theft(world.jar, world.before),
            )
        yield from self._thief_asks(world)
        if world.before is not None and world.fail_overs:
            row, story, _ = world.before
            yield self._go(
                "the last write is lost",
                world,
                row=row,
                story=story,
                before=None,
                fail_overs=world.fail_overs - 1,
                is_healing=True,
            )

    def _later(self, world: World) -> World:
        aged, story = self.bench.aged, world.story
        before = None
        if world.before is not None and world.before[2] < self.bounds.lag:
            before = (aged(world.before[0]), self._older(world.before[1]), world.before[2] + 1)
        return world._replace(
            row=aged(world.row),
            story=self._older(story),
            before=before,
            late=None if world.late is None else (world.late[0], world.late[1] + 1),
        )

    def _older(self, story: Story) -> Story:
        return story._replace(window=min(story.window + 1, self._uploads_end))

    def _rulings(
        self, world: World, token: Token, *, may_read: bool
    ) -> Iterator[tuple[Ruling, int, bool, bool]]:
        bounds, seen = self.bounds, set()
        for ahead, needs_cookie, has_body, is_reader in product(
            range(bounds.skew + 1),
            (False, True)[: 1 + bounds.needs_cookie],
            (False, True)[: 1 + bounds.has_uploads],
            (False, True)[: 1 + (bounds.has_readers and may_read)],
        ):
            ruling = self.bench.rule(
                world.row,
                token,
                ahead=ahead,
                needs_cookie=needs_cookie,
                has_long_body=has_body,
                is_reader=is_reader,
            )
            if (ruling, ahead, has_body, is_reader) not in seen:
                seen.add((ruling, ahead, has_body, is_reader))
                yield ruling, ahead, has_body, is_reader

    def _owner_asks(self, world: World) -> Iterator[Step]:
        row, jar = world.row, world.jar
        # What the owner only reads is no visit, and changes nothing.
        for ruling, ahead, has_body, _ in self._rulings(world, jar, may_read=False):
            label = f"owner with {describe(jar, row)}: {ruling.outcome.name}"
            label += f" by a clock {ahead} ahead" if ahead else ""
            label += ", a long body" if has_body else ""
            counts = not has_body or world.story.window >= self._uploads_end
            if not ruling.is_accepted:
                # Ended, the thief is out and the owner knows.
                is_told = world.story.first != "-" and world.story.window >= self._window
                if not ruling.must_end and self.bounds.counts_refused and is_told:
                    yield self._go(label, world, story=_visited(world.story))
                continue
            following = self._written(world, jar, ruling, ahead=ahead, who="owner")
            story = following.story
            is_after = (
                counts
                and world.story.first != "-"
                and world.story.window >= self._window
                and following.row.generation == row.generation
            )
            # Not who was overtaken, or begins the last window.
            if is_after and jar.generation == row.generation and story.window > 0:
                story = story._replace(worthless=max(story.worthless, 1))
                following = following._replace(story=story)
            answered = following._replace(story=_visited(story)) if is_after else following
            offer = self.bench.offered(ruling, row, jar, is_same=self.bounds.offers_alike)
            if offer is None:
                yield self._go(label, answered)
                continue
            label += f", offered {describe(offer, row)}"
            disk = following.disk if self.bounds.is_killed else offer
            yield self._go(label, answered, jar=offer, disk=disk)
            yield self._go(f"{label}, lost", following)
            if self.bounds.is_slow and world.late is None:
                yield self._go(f"{label}, late", following, late=(offer, 0))

    def _thief_asks(self, world: World) -> Iterator[Step]:
        row = world.row
        for token in world.loot:
            for ruling, ahead, has_body, is_reader in self._rulings(world, token, may_read=True):
                if not ruling.is_accepted:
                    continue  # found out, or nothing has changed
                label = f"thief with {describe(token, row)}: {ruling.outcome.name}"
                label += f" by a clock {ahead} ahead" if ahead else ""
                label += ", a long body" if has_body else ""
                label += ", reading only" if is_reader else ""
                following = self._written(world, token, ruling, ahead=ahead, who="thief")
                violation = self._find_fault(world, following.story, has_body=has_body)
                if violation is not None:
                    yield Step(label, None, violation)
                    continue
                offer = self.bench.offered(ruling, row, token, is_same=self.bounds.offers_alike)
                if offer is None:
                    yield self._go(label, following)
                    continue
                may_fail = ruling.effect is not None and ruling.effect.may_fail
                if self.bounds.offers_without_writing and may_fail:
                    loot = (*world.loot[1:], offer)
                    yield self._go(
                        f"{label}, offered the next token, not written", world, loot=loot
                    )
                label += f", offered {describe(offer, row)}"
                known = {*world.loot, offer}
                if len(known) <= self.bounds.keeps:
                    yield self._go(label, following, loot=tuple(known))
                    continue
                for forgotten in sorted(known):
                    loot = tuple(known - {forgotten})
                    yield self._go(
                        f"{label}, forgets {describe(forgotten, row)}", following, loot=loot
                    )

    def _find_fault(self, world: World, story: Story, *, has_body: bool) -> str | None:
        if has_body and world.story.window < self._uploads_end and story.worthless < 2:
            return None  # for so long a long body is taken
        if story.worthless:
            return "I2: a thief is let in after the owner came"
        most_visits = self.bounds.most_visits[story.first == "thief"]
        if story.first != "-" and story.visits > most_visits:
            return "I2: a thief is let in for ever"
        return None

    def _written(
        self, world: World, token: Token, ruling: Ruling, *, ahead: int, who: str
    ) -> World:
        if ruling.effect is None:
            return world
        row, story = world.row, world.story
        new = self.bench.written(row, token, ruling.effect, ahead=ahead)
        before = (row, story, 0) if world.fail_overs else None
        world = world._replace(row=new, before=before)
        if new.generation > row.generation:
            is_first = story.first == "-" and new.generation > world.stolen
            if world.loot and (is_first or (world.is_healing and story.first != "-")):
                story = Story(first=who)
            else:
                worthless = 2 if story.worthless else 0
                story = story._replace(window=0, worthless=worthless)
            world = world._replace(is_healing=False)
        elif new.branch != row.branch and not new.is_settled:
            story = story._replace(window=0)
        return world._replace(story=story)

    # States

    def _go(self, label: str, world: World, **changes: object) -> Step:
        return Step(label, self._canonical(world._replace(**changes)))  # type: ignore[arg-type]

    def _canonical(self, world: World) -> World:
        row, before = world.row, world.before
        names = Names(row, keeps_older=before is not None)
        named = names.row(row)
        if before is not None:
            before = (names.row(before[0]), *before[1:])
        jar, disk = names.token(world.jar), names.token(world.disk)
        late = None if world.late is None else (names.token(world.late[0]), world.late[1])
        loot = {
            names.token(token)
            for token in sorted(self._worth_keeping(world), key=lambda t: (t[0], t[2], t[1]))
        }
        shift = row.generation
        # Once somebody has gone on from what was stolen, it no longer counts which it was.
        is_told = world.story.first != "-" and before is None
        stolen = -3 if is_told else max(world.stolen - shift, -3)
        return World(
            named,
            world.story,
            before,
            jar,
            disk,
            max(world.killed - shift, -2),
            late,
            tuple(sorted(loot)),
            stolen,
            world.thefts,
            world.fail_overs,
            world.is_healing,
        )

    def _worth_keeping(self, world: World) -> set[Token]:
        """Drop what nobody takes any more, and all but one of what is taken alike."""
        if world.before is not None:
            return set(world.loot)
        row, held = world.row, {world.jar, world.disk}
        if world.late is not None:
            held.add(world.late[0])
        is_past = row.is_settled and row.confirmed >= self._uploads_end
        kept, displaced = set(), []
        for token in world.loot:
            if token.generation < row.generation - 1:
                continue
            is_sibling = token.generation == row.generation and token.branch != row.branch
            if is_past and is_sibling and token not in held:
                displaced.append(token)
            else:
                kept.add(token)
        if displaced:
            kept.add(Token(row.generation, min(token.branch for token in displaced)))
        return kept


def _visited(story: Story) -> Story:
    return story._replace(visits=min(story.visits + 1, FOR_EVER))


def _stolen(jar: Token, row: Row, story: Story) -> Story:
    # An owner who was overtaken before has the same way to go as one after it.
    first = "thief" if row.generation > jar.generation else "-"
    return Story(first=first, window=story.window)


def _with_theft(jar: Token, before: tuple[Row, Story, int]) -> tuple[Row, Story, int]:
    """Return what a fail-over brings back, which takes no theft back."""
    row, story, age = before
    return row, _stolen(jar, row, story), age
