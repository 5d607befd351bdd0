"""``SessionMachine``: Hypothesis plays browsers, workers and a thief against a wrapped app.

Must not believe the product: what has to come of each request is worked out by the oracle.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wsgi_sessions.errors import SessionLimitReached
from wsgi_sessions.records import PresentedToken

from .bench import Bench, config_for_tests
from .browser import Browser
from .oracle import Expected, ReferenceSession, Standing
from .schedules import Schedules
from .seam import SessionReads, unwatched
from .settings import with_changes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["SessionMachine"]

DEVICES = ("Firefox on Linux", "Safari on iPhone", "Chrome on Windows")
PEOPLE = ("ada@example.org", "bob@example.org")
SKEW_SECONDS = 2
LATE_SECONDS = 20
"""A response that has not arrived by then never will; less than any grace in use."""


class SessionMachine(RuleBasedStateMachine):
    """A state machine that knows how sessions behave; point it at your application:

    ``class MyMachine(SessionMachine):`` with ``def make_app(self): return create_app()``, and
    ``TestSessions = MyMachine.TestCase`` below it. ``settings`` changes settings of the app's
    config; ``page`` is a page that anybody may open.
    """

    settings: ClassVar[dict[str, Any]] = {}
    page: ClassVar[str] = "/"

    def make_app(self) -> WSGIApplication:
        """Return the application to test, wrapped in ``SessionMiddleware`` or not."""
        raise NotImplementedError(
            f"{type(self).__name__} needs your application; write\n"
            "    def make_app(self):\n        return create_app()"
        )

    def __init__(self) -> None:
        super().__init__()
        self._bench: Bench | None = None
        self.sessions: dict[str, ReferenceSession] = {}
        self.loot: list[Browser] = []
        self.held_since_ms: int | None = None

    @initialize()
    def open(self) -> None:
        app = self.make_app()
        config = with_changes(config_for_tests(app), dict(self.settings))
        self._bench = Bench(app, config=config)
        bench = self.bench = self._bench.__enter__()
        self.config, self.clock = bench.manager.config, bench.clock
        self.app = app
        self.workers = bench.workers(2, skew=SKEW_SECONDS)
        self.reads = SessionReads()
        for worker in self.workers:
            store: Any = worker.manager.store
            store.watchers.append(self.reads)
        self.browsers = [bench.new_browser(name) for name in DEVICES]
        self.data: dict[str, dict[str, int]] = {}

    def teardown(self) -> None:
        if self._bench is not None:
            self._bench.__exit__(None, None, None)

    # Signing in and out

    @rule(which=st.integers(0, 2), who=st.sampled_from(PEOPLE), remember=st.integers(0, 3))
    def sign_in(self, which: int, who: str, remember: int) -> None:
        self._settle()
        browser = self._seat(which, 0)
        before = self._held(browser)
        user = self.bench.factories.find_or_make_user(who)
        live = [one for one in self.sessions.values() if one.user_id == user.id]
        held_id = None if before is None else before.session_id
        live = [one for one in live if self._is_live(one) and one.id != held_id]
        now_ms = self.clock.now_ms()
        if before is not None and before.session_id in self.sessions:
            self._apply(before, self._expect(browser, 0), 0)
        try:
            made = browser.sign_in(user, remember_me=remember > 0)
        except SessionLimitReached:
            most = self.config.multi_session.maximum_sessions
            assert most is not None
            assert len(live) >= most, self._told("a sign-in was rejected")
            return
        if before is not None and before.session_id in self.sessions:
            assert made.id != before.session_id, self._told("a sign-in kept the session id")
            self.sessions[before.session_id].end("signed_out", now_ms)
        self.sessions[made.id] = ReferenceSession(
            made.id, user.id, self.config, now_ms, is_remembered=remember > 0
        )
        self.data[made.id] = {}
        self._make_room(live, now_ms)
        self._check_cookie(browser)

    def _make_room(self, live: list[ReferenceSession], now_ms: int) -> None:
        """Find out who had to go for a sign-in; of several seen at one instant it may be any."""
        multi = self.config.multi_session
        ended = [one for one in live if self._row(one.id).ended_at_ms is not None]
        most = 1 if not multi.enabled else multi.maximum_sessions
        surplus = 0 if most is None else max(0, len(live) + 1 - most)
        assert len(ended) == surplus, self._told(
            f"{len(live)} sessions were live before a sign-in and {len(ended)} had to go, "
            f"where {most} is the most"
        )
        for one in ended:
            kept = [other for other in live if other not in ended]
            seen = one.tell().seen_at_ms
            assert not multi.enabled or all(o.tell().seen_at_ms >= seen for o in kept), self._told(
                "a session went that was seen later than one that stayed"
            )
            one.end(str(self._row(one.id).end_reason), now_ms)

    @rule(which=st.integers(0, 2))
    def sign_out(self, which: int) -> None:
        browser = self._seat(which, 0)
        held = self._held(browser)
        copy = browser.fork()
        expected = self._expect(browser, 0)
        browser.sign_out()
        assert browser.session_token is None, self._told("a sign-out left the cookie")
        if held is not None and held.session_id in self.sessions:
            self._apply(held, expected, 0)
            self.sessions[held.session_id].end("signed_out", self.clock.now_ms())
            assert copy.session is None, self._told("a sign-out left the session")

    @rule(whose=st.integers(0, 2))
    def revoke(self, whose: int) -> None:
        """End another device's session, as the page of one's devices does."""
        victim = self._held(self.browsers[whose])
        session = None if victim is None else self.sessions.get(victim.session_id)
        if victim is None or session is None or not self._is_live(session):
            return
        other = self.bench.manager.sibling()
        other.revoke_session(victim.session_id)
        session.end("revoked", self.clock.now_ms())

    # Requests

    @rule(which=st.integers(0, 2), worker=st.integers(0, 1))
    def look(self, which: int, worker: int) -> None:
        """A request, and whether the app was given the session it must be given."""
        self._look(self.browsers[which], worker)

    @rule(
        which=st.integers(0, 2),
        worker=st.integers(0, 1),
        fate=st.sampled_from(["arrives", "lost", "delayed", "repeated"]),
    )
    def open_page(self, which: int, worker: int, fate: str) -> None:
        """A page of the app's own, on a line that may be bad."""
        browser = self._seat(which, worker)
        held, expected = self._held(browser), self._expect(browser, worker)
        before = browser.session_token
        network = browser.network
        self.reads.count = 0
        if fate == "lost":
            with network.losing_responses(1):
                answer = browser.get(self.page)
        elif fate == "delayed":
            with network.delaying_responses(1):
                answer = browser.get(self.page)
        elif fate == "repeated":
            with network.repeating_responses(1):
                answer = browser.get(self.page)
        else:
            answer = browser.get(self.page)
        if fate in ("delayed", "repeated") and self.held_since_ms is None:
            self.held_since_ms = self.clock.now_ms()
        assert answer.status_int < 500, self._told(f"the page was answered {answer.status}")
        if held is None or held.session_id not in self.sessions:
            return
        was_read = self.reads.count > 0
        if was_read:
            self._apply(held, expected, worker)
        if fate in ("arrives", "repeated") and was_read:
            self._check_token(browser, before, expected)
        self._check_cookie(browser)

    @rule(newest_first=st.booleans())
    def deliver(self, newest_first: bool) -> None:
        """What was on its way arrives, in order or not."""
        self.bench.network.deliver(newest_first=newest_first)
        self.held_since_ms = None

    @rule(which=st.integers(0, 2), worker=st.integers(0, 1))
    def rotate(self, which: int, worker: int) -> None:
        """A day passes; the token is offered and confirmed."""
        self._advance(self.config.update_age_ms)
        self._look(self.browsers[which], worker)
        self._look(self.browsers[which], worker)

    @rule(which=st.integers(0, 2), worker=st.integers(0, 1))
    def come_every_day(self, which: int, worker: int) -> None:
        """Beyond the first expiry, in use all the time."""
        for _ in range(self.config.expires_in_ms // self.config.update_age_ms + 1):
            self._advance(self.config.update_age_ms)
            self._look(self.browsers[which], worker)

    # A thief

    @rule(which=st.integers(0, 2))
    def steal(self, which: int) -> None:
        """Copy a jar."""
        if self._held(self.browsers[which]) is not None and len(self.loot) < 4:
            self.loot.append(self.browsers[which].fork())

    @precondition(lambda self: self.loot)
    @rule(data=st.data(), worker=st.integers(0, 1))
    def use_loot(self, data: st.DataObject, worker: int) -> None:
        """A stolen jar is used, wherever its token stands by now."""
        self._look(data.draw(st.sampled_from(self.loot)), worker)

    @rule(which=st.integers(0, 2), worker=st.integers(0, 1), late=st.sampled_from([-1, 0, 1]))
    def steal_before_rotation(self, which: int, worker: int, late: int) -> None:
        """A jar stolen yesterday is used about when the grace ends."""
        thief = self.browsers[which].fork()
        self.rotate(which, worker)
        self._advance(self.config.rotation_grace_ms + late)
        self._look(thief, worker)

    # Time

    @rule(
        setting=st.sampled_from(
            [
                *["expires_in", "update_age", "rotation_grace", "idle_timeout", "touch_interval"],
                *["absolute_timeout", "short_expires_in", "revocation_lag"],
            ]
        ),
        off_by=st.sampled_from([-1, 0, 0, 1]),
    )
    def wait(self, setting: str, off_by: int) -> None:
        """Time passes, to the very edge of a setting."""
        milliseconds = getattr(self.config, f"{setting}_ms")
        self._advance((milliseconds or 1000) + off_by)

    @rule(which=st.integers(0, 2), off_by=st.sampled_from([-1, 0]), worker=st.integers(0, 1))
    def wait_for_the_end(self, which: int, off_by: int, worker: int) -> None:
        """Time passes up to the very end of a session."""
        held = self._held(self.browsers[which])
        session = None if held is None else self.sessions.get(held.session_id)
        if session is None or not self._is_live(session):
            return
        skew_ms = worker * SKEW_SECONDS * 1000
        rest_ms = session.tell().expires_at_ms - self.clock.now_ms() - skew_ms + off_by
        if rest_ms > 0:
            self._advance(rest_ms)
        self._look(self.browsers[which], worker)

    @rule(which=st.integers(0, 2))
    def restart(self, which: int) -> None:
        """A browser is closed and opened."""
        self.browsers[which].restart()

    # In parallel

    @rule(
        which=st.integers(0, 2),
        kind=st.sampled_from(["look", "revoke", "data"]),
        is_due=st.booleans(),
        order=st.lists(st.integers(0, 1), max_size=10),
    )
    def in_parallel(self, which: int, kind: str, is_due: bool, order: list[int]) -> None:
        """Two requests at once, a step of the one and a step of the other."""
        if is_due:
            self._advance(self.config.update_age_ms)
        browser = self._seat(which, 0)
        held = self._held(browser)
        session = None if held is None else self.sessions.get(held.session_id)
        if held is None or session is None or not self._is_live(session):
            return
        if not self._expect(browser, 0).is_accepted:
            return
        row = self._row(held.session_id)

        def look() -> Any:
            return browser._with_handle("look", lambda handle: handle.session)

        def put(key: str) -> Any:
            def act(handle: Any) -> None:
                handle.session.data[key] = self.data[held.session_id].get(key, 0) + 1

            return lambda: browser._with_handle(f"put {key}", act)

        def revoke() -> bool:
            return self.workers[1].manager.revoke_session(held.session_id)

        requests = {"look": [look, look], "revoke": [look, revoke], "data": [put("a"), put("b")]}
        Schedules(self.app).run(*requests[kind], order=order)
        after = self._row(held.session_id)
        if kind == "revoke":
            assert after.ended_at_ms is not None, self._told("a revoked session came back")
            session.end("revoked", self.clock.now_ms())
        if kind == "data":
            for key in ("a", "b"):
                self.data[held.session_id][key] = self.data[held.session_id].get(key, 0) + 1
        if kind != "revoke":
            assert after.ended_at_ms is None, self._told("parallel requests ended a session")
        assert after.generation >= row.generation, self._told("a generation was taken back")
        assert after.expires_at_ms >= row.expires_at_ms, self._told("a session was shortened")
        if session.end_reason is None:
            session.begin_again(
                Standing(
                    after.generation,
                    after.confirmed_at_ms,
                    after.expires_at_ms,
                    after.last_seen_at_ms,
                )
            )
        self._check_cookie(browser)

    # What must hold

    @invariant()
    def rows_are_as_the_past_says(self) -> None:
        if self._bench is None:
            return
        for session in self.sessions.values():
            found = unwatched(self.bench.manager.store).find_session(session.id)
            if found is None:
                assert session.end_reason or not self._is_live(session), self._told("a row is gone")
                continue
            row = found[0]
            reason = session.end_reason
            if row.end_reason != reason:
                # The product may have noticed a limit by itself, at a sign-in.
                is_over = self._expect_now(session).end_reason == row.end_reason
                if reason is not None or not is_over:
                    raise AssertionError(
                        self._told(f"a session ended as {row.end_reason}, and should as {reason}")
                    )
                session.end(str(row.end_reason), self.clock.now_ms())
            if reason is not None:
                continue
            state = session.tell()
            assert row.generation == state.generation, self._told(
                f"a session has generation {row.generation}, and should have {state.generation}"
            )
            assert row.expires_at_ms == state.expires_at_ms, self._told(
                f"a session expires {row.expires_at_ms - state.expires_at_ms} ms off"
            )
            stored = json.loads(row.data)
            assert stored == self.data[session.id], self._told("session data was lost")

    # Under the bonnet

    def _seat(self, which: int, worker: int) -> Browser:
        return self.browsers[which].through(self.workers[worker])

    def _held(self, browser: Browser) -> PresentedToken | None:
        return self.bench.manager.signer.read(browser.session_token or "")

    def _is_live(self, session: ReferenceSession) -> bool:
        return self._expect_now(session).is_accepted

    def _expect_now(self, session: ReferenceSession) -> Expected:
        return session.expect(1 << 20, self.clock.now_ms())

    def _expect(self, browser: Browser, worker: int) -> Expected:
        held = self._held(browser)
        session = None if held is None else self.sessions.get(held.session_id)
        if held is None or session is None:
            return Expected(False)
        return session.expect(held.generation, self.workers[worker].clock.now_ms())

    def _apply(self, held: PresentedToken, expected: Expected, worker: int) -> None:
        session = self.sessions[held.session_id]
        at_ms = self.workers[worker].clock.now_ms()
        if expected.is_accepted:
            session.accept(held.generation, at_ms)
        elif expected.end_reason is not None:
            session.end(expected.end_reason, self.clock.now_ms())

    def _look(self, jar: Browser, worker: int) -> None:
        browser = jar.through(self.workers[worker])
        held, expected = self._held(browser), self._expect(browser, worker)
        before = browser.session_token
        self.reads.count = 0
        seen = browser._with_handle("look", lambda handle: handle.session)
        if held is None or held.session_id not in self.sessions:
            assert seen is None, self._told("a session came from nowhere")
            return
        session = self.sessions[held.session_id]
        if self.reads.count == 0:
            self._check_cached(session, seen, expected)
            return
        assert (seen is not None) == expected.is_accepted, self._told(
            f"{'let in' if seen else 'refused'}, and should have been "
            f"{'let in' if expected.is_accepted else f'refused as {expected.end_reason}'}"
        )
        self._apply(held, expected, worker)
        self._check_token(browser, before, expected)
        self._check_cookie(browser)

    def _check_cached(self, session: ReferenceSession, seen: Any, expected: Expected) -> None:
        """A cached copy stands in for a live session alone, or one that ended within the lag."""
        if seen is None:
            return
        if session.ended_at_ms is None:
            assert expected.is_accepted, self._told(
                f"a cached copy was taken, and should have been refused as {expected.end_reason}"
            )
        else:
            late_ms = self.clock.now_ms() - session.ended_at_ms
            assert late_ms < max(1, self.config.revocation_lag_ms), self._told(
                f"a cached copy was taken {late_ms} ms after its session ended"
            )

    def _check_token(self, browser: Browser, before: str | None, expected: Expected) -> None:
        now = self._held(browser)
        old = self.bench.manager.signer.read(before or "")
        if not expected.is_accepted or old is None:
            assert browser.session_token == before, self._told("a refused browser got a cookie")
            return
        wanted = old.generation if expected.offer is None else expected.offer
        assert now is not None
        assert now.generation == wanted, self._told(
            f"the browser holds generation {now.generation}, and should hold {wanted}"
        )

    def _check_cookie(self, browser: Browser) -> None:
        for line in browser.history[-1].received:
            assert "; HttpOnly" in line, self._told("a cookie came without HttpOnly")
            assert "; Secure" in line, self._told("a cookie came without Secure")
            assert "; SameSite=" in line, self._told("a cookie came without SameSite")

    def _advance(self, milliseconds: int) -> None:
        held_ms = self.held_since_ms
        if held_ms is not None and self.clock.now_ms() + milliseconds > held_ms + (
            LATE_SECONDS * 1000
        ):
            self._settle()
        self.clock.advance(milliseconds=milliseconds)

    def _settle(self) -> None:
        """What is on its way for too long is lost."""
        self.bench.network._held.clear()
        self.held_since_ms = None

    def _row(self, session_id: str) -> Any:
        found = unwatched(self.bench.manager.store).find_session(session_id)
        assert found is not None, self._told("a row is gone")
        return found[0]

    def _told(self, what: str) -> str:
        stories = [f"{browser!r}\n{browser.story()}" for browser in (*self.browsers, *self.loot)]
        return "\n\n".join([what, *stories])
