"""The data of one request's session: opened, saved with the response, or reported as lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ResponseStartedError, SessionDataLostError, StoreUnavailableError
from ..light_dataclasses import dataclass
from ..records import SessionRecord
from ..sessions.data import SessionData
from ..sessions.session import Session
from ..storage.sessions import Operations, merged_data

if TYPE_CHECKING:
    from .exchange import Exchange

Unsaved = tuple[SessionRecord, str]
"""The record and the token of an anonymous session that has no row yet."""


@dataclass(slots=True, eq=False, repr=False)
class RequestData:
    """What an application has set in ``session.data`` during a request."""

    _exchange: Exchange
    opened: SessionData | None = None
    unsaved: Unsaved | None = None
    _is_refused: bool = False
    _uncertain: tuple[tuple[SessionData, Operations], ...] = ()

    def open(self, session: Session) -> SessionData:
        exchange = self._exchange
        if session is exchange.session and self.unsaved is None:
            # A cached copy of a session does not entitle to its data.
            exchange.ask_database()
        is_ours = session is exchange.session
        data = exchange.parts.reader.open_data(session) if is_ours else SessionData(("{}", 0))
        if is_ours or self.opened is None:
            self.opened, self._is_refused = data, not is_ours
            if exchange.is_streaming or (exchange.has_begun and self.unsaved is not None):
                data.on_change = self.save
        return data

    def start_anonymous(self) -> Session:
        """Return this browser's session, or an anonymous one that has no row yet."""
        exchange = self._exchange
        if exchange.session is None:
            exchange.require_unsent("start a session")
            record, token = exchange.parts.creation.make_record(
                None, facts=exchange.facts, remember=True
            )
            self.unsaved = (record, token)
            exchange.session = exchange.parts.validator.to_session(
                record, None, now_ms=record.created_at_ms, here=exchange
            )
            exchange.show()
        return exchange.session

    def save(self, *, also: Operations | None = None, may_refuse: bool = True) -> None:
        """Store what was changed; ``also`` was stored before, and rolled back."""
        exchange, data = self._exchange, self.opened
        session = exchange.session
        if data is None or (session is None and not self._is_refused):
            return
        operations = {**(also or {}), **data.operations()}
        if not operations:
            return
        if session is None or self._is_refused:
            self._lose("the session had ended", may_refuse=may_refuse)
        elif self.unsaved is not None and exchange.is_hidden:
            self._lose("the browser holds another session", may_refuse=may_refuse)
        elif self.unsaved is not None:
            exchange.require_unsent("write to an anonymous session's data for the first time")
            self._insert_anonymous(data, operations)
        else:
            stored = exchange.parts.store.sessions.merge_data(
                session.id, operations, known=data.known
            )
            if stored is None:
                self._lose("the session ended meanwhile", may_refuse=may_refuse)
                return
            data.mark_stored(stored)
            self._note_uncertain(data, operations)

    def save_with_headers(self) -> None:
        """Save before the headers go out, also what the application's transaction has undone."""
        data = self.opened
        if data is None:
            return
        try:
            self.save(also=self._undone_operations(data))
        except TypeError as error:
            # Raised once: the page that shows the application's error has to get through.
            self.report_dropped(type(error).__name__)
            self.opened = None
            raise
        if self.unsaved is not None:
            data.on_change = self.save  # which can only refuse now, and says why

    def save_streamed(self) -> None:
        """Save what a streamed body has set; the response is under way, so nothing may fail."""
        try:
            self.save()
        except (StoreUnavailableError, ResponseStartedError, TypeError) as error:
            self.report_dropped(type(error).__name__)
        if self.opened is not None and self._exchange.is_streaming:
            self.opened.on_change = self.save

    def save_before_sign_in(self) -> str | None:
        """Save what a sign-in carries over; return the id of the session that it replaces."""
        session = self._exchange.session
        if session is None:
            return None
        data = self.opened
        if data is not None and self.unsaved is not None and self._exchange.is_hidden:
            operations = data.operations()
            if operations:
                self._insert_anonymous(data, operations, has_cookie=False)
        elif data is not None:
            self.save(may_refuse=False)
        return None if self.unsaved is not None else session.id

    def close(self) -> None:
        if self.opened is not None:
            self.opened.on_change = lambda: self.report_dropped("the session was replaced")
        self.opened = None
        self.unsaved = None
        self._is_refused = False

    def restore(self, opened: SessionData | None, unsaved: Unsaved | None) -> None:
        """Return to what was opened before the application's transaction was rolled back."""
        if opened is not self.opened:
            self.close()
        self.opened, self.unsaved = opened, unsaved
        if opened is not None:
            opened.on_change = None

    def report_dropped(self, why: str) -> None:
        session = self._exchange.session
        self._exchange.parts.events.emit(
            "data_dropped",
            session_id=None if session is None else session.id,
            user_id=None if session is None else session.user_id,
            details={"why": why},
        )

    def _undone_operations(self, data: SessionData) -> Operations:
        """Return what was stored of the data in the application's transaction, and is not there."""
        exchange = self._exchange
        operations: dict[str, str | None] = {}
        for owner, stored in self._uncertain:
            if owner is data:
                operations.update(stored)
        if not exchange.may_be_undone:
            self._uncertain = ()
        if not operations or exchange.session is None:
            return {}
        if self.unsaved is None:
            found = exchange.parts.store.sessions.find(exchange.session.id)
            if found is not None and (found[0].data, found[0].data_version) == data.known:
                return {}
        return operations

    def _insert_anonymous(
        self, data: SessionData, operations: Operations, *, has_cookie: bool = True
    ) -> None:
        assert self.unsaved is not None
        exchange = self._exchange
        exchange.before_act()
        record, token = self.unsaved
        text = merged_data("{}", operations)
        exchange.parts.store.sessions.insert(record._replace(data=text))
        self.unsaved = None
        data.mark_stored((text, record.data_version))
        self._note_uncertain(data, operations)
        if has_cookie:
            exchange.cookies_to_send().add_session(record, None, token)
        exchange.after_act()
        exchange.parts.events.emit(
            "session_created", session_id=record.id, address=exchange.facts.address
        )

    def _note_uncertain(self, data: SessionData, operations: Operations) -> None:
        if self._exchange.may_be_undone:
            self._uncertain = (*self._uncertain, (data, operations))

    def _lose(self, why: str, *, may_refuse: bool) -> None:
        """Report that data is lost: by an event, and to the client if the configuration says so."""
        exchange = self._exchange
        self.report_dropped(why)
        self.opened = None
        config = exchange.parts.config
        if may_refuse and not exchange.has_begun and config.on_lost_data == "conflict":
            raise SessionDataLostError(why)
