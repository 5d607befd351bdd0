"""``MachineChecks``: how a ``SessionMachine`` sends a request, and checks the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wsgi_sessions.records import PresentedToken

from ..assertions.responses import CookieFlags, find_cache_fault, is_session_cookie
from ..browser.browser import Browser
from ..browser.set_cookie import parse_set_cookie
from ..fakes.network import LostResponse
from .base import MachineBase, Turn
from .reference_model import AGAIN, CATCH_UP

if TYPE_CHECKING:
    from webob import Response  # type: ignore[import-untyped, unused-ignore]


class MachineChecks(MachineBase):
    """Sends requests, and checks each answer against the reference model."""

    def _rotate(self, which: int, worker: int) -> None:
        """Let time pass until a rotation is due; the token is offered and confirmed."""
        self._come_to(which, "due", worker)
        self._look(self.browsers[which], worker)
        self._look(self.browsers[which], worker)

    def _apply(self, turn: Turn, *, is_thief: bool = False) -> None:
        """Add a validated request to the session's past, and check it by who has sent it."""
        session, expected, shown = turn.session, turn.expected, turn.shown
        if is_thief:
            self.tampered.add(session.id)
        elif expected.is_replay and session.id not in self.tampered:
            raise AssertionError(self._explain("an honest browser is signed out as a thief"))
        if not expected.is_accepted:
            if expected.end_reason is not None:
                session.end(expected.end_reason, self.clock.now_ms())
            return
        theft = self.thefts.get(session.id)
        if theft is None:
            session.accept(shown)
            return
        if is_thief:
            assert not theft.forbids(shown, self.config), self._explain(
                "a thief is let in, though the owner was there since the last window"
            )
        before = session.tell()
        session.accept(shown)
        theft.note(shown, before, session.tell(), is_owner=not is_thief, config=self.config)

    def _look(
        self,
        jar: Browser,
        worker: int,
        act: Callable[[Any], Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        held: PresentedToken | None = None,
        place: str | None = None,
        leaves: bool = False,
        has_long_body: bool = False,
        is_thief: bool = False,
    ) -> Any:
        """Send a request and check its answer; return the session that was let in.

        ``act`` is called with the handle if there is a session. ``held`` is the token in
        ``headers``, if it is not the jar's. ``place`` is the address that the request comes
        from, if it is not the browser's. ``leaves``: the request ends its own session.
        """
        browser = jar.through(self.workers[worker])
        turn = self._turn(browser, worker, held=held, place=place, has_long_body=has_long_body)
        before, was_read = self._text_in(browser), False
        step_up = self._text_in(browser, self.fresh_name)
        if headers and "Cookie" in headers:  # in place of what is in the jar
            found = re.search(rf"(?:^|; ){self.fresh_name}=([^;]*)", headers["Cookie"])
            step_up = found[1] if found else None
        self.reads.count = 0

        def look(handle: Any) -> Any:
            nonlocal before, was_read
            was_read, seen = self.reads.count > 0, handle.session
            if turn is not None:
                self._check_seen(turn, seen, was_read=was_read, step_up=step_up)
                if was_read:
                    self._apply(turn, is_thief=is_thief)
            if seen is not None and act is not None:
                act(handle)
                before = self._text_in(browser)  # other tabs may have gone on
            return seen

        self.asking = browser
        network = browser.network if has_long_body else None
        with nullcontext() if network is None else network.slow_uploads(lambda: None, 1):
            seen = browser._with_handle("look", look, network=network, headers=headers)
        assert turn is not None or seen is None, self._explain("a session came from nowhere")
        if turn is not None and was_read and not (leaves and seen is not None):
            self._check_answer(browser, before, turn)
        return seen

    def _check_seen(self, turn: Turn, seen: Any, *, was_read: bool, step_up: str | None) -> None:
        """Check which session the app gets; ``step_up`` is the cookie of one in the jar."""
        session, expected = turn.session, turn.expected
        whose, stepped_up_at_ms = self.step_ups.get(step_up or "", (None, 0))
        is_fresh = session.is_fresh(
            turn.shown.at_ms, stepped_up_at_ms=stepped_up_at_ms if whose == session.id else None
        )
        assert seen is None or seen.id == session.id, self._explain("another session was given")
        if seen is not None:
            assert seen.is_fresh == is_fresh, self._explain(
                f"a session is {'fresh' if seen.is_fresh else 'not fresh'}, and should not be so"
            )
            if not was_read:
                self._check_cached(turn)
        if not was_read:
            return
        assert (seen is not None) == expected.is_accepted, self._explain(
            f"{'let in' if seen else 'refused'}, and should have been "
            f"{'let in' if expected.is_accepted else f'refused as {expected.end_reason}'}"
        )

    def _check_cached(self, turn: Turn) -> None:
        """Check that a cached copy is that of a live session, or one that ended within the lag.

        It may be used for a token that was replaced, but for less time than a copy lasts.
        """
        session, shown = turn.session, turn.shown
        config, state = self.config, session.tell()
        age_ms = shown.at_ms - session.validated_at_ms
        assert age_ms < config.cookie_cache.max_age_ms, self._explain(
            f"a cached copy was taken {age_ms} ms after the session was last validated"
        )
        if session.is_user_gone:
            return  # a copy can't know that
        if session.ended_at_ms is not None:
            late_ms = self.clock.now_ms() - session.ended_at_ms
            assert late_ms < max(1, config.revocation_lag_ms), self._explain(
                f"a cached copy was taken {late_ms} ms after its session ended"
            )
            return
        reason = session.find_end(shown.at_ms)
        assert reason is None, self._explain(
            f"a cached copy was taken, and should have been refused as {reason}"
        )
        if (shown.generation, shown.branch) == (state.generation, state.branch):
            assert turn.expected.is_accepted, self._explain(
                "a cached copy was taken where it must not"
            )
            return
        longest_ms = config.cookie_cache.max_age_ms - config.rotation_grace_ms + self.skew_ms
        assert shown.at_ms - state.begun_at_ms < longest_ms, self._explain(
            "a cached copy was taken too long after its token was followed by another"
        )

    def _check_answer(
        self, browser: Browser, before: str | None, turn: Turn, *, has_arrived: bool = True
    ) -> None:
        """Check which cookies an answer brought, to a request that the database has judged."""
        self._check_cookie(browser)
        session, now, expected = self._session_in(browser), self._text_in(browser), turn.expected
        if not expected.is_accepted:
            is_visitor = session is not None and session.user_id is None
            assert now == before or is_visitor, self._explain("a refused browser got a cookie")
            return
        exchange = browser.history[-1]
        answered_at_ms = exchange.answered_at_ms or exchange.at_ms
        if answered_at_ms - exchange.at_ms >= self.config.rotation_grace_ms:
            # A cookie that was decided on so long ago is not sent.
            expected = replace(expected, offer=None, may_be_copied=False)
        tokens, copies = self._read_cookies(browser)
        assert expected.may_be_copied or not copies, self._explain(
            "a cached copy was sent, and should not be"
        )
        assert len(tokens) == (expected.offer is not None), self._explain(
            f"{len(tokens)} tokens were sent, where {expected.offer or 'none'} should be"
        )
        wanted = before
        for token in tokens:
            wanted = self._check_offer(token, turn)
        if has_arrived:
            assert now == wanted, self._explain("the browser does not hold what it was sent")

    def _check_offer(self, token: PresentedToken | None, turn: Turn) -> str:
        """Check a token that was sent, and return its text."""
        session, expected = self._reference(token), turn.expected
        assert token is not None
        assert session is not None, self._explain("a token of another session was sent")
        assert token.is_signed_by_newest, self._explain("a token was sent under an older secret")
        assert token.generation == expected.generation, self._explain(
            f"generation {token.generation} was sent, and should be {expected.generation}"
        )
        if expected.offer == AGAIN:
            assert token.branch == turn.shown.branch, self._explain(
                "a token sent again has changed"
            )
        else:
            assert token.branch not in session.branches, self._explain("two offers are alike")
        session.branches.add(token.branch)
        if expected.offer == CATCH_UP:
            session.catch_ups.add(token.branch)
        return token.text

    def _read_cookies(
        self, browser: Browser, number: int = -1
    ) -> tuple[list[PresentedToken | None], list[str]]:
        """Return the session tokens and cached copies that an answer has set, or the last."""
        read = self.bench.manager.parts.signer.read
        lines = [parse_set_cookie(line) for line in browser.history[number].received]
        tokens = [read(each.value) for each in lines if each.name == self.token_name]
        copies = [each.value for each in lines if each.name == self.cache_name and each.value]
        return tokens, copies

    def _check_cookie(self, browser: Browser) -> None:
        exchange = browser.history[-1]
        flags = CookieFlags.of(self.config.cookie, is_https=exchange.url.startswith("https:"))
        for line in exchange.received:
            if is_session_cookie(line, self.config.cookie):
                fault = flags.find_fault(line) or self._find_fault_of_life(line, exchange.at_ms)
                assert fault is None, self._explain(str(fault))

    def _find_fault_of_life(self, line: str, at_ms: int) -> str | None:
        """Return why a token's cookie lasts too long, or not long enough."""
        cookie = parse_set_cookie(line)
        session = self._reference(self.bench.manager.parts.signer.read(cookie.value))
        if session is None:
            return None
        life_ms = session.cookie_life_ms(at_ms)
        if life_ms is None:
            is_lasting = cookie.max_age_s is not None or cookie.expires_at_ms is not None
            return "a cookie outlives the browser, and should not" if is_lasting else None
        if cookie.max_age_s is None:
            return "a cookie ends with the browser, and should not"
        # Seconds are whole, and the worker's clock may be ahead.
        if abs(cookie.max_age_s * 1000 - life_ms) > 1000 + self.skew_ms:
            return f"a cookie lasts {cookie.max_age_s} s, and should last {life_ms} ms"
        return None

    def _check_caching(self, answer: Response) -> None:
        answer = answer.unseen if isinstance(answer, LostResponse) else answer
        fault = find_cache_fault(answer, self.config.cookie)
        assert fault is None, self._explain(str(fault))
