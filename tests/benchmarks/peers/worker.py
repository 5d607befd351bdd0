"""A process for each contender: frameworks keep state of their own, and rounds take turns."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from tests.hot_paths.counting import Application, Environ, serve
from tests.hot_paths.paths import OTHER_COOKIES

from ..report import MissingError
from .contenders import BY_NAME
from .site import environ_with

WARM_UP = 5
"""Before each round: another process has had the processor."""
PROGRAM = f"import sys; from {__name__} import main; main(*sys.argv[1:])"
COUNTED = 50
"""Requests of which calls are counted: what is done now and then is in the mean."""


class Costs(NamedTuple):
    """Of a request: to the bare application, signed in, and without a cookie of the contender's."""

    bare: float
    signed_in: float
    visitor: float

    def over_bare(self) -> tuple[float, float]:
        return self.signed_in - self.bare, self.visitor - self.bare


class Worker:
    """The other end of a process that has one contender's site: lines of JSON go to and fro."""

    def __init__(self, name: str, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, name, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def wait(self) -> None:
        """Wait until the site answers; raise ``MissingError`` where a package is missing."""
        missing = self._read("the site")
        if missing is not None:
            raise MissingError(missing)

    def microseconds(self, count: int) -> Costs:
        """Return the mean of so many requests of each kind."""
        return Costs(*self._ask("time", count))

    def calls(self) -> tuple[Costs, Costs]:
        """Return the Python functions called for a request, and all functions."""
        functions, all_functions = zip(*self._ask("calls", COUNTED), strict=True)
        return Costs(*functions), Costs(*all_functions)

    def close(self) -> None:
        self._stdin.close()
        self._stdout.close()
        self._process.wait(10)

    def _ask(self, what: str, count: int) -> Any:
        print(json.dumps([what, count]), file=self._stdin, flush=True)
        return self._read(what)

    def _read(self, what: str) -> Any:
        line = self._stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended before it gave {what}; see above")
        return json.loads(line)


@contextmanager
def workers_of(names: list[str], miss: Callable[[str], None]) -> Iterator[dict[str, Worker]]:
    """Give a worker for each contender whose packages are here; ``miss`` is told of others."""
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name in names:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-"))
            workers[name] = Worker(name, folder)
            stack.callback(workers[name].close)
        for name in names:
            try:
                workers[name].wait()
            except MissingError as missing:
                miss(str(missing))
                del workers[name]
        yield workers


def main(name: str, folder: str) -> None:
    """Be the process: do what is asked for until the other end is closed."""

    def give(what: Any) -> None:
        print(json.dumps(what), file=answers, flush=True)

    # What a framework prints must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        site = BY_NAME[name].site(folder)
    except MissingError as missing:
        give(str(missing))
        return
    give(None)
    kinds = ((site.bare, site.cookie), (site.app, site.cookie), (site.app, OTHER_COOKIES))
    for line in sys.stdin:
        what, count = json.loads(line)
        give([MEASURES[what](app, cookies, count) for app, cookies in kinds])


def _requests(app: Application, cookies: str, count: int) -> list[Environ]:
    """Return requests to an application that has just served others.

    Else what is done once a second would be done by one of the few that are counted.
    """
    for _ in range(WARM_UP):
        serve(app, environ_with(cookies))
    return [environ_with(cookies) for _ in range(count)]


def _microseconds(app: Application, cookies: str, count: int) -> float:
    environs = _requests(app, cookies, count)
    began = time.perf_counter()
    for environ in environs:
        serve(app, environ)
    return (time.perf_counter() - began) / count * 1e6


def _calls(app: Application, cookies: str, count: int) -> tuple[float, float]:
    environs = _requests(app, cookies, count)
    python = in_all = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal python, in_all
        python += event == "call"
        in_all += event in ("call", "c_call")

    # A collection would call what waits for the end of other requests' objects.
    gc.disable()
    sys.setprofile(note)
    for environ in environs:
        serve(app, environ)
    sys.setprofile(None)
    gc.enable()
    return python / count, in_all / count


MEASURES: dict[str, Callable[[Application, str, int], Any]] = {
    "time": _microseconds,
    "calls": _calls,
}
