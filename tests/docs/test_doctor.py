"""The page on the command line tells each subject that ``doctor`` looks at, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import wsgi_sessions

from .pages import text_of

CHECKS = Path(wsgi_sessions.__file__).parent / "cli/doctor"


def test_every_subject_of_a_finding_has_a_row() -> None:
    source = "".join(path.read_text() for path in CHECKS.glob("*.py"))
    subjects = set(re.findall(r'(?:SUBJECT|CONNECTIONS) = "([^"]+)"', source))
    subjects |= set(re.findall(r'(?:ok|fault|warning)\(\s*"([a-z]+)",', source))
    page = text_of("docs/how-to/command-line.md")
    section = page.partition("## Find out what is wrong")[2].partition("\n## ")[0]

    told = set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE))

    assert told == subjects
