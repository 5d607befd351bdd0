"""Serves requests in a process of its own, in which valgrind counts; see ``instructions``."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from .callgrind import Callgrind
from .counting import serve

WARM_UP = 60
"""Python replaces instructions of its byte code by faster ones within the first calls."""


def main(target: str, *counts: str) -> None:
    module, _, function = target.partition(":")
    callgrind = Callgrind()
    with getattr(import_module(module), function)() as paths:
        rounds = []
        for name, path in paths.items():
            for environ in path.environs(WARM_UP):
                serve(path.app, environ)
            rounds += [
                (f"{name} | {count}", path.app, path.environs(int(count))) for count in counts
            ]
        gc.collect()
        gc.disable()
        callgrind.start()
        for name, app, environs in rounds:
            callgrind.zero()
            for environ in environs:
                serve(app, environ)
            callgrind.dump(name)
        callgrind.stop()
        gc.enable()


if __name__ == "__main__":
    main(*sys.argv[1:])
