"""``RotationRules``: what happens to honest browsers while their tokens rotate.

Parallel tabs, slow uploads and answers, crashes, a database that loses its last write.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from wsgi_sessions.errors import StoreUnavailableError

from .checks import MachineChecks
from .rules import MOMENT, MOMENTS, NOW_OR_LATER, OFF_BY, rule

WHO = st.sampled_from(["the browser", "the browser", "an upload", "the other tab"])


class RotationRules(MachineChecks):
    """What can happen around a rotation, at the edges of each of its moments."""

    @rule()
    def come_at(
        self, which: int, worker: int, moment: str, off_by: int, has_long_body: bool
    ) -> None:
        """Two requests at an edge: the first may change how the second is judged."""
        self._be_signed_in(which)
        self._come_to(which, moment, worker, off_by)
        self._look(self.browsers[which], worker, has_long_body=has_long_body)
        self._look(self.browsers[which], worker)

    @rule(uses=st.lists(st.tuples(WHO, MOMENT, OFF_BY), min_size=1, max_size=4))
    def open_tabs(
        self, which: int, worker: int, is_slow: bool, uses: list[tuple[str, str, int]]
    ) -> None:
        """Two tabs send requests when a rotation is due; the browser keeps the last answer."""
        browser = self.browsers[which]
        self._be_signed_in(which)
        self._come_to(which, "due", worker)
        tabs = [browser.fork(), browser.fork()]
        for tab in tabs:
            self._look(tab, worker)
        browser.cookies = tabs[0].cookies.copy()
        self._look(browser, worker)
        if is_slow:
            self._advance(self.late_ms)
        browser.cookies = tabs[1].cookies.copy()
        self._note_theft(tabs[0])
        for who, moment, off_by in uses:
            self._come_to(which, moment, worker, off_by)
            if who == "the other tab":
                self._look(tabs[0], worker, is_thief=True)
            else:
                self._look(browser, worker, has_long_body=who == "an upload")

    @rule(moment=st.sampled_from(["grace", "grace", "window", "upload"]))
    def upload_over_rotation(
        self, which: int, worker: int, moment: str, off_by: int, has_long_body: bool
    ) -> None:
        """A request was made before a rotation, and arrives when that is confirmed."""
        self._be_signed_in(which)
        self._come_to(which, "due", worker)
        browser = self.browsers[which]
        held, sent_at_ms = self._held(browser), self.clock.now_ms()
        line = browser._environ().get("HTTP_COOKIE")
        for _ in range(2):
            self._look(browser, worker)
        self._come_to(which, moment, worker, off_by)
        longest_ms = self.config.rotation_grace_ms
        if has_long_body:
            longest_ms = self.config.upload_grace_ms - 2 * longest_ms
        is_late = self.clock.now_ms() - sent_at_ms >= longest_ms - self.skew_ms
        if held is None or line is None:
            return
        if is_late:
            self._note_theft(browser)
        self._look(
            browser.fork() if is_late else browser,
            worker,
            headers={"Cookie": line},
            held=held,
            has_long_body=has_long_body,
            is_thief=is_late,
        )

    @rule(
        moment=st.sampled_from(["due", "due", "early", "window", "upload", "late"]),
        delay=st.sampled_from([0, 1, 2, 3]),
        visits=st.integers(0, 3),
    )
    def answer_slowly(self, which: int, worker: int, moment: str, delay: int, visits: int) -> None:
        """The app answers slowly; meanwhile other tabs send requests."""
        self._be_signed_in(which)
        self._come_to(which, moment, worker)
        browser, grace_ms = self.browsers[which], self.config.rotation_grace_ms
        delay_ms = (0, grace_ms - self.skew_ms - 1, grace_ms, 2 * grace_ms)[delay]

        def work(_handle: Any) -> None:
            for _ in range(visits):
                self._look(browser, worker)
            self._advance(delay_ms)

        self._look(browser, worker, work)
        self._look(browser, worker)

    @rule(unsaved_s=st.integers(1, 30))
    def crash(self, which: int, unsaved_s: int) -> None:
        """A browser is killed before it has written its jar to disk, and starts again."""
        self._crash(which, min(unsaved_s * 1000, self.unsaved_ms))

    @rule(uses=st.lists(st.tuples(NOW_OR_LATER, OFF_BY), min_size=1, max_size=4))
    def crash_at_rotation(
        self,
        which: int,
        worker: int,
        is_confirmed: bool,
        uses: list[tuple[str, int]],
        is_stolen: bool,
    ) -> None:
        """The token before is on disk, while the next one may already be confirmed.

        A thief may have a copy of that jar: one of the two can catch up.
        """
        self._be_signed_in(which)
        self._come_to(which, "due", worker)
        for _ in range(2 if is_confirmed else 1):
            self._look(self.browsers[which], worker)
        self._advance(self.unsaved_ms // 2)
        self._crash(which, self.unsaved_ms)
        thief = self.browsers[which].fork()
        for moment, off_by in uses:
            self._come_to(which, moment, worker, off_by)
            self._look(self.browsers[which], worker)
        if is_stolen:
            self._come_to(which, "grace", worker)
            self._note_theft(thief)
            for _ in range(2):
                self._look(thief, worker, is_thief=True)

    def _crash(self, which: int, unsaved_ms: int) -> None:
        """Kill a browser, at most once for each generation that is lost by it."""
        browser, unsaved = self.browsers[which], timedelta(milliseconds=unsaved_ms)
        survivor = browser.fork()
        survivor.crash(unsaved)
        lost = self._held(browser)
        if lost is not None and self._text_in(survivor) != lost.text:
            generation = (lost.session_id, lost.generation)
            if generation in self.crashed:
                return
            self.crashed.add(generation)
        browser.crash(unsaved)

    @rule(visits=st.integers(0, 2))
    def lose_the_last_write(self, which: int, worker: int, moment: str, visits: int) -> None:
        """The database fails over to a standby that never got the write of a request."""
        self._be_signed_in(which)
        self._come_to(which, moment, worker)
        browser = self.browsers[which]
        for _ in range(visits):
            self._look(browser, worker)
        session = self._session_in(browser)
        if session is None or session.id in self.failed_over or not self._is_live(session):
            return
        before, count = self._row(session.id), len(session.requests)
        self._look(browser, worker)
        if len(session.requests) == count or session.end_reason is not None:
            return
        self.failed_over.add(session.id)
        session.forget_last()
        self.thefts.pop(session.id, None)
        self._write_row(before)
        self._look(browser, worker)

    def _write_row(self, row: Any) -> None:
        manager = self.bench.manager
        model = manager.parts.models.session
        stored = {
            "generation": row.generation,
            "branch": row.branch,
            "branch_before": row.branch_before,
            "is_settled": bool(row.is_settled),
            "caught_up": bool(row.caught_up),
            "confirmed_at": row.confirmed_at_ms,
            "updated_at": row.updated_at_ms,
            "last_seen_at": row.last_seen_at_ms,
            "expires_at": row.expires_at_ms,
        }
        manager.parts.connections.run(model.update(**stored).where(model.id == row.id).execute)

    @rule(
        delay=st.integers(0, 4), moments=st.lists(st.tuples(MOMENT, OFF_BY), min_size=1, max_size=3)
    )
    def confirm_later(
        self, which: int, worker: int, delay: int, moments: list[tuple[str, int]]
    ) -> None:
        """After a late confirmation the next refresh is due before the next rotation."""
        self._be_signed_in(which)
        self._come_to(which, "due", worker)
        self._look(self.browsers[which], worker)
        self._advance(delay * self.config.rotation_grace_ms // 2)
        self._look(self.browsers[which], worker)
        self._come_to(which, "window", worker)
        self._look(self.browsers[which], worker)
        for moment, off_by in moments:
            self._come_to(which, moment, worker, off_by)
            self._look(self.browsers[which], worker)

    @rule(moment=st.sampled_from(["now", "late", *MOMENTS]), visits=st.integers(0, 2))
    def come_while_locked(self, which: int, worker: int, moment: str, visits: int) -> None:
        """A touch or a settling that can't be written is left to the next request."""
        self._be_signed_in(which)
        for _ in range(visits):
            self._look(self.browsers[which], worker)
        self._come_to(which, moment, worker)
        browser = self._browser_at(which, worker)
        before, turn = self._text_in(browser), self._turn(browser, worker)
        if turn is None or not turn.expected.is_accepted:
            return
        expected, seen = turn.expected, None
        self.reads.count = 0
        self.locks.are_held = True
        try:
            seen = browser._with_handle("look", lambda handle: handle.session)
        except StoreUnavailableError:
            assert expected.needs_write, self._explain("a request failed for a write that may wait")
        finally:
            self.locks.are_held = False
        if seen is None or not self.reads.count:
            return
        assert not expected.needs_write, self._explain(
            "a request went on that could not be written"
        )
        turn.session.validated_at_ms = max(turn.session.validated_at_ms, turn.shown.at_ms)
        if expected.settles:
            turn = replace(turn, expected=replace(expected, offer=None, may_be_copied=False))
        self._check_answer(browser, before, turn)

    @rule(ahead=st.integers(1, 3))
    def come_from_far_ahead(self, which: int, worker: int, ahead: int) -> None:
        """The database was restored from a backup, and has lost some rotations."""
        self._be_signed_in(which)
        browser = self._browser_at(which, worker)
        held = self._held(browser)
        session = self._reference(held)
        if held is None or session is None:
            return
        generation = session.tell().generation + ahead
        text = self.bench.factories.token_of(held.text, generation=generation)
        self._plant(browser, text)
        self._advance(self.unsaved_ms)  # so that it is on disk
        self.thefts.pop(session.id, None)
        self._look(browser, worker)

    @rule(rotations=st.integers(0, 2), moment=NOW_OR_LATER)
    def only_read(
        self, which: int, worker: int, rotations: int, moment: str, is_copied: bool
    ) -> None:
        """Reading a session changes nothing and ends nothing, not even with a stolen token."""
        self._be_signed_in(which)
        copied = self.browsers[which].fork()
        for _ in range(rotations):
            self._rotate(which, worker)
        self._come_to(which, moment, worker)
        jar = copied if is_copied else self.browsers[which]
        browser = jar.through(self.workers[worker])
        is_let_in = self._is_let_in(browser, worker)
        found = browser.manager.get_session(browser._environ(), authoritative=True)
        assert (found is not None) == is_let_in, self._explain(
            f"{'shown' if found else 'not shown'} to who only reads, and should be otherwise"
        )
