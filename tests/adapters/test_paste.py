"""PasteDeploy's ini file, loaded as it is, by WebTest."""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paste.deploy")
pytest.importorskip("webtest")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from paste.deploy import loadapp

from wsgi_sessions import ConfigurationError, SessionManager, SessionMiddleware
from wsgi_sessions.adapters.paste import filter_app_factory
from wsgi_sessions_testing import FakeClock

from .story import CREDENTIALS, Story
from .webtest_site import WebTestSite

EXAMPLE = Path(__file__).parents[2] / "examples" / "frameworks" / "paste_app.ini"


class TestPaste(Story):
    @pytest.fixture
    def site(self, manager: SessionManager) -> WebTestSite:
        from paste_app import app  # type: ignore[import-not-found, unused-ignore]

        return WebTestSite(SessionMiddleware(app, manager), "the app")


def test_the_ini_file_wraps_the_app(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "app.ini").write_text(EXAMPLE.read_text())
    loaded: Any = loadapp(
        f"config:{tmp_path / 'app.ini'}",
        global_conf={"SESSIONS_SECRET": "s0123456789abcdef" * 2, "DATA": str(tmp_path / "data")},
    )
    assert isinstance(loaded, SessionMiddleware)
    config = loaded.manager.config
    assert (config.expires_in_ms, config.cookie_cache.enabled) == (604_800_000, True)
    site = WebTestSite(loaded, "the app")
    assert site.get("/account").status == 401
    assert site.post("/sign-up", {"name": "Ada", **CREDENTIALS}).status == 303
    assert site.get("/account").status == 200
    loaded.manager.close()
    assert (tmp_path / "data" / "sessions.db").exists()
    assert "paste_app" in sys.modules


def test_the_entry_point_is_there() -> None:
    [found] = [
        point
        for point in entry_points(group="paste.filter_app_factory")
        if point.value.startswith("wsgi_sessions.")
    ]
    assert (found.name, found.load()) == ("main", filter_app_factory)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"secret": "s0123456789abcdef" * 2}, "the section has no database"),
        (
            {"database": "sqlite:///:memory:", "secret": "s0123456789abcdef" * 2, "expire_in": "1"},
            "expires_in",
        ),
        (
            {
                "database": "sqlite:///:memory:",
                "secret": "s0123456789abcdef" * 2,
                "expires_in": "week",
            },
            "week",
        ),
    ],
)
def test_a_wrong_section_is_told(section: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        filter_app_factory(lambda environ, start: [], {}, **section)
