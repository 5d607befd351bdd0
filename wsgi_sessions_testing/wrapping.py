"""Finds the ``SessionMiddleware`` among the layers an application is wrapped in.

Must not call the application or change it.
"""

from __future__ import annotations

from typing import Any

from wsgi_sessions.middleware import SessionMiddleware

__all__ = ["find_session_middleware"]

_NAMES_OF_INNER_APPS = ("app", "wsgi_app", "application", "wrapped")
_MOST_LAYERS = 100


def find_session_middleware(app: Any) -> SessionMiddleware | None:
    """Return the outermost ``SessionMiddleware`` of an app, or None if it has none.

    Looks through the attributes ``app``, ``wsgi_app``, ``application`` and ``wrapped``, which
    is where middlewares and frameworks keep what they wrap.
    """
    layers = [app]
    for layer in layers:
        if isinstance(layer, SessionMiddleware):
            return layer
        for name in _NAMES_OF_INNER_APPS:
            inner = getattr(layer, name, None)
            is_new = callable(inner) and all(inner is not known for known in layers)
            if is_new and len(layers) < _MOST_LAYERS:
                layers.append(inner)
    return None
