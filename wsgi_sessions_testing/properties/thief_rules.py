"""``ThiefRules``: thieves who copy jars, keep every token, and know the rules of rotation."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from wsgi_sessions.errors import NotSignedInError

from ..assertions.steps import session_seen_by_app
from ..browser.browser import Browser
from .checks import MachineChecks
from .rules import MOMENTS, OFF_BY, PLACES, rule

MAX_LOOT = 6
VISITS = st.sampled_from(["o", "oo", "ot", "to", "oot", "oto", "too", "t", "tt", "tot"])
"""Who sends requests one after the other: the owner (o) or the thief (t)."""


class ThiefRules(MachineChecks):
    """A request of a thief is judged by who sends it, whatever it presents: see ``Theft``."""

    @rule()
    def steal(self, which: int, place: int) -> None:
        """Copy a jar, to another address if sessions are bound to addresses."""
        self._be_signed_in(which)
        thief = self._copy_jar(which)
        if self.is_bound:
            thief.address = PLACES[place]
        self._keep(thief)

    @rule(moment=st.sampled_from(["now", "due", "late"]))
    def step_up(self, which: int, worker: int, moment: str) -> None:
        """The owner proves again who they are; a jar that was copied before is not fresh by it."""
        self._be_signed_in(which)
        self._come_to(which, moment, worker)
        owner, thief, made_at_ms = self.browsers[which], self._copy_jar(which), []

        def prove(handle: Any) -> None:
            with suppress(NotSignedInError):  # the request came from a copy of what has ended
                handle.reauthenticate(method="test")
                made_at_ms.append(self.workers[worker].clock.now_ms())

        self._look(owner, worker, prove)
        held, text = self._held(owner), self._text_in(owner, self.fresh_name)
        if made_at_ms:
            assert text is not None, self._explain("a step-up brought no cookie")
            assert held is not None, self._explain("a step-up took the token away")
            self.step_ups[text] = (held.session_id, made_at_ms[0])
        self._look(owner, worker)
        self._look(thief, worker, is_thief=True)

    @precondition(lambda self: self.loot)
    @rule(data=st.data())
    def use_loot(self, data: st.DataObject, worker: int, has_long_body: bool) -> None:
        """A stolen jar is used, at any age of its token; the thief keeps the answer."""
        jar = data.draw(st.sampled_from(self.loot))
        for offered in self._use(jar, worker, has_long_body=has_long_body):
            self._keep(offered)

    @rule(behind=st.integers(1, 2), moment=st.sampled_from(["now", "grace", "window", "upload"]))
    def steal_before_rotation(
        self,
        *,
        which: int,
        worker: int,
        behind: int,
        asks_first: bool,
        moment: str,
        off_by: int,
        has_long_body: bool,
        is_settled: bool,
    ) -> None:
        """A jar stolen one or two generations ago is used within the grace, or at its edges.

        So is the token that a thief was offered when the first rotation was due.
        """
        self._be_signed_in(which)
        thief = self._copy_jar(which)
        if asks_first:
            self._come_to(which, "due", worker)
            self._look(thief, worker, is_thief=True)
        for _ in range(behind):
            self._rotate(which, worker)
        self._come_to(which, moment, worker, off_by)
        if is_settled:
            self._look(self.browsers[which], worker)
        self._look(thief, worker, has_long_body=has_long_body, is_thief=True)

    @rule(
        plan=st.lists(
            st.tuples(
                st.sampled_from(("due", "due", *MOMENTS)),
                OFF_BY,
                VISITS,
                st.integers(0, MAX_LOOT - 1),
                st.booleans(),
            ),
            min_size=3,
            max_size=8,
        )
    )
    def follow(self, which: int, worker: int, plan: list[tuple[str, int, str, int, bool]]) -> None:
        """A thief who keeps everything comes before or after the owner, at each moment that counts.

        The thief knows the rules, and presents a token that is accepted while there is one.
        """
        self._be_signed_in(which)
        loot = [self._copy_jar(which)]
        for moment, off_by, visits, choice, has_long_body in plan:
            self._come_to(which, moment, worker, off_by)
            for who in visits:
                if who == "o":
                    self._look(self.browsers[which], worker)
                    continue
                good = [
                    jar for jar in loot if self._is_let_in(jar, worker, has_long_body=has_long_body)
                ]
                if good:
                    jar = good[choice % len(good)]
                    loot += self._use(jar, worker, has_long_body=has_long_body)
                    del loot[:-MAX_LOOT]

    def _copy_jar(self, which: int) -> Browser:
        """Copy a jar, and note the generation of its session."""
        thief = self.browsers[which].fork()
        self._note_theft(thief)
        return thief

    def _keep(self, jar: Browser) -> None:
        self.loot.append(jar)
        del self.loot[:-MAX_LOOT]

    def _use(self, jar: Browser, worker: int, *, has_long_body: bool = False) -> list[Browser]:
        """Use a stolen jar; return it if it holds another token afterwards."""
        used = jar.fork()
        self._look(used, worker, has_long_body=has_long_body, is_thief=True)
        return [used] if self._text_in(used) != self._text_in(jar) else []

    @rule()
    def forge(self, which: int, worker: int) -> None:
        """Alter a token that was copied: its generation, or the branch."""
        self._be_signed_in(which)
        browser = self._browser_at(which, worker)
        held = self._held(browser)
        if held is None:
            return
        version, secret, generation, branch, signature = held.text.split(".")
        for forged in (
            f"{version}.{secret}.{int(generation) + 1}.{branch}.{signature}",
            f"{version}.{secret}.{generation}.{branch[::-1]}.{signature}",
        ):
            if forged == held.text:
                continue
            forger = browser.fork()
            self._plant(forger, forged)
            seen = session_seen_by_app(forger)
            assert seen is None, self._explain("a forged token was let in")
