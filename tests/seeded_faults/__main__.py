"""``python -m tests.seeded_faults``: prints the rows of the table in ``docs/explanation/seeded-faults.md``.

``… machine`` prints what ``SessionMachine`` alone comes to. What it misses
takes some 90 seconds of CPU time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .catalog import FAULTS
from .hunt import name_finder
from .patching import Hunted, hunt, patched

__all__: list[str] = []


def row(name: str, hunted: Hunted) -> str:
    """Return a row of the table."""
    finder = "nothing" if hunted.found is None else name_finder(hunted.found)
    return f"| {name} | {finder} | {hunted.cpu_seconds:.1f} |"


if __name__ == "__main__":
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as base:
            line = row(fault.name, hunt(patched(fault, Path(base) / "patched"), *sys.argv[1:]))
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
