"""``python -m tests.reliability [LINE …]``: takes each protection out, and runs the tests that need it.

Lines are ``invariants``, ``killed-workers`` and so on: all by default. Printed are line,
protection, test, whether it passes with the protection, and what it says without. It ends with 1
if a test did not fail. ``--page`` writes the tables of ``docs/reliability.md`` anew, and runs
nothing.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .catalog import LINES
from .page import write_tables
from .trial import try_out

__all__: list[str] = []


def main(arguments: Iterable[str]) -> int:
    """Try the lines that are named, or all; return the exit status."""
    is_shown = True
    for line in arguments or LINES:
        tests = dict.fromkeys(test for each in LINES[line] for test in each.tests)
        with tempfile.TemporaryDirectory() as folder:
            sound = try_out(tests, Path(folder))
        for protection in LINES[line]:
            with tempfile.TemporaryDirectory() as folder:
                without = try_out(protection.tests, Path(folder), protection.taken_out)
            for test in protection.tests:
                before, after = sound.reason(test), without.reason(test)
                is_shown = is_shown and before is None and after is not None
                with_it = "passes" if before is None else f"FAILS: {before}"
                without_it = "PASSES" if after is None else f"fails: {after}"
                name = protection.taken_out.name
                print(line, name, test, f"with it {with_it}", without_it, sep=" | ", flush=True)
    return 0 if is_shown else 1


if __name__ == "__main__":
    if "--page" in sys.argv:
        write_tables()
    else:
        sys.exit(main(sys.argv[1:]))
