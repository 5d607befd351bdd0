"""Which exchange serves an environ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..transport.environ import REQUEST_KEY, find_handle

if TYPE_CHECKING:
    from ..manager import SessionManager
    from .exchange import Exchange


def find_exchange(environ: Mapping[str, Any], manager: SessionManager) -> Exchange | None:
    handle = find_handle(environ, manager.parts)
    return None if handle is None else handle._exchange


def is_served(environ: Mapping[str, Any], manager: SessionManager) -> bool:
    """Return whether a middleware of the manager, as the innermost one, serves this environ."""
    exchange = find_exchange(environ, manager)
    if exchange is None or environ[REQUEST_KEY] is not exchange.handle:
        return False
    return exchange.is_within(environ)


def share_session(environ: dict[str, Any], original: dict[str, Any]) -> None:
    """Show the session in the environ of a framework's request, if the app was given a copy.

    A copy is made inside another manager's middleware, outside of which the keys stay its own.
    """
    if environ is not original and REQUEST_KEY in environ:
        environ[REQUEST_KEY]._exchange.join(original)
