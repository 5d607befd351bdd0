"""Finds the ``SessionMiddleware`` among the layers around an application, and replaces it.

The application is neither called nor changed: a replacement sits in copies of the layers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from wsgi_sessions.middleware import SessionMiddleware

_NAMES_OF_INNER_APPS = ("app", "wsgi_app", "application", "wrapped")
_MAX_LAYERS = 100

_Put = Callable[[Any], Any]
"""Returns a copy of a layer that wraps another app instead."""


class _Layer(NamedTuple):
    app: Any
    outer: _Layer | None = None
    put: _Put | None = None


def find_session_middleware(app: Any) -> SessionMiddleware | None:
    """Return the outermost ``SessionMiddleware`` of an app, or None if it has none.

    Looks through the attributes ``app``, ``wsgi_app``, ``application`` and ``wrapped``, where
    middlewares and frameworks keep what they wrap, then through the other attributes, the
    closures of functions, bound methods and ``functools.partial``.
    """
    found = _find(app)
    return None if found is None else found.app


def rewrapped(app: Any, core: Any) -> Any:
    """Return a copy of the layers around an app's ``SessionMiddleware``, around ``core`` instead.

    The copies refer to the same objects as the layers do. Raises ``LookupError`` if no
    middleware is found, or a layer can't be copied.
    """
    found = _find(app)
    if found is None:
        raise LookupError(f"{app!r} is not wrapped in SessionMiddleware as far as can be seen")
    layer: _Layer = found
    while layer.outer is not None and layer.put is not None:
        try:
            core = layer.put(core)
        except (AttributeError, TypeError) as error:
            raise LookupError(f"{layer.outer.app!r} can't be copied: {error}") from error
        layer = layer.outer
    return core


def _find(app: Any) -> _Layer | None:
    layers = [_Layer(app)]
    for layer in layers:
        if isinstance(layer.app, SessionMiddleware):
            return layer
        for inner, put in _inner_apps(layer.app):
            is_new = callable(inner) and all(inner is not known.app for known in layers)
            if is_new and len(layers) < _MAX_LAYERS:
                layers.append(_Layer(inner, layer, put))
    return None


def _inner_apps(layer: Any) -> Iterator[tuple[Any, _Put]]:
    """Yield what a layer may wrap, the likeliest first."""
    for name in _NAMES_OF_INNER_APPS:
        yield getattr(layer, name, None), partial(_put_attribute, layer, name)
    if isinstance(layer, FunctionType):
        for position, cell in enumerate(layer.__closure__ or ()):
            yield _contents(cell), partial(_put_cell, layer, position)
        return
    if isinstance(layer, MethodType):
        owner = layer.__self__
        for inner, put in _inner_apps(owner):
            yield inner, partial(_put_into_owner, layer, put)
        return
    if isinstance(layer, partial):
        for position, given in enumerate(layer.args):
            yield given, partial(_put_argument, layer, position)
        return
    if isinstance(layer, (type, ModuleType)):
        return
    for name, value in tuple(getattr(layer, "__dict__", {}).items()):
        if name not in _NAMES_OF_INNER_APPS and not isinstance(value, type):
            yield value, partial(_put_attribute, layer, name)


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is still empty
        return None


def _put_attribute(layer: Any, name: str, inner: Any) -> Any:
    copied = copy.copy(layer)
    object.__setattr__(copied, name, inner)
    return copied


def _put_cell(layer: FunctionType, position: int, inner: Any) -> Any:
    cells = list(layer.__closure__ or ())
    cells[position] = CellType(inner)
    copied = FunctionType(
        layer.__code__, layer.__globals__, layer.__name__, layer.__defaults__, tuple(cells)
    )
    copied.__kwdefaults__ = layer.__kwdefaults__
    copied.__dict__.update(layer.__dict__)
    return copied


def _put_into_owner(layer: MethodType, put: _Put, inner: Any) -> Any:
    return MethodType(layer.__func__, put(inner))


def _put_argument(layer: partial[Any], position: int, inner: Any) -> Any:
    arguments = list(layer.args)
    arguments[position] = inner
    return partial(layer.func, *arguments, **layer.keywords)
