"""Puts the list of all modules, by their first docstring lines, into the map of the code.

A hook of MkDocs (``mkdocs.yml``): where a page has the line ``<!-- modules of PACKAGE -->``, the
list takes its place when the site is built.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the text of a page with its lists."""
    return re.sub(r"<!-- modules of (\w+) -->", lambda found: list_modules(found[1]), markdown)


def list_modules(package: str) -> str:
    """Return a table of a package's modules, folder by folder."""
    lines = ["| module | what it does |", "|---|---|"]
    paths = [path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts]
    for path in sorted(paths, key=lambda path: (path.parent, path.name)):
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first = said.partition("\n")[0].replace("|", "\\|")
        lines.append(f"| `{path.relative_to(ROOT)}` | {first} |")
    return "\n".join(lines)
