"""The markers that leave tests out of the loop of a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import MARKS

HERE = Path(__file__).parent


@pytest.mark.parametrize("place", [place for places in MARKS.values() for place in places])
def test_every_marked_place_exists(place: str) -> None:
    """A file that is renamed takes its line in the table with it."""
    path, _, name = place.partition("::")
    matching = [*HERE.glob(path), *HERE.glob(f"{path}.py")]
    assert matching
    assert not name or f"def {name.split('::')[-1]}" in matching[0].read_text()
