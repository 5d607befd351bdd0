"""Counts what a WSGI application does for one request: Python calls and SQL statements."""

from __future__ import annotations

import gc
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import wsgi_sessions

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Any]

_COUNTED = ("SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "BEGIN", "COMMIT", "ROLLBACK")
_PLACES = (
    Path(__file__).parent.parent.parent,
    Path(wsgi_sessions.__file__).parent.parent,
    Path(sysconfig.get_path("stdlib")),
)


def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
    """Take a response as a server does, and send it nowhere."""
    return _write


def _write(data: bytes) -> None:
    pass


def serve(app: Application, environ: Environ) -> None:
    """Answer one request and read the body, as a server does."""
    body = app(environ, start_response)
    for _ in body:
        pass
    if hasattr(body, "close"):
        body.close()


def count_calls(app: Application, environ: Environ) -> Counter[str]:
    """Return how often each Python function was called for one request.

    Counted are the functions of the library, of others and of the application, each step of a
    generator, and one call of ``start_response``; not what is written in C. Serve such a request
    once before, so that nothing is counted which is done once.
    """
    counts: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counts[frame.f_code] += 1

    before = sys.getprofile()
    # A collection of garbage would run the callbacks of weak references, in whichever request.
    gc.disable()
    sys.setprofile(note)
    try:
        serve(app, environ)
    finally:
        sys.setprofile(before)
        gc.enable()
    named: Counter[str] = Counter()
    for code, count in counts.items():
        named[f"{_relative(code.co_filename)} {code.co_name}"] += count
    del named[f"{_relative(__file__)} serve"]
    return named


def count_statements(connection: Any, app: Application, environ: Environ) -> list[str]:
    """Return the first words of the statements that one request sends over an SQLite connection."""
    words: list[str] = []

    def note(sql: str) -> None:
        word = sql.split(None, 1)[0].upper()
        if word in _COUNTED:
            words.append(word)

    connection.set_trace_callback(note)
    try:
        serve(app, environ)
    finally:
        connection.set_trace_callback(None)
    return words


def _relative(file: str) -> str:
    """Return the file of a function as it is named on every machine."""
    _, found, in_packages = file.rpartition("/site-packages/")
    if found:
        return in_packages
    for place in _PLACES:
        if Path(file).is_relative_to(place):
            return Path(file).relative_to(place).as_posix()
    return file
