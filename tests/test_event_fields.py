"""Each event carries the fields that its documentation has, and no others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import wsgi_sessions
from wsgi_sessions.events import EVENT_KINDS

SOURCES = sorted(Path(wsgi_sessions.__file__).parent.rglob("*.py"))
OWN = {"session_id", "user_id", "reason", "address", "user_agent"}
MADE_ELSEWHERE: Mapping[str, set[str]] = {
    "move": {"has_other_network", "has_other_browser", "is_elsewhere", "device"},
    "news": {"is_new_device", "is_new_network"},
}
"""What stands in a variable of this name that another function makes."""


def found_keys(node: ast.expr, assigned: Mapping[str, list[ast.expr]]) -> set[str]:
    """Return the keys of a mapping: written there, or assigned to its name in the same file."""
    if isinstance(node, ast.Dict):
        keys: set[str] = set()
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                keys |= found_keys(value, assigned)
            else:
                assert isinstance(key, ast.Constant), ast.unparse(node)
                keys.add(str(key.value))
        return keys
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    if name in MADE_ELSEWHERE:
        return MADE_ELSEWHERE[name]
    written = [value for value in assigned.get(name, []) if isinstance(value, ast.Dict)]
    assert written, f"what is {ast.unparse(node)}?"
    return set().union(*(found_keys(value, assigned) for value in written))


def assignments(tree: ast.Module) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name):
                found.setdefault(target.id, []).append(node.value)
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for name, value in zip(target.elts, node.value.elts, strict=True):
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
    return found


def emitted() -> Iterator[tuple[str, set[str]]]:
    """Yield the name and the fields of each event where it is emitted."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assigned = assignments(tree)
        for call in ast.walk(tree):
            if not (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in ("emit", "emit_once")
                and isinstance(call.args[0], ast.Constant)
            ):
                continue
            fields: set[str] = set()
            for keyword in call.keywords:
                if keyword.arg in (None, "details"):
                    fields |= found_keys(keyword.value, assigned)
                else:
                    fields.add(str(keyword.arg))
            yield str(call.args[0].value), fields


EMITTED = list(emitted())


@pytest.mark.parametrize("name", EVENT_KINDS)
def test_fields_are_those_of_the_documentation(name: str) -> None:
    fields = set().union(*(fields for emitted_name, fields in EMITTED if emitted_name == name))

    assert fields == set(EVENT_KINDS[name].fields.split())  # type: ignore[index]


def test_every_event_is_emitted_somewhere() -> None:
    assert {name for name, _ in EMITTED} == set(EVENT_KINDS)


@pytest.mark.parametrize("name", EVENT_KINDS)
def test_details_come_after_what_all_events_have(name: str) -> None:
    fields = EVENT_KINDS[name].fields.split()  # type: ignore[index]

    assert sorted(fields, key=lambda field: field not in OWN) == fields
