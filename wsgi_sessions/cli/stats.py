"""``stats``: how many sessions there are, how old, on which devices, and why they end."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import click

from ..clock import ms_from_duration
from ..config.fields import in_words
from ..storage.listings import LiveAt
from ..storage.statistics import Statistics
from ..transport.devices import device_in_words
from .output import Bars, Record
from .run import Run, takes_run
from .text import instant

_BOUNDS = (
    timedelta(minutes=5),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=7),
    timedelta(days=30),
    timedelta(days=90),
)
_AGES = (
    *(
        f"under {in_words(bound) if bound >= timedelta(hours=1) else '5 minutes'}"
        for bound in _BOUNDS
    ),
    "older",
)
_MAX_DEVICES = 15


@click.command
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True)
@takes_run
def stats(run: Run, days: int) -> None:
    """Count sessions by age, device and end.

    By age and device those that are live, and by reason the ends of the last 30 days.
    """
    parts = run.manager.parts
    statistics = Statistics(parts.connections, parts.models)
    now_ms = parts.clock.now_ms()
    live = LiveAt.of(parts.config, now_ms)
    bounds_ms = [ms_from_duration(bound) for bound in _BOUNDS]
    since_ms = now_ms - ms_from_duration(timedelta(days=days))
    with run.patiently():
        counts = statistics.count_sessions(live)
        by_age = statistics.count_by_age("created_at", bounds_ms, live, now_ms=now_ms)
        by_use = statistics.count_by_age("last_seen_at", bounds_ms, live, now_ms=now_ms)
        by_agent = statistics.count_by_user_agent(live)
        by_reason = statistics.count_by_reason(since_ms=since_ms)
        tables = statistics.count_rows()
    devices: Counter[str] = Counter()
    for user_agent, count in by_agent.items():
        devices[device_in_words(user_agent)] += count
    rarer = counts.live - sum(devices.values())
    if rarer > 0:
        devices["rarer user agents"] += rarer
    document = {
        "at": instant(now_ms),
        "sessions": counts._asdict(),
        "live_by_age": dict(zip(_AGES, by_age, strict=True)),
        "live_by_last_use": dict(zip(_AGES, by_use, strict=True)),
        "live_by_device": dict(devices.most_common()),
        "ends_since": instant(since_ms),
        "ends_by_reason": dict(by_reason),
        "rows": tables,
    }
    shown = devices.most_common(_MAX_DEVICES)
    others = sum(devices.values()) - sum(count for _, count in shown)
    reasons = sorted(by_reason.items(), key=lambda pair: -pair[1])
    run.output.show(
        document,
        Record(
            [
                ("live sessions", f"{counts.live:,}"),
                ("of users", f"{counts.live_users:,}"),
                ("anonymous", f"{counts.live_anonymous:,}"),
                ("over, not marked", f"{counts.overdue:,}"),
                ("ended, kept", f"{counts.ended:,}"),
            ]
        ),
        "",
        Bars("Live sessions by age", list(zip(_AGES, by_age, strict=True))),
        "",
        Bars("Live sessions by last use", list(zip(_AGES, by_use, strict=True))),
        "",
        Bars("Live sessions by device", [*shown, *([("others", others)] if others > 0 else [])]),
        "",
        Bars(f"Ends of the last {days} days by reason", reasons),
        "",
        Record([(name, f"{count:,}") for name, count in tables.items()], title="Rows"),
    )
