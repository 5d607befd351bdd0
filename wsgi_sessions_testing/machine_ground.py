"""``MachineGround``: what a ``SessionMachine`` stands on, and how it checks each request.

Must not believe the product: what has to come of each request is worked out by the oracle.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from wsgi_sessions.records import PresentedToken

from .answers import CookieFlags, find_cache_fault, is_session_cookie
from .bench import Bench, config_for_tests
from .browser import Browser
from .extras import from_extra
from .network import LostResponse
from .oracle import Expected, ReferenceSession, Standing
from .seam import SessionReads, unwatched
from .set_cookie import parse_set_cookie
from .settings import with_changes

with from_extra("testing", "Hypothesis", "SessionMachine"):
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from webob import Response  # type: ignore[import-untyped, unused-ignore]

__all__ = ["DEVICES", "KEYS", "PLACES", "MachineGround", "standing_of"]

DEVICES = ("Firefox on Linux", "Safari on iPhone", "Chrome on Windows")
PLACES = (
    *("127.0.0.1", "127.0.0.77", "203.0.113.66"),
    *("2001:db8:66::66", "2001:db8:66::77", "2001:db8:66:1::66"),
)
"""Where browsers are, one after the other, if sessions are bound to addresses."""
KEYS = ("session_machine: a", "session_machine: b")
"""What the machine keeps in the data of sessions; the app's own keys are its own affair."""
SKEW_MS = 2000
LATE_MS = 20_000
"""A response that has not arrived by then never will."""


