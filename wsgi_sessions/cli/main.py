"""The command line: ``wsgi-sessions <command>``, or ``python -m wsgi_sessions <command>``."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..sessions.tokens import new_secret

if TYPE_CHECKING:
    from .program import Program


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code.

    Without the extra ``cli`` there is ``secret`` alone, as nobody can begin without one.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if any(importlib.util.find_spec(name) is None for name in ("click", "rich")):
        if arguments == ["secret"]:
            sys.stdout.write(new_secret() + "\n")
            return 0
        sys.stderr.write(
            "Without the extra cli there is the command secret alone; for the others: "
            "pip install 'wsgi-sessions[cli]'\n"
        )
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name may have letters that it can't show
    try:
        find_program().main(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    raise AssertionError("unreachable")


def find_program() -> Program:
    """Return the program with all commands; imported here, as the extra may be missing."""
    from .managers import find_manager
    from .program import Program

    return Program("wsgi-sessions", find_manager, takes_app=True)
