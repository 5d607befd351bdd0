"""What the README says is so: its code runs, its settings exist, its links lead somewhere.

Must not repeat the README: everything is read out of it.
"""

from __future__ import annotations

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

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SETTING_ROWS = re.findall(
    r"^\| (`.*?) \| (.*?) \| .*\|$", README.partition("## Settings")[2], re.MULTILINE
)
UNITS = {"s": "seconds", "hour": "hours", "day": "days", "days": "days"}

SECRET = "for the tests of the README alone"


def test_usage_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", SECRET)
    names: dict[str, Any] = {}
    exec(PYTHON[0], names)
    names["manager"].create_tables()
    assert _get(validator(names["application"])) == b"Hello, stranger!\n"
    names["manager"].close()


def test_the_testing_companion_is_used_as_shown(tmp_path: Path) -> None:
    [shown] = [block for block in PYTHON if "def wsgi_app" in block]
    prepared = shown.replace("my_project.create_app()", "app")
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
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_every_python_block_compiles() -> None:
    for number, block in enumerate(PYTHON):
        compile(block, f"README block {number}", "exec")


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


def test_every_link_within_the_repository_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", README)
    places = [place for pair in targets for place in pair if place and "://" not in place]
    assert places
    for place in places:
        assert (ROOT / place).exists(), place


def _plain_app() -> str:
    return "def app" + PYTHON[0].partition("def app")[2].partition("application =")[0]


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
