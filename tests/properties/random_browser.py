"""A random honest browser in seconds, over the real ``judge`` at settings that people have.

Reading, judging, writing and answering are separate steps of requests in parallel; answers are
lost or slow, uploads take minutes, workers' clocks differ, and the browser is killed now and
then. No request may be refused.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.support import NOW, make_session
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.records import Decision, Offer, Outcome, PresentedToken, SessionRecord
from wsgi_sessions.sessions.policy import judge

from .relative import judged_names

SECOND = 1000
_VISITS_APART = 400 * SECOND
_JUDGED = judged_names()


class Pace(NamedTuple):
    """How slow everything may be; times in seconds."""

    round_trip: int = 44
    """Of all but the bodies of uploads, at the most: with ``skew`` less than a grace."""
    skew: int = 15
    upload: int = 470
    flush: int = 30
    lost: float = 0.1
    """The share of answers that are."""
    lost_writes: float = 0.01
    """The share of writes that a fail-over loses."""
    sends_outdated: bool = False
    """Whether a slow answer carries what was decided long before."""


class SignedOut(Exception):
    """An honest request was refused."""


class Jar(NamedTuple):
    generation: int
    branch: str


@dataclass
class Sent:
    token: Jar
    life: int
    """Which life of the browser it belongs to: what is answered to an earlier one is lost."""
    has_long_body: bool
    write_in: int
    answer_in: int
    skew: int


class RandomBrowser:
    """One session and its browser, from one seed."""

    def __init__(self, seed: int, *, config: SessionConfig, pace: Pace = Pace()) -> None:  # noqa: B008
        self.tally: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._config = config
        self._pace = pace
        self._now_ms = NOW
        self._branches = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._jar = self._disk = Jar(0, self._new_branch(is_catch_up=False))
        self._flushed_at_ms = 0
        self._life = 0
        self._killed_with = -1
        self._record = make_session(
            branch=self._jar.branch, expires_at_ms=NOW + config.expires_in_ms
        )

    def browse(self, visits: int) -> None:
        """Go on for so many visits; raises ``SignedOut`` if a request is refused."""
        self.tally["visits"] += visits
        for _ in range(visits):
            self._later(self._random.randrange(visits * _VISITS_APART), self._visit)
        while self._events:
            self._now_ms, _, happen = heapq.heappop(self._events)
            if self._jar != self._disk and self._now_ms >= self._flushed_at_ms:
                self._disk = self._jar
            happen()

    def _later(self, after_ms: int, happen: Callable[[], None]) -> None:
        # The tally tells apart what happens at one time.
        self.tally["events"] += 1
        heapq.heappush(self._events, (self._now_ms + after_ms, self.tally["events"], happen))

    def _new_branch(self, *, is_catch_up: bool) -> str:
        self._branches += 1
        return f"{'z' if is_catch_up else 'A'}{self._branches:07d}"

    # The browser

    def _visit(self) -> None:
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 5, 12))):
            spread = self._random.choice((1, 5, 60, 300)) * SECOND
            self._later(self._random.randrange(spread), self._send)

    def _send(self) -> None:
        draw, pace = self._random, self._pace
        is_upload = draw.random() < 0.15
        is_slow = draw.random() < 0.4
        longest = (pace.upload if is_upload else pace.round_trip) * SECOND
        total = draw.randrange(1, longest if is_slow else 3 * SECOND)
        if is_upload:
            # From the last byte on it is a request like others.
            read_in, rest = total, draw.randrange(pace.round_trip * SECOND)
        else:
            read_in = draw.randrange(total + 1)
            rest = total - read_in
        write_in = draw.randrange(rest + 1)
        skew = draw.choice((0, pace.skew)) * SECOND
        sent = Sent(self._jar, self._life, is_upload, write_in, rest - write_in, skew)
        self.tally["requests"] += 1
        self._later(read_in, lambda: self._read(sent))
        if draw.random() < 0.1:
            self._kill()

    def _kill(self) -> None:
        if self._jar == self._disk or self._jar.generation <= self._killed_with:
            return
        self.tally["kills"] += 1
        self._killed_with = self._jar.generation
        self._jar = self._disk
        self._life += 1

    def _take(self, sent: Sent, given: Jar) -> None:
        if sent.life != self._life:
            return
        self._jar = given
        self._flushed_at_ms = self._now_ms + self._pace.flush * SECOND

    # The server

    def _read(self, sent: Sent) -> None:
        record, now_ms = self._record, self._now_ms + sent.skew
        presented = PresentedToken(
            "session",
            sent.token.generation,
            sent.token.branch,
            b"",
            "",
            is_signed_by_newest=self._random.random() > 0.3,
        )
        decision = judge(
            record,
            presented,
            now_ms=now_ms,
            address=None,
            config=self._config,
            has_long_body=sent.has_long_body,
        )
        if not (decision.is_accepted or decision.must_end):
            raise SignedOut(f"{decision.outcome.name} of {sent.token}, stored: {record}")
        self._later(sent.write_in, lambda: self._write(sent, record, decision))

    def _write(self, sent: Sent, judged: SessionRecord, decision: Decision) -> None:
        self.tally[decision.outcome.name] += 1
        settles = decision.outcome is Outcome.SETTLE
        change, offer = decision.change, decision.offer
        if change is not None or decision.must_end:
            may_fail = change is not None and change.may_fail
            if any(getattr(judged, name) != getattr(self._record, name) for name in _JUDGED):
                self.tally["writes too late"] += 1
                if settles or not may_fail:
                    sent.write_in = 0
                    self._read(sent)
                    return
            elif change is None:
                raise SignedOut(f"{decision.outcome.name} of {sent.token}, stored: {judged}")
            elif may_fail and self._random.random() < 0.02:
                self.tally["failed writes"] += 1
                offer = None if settles else offer
            else:
                if settles and change.branch != judged.branch:
                    self.tally["settled on a sibling"] += 1
                if self._random.random() < self._pace.lost_writes:
                    self.tally["lost writes"] += 1
                else:
                    self._record = change.applied_to(judged)
        if offer is not None:
            self._answer(sent, offer)

    def _answer(self, sent: Sent, offer: Offer) -> None:
        draw = self._random
        branch = offer.branch or self._new_branch(is_catch_up=offer.is_catch_up)
        given = Jar(offer.generation, branch)
        work_ms = 0
        if draw.random() < 0.05:
            grace_s = self._config.rotation_grace_ms // SECOND
            work_ms = draw.randrange(grace_s, 10 * grace_s) * SECOND
            self.tally["slow answers"] += 1
            if not self._pace.sends_outdated:
                return
        if draw.random() >= self._pace.lost:
            self._later(sent.answer_in + work_ms, lambda: self._take(sent, given))
