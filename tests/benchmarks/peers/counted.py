"""The instructions of a request to each contender, counted by valgrind where it is installed.

``tests.hot_paths`` counts them, in a process that finds the contender here by its name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.hot_paths.counting import Application, Environ
from tests.hot_paths.instructions import count_instructions
from tests.hot_paths.paths import OTHER_COOKIES

from .contenders import CONTENDERS, Contender
from .site import environ_with
from .worker import Costs


@dataclass(frozen=True)
class Path:
    """What ``count_instructions`` asks of a path."""

    app: Application
    cookies: str

    def environs(self, count: int) -> list[Environ]:
        return [environ_with(self.cookies) for _ in range(count)]


class Paths:
    """What it asks for them: a function of a module, by its name."""

    __module__ = __name__

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self.__qualname__ = contender.make.replace(".", "_of_")

    @contextmanager
    def __call__(self) -> Iterator[dict[str, Path]]:
        with tempfile.TemporaryDirectory(prefix="peers-") as folder:
            site = self._contender.site(folder)
            yield {
                "bare": Path(site.bare, site.cookie),
                "signed in": Path(site.app, site.cookie),
                "visitor": Path(site.app, OTHER_COOKIES),
            }


ALL = {paths.__qualname__: paths for paths in map(Paths, CONTENDERS)}
globals().update(ALL)


def instructions_of(contender: Contender) -> Costs:
    counted = count_instructions(Paths(contender))
    return Costs(counted["bare"], counted["signed in"], counted["visitor"])
