"""Every protection still stands in the product, its tests exist, and the page says the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.seeded_faults.patching import PACKAGE, ROOT, put_in

from .catalog import LINES, Protection
from .page import PAGE, table_of

PROTECTIONS = [protection for line in LINES.values() for protection in line]
each_protection = pytest.mark.parametrize(
    "protection", PROTECTIONS, ids=[each.taken_out.name for each in PROTECTIONS]
)


@each_protection
def test_protection_stands_in_the_product(protection: Protection) -> None:
    put_in(protection.taken_out, PACKAGE, is_tried=True)


def test_every_test_exists() -> None:
    tests = sorted({test for protection in PROTECTIONS for test in protection.tests})
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_no_two_protections_have_one_name() -> None:
    assert len({each.taken_out.name for each in PROTECTIONS}) == len(PROTECTIONS)


@pytest.mark.parametrize("line", LINES)
def test_page_has_the_table_of(line: str) -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert table_of(line) in text, "python -m tests.reliability --page writes it anew"


def test_page_names_the_files_of_its_tests() -> None:
    text = PAGE.read_text(encoding="utf-8")
    files = {test.partition("::")[0] for protection in PROTECTIONS for test in protection.tests}

    assert {file for file in files if f"`{file}`" not in text} == set()
