"""The command line: ``python -m wsgi_sessions <command>``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..sessions.tokens import new_secret


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m wsgi_sessions")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("secret", help="print a new server secret (256 bits)")
    parser.parse_args(arguments)
    sys.stdout.write(new_secret() + "\n")
    return 0
