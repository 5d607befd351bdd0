"""``MachineBase``: the state of a ``SessionMachine``, and how it reads and compares rows."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.records import PresentedToken, SessionRecord
from wsgi_sessions.storage.sessions import session_fields

from ..assertions.steps import plant_token
from ..bench import Bench, config_for_tests
from ..browser.browser import Browser
from ..fakes.instrumentation import SessionReads, StoreCall, unwatched
from ..settings import with_changes
from .reference_model import Expected, ReferenceSession, Shown, Standing
from .rules import PLACES
from .theft import Theft

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DEVICES = ("Firefox on Linux", "Safari on iPhone", "Chrome on Windows")
KEYS = ("session_machine: a", "session_machine: b")
"""The keys of session data that the machine writes; those of the app are left alone."""
SKEW_MS = 2000
LATE_MS = 20_000
"""How long a response may be on its way; after that it is lost."""
UNSAVED_MS = 30_000
"""The most that a browser which crashes has not yet written to disk."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request to come with the token of a session: what it shows, and must come to."""

    held: PresentedToken
    session: ReferenceSession
    shown: Shown
    expected: Expected


class Locks:
    """Makes the writes of requests to their sessions fail, as if others held the lock."""

    def __init__(self) -> None:
        self.are_held = False

    def around(self, call: StoreCall) -> Any:
        if self.are_held and call.name == "sessions.apply":
            raise StoreUnavailableError("others hold the lock")
        return call.run()


