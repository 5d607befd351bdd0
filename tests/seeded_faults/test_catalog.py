"""Every seeded fault still fits the product: a change of a patched line is a change of the catalogue."""

from __future__ import annotations

import pytest

from .catalog import FAULTS, Fault
from .patching import PACKAGE, put_in


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_fault_fits_its_module(fault: Fault) -> None:
    put_in(fault, PACKAGE, is_tried=True)


def test_no_fault_has_two_names_nor_a_name_two_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert len({(fault.module, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS)
