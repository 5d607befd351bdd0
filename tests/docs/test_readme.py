"""What the README says is so: its code runs, its settings exist, its calls are served."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from wsgi_sessions import SessionConfig, SessionManager, SessionRequest
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions_testing import Bench

from ..examples.test_quickstart import serving
from .pages import blocks_of, python_of, text_of
from .shell import run_curls

README = text_of("README.md")
[USAGE, SIGN_IN, TESTS] = python_of("README.md")
[HOME] = python_of("docs/index.md")
SETTING_ROWS = re.findall(
    r"^\| (`.*?) \| (.*?) \| .*\|$", README.partition("## Settings")[2], re.MULTILINE
)
UNITS = {"s": "seconds", "hour": "hours", "day": "days", "days": "days"}

SECRET = "for the tests of the README alone"


def test_usage_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", SECRET)
    names: dict[str, Any] = {}
    exec(USAGE, names)
    names["manager"].create_tables()
    assert _get(validator(names["application"])) == b"Hello, stranger!\n"
    names["manager"].close()


def test_the_testing_companion_is_used_as_shown(tmp_path: Path) -> None:
    prepared = TESTS.replace("my_project.create_app()", "app")
    (tmp_path / "test_shown.py").write_text(f"{_plain_app()}\n\n{prepared}", encoding="utf-8")
    run = subprocess.run(
        # The neighbours are installed for other tests; with them ``browser`` is another's.
        [
            *[sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            *["-p", "no:django", "-p", "no:pytest-splinter", str(tmp_path)],
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_the_home_page_shows_the_same_usage() -> None:
    assert HOME == USAGE


@pytest.mark.parametrize(
    ("password", "expected"),
    [("correct horse", "Hello, Ada"), ("wrong horse", "(INVALID_EMAIL_OR_PASSWORD)")],
)
def test_a_view_signs_in_as_shown(password: str, expected: str) -> None:
    names: dict[str, Any] = {}
    exec(SIGN_IN, names)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        text = names["sign_in"](environ, "ada@example.org", password)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    with Bench(app) as bench:
        bench.factories.make_user("ada@example.org", name="Ada", password="correct horse")
        browser = bench.new_browser()
        assert browser.get("/").text.endswith(expected)
        assert (browser.session is not None) is (password == "correct horse")


@pytest.mark.server
def test_the_walk_through_the_api_goes_as_shown(tmp_path: Path) -> None:
    [walk] = [block.text for block in blocks_of("README.md", "sh") if "/api/auth" in block.text]
    before, ending, after = re.split(r"(?m)^(curl .* \$U/revoke-session)$", walk)
    given = walk.partition("\n\n")[0] + "\n"
    with serving(tmp_path / "data") as (url, _):
        begun = run_curls(before, url=url, folder=tmp_path)
        first, second = json.loads(begun[3].removesuffix("200"))
        current = json.loads(begun[2].removesuffix("200"))["session"]
        [other] = {first["token"], second["token"]} - {current["token"]}
        ended = run_curls(given + ending, url=url, folder=tmp_path, session_id=other)
        [after_end] = run_curls(f"{given}curl -b phone $U/get-session", url=url, folder=tmp_path)
        at_last = run_curls(given + after, url=url, folder=tmp_path)

    assert all(answer.endswith("200") for answer in begun)
    assert ended == ['{"status":true}200']
    assert after_end == "null200"
    assert at_last == ['{"status":true}200', "null200", '{"success":true}200']


def test_every_setting_in_the_table_exists_with_its_default() -> None:
    assert len(SETTING_ROWS) > 20
    config = SessionConfig(secret=SECRET)
    for names, defaults in SETTING_ROWS:
        settings = re.findall(r"`([\w.]+)`", names)
        assert settings, names
        shown = defaults.split(", ")
        for position, setting in enumerate(settings):
            value = _read(config, setting)
            if setting != "secret":
                text = shown[position] if len(shown) > 1 else shown[0]
                assert _is_shown_as(value, text), (setting, value, text)


def test_every_call_in_the_table_is_served_and_none_is_missing() -> None:
    table = README.partition("## The JSON API")[2].partition("## How")[0]
    shown = set(re.findall(r"`((?:GET|POST) /[\w/.-]+)`", table))
    assert shown == {f"{route.method} {path}" for path, route in ROUTES.items()}


def test_every_call_of_the_handle_exists() -> None:
    told = README.partition("Its other calls:")[2].partition("`SessionManager` has")[0]
    calls = re.findall(r"`([a-z_]+)(?:\([a-z_]*\))?`", told)
    assert len(calls) > 8
    for call in calls:
        assert callable(getattr(SessionRequest, call))
    assert callable(SessionManager.sign_in_email)


def _plain_app() -> str:
    return "def app" + USAGE.partition("def app")[2].partition("application =")[0]


def _get(application: Any) -> bytes:
    environ: dict[str, Any] = {"REMOTE_ADDR": "127.0.0.1", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    iterable = application(environ, lambda _status, _headers, _exc_info=None: lambda _data: None)
    try:
        return b"".join(iterable)
    finally:
        iterable.close()


def _read(config: SessionConfig, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _is_shown_as(value: object, text: str) -> bool:
    if isinstance(value, timedelta):
        number, _, unit = text.partition(" ")
        return unit in UNITS and value == timedelta(**{UNITS[unit]: int(number)})
    return text.strip('`"') == str(value)
