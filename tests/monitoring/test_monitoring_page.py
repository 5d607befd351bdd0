"""The code of ``docs/how-to/monitoring.md`` runs, and its tables are whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from webob import Request

from tests.docs.pages import python_of, text_of
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.storage.outages import HealthStatus

PAGE = "docs/how-to/monitoring.md"
[CHECK, HEALTH_PATH, HEALTH_APP] = python_of(PAGE)


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page"]


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Return what the blocks of the page find, with a manager that they may make anew."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {
        "SessionManager": SessionManager,
        "SessionMiddleware": SessionMiddleware,
        "SECRET": "s0123456789abcdef" * 2,
        "app": app,
    }
    exec(HEALTH_PATH, names)
    yield names
    names["manager"].close()


def test_the_check_of_the_page_prints_the_state(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    exec(CHECK, names)

    assert re.fullmatch(r"(ok|slow) \d+ .*\n", capsys.readouterr().out)


def test_the_path_and_the_app_of_the_page_answer(names: dict[str, Any]) -> None:
    exec(HEALTH_APP, names)

    for answering, path in ((names["application"], "/health"), (names["health_app"], "/")):
        answer = Request.blank(path).get_response(answering)
        assert answer.json["status"] in ("ok", "slow")


def test_every_status_is_in_the_table() -> None:
    section = text_of(PAGE).partition("## Health check")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(get_args(HealthStatus))
