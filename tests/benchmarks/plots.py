"""Draws the plots of results as SVG pictures, which need no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .report import Plot

WIDTH = 7.6
"""Inches: as wide as the text of the page."""
COLOURS = ("#2f6fb3", "#d9822b", "#3c8c4a", "#a3476b", "#7a6bbf", "#7f7f7f", "#b8a11e", "#2a9d9d")
MARKERS = "osD^vPX*"
SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: small files, and it can be searched
    "svg.hashsalt": "wsgi-sessions",  # the same plot is the same file
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}


def draw(plot: Plot, path: Path) -> None:
    """Write a plot as an SVG file; its background is white, so that a dark page shows it, too."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, _height(plot)), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        axes.set_title(plot.title, loc="left", fontweight="bold")
        (_draw_bars if plot.kind == "bars" else _draw_lines)(plot, axes)
        if len(plot.series) > 1:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False
            )
        figure.savefig(path, format="svg", metadata={"Date": None, "Title": plot.title})
    # Matplotlib ends some lines with spaces, which the checks before a commit refuse.
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(line.rstrip() + "\n" for line in lines), encoding="utf-8")


def _height(plot: Plot) -> float:
    if plot.kind == "lines":
        return 4.4
    bars = max(len(series.points) for series in plot.series) * len(plot.series)
    return 1.4 + 0.26 * bars + 0.1 * max(len(series.points) for series in plot.series)


def _draw_bars(plot: Plot, axes: Any) -> None:
    labels = list(dict.fromkeys(str(place) for series in plot.series for place, _ in series.points))
    thickness = 0.8 / len(plot.series)
    for number, series in enumerate(plot.series):
        places = [
            labels.index(str(place)) - 0.4 + thickness * (number + 0.5)
            for place, _ in series.points
        ]
        values = [value for _, value in series.points]
        axes.barh(
            places,
            values,
            height=thickness * 0.92,
            color=COLOURS[number % len(COLOURS)],
            label=series.name,
            xerr=_errors(values, series.spreads),
            error_kw={"ecolor": "#333333", "elinewidth": 1, "capsize": 2},
        )
        for position, (place, value) in enumerate(zip(places, values, strict=True)):
            end = series.spreads[position][1] if series.spreads else value
            axes.annotate(
                f"{value:,.3g}" if value < 1000 else f"{value:,.0f}",
                (max(end, value), place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    axes.set_yticks(range(len(labels)), labels)
    for label in axes.get_yticklabels():
        if label.get_text().startswith("wsgi-sessions"):
            label.set_fontweight("bold")
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_ylabel(plot.x_label)
    axes.set_xlabel(plot.y_label + (" (logarithmic)" if plot.is_y_log else ""))
    axes.grid(axis="x", color="#dddddd")
    if plot.is_y_log:
        axes.set_xscale("log")
        axes.margins(x=0.12)
    else:
        axes.margins(x=0.1)
        axes.set_xlim(left=0)
    _plain_numbers(axes.xaxis, is_log=plot.is_y_log)


def _draw_lines(plot: Plot, axes: Any) -> None:
    for number, series in enumerate(plot.series):
        values = [value for _, value in series.points]
        axes.errorbar(
            [place for place, _ in series.points],
            values,
            yerr=_errors(values, series.spreads),
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=5,
            capsize=2,
            label=series.name,
        )
    axes.set_xlabel(plot.x_label + (" (logarithmic)" if plot.is_x_log else ""))
    axes.set_ylabel(plot.y_label + (" (logarithmic)" if plot.is_y_log else ""))
    axes.grid(color="#dddddd")
    if plot.is_x_log:
        axes.set_xscale("log")
    if plot.is_y_log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    _plain_numbers(axes.xaxis, is_log=plot.is_x_log)
    _plain_numbers(axes.yaxis, is_log=plot.is_y_log)


def _errors(values: list[float], spreads: list[tuple[float, float]]) -> Any:
    if not spreads:
        return None
    pairs = list(zip(values, spreads, strict=True))
    return [
        [max(0, value - low) for value, (low, _) in pairs],
        [max(0, high - value) for value, (_, high) in pairs],
    ]


def _plain_numbers(axis: Any, *, is_log: bool) -> None:
    """Write 1,000 in place of 10³, and labels between powers of ten only where two are not seen."""
    axis.set_major_formatter(lambda value, _position: f"{value:,.12g}")
    if is_log:
        low, high = axis.get_view_interval()
        axis.set_minor_formatter(
            lambda value, _position: f"{value:,.3g}" if high < 12 * low else ""
        )
