"""``Exchange``: one request and its response, as ``SessionMiddleware`` drives them.

Applications get a ``SessionRequest`` instead, so that they cannot break their own response.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import ResponseStartedError, StoreUnavailableError
from ..records import EndReason, ReadOptions, RequestFacts
from ..sessions.creation import Replaced
from ..sessions.data import SessionData
from ..sessions.session import Session, SignIn, User
from ..sessions.step_up import StepUp
from ..transport.environ import (
    END_REASON_KEY,
    HTTPS_SCHEMES,
    REQUEST_KEY,
    SESSION_KEY,
    USER_KEY,
    read_facts,
)
from ..transport.response_headers import HeaderLines
from .known_devices import know_device
from .letting_go import LetsGo
from .request import SessionRequest
from .request_data import RequestData
from .request_state import RequestState
from .response_cookies import ResponseCookies

if TYPE_CHECKING:
    from ..manager import SessionManager
    from ..transport.cookies import PresentedCookies

_AGAIN = ReadOptions(authoritative=True, allow_refresh=False)


class Exchange(LetsGo):
    """The session of one request: looked up, changed by the application, sent as cookies.

    Every request makes one: what most leave as it is stands in the class.
    """

    has_inner = False
    """Whether another manager's middleware serves the request within this one."""
    end_reason: EndReason | None = None
    is_database_away = False
    is_from_database = True
    """Whether the database was asked for the session, and not a cached copy alone."""
    is_serving = False
    has_begun = False
    """Whether the response has begun, so that no cookie can be added."""
    is_streaming = False
    """Whether a change of data is saved as it is made: nothing of ours runs at the end."""
    is_hidden = False
    """Whether the browser holds a session that may live on, and this request may not see."""
    _facts: RequestFacts | None = None
    _elsewhere_id: str | None = None
    _has_acted = False
    _cookies: ResponseCookies | None = None
    _data: RequestData | None = None
    _states: tuple[RequestState, ...] = ()

    def __init__(
        self, manager: SessionManager, environ: dict[str, Any], outer: SessionRequest | None = None
    ) -> None:
        self.manager = manager
        self.parts = manager.parts
        self.outer = outer
        self.session = None
        self.handle = SessionRequest(self)
        self.environs = (environ,)
        # What the application makes of its environ says nothing of the request.
        self.received = environ.copy()
        self.cookie_header: str | None = environ.get("HTTP_COOKIE")
        if outer is not None:
            outer._exchange.has_inner = True

    @property
    def facts(self) -> RequestFacts:
        if self._facts is None:
            self._facts = read_facts(self.received, self.parts.config)
        return self._facts

    @property
    def is_secure(self) -> bool:
        if self.parts.config.trusted_proxies:
            is_https = self.facts.is_https
        else:  # no other fact is needed
            is_https = self.received.get("wsgi.url_scheme") in HTTPS_SCHEMES
        return self.parts.cookies.is_secure_for(is_https=is_https)

    @property
    def _presented(self) -> PresentedCookies:
        return self.parts.cookies.read(self.cookie_header, is_secure=self.is_secure)

    @property
    def data(self) -> RequestData:
        """The session's data in this request; most requests do not ask for it."""
        if self._data is None:
            self._data = RequestData(self)
        return self._data

    # Before the app

    def validate(self, options: ReadOptions) -> None:
        """Look the session up, do what is due to it and show it in the environ.

        Raises ``StoreUnavailableError`` when the database must be asked and does not answer;
        the request is then that of a visitor with ``is_database_away``.
        """
        header = self.cookie_header
        # Visitors without our cookie are most of some sites' traffic: nothing is made for them.
        if (
            header
            and self.parts.config.cookie.name in header
            and (presented := self._presented).token_texts
        ):
            try:
                found = self.parts.validator.validate(
                    presented, facts=lambda: self.facts, options=options
                )
            except StoreUnavailableError:
                self.is_database_away = self.is_hidden = True
                self.is_from_database = False
                self.show()
                raise
            self.end_reason = found.end_reason
            self.is_hidden, self._elsewhere_id = found.is_hidden, found.elsewhere_id
            if found.session is not None:
                self.is_from_database = found.token is not None
                self.session = self.parts.validator.to_session(
                    found.session, found.user, now_ms=found.now_ms, here=self
                )
                if self.is_from_database and (
                    found.offer is not None or self.parts.config.cookie_cache.enabled
                ):
                    self.cookies_to_send().add_validated(found, presented)
        self.show()

    def ask_database(self) -> None:
        """Look the session up in the database, where only a cached copy was read so far.

        Also where the database was away. Nothing is written; a session that is not live is
        removed from this request. Raises ``StoreUnavailableError``.
        """
        if self.is_from_database:
            return
        found = self.parts.validator.validate(
            self._presented, facts=lambda: self.facts, options=_AGAIN
        )
        self.is_from_database, self.is_database_away = True, False
        self.is_hidden, self._elsewhere_id = found.is_hidden, found.elsewhere_id
        before, record = self.session, found.session
        if record is None:
            if before is not None and self.data.unsaved is None:
                self.session, self.end_reason = None, found.end_reason
                self.data.close()
        elif before is not None and before.id == record.id:
            now = self.parts.validator.to_session(record, found.user, now_ms=found.now_ms)
            before.record, before.user, before.judged_at_ms = now.record, now.user, now.judged_at_ms
        else:
            self.data.close()
            self.session = self.parts.validator.to_session(
                record, found.user, now_ms=found.now_ms, here=self
            )
        if record is not None and not self.has_begun:
            self.cookies_to_send().add_validated(found, self._presented)
        self.show()

    # Requests within this one

    def join(self, environ: dict[str, Any]) -> None:
        """Show the session in another environ of the same request, now and when it changes."""
        if not any(known is environ for known in self.environs):
            self.environs = (*self.environs, environ)
        self.show()

    def may_restart(self, environ: Mapping[str, Any]) -> bool:
        """Return whether a request that begins anew is this one, and must keep its cookies.

        So after an internal redirect, where the application has signed this browser in or out.
        """
        is_same_browser = environ.get("HTTP_COOKIE") == self.cookie_header
        is_unsent = not self.has_begun or bool(self._presented.tokens)
        return self._has_acted and is_same_browser and is_unsent

    def restart(self, environ: dict[str, Any]) -> None:
        self.has_begun = self.is_streaming = False
        self.join(environ)

    def is_within(self, environ: Mapping[str, Any]) -> bool:
        """Return whether an environ is that of a request within this one, by the same browser."""
        return self.is_serving and environ.get("HTTP_COOKIE") == self.cookie_header

    # With the headers, and after them

    def begin(self, app_headers: HeaderLines) -> HeaderLines:
        """Save what the application has set so far; return the cookies for its headers.

        A token in its headers is that of a sign-in or sign-out by an inner middleware that does
        not know of this one: what would only be repeated here is not sent.
        """
        if self._states:
            self._settle_with_table()
        if self._data is not None:
            self._data.save_with_headers()
        self.has_begun = True
        if self._cookies is None or (not self._has_acted and self._cookies.are_set_in(app_headers)):
            return []
        return self._cookies.lines_now()

    @property
    def has_dated_cookies(self) -> bool:
        """Whether the cookies to send may be others when the server sends the headers."""
        return self._cookies is not None and self._cookies.has_dated_lines

    def cookies_now(self) -> HeaderLines:
        return [] if self._cookies is None else self._cookies.lines_now()

    def undo_begin(self) -> None:
        """Note that the server did not take the headers, or is about to be given others."""
        self.has_begun = False

    def begin_without_app(self) -> HeaderLines:
        """Return the cookies to send with an answer that takes the place of the application's.

        What it did to sessions before it failed has happened, unless its transaction was rolled
        back; what it set in the session's data is dropped.
        """
        try:
            if self._states:
                self._settle_with_table()
        except StoreUnavailableError:
            # Lost within the application's transaction, which so was most likely rolled back.
            self._return_to(self._states[0])
        self.has_begun = True
        return self.cookies_now()

    def release(self) -> None:
        """Save; nothing of ours will run when the application's body ends."""
        self.is_serving, self.is_streaming = False, True
        if self._data is not None:
            self._data.save_streamed()
        else:
            self.let_go()

    def finish(self) -> None:
        """Do what is left when the response is out: save, and purge if that is due."""
        self.is_serving = False
        self.save_streamed()
        if self._data is None:
            self.let_go()
        self.parts.purger.purge_if_due()

    def save_streamed(self) -> None:
        if self._data is not None:
            self._data.save_streamed()

    # What the application does to the session

    def replaced(self) -> Replaced:
        """Return what a sign-in replaces, with its data stored.

        Asks the database: once their cookies are replaced, nothing here can end them.
        """
        self.ask_database()
        return Replaced(self.data.save_before_sign_in(), self._elsewhere_id)

    def sign_in(self, made: SignIn) -> SignIn:
        """Make a new session this browser's own, so that its data is saved with the response."""
        if made.session is None or made.token is None:
            return made
        self.before_act()
        self._drop_session()
        self.session = made.session
        self.session.here = self
        self.end_reason = None
        self._cookies = None
        record, user = made.session.record, made.user.record
        self.cookies_to_send().add_session(record, user, made.token)
        know_device(self, user)
        self.after_act()
        self.show()
        return made

    def sign_out(self, reason: EndReason, *, ended_ids: tuple[str, ...]) -> None:
        """Clear this browser's cookies: its sessions have ended."""
        self.before_act()
        if self.session is not None:
            self.end_reason = reason
        self.session = None
        self._drop_session()
        self.cookies_to_send().add_clearing(self.cookie_header)
        self.after_act(ended_ids=ended_ids)
        self.show()

    def step_up(self, made: StepUp) -> None:
        """Give this browser what it is to show for a step-up; the session counts as fresh now."""
        self.before_act()
        if self.session is not None:  # judged minutes ago, maybe; no proof of the future counts
            self.session.judged_at_ms = max(self.session.judged_at_ms, made.at_ms)
        self.cookies_to_send().add_step_up(made, shown=self.find_step_ups(made.session_id))
        self.after_act()

    def find_step_ups(self, session_id: str) -> Iterator[int]:
        """Yield when the user stepped up in a session, as the cookies of this browser say."""
        shown = self.parts.cookies.read_step_ups(self.cookie_header, is_secure=self.is_secure)
        texts = (*shown, *(self._cookies.step_ups if self._cookies else ()))
        return self.parts.step_ups.read(texts, session_id=session_id, facts=self.facts)

    def _drop_session(self) -> None:
        self.data.close()
        self.is_hidden, self._elsewhere_id = False, None

    def change_user(self, user: User) -> None:
        """Show a user as they are now, in this request and in this browser's cached copy."""
        assert self.session is not None
        self.session.user = user
        self.cookies_to_send().replace_copy(self.session.record, user.record)
        self.after_act(is_user_changed=True)
        self.show()

    def presented_session_ids(self) -> tuple[str, ...]:
        """Return the ids of the sessions that this browser holds a token of, its own first."""
        is_stored = self.session is not None and self.data.unsaved is None
        own = [self.session.id] if self.session is not None and is_stored else []
        return tuple(dict.fromkeys([*own, *(token.session_id for token in self._presented.tokens)]))

    def require_unsent(self, action: str) -> None:
        """Raise ``ResponseStartedError`` if no cookie can be sent any more."""
        if self.has_begun:
            raise ResponseStartedError(
                f"the headers are out, so no cookie can go with them; {action} before "
                "start_response is called"
            )

    # What the application's transaction undoes

    @property
    def may_be_undone(self) -> bool:
        """Whether what is written now is undone if the application's transaction is."""
        return self.parts.connections.is_within_app_transaction

    def before_act(self) -> None:
        """Keep the present state, if the application's transaction may undo what follows."""
        self._has_acted = True
        if not self._states and self.may_be_undone:
            self._states = (self._state(),)

    def after_act(self, *, ended_ids: tuple[str, ...] = (), is_user_changed: bool = False) -> None:
        """Keep the state after an act, if the application's transaction may undo it."""
        if self._states:
            state = self._state()._replace(ended_ids=ended_ids, is_user_changed=is_user_changed)
            self._states = (*self._states, state)

    def _state(self) -> RequestState:
        session, data = self.session, self.data
        user = None if session is None else session.user
        cookies = None if self._cookies is None else replace(self._cookies)
        return RequestState(session, user, self.end_reason, cookies, data.opened, data.unsaved)

    def _settle_with_table(self) -> None:
        """Return to the last state that the table agrees with, the first if with none."""
        states, count = self._states, len(self._states)
        while count > 1 and not states[count - 1].is_true_in(self.parts):
            count -= 1
        if count < len(states):
            self._return_to(states[count - 1])
        self._states = states[:count] if self.may_be_undone else ()

    def _return_to(self, state: RequestState) -> None:
        self.data.restore(state.data, state.unsaved)
        self.session, self.end_reason = state.session, state.end_reason
        if self.session is not None:
            self.session.user = state.user
        self._cookies = state.cookies
        self._states = ()
        self.show()

    def cookies_to_send(self) -> ResponseCookies:
        if self._cookies is None:
            self._cookies = ResponseCookies(self.parts, self.is_secure)
        return self._cookies

    def show(self) -> None:
        """Set the environ's keys to what is true now."""
        user = None if self.session is None else self.session.user
        for environ in self.environs:
            environ[SESSION_KEY] = self.session
            environ[USER_KEY] = user
            environ[REQUEST_KEY] = self.handle
            environ[END_REASON_KEY] = self.end_reason

    def open_data(self, session: Session) -> SessionData:
        self.take_back_session(session)
        return self.data.open(session)
