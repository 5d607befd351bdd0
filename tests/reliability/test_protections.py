"""Each protection is needed: the tests that are named for it fail without it.

Those that take a few seconds are tried each time, all with ``CI_FULL=1``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import IS_FULL

from .catalog import LINES, Protection
from .trial import try_out

TRIED = [each for line in LINES.values() for each in line if IS_FULL or each.is_quick]

pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("protection", TRIED, ids=[each.taken_out.name for each in TRIED])
def test_tests_fail_without_it(protection: Protection, tmp_path: Path) -> None:
    trial = try_out(protection.tests, tmp_path, protection.taken_out)

    assert [test for test in protection.tests if trial.reason(test) is None] == [], trial.output
