"""``why``: why somebody was signed out."""

from __future__ import annotations

from datetime import timedelta

import click

from ..clock import ms_from_duration
from ..config.fields import in_words
from ..sessions.end_words import END_IN_WORDS, end_of
from ..sessions.places import last_used_from
from ..storage.listings import Listings
from ..transport.devices import device_in_words
from .output import Table
from .people import find_person
from .run import TAKES_IDS, Run, takes_run
from .text import counted, instant, instant_in_words

_MAX_LISTED = 1000


@click.command(context_settings=TAKES_IDS)
@click.argument("user")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True)
@takes_run
def why(run: Run, user: str, days: int) -> None:
    """Tell why the sessions of a USER ended.

    Each end of the last 30 days, the latest first. Of a USER who is deleted, give the id.
    """
    parts = run.manager.parts
    config, now_ms = parts.config, parts.clock.now_ms()
    since_ms = now_ms - ms_from_duration(timedelta(days=days))
    person = find_person(run.manager, user)
    listings = Listings(parts.connections, parts.models)
    found = listings.sessions_of(person, since_ms=since_ms, limit=_MAX_LISTED)
    ends = [(end_of(each, now_ms=now_ms, config=config), each) for each in found]
    live_count = sum(1 for end, _ in ends if end is None)
    over = [(end, each) for end, each in ends if end is not None and end[1] >= since_ms]
    over.sort(key=lambda pair: pair[0][1], reverse=True)
    document = {
        "user_id": person,
        "since": instant(since_ms),
        "live_sessions": live_count,
        "ends": [
            {
                "ended_at": instant(at_ms),
                "reason": reason.value,
                "reason_in_words": END_IN_WORDS[reason],
                "session_id": each.id,
                "device": device_in_words(last_used_from(each)[1]),
                "ip_address": last_used_from(each)[0],
                "signed_in_at": instant(each.authenticated_at_ms),
                "last_seen_at": instant(each.last_seen_at_ms),
            }
            for (reason, at_ms), each in over
        ],
    }
    rows = [
        (
            instant_in_words(at_ms),
            END_IN_WORDS[reason],
            device_in_words(last_used_from(each)[1]),
            last_used_from(each)[0],
            instant_in_words(each.last_seen_at_ms),
            each.id,
        )
        for (reason, at_ms), each in over
    ]
    columns = ("ended (UTC)", "why", "device", "address", "last seen", "session")
    still = (
        f"{counted(live_count, 'session')} of this user {'is' if live_count == 1 else 'are'} live."
    )
    notes = []
    if ms_from_duration(timedelta(days=days)) > config.keep_ended_ms:
        kept = in_words(timedelta(milliseconds=config.keep_ended_ms))
        notes.append(f"Ended sessions are kept for {kept} (keep_ended).")
    if not over:
        run.output.show(document, f"No session ended in the last {days} days. {still}", *notes)
        return
    run.output.show(document, Table(columns, rows), "", still, *notes)
