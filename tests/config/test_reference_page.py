"""``docs/reference/settings.md`` is what the declarations say, and says all of it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from wsgi_sessions import SessionConfig
from wsgi_sessions.config.sources import all_settings, variable_of

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT: dict[str, Any] = runpy.run_path(str(DOCS / "write_settings.py"), run_name="write_settings")
PAGE: str = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
ROWS = {
    re.split("[`<]", line)[1]: [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| `")
}


def test_page_is_not_stale() -> None:
    """Where this fails, run ``python docs/write_settings.py``."""
    assert SCRIPT["render"]() == PAGE


def test_every_setting_has_a_row() -> None:
    assert list(ROWS) == list(all_settings(SessionConfig))


@pytest.mark.parametrize("name", ROWS)
def test_row_is_complete(name: str) -> None:
    declared = all_settings(SessionConfig)[name]
    spelled, takes, default, meaning = ROWS[name]

    assert (variable_of(name) in spelled) is declared.is_in_environment
    assert takes
    assert default
    assert meaning == SCRIPT["meaning_of"](name).replace("|", "\\|")
    assert meaning.endswith(".")


@pytest.mark.parametrize(
    ("name", "takes", "default"),
    [
        ("secret", "at least 32 characters, or a list of such, newest first", "required"),
        ("expires_in", "a timedelta or whole seconds, more than 0", "7 days"),
        ("revocation_lag", "a timedelta or whole seconds, 0 or more", "1 s"),
        ("purge_interval", "a timedelta or whole seconds, 0 or more", "1 hour"),
        ("absolute_timeout", "a timedelta or whole seconds, more than 0", "None: no limit"),
        (
            "multi_session.maximum_sessions",
            "a whole number of sessions, between 1 and 1000000",
            "`5`; None: no limit",
        ),
        ("on_replay", "one of 'revoke', 'reject'", "`'revoke'`"),
        ("throttle", "a ThrottleConfig or a mapping of its fields", "its fields; None: off"),
        ("session_fields", "names with types, such as {'theme': 'string'}", "`{}`"),
    ],
)
def test_row_says_what_is_taken_and_what_is_the_default(
    name: str, takes: str, default: str
) -> None:
    assert ROWS[name][1:3] == [takes, default]