class MachineGround(RuleBasedStateMachine):
    """The app on its bench, and a reference of every session there is."""

    settings: ClassVar[dict[str, Any]] = {}
    page: ClassVar[str | None] = None

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
        self.is_bound = False
        self.is_cached = False

    @initialize()
    def open(self) -> None:
        app = self.make_app()
        config = with_changes(config_for_tests(app), dict(self.settings))
        self._bench = Bench(app, config=config)
        bench = self.bench = self._bench.__enter__()
        self.config, self.clock = bench.manager.config, bench.clock
        self.app = app
        self.is_bound = self.config.ip_binding != "off"
        self.is_cached = self.config.cookie_cache.enabled
        # Clocks have to differ by less than the grace, or the product promises nothing.
        self.skew_ms = min(SKEW_MS, self.config.rotation_grace_ms // 4)
        self.late_ms = min(LATE_MS, self.config.rotation_grace_ms // 2)
        self.workers = bench.workers(2, skew=timedelta(milliseconds=self.skew_ms))
        self.reads = SessionReads()
        self.reads_before_app = 0
        for worker in self.workers:
            store: Any = worker.manager.store
            store.watchers.append(self.reads)
            worker.middleware.app = self._noting_reads(worker.middleware.app)
        self.browsers = [bench.new_browser(name) for name in DEVICES]
        self.data: dict[str, dict[str, list[int]]] = {}

    def teardown(self) -> None:
        if self._bench is not None:
            self._bench.__exit__(None, None, None)

    def _noting_reads(self, app: WSGIApplication) -> WSGIApplication:
        """Tell the reads of a request's validation from those of the app that follow it."""

        def noting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self.reads_before_app = self.reads.count
            return app(environ, start_response)

        return noting

    # What must hold

    @invariant()
    def rows_are_as_the_past_says(self) -> None:
        if self._bench is not None:
            self._compare_rows()

    # Under the bonnet

    def _compare_rows(self) -> None:
        for session in self.sessions.values():
            row = self._row_unless_purged(session)
            if row is None:
                continue
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
            kept = {key: value for key, value in stored.items() if key in KEYS}
            assert kept == self.data[session.id], self._told("session data was lost")

    def _row_unless_purged(self, session: ReferenceSession) -> Any:
        """Return a session's row, or None if that was purged when it might be."""
        row = self._find_row(session.id)
        assert row is not None or self._may_be_purged(session), self._told("a row is gone")
        return row

    def _may_be_purged(self, session: ReferenceSession) -> bool:
        """Tell whether a session has been over for as long as its record is kept.

        Who ended it may be behind, and who cleans up ahead.
        """
        over_at_ms = session.tell().expires_at_ms
        if session.ended_at_ms is not None:
            over_at_ms = min(over_at_ms, session.ended_at_ms - self.skew_ms)
        return self.clock.now_ms() + self.skew_ms >= over_at_ms + self.config.keep_ended_ms

    def _be_signed_in(self, which: int) -> None:
        """Sign in where nobody is: most of what can happen, happens to those who are."""
        raise NotImplementedError

    def _rotate(self, which: int, worker: int) -> None:
        """Let a day pass; the token is offered and confirmed."""
        self._advance(self.config.update_age_ms)
        self._look(self.browsers[which], worker)
        self._look(self.browsers[which], worker)

    def _seat(self, which: int, worker: int) -> Browser:
        return self.browsers[which].through(self.workers[worker])

    def _held(self, browser: Browser) -> PresentedToken | None:
        token = self.bench.manager.signer.read(browser.session_token or "")
        if token is not None and token.session_id not in self.sessions:
            self._meet(token.session_id)
        return token

    def _meet(self, session_id: str) -> None:
        """Take in a session that the app itself began for a visitor."""
        found = unwatched(self.bench.manager.store).find_session(session_id)
        if found is None or found[0].user_id is not None:
            return
        row = found[0]
        self.sessions[session_id] = ReferenceSession(
            session_id,
            None,
            self.config,
            row.authenticated_at_ms,
            is_remembered=row.remember,
            bound_to=row.ip_address,
            base=standing_of(row),
            validated_at_ms=self.clock.now_ms() + self.skew_ms,
        )
        self.data[session_id] = {}

    def _reference(self, held: PresentedToken | None) -> ReferenceSession | None:
        return None if held is None else self.sessions.get(held.session_id)

    def _is_live(self, session: ReferenceSession) -> bool:
        return self._expect_now(session).is_accepted

    def _expect_now(self, session: ReferenceSession) -> Expected:
        return session.expect(1 << 20, self.clock.now_ms())

    def _expect(
        self,
        browser: Browser,
        worker: int,
        *,
        place: str | None = None,
        is_reissued: bool = False,
    ) -> Expected:
        held = self._held(browser)
        session = self._reference(held)
        if held is None or session is None:
            return Expected(False)
        return session.expect(
            held.generation,
            self.workers[worker].clock.now_ms(),
            is_elsewhere=session.is_elsewhere(place or browser.address),
            is_reissued=is_reissued,
        )

    def _apply(self, held: PresentedToken, expected: Expected, worker: int) -> None:
        session = self.sessions[held.session_id]
        at_ms = self.workers[worker].clock.now_ms()
        if expected.is_accepted:
            session.accept(held.generation, at_ms)
        elif expected.end_reason is not None:
            session.end(expected.end_reason, self.clock.now_ms())

    def _look(
        self,
        jar: Browser,
        worker: int,
        act: Callable[[Any], Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        place: str | None = None,
        leaves: bool = False,
        is_reissued: bool = False,
    ) -> Any:
        """Send a request and check what it comes to; return the session that was let in.

        ``act`` is done with the handle if there is a session. ``place`` is where the request
        comes from, if that is not the browser's address. ``leaves``: it ends its own session.
        """
        browser = jar.through(self.workers[worker])
        held = self._held(browser)
        expected = self._expect(browser, worker, place=place, is_reissued=is_reissued)
        before = browser.session_token
        self.reads.count = read_count = 0

        def look(handle: Any) -> Any:
            nonlocal read_count
            read_count, seen = self.reads.count, handle.session
            if seen is not None and act is not None:
                act(handle)
            return seen

        seen = browser._with_handle("look", look, headers=headers)
        if held is None or held.session_id not in self.sessions:
            assert seen is None, self._told("a session came from nowhere")
            return None
        session = self.sessions[held.session_id]
        assert seen is None or seen.id == held.session_id, self._told("another session was given")
        if seen is not None:
            at_ms = self.workers[worker].clock.now_ms()
            assert seen.is_fresh == session.is_fresh(at_ms), self._told(
                f"a session is {'fresh' if seen.is_fresh else 'not fresh'}, and should not be so"
            )
        if read_count == 0:
            self._check_cached(session, seen, expected, worker)
            return seen
        assert (seen is not None) == expected.is_accepted, self._told(
            f"{'let in' if seen else 'refused'}, and should have been "
            f"{'let in' if expected.is_accepted else f'refused as {expected.end_reason}'}"
        )
        is_late = held.generation < session.tell().generation
        self._apply(held, expected, worker)
        if leaves and seen is not None:
            return seen
        self._check_token(browser, before, expected)
        self._check_cookie(browser)
        if is_late and seen is not None:
            lines = browser.history[-1].received
            assert not any(is_session_cookie(line, self.config.cookie) for line in lines), (
                self._told("a request in grace was given a cookie")
            )
        if is_reissued and seen is not None and expected.offer is not None:
            now = self._held(browser)
            is_replaced = now is not None and now.is_signed_by_newest
            assert is_replaced, self._told("a token under an older secret was not replaced")
        return seen

    def _check_cached(
        self, session: ReferenceSession, seen: Any, expected: Expected, worker: int
    ) -> None:
        """A cached copy stands in for a live session alone, or one that ended within the lag."""
        if seen is None:
            return
        age_ms = self.workers[worker].clock.now_ms() - session.validated_at_ms
        assert age_ms < self.config.cookie_cache.max_age_ms, self._told(
            f"a cached copy was taken {age_ms} ms after the session was last validated"
        )
        if session.is_user_gone:
            return  # which no copy can know
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
            session = self._reference(now)
            is_visitor = session is not None and session.user_id is None
            assert browser.session_token == before or is_visitor, self._told(
                "a refused browser got a cookie"
            )
            return
        wanted = old.generation if expected.offer is None else expected.offer
        assert now is not None, self._told("the browser lost a session that was let in")
        assert now.session_id == old.session_id, self._told("the browser was given another session")
        assert now.generation == wanted, self._told(
            f"the browser holds generation {now.generation}, and should hold {wanted}"
        )

    def _check_cookie(self, browser: Browser) -> None:
        exchange = browser.history[-1]
        flags = CookieFlags.of(self.config.cookie, is_https=exchange.url.startswith("https:"))
        for line in exchange.received:
            if is_session_cookie(line, self.config.cookie):
                fault = flags.find_fault(line) or self._find_fault_of_life(line)
                assert fault is None, self._told(str(fault))

    def _find_fault_of_life(self, line: str) -> str | None:
        """Return why a token's cookie lasts too long, or not long enough."""
        cookie = parse_set_cookie(line)
        session = self._reference(self.bench.manager.signer.read(cookie.value))
        if session is None:
            return None
        if not session.is_remembered:
            is_lasting = cookie.max_age_s is not None or cookie.expires_at_ms is not None
            return "a cookie outlives the browser, and should not" if is_lasting else None
        if cookie.max_age_s is None:
            return "a cookie ends with the browser, and should not"
        ends_at_ms = self.clock.now_ms() + cookie.max_age_s * 1000
        # Seconds are whole, and the worker's clock may be ahead.
        is_short = ends_at_ms + 1000 + self.skew_ms < session.tell().expires_at_ms
        return "a cookie ends before its session" if is_short else None

    def _check_caching(self, answer: Response) -> None:
        answer = answer.unseen if isinstance(answer, LostResponse) else answer
        fault = find_cache_fault(answer, self.config.cookie)
        assert fault is None, self._told(str(fault))

    def _lies(self, browser: Browser) -> dict[str, str]:
        """Return headers that claim the address a session is bound to, from one that may not."""
        session = self._reference(self._held(browser))
        place = ipaddress.ip_address(browser.address or PLACES[0])
        if not self.is_bound or session is None or session.bound_to is None:
            return {}
        if any(place in network for network in self.config.trusted_proxies):
            return {}
        return {"X-Forwarded-For": session.bound_to}

    def _advance(self, milliseconds: int) -> None:
        if milliseconds <= 0:
            return
        held_ms = self.held_since_ms
        if held_ms is not None and self.clock.now_ms() + milliseconds > held_ms + self.late_ms:
            self._settle()
        self.clock.advance(milliseconds=milliseconds)

    def _settle(self) -> None:
        """What is on its way for too long is lost."""
        self.bench.network._held.clear()
        self.held_since_ms = None

    def _row(self, session_id: str) -> Any:
        row = self._find_row(session_id)
        assert row is not None, self._told("a row is gone")
        return row

    def _find_row(self, session_id: str) -> Any:
        found = unwatched(self.bench.manager.store).find_session(session_id)
        return None if found is None else found[0]

    def _told(self, what: str) -> str:
        stories = [f"{browser!r}\n{browser.story()}" for browser in (*self.browsers, *self.loot)]
        return "\n\n".join([what, *stories])


def standing_of(row: Any) -> Standing:
    """Return where a row says that its session stands."""
    return Standing(row.generation, row.confirmed_at_ms, row.expires_at_ms, row.last_seen_at_ms)
