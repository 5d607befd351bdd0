"""paste.deploy: sessions as a filter of an ini file, ``use = egg:wsgi-sessions``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..config.settings import SessionConfig
from ..errors import ConfigurationError
from ..manager import SessionManager
from ..middleware import SessionMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def filter_app_factory(
    app: WSGIApplication, global_conf: Mapping[str, str], **local_conf: str
) -> SessionMiddleware:
    """Wrap an app by a section's settings, all of them text: ``expires_in = 604800``.

    ``database`` is needed, a URL. A part's settings have dotted names, ``cookie_cache.max_age``.
    Raises ``ConfigurationError``.

    >>> def app(environ, start_response): ...
    >>> secret = "0123456789abcdef" * 2
    >>> filter_app_factory(app, {}, database="sqlite:///:memory:", secret=secret).manager
    SessionManager(SqliteDatabase)
    """
    database = local_conf.pop("database", None)
    if database is None:
        raise ConfigurationError(
            "the section has no database; write a URL such as database = sqlite:///%(here)s/app.db"
        )
    config = SessionConfig.from_mapping(local_conf)
    return SessionMiddleware(app, SessionManager(database, config=config))
