"""``SessionMiddleware``: with the JSON API and the sessions page beside the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .manager import SessionManager
from .wsgi.middleware import EndpointFactories, Endpoints, Middleware

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class SessionMiddleware(Middleware):
    """Wraps any WSGI app and puts the session into its environ.

    The app finds ``wsgi_sessions.session``, ``.user``, ``.request`` and ``.end_reason``.
    While the database is away the answer is 503 with ``Retry-After``; with
    ``on_database_error="anonymous"`` the app runs and sees a visitor.

    Raises ``ConfigurationError`` for what is no application or no ``SessionManager``.
    """

    def __init__(self, app: WSGIApplication, manager: SessionManager) -> None:
        super().__init__(app, manager, endpoints=_endpoints_of(manager))


def _endpoints_of(manager: SessionManager) -> EndpointFactories:
    """Return what the settings ask for.

    Imported here and not at the top: WebOb, which the API needs, takes long to import.
    """
    found: list[Callable[[SessionManager], Endpoints]] = []
    if isinstance(manager, SessionManager):  # the base class refuses anything else
        if manager.parts.config.api_path is not None:
            from .api.app import JsonApi

            found.append(JsonApi)
        if manager.parts.config.pages_path is not None:
            from .pages.app import SessionsPage

            found.append(SessionsPage)
    return found
