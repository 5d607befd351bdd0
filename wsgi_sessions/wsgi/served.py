"""Which exchange serves an environ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..transport.environ import END_REASON_KEY, REQUEST_KEY, SESSION_KEY, find_handle

if TYPE_CHECKING:
    from ..manager import SessionManager
    from .exchange import Exchange

SESSION_SOURCES = ("cached", "database", "none", "ended", "away")


def find_exchange(environ: Mapping[str, Any], manager: SessionManager) -> Exchange | None:
    handle = find_handle(environ, manager.parts)
    return None if handle is None else handle._exchange


def is_served(environ: Mapping[str, Any], manager: SessionManager) -> bool:
    """Return whether a middleware of the manager, as the innermost one, serves this environ."""
    exchange = find_exchange(environ, manager)
    if exchange is None or environ[REQUEST_KEY] is not exchange.handle:
        return False
    return exchange.is_within(environ)


def session_source(environ: Mapping[str, Any]) -> str | None:
    """Return where the session of a request came from; None for one that is not ours.

    Asked when the request is over, and takes nothing back that was let go.
    """
    handle: Any = environ.get(REQUEST_KEY)
    if not hasattr(handle, "_held"):
        return None
    exchange: Exchange = handle._held
    if exchange.is_database_away:
        return "away"
    if environ.get(SESSION_KEY) is None:
        return "none" if environ.get(END_REASON_KEY) is None else "ended"
    return "database" if exchange.is_from_database else "cached"


def share_session(environ: dict[str, Any], original: dict[str, Any]) -> None:
    """Show the session in the environ of a framework's request, if the app was given a copy.

    A copy is made inside another manager's middleware, outside of which the keys stay its own.
    """
    if environ is not original and REQUEST_KEY in environ:
        environ[REQUEST_KEY]._exchange.join(original)
