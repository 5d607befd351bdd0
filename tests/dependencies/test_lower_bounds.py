"""Whoever installs the oldest releases that pyproject.toml allows gets no known vulnerability."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.dependencies import __main__ as audit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OF_DEVELOPERS = {"benchmarks", "dev", "docs"}
"""Extras that no application installs."""

#: What an application installs.
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    Requirement(text)
    for texts in (
        PROJECT["dependencies"],
        *(texts for name, texts in EXTRAS.items() if name not in OF_DEVELOPERS),
    )
    for text in texts
]


def lower_bound(requirement: Requirement) -> Version:
    [bound] = [part.version for part in requirement.specifier if part.operator in {">=", "~="}]
    return Version(bound)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_a_lower_bound_leaves_out_every_vulnerable_release(requirement: Requirement) -> None:
    lowest = lower_bound(requirement)

    assert audit.known_weaknesses({requirement.name: str(lowest)}) == []


def test_every_extra_of_an_application_is_audited() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")

    audited = set(re.findall(r"--extra (\w+)", script))

    assert audited == set(EXTRAS) - OF_DEVELOPERS


def test_a_vulnerable_release_is_named_with_what_is_known_of_it() -> None:
    found = audit.known_weaknesses({"PyJWT": "2.14.0", "Jinja2": "3.1.6", "unheard-of": "1"})

    assert found == [
        "pyjwt 2.14.0: PyJWT 2.15.0, deeply nested claims end in RecursionError; fixed in 2.15.0"
    ]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that has a program in the place of pip-audit print something."""

    def answers(text: str) -> None:
        program = tmp_path / "pip-audit"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n", "utf-8")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return answers


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    path = tmp_path / "lowest.txt"
    path.write_text("webob==1.8.11\npsycopg[binary]==3.2.1 ; python_version < '3.13'\n", "utf-8")
    return path


def test_what_the_service_has_against_a_release_is_said(
    service: Callable[[str], None], releases: Path
) -> None:
    weakness = {"id": "CVE-1", "fix_versions": ["1.9"]}
    webob = {"name": "webob", "version": "1.8.11", "vulns": [weakness]}
    service(json.dumps({"dependencies": [webob]}))

    assert audit.audit(releases) == ["webob 1.8.11: CVE-1; fixed in 1.9"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="no network"),
        pytest.param(
            '{"dependencies": [{"name": "webob", "skip_reason": "not found"}]}', id="not found"
        ),
    ],
)
def test_releases_that_the_service_did_not_judge_are_not_called_audited(
    answer: str,
    service: Callable[[str], None],
    releases: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service(answer)

    assert audit.audit(releases) == []

    assert "NOT AUDITED by the advisory service, which does not know or not answer: 2" in (
        capsys.readouterr().out
    )
