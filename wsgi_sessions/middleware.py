"""``SessionMiddleware``: with the JSON API and the sessions page beside the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .api.app import JsonApi
from .manager import SessionManager
from .pages.app import SessionsPage
from .wsgi.middleware import Middleware

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
        super().__init__(app, manager, endpoints=(JsonApi, SessionsPage))
