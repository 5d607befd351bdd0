"""``docs/security.md``: each requirement is shown by something, and the inventories are whole."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import peewee
import pytest

import wsgi_sessions
from tests.api.client import Client, make_manager
from wsgi_sessions.accounts.oidc.fetching import MAX_ANSWER_BYTES
from wsgi_sessions.config.settings import SessionConfig
from wsgi_sessions.storage.models import build_models

from .pages import ROOT, text_of

PAGE = "docs/security.md"
PACKAGE = Path(wsgi_sessions.__file__).parent
REQUIRED = {
    "3.1": "1",
    "3.2": "1 2",
    "3.3": "1 2 3 4 5",
    "3.4": "1 2 3 4 5 6 7 8",
    "3.5": "1 2 3 6 7 8",
    "3.7": "2",
    "6.1": "1 2 3",
    "6.2": "1 2 3 4 5 6 7 8 9 10 11 12",
    "6.3": "1 2 3 4 5 6 7 8",
    "6.4": "2 3 6",
    "6.8": "1 2 4",
    "7.1": "1 2 3",
    "7.2": "1 2 3 4",
    "7.3": "1 2",
    "7.4": "1 2 3 4 5",
    "7.5": "1 2 3",
    "7.6": "1 2",
    "9.1": "1 2 3",
    "9.2": "1 2 3 4",
    "10.1": "1 2",
    "10.5": "1 2 3 4 5",
    "11.1": "1 2 3 4",
    "11.2": "1 2 3 4 5",
    "11.3": "1 2 3 4",
    "11.4": "1 2 3 4",
    "11.5": "1 2",
    "11.6": "1",
    "13.1": "1 2 3 4",
    "13.2": "4",
    "13.4": "2 4 5 6",
    "14.1": "1 2",
    "14.2": "1 2 3 7",
    "14.3": "1 2 3",
    "16.1": "1",
    "16.2": "1 2 4 5",
    "16.3": "1 2 3 4",
    "16.4": "1",
    "16.5": "1 2 3 4",
}
"""The sections of ASVS 5.0, and the numbers in each that concern a session layer."""
CRYPTOGRAPHIC = {"argon2", "cryptography", "hashlib", "hmac", "jwt", "secrets", "ssl"}
WEAK_HASHES = {"md4", "md5", "sha1", "ripemd160"}

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in text_of(PAGE).splitlines()
    if re.match(r"\| \d+\.\d+\.\d+ \|", line)
]
SHOWN_BY = sorted({name for row in ROWS for name in re.findall(r"`(tests/[^`]+)`", row[-1])})


@cache
def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def names_imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


def test_each_requirement_has_one_row() -> None:
    wanted = [f"{section}.{n}" for section, numbers in REQUIRED.items() for n in numbers.split()]

    assert [row[0] for row in ROWS] == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_says_what_is_asked_and_what_shows_it(row: list[str]) -> None:
    _, level, asked, done, files, shown = row

    assert level in {"1", "2", "3"} and asked and done and files
    assert all((PACKAGE / file).exists() for file in re.findall(r"`([^`]+)`", files))
    assert re.search(r"`tests/.+::test_\w+`|the application's: \[|\]\(\S+\)|^not met$", shown)


def test_the_requirements_of_levels_one_and_two_are_met() -> None:
    open_ones = [
        row[0]
        for row in ROWS
        if row[1] != "3" and re.search("not met|not whole|in part", " ".join(row[3:]))
    ]

    assert open_ones == []


@pytest.mark.parametrize("name", SHOWN_BY)
def test_what_shows_a_requirement_is_there(name: str) -> None:
    path, _, test = name.partition("::")

    assert test in functions_of(path)


def test_every_module_that_uses_cryptography_is_in_the_inventory() -> None:
    [listed] = re.findall(r"<!-- modules -->(.+)<!-- end of modules -->", text_of(PAGE))

    using = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if names_imported(path) & CRYPTOGRAPHIC
    }

    assert set(re.findall(r"`([^`]+)`", listed)) == using


def test_every_purpose_of_a_derived_key_is_in_the_inventory() -> None:
    inventory = text_of(PAGE).partition("### The life of a key")[0]

    purposes = {
        purpose
        for path in PACKAGE.rglob("*.py")
        for purpose in re.findall(r'"([\w -]+ v1)"', path.read_text(encoding="utf-8"))
    }

    assert set(re.findall(r"`([\w -]+ v1)`", inventory)) == purposes
    assert len(purposes) >= 8


def test_no_weak_hash_is_used() -> None:
    words = {
        word
        for path in PACKAGE.rglob("*.py")
        # It reads hashes that others have made, in order to replace them.
        if path.name != "foreign_hashes.py"
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8").lower())
    }

    assert words & WEAK_HASHES == set()


def test_every_table_is_in_the_list_of_personal_data() -> None:
    models = build_models(peewee.SqliteDatabase(":memory:"), table_prefix="")
    tables = {model._meta.table_name for model in models.created_here}

    listed = set(re.findall(r"^\| (?:the )?table `(\w+)`", text_of(PAGE), re.MULTILINE))

    assert listed == tables


def test_the_numbers_are_those_of_the_settings() -> None:
    config = SessionConfig(secret="a-secret-for-tests-of-32-characters")
    numbers = {
        f"`max_connections` ({config.max_connections})",
        f"`database_patience` ({config.database_patience_ms // 1000} s)",
        f"`keep_ended` ({config.keep_ended_ms // 86_400_000} days)",
        f"`cookie_cache.max_age` ({config.cookie_cache.max_age_ms // 60_000} minutes)",
        f"`password.max_waiting` ({config.password.max_waiting})",
        f"{config.password.memory_cost_kib // 1024} MiB, {config.password.time_cost} passes",
        f"{config.expires_in_ms // 86_400_000} days (`expires_in`)",
        f"{MAX_ANSWER_BYTES // 1024} KiB",
    }

    assert {number for number in numbers if number not in text_of(PAGE)} == set()


@pytest.mark.parametrize(("method", "path"), [("GET", "/ok"), ("GET", "/nothing"), ("PUT", "/ok")])
def test_no_answer_names_a_version(method: str, path: str) -> None:
    answer = Client(make_manager()).send(method, path)

    assert answer.header("Server") is None and answer.header("X-Powered-By") is None
    assert wsgi_sessions.__version__.encode() not in answer.body
