"""The companion finds every seeded fault, and nothing in the true product."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import wsgi_sessions

from .catalog import FAULTS, Fault
from .hunt import find_fault

ROOT = Path(__file__).parents[2]
PACKAGE = Path(wsgi_sessions.__file__).parent
LONGEST_SECONDS = 60
REPORT = os.environ.get("WSGI_SESSIONS_FAULT_REPORT")

pytestmark = pytest.mark.no_cover


def patched(fault: Fault, folder: Path) -> Path:
    """Copy the packages and put the fault in; it must still fit."""
    for name in ("wsgi_sessions", "wsgi_sessions_testing"):
        shutil.copytree(PACKAGE.parent / name, folder / name)
    shutil.copytree(ROOT / "tests" / "seeded_faults", folder / "tests" / "seeded_faults")
    (folder / "tests" / "__init__.py").touch()
    edits = [(fault.room, fault.old, fault.new)]
    for name, old, new in [*edits, fault.guard] if fault.guard else edits:
        room = folder / "wsgi_sessions" / name
        source = room.read_text()
        assert old in source, f"{name} no longer has the line to break"
        room.write_text(source.replace(old, new))
    return folder


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_fault_is_found(fault: Fault, tmp_path: Path) -> None:
    folder = patched(fault, tmp_path / "patched")
    began = time.monotonic()

    hunt = subprocess.run(
        [sys.executable, "-m", "tests.seeded_faults.hunt"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS * 2,
    )

    found = hunt.stdout.strip().splitlines()[-1:] or [""]
    if REPORT:
        with Path(REPORT).open("a") as report:
            report.write(f"{fault.name}\t{found[0]}\t{time.monotonic() - began:.1f}\n")
    assert hunt.returncode == 0, hunt.stderr[-2000:]
    assert found[0], f"nothing found that {fault.name}"


def test_true_product_is_found_sound() -> None:
    assert find_fault(examples=40) is None
