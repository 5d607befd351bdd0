"""Counts the processor's instructions of a request by valgrind, which needs no idle machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

COUNT = 20
Target = Callable[[], AbstractContextManager[Any]]


def can_count() -> bool:
    """Return whether valgrind is here, on a processor of which ``worker`` knows the code."""
    return shutil.which("valgrind") is not None and platform.machine() == "x86_64"


@cache
def build() -> str:
    """Return what the figures hang on besides the code: Python, the C libraries, the processor."""
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True)
    # The C library and OpenSSL have variants of their functions for it.
    has_avx2 = " avx2 " in Path("/proc/cpuinfo").read_text()
    return ", ".join(
        (
            f"{platform.python_implementation()} {platform.python_version()}",
            f"of {platform.python_compiler()}, {' '.join(platform.python_build()[:1])}",
            f"SQLite {sqlite3.sqlite_version}",
            ssl.OPENSSL_VERSION.rpartition(" (")[0] or ssl.OPENSSL_VERSION,
            " ".join(platform.libc_ver()),
            f"{platform.machine()} {'with' if has_avx2 else 'without'} AVX2",
            valgrind.stdout.strip(),
        )
    )


def count_instructions(target: Target) -> dict[str, int]:
    """Return the instructions of one request of each path, by the path's name.

    ``target`` is a function of a module, such as ``hot_paths``: within what it returns, a mapping
    of names to objects that have an ``app`` and ``environs``, as ``HotPath`` has.

    Each is the difference of two rounds, so that what a round takes in all is not in it.
    """
    name = f"{target.__module__}:{target.__qualname__}"
    totals = _totals("tests.hot_paths.worker", name, str(COUNT), str(2 * COUNT))
    return {
        path: (totals[f"{path} | {2 * COUNT}"] - total) // COUNT
        for path, total in (
            (label.rpartition(" | ")[0], total)
            for label, total in totals.items()
            if label.endswith(f" | {COUNT}")
        )
    }


def count_import_instructions() -> dict[str, int]:
    """Return the instructions of importing the package when its dependencies are imported."""
    return _totals("tests.hot_paths.importing")


def _totals(module: str, *arguments: str) -> dict[str, int]:
    """Run a module under callgrind; return the instructions of each of its dumps."""
    with TemporaryDirectory() as folder:
        program = [sys.executable, "-S", "-m", module, *arguments]
        counting = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet"]
        counting.append(f"--callgrind-out-file={folder}/counted")
        # The seed decides where a string is in a dict, and whatever else is set moves the stack.
        environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        # First without, so that the byte code of what is imported is compiled and stored.
        for command in (program, [*counting, *program]):
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        totals = {}
        for file in sorted(Path(folder).glob("counted.*"), key=lambda file: int(file.suffix[1:])):
            text = file.read_text()
            label = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
            total = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
            if label is not None and total is not None:
                totals[label[1]] = int(total[1])
    return totals
