"""Chromium killed just after a rotation: it comes back with the token before, and stays signed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .chromium import need_chromium
from .disk_chromium import DiskChromium
from .people import EMAIL
from .rotation import (
    DAY,
    GRACE,
    WINDOW,
    Site,
    ask,
    generation_of,
    open_page,
    rotate,
    serving_site,
    sign_up,
)

if TYPE_CHECKING:
    from playwright.sync_api import Playwright


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    need_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture
def chromium(playwright: Playwright, tmp_path: Path) -> Iterator[DiskChromium]:
    chromium = DiskChromium(playwright, tmp_path / "profile")
    yield chromium
    chromium.kill()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving_site(tmp_path) as site:
        yield site


def test_killed_after_each_rotation_and_back(chromium: DiskChromium, site: Site) -> None:
    """Back at once, after two minutes, after the window, and after the next rotation is due."""
    sign_up(open_page(chromium.open(), site.url))
    chromium.close()
    for generation, away in enumerate((0, 2 * GRACE, WINDOW + 1, DAY + 1)):
        # All of the jar is on disk, as it is 30 seconds after any rotation.
        context = chromium.open()
        rotate(open_page(context, site.url), site)
        assert generation_of(context) == generation + 1
        site.advance(5)
        chromium.kill()
        site.advance(away)

        context = chromium.open()
        assert generation_of(context) == generation, "the jar went back"
        page = open_page(context, site.url)
        for later in (0, 1, GRACE, 1, WINDOW, 1, GRACE):
            site.advance(later)
            assert ask(page) == EMAIL, f"away for {away} s, asked {later} s later"
        assert generation_of(context) == generation + 1
        site.check_that_nobody_was_signed_out()
        chromium.close()
