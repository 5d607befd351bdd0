"""The invariants I1 to I6 of sessions.md, held by a state machine over middleware and store.

Parallel requests are stepped at every read and write; responses are lost, late or repeated;
workers die between commit and response; a fail-over loses the last write; clocks differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from wsgi_sessions import (
    CookieCacheConfig,
    MultiSessionConfig,
    PasswordConfig,
    SessionConfig,
    SessionManager,
)
from wsgi_sessions.records import Change, SessionRecord

from .stepping import Flight, stepped_manager

# Covered by other tests: tracing would cost minutes.
pytestmark = pytest.mark.no_cover

SECOND = 1000
DAY = 86_400 * SECOND
GRACE = 60 * SECOND
UPDATE_AGE = DAY
SURE_FOR = 5 * DAY
"""A browser seen this recently must be let in: expires_in less two windows (one for the refresh
that was not due yet, one for a renewed cookie whose response was lost)."""
LONGEST_FLIGHT = 30 * SECOND
SKEWS = (0, 12 * SECOND)
LAG = 1 * SECOND
MAXIMUM_SESSIONS = 3


class SkewedClock:
    def __init__(self, machine: InvariantMachine, skew_ms: int) -> None:
        self.machine = machine
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        return self.machine.now_ms + self.skew_ms


@dataclass
class Jar:
    """A browser's cookies: name to value and end; and which session it believes to hold."""

    cookies: dict[str, tuple[str, int]] = field(default_factory=dict)
    session_id: str | None = None
    sure_until_ms: int = 0

    def header(self, now_ms: int) -> str:
        return "; ".join(f"{k}={v}" for k, (v, end_ms) in self.cookies.items() if now_ms < end_ms)

    def take(self, set_cookies: list[str], now_ms: int) -> None:
        for line in set_cookies:
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            ages = [int(a[8:]) for a in attributes if a.startswith("Max-Age=")]
            self.cookies[name] = (value, now_ms + ages[0] * SECOND if ages else 1 << 60)

    def generation(self) -> int:
        return int(self.cookies["__Host-session_token"][0].split(".")[2])


@dataclass
class Sent:
    """A request under way or answered, and what must come of it."""

    jar: Jar | None
    flight: Flight
    session_id: str
    generation: int
    started_live: bool
    must_be_accepted: bool
    must_be_refused: bool


