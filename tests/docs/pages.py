"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *ROOT.glob("examples/*.md"),
        *ROOT.glob("examples/[fr]*/README.md"),
    )
)

_URLS = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.urls]\n")[2]
[BASE_URL] = re.findall(r'^Documentation = "(.+)"$', _URLS.partition("\n[")[0], re.MULTILINE)
"""Where the built documentation is, or will be."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block; ``line`` is that of its fence, ``language`` "" where none is said."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def text_of(page: str) -> str:
    """Return the text of a page, by its path from the root of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks_of(page: str, language: str | None = None) -> list[Block]:
    """Return the code blocks of a page, of one language if it is named."""
    text = text_of(page)
    found = [
        Block(page, text.count("\n", 0, match.start()) + 1, match[2], match[3])
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if language in (None, block.language)]


def python_of(page: str) -> list[str]:
    """Return the Python blocks of a page."""
    return [block.text for block in blocks_of(page, "python")]
