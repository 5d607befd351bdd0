"""``python -m tests.benchmarks``: what sessions cost, measured beside what others do.

Measures everything, or what is named; ``--help`` says more. It takes an idle machine, and an
hour. ``guessing`` and ``known_addresses`` are commands of their own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path
from typing import Any, cast

from . import page
from .machine import describe_machine, describe_moment
from .report import Benchmark, MissingError, Result, to_json

ALL = (
    *("peers", "floor", "serving", "writes", "growth", "feed", "memory", "companion", "imports"),
    *("purging", "capacity"),
)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write what is asked for; without ``--json`` and ``--page`` only print."""
    options = parse(arguments)
    path = options.json or (page.FIGURES if options.page else None)
    stored: dict[str, Any] = {"benchmarks": {}}
    source = options.source or path
    if source and source.exists():
        stored = json.loads(source.read_text(encoding="utf-8"))
    names = [] if options.source and not options.names else options.names or ALL
    for number, name in enumerate(names, 1):
        try:
            entry = run(name, options, f"[{number}/{len(names)}] {name}")
        except MissingError as missing:
            print(f"[{number}/{len(names)}] {name} is left out: {missing}", flush=True)
            continue
        stored["benchmarks"][name] = entry
        stored["benchmarks"] = {
            name: stored["benchmarks"][name] for name in ALL if name in stored["benchmarks"]
        }
        # An hour is not lost with what fails at its end.
        if path:
            store(stored, path)
    if options.page:
        page.write(stored, page.PAGE)
        print(f"wrote {page.PAGE} and its plots")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure what sessions cost."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(ALL)}")
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="store the results; others in it are kept"
    )
    parser.add_argument(
        "--page", action="store_true", help="write the page of the documentation and its plots"
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="read results, and measure only what is named",
    )
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(ALL)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    return options


def run(name: str, options: argparse.Namespace, title: str) -> dict[str, Any]:
    """Measure one benchmark as often as asked, and print its tables."""
    benchmark = cast(Benchmark, importlib.import_module(f"{__package__}.{name}"))
    says = (benchmark.__doc__ or "").partition("\n")[0]
    entry: dict[str, Any] = {
        "says": says,
        **describe_moment(),
        "machine": describe_machine(),
        "is_quick": options.quick,
        "runs": [],
    }
    for turn in range(1, options.runs + 1):
        began = time.perf_counter()

        def say(text: str, began: float = began, turn: int = turn) -> None:
            print(
                f"{title}, run {turn}/{options.runs}, {time.perf_counter() - began:4.0f} s: {text}",
                flush=True,
            )

        say(says)
        result = benchmark.measure(is_quick=options.quick, say=say)
        say("done")
        show(result)
        entry["runs"].append(to_json(result))
    return entry


def show(result: Result) -> None:
    for table in result.tables:
        print(f"\n{table.title}")
        rows = [table.columns, *([page.show_cell(cell) for cell in row] for row in table.rows)]
        widths = [max(len(row[n]) for row in rows) for n in range(len(table.columns))]
        for row in rows:
            first, *others = [f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)]
            print("  ".join([f"{first.strip():{widths[0]}}", *others]))
    for why in result.skipped:
        print(f"left out: {why}")
    print(flush=True)


def store(stored: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
