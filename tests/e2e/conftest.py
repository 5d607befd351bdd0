"""The React example in Chromium: one browser for all, a server and people for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import IS_FULL

from .chromium import launched
from .people import People, Person
from .service import ROOT, Service, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REACT = ROOT / "examples" / "react"
# Two minutes are for CI_FULL=1.
collect_ignore = [] if IS_FULL else ["test_rotation_tabs.py"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not (REACT / "dist" / "index.html").exists():
        pytest.skip("the page is not built; run: cd examples/react && npm ci && npm run build")
    with launched() as browser:
        yield browser


@pytest.fixture(params=[False, True], ids=["no cache", "cookie cache"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, cookie_cache=request.param) as service:
        yield service


@pytest.fixture
def people(chromium: Browser, service: Service) -> Iterator[People]:
    """Make a person by calling it; in the end no page may have had an error in a script."""
    made: list[Person] = []

    def meet(**options: Any) -> Person:
        made.append(Person(chromium, service, **options))
        return made[-1]

    yield meet
    for person in made:
        person.close()
    assert [error for person in made for error in person.script_errors] == []
