"""Checks the app and manager that a constructor is given, and says how to call it.

No message shows a URL, as there may be a password in it.
"""

from __future__ import annotations

from typing import Any

from ..config.settings import SessionConfig
from ..errors import ConfigurationError
from ..manager import SessionManager


def check_app(app: Any, *, call: str) -> None:
    """Raise ``ConfigurationError`` unless something can be called like a WSGI application.

    ``call`` is how the constructor is called rightly, for the message.
    """
    if isinstance(app, SessionManager):
        raise ConfigurationError(
            f"app is a SessionManager, so the arguments seem swapped; write {call}"
        )
    if isinstance(app, str):
        shown = "text" if "://" in app else f"the text {app!r}"
        raise ConfigurationError(
            f"app is {shown}, not an application; import the application and give it itself: {call}"
        )
    if not callable(app):
        raise ConfigurationError(
            f"app is a {type(app).__name__}, which is no WSGI application (nothing that can be "
            f"called with environ and start_response); write {call}"
        )


def check_manager(manager: Any, *, call: str) -> None:
    if isinstance(manager, SessionManager):
        return
    if isinstance(manager, type) and issubclass(manager, SessionManager):
        given, remedy = "the class SessionManager", "make one: SessionManager(database, secret=…)"
    elif isinstance(manager, str):
        given, remedy = (
            "text",
            "if it is the URL of a database, give SessionManager(url, secret=…)",
        )
    elif isinstance(manager, SessionConfig):
        given, remedy = "a SessionConfig", "give SessionManager(database, config=config)"
    elif manager is None:
        given, remedy = "None", "give SessionManager(database, secret=…)"
    else:
        given = f"a {type(manager).__name__}"
        remedy = "give SessionManager(database, secret=…)"
    raise ConfigurationError(f"manager is {given}, not a SessionManager; {remedy}. Write {call}")
