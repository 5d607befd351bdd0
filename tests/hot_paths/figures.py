"""The figures of the hot paths and of the import: measured, kept in ``figures.json``, and compared with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .counting import count_calls, count_statements, serve
from .importing import IMPORT, loaded_modules
from .instructions import build, can_count, count_import_instructions, count_instructions
from .paths import BARE, hot_paths

FILE = Path(__file__).with_name("figures.json")
TOLERANCE = 0.02
"""By how much instructions may differ from what is written: those of two runs do, by up to 0.8 %."""
PYTHONS = ((3, 10), (3, 11))
"""The calls in the file are those of these; see ``_comparable``."""
HOW_TO_CHANGE = "If that is meant, write the new figures: python -m tests.hot_paths --write"

Figures = dict[str, Any]


def count_paths() -> dict[str, Figures]:
    """Return the statements, calls and called functions of each path."""
    counted: dict[str, Figures] = {}
    with hot_paths() as paths:
        for name, path in paths.items():
            first, second, third = path.environs(3)
            serve(path.app, first)
            statements = []
            if path.connection is not None:
                statements = count_statements(path.connection, path.app, second)
            functions = count_calls(path.app, third)
            counted[name] = {
                "statements": statements,
                "calls": functions.total(),
                "functions": dict(sorted(functions.items())),
            }
    return counted


def measure(*, with_instructions: bool) -> Figures:
    """Return what stands in the file, as it is now; instructions only of this build."""
    figures: Figures = {"paths": count_paths(), "imported": loaded_modules()}
    if with_instructions:
        counted = {**count_instructions(hot_paths), **count_import_instructions()}
        figures["instructions"] = {build(): counted}
    return figures


def written() -> Figures:
    figures: Figures = json.loads(FILE.read_text())
    return figures


def write(figures: Figures) -> None:
    """Write figures; keep the instructions of other builds only if nothing has changed.

    Those of this build stay as they are written if they differ by less than is tolerated.
    """
    try:
        old = written()
    except (FileNotFoundError, json.JSONDecodeError):  # such as with the marks of a merge
        old = {}
    instructions = figures.get("instructions", {})
    if not any(differences(old, figures)):
        instructions = {**instructions, **old.get("instructions", {})}
    text = json.dumps({**figures, "instructions": instructions}, indent=1)
    FILE.write_text(f"{text}\n")


def differences(old: Figures, new: Figures) -> Iterator[str]:
    """Give a line for each thing in which new figures differ from old ones."""
    old_paths, new_paths = old.get("paths", {}), new["paths"]
    for name in sorted(old_paths.keys() | new_paths.keys()):
        if name not in new_paths or name not in old_paths:
            yield f"{name}: {'written, but no longer there' if name in old_paths else 'not written'}"
        else:
            yield from _path_differences(name, old_paths[name], new_paths[name])
    if "imported" in new:
        yield from _import_differences(set(old.get("imported", [])), set(new["imported"]))
    for of_build, counted in new.get("instructions", {}).items():
        before = old.get("instructions", {}).get(of_build, {})
        for name, count in counted.items():
            if name in before and abs(count / before[name] - 1) > TOLERANCE:
                change = count / before[name] - 1
                yield f"{name}: {count:,} instructions, not {before[name]:,} ({change:+.1%})"


def _path_differences(name: str, old: Figures, new: Figures) -> Iterator[str]:
    if old["statements"] != new["statements"]:
        yield (
            f"{name}: sends {', '.join(new['statements']) or 'no statement'}, "
            f"not {', '.join(old['statements']) or 'none'}"
        )
    calls_before, calls_now = _comparable(old["functions"]), _comparable(new["functions"])
    if calls_before == calls_now:
        return
    count_before, count = sum(calls_before.values()), sum(calls_now.values())
    if count == count_before:
        yield f"{name}: {count} calls as before, but of other functions"
    else:
        yield f"{name}: {count} calls, not {count_before} ({count - count_before:+d})"
    for function in sorted(calls_before.keys() | calls_now.keys()):
        before, now = calls_before.get(function, 0), calls_now.get(function, 0)
        if before == 0:
            yield f"    new: {function} ({now})"
        elif now == 0:
            yield f"    gone: {function} ({before})"
        elif now != before:
            yield f"    {function} ({now}, not {before})"


def _import_differences(old: set[str], new: set[str]) -> Iterator[str]:
    if sys.version_info[:2] not in PYTHONS:
        old, new = ({name for name in names if name.startswith("wsgi_")} for names in (old, new))
    for names, what in ((new - old, "loads as well"), (old - new, "no longer loads")):
        if names:
            yield f"import wsgi_sessions {what}: {', '.join(sorted(names))}"


def _comparable(functions: dict[str, int]) -> dict[str, int]:
    """Return the calls that this Python must make as often as those of the file.

    Later ones have another standard library, make no calls of comprehensions, and do not enter a
    generator to close it.
    """
    if sys.version_info[:2] in PYTHONS:
        return functions
    return {
        function: count
        for function, count in functions.items()
        if function.startswith("wsgi_sessions/")
        and not function.endswith(("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"))
    }


def lacks_build(figures: Figures) -> str | None:
    """Return what is to be said if there are no instructions to compare with, else None."""
    if not can_count():
        return "instructions are not counted: they need valgrind, on x86-64"
    if build() in figures.get("instructions", {}):
        return None
    return (
        f"instructions are not compared: no figure for this build ({build()}). "
        "To add one: python -m tests.hot_paths --write"
    )


def table(figures: Figures) -> Iterator[str]:
    """Give the lines of a table of the paths, and what each is over the bare application."""
    counted: dict[str, int] = next(iter(figures.get("instructions", {}).values()), {})
    yield f"{'':24}{'statements':>16}{'calls':>8}{'over bare':>11}{'instructions':>14}{'over bare':>11}"
    bare_calls, bare_count = figures["paths"][BARE]["calls"], counted.get(BARE, 0)
    for name, path in figures["paths"].items():
        line = f"{name:24}{', '.join(path['statements']) or '-':>16}"
        line += f"{path['calls']:8}{path['calls'] - bare_calls:11}"
        if name in counted:
            line += f"{counted[name]:14,}{counted[name] - bare_count:11,}"
        yield line
    ours = [name for name in figures["imported"] if name.startswith("wsgi_sessions")]
    loads = f"{len(ours)} modules, and {len(figures['imported']) - len(ours)} of Python"
    takes = f", {counted[IMPORT]:,} instructions" if IMPORT in counted else ""
    yield f"import, beyond the dependencies: {loads}{takes}"
