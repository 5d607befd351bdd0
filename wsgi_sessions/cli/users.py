"""``users``: who has signed up."""

from __future__ import annotations

import click

from ..storage.listings import Listings, LiveAt
from .output import Record, Table
from .people import find_user
from .rows import user_document
from .run import TAKES_IDS, Run, takes_run
from .text import counted, instant_in_words


@click.group
def users() -> None:
    """Look at users."""


@users.command("list")
@click.option("--email", "prefix", default="", metavar="TEXT", help="Whose address begins so.")
@click.option("--after", metavar="ID", help="Begin after this id, the last of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@takes_run
def list_users(run: Run, prefix: str, after: str | None, limit: int) -> None:
    """List users by id, a page at a time."""
    parts = run.manager.parts
    listings = Listings(parts.connections, parts.models)
    with run.patiently():
        found = listings.list_users(email_prefix=prefix, after=after, limit=limit)
        live = LiveAt.of(parts.config, parts.clock.now_ms())
        counts = listings.count_live([user.id for user in found], live)
    next_after = found[-1].id if len(found) == limit else None
    document = {
        "users": [
            {**user_document(user), "live_sessions": counts.get(user.id, 0)} for user in found
        ],
        "next_after": next_after,
    }
    columns = ("id", "e-mail", "name", "verified", "signed up", "live sessions")
    rows = [
        (
            user.id,
            user.email,
            user.name,
            bool(user.email_verified),
            instant_in_words(user.created_at_ms),
            counts.get(user.id, 0),
        )
        for user in found
    ]
    if not found:
        run.output.show(document, "There is no such user.")
        return
    run.output.show(document, Table(columns, rows))
    if next_after is not None:
        run.output.say(f"More may follow: --after {next_after}")


@users.command("show", context_settings=TAKES_IDS)
@click.argument("user")
@takes_run
def show_user(run: Run, user: str) -> None:
    """Show a USER: an id or an e-mail address."""
    parts = run.manager.parts
    found = find_user(run.manager, user)
    listings = Listings(parts.connections, parts.models)
    live = LiveAt.of(parts.config, parts.clock.now_ms())
    count = listings.count_live([found.id], live).get(found.id, 0)
    accounts = listings.accounts_of(found.id)
    ways = ["password" if each["has_password"] else each["provider"] for each in accounts]
    document = {**user_document(found), "live_sessions": count, "signs_in_by": ways}
    pairs = [
        ("id", found.id),
        ("e-mail", found.email),
        ("verified", bool(found.email_verified)),
        ("name", found.name),
        ("signed up", instant_in_words(found.created_at_ms)),
        ("signs in by", ", ".join(ways) or "nothing yet: no password, no provider"),
        ("sessions", f"{counted(count, 'live session')}"),
    ]
    run.output.show(document, Record(pairs))
