"""Takes what is measured, in the place of a library that exports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wsgi_sessions import SessionManager
from wsgi_sessions.monitoring.catalog import METRICS, MetricName
from wsgi_sessions.monitoring.recording import Recorder


class Noted:
    """Counts what was added, and keeps what was observed."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.observed: list[tuple[tuple[str, ...], float]] = []

    def add(self, name: MetricName, amount: float, labels: tuple[str, ...]) -> None:
        assert len(labels) == len(METRICS[name].labels)
        assert METRICS[name].kind == "counter"
        self.counts[(name, *labels)] += int(amount)

    def observe(self, name: MetricName, value: float, labels: tuple[str, ...]) -> None:
        assert len(labels) == len(METRICS[name].labels)
        assert METRICS[name].kind == "histogram"
        self.observed.append(((name, *labels), value))

    def of(self, name: MetricName) -> dict[tuple[str, ...], int]:
        """Return what was counted under a name, by its labels."""
        return {key[1:]: count for key, count in self.counts.items() if key[0] == name and count}

    def observed_of(self, name: MetricName) -> list[tuple[str, ...]]:
        """Return the labels of what was observed under a name."""
        return [key[1:] for key, _ in self.observed if key[0] == name]


@contextmanager
def recorded(manager: SessionManager, **options: Any) -> Iterator[tuple[Recorder, Noted]]:
    noted = Noted()
    given = {"live_sessions_every": None, "call": "…", **options}
    recorder = Recorder(manager, noted, **given)
    try:
        yield recorder, noted
    finally:
        recorder.close()