class MachineBase(RuleBasedStateMachine):
    """The app on its bench, and a reference model of every session."""

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
        self.tampered: set[str] = set()
        """Sessions whose tokens a thief has used: their browsers may be signed out."""
        self.thefts: dict[str, Theft] = {}
        self.crashed: set[tuple[str, int]] = set()
        """Generations that a browser has lost by a crash: there is no more than one crash each."""
        self.failed_over: set[str] = set()
        """Sessions whose last write was lost once."""
        self.step_ups: dict[str, tuple[str, int]] = {}
        """By the text of its cookie: in which session a step-up was made, and when."""
        self.asking: Browser | None = None
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
        # The product needs clocks that differ by less than the grace.
        self.skew_ms = min(SKEW_MS, self.config.rotation_grace_ms // 4)
        self.late_ms = min(LATE_MS, self.config.rotation_grace_ms // 2)
        self.unsaved_ms = min(UNSAVED_MS, self.config.rotation_grace_ms)
        self.workers = bench.workers(2, skew=timedelta(milliseconds=self.skew_ms))
        self.reads = SessionReads()
        self.reads_before_app = 0
        self.locks = Locks()
        for worker in self.workers:
            store: Any = worker.manager.parts.store
            store.watchers += [self.reads, self.locks]
            worker.middleware.app = self._noting_reads(worker.middleware.app)
        self.browsers = [bench.new_browser(name) for name in DEVICES]
        self.is_secure = self.browsers[0]._is_secure
        self.cookie_url = self.browsers[0]._cookie_url
        self.token_name = bench.manager.parts.cookies.token_name(is_secure=self.is_secure)
        self.cache_name = bench.manager.parts.cookies.cache_name(is_secure=self.is_secure)
        self.fresh_name = bench.manager.parts.cookies.step_up_name(is_secure=self.is_secure)
        session = bench.manager.parts.models.session
        self._all_rows, _ = session.select(*session_fields(session).values()).sql()
        self.data: dict[str, dict[str, list[int]]] = {}

    def teardown(self) -> None:
        if self._bench is not None:
            self._bench.__exit__(None, None, None)

    def _noting_reads(self, app: WSGIApplication) -> WSGIApplication:
        """Count the reads of a request's validation apart from those of the app after it."""

        def noting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self.reads_before_app = self.reads.count
            return app(environ, start_response)

        return noting

    @invariant()
    def rows_are_as_the_past_says(self) -> None:
        if self._bench is not None:
            self._compare_rows()

    def _compare_rows(self) -> None:
        rows = self._read_rows()
        for session in self.sessions.values():
            row = rows.get(session.id)
            if row is None:
                assert self._may_be_purged(session), self._explain("a row is gone")
                continue
            reason = session.end_reason
            if row.end_reason != reason:
                # A sign-in may have ended a session that was past a limit.
                is_over = session.find_end(self.clock.now_ms()) == row.end_reason
                if reason is not None or not is_over:
                    raise AssertionError(
                        self._explain(
                            f"a session ended as {row.end_reason}, and should as {reason}"
                        )
                    )
                session.end(str(row.end_reason), self.clock.now_ms())
            if reason is not None:
                continue
            told, stored = session.tell(), standing_of(row)
            for name in (each.name for each in fields(told)):
                found, wanted = getattr(stored, name), getattr(told, name)
                assert found == wanted, self._explain(
                    f"a session has {name} {found}, and should have {wanted}"
                )
            kept = {key: items for key, items in json.loads(row.data).items() if key in KEYS}
            assert kept == self.data[session.id], self._explain("session data was lost")

    def _row_unless_purged(self, session: ReferenceSession) -> Any:
        """Return a session's row, or None if it was purged, at a time when it may be."""
        row = self._find_row(session.id)
        assert row is not None or self._may_be_purged(session), self._explain("a row is gone")
        return row

    def _may_be_purged(self, session: ReferenceSession) -> bool:
        """Return whether a session may have been over for as long as its record is kept.

        The clock that ended it may be behind, and that of the clean-up ahead.
        """
        over_at_ms = session.tell().expires_at_ms
        if session.ended_at_ms is not None:
            over_at_ms = min(over_at_ms, session.ended_at_ms - self.skew_ms)
        return self.clock.now_ms() + self.skew_ms >= over_at_ms + self.config.keep_ended_ms

    def _be_signed_in(self, which: int) -> None:
        """Sign a browser in that is signed out, since most rules need a session."""
        raise NotImplementedError

    def _come_to(self, which: int, moment: str, worker: int, off_by: int = 0) -> None:
        """Let time pass up to a moment in the life of a browser's token, if it is not over."""
        if moment == "now":
            return
        config, session = self.config, self._session_in(self.browsers[which])
        state = None if session is None else session.tell()
        due_ms = None if session is None or state is None else session.due_ms(state)
        begun_ms = self.clock.now_ms() if state is None else state.begun_at_ms
        if due_ms is None:
            due_ms = begun_ms + config.rotation_interval_ms
        at_ms = {
            "grace": begun_ms + config.rotation_grace_ms,
            "window": begun_ms + 3 * config.rotation_grace_ms,
            "upload": begun_ms + config.upload_grace_ms,
            "pause": due_ms - 2 * config.rotation_grace_ms,
            "early": due_ms - config.rotation_grace_ms,
            "due": due_ms,
            "refresh": begun_ms
            if session is None or state is None
            else session.refresh_due_ms(state),
            "late": due_ms + 3 * config.rotation_grace_ms,
        }[moment]
        self._advance(at_ms + off_by - self.workers[worker].clock.now_ms())

    def _browser_at(self, which: int, worker: int) -> Browser:
        return self.browsers[which].through(self.workers[worker])

    def _text_in(self, jar: Browser, name: str | None = None) -> str | None:
        """Return the session token that a jar would send, or its cookie of another name."""
        sent = jar.cookies.find_all(self.cookie_url)
        wanted = name or self.token_name
        return next((cookie.value for cookie in sent if cookie.name == wanted), None)

    def _plant(self, jar: Browser, text: str) -> None:
        """Replace the token in a jar."""
        session = self._session_in(jar)
        is_remembered = session is None or session.is_remembered
        max_age_s = self.config.expires_in_ms // 1000 if is_remembered else None
        plant_token(jar, text, max_age_s=max_age_s)

    def _held(self, browser: Browser) -> PresentedToken | None:
        token = self.bench.manager.parts.signer.read(self._text_in(browser) or "")
        if token is not None and token.session_id not in self.sessions:
            self._meet(token.session_id)
        return token

    def _meet(self, session_id: str) -> None:
        """Begin a reference of a session that the app itself began for a visitor."""
        row = self._find_row(session_id)
        if row is None or row.user_id is not None:
            return
        self.sessions[session_id] = ReferenceSession(
            session_id,
            None,
            self.config,
            row.authenticated_at_ms,
            is_remembered=row.remember,
            branch=row.branch,
            bound_to=row.ip_address,
            base=standing_of(row),
            validated_at_ms=self.clock.now_ms() + self.skew_ms,
        )
        self.data[session_id] = {}

    def _reference(self, held: PresentedToken | None) -> ReferenceSession | None:
        return None if held is None else self.sessions.get(held.session_id)

    def _session_in(self, jar: Browser) -> ReferenceSession | None:
        return self._reference(self._held(jar))

    def _sessions_of(self, user_id: object) -> list[ReferenceSession]:
        return [session for session in self.sessions.values() if session.user_id == user_id]

    def _note_item(self, session_id: str, key: str) -> None:
        """Note that session data has got one more item under a key."""
        items = self.data[session_id].setdefault(key, [])
        items.append(len(items))

    def _is_live(self, session: ReferenceSession) -> bool:
        return session.find_end(self.clock.now_ms()) is None

    def _note_theft(self, jar: Browser) -> None:
        """Note which generation a session has whose token a thief has from now on."""
        held = self._held(jar)
        session = self._reference(held)
        if held is not None and session is not None:
            latest = max(held.generation, session.tell().generation)
            self.thefts[session.id] = Theft(latest)

    def _turn(
        self,
        browser: Browser,
        worker: int,
        *,
        held: PresentedToken | None = None,
        place: str | None = None,
        has_long_body: bool = False,
    ) -> Turn | None:
        """Return what a request of a browser now must come to, or None if it has no session.

        ``held`` is the token that it shows, if not the jar's, and ``place`` the address that it
        comes from, if not the browser's.
        """
        held = held or self._held(browser)
        session = self._reference(held)
        if held is None or session is None:
            return None
        at_ms = self.workers[worker].clock.now_ms()
        is_older = not held.is_signed_by_newest
        shown = Shown(held.generation, held.branch, at_ms, has_long_body, is_older)
        is_elsewhere = session.is_elsewhere(place or browser.address)
        return Turn(held, session, shown, session.expect(shown, is_elsewhere=is_elsewhere))

    def _is_let_in(self, browser: Browser, worker: int, *, has_long_body: bool = False) -> bool:
        turn = self._turn(browser, worker, has_long_body=has_long_body)
        return turn is not None and turn.expected.is_accepted

    def _lies(self, browser: Browser) -> dict[str, str]:
        """Return forged headers with the address that a session is bound to."""
        session = self._session_in(browser)
        place = ipaddress.ip_address(browser.address or PLACES[0])
        if not self.is_bound or session is None or session.bound_to is None:
            return {}
        if any(place in network for network in self.config.trusted_proxies):
            return {}
        return {"X-Forwarded-For": session.bound_to}

    def _advance(self, milliseconds: int) -> None:
        if milliseconds <= 0:
            return
        now_ms = self.clock.now_ms()
        held_ms = self.held_since_ms
        if held_ms is not None and now_ms + milliseconds > held_ms + self.late_ms:
            self._lose_held()
        self.clock.advance(milliseconds=milliseconds)

    def _lose_held(self) -> None:
        """Lose the responses that have been on their way for too long."""
        self.bench.network._held.clear()
        self.held_since_ms = None

    def _row(self, session_id: str) -> Any:
        row = self._find_row(session_id)
        assert row is not None, self._explain("a row is gone")
        return row

    def _read_rows(self) -> dict[str, SessionRecord]:
        """Return all session rows by id; user ids are as the database stores them."""
        found = self.bench.manager.parts.connections.read_rows(self._all_rows, ())
        return {row[0]: SessionRecord._make(row) for row in found}

    def _find_row(self, session_id: str) -> Any:
        found = unwatched(self.bench.manager.parts.store).sessions.find(session_id)
        return None if found is None else found[0]

    def _explain(self, what: str) -> str:
        """Return a message with the history of each browser."""
        browsers = [*self.browsers, *self.loot]
        asking = self.asking
        if asking is not None and all(each._history is not asking._history for each in browsers):
            browsers.insert(0, asking)
        stories = [f"{browser!r}\n{browser.story()}" for browser in browsers]
        return "\n\n".join([what, *stories])


def standing_of(row: Any) -> Standing:
    """Return the standing of a session as its row has it."""
    return Standing(
        generation=row.generation,
        branch=row.branch,
        begun_at_ms=row.confirmed_at_ms,
        is_settled=bool(row.is_settled),
        has_caught_up=bool(row.caught_up),
        expires_at_ms=row.expires_at_ms,
        refreshed_at_ms=row.updated_at_ms,
        seen_at_ms=row.last_seen_at_ms,
        branch_before=row.branch_before,
    )
