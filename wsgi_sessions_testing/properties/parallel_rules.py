"""``ParallelRules``: two requests at once, in any order of their steps."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ..browser.browser import Browser
from ..schedules import Schedules
from .base import KEYS, Turn, standing_of
from .checks import MachineChecks
from .reference_model import CATCH_UP, ReferenceSession
from .rules import rule

ORDERS = st.lists(st.integers(0, 1), max_size=10) | st.sampled_from(
    [[0, 0, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1]]
)
"""Any order of the steps of two requests, and those in which both have read before one writes."""


class ParallelRules(MachineChecks):
    """Requests of one browser, or of the holders of two tokens, at once."""

    @rule(
        kind=st.sampled_from(["look", "revoke", "data"]),
        moment=st.sampled_from(["now", "due", "window"]),
        order=ORDERS,
    )
    def in_parallel(self, which: int, kind: str, moment: str, order: list[int]) -> None:
        """Two requests at once, a step of the one and a step of the other."""
        self._be_signed_in(which)
        self._come_to(which, moment, 0)
        browser = self._browser_at(which, 0)
        turn = self._turn(browser, 0)
        if turn is None or not self._is_live(turn.session) or not turn.expected.is_accepted:
            return
        session = turn.session
        row, sent_before = self._row(session.id), len(browser.history)

        def look() -> Any:
            return browser._with_handle("look", lambda handle: handle.session)

        def put(key: str) -> Any:
            def act(handle: Any) -> None:
                items = handle.session.data.setdefault(key, [])
                items.append(len(items))

            return lambda: browser._with_handle(f"put {key}", act)

        def revoke() -> bool:
            return self.workers[1].manager.revoke_session(session.id)

        requests = {
            "look": [look, look],
            "revoke": [look, revoke],
            "data": [put(KEYS[0]), put(KEYS[1])],
        }
        Schedules(self.app).run(*requests[kind], order=order)
        after = self._row(session.id)
        if kind == "revoke":
            assert after.ended_at_ms is not None, self._explain("a revoked session came back")
            session.end("revoked", self.clock.now_ms())
        else:
            assert after.ended_at_ms is None, self._explain("parallel requests ended a session")
        if kind == "data":
            for key in KEYS:
                self._note_item(session.id, key)
        assert after.generation >= row.generation, self._explain("a generation was taken back")
        assert after.expires_at_ms >= row.expires_at_ms, self._explain("a session was shortened")
        self._begin_again(session)
        for number in range(sent_before, len(browser.history)):
            self._note_offers(browser, number, turn)
        self._check_cookie(browser)

    @rule(kind=st.sampled_from(["confirm", "settle", "take over"]), order=ORDERS)
    def siblings_in_parallel(self, which: int, kind: str, order: list[int]) -> None:
        """Two tokens of one generation at once: offers to two tabs, or those of two holders."""
        self._be_signed_in(which)
        self._come_to(which, "due", 0)
        browser = self._browser_at(which, 0)
        before, other = browser.fork(), browser.fork()
        for jar in (browser, other):
            self._look(jar, 0)
        if kind != "confirm":
            self._look(browser, 0)
            self._come_to(which, "window" if kind == "settle" else "grace", 0)
            # So that the last write is no older than those to come.
            self._look(browser, 0, has_long_body=True)
        if kind == "take over":
            other = before
            self._look(other, 0)
        jars, held = (browser, other), [self._held(jar) for jar in (browser, other)]
        session = self._reference(held[0])
        if session is None or not all(self._is_let_in(jar, 0) for jar in jars):
            return
        state = session.tell()
        branches = {token.branch for token in held if token is not None}
        is_open = not (state.is_settled or state.has_caught_up)
        if len(branches) < 2 or is_open is (kind == "confirm"):
            return

        def look(jar: Browser) -> Any:
            return lambda: jar._with_handle("look", lambda handle: handle.session)

        seen = Schedules(self.app).run(*(look(jar) for jar in jars), order=order)
        after = self._row(session.id)
        count = sum(each is not None for each in seen)
        wanted = 1 if kind == "settle" else 2
        assert count == wanted, self._explain(
            f"of two siblings at once {count} were let in, and should {wanted}"
        )
        assert after.branch in branches, self._explain("none of the siblings is stored")
        assert bool(after.is_settled) is (kind == "settle"), self._explain(
            f"to {kind} at once has left it {'settled' if after.is_settled else 'unsettled'}"
        )
        assert bool(after.caught_up) is (kind == "take over"), self._explain(
            f"to {kind} at once has {'been' if after.caught_up else 'not been'} a take-over"
        )
        if kind == "settle":
            self.tampered.add(session.id)
        self._begin_again(session)

    def _begin_again(self, session: ReferenceSession) -> None:
        """Take the row as the new base: the order of parallel requests can't be worked out."""
        row = self._row(session.id)
        self.thefts.pop(session.id, None)
        if row.end_reason is not None:
            session.end(str(row.end_reason), self.clock.now_ms())
        if session.end_reason is None:
            session.begin_again(standing_of(row), self.clock.now_ms())

    def _note_offers(self, browser: Browser, number: int, turn: Turn) -> None:
        """Note what one of several answers to the same token has offered."""
        expected = turn.expected
        tokens, _ = self._read_cookies(browser, number)
        for token in tokens:
            session = self._reference(token)
            if token is None or session is None:
                continue
            session.branches.add(token.branch)
            if expected.offer == CATCH_UP and token.generation == expected.generation:
                session.catch_ups.add(token.branch)
