"""What ``docs/how-to/choosing-settings.md`` says of how settings fit together is what is checked."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import ConfigurationError, SessionConfig

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "choosing-settings.md").read_text(
    encoding="utf-8"
)
SECRET = "for the tests of the settings alone"
EXPIRES_IN = 10_000


def section(heading: str) -> str:
    return PAGE.partition(f"### {heading}\n")[2].partition("\n#")[0]


REMEDIES = {
    rule: remedy.replace("`", "")
    for rule, remedy in re.findall(
        r"^\| `(.+?)` \| .+? \| (.+?) \|$", section("How they fit together"), re.MULTILINE
    )
}
GIVEN = re.findall(
    r"`(rotation_interval=[^`]+|\w+_grace=\d+|expires_in=\d[^`]+)`", section("What to set")
)


def test_what_fits_together_is_taken_and_nothing_else() -> None:
    # "5 G" is five times G.
    formulas = {rule: re.sub(r"(\d) G", r"\1 * G", rule) for rule in REMEDIES}
    broken_first = set()
    # Around each bound of a grace of 10: one below, the bound, one above.
    for interval, upload, update_age, clocks in product(
        (49, 50, 51, 59, 60, 61, 99, 100, 101),
        (29, 30, 31, 39, 40, 41),
        (EXPIRES_IN - n for n in (49, 50, 51, 59, 60, 61)),
        (9, 10, 11),
    ):
        names = {"G": 10, "L": upload, "I": interval, "clock_difference": clocks}
        names |= {"expires_in": EXPIRES_IN, "update_age": update_age}
        broken = [rule for rule, formula in formulas.items() if not eval(formula, names)]
        complaint = complaint_about(
            rotation_grace=10,
            rotation_interval=interval,
            upload_grace=upload,
            expires_in=EXPIRES_IN,
            update_age=update_age,
            clock_difference=clocks,
        )
        assert (complaint is not None) == bool(broken), (names, broken, complaint)
        if complaint is not None:
            assert complaint.endswith(REMEDIES[broken[0]])
            broken_first.add(broken[0])
    assert broken_first == set(REMEDIES)


@pytest.mark.parametrize("given", GIVEN)
def test_what_the_page_says_to_set_can_be_set(given: str) -> None:
    assert complaint_about(**eval(f"dict({given})")) is None


def test_the_least_is_the_least() -> None:
    [least] = re.findall(r"`(rotation_interval=\d+, rotation_grace=\d+)`, the least", PAGE)
    seconds = eval(f"dict({least})")
    assert complaint_about(**seconds) is None
    for name in seconds:
        assert complaint_about(**{**seconds, name: seconds[name] - 1}) is not None


def complaint_about(**settings: Any) -> str | None:
    try:
        SessionConfig(secret=SECRET, **settings)
    except ConfigurationError as error:
        return str(error)
    return None
