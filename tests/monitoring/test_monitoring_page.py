"""The code of ``docs/how-to/monitoring.md`` runs, and its tables are whole."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import prometheus_client
import pytest
from webob import Request

from tests.docs.pages import python_of, text_of
from wsgi_sessions import SessionManager, SessionMiddleware
from wsgi_sessions.events import EVENT_KINDS
from wsgi_sessions.monitoring.catalog import METRICS
from wsgi_sessions.storage.outages import HealthStatus

PAGE = "docs/how-to/monitoring.md"
[CHECK, HEALTH_PATH, HEALTH_APP, PROMETHEUS, OTEL] = python_of(PAGE)


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


def test_prometheus_is_set_up_as_shown(
    names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus_client, "REGISTRY", prometheus_client.CollectorRegistry())
    names["METRICS_TOKEN"] = "a token"
    exec(PROMETHEUS, names)
    application = names["application"]
    Request.blank("/").get_response(application)

    refused = Request.blank("/metrics").get_response(application)
    allowed = Request.blank("/metrics", headers={"Authorization": "Bearer a token"})
    text = allowed.get_response(application).text

    assert refused.status_int == 401
    assert 'wsgi_sessions_requests_total{session="none"} 1.0' in text
    names["metrics"].close()


def test_opentelemetry_is_set_up_as_shown(names: dict[str, Any]) -> None:
    """In a process of its own, as the global provider is set once."""
    code = (
        "from wsgi_sessions import SessionManager, SessionMiddleware\n"
        "from webob import Request\n"
        f"manager = SessionManager('sqlite:///app.db', secret={names['SECRET']!r})\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [b'a page']\n"
        f"{OTEL}\n"
        "Request.blank('/').get_response(application)\n"
        "otel.get_meter_provider().shutdown()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (run.returncode, run.stderr) == (0, "")
    assert '"name": "wsgi_sessions.requests"' in run.stdout


def test_what_to_look_at_is_measured() -> None:
    table = text_of(PAGE).partition("### A dashboard")[2]
    named = set(
        re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)))
    )
    labels = {label for metric in METRICS.values() for label in metric.labels}
    events = {"session_replayed", "throttled", "clock_off", "proxy_not_trusted", "mail_failed"}

    assert named - labels - {"refused", "read"} - events <= set(METRICS)
    assert events <= set(EVENT_KINDS)


def test_every_status_is_in_the_table() -> None:
    section = text_of(PAGE).partition("## Health check")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(get_args(HealthStatus))
