"""Recognises the files that a server sends by itself (PEP 3333, ``wsgi.file_wrapper``).

They are returned as they are: the server needs the very object that its wrapper made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FILE_WRAPPER_KEY = "wsgi.file_wrapper"


class FileWatch:
    """What a request's ``wsgi.file_wrapper`` has made.

    Most servers give a type, so ``isinstance`` recognises what it made. uWSGI gives a function
    that returns the file itself: there the app gets one that also remembers its results. A type
    is left as it is, as applications ask ``isinstance(x, environ["wsgi.file_wrapper"])``.
    """

    __slots__ = ("_kind", "_made", "_wrap")

    def __init__(self, environ: dict[str, Any]) -> None:
        self._kind: type | None = None
        self._wrap: Callable[..., Any] | None = None
        self._made: list[Any] = []
        wrapper = environ.get(FILE_WRAPPER_KEY)
        if isinstance(wrapper, type):
            self._kind = wrapper
        elif callable(wrapper):
            self._wrap = wrapper
            environ[FILE_WRAPPER_KEY] = self._make

    def is_file(self, iterable: Any) -> bool:
        """Return whether the server's wrapper made this very object."""
        if self._kind is not None:
            return isinstance(iterable, self._kind)
        return any(made is iterable for made in self._made)

    def _make(self, *args: Any, **kwargs: Any) -> Any:
        assert self._wrap is not None
        made = self._wrap(*args, **kwargs)
        self._made.append(made)
        return made
