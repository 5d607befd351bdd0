"""Metrics of a manager by OpenTelemetry: ``OpenTelemetryMetrics``, of the extra ``otel``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..config.fields import Duration
from ..manager import SessionManager
from ..wsgi.arguments import check_app
from .catalog import METRICS, MetricName
from .recording import MeasuredApp, Recorder

try:
    from opentelemetry.metrics import MeterProvider, Observation, get_meter
except ImportError as error:
    raise ImportError(
        "opentelemetry-api is not installed; pip install 'wsgi-sessions[otel]'"
    ) from error

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_CALL = "OpenTelemetryMetrics(manager)"


class OpenTelemetryMetrics:
    """Measures a manager with OpenTelemetry, until it is closed.

    ``meter_provider`` is the global one if none is given. What exports the metrics is the business
    of your application, which sets that up with OpenTelemetry's SDK. ``live_sessions_every``
    switches the gauge of live sessions on: they are counted when the metrics are collected, and at
    most once in this time.

    Raises ``ConfigurationError`` if the manager is measured already.
    """

    def __init__(
        self,
        manager: SessionManager,
        *,
        meter_provider: MeterProvider | None = None,
        live_sessions_every: Duration | None = None,
    ) -> None:
        meter = get_meter("wsgi_sessions", meter_provider=meter_provider)
        self._is_open = True
        self._labels = {name: tuple(metric.labels) for name, metric in METRICS.items()}
        self._instruments: dict[MetricName, Any] = {}
        for name, metric in METRICS.items():
            shown, unit = f"wsgi_sessions.{name}", metric.unit
            doc = metric.doc.replace("`", "")
            if metric.kind == "counter":
                made: Any = meter.create_counter(shown, unit, doc)
            elif metric.kind == "histogram":
                made = meter.create_histogram(
                    shown, unit, doc, explicit_bucket_boundaries_advisory=metric.buckets
                )
            else:
                observe: Callable[[Any], Iterable[Any]] = partial(self._observations, name)
                made = meter.create_observable_gauge(shown, [observe], unit, doc)
            self._instruments[name] = made
        self._recorder = Recorder(
            manager, self, live_sessions_every=live_sessions_every, call=_CALL
        )

    def measure(self, app: WSGIApplication) -> MeasuredApp:
        """Return a ``SessionMiddleware``, or what contains one, with its requests counted."""
        check_app(app, call="metrics.measure(SessionMiddleware(app, manager))")
        return MeasuredApp(app, self._recorder)

    def close(self) -> None:
        """Measure no more; gauges show nothing from then on."""
        self._is_open = False
        self._recorder.close()

    def __repr__(self) -> str:
        return "OpenTelemetryMetrics()"

    def _observations(self, name: MetricName, _: Any) -> Iterable[Any]:
        if not self._is_open:
            return
        if name == "live_sessions":
            count = self._recorder.live_sessions()
            if count is not None:
                yield Observation(count)
            return
        for reading in self._recorder.readings():
            if reading.name == name:
                yield Observation(reading.value, self._attributes(name, reading.labels))

    # Called by the recorder

    def add(self, name: MetricName, amount: float, labels: tuple[str, ...]) -> None:
        """Add to a counter."""
        self._instruments[name].add(amount, self._attributes(name, labels))

    def observe(self, name: MetricName, value: float, labels: tuple[str, ...]) -> None:
        """Note a value in a histogram."""
        self._instruments[name].record(value, self._attributes(name, labels))

    def _attributes(self, name: MetricName, labels: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(self._labels[name], labels, strict=True))
