"""Finds the manager that a command works with: an application's own, or one of the environment."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config.settings import SessionConfig
from ..config.sources import DATABASE_URL_VARIABLE
from ..manager import SessionManager
from ..wsgi.middleware import Middleware
from .failures import Exit, Failure

_INNER = ("app", "wsgi_app", "application", "_app", "_application", "wrapped")
"""Under which names the usual WSGI middleware and frameworks keep what they wrap."""
_MAX_DEPTH = 20


def find_manager(app: str | None, environ: Mapping[str, str] | None = None) -> SessionManager:
    """Return the manager that ``--app`` names, or one made of the environment's settings.

    Raises ``Failure``, or ``ConfigurationError`` for a setting.
    """
    if app is not None:
        return _manager_of(app)
    environ = os.environ if environ is None else environ
    url = environ.get(DATABASE_URL_VARIABLE)
    if not url:
        raise Failure(
            "no database is named; give --app module:manager before the command, or set "
            f"{DATABASE_URL_VARIABLE} to a URL such as sqlite:///app.db",
            Exit.WRONG_USE,
        )
    return SessionManager(url, config=SessionConfig.from_env(environ))


def _manager_of(app: str) -> SessionManager:
    found = _load(app)
    manager = _unwrap(found)
    if manager is None:
        raise Failure(
            f"--app {app}: this is of type {type(found).__name__}, with no SessionManager in it; "
            "name a SessionManager, or an application that is wrapped in SessionMiddleware",
            Exit.WRONG_USE,
        )
    return manager


def _load(app: str) -> Any:
    """Return what ``module:name`` names; with ``name()`` what the function of this name makes."""
    module_name, colon, path = app.partition(":")
    if not (module_name and colon and path):
        raise Failure(
            f"--app {app}: give a module and a name in it, such as shop.wsgi:manager",
            Exit.WRONG_USE,
        )
    folder = str(Path.cwd())
    if folder not in sys.path:  # a console script does not look here, unlike python -m
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in _with_parents(module_name):
            message = f"there is no module {error.name}, looked for from {folder}"
        else:
            message = f"importing {module_name} failed: {type(error).__name__}: {error}"
        raise Failure(f"--app {app}: {message}", Exit.WRONG_USE) from error
    is_factory = path.endswith("()")
    for name in path.removesuffix("()").split("."):
        if not hasattr(found, name):
            where = getattr(found, "__name__", type(found).__name__)
            raise Failure(f"--app {app}: {where} has no {name!r}", Exit.WRONG_USE)
        found = getattr(found, name)
    if not is_factory:
        return found
    try:
        return found()
    except Exception as error:
        message = f"--app {app}: {path} failed: {type(error).__name__}: {error}"
        raise Failure(message, Exit.WRONG_USE) from error


def _with_parents(module_name: str) -> set[str]:
    parts = module_name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _unwrap(found: Any) -> SessionManager | None:
    """Return the manager that something is, or that of the middleware in it."""
    seen: list[Any] = [found]
    for each in seen:
        if isinstance(each, SessionManager):
            return each
        if isinstance(each, Middleware):
            return each.manager
        if len(seen) < _MAX_DEPTH:
            inner = [vars(each).get(name) for name in _INNER] if hasattr(each, "__dict__") else []
            seen += [one for one in inner if one is not None and not isinstance(one, str)]
    return None
