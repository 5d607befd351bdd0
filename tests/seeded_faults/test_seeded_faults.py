"""The companion finds every seeded fault, and nothing in the true product."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import IS_FULL

from .catalog import FAULTS, Fault
from .hunt import MAX_SECONDS, find_fault
from .patching import hunt, patched, read_table

FINDERS = {name: finder for name, finder, _ in read_table()}
"""What has found each fault before, which saves the others most of the time."""
_LONG_SECONDS = 3
_LONG = {name for name, _, seconds in read_table() if float(seconds) > _LONG_SECONDS}
TRIED = [fault for fault in FAULTS if IS_FULL or fault.name not in _LONG]
"""Without CI_FULL=1 not those that take longest to find: one in seven, and a third of the time."""

pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("fault", TRIED, ids=[fault.name for fault in TRIED])
def test_fault_is_found(fault: Fault, tmp_path: Path) -> None:
    hunted = hunt(patched(fault, tmp_path / "patched"), FINDERS.get(fault.name, ""))

    assert hunted.found, f"nothing found in {MAX_SECONDS} s of CPU time that {fault.name}"
    assert hunted.cpu_seconds < MAX_SECONDS


def test_true_product_is_found_sound() -> None:
    assert find_fault(examples=40 if IS_FULL else 8) is None
