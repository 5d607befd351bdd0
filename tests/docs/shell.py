"""Runs the curl commands of a page, one after the other, against a server of the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

SHOWN_URL = "http://127.0.0.1:8000"


def run_curls(script: str, *, url: str, folder: Path, session_id: str = "") -> list[str]:
    """Return what each command prints, the status after it; ``THE-ID`` is replaced."""
    given, printed = "", []
    for line in script.replace(SHOWN_URL, url).replace("THE-ID", session_id).splitlines():
        if not line.startswith("curl "):
            given += f"{line}\n"
            continue
        command = line.replace("curl ", "curl -sS -w '%{http_code}' ", 1)
        run = subprocess.run(
            ["bash", "-e"],
            input=given + command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, ""), line
        printed.append(run.stdout)
    return printed
