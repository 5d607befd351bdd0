"""``python -m tests.seeded_faults``: prints the rows of the table in ``docs/explanation/seeded-faults.md``.

``… machine`` prints what ``SessionMachine`` alone comes to. What it misses
takes some 90 seconds of CPU time.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from .catalog import FAULTS
from .patching import Hunted, hunt, patched

__all__: list[str] = []

MACHINE_WITH = {
    "Machine": "",
    "LimitedMachine": ", with limits",
    "CachedMachine": ", cached",
    "CachedLimitedMachine": ", cached, with limits",
    "BoundMachine": ", bound",
    "JarMachine": ", with two secrets and a domain",
}


def name_finder(found: str) -> str:
    """Return what found a fault as the table has it."""
    name, _, _ = found.partition(":")
    if name in MACHINE_WITH:
        return f"`SessionMachine`{MACHINE_WITH[name]}"
    if name == "assert_cookie_flags and others":
        return "the assertions on a signed-in browser"
    return re.sub(r"^(assert_\w+)", r"`\1`", name)


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
