"""What type checkers say of a downstream application: nothing, or every mistake at its line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import wsgi_sessions

HERE = Path(__file__).parent
PACKAGES = Path(wsgi_sessions.__file__).parents[1]
FILES = ("shop.py", "wrong_uses.py")

Reports = dict[str, dict[int, str]]


def run_mypy(folder: Path) -> str:
    search = "" if "site-packages" in PACKAGES.parts else f"mypy_path = {PACKAGES}\n"
    config = folder / "mypy.ini"
    # Errors within the package are the business of its own check.
    config.write_text(f"[mypy]\nstrict = True\nfollow_imports = silent\n{search}")
    command = [sys.executable, "-m", "mypy", "--config-file", config.name, "--no-error-summary"]
    return run([*command, "--no-pretty", "--hide-error-context", *FILES], folder)


def run_pyright(folder: Path) -> str:
    config = {"pythonVersion": "3.10", "typeCheckingMode": "strict", "extraPaths": [str(PACKAGES)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = ["-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    found = json.loads(run([sys.executable, *command], folder))
    return "\n".join(
        f"{Path(each['file']).name}:{each['range']['start']['line'] + 1}: error: {each['message']}"
        for each in found["generalDiagnostics"]
        if each["severity"] == "error"
    )


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


CHECKERS: dict[str, Callable[[Path], str]] = {"mypy": run_mypy, "pyright": run_pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def reports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """What a checker reports of each file, by line; both are checked in a folder of their own."""
    folder = tmp_path_factory.mktemp("downstream")
    for name in FILES:
        shutil.copy(HERE / name, folder)
    reports: Reports = {name: {} for name in FILES}
    for line in CHECKERS[request.param](folder).splitlines():
        found = re.fullmatch(r"(\w+\.py):(\d+)(?::\d+)?: error: (.*)", line)
        if found:
            reports[found[1]].setdefault(int(found[2]), found[3])
    return reports


@cache
def wrong_lines() -> dict[int, str]:
    lines = (HERE / "wrong_uses.py").read_text().splitlines()
    return {number: line for number, line in enumerate(lines, 1) if "# wrong:" in line}


def test_good_use_passes(reports: Reports) -> None:
    assert reports["shop.py"] == {}


def test_every_wrong_use_is_reported_at_its_line(reports: Reports) -> None:
    missed = {n: line for n, line in wrong_lines().items() if n not in reports["wrong_uses.py"]}
    assert missed == {}


def test_nothing_else_is_reported(reports: Reports) -> None:
    found = reports["wrong_uses.py"]
    assert {
        number: message for number, message in found.items() if number not in wrong_lines()
    } == {}
    assert len(found) > 20


def test_the_application_works() -> None:
    """What is checked is an application that runs, not one that only looks right."""
    from tests.typing import shop

    shop.test_the_session_ends_after_an_hour()
