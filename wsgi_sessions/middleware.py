"""``SessionMiddleware``: beside the application it has the API, the page and the health check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .manager import SessionManager
from .wsgi.middleware import Endpoints, Middleware

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
        super().__init__(app, manager, find_endpoints=_endpoints_of)


def _endpoints_of(manager: SessionManager) -> Iterator[Endpoints]:
    """Yield what the settings ask for.

    Imported here and not at the top: WebOb, which the API needs, takes long to import.
    """
    config = manager.parts.config
    if config.api_path is not None:
        from .api.app import JsonApi

        yield JsonApi(manager)
    if config.pages_path is not None:
        from .pages.app import SessionsPage

        yield SessionsPage(manager)
    if config.health_path is not None:
        from .monitoring.health_app import HealthApp

        yield HealthApp(manager)
