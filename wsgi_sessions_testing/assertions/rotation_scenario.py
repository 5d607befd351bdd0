"""``RotationScenario``: gives each check of a rotation a browser whose token is just due."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.errors import StoreUnavailableError
from wsgi_sessions.sessions.session import Session

from ..browser.browser import Browser
from ..browser.history import Note
from ..browser.jar import CookieJar
from ..factories import Factories
from ..fakes.instrumentation import WRITE, StoreCall, WatchedStore
from .responses import is_session_cookie
from .steps import advance, fail, session_seen_by_app, wait_in_use

WINDOW_IN_GRACES = 3
"""How long after a confirmation any sibling is accepted, in units of ``rotation_grace``."""
_UNSAVED_MS = 30_000
"""How long browsers keep cookies off the disk (Chromium writes them every 30 seconds)."""


class RotationScenario:
    """Gives each check a browser like the asserted one, with a session of its own.

    ``begin`` returns that browser, whose token is due for rotation now, or in a while; its
    history is that of the check alone.
    """

    def __init__(self, browser: Browser, session: Session) -> None:
        manager = browser.manager
        config = manager.config
        self.config = config
        self.manager = manager
        self.clock = browser.clock
        self.grace_ms = config.rotation_grace_ms
        self.window_ms = WINDOW_IN_GRACES * config.rotation_grace_ms
        self.upload_ms = config.upload_grace_ms
        self.unsaved_ms = min(_UNSAVED_MS, self.grace_ms)
        self.interval_ms = rotation_interval_ms(session, config) or 0
        self.browser = browser
        self._original = browser
        self._original_session = session
        self._factories = Factories(manager)
        self._user = session.user or self._factories.make_user()
        self._begun_id: str | None = None

    def begin(
        self, what: str, *, generation: int = 0, is_settled: bool = True, due_in_ms: int = 0
    ) -> Browser:
        """Begin another session and return its browser; ``what`` names the check in the history."""
        self.clear()
        like, config = self._original_session, self.config
        age = timedelta(milliseconds=self.interval_ms - due_in_ms)
        made = self._factories.make_session(
            self._user,
            age=age,
            confirmed=age,
            refreshed=min(age, timedelta(milliseconds=config.update_age_ms))
            if like.is_remembered
            else None,
            last_seen=0,
            generation=generation,
            is_settled=is_settled,
            remember_me=like.is_remembered,
            address=like.record.ip_address,
            user_agent=self._original.user_agent,
            data=json.loads(like.record.data),
        )
        assert made.session is not None
        self._begun_id = made.session.id
        browser = self._original.fork()
        browser.cookies = CookieJar(self.clock)
        browser._history, browser._notes = [], []
        browser.adopt(made)
        browser.cookies.save()
        when = "now" if not due_in_ms else f"in {due_in_ms / 1000:g} s"
        text = f"{what}; a session is begun whose token is due for rotation {when}"
        now_ms = self.clock.now_ms()
        browser._notes.append(Note(now_ms, text, 0, len(browser._log.events)))
        self.browser = browser
        return browser

    def clear(self) -> None:
        """End the session of the check before."""
        if self._begun_id is not None:
            self.manager.revoke_session(self._begun_id)
            self._begun_id = None

    def lasts_unused(self, milliseconds: int) -> bool:
        """Return whether the session lasts this long without a request."""
        session = self.browser.session
        if session is None:
            return False
        left_ms = session.record.expires_at_ms - self.clock.now_ms()
        return milliseconds < left_ms and self.may_be_away(milliseconds)

    def may_be_away(self, milliseconds: int) -> bool:
        """Return whether the session is not idle after this long without a request."""
        idle_ms = self.config.idle_timeout_ms
        return idle_ms is None or milliseconds < idle_ms

    def wait(self, milliseconds: int, *, user: Browser | None = None) -> None:
        """Let time pass, with requests if the session would end as idle without them."""
        who = self.browser if user is None else user
        if self.config.idle_timeout_ms is not None and milliseconds > 0:
            session_seen_by_app(who)
        wait_in_use(who, milliseconds)

    def away(self, milliseconds: int) -> None:
        """Let time pass without a request."""
        advance(self.clock, milliseconds)

    def fork(self, browser: Browser, label: str) -> Browser:
        """Return a copy of a browser whose requests go, under a label, into the same history."""
        forked = browser.fork()
        forked._history, forked._notes = self.browser._history, self.browser._notes
        forked._label = label
        return forked

    def require(self, is_so: object, what: str) -> None:
        """Fail with the history of the check unless this is so."""
        if not is_so:
            fail(what, self.browser)

    @contextmanager
    def unwritable(self) -> Iterator[bool]:
        """Let no write reach the database; yield False where that is not possible."""
        store: Any = self.manager.parts.store
        if not isinstance(store, WatchedStore):
            yield False
            return
        with store.watched_by(_Unwritable()):
            yield True

    def sibling_of(self, token: str, *, generation: int) -> str:
        """Return another token of the session, of a branch that no browser was offered."""
        return self._factories.token_of(token, generation=generation)


def rotation_interval_ms(session: Session, config: SessionConfig) -> int | None:
    """Return how long after a confirmation a session's token is due for rotation, or None."""
    if not config.rotate_tokens:
        return None
    if session.is_remembered:
        return config.rotation_interval_ms
    return config.short_rotation_interval_ms


def time_left_ms(session: Session, config: SessionConfig) -> int:
    """Return how long a session like this lives after its token was first due, if it is used."""
    interval_ms = rotation_interval_ms(session, config) or 0
    left_ms = config.expires_in_ms
    if not session.is_remembered:
        left_ms = config.short_expires_in_ms - interval_ms
    elif interval_ms < config.update_age_ms:
        left_ms -= interval_ms  # it is not refreshed yet
    if config.absolute_timeout_ms is not None:
        left_ms = min(left_ms, config.absolute_timeout_ms - interval_ms)
    return left_ms


class _Unwritable:
    def around(self, call: StoreCall) -> Any:
        if call.kind == WRITE:
            raise StoreUnavailableError("the database is locked (as the assertion asked for)")
        return call.run()


def is_given_cookie(browser: Browser) -> bool:
    """Return whether the last answer set a session cookie, or the cookie of a cached copy."""
    cookie = browser.manager.config.cookie
    return any(is_session_cookie(line, cookie) for line in browser.history[-1].received)
