"""The import contract: rooms import from lower floors alone, and each ban holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import wsgi_sessions

PACKAGE = Path(wsgi_sessions.__file__).parent

FLOORS = {
    "errors": 0,
    "clock": 0,
    "statements": 0,
    "databases": 1,
    "driver_errors": 1,
    "instants": 1,
    "forks": 0,
    "patience": 1,
    "openings": 2,
    "bounded_drivers": 2,
    "pool": 2,
    "secrecy": 0,
    "response_headers": 0,
    "file_wrapper": 0,
    "exempt_paths": 1,
    "providers": 1,
    "settings_checks": 2,
    "settings_sources": 2,
    "records": 1,
    "forwarded": 0,
    "public_suffixes": 0,
    "addresses": 1,
    "devices": 1,
    "signing": 1,
    "settings_parts": 3,
    "rotation_settings": 1,
    "config": 4,
    "tokens": 4,
    "cookie_cache": 4,
    "session": 4,
    "models": 3,
    "environ": 5,
    "outages": 1,
    "policy": 5,
    "cookies": 5,
    "connection_source": 3,
    "connections": 4,
    "user_store": 5,
    "table_checks": 5,
    "tables": 6,
    "account_store": 6,
    "upkeep_store": 7,
    "ending_store": 8,
    "store": 9,
    "revocations": 10,
    "events": 5,
    "database_clock": 6,
    "accounts": 11,
    "purging": 11,
    "validation": 11,
    "admission": 11,
    "assembly": 12,
    "manager": 13,
    "arguments": 14,
    "outbox": 14,
    "exchange": 15,
    "request": 16,
    "middleware": 17,
    "api": 18,
    "adapters": 19,
    "cli": 19,
    "migrations": 19,
    "__main__": 20,
    "__init__": 20,
}
BANS = {
    "policy": {"time", "random", "secrets", "peewee", "webob", "logging", "datetime"},
}
ONLY = {
    "time": {"clock", "connection_source", "connections"},
    "random": set[str](),
    "secrets": {"tokens"},
    "peewee": {
        *["account_store", "ending_store", "assembly", "connection_source", "connections"],
        *["databases", "driver_errors", "openings"],
        *["instants", "models", "statements", "store", "upkeep_store", "user_store"],
    },
    "playhouse": {"databases", "driver_errors", "openings"},
    "webob": {"api"},
    "urllib": {"accounts", "adapters", "api", "databases", "providers", "outages"},
    "jwt": {"accounts"},
    "jinja2": {"api"},
    "flask": {"adapters"},
    "django": {"adapters"},
    "pyramid": {"adapters"},
    "bottle": {"adapters"},
    "falcon": {"adapters"},
    "wsgi_sessions_testing": set[str](),
}
MAX_ROOM = 500


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports_of(source: str, *, depth: int = 1) -> set[str]:
    """Return the rooms and packages a module imports, type checking aside; ours as ``.room``.

    ``depth`` is 1 for a room that is a file, 2 for a file within a room that is a folder.
    """
    found: set[str] = set()
    tree = ast.parse(source)
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                found.add((node.module or "").partition(".")[0])
            elif node.level == depth:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                found |= {"." + name.partition(".")[0] for name in names}
    return found


def breaches(room: str, imported: set[str]) -> list[str]:
    """Return what a room imports and must not."""
    found = []
    for name in sorted(imported):
        if name.startswith("."):
            other = name[1:]
            if FLOORS[other] >= FLOORS[room] and room != "__main__":
                found.append(f"{room} (floor {FLOORS[room]}) imports {other} ({FLOORS[other]})")
        elif name in BANS.get(room, set()) or (name in ONLY and room not in ONLY[name]):
            found.append(f"{room} imports {name}")
    if room == "__init__" and ".adapters" in imported:
        found.append("__init__ imports an adapter")
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_from_lower_floors_alone(path: Path) -> None:
    depth = len(path.relative_to(PACKAGE).parts)
    assert breaches(room_of(path), imports_of(path.read_text(), depth=depth)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_says_what_it_does_and_must_not_do(path: Path) -> None:
    source = path.read_text()
    docstring = ast.get_docstring(ast.parse(source)) or ""
    first, _, rest = docstring.partition("\n\n")
    assert first and rest, "a room's docstring has two parts"
    assert len(source.splitlines()) <= MAX_ROOM


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_cookies_spells_set_cookie(path: Path) -> None:
    if room_of(path) == "cookies":
        return
    strings = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert "Set-Cookie" not in strings


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_clock_reads_the_time(path: Path) -> None:
    if room_of(path) == "clock":
        return
    assert not re.search(r"\.(now|utcnow|today)\(|time\.(time|monotonic)(_ns)?\(", path.read_text())


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("errors", "from .clock import Clock"),
        ("policy", "import time"),
        ("policy", "from .store import Store"),
        ("store", "import secrets"),
        ("manager", "from .middleware import SessionMiddleware"),
        ("assembly", "from .manager import SessionManager"),
        ("middleware", "import flask"),
        ("cli", "from wsgi_sessions_testing import FakeClock"),
        ("clock", "from . import errors"),
    ],
)
def test_the_contract_can_be_broken(room: str, source: str) -> None:
    assert breaches(room, imports_of(source)) != []


def test_imports_for_type_checking_do_not_count() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .store import Store"
    assert imports_of(source) == {"typing"}
