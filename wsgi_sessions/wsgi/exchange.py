"""One request's session as the middleware drives it: validated, shown, saved, sent.

Must not run the use cases: ``request.py`` adds what the app calls, on top of this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import ResponseStartedError, SessionDataLostError, StoreUnavailableError
from ..manager import SessionManager
from ..records import EndReason, ReadOptions, SessionRecord
from ..sessions.session import Session, SessionData, User
from ..sessions.validation import Validation
from ..transport.environ import asks_for_json, inject, read_facts
from ..transport.response_headers import HeaderLines
from .response_cookies import ResponseCookies

__all__ = ["Exchange"]

Operations = Mapping[str, str | None]

_AGAIN = ReadOptions(authoritative=True, allow_refresh=False)


class _State(NamedTuple):
    """What a request says of its session after one act within the app's transaction.

    It holds if the row of ``session`` is live (and its user as it was changed) and none of the
    sessions in ``ended_ids`` is.
    """

    session: Session | None
    user: User | None
    end_reason: EndReason | None
    cookies: ResponseCookies | None
    data: SessionData | None
    unsaved: tuple[SessionRecord, str] | None
    ended_ids: tuple[str, ...] = ()
    is_user_changed: bool = False


class Exchange:
    """What the middleware calls; ``SessionRequest`` is what the app has of it."""

    __slots__ = (
        "_cookie_header",
        "_data",
        "_elsewhere_id",
        "_environ",
        "_has_acted",
        "_has_begun",
        "_is_data_refused",
        "_is_hidden",
        "_is_let_go",
        "_is_unasked",
        "_other_environs",
        "_presented",
        "_response_cookies",
        "_states",
        "_uncertain",
        "_unsaved",
        "end_reason",
        "facts",
        "has_inner",
        "is_database_away",
        "is_secure",
        "is_serving",
        "manager",
        "outer",
        "session",
    )

    def __init__(
        self, manager: SessionManager, environ: dict[str, Any], *, outer: Exchange | None = None
    ) -> None:
        self.manager = manager
        self.session: Session | None = None
        self.end_reason: EndReason | None = None
        self.facts = read_facts(environ, manager.config)
        self.is_secure = manager.cookies.is_secure_for(is_https=self.facts.is_https)
        self.is_database_away = False
        self.is_serving = False
        self.outer = outer
        self.has_inner = False
        if outer is not None:
            outer.has_inner = True
        self._environ = environ
        # Not lists: most requests need none, and each that is made costs the visitor.
        self._other_environs: tuple[dict[str, Any], ...] = ()
        self._cookie_header = environ.get("HTTP_COOKIE")
        self._presented = manager.cookies.read(self._cookie_header, is_secure=self.is_secure)
        self._response_cookies: ResponseCookies | None = None
        self._states: tuple[_State, ...] = ()
        self._uncertain: tuple[tuple[SessionData, Operations], ...] = ()
        self._data: SessionData | None = None
        self._unsaved: tuple[SessionRecord, str] | None = None
        self._elsewhere_id: str | None = None
        self._has_acted = False
        self._has_begun = False
        self._is_data_refused = False
        self._is_hidden = False
        self._is_let_go = False
        self._is_unasked = False

    @property
    def user(self) -> User | None:
        """The signed-in user, or None."""
        return None if self.session is None else self.session.user

    @property
    def is_program(self) -> bool:
        """Whether the request asks for JSON rather than for a page."""
        return asks_for_json(self._environ)

    @property
    def is_from_database(self) -> bool:
        """Whether the database has said whose request this is, not a cached copy alone."""
        return not self._is_unasked

    # Before the app

    def validate(self, options: ReadOptions) -> None:
        """Look the session up, do what is due to it and show it in the environ.

        Raises ``StoreUnavailableError`` when the database must be asked and does not answer;
        the request is then that of a visitor with ``is_database_away``.
        """
        if self._presented.token_texts:
            try:
                found = self._look_up(options)
            except StoreUnavailableError:
                self.is_database_away = self._is_unasked = self._is_hidden = True
                self._inject()
                raise
            self.end_reason = found.end_reason
            self._is_hidden, self._elsewhere_id = found.is_hidden, found.elsewhere_id
            if found.session is not None:
                self._is_unasked = found.token is None
                self.session = self._show(found)
                if found.offer is not None or self.manager.config.cookie_cache.enabled:
                    self._prepare_cookies().post_after_validation(found, self._presented)
        self._inject()

    def ask_database(self) -> None:
        """Have the database say whose request this is, where only a cached copy has so far.

        Also where the database was away. Nothing is written; a session that is not live after
        all is gone from this request. Raises ``StoreUnavailableError``.
        """
        if not self._is_unasked:
            return
        found = self._look_up(_AGAIN)
        self._is_unasked = self.is_database_away = False
        self._is_hidden, self._elsewhere_id = found.is_hidden, found.elsewhere_id
        before, record = self.session, found.session
        if record is None:
            if before is not None and self._unsaved is None:
                self.session, self.end_reason = None, found.end_reason
                self._close_data()
        elif before is not None and before.id == record.id:
            before.renew(record, found.user, judged_at_ms=found.now_ms)
        else:
            self._close_data()
            self.session = self._show(found)
        if record is not None and not self._has_begun:
            self._prepare_cookies().post_after_validation(found, self._presented)
        self._inject()

    def _look_up(self, options: ReadOptions) -> Validation:
        validate = self.manager.validator.validate
        return validate(self._presented, facts=self.facts, options=options)

    # Requests within this one

    def join(self, environ: dict[str, Any]) -> None:
        """Show the session in another environ of the same request, now and when it changes."""
        if not any(known is environ for known in (self._environ, *self._other_environs)):
            self._other_environs = (*self._other_environs, environ)
        self._inject()

    def may_go_on(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether a request that begins anew is this one, and must not lose its cookies.

        So after an internal redirect: the app has signed in or out, and its answer, if it gave
        any, is replaced by that of another path. The browser has to be the same.
        """
        is_same_browser = environ.get("HTTP_COOKIE") == self._cookie_header
        is_unsent = not self._has_begun or bool(self._presented.tokens)
        return self._has_acted and is_same_browser and is_unsent

    def go_on(self, environ: dict[str, Any]) -> None:
        """Begin anew with what was done so far."""
        self._has_begun = self._is_let_go = False
        self.join(environ)

    def is_within(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether an environ is that of a request within this one, by the same browser."""
        return self.is_serving and environ.get("HTTP_COOKIE") == self._cookie_header

    # With the headers, and after them

    def begin(self, theirs: HeaderLines) -> HeaderLines:
        """Save what the app has set so far and return the cookies to send with its headers.

        A token that the app's headers set is that of a sign-in or sign-out further in, by a
        middleware that knew nothing of this one: what was to be repeated here yields to it.
        """
        self._settle_with_table()
        data = self._data
        if data is not None:
            try:
                self._save_data(also=self._undone_operations(data))
            except TypeError as error:
                # Told to the app once: the page on which it shows that has to get through.
                self._report_dropped(type(error).__name__)
                self._data = None
                raise
            if self._unsaved is not None:
                data.on_change = self._save_data  # which can only refuse now, and says why
        self._has_begun = True
        if self._response_cookies is None or (not self._has_acted and self._sets_our_token(theirs)):
            return []
        return self._response_cookies.lines_now()

    @property
    def has_dated_cookies(self) -> bool:
        """Whether the cookies to send may be others when the server sends the headers."""
        return self._response_cookies is not None and self._response_cookies.has_dated_lines

    def cookies_now(self) -> HeaderLines:
        """Return the cookies that go with headers sent now."""
        return [] if self._response_cookies is None else self._response_cookies.lines_now()

    def _sets_our_token(self, lines: HeaderLines) -> bool:
        start = f"{self.manager.cookies.token_name(is_secure=self.is_secure)}="
        return any(
            name.lower() == "set-cookie" and value.startswith(start) for name, value in lines
        )

    def take_back_beginning(self) -> None:
        """Take note that the server did not take the headers, or is about to be given others."""
        self._has_begun = False

    def begin_without_app(self) -> HeaderLines:
        """Return the cookies to send with an answer that takes the place of the app's.

        What the app did to sessions before it broke off has happened, so its cookies go out,
        unless its transaction was rolled back; what it set in the session's data is dropped
        with its answer.
        """
        try:
            self._settle_with_table()
        except StoreUnavailableError:
            # Lost within a transaction of the app's, which so was most likely rolled back.
            self._return_to(self._states[0])
        self._has_begun = True
        return self.cookies_now()

    @property
    def has_open_data(self) -> bool:
        """Whether the app holds the session's data, so that something may be left to save."""
        return self._data is not None

    def let_go(self) -> None:
        """Take note that nothing of ours will run when the app's body ends."""
        self._is_let_go = True
        self.is_serving = False
        if self._data is not None:
            self._data.on_change = self._save_data

    def save_streamed(self) -> None:
        """Save what a streamed body has set; the response is under way, so nothing may fail."""
        if self._data is not None:
            try:
                self._save_data()
            except (StoreUnavailableError, ResponseStartedError, TypeError) as error:
                self._report_dropped(type(error).__name__)

    def finish(self) -> None:
        """Do what is left when the response is out: save, and purge if that is due."""
        self.is_serving = False
        self.save_streamed()
        self.manager.purger.purge_if_due()

    # What the app's transaction undoes

    def _before_act(self) -> None:
        """Keep what is so far, if the app's transaction may undo what comes."""
        self._has_acted = True
        if not self._states and self.manager.connections.is_within_app_transaction:
            self._states = (self._state(),)

    def _after_act(self, *, ended_ids: tuple[str, ...] = (), is_user_changed: bool = False) -> None:
        if self._states:
            state = self._state()._replace(ended_ids=ended_ids, is_user_changed=is_user_changed)
            self._states = (*self._states, state)

    def _state(self) -> _State:
        cookies = None if self._response_cookies is None else self._response_cookies.copy()
        return _State(self.session, self.user, self.end_reason, cookies, self._data, self._unsaved)

    def _settle_with_table(self) -> None:
        """Return to the last state that the table agrees with, the first if with none."""
        if not self._states:
            return
        last = len(self._states) - 1
        position = next(
            (number for number in range(last, 0, -1) if self._holds(self._states[number])), 0
        )
        states = self._states[: position + 1]
        if position != last:
            self._return_to(states[-1])
        self._states = states if self._may_yet_be_undone else ()

    @property
    def _may_yet_be_undone(self) -> bool:
        """Whether the app's transaction goes on; if it fails, other headers take our place."""
        return self.manager.connections.is_within_app_transaction

    def _holds(self, state: _State) -> bool:
        if any(self.manager.is_live(session_id) for session_id in state.ended_ids):
            return False
        if state.session is None or state.unsaved is not None:
            return True
        found = self.manager.store.sessions.find(state.session.id)
        if found is None or found[0].ended_at_ms is not None:
            return False
        return not state.is_user_changed or (
            state.user is not None and found[1] == state.user.record
        )

    def _return_to(self, state: _State) -> None:
        if state.data is not self._data:
            self._close_data()
        self.session, self.end_reason = state.session, state.end_reason
        if self.session is not None:
            self.session.user = state.user
        self._response_cookies, self._data, self._unsaved = state.cookies, state.data, state.unsaved
        if self._data is not None:
            self._data.on_change = None
        self._states = ()
        self._inject()

    def _undone_operations(self, data: SessionData) -> Operations:
        """Return what was stored of the data within the app's transaction, and is not there."""
        operations: dict[str, str | None] = {}
        for owner, stored in self._uncertain:
            if owner is data:
                operations.update(stored)
        if not self._may_yet_be_undone:
            self._uncertain = ()
        if not operations or self.session is None:
            return {}
        if self._unsaved is None:
            found = self.manager.store.sessions.find(self.session.id)
            if found is not None and (found[0].data, found[0].data_version) == data.known:
                return {}
        return operations

    # The session's data

    def _open_data(self, session: Session) -> SessionData:
        if session is self.session and self._unsaved is None:
            # What a copy says of a session is no right to its data.
            self.ask_database()
        is_ours = session is self.session
        data = self.manager.open_data(session) if is_ours else SessionData(("{}", 0))
        if is_ours or self._data is None:
            self._data, self._is_data_refused = data, not is_ours
            if self._is_let_go or (self._has_begun and self._unsaved is not None):
                # Nothing will be saved when the body ends, so store each change as it is made.
                data.on_change = self._save_data
        return data

    def _save_data(self, *, also: Operations | None = None, may_refuse: bool = True) -> None:
        """Store what was changed; ``also`` was stored before, and rolled back."""
        data, session = self._data, self.session
        if data is None or (session is None and not self._is_data_refused):
            return
        operations = {**(also or {}), **data.operations()}
        if not operations:
            return
        if session is None or self._is_data_refused:
            self._lose_data("the session had ended", may_refuse=may_refuse)
        elif self._unsaved is not None and self._is_hidden:
            self._lose_data("the browser holds another session", may_refuse=may_refuse)
        elif self._unsaved is not None:
            self._require_unsent("write to an anonymous session's data for the first time")
            self._insert_anonymous(data, operations)
        else:
            stored = self.manager.store.sessions.merge_data(
                session.id, operations, known=data.known
            )
            if stored is None:
                self._lose_data("the session ended meanwhile", may_refuse=may_refuse)
                return
            data.mark_stored(stored)
            self._note_uncertain(data, operations)

    def _insert_anonymous(
        self, data: SessionData, operations: Operations, *, has_cookie: bool = True
    ) -> None:
        assert self._unsaved is not None
        self._before_act()
        record, token = self._unsaved
        values = {key: json.loads(text) for key, text in operations.items() if text is not None}
        text = json.dumps(values, separators=(",", ":"), sort_keys=True)
        self.manager.store.sessions.insert(record._replace(data=text))
        self._unsaved = None
        data.mark_stored((text, record.data_version))
        self._note_uncertain(data, operations)
        if has_cookie:
            self._prepare_cookies().post_session(record, None, token)
        self._after_act()
        self.manager.events.emit(
            "session_created", session_id=record.id, address=self.facts.address
        )

    def _note_uncertain(self, data: SessionData, operations: Operations) -> None:
        if self.manager.connections.is_within_app_transaction:
            self._uncertain = (*self._uncertain, (data, operations))

    def _lose_data(self, why: str, *, may_refuse: bool) -> None:
        """Tell that data is lost: by an event, and to the client if it is to be told."""
        self._report_dropped(why)
        self._data = None
        if may_refuse and not self._has_begun and self.manager.config.on_lost_data == "conflict":
            raise SessionDataLostError("what you changed could not be kept, because " + why)

    def _close_data(self) -> None:
        """Let go of the data of a session that is no longer this browser's."""
        if self._data is not None:
            self._data.on_change = lambda: self._report_dropped("the session was replaced")
        self._data = None
        self._unsaved = None
        self._is_data_refused = False

    def _report_dropped(self, why: str) -> None:
        session = self.session
        self.manager.events.emit(
            "data_dropped",
            session_id=None if session is None else session.id,
            user_id=None if session is None else session.user_id,
            details={"why": why},
        )

    # Helpers

    def _show(self, found: Validation) -> Session:
        assert found.session is not None
        return self.manager.to_session(
            found.session, found.user, now_ms=found.now_ms, open_data=self._open_data
        )

    def _inject(self) -> None:
        session, end_reason = self.session, self.end_reason
        inject(self._environ, session=session, request=self, end_reason=end_reason)
        for environ in self._other_environs:
            inject(environ, session=session, request=self, end_reason=end_reason)

    def _prepare_cookies(self) -> ResponseCookies:
        """Return the cookies; most requests need none, so it is made when something is posted."""
        if self._response_cookies is None:
            self._response_cookies = ResponseCookies(self.manager, is_secure=self.is_secure)
        return self._response_cookies

    def _require_unsent(self, action: str) -> None:
        if self._has_begun:
            raise ResponseStartedError(
                f"the headers are out, so no cookie can go with them; {action} before "
                "start_response is called"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session={self.session!r})"
