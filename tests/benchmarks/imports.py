"""What importing the package takes, in all and beyond what it depends on, and what a start takes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

from tests.hot_paths.importing import DEPENDENCIES, WITHOUT_DRIVERS
from tests.hot_paths.instructions import can_count, count_import_instructions

from .report import Cell, Result, Say, Table

TURNS = 25
ALL = "import wsgi_sessions, in all"
BEYOND = "import wsgi_sessions, when these are imported"
MAKE_ALL = """\
manager = wsgi_sessions.SessionManager("sqlite:///:memory:", secret="0123456789abcdef" * 2)
wsgi_sessions.SessionMiddleware(print, manager)
"""
STEPS = {
    f"import {', '.join(DEPENDENCIES)}: the dependencies": ("", WITHOUT_DRIVERS),
    BEYOND: (WITHOUT_DRIVERS, "import wsgi_sessions"),
    ALL: ("", f"{WITHOUT_DRIVERS}\nimport wsgi_sessions"),
    "SessionManager and SessionMiddleware, after that; the API imports WebOb": (
        f"{WITHOUT_DRIVERS}\nimport wsgi_sessions",
        MAKE_ALL,
    ),
    "import peewee with the drivers that are installed: it imports them all": ("", "import peewee"),
}
NOTE = """\
Each in new processes, in turn; modules are those that a step loads, Python's own among them. All but the last line without drivers of other databases."""


def measure(*, is_quick: bool, say: Say) -> Result:
    """Do each step in new processes, in turn."""
    taken: dict[str, list[float]] = {
        "python, which does nothing": [],
        **{name: [] for name in STEPS},
    }
    loaded: dict[str, int] = {}
    for turn in range(2 if is_quick else TURNS):
        if turn == 1:
            say("compiled byte code is there now")
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", ""], check=True)
        ms = {"python, which does nothing": (time.perf_counter() - started) * 1000}
        for name, (before, timed) in STEPS.items():
            ms[name], loaded[name] = _run(before, timed)
        if turn:  # the first may compile what is imported
            for name, value in ms.items():
                taken[name].append(value)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    figures = {"all_ms": medians[ALL], "own_ms": medians[BEYOND]}
    note = NOTE
    if can_count():
        counted = next(iter(count_import_instructions().values()))
        figures["own_instructions"] = counted
        note += f" The import beyond the dependencies is {counted / 1e6:.0f} million instructions."
    rows: list[list[Cell]] = [[name, ms, loaded.get(name, "—")] for name, ms in medians.items()]
    table = Table("Importing the package", ["step", "ms", "modules"], rows, note)
    return Result("imports", [table], figures=figures)


def _run(before: str, timed: str) -> tuple[float, int]:
    """Return the milliseconds that a step takes, and how many modules it loads."""
    program = f"""{before}
import json, sys, time
loaded = set(sys.modules)
start = time.perf_counter()
{timed}
ms = (time.perf_counter() - start) * 1000
new = [name for name, module in sys.modules.items() if module and name not in loaded]
print(json.dumps([ms, len(new)]))
"""
    # Byte code is stored, even if it is not to be.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    ms, count = json.loads(done.stdout)
    return ms, count
