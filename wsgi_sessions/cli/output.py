"""The one place that writes results: tables on a terminal, plain lines elsewhere, or JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable
from rich.text import Text

from ..light_dataclasses import dataclass
from .text import printable

_NO_LIMIT = 10_000
"""Columns of what is no terminal: nothing is cut or wrapped there."""
_MAX_BAR_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Screen:
    """What is written to; of what is no terminal, the width is as good as unlimited."""

    width: int
    is_terminal: bool


class Part(Protocol):
    """A piece of what people are shown."""

    def lines(self, screen: Screen) -> Any:
        """Return what rich prints, or several of it in a list."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; on a narrow terminal each row becomes a block of its own."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str | None = None

    def lines(self, screen: Screen) -> Any:
        texts = [[_cell(value) for value in row] for row in self.rows]
        title = [] if self.title is None else [Text(self.title, style="bold")]
        if not self._fits(texts, screen.width):
            blocks = [Record(list(zip(self.columns, row, strict=True))) for row in texts]
            return title + _separated([block.lines(screen) for block in blocks])
        table = _grid()
        header = self.columns if screen.is_terminal else [each.upper() for each in self.columns]
        columns = zip(*texts, strict=True) if texts else [()] * len(header)
        for name, values in zip(header, columns, strict=True):
            is_number = all(value.replace(",", "").isdigit() for value in values)
            table.add_column(name, justify="right" if is_number else "left", overflow="fold")
        table.show_header = True
        for row in texts:
            table.add_row(*map(Text, row))
        return [*title, table]

    def _fits(self, texts: Sequence[Sequence[str]], width: int) -> bool:
        if not texts:
            return True
        widths = [
            max(len(text) for text in column) for column in zip(self.columns, *texts, strict=True)
        ]
        return sum(widths) + 2 * len(widths) <= width


@dataclass(frozen=True, slots=True)
class Record:
    """One thing: a name and a value in each line; values that are None are left out."""

    pairs: Sequence[tuple[str, object]]
    title: str | None = None

    def lines(self, screen: Screen) -> Any:
        table = _grid()
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in self.pairs:
            if value is not None:
                table.add_row(Text(name), Text(_cell(value)))
        return table if self.title is None else [Text(self.title, style="bold"), table]


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram: a label, a number and a bar in each line, the longest for the highest number."""

    title: str
    counts: Sequence[tuple[str, int]]

    def lines(self, screen: Screen) -> Any:
        table = _grid()
        table.add_column(overflow="fold")
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        highest = max((count for _, count in self.counts), default=0)
        total = sum(count for _, count in self.counts)
        length = max(4, min(_MAX_BAR_LENGTH, screen.width // 3))
        for label, count in self.counts:
            bar = "" if highest == 0 else "█" * -(-count * length // highest)
            share = f"{100 * count / total:.0f} %" if total else ""
            table.add_row(Text(_cell(label)), Text(f"{count:,}"), Text(f"{share:>5} {bar}"))
        return [Text(self.title, style="bold"), Padding(table, (0, 0, 0, 2))]


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, coloured on a terminal by what it means: ``good``, ``warning`` or ``bad``."""

    text: str
    meaning: str = ""

    def lines(self, screen: Screen) -> Any:
        styles = {"good": "green", "warning": "yellow", "bad": "bold red"}
        return Text(printable(self.text), style=styles.get(self.meaning, ""))


@dataclass(eq=False)
class Output:
    """Where a command writes; ``is_json``: one document for programs, and nothing else."""

    is_json: bool = False

    def show(self, document: Any, *parts: str | Part) -> None:
        """Print a result: ``document`` as JSON, or else its parts for people, in their order."""
        if self.is_json:
            click.echo(json.dumps(document, indent=2, default=str))
            return
        stream = sys.stdout
        is_terminal = stream.isatty()
        console = Console(
            file=io.StringIO(),
            force_terminal=is_terminal,
            width=None if is_terminal else _NO_LIMIT,
            highlight=False,
            emoji=False,
            markup=False,
        )
        printed = console.file
        assert isinstance(printed, io.StringIO)
        screen = Screen(console.width, is_terminal)
        for each in parts:
            part = Line(each) if isinstance(each, str) else each
            found = part.lines(screen)
            for line in found if isinstance(found, list) else [found]:
                console.print(line)
        text = "\n".join(line.rstrip() for line in printed.getvalue().splitlines())
        click.echo(text)

    def show_line(self, document: Any, text: str) -> None:
        """Print one result of many that come one by one: as JSON in one line, or as text."""
        click.echo(json.dumps(document, default=str) if self.is_json else printable(text))

    def say(self, text: str) -> None:
        """Tell people something on the way, on the standard error; programs get nothing."""
        if not self.is_json:
            click.echo(printable(text), err=True)

    @contextmanager
    def progress(self, what: str, *, total: int) -> Iterator[Advance]:
        """Show on the standard error how far something is, if that is a terminal.

        Gives a function that is told how many more are done; the bar shows the rate, and how
        much time is left.
        """
        if self.is_json or not sys.stderr.isatty():
            yield lambda _count: None
            return
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
        ) as bar:
            task = bar.add_task(what, total=total, rate="")

            def advance(count: int) -> None:
                bar.advance(task, count)
                speed = bar.tasks[task].speed
                bar.update(task, rate="" if speed is None else f"{speed:,.0f}/s")

            yield advance


class Advance(Protocol):
    """Tells a progress bar how many more are done."""

    def __call__(self, count: int, /) -> None: ...


def _grid() -> RichTable:
    return RichTable(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(value)


def _separated(blocks: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for block in blocks:
        found += [Text(""), block] if found else [block]
    return found
