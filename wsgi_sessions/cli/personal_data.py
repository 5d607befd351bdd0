"""``export`` and ``forget``: what there is of a person, and its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from ..events import SessionEvent
from ..manager import SessionManager
from ..storage.listings import Listings
from .events import event_document
from .output import Record
from .people import find_person
from .rows import session_document, user_document
from .run import TAKES_IDS, Run, takes_run
from .text import instant

_PAGE_ROWS = 500


@click.command(context_settings=TAKES_IDS)
@click.argument("user")
@takes_run
def export(run: Run, user: str) -> None:
    """Print what is kept of a USER, as JSON.

    That is the profile, sessions with their data, accounts, mailed links and events. No secret, no
    token and no hash of a password is in it.
    """
    manager = run.manager
    run.output.is_json = True
    with run.patiently():
        document = export_of(manager, find_person(manager, user))
    run.output.show(document)


def export_of(manager: SessionManager, user_id: Any) -> dict[str, Any]:
    parts = manager.parts
    listings = Listings(parts.connections, parts.models)
    now_ms, found = parts.clock.now_ms(), parts.store.users.find(user_id)
    return {
        "exported_at": instant(now_ms),
        "user_id": user_id,
        "user": None if found is None else user_document(found),
        "accounts": [_with_instants(each) for each in listings.accounts_of(user_id)],
        "mailed_links": [_with_instants(each) for each in listings.one_time_tokens_of(user_id)],
        "sessions": [
            {
                **session_document(each, now_ms=now_ms, config=parts.config),
                "data": json.loads(each.data),
            }
            for each in listings.all_sessions_of(user_id)
        ],
        "events": [event_document(each) for each in _events_of(manager, user_id)],
    }


def _events_of(manager: SessionManager, user_id: Any) -> Iterator[SessionEvent]:
    """Yield what the event table keeps of a user, the latest first."""
    events = manager.parts.store.open_events()
    found = events.find(user_id=user_id, max_count=_PAGE_ROWS)
    while found:
        yield from found
        found = events.find(user_id=user_id, before=found[-1], max_count=_PAGE_ROWS)


def _with_instants(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removesuffix("_ms"): instant(value) if name.endswith("_ms") else value
        for name, value in row.items()
    }


@click.command(context_settings=TAKES_IDS)
@click.argument("user")
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")
@takes_run
def forget(run: Run, user: str, is_confirmed: bool) -> None:
    """Delete a USER and all that is kept of them.

    Ended sessions and events, too, in one transaction. Rows in other tables of the application
    are left.
    """
    manager = run.manager
    parts = manager.parts
    user_id = find_person(manager, user)
    listings = Listings(parts.connections, parts.models)
    with run.patiently():
        had = export_of(manager, user_id)
        run.confirm(
            f"This deletes the user {user_id} with {len(had['accounts'])} accounts and "
            f"{len(had['sessions'])} sessions. It can't be undone. Go on?",
            is_confirmed=is_confirmed,
        )
        erased: dict[str, int] = {}

        def erase() -> None:
            now_ms = parts.clock.now_ms()
            erased["sessions"] = listings.delete_sessions_of(user_id, now_ms=now_ms)
            erased["events"] = parts.store.open_events().delete_all_of(user_id)

        is_deleted = parts.ending.delete_user(user_id, erase=erase)
    deleted = {
        "users": int(is_deleted),
        "accounts": len(had["accounts"]),
        "mailed_links": len(had["mailed_links"]),
        **erased,
    }
    run.output.show(
        {"user_id": user_id, "deleted": deleted},
        "Deleted:",
        Record([(name.replace("_", " "), f"{count:,}") for name, count in deleted.items()]),
    )
