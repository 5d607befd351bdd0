"""``simulate``: what other settings would end, of the sessions that are live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import click

from ..config.fields import in_words
from ..config.settings import SessionConfig
from ..errors import ConfigurationError
from ..sessions.forecast import DAYS, Forecast, Outcome, SeenSession
from ..storage.session_scan import SessionScan
from .durations import NONE, read_duration, read_limit
from .output import Line, Table
from .run import Run, takes_run
from .text import counted, instant


def _read_maximum(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> int | str | None:
    if text is None or text.strip().lower() == NONE:
        return text and NONE
    if not text.strip().isdecimal() or len(text) > 7:
        raise click.BadParameter(
            f"{text!r} is no number of sessions; give one such as 3, or none for no limit"
        )
    return int(text)


@click.command
@click.option("--idle", callback=read_limit, help="idle_timeout, such as 30m, or none.")
@click.option("--absolute", callback=read_limit, help="absolute_timeout, such as 12h, or none.")
@click.option("--expires-in", callback=read_duration, help="expires_in, such as 7d.")
@click.option("--update-age", callback=read_duration, help="update_age, such as 1h.")
@click.option(
    "--max-sessions", callback=_read_maximum, help="multi_session.maximum_sessions, or none."
)
@click.option("--ip-binding", type=click.Choice(["off", "subnet", "exact"]), help="ip_binding.")
@takes_run
def simulate(run: Run, **options: Any) -> None:
    """Count what other settings would end, now and within a week. Nothing is changed.

    Each live session is held to the same rules as its next request would be. It is assumed that
    nobody uses a session again, and that each comes from the address it was last used from.
    """
    changes = _changes({name: value for name, value in options.items() if value is not None})
    if not changes:
        raise ConfigurationError(
            "nothing is to be changed; give one option at least, such as --idle 30m"
        )
    manager = run.manager
    today, now_ms = manager.config, manager.clock.now_ms()
    changed = today.replace(**changes)
    forecast = Forecast(today, changed, now_ms=now_ms)
    scan = SessionScan(manager.parts.connections, manager.parts.models)
    with run.output.progress("sessions", total=scan.count(now_ms=now_ms)) as advance:
        for rows in scan.read(now_ms=now_ms):
            forecast.add(map(partial(tuple.__new__, SeenSession), rows))
            advance(len(rows))
    _show(run, forecast, today=today, changed=changed, now_ms=now_ms)


def _changes(options: Mapping[str, Any]) -> Any:
    """Return the settings that the options stand for."""
    names = {
        "idle": "idle_timeout",
        "absolute": "absolute_timeout",
        "expires_in": "expires_in",
        "update_age": "update_age",
        "ip_binding": "ip_binding",
    }
    found = {names[name]: _or_none(value) for name, value in options.items() if name in names}
    if "max_sessions" in options:
        found["multi_session"] = {
            "enabled": True,
            "maximum_sessions": _or_none(options["max_sessions"]),
        }
    return found


def _or_none(given: Any) -> Any:
    """Return what a setting is given: None for the word that takes a limit away."""
    return None if given == NONE else given


def _show(
    run: Run, forecast: Forecast, *, today: SessionConfig, changed: SessionConfig, now_ms: int
) -> None:
    before, after = forecast.today, forecast.changed
    document = {
        "at": instant(now_ms),
        "live": {"sessions": forecast.live_count, "people": forecast.people_count},
        "today": {"settings": _settings(today), **_as_json(before)},
        "changed": {"settings": _settings(changed), **_as_json(after)},
    }
    head = (
        f"{counted(forecast.live_count, 'live session')} of "
        f"{counted(forecast.people_count, 'person', 'people')}"
    )
    columns = ("what ends", "by today's settings", "by the changed ones")
    run.output.show(
        document,
        Line(head),
        Line(""),
        Table(columns, _rows(before, after), title="Sessions and people"),
        Line(""),
        Table(
            ("reason", "now", f"later, within {DAYS} days"),
            [
                (reason, after.reasons_now.get(reason, 0), after.reasons_later.get(reason, 0))
                for reason in sorted({*after.reasons_now, *after.reasons_later})
            ],
            title="Why, by the changed settings",
        ),
        Line(""),
        *map(Line, _remarks(today, changed)),
    )


def _rows(before: Outcome, after: Outcome) -> list[tuple[str, str, str]]:
    def row(what: str, first: int, second: int) -> tuple[str, str, str]:
        return what, f"{first:,}", f"{second:,}"

    days = [
        row(f"sessions, day {day}", before.ended_by_day[day], after.ended_by_day[day])
        for day in range(1, DAYS + 1)
    ]
    return [
        row("sessions, now", before.ended_now, after.ended_now),
        *days,
        row(f"sessions, now and within {DAYS} days", before.ended_in_all, after.ended_in_all),
        row("people with one of them, now", before.people_ended[0], after.people_ended[0]),
        row(f"people, within {DAYS} days", before.people_ended[1], after.people_ended[1]),
        row("people left with none, now", before.people_left_without[0], _left(after, 0)),
        row(
            f"people left with none, within {DAYS} days",
            before.people_left_without[1],
            _left(after, 1),
        ),
        row("sessions beyond the limit", before.over_limit[0], after.over_limit[0]),
        row("people with such", before.over_limit[1], after.over_limit[1]),
    ]


def _left(outcome: Outcome, period: int) -> int:
    return outcome.people_left_without[period]


def _remarks(today: SessionConfig, changed: SessionConfig) -> list[str]:
    assumed = "nobody uses a session again, and each comes from the address it was last used from"
    found = [f"Assumed: {assumed}."]
    multi = changed.multi_session
    if multi.enabled and multi.on_limit == "reject":
        found.append(
            "Sessions beyond the limit do not end: these people can't sign in elsewhere before "
            "they have signed out."
        )
    else:
        found.append(
            "Sessions beyond the limit end at that person's next sign-in, the oldest use first."
        )
    if changed.ip_binding != "off" and changed.on_ip_mismatch == "reject":
        found.append(
            "ip_mismatch: the session is refused at its present address, and lives on where it "
            "began."
        )
    if changed.expires_in_ms != today.expires_in_ms:
        found.append(
            "expires_in counts from a session's next refresh on; until then it keeps its end."
        )
    return found


def _as_json(outcome: Outcome) -> dict[str, Any]:
    (people_now, people_all), (left_now, left_all) = (
        outcome.people_ended,
        outcome.people_left_without,
    )
    return {
        "sessions_ended_now": outcome.ended_now,
        "sessions_ended_by_day": list(outcome.ended_by_day[1:]),
        "sessions_ended_in_all": outcome.ended_in_all,
        "people_ended_now": people_now,
        "people_ended_in_all": people_all,
        "people_left_without_now": left_now,
        "people_left_without_in_all": left_all,
        "sessions_over_limit": outcome.over_limit[0],
        "people_over_limit": outcome.over_limit[1],
        "reasons_now": _by_name(outcome.reasons_now),
        "reasons_later": _by_name(outcome.reasons_later),
    }


def _by_name(reasons: Mapping[Any, int]) -> dict[str, int]:
    return {str(reason): count for reason, count in sorted(reasons.items())}


def _settings(config: SessionConfig) -> dict[str, Any]:
    def say(duration_ms: int | None) -> str | None:
        return None if duration_ms is None else in_words(timedelta(milliseconds=duration_ms))

    multi = config.multi_session
    return {
        "idle_timeout": say(config.idle_timeout_ms),
        "absolute_timeout": say(config.absolute_timeout_ms),
        "expires_in": say(config.expires_in_ms),
        "maximum_sessions": multi.maximum_sessions if multi.enabled else 1,
        "ip_binding": config.ip_binding,
    }
