"""``python -m tests.hot_paths``: shows the figures, and compares them with those in the file."""

from __future__ import annotations

import argparse
import sys

from .figures import (
    FILE,
    HOW_TO_CHANGE,
    PYTHONS,
    differences,
    lacks_build,
    measure,
    table,
    write,
    written,
)
from .instructions import can_count


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hot_paths", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write them to {FILE.name}")
    parser.add_argument("--calls", metavar="PATH", help="show the functions called on one path")
    options = parser.parse_args()
    figures = measure(with_instructions=can_count())
    print(*table(figures), sep="\n")
    if options.calls is not None:
        for function, count in figures["paths"][options.calls]["functions"].items():
            print(f"{count:6} {function}")
    if options.write and sys.version_info[:2] not in PYTHONS:
        if any(differences(written(), figures)):
            parser.error(
                f"{FILE.name} has the calls of Python 3.10 and 3.11: use one of these first"
            )
        figures["paths"] = written()["paths"]
    if options.write:
        write(figures)
    before = written()
    found = list(differences(before, figures))
    missing = lacks_build(before)
    print(*found, *([HOW_TO_CHANGE] if found else []), *([missing] if missing else []), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
