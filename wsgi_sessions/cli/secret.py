"""``secret``: a new server secret."""

from __future__ import annotations

import click

from ..sessions.tokens import new_secret
from .run import Run, takes_run


@click.command
@takes_run
def secret(run: Run) -> None:
    """Print a new server secret (256 bits)."""
    made = new_secret()
    run.output.show({"secret": made}, made)
