"""``events``: what the setting ``audit`` has kept, by user, time and name."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import click

from ..clock import ms_from_datetime, ms_from_duration
from ..errors import StoreUnavailableError
from ..events import NOTED_EVENTS, TOLD_EVENTS, SessionEvent
from ..sessions.known_revocations import ages_of
from ..storage.event_rows import Wanted
from ..storage.event_tail import EventTail
from ..transport.devices import device_in_words
from .durations import parse_duration
from .everything import Instant
from .failures import Exit, Failure
from .output import Table
from .parameters import ParameterType
from .people import find_person
from .run import Run, takes_run
from .text import instant, instant_in_words

_LIMIT, _INTERVAL_SECONDS = 50, 1
_CURSOR = re.compile(r"([0-9]{1,15})-([0-9]{1,19})")


class Since(Instant):
    """An instant, or how long ago: ``2d``."""

    name = "since"

    def convert(self, value: object, param: Any, ctx: Any) -> Any:
        try:
            return parse_duration(str(value))
        except ValueError as error:
            if not re.match(r"[0-9]{4}-", str(value)):
                self.fail(f"{error}; or an instant such as 2026-03-01T12:00Z", param, ctx)
        return super().convert(value, param, ctx)


class Cursor(ParameterType[SessionEvent]):
    """The place of an event, as a list says it at its end."""

    name = "place"

    def convert(self, value: object, param: Any, ctx: Any) -> SessionEvent:
        found = _CURSOR.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no place; give what the list before says", param, ctx)
        return SessionEvent("session_created", int(found[1]), id=int(found[2]))


@click.command
@click.option("--user", metavar="USER", help="Only of this user: an id or an e-mail address.")
@click.option("--session", "session_id", metavar="ID", help="Only of this session.")
@click.option("--since", type=Since(), help="From then on: 2d ago, or an instant.")
@click.option(
    "--name",
    "names",
    multiple=True,
    type=click.Choice((*TOLD_EVENTS, *NOTED_EVENTS)),
    help="Only of this name; more than once for several.",
)
@click.option("--limit", type=click.IntRange(1, 1000), show_default=str(_LIMIT))
@click.option("--after", type=Cursor(), metavar="PLACE", help="Go on after the list before.")
@click.option(
    "--follow",
    is_flag=True,
    help="Print each new event as it comes, after those of --since, until Ctrl-C.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 3600),
    metavar="SECONDS",
    show_default=str(_INTERVAL_SECONDS),
    help="With --follow: how often to look.",
)
@takes_run
def events(
    run: Run,
    *,
    user: str | None,
    session_id: str | None,
    since: Any,
    names: Sequence[str],
    limit: int | None,
    after: SessionEvent | None,
    follow: bool,
    interval: float | None,
) -> None:
    """List the events that are kept, the latest first; or follow them, the oldest first.

    That is what the setting audit keeps: sign-ins, ends, changes and refusals.
    """
    if follow and (limit is not None or after is not None):
        raise click.UsageError("--follow has neither --limit nor --after: it prints all that comes")
    if interval is not None and not follow:
        raise click.UsageError("--interval is of use with --follow alone")
    manager = run.manager
    config = manager.config.audit
    limit = limit or _LIMIT
    is_off = config is None or not config.enabled
    hint = " The setting audit is off: nothing is kept." if is_off else ""
    with run.patiently():
        user_id = None if user is None else find_person(manager, user)
    since_ms = _ms_of(since, now_ms=manager.clock.now_ms())
    if follow:
        wanted = Wanted(user_id, session_id, tuple(names))
        pause_s = interval or _INTERVAL_SECONDS
        follow_events(run, wanted, since_ms=since_ms, pause_s=pause_s, hint=hint)
    with run.patiently():
        found = manager.parts.store.open_events().find(
            user_id=user_id,
            session_id=session_id,
            names=names,
            since_ms=since_ms,
            before=after,
            max_count=limit,
        )
    next_after = f"{found[-1].at_ms}-{found[-1].id}" if len(found) == limit else None
    document = {"events": [event_document(each) for each in found], "next_after": next_after}
    if not found:
        run.output.show(document, f"There is no such event.{hint}")
        return
    columns = ("at (UTC)", "event", "user", "session", "address", "device", "details")
    run.output.show(document, Table(columns, [_row(each) for each in found]))
    if hint:
        run.output.say(hint.strip())
    if next_after is not None:
        run.output.say(f"More may follow: --after {next_after}")


def follow_events(
    run: Run, wanted: Wanted, *, since_ms: int | None, pause_s: float, hint: str
) -> NoReturn:
    """Print each event once, as it comes, through outages of the database, until Ctrl-C."""
    parts = run.manager.parts
    tail = EventTail(
        parts.connections,
        parts.models,
        parts.store.clock,
        wanted=wanted,
        late_ms=ages_of(parts.config).late_ms,
        since_ms=since_ms,
    )
    is_away, is_told = False, False
    try:
        while True:
            try:
                found, is_all = tail.read()
            except StoreUnavailableError as error:
                if not is_away:
                    _tell_of_outage(run, error)
                is_away = True
                time.sleep(pause_s)
                continue
            if is_away:
                run.output.say("The database answers again; nothing is left out.")
            is_away = False
            for event in found:
                run.output.show_line(event_document(event), _line(event))
            if not is_all:
                continue
            if not is_told:
                # Not before: what comes from now on is new.
                run.output.say(f"Waiting for new events.{hint}")
                is_told = True
            time.sleep(pause_s)
    except KeyboardInterrupt:
        # The way in which this ends: no fault to be told.
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None


def event_document(event: SessionEvent) -> dict[str, Any]:
    """Return an event for programs."""
    return {
        "at": instant(event.at_ms),
        "name": event.name,
        "user_id": event.user_id,
        "session_id": event.session_id,
        "reason": None if event.reason is None else event.reason.value,
        "ip_address": event.address,
        "user_agent": event.user_agent,
        "details": dict(event.details),
    }


def _row(event: SessionEvent) -> tuple[object, ...]:
    details = dict(event.details)
    device = details.pop("device", None) or (
        None if event.user_agent is None else device_in_words(event.user_agent)
    )
    reason = {} if event.reason is None else {"reason": event.reason.value}
    return (
        instant_in_words(event.at_ms),
        event.name,
        event.user_id,
        event.session_id,
        event.address,
        device,
        " ".join(f"{name}={value}" for name, value in {**reason, **details}.items()),
    )


def _tell_of_outage(run: Run, error: StoreUnavailableError) -> None:
    failure = Failure(f"{run.explain(error)}; waiting for it", Exit.DATABASE_AWAY)
    failure.is_json = run.output.is_json
    failure.show()


def _line(event: SessionEvent) -> str:
    """Return an event for people in one line: nobody knows how wide the next one will be."""
    return "  ".join(str(each) for each in _row(event) if each not in (None, ""))


def _ms_of(since: Any, *, now_ms: int) -> int | None:
    if since is None:
        return None
    return (
        ms_from_datetime(since) if isinstance(since, datetime) else now_ms - ms_from_duration(since)
    )
