"""``LetsGo``: an object that holds what holds it only while a request is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

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
    _let_gone: tuple[Any, ...] = ()

    def let_go(self) -> None:
        """Hold session and handle no more; while somebody else does, they are found still."""
        if not self._let_gone:
            session, handle = self.session, self.handle
            self._let_gone = None if session is None else ref(session), ref(handle)
            self.environs = ()
            del self.session, self.handle

    def take_back(self) -> None:
        """Hold them again, as the request goes on."""
        if self._let_gone:
            self.session, self.handle = self.session, self.handle
            self._let_gone = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Find what was let go: it is in no ``__dict__`` then."""
            if name not in ("session", "handle") or not self._let_gone:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            found = self._let_gone[name == "handle"]
            return None if found is None else found()
