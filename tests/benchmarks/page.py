"""Writes the page of the figures, and its plots, from the file that the measurements are in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .report import Cell, Result, Table, from_json, merge, spread
from .targets import lines, number

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "performance.md"
FIGURES = PAGE.with_suffix("") / "figures.json"

HEAD = """\
# What sessions cost

Written by `python -m tests.benchmarks --page`: every number in its tables comes from that run. Install what it compares with by `pip install -e ".[dev,benchmarks]"`. Machines differ, and one machine changes its pace: compare numbers of one table only, and take ratios with you, not microseconds. Python calls and instructions do not depend on other programs that run.
"""


def write(measured: Mapping[str, Any], page: Path) -> None:
    """Write the page and its plots; ``measured`` is what the command stores as JSON."""
    from .plots import draw

    runs = {
        name: [from_json(run) for run in entry["runs"]]
        for name, entry in measured["benchmarks"].items()
    }
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for results in runs.values():
        for plot_name, plot in _plots_of(merge(results)):
            draw(plot, folder / plot_name)
    page.write_text(text_of(measured, runs, folder.name), encoding="utf-8")


def text_of(measured: Mapping[str, Any], runs: Mapping[str, list[Result]], folder: str) -> str:
    """Return the text of the page."""
    parts = [HEAD, *_targets(runs, measured["benchmarks"]), *_machines(measured["benchmarks"])]
    for name, results in runs.items():
        entry, result = measured["benchmarks"][name], merge(results)
        parts += [f"## {name.capitalize()}\n", f"{entry['says']}\n", f"{_when(entry)}\n"]
        parts += [f"Not measured: {why}\n" for why in result.skipped]
        for table in result.tables:
            parts += [f"### {table.title}\n", _table(table)]
            parts += [f"{table.note}\n"] if table.note else []
        parts += [f"![{plot.title}]({folder}/{path})\n" for path, plot in _plots_of(result)]
    return "\n".join(parts).rstrip() + "\n"


def _plots_of(result: Result) -> Iterator[tuple[str, Any]]:
    for plot in result.plots:
        slug = re.sub(r"[^a-z0-9]+", "-", plot.title.lower()).strip("-")
        yield f"{result.name}-{slug}.svg", plot


def _targets(runs: Mapping[str, list[Result]], entries: Mapping[str, Any]) -> Iterator[str]:
    figures = {
        f"{name}.{figure}": value
        for name, results in runs.items()
        for figure, value in merge(results).figures.items()
    }
    rows: list[list[Cell]] = []
    explained: dict[str, list[str]] = {}
    for target, measured in lines(figures):
        cells = ["not measured", "", ""]
        if measured is not None:
            name, _, figure = target.figure.partition(".")
            low, high = spread(runs[name], figure)
            met = "yes" if target.is_met(measured) else "**no**"
            if entries[name]["is_quick"]:
                met = "quick run"
            elif target.why_not and not target.is_met(measured):
                explained.setdefault(target.why_not, []).append(target.says)
            cells = [
                number(measured, target.unit),
                f"{number(low, '')} to {number(high, '')}" if low != high else "",
                met,
            ]
        rows.append([target.says, target.limit_text(), *cells])
    yield "## Targets\n"
    yield _table(Table("", ["figure", "must be", "is", "in the runs", "met"], rows))
    yield "*Is* is the median of the runs.\n"
    for why, not_met in explained.items():
        yield f"**Not met: {'; '.join(not_met)}.** {why}\n"


def _machines(entries: Mapping[str, Any]) -> Iterator[str]:
    """Describe the machine; if there were several, each with what it measured."""
    machines: dict[str, list[str]] = {}
    for name, entry in entries.items():
        machines.setdefault(json.dumps(entry["machine"]), []).append(name)
    for machine, names in machines.items():
        yield "## The machine" + (f" of {', '.join(names)}\n" if len(machines) > 1 else "\n")
        yield _table(
            Table("", ["what", "which"], [list(pair) for pair in json.loads(machine).items()])
        )


def _when(entry: Mapping[str, Any]) -> str:
    count = len(entry["runs"])
    text = f"Measured {entry['date']}, load at the start {entry['load']}, "
    text += "1 run." if count == 1 else f"medians of {count} runs."
    quick = " **A quick run, to see that it works: not figures.**" if entry["is_quick"] else ""
    return text + quick


def _table(table: Table) -> str:
    """Return a table in Markdown; a column of numbers is set to the right."""
    is_number = [
        all(not isinstance(row[n], str) or row[n] in ("", "—") for row in table.rows)
        for n in range(len(table.columns))
    ]
    ruler = ["--:" if right else "---" for right in is_number]
    rows = [table.columns, ruler, *([show_cell(cell) for cell in row] for row in table.rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def show_cell(cell: Cell) -> str:
    """Return a cell as the page and the terminal show it."""
    if isinstance(cell, str):
        return cell.replace("|", "\\|")
    if isinstance(cell, int) or abs(cell) >= 1000:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
