"""``LetsGo``: an object that holds what holds it only while a request is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..sessions.session import Session
    from .request import SessionRequest


class LetsGo:
    """Part of an ``Exchange``: session and handle, which the environ holds, and the environs.

    All of them hold the exchange. If it let none of them go, each request would leave garbage to
    the collector, and the server's own objects of the environ with it.
    """

    session: Session | None
    handle: SessionRequest
    environs: tuple[dict[str, Any], ...]
    has_let_go = False
    _kept_id: str | None = None

    def let_go(self) -> None:
        """Leave the session to the handle: who has that, or the session, brings it back."""
        if not self.has_let_go:
            self.has_let_go = True
            session = self.handle._kept = self.session
            self._kept_id = None if session is None else session.record.id
            self.session, self.environs = None, ()
            del self.handle

    def take_back(self, handle: SessionRequest) -> None:
        self.has_let_go = False
        self.handle, self.session = handle, handle._kept

    def take_back_session(self, session: Session) -> None:
        """Take a session back that was let go, if it is the one."""
        if self.has_let_go and session.record.id == self._kept_id:
            self.session = session
