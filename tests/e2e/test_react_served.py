"""How ``examples/react/serve.py`` hands its files out, and what is seen without JavaScript."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from webob import Request

from .chromium import serious_findings
from .conftest import REACT
from .people import FIREFOX, FIREFOX_IN_WORDS, People, sign_in, sign_up, wait_signed_in
from .service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

DIST = REACT / "dist"
ASSETS = sorted(path for path in (DIST / "assets").glob("*") if path.suffix in (".css", ".js"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as service:
        yield service


@pytest.fixture
def application(tmp_path: Path) -> Any:
    if not ASSETS or not all(Path(f"{path}.gz").exists() for path in ASSETS):
        pytest.skip("the page is not built; run: cd examples/react && npm ci && npm run build")
    spec = importlib.util.spec_from_file_location("react_serve", REACT / "serve.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_application(tmp_path, site_url="http://127.0.0.1:8000")


@pytest.mark.parametrize("packing", ["gzip", "br"])
def test_what_is_named_by_its_content_is_packed_and_never_asked_for_again(
    packing: str, application: Any
) -> None:
    for path in ASSETS:
        request = Request.blank(f"/assets/{path.name}", headers={"Accept-Encoding": packing})
        answer = request.get_response(application)
        assert answer.status_int == 200
        assert answer.headers["Content-Encoding"] == packing
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert len(answer.body) < path.stat().st_size / 2


def test_the_page_itself_is_asked_for_anew(application: Any) -> None:
    for path in ("/", "/icon.svg"):
        answer = Request.blank(path).get_response(application)
        assert answer.status_int == 200 and answer.body
        assert "max-age=0" in answer.headers["Cache-Control"]


def test_without_javascript_it_says_so(people: People) -> None:
    page = people(java_script_enabled=False, viewport={"width": 320, "height": 700}).open_tab()
    said = page.locator("noscript p")
    assert "turned off in this browser" in str(said.text_content())
    assert said.bounding_box() is not None, "it is shown"


def test_names_stay_in_their_place_and_targets_are_large(people: People) -> None:
    page = people(user_agent=FIREFOX, viewport={"width": 320, "height": 700}).open_tab()
    box = page.get_by_label("Stay signed in on this device").bounding_box()
    assert box is not None and box["width"] >= 24 and box["height"] >= 24
    name = "\u05d0\u05d1" + "x" * 120  # from right to left, at first
    sign_up(page, name=name)
    assert page.locator("h2 bdi").first.inner_text() == name
    page.get_by_text(FIREFOX_IN_WORDS).wait_for()
    odd = people(user_agent="a-robot/" + "y" * 400).open_tab()
    sign_in(odd)
    wait_signed_in(odd)
    page.reload()
    page.get_by_text("Unknown device").wait_for()
    end = page.get_by_role("button", name="End session: Unknown device").bounding_box()
    assert end is not None and end["height"] < 60, "its word is not broken"
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.get_by_role("button", name="Sign out").get_attribute("class") == "quiet"
    assert serious_findings(page) == []
