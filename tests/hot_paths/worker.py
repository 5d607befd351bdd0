"""Serves requests in a process of its own, in which valgrind counts; see ``instructions``."""

from __future__ import annotations

import ctypes
import gc
import mmap
import sys
from importlib import import_module

from .counting import serve

WARM_UP = 60
"""Python replaces instructions of its byte code by faster ones within the first calls."""

# What valgrind/callgrind.h makes a C compiler write: a request to valgrind itself, which is
# nothing at all for the processor. Its argument is the address of six words.
_REQUEST = bytes.fromhex(
    "4889f8 31d2"  # mov rax, rdi; xor edx, edx
    "48c1c703 48c1c70d 48c1c73d 48c1c733"  # rol rdi, by 3, 13, 61, 51: by 128 in all
    "4887db"  # xchg rbx, rbx
    "4889d0 c3"  # mov rax, rdx; ret
)
_CALLGRIND = 0x43540000
_ZERO, _DUMP_AT, _START, _STOP = 1, 3, 4, 5


class Callgrind:
    """The valgrind that this process runs in."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=7)
        self._memory.write(_REQUEST)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)

    def start(self) -> None:
        self._ask(_START)

    def stop(self) -> None:
        self._ask(_STOP)

    def zero(self) -> None:
        self._ask(_ZERO)

    def dump(self, name: str) -> None:
        """Write what was counted since ``zero`` to a file that bears the name inside."""
        self._ask(_DUMP_AT, name.encode())

    def _ask(self, request: int, text: bytes | None = None) -> None:
        words = (ctypes.c_uint64 * 6)(_CALLGRIND + request)
        words[1] = ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0
        self._call(ctypes.addressof(words))


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
