"""What a benchmark gives: tables, plots and figures, and how several runs become one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

Say = Callable[[str], None]
Cell = str | int | float
"""A number is measured, and the median of the runs is shown; a text is a name."""


class MissingError(Exception):
    """A peer or a server is not here; its message says what to install or start."""


@dataclass
class Table:
    """The first cell of a row names it, and is its own in the table."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    note: str = ""


@dataclass
class Series:
    """One line, or one colour of bars: a point's first value is its place or its label."""

    name: str
    points: list[tuple[str | float, float]]
    spreads: list[tuple[float, float]] = field(default_factory=list)
    """The lowest and the highest of each point, if known."""


@dataclass
class Plot:
    """A picture; bars lie, so that long labels can be read, and ``y_label`` says their unit."""

    title: str
    x_label: str
    y_label: str
    series: list[Series]
    kind: Literal["bars", "lines"] = "bars"
    is_x_log: bool = False
    is_y_log: bool = False


@dataclass
class Result:
    """Of one run of a benchmark; ``figures`` are what the targets and other tables ask for."""

    name: str
    tables: list[Table]
    plots: list[Plot] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    """What could not be measured, each with what to install."""


class Benchmark(Protocol):
    """A module of this folder; the first line of its docstring says what it measures."""

    __doc__: str | None

    def measure(self, *, is_quick: bool, say: Say) -> Result:
        """Measure once; if quick, only to see that it works."""


def to_json(result: Result) -> dict[str, Any]:
    return asdict(result)


def from_json(read: dict[str, Any]) -> Result:
    return Result(
        name=read["name"],
        tables=[Table(**table) for table in read["tables"]],
        plots=[
            Plot(
                **{
                    **plot,
                    "series": [
                        Series(
                            series["name"],
                            [(place, value) for place, value in series["points"]],
                            [(low, high) for low, high in series["spreads"]],
                        )
                        for series in plot["series"]
                    ],
                }
            )
            for plot in read["plots"]
        ],
        figures=read["figures"],
        skipped=read["skipped"],
    )


def merge(runs: Sequence[Result]) -> Result:
    """Return the medians of runs, as they are in the rows and points that a run has."""
    last = runs[-1]
    return Result(
        last.name,
        [_merge_tables([run.tables[n] for run in runs]) for n in range(len(last.tables))],
        [_merge_plots([run.plots[n] for run in runs]) for n in range(len(last.plots))],
        {
            name: statistics.median(run.figures[name] for run in runs if name in run.figures)
            for name in last.figures
        },
        last.skipped,
    )


def spread(runs: Sequence[Result], figure: str) -> tuple[float, float]:
    """Return the lowest and the highest of a figure."""
    values = [run.figures[figure] for run in runs if figure in run.figures]
    return min(values), max(values)


def _merge_tables(tables: Sequence[Table]) -> Table:
    last = tables[-1]
    rows: list[list[Cell]] = []
    for row in last.rows:
        same = [other for table in tables for other in table.rows if other[0] == row[0]]
        rows.append([_median_of([other[n] for other in same]) for n in range(len(row))])
    return Table(last.title, last.columns, rows, last.note)


def _median_of(cells: Sequence[Cell]) -> Cell:
    numbers = [cell for cell in cells if not isinstance(cell, str)]
    # Of the two in the middle the lower one, so that a count stays one that was seen.
    return statistics.median_low(numbers) if len(numbers) == len(cells) else cells[-1]


def _merge_plots(plots: Sequence[Plot]) -> Plot:
    last = plots[-1]
    merged = []
    for series in last.series:
        same = [other for plot in plots for other in plot.series if other.name == series.name]
        values: dict[str | float, list[float]] = {}
        ranges: dict[str | float, list[tuple[float, float]]] = {}
        for other in same:
            for place, value in other.points:
                values.setdefault(place, []).append(value)
            for (place, _), low_high in zip(other.points, other.spreads, strict=False):
                ranges.setdefault(place, []).append(low_high)
        merged.append(
            Series(
                series.name,
                [(place, statistics.median(values[place])) for place, _ in series.points],
                [
                    (min(low for low, _ in ranges[place]), max(high for _, high in ranges[place]))
                    for place, _ in series.points
                    if place in ranges
                ],
            )
        )
    return Plot(**{**vars(last), "series": merged})
