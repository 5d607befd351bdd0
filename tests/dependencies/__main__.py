"""``python -m tests.dependencies FILE…``: audits lists of pinned releases, ``name==version``.

It asks the advisory service of the package index, by pip-audit. Where that does not answer, it
says so: then only our own table of advisories was compared. It fails for a known weakness, not
for a missing network.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.dependencies.advisories import ADVISORIES


def pins(path: Path) -> dict[str, str]:
    """Return the releases that a list of requirements pins, by name."""
    lines = (line.split(";")[0].strip() for line in path.read_text("utf-8").splitlines())
    found = (line.partition("==") for line in lines if line and not line.startswith("#"))
    return {name.partition("[")[0]: version.strip() for name, _, version in found}


def known_weaknesses(releases: Mapping[str, str]) -> list[str]:
    """Return what our own table has against these releases."""
    versions: dict[str, Version] = {
        canonicalize_name(name): Version(text) for name, text in releases.items()
    }
    return [
        f"{a.package} {versions[a.package]}: {a.identifier}, {a.weakness}; fixed in {a.fixed_in}"
        for a in ADVISORIES
        if a.package in versions and versions[a.package] < Version(a.fixed_in)
    ]


def ask_service(path: Path) -> list[dict[str, Any]]:
    """Return what pip-audit says of each release; nothing if its service can't be reached."""
    command = ["pip-audit", "--disable-pip", "--no-deps", "--timeout=10", "--format=json"]
    result = subprocess.run([*command, f"--requirement={path}"], capture_output=True, text=True)
    try:
        answers: list[dict[str, Any]] = json.loads(result.stdout)["dependencies"]
    except ValueError:  # it ended with a traceback
        return []
    # A release of which the service knows nothing is "skipped", and pip-audit ends well.
    return [answer for answer in answers if "skip_reason" not in answer]


def audit(path: Path) -> list[str]:
    """Print what was asked about the releases of a list; return what is wrong with them."""
    releases = pins(path)
    found = known_weaknesses(releases)
    answers = ask_service(path)
    for answer in answers:
        for weakness in answer["vulns"]:
            fixed = ", ".join(weakness["fix_versions"]) or "no release"
            found.append(
                f"{answer['name']} {answer['version']}: {weakness['id']}; fixed in {fixed}"
            )
    print(f"{path.name}: {len(releases)} releases")
    print(f"  compared with the {len(ADVISORIES)} advisories of our own table")
    if len(answers) == len(releases):
        print("  the advisory service was asked about all of them")
    else:
        missing = len(releases) - len(answers)
        print(
            f"  NOT AUDITED by the advisory service, which does not know or not answer: {missing}"
        )
    return found


def main() -> int:
    """Audit every list that is named; return 1 if a release in one is known to be vulnerable."""
    found = [line for name in sys.argv[1:] for line in audit(Path(name))]
    print("\n".join(found) or "no release with a known vulnerability")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
