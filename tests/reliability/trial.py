"""Runs tests in a copy of this project, with a protection taken out of it or without."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.seeded_faults.catalog import Fault
from tests.seeded_faults.patching import PACKAGE, ROOT, put_in

MAX_SECONDS = 300
"""How long the tests of one trial may take; what hangs for ever has failed."""
_COPIED = ("tests", "docs", "examples", "pyproject.toml", "README.md")


class Trial(NamedTuple):
    """What became of some tests: the failed ones, each with what it said."""

    failed: dict[str, str]
    seconds: float
    output: str

    def reason(self, test: str) -> str | None:
        """Return what a test said that failed, None if it passed."""
        said = [
            reason
            for name, reason in self.failed.items()
            if name == test or name.startswith(f"{test}[")
        ]
        return said[0] if said else None


def copy_project(folder: Path) -> None:
    """Copy what tests need: servers that they start import the copy as well."""
    ignored = shutil.ignore_patterns("node_modules", "__pycache__", "dist")
    for name in ("wsgi_sessions", "wsgi_sessions_testing"):
        shutil.copytree(PACKAGE.parent / name, folder / name, ignore=ignored)
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)


def try_out(tests: Iterable[str], folder: Path, fault: Fault | None = None) -> Trial:
    """Run tests in a copy of the project, which is made in a folder that is empty.

    Raises ``RuntimeError`` where they could not be run, or one was skipped.
    """
    tests = tuple(tests)
    copy_project(folder)
    if fault is not None:
        put_in(fault, folder / "wsgi_sessions")
    began = time.monotonic()
    # A skip is no failure here, or what is not installed would be one; and the short lengths do.
    left_out = ("CI", "CI_FULL")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"}
    command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "--tb=short"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist"]
    # Of a long example; it would be told in place of what failed.
    command += ["-W", "ignore::hypothesis.errors.HypothesisWarning"]
    try:
        ran = subprocess.run(
            [*command, *tests],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        output = said if isinstance(said, str) else said.decode(errors="replace")
        reason = f"not over after {MAX_SECONDS} s"
        return Trial(dict.fromkeys(tests, reason), time.monotonic() - began, output)
    _, _, summary = ran.stdout.rpartition("= short test summary info =")
    if ran.returncode not in (0, 1) or re.search(r"^(SKIPPED|ERROR) ", summary, re.MULTILINE):
        raise RuntimeError(f"these were not run: {tests}\n{ran.stdout[-4000:]}")
    found = re.findall(r"^FAILED (\S+?(?:\[.*?\])?)(?: - (.*))?$", summary, re.MULTILINE)
    return Trial(dict(found), time.monotonic() - began, ran.stdout)
