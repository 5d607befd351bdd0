"""Debian's Chromium, driven by Playwright, and what axe-core finds on a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .service import NODE_FOLDER, need_npm

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def need_chromium() -> None:
    """Skip unless Playwright and Chromium are there."""
    if find_spec("playwright") is None:
        pytest.skip("playwright is not installed; it comes with the extra dev")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed; run: apt-get install chromium")


@contextmanager
def launched(*flags: str) -> Iterator[Browser]:
    """Run Chromium until the end of the block, with flags beside those of every test."""
    need_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *flags])
        yield browser
        browser.close()


def note_script_errors(page: Page, into: list[str]) -> None:
    """Collect what a page's scripts, or its policy, complain of.

    The browser itself reports each 4xx and 5xx; those are answers, not errors of a script.
    """

    def note(message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            into.append(message.text)

    page.on("pageerror", lambda error: into.append(str(error)))
    page.on("console", note)


def serious_findings(page: Page) -> list[str]:
    """Return the rules of axe-core that a page breaks seriously."""
    need_npm(NODE_FOLDER, "axe-core")
    page.evaluate((NODE_FOLDER / "node_modules/axe-core/axe.min.js").read_text())
    found = page.evaluate("axe.run()")
    return [
        f"{one['id']}: {one['nodes'][0]['html']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
