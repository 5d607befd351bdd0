"""The documentation is built without a warning, asks nobody else for anything, and links hold."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from .pages import BASE_URL, DOCS, PAGES, ROOT, blocks_of, text_of

pytestmark = pytest.mark.slow

READ_ELSEWHERE = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"]
"""Also shown on a package index, or as a page of the built site: so their links are absolute."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder


def links_of(page: str) -> list[str]:
    """Return where a page leads, its pictures included, code aside."""
    text = text_of(page)
    for block in blocks_of(page):
        text = text.replace(block.text, "")
    pairs = re.findall(
        r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", re.sub(r"`[^`\n]*`", "", text)
    )
    return [target for pair in pairs for target in pair if target]


def is_there(site: Path, path: str, anchor: str) -> bool:
    """Tell whether the built site has a page or file, and in it an anchor."""
    place = site / path
    if place.is_dir():
        place /= "index.html"
    if not place.is_file():
        return False
    return not anchor or f'id="{anchor}"' in html.unescape(place.read_text(encoding="utf-8"))


def address_in_site(path: Path) -> str:
    """Return where a file of ``docs`` is in the built site."""
    inside = path.relative_to(DOCS)
    if inside.suffix != ".md":
        return str(inside)
    return str(inside.parent if inside.name == "index.md" else inside.with_suffix(""))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str, site: Path) -> None:
    for target in links_of(page):
        place, _, anchor = target.partition("#")
        if place.startswith(BASE_URL):
            assert is_there(site, place.removeprefix(BASE_URL).strip("/"), anchor), target
        elif "://" not in place:
            aim = ((ROOT / page).parent / place).resolve() if place else ROOT / page
            if page.startswith("docs/"):
                assert is_there(site, address_in_site(aim), unquote(anchor)), target
            else:
                assert aim.exists(), target


@pytest.mark.parametrize("page", [*READ_ELSEWHERE, "examples/README.md"])
def test_links_of_what_is_read_elsewhere_are_absolute(page: str) -> None:
    links = links_of(page)

    assert links
    assert [link for link in links if "://" not in link and not link.startswith("#")] == []


def test_the_readme_links_to_each_page_of_the_site() -> None:
    nav = text_of("mkdocs.yml").partition("nav:\n")[2].partition("\n\n")[0]
    pages = set(re.findall(r": ([\w/-]+)\.md$", nav, re.MULTILINE)) - {"index"}

    assert len(pages) > 20
    assert {f"{BASE_URL}/{page}/" for page in pages} <= {
        link.partition("#")[0] for link in links_of("README.md")
    }


def test_no_page_asks_another_server_for_anything(site: Path) -> None:
    asked = re.compile(
        r"""<(?:script|img|iframe|source|video|link(?![^>]*rel="?(?:canonical|next|prev)))[^>]*?"""
        r"""\b(?:src|href|srcset)=["']?((?:https?:)?//[^"'\s>]+)"""
    )
    for page in site.rglob("*.html"):
        assert asked.findall(page.read_text(encoding="utf-8")) == [], page
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", sheet.read_text()) == [], sheet
