"""Tells the valgrind that runs this process what to count, and when."""

from __future__ import annotations

import ctypes
import mmap

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
