"""``SessionMachine``: a Hypothesis state machine of browsers, workers and a thief."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from wsgi_sessions.errors import SessionLimitReached

from ..assertions.steps import plant_copy
from ..browser.browser import Browser
from ..fakes.managers import sibling
from .jar_rules import JarRules
from .parallel_rules import ParallelRules
from .reference_model import ReferenceSession
from .rotation_rules import RotationRules
from .rules import PLACES, rule
from .thief_rules import ThiefRules
from .user_rules import EMAILS, UserRules

MAX_VISITS = 40


class SessionMachine(UserRules, JarRules, RotationRules, ThiefRules, ParallelRules):
    """A state machine that knows how sessions behave; point it at your application:

    ``class MyMachine(SessionMachine):`` with ``def make_app(self): return create_app()``, and
    ``TestSessions = MyMachine.TestCase`` below it. ``settings`` changes settings of the app's
    config; ``page`` is a page that anybody may open, by default at the path of the cookies. The
    page may begin a session of a visitor, and may keep data in sessions; it must not sign
    anybody in or out, nor clear what others keep in ``session.data``.
    """

    # Signing in and out

    @rule(who=st.sampled_from(EMAILS), remember=st.integers(0, 3))
    def sign_in(self, which: int, who: str, remember: int) -> None:
        self._lose_held()
        browser = self._browser_at(which, 0)
        before, turn = self._held(browser), self._turn(browser, 0)
        replaced = None if turn is None else turn.session
        user = self.bench.factories.find_or_make_user(who)
        away: ReferenceSession | None = None
        gone = replaced if replaced is not None and replaced.is_user_gone else None
        if gone is not None:
            replaced = None
        if turn is not None and replaced is not None:
            self._apply(turn)
            if not turn.expected.is_accepted:
                if replaced.end_reason is None and replaced.is_elsewhere(browser.address):
                    away = replaced  # the sign-in ends what it finds refused for its address
                replaced = None
        theirs = self._sessions_of(user.id)
        live = [one for one in theirs if self._is_live(one) and one not in (replaced, away)]
        now_ms = self.clock.now_ms()
        try:
            made = browser.sign_in(user, remember_me=remember > 0)
        except SessionLimitReached:
            most = self.config.multi_session.maximum_sessions
            assert most is not None
            assert len(live) >= most, self._explain("a sign-in was rejected")
            return
        assert before is None or made.id != before.session_id, self._explain(
            "a sign-in kept the session id"
        )
        if gone is not None:
            self._note_end_of_gone(gone)
        if away is not None:
            away.end("signed_out", now_ms)
        self.data[made.id] = {}
        if replaced is not None:
            is_same = replaced.user_id in (None, user.id)
            if is_same and replaced.end_reason is None:
                self.data[made.id] = copy.deepcopy(self.data[replaced.id])
            replaced.end("signed_out", now_ms)
        held = self._held(browser)
        assert held is not None, self._explain("a sign-in brought no cookie")
        assert held.session_id == made.id, self._explain("a sign-in left the cookie of before")
        self.sessions[made.id] = ReferenceSession(
            made.id,
            user.id,
            self.config,
            now_ms,
            is_remembered=remember > 0,
            branch=held.branch,
            bound_to=browser.address,
        )
        self._make_room(live, now_ms)
        self._check_cookie(browser)
        # At this very instant: what the sign-in found to be over is past other limits later.
        self._compare_rows()

    def _be_signed_in(self, which: int) -> None:
        """Sign in where nobody is: most of what can happen, happens to those who are."""
        if not self._is_let_in(self.browsers[which], 0):
            self.sign_in(which, EMAILS[0], 1)

    def _make_room(self, live: list[ReferenceSession], now_ms: int) -> None:
        """Note which sessions a sign-in has evicted; of several seen at one instant, any may be."""
        multi = self.config.multi_session
        ended = [one for one in live if self._row(one.id).ended_at_ms is not None]
        most = 1 if not multi.enabled else multi.maximum_sessions
        surplus = 0 if most is None else max(0, len(live) + 1 - most)
        assert len(ended) == surplus, self._explain(
            f"{len(live)} sessions were live before a sign-in and {len(ended)} had to go, "
            f"where {most} is the most"
        )
        for one in ended:
            kept = [other for other in live if other not in ended]
            seen = one.tell().seen_at_ms
            assert not multi.enabled or all(o.tell().seen_at_ms >= seen for o in kept), (
                self._explain("a session went that was seen later than one that stayed")
            )
            one.end(str(self._row(one.id).end_reason), now_ms)

    @rule()
    def sign_out(self, which: int) -> None:
        browser = self._browser_at(which, 0)
        turn, thief = self._turn(browser, 0), browser.fork()
        browser.sign_out()
        assert self._text_in(browser) is None, self._explain("a sign-out left the cookie")
        if turn is not None:
            if turn.session.is_user_gone:
                self._note_end_of_gone(turn.session)
            else:
                self._apply(turn)
            # Also one that was refused for its address, or whose token was replaced.
            turn.session.end("signed_out", self.clock.now_ms())
            assert thief.session is None, self._explain("a sign-out left the session")

    @rule()
    def revoke(self, whose: int, is_behind: bool) -> None:
        """End another device's session by another process, whose clock may be behind."""
        self._be_signed_in(whose)
        session = self._session_in(self.browsers[whose])
        if session is None or not self._is_live(session):
            return
        skew = timedelta(milliseconds=-self.skew_ms if is_behind else 0)
        other = sibling(self.bench.manager, clock=self.clock.skewed(skew))
        other.revoke_session(session.id)
        session.end("revoked", self.clock.now_ms())

    @rule(off_by=st.sampled_from([0, 0, 1]))
    def revoke_in_use(self, whose: int, worker: int, is_behind: bool, off_by: int) -> None:
        """End a session that is in use, and use it when every process must know that."""
        self._be_signed_in(whose)
        for _ in range(2):
            self._look(self.browsers[whose], worker)
        self.revoke(whose, is_behind)
        self._advance(self.config.revocation_lag_ms + off_by)
        self._look(self.browsers[whose], worker)

    # Requests

    @rule()
    def look(self, which: int, worker: int) -> None:
        """Send a request, and check which session the app gets."""
        self._look(self.browsers[which], worker)

    @rule(fate=st.sampled_from(["arrives", "lost", "delayed", "repeated"]))
    def open_page(self, which: int, worker: int, fate: str, lies: bool) -> None:
        """Open a page of the app; the response may be lost, late or repeated."""
        browser = self._browser_at(which, worker)
        turn, before, network = self._turn(browser, worker), self._text_in(browser), browser.network
        trouble = {
            "lost": network.losing_responses,
            "delayed": network.delaying_responses,
            "repeated": network.repeating_responses,
        }.get(fate)
        page = self.config.cookie.path if self.page is None else self.page
        headers = self._lies(browser) if lies else {}
        self.reads.count = self.reads_before_app = 0
        with nullcontext() if trouble is None else trouble(1):
            answer = browser.get(page, headers=headers)
        if fate in ("delayed", "repeated") and self.held_since_ms is None:
            self.held_since_ms = self.clock.now_ms()
        assert answer.status_int < 500, self._explain(f"the page was answered {answer.status}")
        self._check_caching(answer)
        self._check_cookie(browser)
        if turn is not None and self.reads_before_app:
            self._apply(turn)
            has_arrived = fate in ("arrives", "repeated")
            self._check_answer(browser, before, turn, has_arrived=has_arrived)

    @rule()
    def deliver(self, newest_first: bool) -> None:
        """Deliver the late responses, in order or not."""
        self.bench.network.deliver(newest_first=newest_first)
        self.held_since_ms = None

    @rule(moment=st.sampled_from(["", "window", "window", "upload"]))
    def rotate(
        self, which: int, worker: int, moment: str, off_by: int, has_long_body: bool
    ) -> None:
        """A rotation falls due; the token is offered and confirmed, and may be settled."""
        self._be_signed_in(which)
        self._rotate(which, worker)
        if moment:
            self._come_to(which, moment, worker, off_by)
            self._look(self.browsers[which], worker, has_long_body=has_long_body)

    @rule()
    def come_every_day(self, which: int, worker: int) -> None:
        """Use a session all the time, beyond its first expiry."""
        self._be_signed_in(which)
        days = self.config.expires_in_ms // self.config.update_age_ms + 1
        for _ in range(min(days, MAX_VISITS)):
            self._advance(self.config.update_age_ms)
            self._look(self.browsers[which], worker)

    # Copies

    @precondition(lambda self: self.is_cached)
    @rule()
    def swap_copies(self, which: int, whose: int, worker: int) -> None:
        """Put the cached copy of one browser beside the token of another."""
        self._be_signed_in(whose)
        self._be_signed_in(which)
        copied = self._copy_in(self.browsers[whose])
        if copied is not None and self._held(self.browsers[which]) is not None:
            self._look_with_copy(self.browsers[which], copied, worker)

    @precondition(lambda self: self.is_cached)
    @rule(off_by=st.sampled_from([0, 0, 1]))
    def keep_copy(self, which: int, worker: int, off_by: int) -> None:
        """Keep a cached copy beyond the time after which browsers forget it."""
        self._be_signed_in(which)
        self._look(self.browsers[which], worker)
        copied = self._copy_in(self.browsers[which])
        if copied is not None:
            self._advance(self.config.cookie_cache.max_age_ms + off_by)
            self._look_with_copy(self.browsers[which], copied, worker)

    def _copy_in(self, jar: Browser) -> str | None:
        return self._text_in(jar, self.cache_name)

    def _look_with_copy(self, jar: Browser, copied: str, worker: int) -> None:
        """Send a request with the same cookies, but another cached copy."""
        thief = jar.fork()
        is_planted = plant_copy(thief, copied)
        assert is_planted, "it was set once, so it is not too large"
        self._look(thief, worker)

    # Places

    @precondition(lambda self: self.is_bound)
    @rule()
    def travel(self, which: int, place: int, worker: int, lies: bool) -> None:
        """A browser comes from another address, where sessions are bound to one."""
        self._be_signed_in(which)
        self.browsers[which].address = PLACES[place]
        self.open_page(which, worker, "arrives", lies)

    # Time

    @rule(
        setting=st.sampled_from(
            [
                *["expires_in", "update_age", "rotation_grace", "idle_timeout", "touch_interval"],
                *["absolute_timeout", "short_expires_in", "revocation_lag", "fresh_age"],
                *["rotation_interval", "rotation_window", "upload_grace"],
            ]
        )
    )
    def wait(self, setting: str, off_by: int) -> None:
        """Let as much time pass as a setting says, or a millisecond more or less."""
        milliseconds = getattr(self.config, f"{setting}_ms")
        self._advance((milliseconds or 1000) + off_by)

    @rule(off_by=st.sampled_from([-1, 0]))
    def wait_for_the_end(self, which: int, off_by: int, worker: int) -> None:
        """Let time pass up to the expiry of a session."""
        self._be_signed_in(which)
        session = self._session_in(self.browsers[which])
        if session is None or not self._is_live(session):
            return
        skew_ms = worker * self.skew_ms
        rest_ms = session.tell().expires_at_ms - self.clock.now_ms() - skew_ms + off_by
        self._advance(rest_ms)
        self._look(self.browsers[which], worker)
