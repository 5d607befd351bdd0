"""Puts a fault into a copy of the product, and lets the hunt loose on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import wsgi_sessions

from .catalog import Fault
from .hunt import MAX_SECONDS

ROOT = Path(__file__).parents[2]
PACKAGE = Path(wsgi_sessions.__file__).parent
MAX_WAIT_SECONDS = MAX_SECONDS * 20
"""On a machine on which the hunt gets a twentieth of a CPU; what bounds it is its CPU time."""


def read_table() -> list[tuple[str, str, str]]:
    """Return the rows of the documentation's table: a fault, what found it, and the seconds."""
    page = (ROOT / "docs" / "explanation" / "seeded-faults.md").read_text(encoding="utf-8")
    return re.findall(r"^\| (.+?) \| (.+?) \| ([0-9.]+) \|$", page, re.MULTILINE)


class Hunted(NamedTuple):
    """What found a fault, or None, and the CPU time that the hunt took, Python's start included."""

    found: str | None
    cpu_seconds: float


def patched(fault: Fault, folder: Path) -> Path:
    """Copy the packages and put the fault in; it must still fit."""
    for name in ("wsgi_sessions", "wsgi_sessions_testing"):
        shutil.copytree(PACKAGE.parent / name, folder / name)
    shutil.copytree(ROOT / "tests" / "seeded_faults", folder / "tests" / "seeded_faults")
    (folder / "tests" / "__init__.py").touch()
    put_in(fault, folder / "wsgi_sessions")
    return folder


def put_in(fault: Fault, package: Path, *, is_tried: bool = False) -> None:
    """Put a fault into a package, in which it must still fit; if it is only tried, write nothing."""
    edits = [(fault.module, fault.old, fault.new)]
    for name, old, new in [*edits, fault.guard] if fault.guard else edits:
        path = package / name
        source = path.read_text()
        assert old in source, f"{name} no longer has the line to break"
        assert source.replace(old, new) != source
        if not is_tried:
            path.write_text(source.replace(old, new))


def hunt(folder: Path, *arguments: str) -> Hunted:
    """Look for the fault in a copy, until the CPU time is used up."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.seeded_faults.hunt", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=MAX_WAIT_SECONDS,
        check=False,
    )
    if ran.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return Hunted(None, float(MAX_SECONDS))
    assert ran.returncode == 0, ran.stderr[-2000:]
    return Hunted(**json.loads(ran.stdout.strip().splitlines()[-1]))