class InvariantMachine(RuleBasedStateMachine):
    cookie_cache = False

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_700_000_000 * SECOND
        self.jars: list[Jar] = []
        self.sent: list[Sent] = []
        self.answered: list[Sent] = []
        self.ended_at_ms: dict[str, int] = {}
        self.used_by_thief: set[str] = set()
        self.confirmed: dict[str, dict[int, int]] = {}
        self.refreshes: dict[str, list[int]] = {}
        self.confirms: dict[str, list[int]] = {}
        self.last_write: tuple[SessionRecord, Change] | None = None
        self.stolen: list[tuple[str, str, int]] = []
        self.minted = 0
        self.patch = pytest.MonkeyPatch()
        # Ids break ties between sessions seen at the same instant, so they have to be repeatable.
        self.patch.setattr("wsgi_sessions.admission.mint_secret", self.mint_secret)

    def mint_secret(self) -> bytes:
        self.minted += 1
        return self.minted.to_bytes(24, "big")

    @initialize()
    def build(self) -> None:
        config = SessionConfig(
            secret="a secret for tests that is long enough",
            cookie_cache=CookieCacheConfig(enabled=self.cookie_cache),
            multi_session=MultiSessionConfig(maximum_sessions=MAXIMUM_SESSIONS),
            password=PasswordConfig(time_cost=1, memory_cost_kib=8, parallelism=1),
            api_path=None,
        )
        first = SessionManager(
            "sqlite:///:memory:", config=config, clock=SkewedClock(self, SKEWS[0])
        )
        second = SessionManager(first.database, config=config, clock=SkewedClock(self, SKEWS[1]))
        first.create_tables()
        self.managers = [first, second]
        self.apps = [stepped_manager(manager, self.note_landed) for manager in self.managers]
        self.user_id = first.sign_up_email(
            name="Ada", email="ada@example.org", password="correct horse"
        ).user.id
        first.revoke_all_sessions(self.user_id)
        self.jars = [Jar(), Jar()]
        for which in (0, 1):
            self.sign_in(which, 0, True, 0)

    def teardown(self) -> None:
        self.patch.undo()
        for sent in self.sent:
            sent.flight.kill()
        for manager in self.managers if hasattr(self, "managers") else ():
            manager.close()

    # What happens

    @rule(
        which=st.integers(0, 1),
        worker=st.integers(0, 1),
        is_new_device=st.booleans(),
        unless=st.integers(0, 4),
    )
    def sign_in(self, which: int, worker: int, is_new_device: bool, unless: int) -> None:
        if unless and self.jars[which].session_id not in self.ended_at_ms:
            return
        # Whoever signs in anew has no use for what is still under way.
        self.settle(self.jars[which])
        jar = Jar()
        replaced = None if is_new_device else self.jars[which].session_id
        manager = self.managers[worker]
        made = manager.sign_in(self.user_id, replaces=replaced)
        assert made.session is not None and made.token is not None
        line = manager.cookies.set_token(made.token, is_secure=True, remember=True)
        jar.take([line[1]], self.now_ms)
        jar.session_id = made.session.id
        jar.sure_until_ms = self.now_ms + SURE_FOR
        self.jars[which] = jar
        self.note_ended()

    @precondition(lambda self: len(self.sent) < 4)
    @rule(which=st.integers(0, 1), worker=st.integers(0, 1), steps=st.integers(0, 6))
    def send(self, which: int, worker: int, steps: int) -> None:
        jar = self.jars[which]
        header = jar.header(self.now_ms)
        if jar.session_id is None or "session_token" not in header:
            return
        self.dispatch(jar, header, jar.session_id, jar.generation(), worker, steps)

    @rule(which=st.integers(0, 1), worker=st.integers(0, 1), days=st.integers(0, 2))
    def visit(self, which: int, worker: int, days: int) -> None:
        """The usual case: a request that is answered at once, perhaps after some days."""
        if days:
            self.advance(days * 86_400 + 1)
        jar = self.jars[which]
        header = jar.header(self.now_ms)
        if jar.session_id is None or "session_token" not in header:
            return
        sent = self.dispatch(jar, header, jar.session_id, jar.generation(), worker, 1_000)
        jar.take(sent.flight.set_cookies, self.now_ms)
        if sent in self.answered:
            self.answered.remove(sent)

    @rule(which=st.integers(0, 1), worker=st.integers(0, 1), lasting=st.integers(0, 29))
    def straggle(self, which: int, worker: int, lasting: int) -> None:
        """A request is on its way while the browser's next ones rotate the token."""
        self.advance(86_401)
        self.send(which, worker, 0)
        self.visit(which, 1 - worker, 0)
        self.visit(which, 1 - worker, 0)
        self.advance(lasting)

    @rule(which=st.integers(0, 1), worker=st.integers(0, 1))
    def stay_for_a_week(self, which: int, worker: int) -> None:
        for _ in range(8):
            self.visit(which, worker, 1)

    @rule(which=st.integers(0, 1), worker=st.integers(0, 1))
    def revoke_elsewhere(self, which: int, worker: int) -> None:
        """A session with a cached copy is ended by another process, and comes back."""
        self.visit(which, worker, 0)
        self.visit(which, worker, 0)
        self.revoke(which, 1 - worker, 0)
        self.advance(1)
        self.visit(which, worker, 0)

    @rule(which=st.integers(0, 1), worker=st.integers(0, 1), seconds=st.sampled_from([20, 100]))
    def steal_and_come_back(self, which: int, worker: int, seconds: int) -> None:
        """A thief waits until the browser has moved on."""
        known = len(self.stolen)
        self.steal(which)
        self.visit(which, worker, 1)
        self.visit(which, worker, 0)
        self.advance(seconds)
        if len(self.stolen) > known:
            self.present_stolen(self.stolen[-1], worker)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), steps=st.integers(1, 4))
    def step(self, data: Any, steps: int) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        for _ in range(steps):
            sent.flight.step()
        self.collect()

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def kill_worker(self, data: Any) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        sent.flight.kill()
        self.sent.remove(sent)
        self.note_ended()

    @precondition(lambda self: self.answered)
    @rule(data=st.data(), is_repeated=st.booleans())
    def deliver(self, data: Any, is_repeated: bool) -> None:
        sent = data.draw(st.sampled_from(self.answered))
        if sent.jar is not None and any(sent.jar is jar for jar in self.jars):
            sent.jar.take(sent.flight.set_cookies, self.now_ms)
        if not is_repeated:
            self.answered.remove(sent)

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def lose(self, data: Any) -> None:
        self.answered.remove(data.draw(st.sampled_from(self.answered)))

    @rule(
        seconds=st.sampled_from([1, 5, 20, 61, 100, 86_400 - 70, 86_400, 86_401, 3 * 86_400]),
    )
    def advance(self, seconds: int) -> None:
        later_ms = self.now_ms + seconds * SECOND
        for sent in [s for s in self.sent if later_ms - s.flight.sent_at_ms > LONGEST_FLIGHT]:
            sent.flight.finish()
        self.collect()
        self.answered = [
            s for s in self.answered if later_ms - s.flight.sent_at_ms <= LONGEST_FLIGHT
        ]
        self.now_ms = later_ms

    @precondition(lambda self: self.last_write is not None)
    @rule()
    def fail_over(self) -> None:
        """The database comes back without its last write."""
        judged, change = self.last_write  # type: ignore[misc]
        self.last_write = None
        store = self.managers[0].store
        now = change._replace(
            generation=judged.generation,
            confirmed_at_ms=judged.confirmed_at_ms,
            updated_at_ms=judged.updated_at_ms,
            last_seen_at_ms=judged.last_seen_at_ms,
            expires_at_ms=judged.expires_at_ms,
        )
        written = judged._replace(
            generation=change.generation,
            last_seen_at_ms=change.last_seen_at_ms,
            expires_at_ms=change.expires_at_ms,
        )
        if store.apply_change(written, now):
            self.refreshes[judged.id] = []
            self.confirms[judged.id] = []
            if change.expires_at_ms != judged.expires_at_ms:
                for jar in self.jars:
                    if jar.session_id == judged.id:
                        jar.sure_until_ms = judged.expires_at_ms
            known = self.confirmed.get(judged.id, {})
            if change.generation != judged.generation:
                known.pop(change.generation, None)

    @rule(which=st.integers(0, 1), worker=st.integers(0, 1), unless=st.integers(0, 3))
    def revoke(self, which: int, worker: int, unless: int) -> None:
        session_id = self.jars[which].session_id
        if session_id is not None and not unless:
            self.managers[worker].revoke_session(session_id)
            self.note_ended()

    @rule(which=st.integers(0, 1))
    def steal(self, which: int) -> None:
        jar = self.jars[which]
        header = jar.header(self.now_ms)
        if jar.session_id is not None and "session_token" in header:
            self.stolen.append((header, jar.session_id, jar.generation()))

    @precondition(lambda self: self.stolen)
    @rule(data=st.data(), worker=st.integers(0, 1))
    def thief(self, data: Any, worker: int) -> None:
        self.present_stolen(data.draw(st.sampled_from(self.stolen)), worker)

    def present_stolen(self, stolen: tuple[str, str, int], worker: int) -> None:
        header, session_id, generation = stolen
        self.used_by_thief.add(session_id)
        later = {g: at for g, at in self.confirmed.get(session_id, {}).items() if g > generation}
        is_stale = any(at + GRACE + max(SKEWS) <= self.now_ms for at in later.values())
        sent = self.dispatch(None, header, session_id, generation, worker, 1_000)
        if is_stale:
            assert sent.flight.answer.get("session") is None, "I2: a stolen token was taken"
            assert session_id in self.ended_at_ms, "I2: a replay did not end the session"

    # Bookkeeping

    def dispatch(
        self,
        jar: Jar | None,
        header: str,
        session_id: str,
        generation: int,
        worker: int,
        steps: int,
    ) -> Sent:
        ended_at_ms = self.ended_at_ms.get(session_id)
        lag_ms = LAG if self.cookie_cache else 0
        sent = Sent(
            jar,
            Flight(self.apps[worker], header, sent_at_ms=self.now_ms),
            session_id,
            generation,
            started_live=ended_at_ms is None,
            must_be_accepted=(
                jar is not None
                and ended_at_ms is None
                and session_id not in self.used_by_thief
                and self.now_ms + max(SKEWS) < jar.sure_until_ms
            ),
            must_be_refused=ended_at_ms is not None and self.now_ms >= ended_at_ms + lag_ms,
        )
        self.sent.append(sent)
        for _ in range(steps):
            sent.flight.step()
        self.collect()
        return sent

    def settle(self, jar: Jar) -> None:
        for sent in [s for s in self.sent if s.jar is jar]:
            sent.flight.finish()
        self.collect()

    def collect(self) -> None:
        """Check what has been answered."""
        self.note_ended()
        for sent in [s for s in self.sent if s.flight.is_over]:
            self.sent.remove(sent)
            answer = sent.flight.answer
            assert sent.flight.status == "200 OK", sent.flight.status
            accepted = answer["session"] is not None
            if sent.must_be_refused:
                assert not accepted, "I3/I6: an ended session answered"
            ended_meanwhile = sent.session_id in self.ended_at_ms
            compromised = sent.session_id in self.used_by_thief
            if sent.must_be_accepted and not ended_meanwhile and not compromised:
                assert accepted, f"I1: an honest browser was signed out ({answer['reason']})"
            if sent.jar is not None:
                self.answered.append(sent)
                if accepted and sent.flight.sent_at_ms + SURE_FOR > sent.jar.sure_until_ms:
                    sent.jar.sure_until_ms = sent.flight.sent_at_ms + SURE_FOR

    def note_landed(self, judged: SessionRecord, change: Change) -> None:
        self.last_write = (judged, change)
        if change.generation > judged.generation:
            self.confirms.setdefault(judged.id, []).append(self.now_ms)
            self.confirmed.setdefault(judged.id, {})[change.generation] = self.now_ms
        if change.expires_at_ms != judged.expires_at_ms:
            self.refreshes.setdefault(judged.id, []).append(self.now_ms)

    def note_ended(self) -> None:
        for session_id in {jar.session_id for jar in self.jars} | {s[1] for s in self.stolen}:
            if session_id is not None and session_id not in self.ended_at_ms:
                found = self.managers[0].store.find_session(session_id)
                if found is None:
                    # Cleaned up, keep_ended after its end.
                    self.ended_at_ms[session_id] = self.now_ms
                elif found[0].ended_at_ms is not None:
                    self.ended_at_ms[session_id] = self.now_ms
                    allowed = {"signed_out", "revoked", "evicted", "expired"}
                    if session_id in self.used_by_thief:
                        allowed.add("replayed")
                    elif any(
                        jar.session_id == session_id
                        and self.now_ms + max(SKEWS) < jar.sure_until_ms
                        for jar in self.jars
                    ):
                        allowed.remove("expired")
                    assert found[0].end_reason in allowed, f"I1: ended as {found[0].end_reason}"

    # What must hold

    @invariant()
    def ended_sessions_stay_ended(self) -> None:
        for session_id in self.ended_at_ms:
            found = self.managers[0].store.find_session(session_id)
            assert found is None or found[0].ended_at_ms is not None, "I3"

    @invariant()
    def writes_are_spared(self) -> None:
        for kind, written in (("refresh", self.refreshes), ("confirm", self.confirms)):
            for instants in written.values():
                for earlier, later in pairwise(instants):
                    apart_ms = later - earlier
                    assert apart_ms >= UPDATE_AGE - GRACE - max(SKEWS), f"I4: {kind} twice"

    @invariant()
    def live_sessions_are_bounded(self) -> None:
        if hasattr(self, "managers"):
            live = self.managers[0].list_sessions(self.user_id)
            assert len(live) <= MAXIMUM_SESSIONS, "I5"


class CachedInvariantMachine(InvariantMachine):
    cookie_cache = True


@pytest.mark.parametrize("machine", [InvariantMachine, CachedInvariantMachine])
def test_invariants_hold_in_every_interleaving(machine: type[InvariantMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=120,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
