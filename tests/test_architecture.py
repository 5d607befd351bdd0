"""The layers of the package: who may import whom, and what only some may import or do."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import wsgi_sessions

PACKAGE = Path(wsgi_sessions.__file__).parent

LAYERS = (
    {"errors", "request_errors", "records", "clock", "events", "fork_safety"}
    | {"light_dataclasses", "memo", "log_fields"},
    {"config"},
    {"transport"},
    {"storage"},
    {"sessions"},
    {"accounts"},
    {"manager", "mail_manager", "user_manager", "database_manager", "parts", "health"},
    {"wsgi"},
    {"api"},
    {"pages"},
    {"monitoring"},
    {"middleware"},
    {"adapters", "cli"},
    {"management"},
    {"__init__", "__main__"},
)
"""The lowest first: a module imports from its own layer and from those before it."""

IMPURE = {"time", "random", "secrets", "peewee", "webob", "logging", "datetime"}
FORBIDDEN = {"sessions/policy.py": IMPURE, "sessions/undisturbed.py": IMPURE}
ONLY_IN = {
    "random": (),
    "secrets": ("sessions/tokens.py",),
    "peewee": ("storage/",),
    "playhouse": ("storage/",),
    "webob": ("api/",),
    "jwt": ("accounts/",),
    "jinja2": ("pages/",),
    "prometheus_client": ("monitoring/prometheus.py",),
    "opentelemetry": ("monitoring/opentelemetry.py",),
    "flask": ("adapters/flask.py",),
    "django": ("adapters/django.py", "management/"),
    "pyramid": ("adapters/pyramid.py",),
    "bottle": ("adapters/bottle.py",),
    "falcon": ("adapters/falcon.py",),
    "click": ("cli/", "management/"),
    "rich": ("cli/",),
    "wsgi_sessions_testing": (),
}
MAX_LINES = 400

MODULES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def layer_of(module: str) -> int:
    """Return the layer of ``sessions/policy.py`` or of ``sessions.policy``."""
    name = re.split(r"[./]", module)[0]
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imports_of(module: str, source: str) -> set[str]:
    """Return what a module imports, type checking aside: ours as ``.sessions.policy``."""
    found: set[str] = set()
    tree = ast.parse(source)
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    folder = module.split("/")[:-1]
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1]
            parts = [*base, *(node.module or "").split(".")] if node.module else base
            names = [[]] if node.module else [[alias.name] for alias in node.names]
            found |= {"." + ".".join([*parts, *name]) for name in names}
    return found


def breaches(module: str, source: str) -> list[str]:
    """Return what a module imports and must not."""
    found = []
    for name in sorted(imports_of(module, source)):
        if name.startswith("."):
            if layer_of(name[1:]) > layer_of(module):
                found.append(f"{module} imports {name[1:]}, of a later layer")
        elif name in FORBIDDEN.get(module, set()) or not module.startswith(
            ONLY_IN.get(name, ("",))
        ):
            found.append(f"{module} imports {name}")
    if module == "__init__.py" and any(
        name.startswith(".adapters") for name in imports_of(module, source)
    ):
        found.append("__init__.py imports an adapter")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_from_earlier_layers(module: str) -> None:
    assert breaches(module, MODULES[module].read_text()) == []


def test_no_circle_of_imports() -> None:
    waiting = {
        module: {
            found
            for name in imports_of(module, path.read_text())
            if name.startswith(".")
            for found in (
                name[1:].replace(".", "/") + ".py",
                name[1:].replace(".", "/") + "/__init__.py",
            )
            if found in MODULES and found != module
        }
        for module, path in MODULES.items()
    }
    while True:
        done = {module for module, needed in waiting.items() if not needed & waiting.keys()}
        if not done:
            break
        waiting = {module: needed for module, needed in waiting.items() if module not in done}
    assert waiting == {}


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_short_and_say_what_they_do(module: str) -> None:
    source = MODULES[module].read_text()
    assert ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", MODULES)
def test_only_cookies_spells_set_cookie(module: str) -> None:
    strings = [
        node.value
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert module == "transport/cookies.py" or "Set-Cookie" not in strings


@pytest.mark.parametrize("module", MODULES)
def test_only_the_clock_reads_the_time(module: str) -> None:
    reads = re.findall(
        r"\.(?:now|utcnow|today)\(|time\.(?:time|monotonic)(?:_ns)?\(", MODULES[module].read_text()
    )
    assert module == "clock.py" or reads == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors.py", "from .config.settings import SessionConfig"),
        ("sessions/policy.py", "import time"),
        ("storage/store.py", "from ..sessions.policy import judge"),
        ("storage/store.py", "import secrets"),
        ("manager.py", "from .wsgi.middleware import SessionMiddleware"),
        ("wsgi/middleware.py", "import flask"),
        ("wsgi/middleware.py", "from .. import api"),
        ("cli/main.py", "from wsgi_sessions_testing import FakeClock"),
        ("accounts/oidc/id_tokens.py", "from ...manager import SessionManager"),
        ("__init__.py", "from .adapters import flask"),
    ],
)
def test_the_contract_can_be_broken(module: str, source: str) -> None:
    assert breaches(module, source) != []


def test_imports_for_type_checking_do_not_count() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .store import Store"
    assert imports_of("storage/urls.py", source) == {"typing"}
