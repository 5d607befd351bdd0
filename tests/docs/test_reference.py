"""The pages of ``docs/reference`` are what the code says, and say all of it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

import wsgi_sessions
import wsgi_sessions_testing
from tests.test_architecture import LAYERS
from wsgi_sessions import EndReason, RefusedError, errors
from wsgi_sessions.api.routes import ROUTES
from wsgi_sessions.events import EVENT_KINDS
from wsgi_sessions.log_fields import LOG_FIELDS, LOG_LINES
from wsgi_sessions_testing import Bench

from .pages import DOCS, python_of, text_of

GENERATED = ("environ", "errors", "events", "json-api", "metrics", "settings")
[OWN_REFUSAL] = python_of("docs/reference/errors.md")
[WAYS_TO_GIVE] = python_of("docs/reference/settings.md")
CART_IS_EMPTY = "Your cart is empty. Put something into it first."
PYTHON, TESTING, ERRORS = (
    text_of(f"docs/reference/{name}.md") for name in ("python", "testing", "errors")
)


@pytest.fixture(scope="module")
def written() -> Any:
    """Return what ``docs/write_reference.py`` would write, by the page's name."""
    code = (
        "import json, write_reference as w; print(json.dumps({n: f() for n, f in w.PAGES.items()}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=DOCS, capture_output=True, text=True, check=True
    )
    import json

    return json.loads(run.stdout)


@pytest.mark.parametrize("name", GENERATED)
def test_page_is_not_stale(name: str, written: Any) -> None:
    """Where this fails, run ``python docs/write_reference.py``."""
    assert written[f"{name}.md"] == text_of(f"docs/reference/{name}.md")


def test_every_generated_page_is_compared(written: Any) -> None:
    assert set(written) == {f"{name}.md" for name in GENERATED}


def test_every_exported_name_is_described_once() -> None:
    shown = re.findall(r"^::: wsgi_sessions\.(\w+)$", PYTHON, re.MULTILINE)
    in_table = re.findall(r"^\| `(\w+)` \|", ERRORS, re.MULTILINE)
    here = [name for name in in_table if name in wsgi_sessions.__all__]

    assert sorted([*shown, *here]) == sorted(wsgi_sessions.__all__)


def test_the_members_that_are_named_exist() -> None:
    for name, listed in re.findall(
        r"^::: wsgi_sessions\.(\w+)\n    options:\n      members:\n((?:        - \w+\n)+)",
        PYTHON,
        re.MULTILINE,
    ):
        for member in re.findall(r"- (\w+)", listed):
            assert hasattr(getattr(wsgi_sessions, name), member), f"{name}.{member}"


def test_every_method_of_the_manager_is_named() -> None:
    shown = re.findall(r"^        - (\w+)$", PYTHON, re.MULTILINE)
    manager = wsgi_sessions.SessionManager
    methods = [name for name in dir(manager) if callable(getattr(manager, name)) and name[0] != "_"]

    assert set(methods) <= set(shown)


def test_every_exported_name_of_the_companion_is_described_once() -> None:
    shown = re.findall(r"^::: wsgi_sessions_testing\.(\w+)$", TESTING, re.MULTILINE)

    assert sorted(shown) == sorted([*wsgi_sessions_testing.__all__, "strategies"])


@pytest.mark.parametrize(
    "name", [name for name in dir(errors) if name.endswith(("Error", "Reached"))]
)
def test_every_error_is_in_a_table(name: str) -> None:
    error = getattr(errors, name)
    rows = [line for line in ERRORS.splitlines() if line.startswith(f"| `{name}` |")]
    is_a_base = name in ("WsgiSessionsError", "AnswerableError", "RefusedError")

    assert len(rows) == (0 if is_a_base else 1)
    if hasattr(error, "code") and rows:
        assert f"| `{error.code}` | {error.status} |" in rows[0]


def test_every_event_and_every_call_is_shown(written: Any) -> None:
    events, _, log = written["events.md"].partition("\n## ")
    assert re.findall(r"^\| `(\w+)`", events, re.MULTILINE) == list(EVENT_KINDS)
    assert re.findall(r"^\| `(\w+)` \|", log, re.MULTILINE) == [*LOG_FIELDS, *LOG_LINES]
    assert re.findall(r"^### ((?:GET|POST) .+)$", written["json-api.md"], re.MULTILINE) == [
        f"{route.method} {path}" for path, route in ROUTES.items()
    ]


def test_every_end_reason_is_explained() -> None:
    section = text_of("docs/explanation/sessions.md").partition("## Why a session ends")[2]
    rows = re.findall(r"^\| `(\w+)` \|", section.partition("\n## ")[0], re.MULTILINE)

    assert rows == [reason.value for reason in EndReason]


def test_a_refusal_of_the_applications_own_is_answered_as_the_page_says() -> None:
    names: dict[str, Any] = {}
    exec(OWN_REFUSAL, names)
    assert issubclass(names["CartIsEmptyError"], RefusedError)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise names["CartIsEmptyError"]

    with Bench(app) as bench:
        browser = bench.new_browser()
        for_people = browser.get("/")
        for_programs = browser.get("/", headers={"Accept": "application/json"})

    assert (for_people.status_int, for_people.text) == (409, f"{CART_IS_EMPTY}\n")
    assert for_programs.json == {"code": "CART_IS_EMPTY", "message": CART_IS_EMPTY}


def test_settings_are_given_in_every_way_that_is_shown(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSGI_SESSIONS_SECRET", "s0123456789abcdef" * 2)
    (tmp_path / "app.toml").write_text(
        f'[sessions]\nsecret = "{"s0123456789abcdef" * 2}"\nexpires_in = 3600\nupdate_age = 600\n'
    )
    code = (
        "import sys\nfrom datetime import timedelta\n"
        "from wsgi_sessions import SessionConfig, SessionManager\n"
        f"{'import tomllib' if sys.version_info >= (3, 11) else 'import tomli as tomllib'}\n"
        f"SECRET = {'s0123456789abcdef' * 2!r}\nfile = open('app.toml', 'rb')\n"
    )
    names: dict[str, Any] = {}
    exec(code, names)
    exec(WAYS_TO_GIVE, names)
    names["file"].close()


def test_the_map_of_the_code_has_the_layers_of_the_import_contract() -> None:
    table = text_of("docs/explanation/code.md").partition("## Layers")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    shown = [set(re.findall(r"`(\w+)/?`", cell)) for cell in rows]

    assert shown == [names for names in LAYERS if "__init__" not in names]
