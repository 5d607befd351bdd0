"""What ``docs/how-to/testing.md`` shows is run from there, and what it promises is counted."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wsgi_sessions_testing
from tests.seeded_faults.catalog import FAULTS
from tests.seeded_faults.patching import read_table

# Installed here for tests of their own; where they are active, names of ours are theirs.
WITHOUT_NEIGHBOURS = ("-p", "no:django", "-p", "no:pytest-splinter")
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "testing.md").read_text(encoding="utf-8")
FAULTS_PAGE = (ROOT / "docs" / "explanation" / "seeded-faults.md").read_text(encoding="utf-8")
BLOCKS = {
    block.partition("\n")[0].removeprefix("# "): block
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
}
PROJECT = """
def create_app():
    def app(environ, start_response):
        is_in = environ["wsgi_sessions.user"] is not None
        status = "200 OK" if is_in or environ["PATH_INFO"] == "/" else "401 Unauthorized"
        start_response(status, [("Content-Type", "text/plain")])
        return [b"a page"]

    return app
"""
MAX_LINES = 5


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "my_project.py").write_text(PROJECT, encoding="utf-8")
    for name, block in BLOCKS.items():
        (tmp_path / name).write_text(block, encoding="utf-8")
    return tmp_path


def run(project: Path, *command: str) -> str:
    ran = subprocess.run(
        [sys.executable, *command], cwd=project, capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_every_block_names_its_file() -> None:
    assert set(BLOCKS) == {
        "conftest.py",
        "test_accounts.py",
        "test_sessions.py",
        "test_troubles.py",
        "test_machine.py",
        "test_one_bench.py",
        "test_properties.py",
        "without_pytest.py",
    }


def test_the_tests_pass_as_they_stand(project: Path) -> None:
    shown = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *WITHOUT_NEIGHBOURS)

    assert "22 passed" in shown


def test_it_works_without_pytest(project: Path) -> None:
    run(project, "without_pytest.py")


def test_the_eight_usual_tests_are_short() -> None:
    tests = [node for node in ast.parse(BLOCKS["test_sessions.py"]).body if _is_test(node)]

    assert len(tests) == 8
    for test in tests:
        assert isinstance(test, ast.FunctionDef)
        body_lines = (test.end_lineno or 0) - test.body[0].lineno + 1
        assert body_lines <= MAX_LINES, test.name


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def test_every_fixture_is_named() -> None:
    listed = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--fixtures",
            "-q",
            "-p",
            "no:cacheprovider",
            *WITHOUT_NEIGHBOURS,
        ],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    ).stdout
    ours = listed.partition("wsgi_sessions_testing.plugin")[2]
    names = re.findall(r"^(\w+)(?: \[.*\])? -- .*wsgi_sessions_testing", listed, re.MULTILINE)

    assert ours
    assert len(names) > 10
    for name in names:
        assert f"`{name}" in PAGE, name


def test_every_assertion_is_named() -> None:
    for name in wsgi_sessions_testing.__all__:
        if name.startswith("assert_"):
            assert f"`{name}(" in PAGE, name


def test_every_seeded_fault_is_in_the_table() -> None:
    rows = read_table()

    assert [name for name, *_ in rows] == [fault.name for fault in FAULTS]
    assert f"All {len(FAULTS)} faults" in FAULTS_PAGE
    assert all(0 < float(seconds) < 60 for *_, seconds in rows)
    assert all(finder != "nothing" for _, finder, _ in rows)
