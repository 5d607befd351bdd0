"""``users``: who has signed up."""

from __future__ import annotations

import click

from .output import Record
from .people import find_user
from .run import Run, takes_run
from .text import instant, instant_in_words


@click.group
def users() -> None:
    """Look at users."""


@users.command
@click.argument("user")
@takes_run
def show(run: Run, user: str) -> None:
    """Show a USER: an id or an e-mail address."""
    found = find_user(run.manager, user)
    document = {
        "id": found.id,
        "email": found.email,
        "email_verified": bool(found.email_verified),
        "name": found.name,
        "created_at": instant(found.created_at_ms),
    }
    run.output.show(
        document,
        Record(
            [
                ("id", found.id),
                ("e-mail", found.email),
                ("verified", bool(found.email_verified)),
                ("name", found.name),
                ("signed up", instant_in_words(found.created_at_ms)),
            ]
        ),
    )
