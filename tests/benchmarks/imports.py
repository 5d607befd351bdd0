"""What importing the package takes, in all and beyond what it depends on."""

from __future__ import annotations

import statistics
import subprocess
import sys

from .report import Result, Say, Table

DEPENDENCIES = "import webob, peewee, argon2, http, json, argparse, playhouse.db_url"
TIMED = "import time; start = time.perf_counter(); {}; print((time.perf_counter() - start) * 1000)"


def measure(*, is_quick: bool, say: Say) -> Result:
    """Import it in new processes, with and without its dependencies imported before."""
    programs = {
        "with its dependencies": TIMED.format("import wsgi_sessions"),
        "beyond its dependencies": f"{DEPENDENCIES}; {TIMED.format('import wsgi_sessions')}",
    }
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(2 if is_quick else 15):
        for name, program in programs.items():
            taken[name].append(milliseconds(program))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return Result(
        "imports",
        [
            Table(
                "Importing the package",
                ["import wsgi_sessions", "ms"],
                [[name, value] for name, value in medians.items()],
            )
        ],
        figures={
            "all_ms": medians["with its dependencies"],
            "own_ms": medians["beyond its dependencies"],
        },
    )


def milliseconds(program: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(run.stdout)
