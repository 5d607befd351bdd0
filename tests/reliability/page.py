"""The tables of ``docs/reliability.md``, one for each line of the catalogue."""

from __future__ import annotations

import re

from tests.seeded_faults.patching import ROOT

from .catalog import LINES, Protection

PAGE = ROOT / "docs" / "reliability.md"
_HEAD = "| protection | taken out | the test that fails | what was seen |\n|---|---|---|---|\n"


def table_of(line: str) -> str:
    """Return the table of a line, with the marks around it by which it is found."""
    rows = "".join(_row(protection) for protection in LINES[line])
    return f"<!-- protections: {line} -->\n\n{_HEAD}{rows}\n<!-- end -->"


def write_tables() -> None:
    """Put the tables of the catalogue in place of those of the page."""
    text = PAGE.read_text(encoding="utf-8")
    for line in LINES:
        pattern = rf"<!-- protections: {line} -->.*?<!-- end -->"
        table = table_of(line).replace("\\", r"\\")
        text, count = re.subn(pattern, table, text, flags=re.DOTALL)
        assert count == 1, f"{count} tables for {line}"
    PAGE.write_text(text, encoding="utf-8")


def _row(protection: Protection) -> str:
    parameters: dict[str, list[str]] = {}
    for test in protection.tests:
        name, _, given = test.rpartition("::")[2].partition("[")
        parameters.setdefault(name, []).append(given.removesuffix("]"))
    tests = "<br>".join(
        f"`{name}`" + (f" ({'; '.join(given)})" if any(given) else "")
        for name, given in parameters.items()
    )
    cells = (protection.what, protection.taken_out.name, tests, protection.seen)
    return f"| {' | '.join(cells)} |\n"
