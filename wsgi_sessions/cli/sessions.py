"""``sessions``: the sessions that there are, and their ends."""

from __future__ import annotations

import click

from ..records import SessionRecord
from ..sessions.tokens import is_session_id
from ..storage.listings import Listings, LiveAt
from .failures import Failure
from .output import Record, Table
from .people import find_person
from .rows import SESSION_COLUMNS, session_document, session_pairs, session_row
from .run import TAKES_IDS, Run, takes_run
from .text import counted


@click.group
def sessions() -> None:
    """Look at sessions, and end some."""


@sessions.command("list", context_settings=TAKES_IDS)
@click.argument("user", required=False)
@click.option("--ended", "with_ended", is_flag=True, help="Those that are over, too.")
@click.option("--address", metavar="IP", help="Begun at or last used from this address.")
@click.option("--after", default="", metavar="ID", help="Begin after this session, without USER.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@takes_run
def list_sessions(
    run: Run, *, user: str | None, with_ended: bool, address: str | None, after: str, limit: int
) -> None:
    """List live sessions, of a USER or everybody.

    Those of a USER with the latest seen first, those of everybody by id.
    """
    parts = run.manager.parts
    listings = Listings(parts.connections, parts.models)
    now_ms, config = parts.clock.now_ms(), parts.config
    live = None if with_ended else LiveAt.of(config, now_ms)
    next_after: str | None = None
    with run.patiently():
        if user is not None:
            if address is not None or after:
                raise click.UsageError("--address and --after are for the sessions of everybody")
            found = listings.sessions_of(find_person(run.manager, user), live=live, limit=limit)
        else:
            found = listings.list_sessions(live=live, address=address, after=after, limit=limit)
            next_after = found[-1].id if len(found) == limit else None
    document = {
        "sessions": [session_document(each, now_ms=now_ms, config=config) for each in found],
        "next_after": next_after,
    }
    if not found:
        run.output.show(document, "There is no such session.")
        return
    rows = [session_row(each, now_ms=now_ms, config=config) for each in found]
    run.output.show(document, Table(SESSION_COLUMNS, rows))
    if next_after is not None:
        run.output.say(f"More may follow: --after {next_after}")


@sessions.command("show", context_settings=TAKES_IDS)
@click.argument("session_id", metavar="SESSION")
@takes_run
def show_session(run: Run, session_id: str) -> None:
    """Show one SESSION, but for its data."""
    parts = run.manager.parts
    found = _find(run, session_id)
    now_ms, config = parts.clock.now_ms(), parts.config
    run.output.show(
        session_document(found, now_ms=now_ms, config=config),
        Record(session_pairs(found, now_ms=now_ms, config=config)),
    )


@sessions.command("revoke", context_settings=TAKES_IDS)
@click.argument("session_ids", metavar="SESSION...", nargs=-1, required=True)
@takes_run
def revoke(run: Run, session_ids: tuple[str, ...]) -> None:
    """End one SESSION or several.

    The exit code is 1 if one of them was not live.
    """
    manager = run.manager
    for each in session_ids:
        _check_id(each)
    ended = {each: manager.revoke_session(each) for each in session_ids}
    lines = [
        f"{each}: {'ended' if was_live else 'was not live'}" for each, was_live in ended.items()
    ]
    run.output.show({"ended": ended}, *lines)
    if not all(ended.values()):
        raise Failure("not every session was live; look at sessions list --ended")


@sessions.command("revoke-all", context_settings=TAKES_IDS)
@click.argument("user")
@takes_run
def revoke_all(run: Run, user: str) -> None:
    """End all sessions of a USER."""
    manager = run.manager
    count = manager.revoke_all_sessions(find_person(manager, user))
    run.output.show({"ended": count}, f"{counted(count, 'session')} ended.")
    if not count:
        raise Failure("there was no live session")


def _find(run: Run, session_id: str) -> SessionRecord:
    _check_id(session_id)
    found = run.manager.parts.store.sessions.find(session_id)
    if found is None:
        raise Failure(f"there is no session {session_id}")
    return found[0]


def _check_id(text: str) -> None:
    """Refuse what is no id of a session, and does not show it: it may be a token."""
    if not is_session_id(text):
        raise Failure("an id of a session has 24 characters, and what was given is none")
