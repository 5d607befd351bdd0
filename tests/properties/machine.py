"""The invariants I1 to I6 of sessions.md, as a state machine over middleware and store.

Parallel requests are stepped at every read and write; responses are lost, late, slow or
repeated; uploads take minutes; browsers crash, and workers die between commit and response; a
fail-over loses the last write; clocks differ; a thief keeps all he is given.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wsgi_sessions import (
    CookieCacheConfig,
    MultiSessionConfig,
    PasswordConfig,
    SessionConfig,
    SessionManager,
)
from wsgi_sessions.records import Change, SessionRecord
from wsgi_sessions_testing import FakeClock

from .jars import Jar, Sent, parsed
from .ledger import GRACE, SKEWS, Ledger, Theft
from .stepping import Flight, stepped_manager

SECOND = 1000
DAY = 86_400 * SECOND
SURE_FOR = 5 * DAY
"""A browser seen this recently must be let in: expires_in less two windows (one for the refresh
that was not due yet, one for a renewed cookie whose response was lost)."""
LAG = 1 * SECOND
COPY_AGE = 300 * SECOND
MAXIMUM_SESSIONS = 3
EITHER = st.integers(0, 1)


class InvariantMachine(RuleBasedStateMachine):
    cookie_cache = False

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.jars: list[Jar] = []
        self.sent: list[Sent] = []
        self.answered: list[Sent] = []
        self.ended_at_ms: dict[str, int] = {}
        self.used_by_thief: set[str] = set()
        self.ledger = Ledger()
        self.minted = 0
        self.patch = pytest.MonkeyPatch()
        # Ids break ties between sessions seen at the same instant, so they have to be repeatable.
        self.patch.setattr("wsgi_sessions.sessions.creation.mint_secret", self.mint_secret)

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms()

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
        clocks = [self.clock.skewed(skew_ms / SECOND) for skew_ms in SKEWS]
        first = SessionManager("sqlite:///:memory:", config=config, clock=clocks[0])
        second = SessionManager(first.database, config=config, clock=clocks[1])
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

    @rule(which=EITHER, worker=EITHER, is_new_device=st.booleans(), unless=st.integers(0, 4))
    def sign_in(self, which: int, worker: int, is_new_device: bool, unless: int) -> None:
        if unless and self.jars[which].session_id not in self.ended_at_ms:
            return
        # Whoever signs in anew has no use for what is still under way.
        self.finish_all(self.jars[which])
        jar = Jar()
        replaced = None if is_new_device else self.jars[which].session_id
        manager = self.managers[worker]
        made = manager.sign_in(self.user_id, replaces=replaced)
        assert made.session is not None and made.token is not None
        line = manager.parts.cookies.set_token(made.token, is_secure=True, max_age_s=7 * 86_400)
        jar.take([line[1]], self.now_ms)
        jar.flushed_at_ms = 0
        jar.session_id = made.session.id
        jar.sure_until_ms = self.now_ms + SURE_FOR
        self.jars[which] = jar
        self.note_ended()

    @precondition(lambda self: len(self.sent) < 4)
    @rule(
        which=EITHER,
        worker=EITHER,
        steps=st.integers(0, 6),
        kind=st.sampled_from(["", "", "upload", "slow"]),
    )
    def send(self, which: int, worker: int, steps: int, kind: str) -> None:
        self.send_from(which, worker, steps, kind)

    def send_from(self, which: int, worker: int, steps: int, kind: str = "") -> Sent | None:
        jar = self.jars[which]
        header = jar.header(self.now_ms)
        if jar.session_id is None or "session_token" not in header:
            return None
        return self.dispatch(
            jar, header, jar.session_id, jar.generation(), worker, steps, kind=kind
        )

    @rule(which=EITHER, worker=EITHER, days=st.integers(0, 2))
    def visit(self, which: int, worker: int, days: int) -> None:
        """The usual case: a request that is answered at once, perhaps after some days."""
        if days:
            self.advance(days * 86_400 + 1)
        sent = self.send_from(which, worker, 1_000)
        if sent is None:
            return
        assert sent.jar is not None
        sent.jar.take(sent.flight.set_cookies, self.now_ms)
        if sent in self.answered:
            self.answered.remove(sent)

    @rule(
        which=EITHER,
        worker=EITHER,
        kind=st.sampled_from(["", "upload", "slow"]),
        lasting=st.sampled_from([0, 20, 29, 61, 200, 469]),
    )
    def straggle(self, which: int, worker: int, kind: str, lasting: int) -> None:
        """A request is on its way while the browser's next ones rotate the token."""
        self.advance(86_401)
        sent = self.send_from(which, worker, 0, kind)
        if sent is not None and kind == "slow":
            self.go_on(sent, 1_000, to_work=True)
        self.visit(which, 1 - worker, 0)
        self.visit(which, 1 - worker, 0)
        self.advance(lasting)
        self.visit(which, worker, 0)
        jar = self.jars[which]
        self.finish_all(jar)
        for sent in [s for s in self.answered if s.jar is jar]:
            jar.take(sent.flight.set_cookies, self.now_ms)
        self.visit(which, 1 - worker, 0)

    @rule(
        which=EITHER,
        worker=EITHER,
        order=st.permutations(range(3)),
        later=st.sampled_from([0, 20, 61, 181, 200]),
    )
    def open_tabs(self, which: int, worker: int, order: list[int], later: int) -> None:
        """Parallel requests are offered a token each; the last answer is what is kept."""
        self.advance(86_401)
        tabs = [self.send_from(which, (worker + n) % 2, 1_000) for n in range(3)]
        for n in order:
            sent = tabs[n]
            if sent is None or sent not in self.answered or sent.jar is None:
                continue
            sent.jar.take(sent.flight.set_cookies, self.now_ms)
            if n != order[-1]:
                self.visit(which, worker, 0)
        self.advance(later)
        self.visit(which, 1 - worker, 0)

    @rule(
        which=EITHER,
        worker=EITHER,
        after=st.integers(0, 29),
        back=st.sampled_from([0, 20, 61, 181, 700]),
        later=st.sampled_from([0, 61, 181]),
    )
    def rotate_and_crash(self, which: int, worker: int, after: int, back: int, later: int) -> None:
        """A browser is killed before its next token is on disk, and comes back."""
        self.visit(which, worker, 1)
        self.visit(which, 1 - worker, 0)
        self.advance(after)
        self.crash(which)
        self.advance(back)
        for _ in range(3):
            self.visit(which, worker, 0)
        self.advance(later)
        self.visit(which, 1 - worker, 0)

    @rule(which=EITHER)
    def crash(self, which: int) -> None:
        jar = self.jars[which]
        if jar.session_id is None or not jar.crash(self.now_ms):
            return
        # What was sent arrives, but no more of a body; the answers reach nobody.
        for sent in [s for s in self.sent if s.jar is jar]:
            sent.is_orphan = True
            if sent.flight.is_upload and not sent.flight.has_begun:
                self.sent.remove(sent)
        self.answered = [sent for sent in self.answered if sent.jar is not jar]

    @rule(which=EITHER, worker=EITHER)
    def stay_for_a_week(self, which: int, worker: int) -> None:
        for _ in range(8):
            self.visit(which, worker, 1)

    @rule(which=EITHER, worker=EITHER)
    def revoke_elsewhere(self, which: int, worker: int) -> None:
        """A session with a cached copy is ended by another process, and comes back."""
        self.visit(which, worker, 0)
        self.visit(which, worker, 0)
        self.revoke(which, 1 - worker, 0)
        self.advance(1)
        self.visit(which, worker, 0)

    @rule(
        which=EITHER,
        worker=EITHER,
        first=st.sampled_from(["thief", "owner"]),
        seconds=st.sampled_from([20, 100, 200, 700]),
        days=EITHER,
    )
    def steal_and_come_back(
        self, which: int, worker: int, first: str, seconds: int, days: int
    ) -> None:
        """A thief is there when the token rotates, and comes back with all that he was given."""
        self.steal(which)
        session_id = self.jars[which].session_id
        if not self.ledger.thefts or self.ledger.thefts[-1].session_id != session_id:
            return
        theft = self.ledger.thefts[-1]
        self.advance(86_401)
        if first == "thief":
            self.present(theft, worker, -1)
        self.visit(which, worker, 0)
        self.present(theft, worker, -1)
        self.visit(which, worker, 0)
        self.advance(seconds)
        self.visit(which, worker, days)
        self.visit(which, worker, 0)
        self.advance(61)
        for position in range(len(theft.loot)):
            self.present(theft, worker, -1 - position)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), steps=st.integers(1, 4))
    def step(self, data: Any, steps: int) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        self.go_on(sent, steps)
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
            assert not sent.is_orphan
            sent.jar.take(sent.flight.set_cookies, self.now_ms)
        if not is_repeated:
            self.answered.remove(sent)

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def lose(self, data: Any) -> None:
        self.answered.remove(data.draw(st.sampled_from(self.answered)))

    @rule(
        seconds=st.sampled_from(
            [1, 5, 20, 61, 100, 181, 700, 86_400 - 70, 86_400, 86_401, 3 * 86_400]
        )
    )
    def advance(self, seconds: int) -> None:
        later_ms = self.now_ms + seconds * SECOND
        for sent in [s for s in self.sent if not s.may_last(later_ms)]:
            self.go_on(sent, 1_000)
        self.collect()
        self.answered = [s for s in self.answered if s.may_last(later_ms)]
        self.clock.advance(seconds=seconds)

    @precondition(lambda self: self.ledger.last_write is not None)
    @rule()
    def fail_over(self) -> None:
        """The database comes back without its last write."""
        judged, change = self.ledger.last_write  # type: ignore[misc]
        names = [name for name in change._fields if name in judged._fields]
        written = judged._replace(**{name: getattr(change, name) for name in names})
        back = change._replace(may_fail=False, **{name: getattr(judged, name) for name in names})
        if self.managers[0].parts.store.sessions.apply(written, back):
            self.ledger.note_lost(judged.id)
            if change.expires_at_ms != judged.expires_at_ms:
                for jar in self.jars:
                    if jar.session_id == judged.id:
                        jar.sure_until_ms = judged.expires_at_ms
        else:
            self.ledger.last_write = None

    @rule(which=EITHER, worker=EITHER, unless=st.integers(0, 3))
    def revoke(self, which: int, worker: int, unless: int) -> None:
        session_id = self.jars[which].session_id
        if session_id is not None and not unless:
            self.managers[worker].revoke_session(session_id)
            self.note_ended()

    @rule(which=EITHER)
    def steal(self, which: int) -> None:
        jar = self.jars[which]
        if jar.session_id is not None and "session_token" in jar.header(self.now_ms):
            theft = Theft(jar.session_id, jar.generation())
            theft.loot.append({name: value for name, (value, _) in jar.cookies.items()})
            self.ledger.thefts.append(theft)

    @precondition(lambda self: self.ledger.thefts)
    @rule(data=st.data(), worker=EITHER, position=st.integers(-3, 5))
    def thief(self, data: Any, worker: int, position: int) -> None:
        self.present(data.draw(st.sampled_from(self.ledger.thefts)), worker, position)

    def present(self, theft: Theft, worker: int, position: int) -> None:
        """The thief asks with one of the jars that he had, and keeps what he is given."""
        self.used_by_thief.add(theft.session_id)
        jar = theft.loot[position % len(theft.loot)]
        header = "; ".join(f"{name}={value}" for name, value in jar.items())
        generation = int(jar["__Host-session_token"].split(".")[2])
        is_worthless = theft.is_worthless
        was_over = theft.session_id in self.ended_at_ms
        sent = self.dispatch(None, header, theft.session_id, generation, worker, 1_000)
        accepted = sent.flight.answer.get("session") is not None
        given = {name: value for name, value, _ in map(parsed, sent.flight.set_cookies)}
        if accepted and given:
            theft.loot.append({**jar, **given})
        if not is_worthless or was_over:
            return
        if accepted and not sent.flight.has_asked_database:
            story = self.ledger.story(theft.session_id)
            until_ms = story.confirmed_at_ms + COPY_AGE - GRACE + max(SKEWS)
            assert self.now_ms <= until_ms, "I2: a stolen copy lives too long"
            return
        assert not accepted, "I2: a thief was let in after the owner came"
        assert theft.session_id in self.ended_at_ms, "I2: a replay did not end the session"

    # Bookkeeping

    def dispatch(
        self,
        jar: Jar | None,
        header: str,
        session_id: str,
        generation: int,
        worker: int,
        steps: int,
        *,
        kind: str = "",
    ) -> Sent:
        ended_at_ms = self.ended_at_ms.get(session_id)
        lag_ms = LAG if self.cookie_cache else 0
        sent = Sent(
            jar,
            Flight(
                self.apps[worker],
                header,
                sent_at_ms=self.now_ms,
                is_upload=kind == "upload",
                is_slow=kind == "slow",
            ),
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
        self.go_on(sent, steps)
        self.collect()
        return sent

    def go_on(self, sent: Sent, steps: int, *, to_work: bool = False) -> None:
        flight = sent.flight
        for _ in range(steps):
            if flight.is_over or (to_work and flight.is_working):
                break
            if sent.has_begun_at_ms is None:
                sent.has_begun_at_ms = self.now_ms
            flight.step()
            sent.works_since_ms = self.now_ms if flight.is_working else None

    def finish_all(self, jar: Jar) -> None:
        for sent in [s for s in self.sent if s.jar is jar]:
            self.go_on(sent, 1_000)
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
                if not sent.is_orphan:
                    self.answered.append(sent)
                if accepted and sent.flight.has_asked_database:
                    assert sent.has_begun_at_ms is not None
                    self.ledger.note_owner(
                        sent.session_id,
                        sent.generation,
                        started_at_ms=sent.has_begun_at_ms,
                        is_upload=sent.flight.is_upload,
                    )
                if accepted and sent.flight.sent_at_ms + SURE_FOR > sent.jar.sure_until_ms:
                    sent.jar.sure_until_ms = sent.flight.sent_at_ms + SURE_FOR

    def note_landed(self, judged: SessionRecord, change: Change) -> None:
        self.ledger.note_landed(judged, change, now_ms=self.now_ms)

    def note_ended(self) -> None:
        for session_id in {jar.session_id for jar in self.jars} | {
            t.session_id for t in self.ledger.thefts
        }:
            if session_id is not None and session_id not in self.ended_at_ms:
                found = self.managers[0].parts.store.sessions.find(session_id)
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
            found = self.managers[0].parts.store.sessions.find(session_id)
            assert found is None or found[0].ended_at_ms is not None, "I3"

    @invariant()
    def writes_are_spared(self) -> None:
        self.ledger.check_writes()

    @invariant()
    def live_sessions_are_bounded(self) -> None:
        if hasattr(self, "managers"):
            live = self.managers[0].list_sessions(self.user_id)
            assert len(live) <= MAXIMUM_SESSIONS, "I5"


class CachedInvariantMachine(InvariantMachine):
    cookie_cache = True
